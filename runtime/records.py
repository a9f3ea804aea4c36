"""The format of the journal: segments, which are files of records, which hold entries.

A record is what one sync has made durable, the commits of many objects at once. The next one is
written only after that sync, which tells damage from an interrupted write: what can't be read at
the end of the last segment was never acknowledged, and what can't be read elsewhere has been.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

from runtime.errors import DataFolderRefused

VERSION: Final = 2
SUFFIX: Final = ".sqlite"  # of the databases' files
_SEGMENT_MAGIC: Final = b"DormJrnl"
_RECORD_MAGIC: Final = b"DormRec\n"

_SEGMENT: Final = struct.Struct("<8sIQQQI")  # ends with the checksum of what stands before it
_RECORD: Final = struct.Struct("<8sQII")  # magic, sequence, length, checksum of what follows
_ENTRY: Final = struct.Struct("<BHIIQ")  # kind, length of the path, page size, of content, stamp


class Kind(IntEnum):
    """What an entry says. The numbers are on people's disks: they never change."""

    COMMIT = 1
    """A database has changed: the frames of its write-ahead log."""
    REMOVED = 2
    """A database is about to be deleted, and its history."""
    WIPED = 3
    """A database was emptied: as a commit, and there is no going back to before."""
    RESTORED = 4
    """A database was brought back to what it has been before: as a commit."""


class Entry(NamedTuple):
    """One thing that happened to one database."""

    kind: Kind
    path: str
    """Where the database is, below the folder of all objects."""
    page_size: int = 0
    content: bytes | memoryview = b""
    stamp: int = 0
    """When, by the node's `Stamps`."""

    @property
    def size(self) -> int:
        """In the journal, in bytes, and about that in memory."""
        return _ENTRY.size + len(self.path) + len(self.content)


@dataclass(frozen=True, slots=True)
class Header:
    """What the beginning of a segment says."""

    number: int
    sequence: int
    """Of its first record."""
    previous_end: int
    """The length of the segment before it, in bytes, so far as it counts."""

    def encode(self) -> bytes:
        """Return it as it stands in the file."""
        fields = (self.number, self.sequence, self.previous_end)
        content = _SEGMENT.pack(_SEGMENT_MAGIC, VERSION, *fields, 0)[:-4]
        return content + struct.pack("<I", zlib.crc32(content))


HEADER_SIZE: Final = _SEGMENT.size


def encode(sequence: int, entries: Sequence[Entry]) -> bytes:
    """Return a record as it stands in the file."""
    parts: list[bytes | memoryview] = []
    for kind, path, page_size, content, stamp in entries:
        name = path.encode()
        parts += (_ENTRY.pack(kind, len(name), page_size, len(content), stamp), name, content)
    body = b"".join(parts)
    return _RECORD.pack(_RECORD_MAGIC, sequence, len(body), zlib.crc32(body)) + body


class Segment:
    """A segment that is being read.

    Raises:
        DataFolderRefused: If the file isn't a segment, or one of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            size = path.stat().st_size
            if size < HEADER_SIZE:
                raise self._damaged(0, "it has no beginning")
            self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, version, *fields, checksum = _SEGMENT.unpack_from(self._content)
        if magic != _SEGMENT_MAGIC or zlib.crc32(self._content[: HEADER_SIZE - 4]) != checksum:
            raise self._damaged(0, "its beginning is not that of a journal")
        if version > VERSION:
            raise DataFolderRefused(
                f"the journal {path} was written by a newer version; use that one, or a backup"
            )
        if version < VERSION:
            raise DataFolderRefused(
                f"the journal {path} was written by an older version; start that one once more, "
                "and stop it properly: then there is no journal left"
            )
        self.header = Header(*fields)

    def entries(self, end: int | None) -> Iterator[Entry]:
        """Return its entries. Their content lies in the file, which stays open for it.

        Args:
            end: How many bytes count; None for the last segment, which may end in a record that
                was being written when the process ended.

        Raises:
            DataFolderRefused: If a record that was durable can't be read.
        """
        view = memoryview(self._content)[:end]
        at, sequence = HEADER_SIZE, self.header.sequence
        limit = len(view) if end is None else end
        while at < limit:
            body = self._record(view, at, sequence)
            if body is None:
                if end is None and not self._goes_on(view, at, sequence):
                    return
                raise self._damaged(at, "it can't be read, and more follows")
            yield from _entries(body)
            at += _RECORD.size + len(body)
            sequence += 1

    def _record(self, view: memoryview, at: int, sequence: int) -> memoryview | None:
        if at + _RECORD.size > len(view):
            return None
        magic, number, length, checksum = _RECORD.unpack_from(view, at)
        body = view[at + _RECORD.size : at + _RECORD.size + length]
        is_whole = magic == _RECORD_MAGIC and number == sequence and len(body) == length
        return body if is_whole and zlib.crc32(body) == checksum else None

    def _goes_on(self, view: memoryview, at: int, sequence: int) -> bool:
        """Whether a later record can be read: then this one had been durable."""
        while (at := self._content.find(_RECORD_MAGIC, at + 1)) >= 0:
            if at + _RECORD.size <= len(view):
                _, number, _, _ = _RECORD.unpack_from(view, at)
                if number > sequence and self._record(view, at, number) is not None:
                    return True
        return False

    def _damaged(self, at: int, why: str) -> DataFolderRefused:
        return DataFolderRefused(
            f"the journal {self.path} is damaged at byte {at}: {why}. Restore a backup; or, to go "
            "on with what the databases hold without it, move the journal's folder away"
        )


def _entries(body: memoryview) -> Iterator[Entry]:
    at = 0
    while at < len(body):
        kind, path_length, page_size, length, stamp = _ENTRY.unpack_from(body, at)
        at += _ENTRY.size
        path = str(body[at : at + path_length], "utf-8")
        at += path_length
        yield Entry(Kind(kind), path, page_size, body[at : at + length], stamp)
        at += length
