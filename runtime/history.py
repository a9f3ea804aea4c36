"""An object's history: the way back from its database to what that was before.

For each commit it says how the pages differ from what they had been: one or two hundred bytes for
a page of an ordinary commit. Going back is applying the differences to the database, the newest
first, so it costs what has happened since. And since each database has a file of its own for it,
forgetting the past is deleting a file.
"""

from __future__ import annotations

import logging
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

from runtime.differences import Buffer, Commit, Pages, undo, way_back
from runtime.errors import StorageError
from runtime.records import Kind
from runtime.segments import sync_folder, write_all

SUFFIX: Final = ".history"
VERSION: Final = 1
BLOCK_BYTES: Final = 8 * 1024 * 1024  # of differences that are packed together, and unpacked
SLACK: Final = 0.1  # of the time it is kept for: how much later than need be it is shortened
KEPT: Final = 0.75  # of the size it may have: what is left when it is shortened

_MAGIC: Final = b"DormHist"
_FILE: Final = struct.Struct("<8sIIQI")  # magic, version, page size, reach, checksum of these
_BLOCK: Final = struct.Struct("<BIQQII")  # as `Block`; the checksums of the content and of these
_FOOT: Final = struct.Struct("<I")  # the length of the whole block, for reading backwards

log = logging.getLogger("runtime")


class Retention(NamedTuple):
    """How much history is kept: what is older than both allow may go."""

    microseconds: int
    """0 to keep none."""
    max_bytes: int


class Earlier(NamedTuple):
    """What a database was."""

    size: int
    """In pages."""
    page_size: int
    pages: dict[int, bytes]
    """Those that differ from what they are now, by their numbers."""


class Block(NamedTuple):
    """Some commits that were added together."""

    kind: Kind
    """COMMIT; or RESTORED, for one commit that is one."""
    length: int
    """Of what it holds, in bytes."""
    first: int
    last: int
    """The stamps of its commits."""
    checksum: int
    begin: int
    """Where it begins in the file."""

    @property
    def end(self) -> int:
        return self.begin + _BLOCK.size + self.length + _FOOT.size


class History:
    """The history of one database. For threads: it waits for the disk.

    Invariants:
        - What the database's file has, the history has: it is added here first, durably, or else
          nobody would know any more what the pages were before.
        - Its commits are in the order of their stamps, each once.
    """

    def __init__(self, database: Path) -> None:
        self.path = database.with_suffix(SUFFIX)
        self._database = database

    def exists(self) -> bool:
        """Whether anything is known of the past."""
        try:
            return self.path.stat().st_size > 0  # else it was just being begun
        except FileNotFoundError:
            return False

    def reach(self) -> int | None:
        """Return the earliest stamp that it leads back to; None if there is no history."""
        if not self.exists():
            return None
        with _opened(self.path, os.O_RDONLY) as file:
            return _FileHead.read(file, self.path).reach

    def add(self, page_size: int, commits: Sequence[Commit], retention: Retention) -> None:
        """Take in commits, before the database's file does. Those that it has already are skipped.

        Args:
            commits: All that the file may not have yet, in order.

        Raises:
            OSError: If the disk refuses. Nothing was added.
        """
        known = self._last()
        wiped = [commit.stamp for commit in commits if commit.kind is Kind.WIPED]
        if wiped and wiped[-1] > known:
            self.forget()
            known = wiped[-1]
            commits = [commit for commit in commits if commit.stamp >= known]
        if not retention.microseconds:
            self.forget()  # else it would have a gap
        elif commits and commits[-1].stamp > known:
            with Pages(self._database, page_size) as pages:
                # The first page alone is an empty database. What is before the first commit of a
                # later one isn't known: after a crash, the file may be ahead of it.
                reach = known or (commits[0].stamp if pages.size > 1 else 0)
                blocks = b"".join(_blocks(pages, commits, known))
            self._append(_FileHead(page_size, reach), blocks)
            self._shorten(commits[-1].stamp, retention)

    def forget(self) -> None:
        """Delete it, durably."""
        if self.path.exists():
            self.path.unlink()
            sync_folder(self.path.parent)

    def restoration_after(self, stamp: int) -> int | None:
        """Return the stamp of the first commit after `stamp` that has restored the database."""
        found = None
        with _opened(self.path, os.O_RDONLY) as file:
            for block in _backwards(file, self.path):
                if block.last <= stamp:
                    break
                if block.kind is Kind.RESTORED:
                    found = block.first
        return found

    def rewind(self, until: int) -> Earlier:
        """Return what the database was after all commits up to `until`.

        Only while its file has all that the history has.

        Raises:
            StorageError: If the history doesn't reach back so far, or doesn't fit the database.
        """
        with _opened(self.path, os.O_RDONLY) as file:
            head = _FileHead.read(file, self.path)
            if until < head.reach:
                raise StorageError("the history doesn't reach back so far any more")
            with Pages(self._database, head.page_size) as pages:
                for block in _backwards(file, self.path):
                    if block.last <= until:
                        break
                    undo(_content(file, block, self.path), pages, until)
                images = {
                    number: bytes(image)
                    for number, image in pages.changed.items()
                    if number <= pages.size
                }
                return Earlier(pages.size, head.page_size, images)

    def _last(self) -> int:
        """The stamp of the newest commit in it; 0 if there is none."""
        if not self.exists():
            return 0
        try:
            with _opened(self.path, os.O_RDWR) as file:
                head = _FileHead.read(file, self.path)
                newest = _newest(file)
                return head.reach if newest is None else newest.last
        except _Damaged as damage:
            log.warning("%s; it can't be used, and begins anew", damage)
            self.forget()
            return 0

    def _append(self, head: _FileHead, blocks: bytes) -> None:
        is_new = not self.exists()
        with _opened(self.path, os.O_RDWR | os.O_CREAT) as file:
            end = os.fstat(file).st_size
            try:
                write_all(file, blocks if end else head.encode() + blocks, end)
                os.fdatasync(file)
            except OSError:
                with suppress(OSError):  # else what is torn is cut off when more is added
                    os.ftruncate(file, end)
                raise
        if is_new:
            sync_folder(self.path.parent)

    def _shorten(self, now: int, retention: Retention) -> None:
        """Cut off the beginning if it is too long, or reaches back too far."""
        oldest, slack = now - retention.microseconds, int(SLACK * retention.microseconds)
        with _opened(self.path, os.O_RDONLY) as file:
            head, end = _FileHead.read(file, self.path), os.fstat(file).st_size
            block: Block | None = _block(file, _FILE.size, end)
            is_too_old = block is not None and block.last < oldest - slack
            if not is_too_old and end <= retention.max_bytes:
                return
            most = end if is_too_old else int(KEPT * retention.max_bytes)
            begin, reach = _FILE.size, head.reach
            while block is not None and (block.last < oldest or end - begin > most):
                begin, reach = block.end, block.last
                block = _block(file, begin, end)
            draft = self.path.with_name(f"{self.path.name}.new")
            with _opened(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as shorter:
                rest = os.pread(file, end - begin, begin)
                write_all(shorter, head._replace(reach=reach).encode() + rest, 0)
                os.fsync(shorter)
        draft.replace(self.path)
        sync_folder(self.path.parent)


class _FileHead(NamedTuple):
    """What the beginning of the file says."""

    page_size: int
    reach: int

    def encode(self) -> bytes:
        content = _FILE.pack(_MAGIC, VERSION, self.page_size, self.reach, 0)[:-4]
        return content + struct.pack("<I", zlib.crc32(content))

    @classmethod
    def read(cls, file: int, path: Path) -> Self:
        """Raises:
        StorageError: If it is damaged, or of a newer version.
        """
        content = os.pread(file, _FILE.size, 0)
        if len(content) != _FILE.size or zlib.crc32(content[:-4]) != _FILE.unpack(content)[-1]:
            raise _Damaged(path, 0)
        _, version, page_size, reach, _ = _FILE.unpack(content)
        if version > VERSION:
            raise StorageError(f"the history {path.name} was written by a newer version")
        return cls(page_size, reach)


class _Damaged(StorageError):
    def __init__(self, path: Path, at: int) -> None:
        super().__init__(f"the history {path.name} is damaged at byte {at}")


def _blocks(pages: Pages, commits: Sequence[Commit], known: int) -> Iterator[bytes]:
    """Pack the way back from each of `commits`. Those up to `known` are in the history."""
    stamps: list[int] = []
    parts: list[Buffer] = []
    size = 0
    for commit in commits:
        if commit.stamp > known:
            is_restoration = commit.kind is Kind.RESTORED
            if stamps and (is_restoration or size > BLOCK_BYTES):
                yield _encode(Kind.COMMIT, stamps, parts)
                stamps, parts, size = [], [], 0
            stamps.append(commit.stamp)
            added = way_back(pages, commit)
            parts += added
            size += sum(map(len, added))
            if is_restoration:
                yield _encode(Kind.RESTORED, stamps, parts)
                stamps, parts, size = [], [], 0
        pages.put(commit)
    if stamps:
        yield _encode(Kind.COMMIT, stamps, parts)


def _encode(kind: Kind, stamps: Sequence[int], parts: Sequence[Buffer]) -> bytes:
    packer = zlib.compressobj(1)
    content = b"".join([*map(packer.compress, parts), packer.flush()])
    fields = (kind, len(content), stamps[0], stamps[-1], zlib.crc32(content))
    head = _BLOCK.pack(*fields, 0)[:-4]
    head += struct.pack("<I", zlib.crc32(head))
    return head + content + _FOOT.pack(len(head) + len(content) + _FOOT.size)


def _block(file: int, begin: int, end: int) -> Block | None:
    """Return the block that begins there; None if there is none, or just a part of one."""
    head = os.pread(file, _BLOCK.size, begin)
    if len(head) != _BLOCK.size:
        return None
    kind, length, first, last, checksum, own_checksum = _BLOCK.unpack(head)
    if zlib.crc32(head[:-4]) != own_checksum:
        return None
    block = Block(Kind(kind), length, first, last, checksum, begin)
    return block if block.end <= end else None


def _newest(file: int) -> Block | None:
    """Return the last block, without what may be left behind it of one that wasn't finished."""
    end = os.fstat(file).st_size
    (length,) = _FOOT.unpack(os.pread(file, _FOOT.size, end - _FOOT.size))
    block = _block(file, end - length, end) if end - length >= _FILE.size else None
    if block is not None and block.end == end and _is_whole(file, block):
        return block
    newest, begin = None, _FILE.size
    while (block := _block(file, begin, end)) is not None and _is_whole(file, block):
        newest, begin = block, block.end
    os.ftruncate(file, begin)
    return newest


def _is_whole(file: int, block: Block) -> bool:
    content = os.pread(file, block.length, block.begin + _BLOCK.size)
    return zlib.crc32(content) == block.checksum


def _content(file: int, block: Block, path: Path) -> bytes:
    packed = os.pread(file, block.length, block.begin + _BLOCK.size)
    if zlib.crc32(packed) != block.checksum:
        raise _Damaged(path, block.begin)
    return zlib.decompress(packed)


def _backwards(file: int, path: Path) -> Iterator[Block]:
    end = os.fstat(file).st_size
    while end > _FILE.size:
        (length,) = _FOOT.unpack(os.pread(file, _FOOT.size, end - _FOOT.size))
        begin = end - length
        block = _block(file, begin, end) if begin >= _FILE.size else None
        if block is None:
            raise _Damaged(path, max(begin, 0))
        yield block
        end = begin


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags, 0o600)
    try:
        yield file
    finally:
        os.close(file)
