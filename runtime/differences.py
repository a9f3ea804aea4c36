"""The way back from what commits have made of a database's pages.

What a page became differs little from what it was. So what is kept is the difference, one bit
exclusive or the other, which is zeros for the most part and packs well; applied to the page as it
is, it gives the page as it was.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

from runtime import wal
from runtime.errors import StorageError
from runtime.records import Kind
from runtime.segments import write_all

_COMMIT: Final = struct.Struct("<QIII")  # stamp, size before, size after, number of differences
_DIFFERENCE: Final = struct.Struct("<II")  # the page's number, the checksum of what it became

Buffer = bytes | memoryview


class Commit(NamedTuple):
    """What one commit has made of a database."""

    stamp: int
    kind: Kind
    size: int
    """Of the database afterwards, in pages."""
    pages: dict[int, Buffer]
    """Those that it has written, by their numbers."""

    @classmethod
    def of(cls, stamp: int, kind: Kind, frames: Buffer, page_size: int) -> Self:
        """Return it as a write-ahead log has it."""
        size, pages, view = 0, dict[int, Buffer](), memoryview(frames)
        for page in wal.pages(view, page_size):
            pages[page.number] = view[page.start : page.start + page_size]
            size = page.size_after or size
        return cls(stamp, kind, size, pages)


class Pages:
    """The pages of a database, as they are after more and more commits, or fewer and fewer."""

    def __init__(self, database: Path, page_size: int) -> None:
        self.page_size = page_size
        self.size = 0
        self.changed: dict[int, Buffer] = {}
        self._nothing = bytes(page_size)
        self._file: int | None = None
        with suppress(FileNotFoundError):
            self._file = os.open(database, os.O_RDONLY)
            self.size = os.fstat(self._file).st_size // page_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)

    def put(self, commit: Commit) -> None:
        """Let a commit be done."""
        cut_off = range(commit.size + 1, self.size + 1)
        self.changed.update(commit.pages)
        self.changed.update(dict.fromkeys(cut_off, self._nothing))
        self.size = commit.size

    def __getitem__(self, number: int) -> Buffer:
        if number > self.size:
            return self._nothing
        if (image := self.changed.get(number)) is not None:
            return image
        if self._file is None:
            return self._nothing
        image = os.pread(self._file, self.page_size, (number - 1) * self.page_size)
        return image if len(image) == self.page_size else self._nothing


def write(database: Path, page_size: int, pages: Mapping[int, Buffer], size: int) -> None:
    """Write pages into a database's file, durably.

    Args:
        size: Of the database afterwards, in pages.
    """
    file = os.open(database, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for number, image in pages.items():
            if number <= size:
                write_all(file, image, (number - 1) * page_size)
        os.ftruncate(file, size * page_size)
        os.fsync(file)
    finally:
        os.close(file)


def way_back(pages: Pages, commit: Commit) -> list[Buffer]:
    """Return what it takes to undo a commit that is about to be put on top of `pages`."""
    parts: list[Buffer] = []
    cut_off = range(commit.size + 1, pages.size + 1)
    nothing = bytes(pages.page_size)
    there = ((number, image) for number, image in commit.pages.items() if number <= commit.size)
    for number, image in (*there, *((number, nothing) for number in cut_off)):
        if number <= pages.size:  # else it is new
            parts += (_DIFFERENCE.pack(number, zlib.crc32(image)), _xor(pages[number], image))
    return [_COMMIT.pack(commit.stamp, pages.size, commit.size, len(parts) // 2), *parts]


def undo(content: bytes, pages: Pages, until: int) -> None:
    """Go back before those commits in a block's content that are later than `until`."""
    view, at = memoryview(content), 0
    found: list[tuple[int, int, list[tuple[int, int, memoryview]]]] = []
    while at < len(view):
        stamp, before, after, count = _COMMIT.unpack_from(view, at)
        at += _COMMIT.size
        differences = []
        for _ in range(count):
            number, checksum = _DIFFERENCE.unpack_from(view, at)
            at += _DIFFERENCE.size
            differences.append((number, checksum, view[at : at + pages.page_size]))
            at += pages.page_size
        if stamp > until:
            found.append((before, after, differences))
    for before, after, differences in reversed(found):
        pages.size = after
        images: dict[int, Buffer] = {}
        for number, checksum, difference in differences:
            if zlib.crc32(pages[number]) != checksum:
                raise StorageError(
                    "the history doesn't fit the database: something else has changed its file"
                )
            images[number] = _xor(pages[number], difference)
        pages.changed.update(images)
        pages.size = before


def _xor(one: Buffer, other: Buffer) -> bytes:
    both = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return both.to_bytes(len(one), "little")
