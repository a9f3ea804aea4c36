"""SQLite's write-ahead log, as far as we read it: the frames that a commit has added.

The format is described in SQLite's "Database File Format", section 4. A log begins with a header
of 32 bytes; each frame is a header of 24 bytes and a page. Frames of a former round stay behind
the current ones after a checkpoint; the salt in the header says which round it is.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

_HEADER: Final = struct.Struct(">IIIIQII")  # ..., the page size, ..., the salt, ...
_FRAME: Final = struct.Struct(">IIQII")  # the page's number, the database's size, ...


class Page(NamedTuple):
    """One page as a commit has left it."""

    number: int
    """From 1."""
    size_after: int
    """Of the database, in pages, if it is the last one of a commit, otherwise 0."""
    start: int
    """Where its content begins in the frames."""


@dataclass(frozen=True, slots=True)
class Frames:
    """What was added to a log, as it stands there."""

    page_size: int
    """In bytes."""
    begin: int
    """Where the last commit in it begins in the log, in bytes. A life's first frames may hold
    more than one: those that it has inherited."""
    content: bytes
    end: int
    """Where they end in the log, in bytes."""


HEADER_SIZE: Final = _HEADER.size


def page_size(content: bytes | memoryview) -> int:
    """Return the size of a page, in bytes, as a log's header says."""
    _, _, size, _, _, _, _ = _HEADER.unpack_from(content)
    return int(size)


def path_of(database: Path) -> Path:
    """Return where a database's log lies."""
    return database.with_name(f"{database.name}-wal")


def pages(content: bytes | memoryview, page_size: int) -> Iterator[Page]:
    """Return the pages in frames, in the order in which they were written."""
    for start in range(0, len(content), _FRAME.size + page_size):
        number, size_after, *_ = _FRAME.unpack_from(content, start)
        yield Page(number, size_after, start + _FRAME.size)


def frames(images: Mapping[int, bytes], size: int) -> bytes:
    """Return pages as one commit's frames: those of the numbers given.

    Args:
        size: Of the database afterwards, in pages.
    """
    last = max(images)
    return b"".join(
        part
        for number, image in sorted(images.items())
        for part in (_FRAME.pack(number, size if number == last else 0, 0, 0, 0), image)
    )


class Tail:
    """Reads what is added to a database's log."""

    def __init__(self, database: Path) -> None:
        self._path = path_of(database)
        self._descriptor: int | None = None
        self._salt = 0
        self._end = 0

    def read(self, frames: int) -> Frames:
        """Return what was added since the last call.

        Args:
            frames: How many there are now, by SQLite's account.

        Raises:
            OSError: If the log can't be read.
        """
        if not frames:
            return Frames(0, 0, b"", 0)
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDONLY)
        header = os.pread(self._descriptor, _HEADER.size, 0)
        if len(header) != _HEADER.size:
            raise OSError(f"{self._path.name} has no header")
        _, _, page_size, _, salt, _, _ = _HEADER.unpack(header)
        if salt != self._salt:
            self._salt, self._end = salt, _HEADER.size
        begin, self._end = self._end, _HEADER.size + frames * (_FRAME.size + page_size)
        content = os.pread(self._descriptor, self._end - begin, begin)
        if len(content) != self._end - begin:
            raise OSError(f"{self._path.name} is shorter than SQLite says")
        last = begin
        if begin == _HEADER.size:  # a life's first: it may have inherited commits
            last += [0, 0, *_commit_ends(content, page_size)][-2]
        return Frames(page_size, last, content, self._end)

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def begin_of_last(commits: int, database: Path) -> int:
    """Return where the last so many commits in a log begin, in bytes."""
    content = path_of(database).read_bytes()
    if len(content) < _HEADER.size:
        return 0
    _, _, page_size, _, salt, _, _ = _HEADER.unpack_from(content)
    frames = memoryview(content)[_HEADER.size :]
    whole = len(frames) - len(frames) % (_FRAME.size + page_size)
    ends = [0, *_commit_ends(frames[:whole], page_size, salt)]
    return _HEADER.size + ends[max(0, len(ends) - 1 - commits)]


def _commit_ends(
    content: bytes | memoryview, page_size: int, salt: int | None = None
) -> Iterator[int]:
    for start in range(0, len(content), _FRAME.size + page_size):
        _, size_after, found, _, _ = _FRAME.unpack_from(content, start)
        if salt is not None and found != salt:
            return  # a frame of a former round
        if size_after:
            yield start + _FRAME.size + page_size


def cut(database: Path, end: int) -> None:
    """Take what lies beyond `end`, in bytes, off a log. Only while the database is closed."""
    # Less than a header is no log at all to SQLite.
    os.truncate(path_of(database), end if end > _HEADER.size else 0)
