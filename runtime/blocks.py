"""The format of a history's file: blocks of commits, of which the last one counts most.

A block ends with its own length, so that the file can be read backwards.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

from runtime.differences import Buffer
from runtime.errors import StorageError
from runtime.records import Kind

VERSION: Final = 1
_MAGIC: Final = b"DormHist"
_FILE: Final = struct.Struct("<8sIIQI")  # magic, version, page size, reach, checksum of these
_BLOCK: Final = struct.Struct("<BIQQII")  # as `Block`; the checksums of the content and of these
_FOOT: Final = struct.Struct("<I")  # the length of the whole block, for reading backwards
HEAD_SIZE: Final = _FILE.size


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


class FileHead(NamedTuple):
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
            raise Damaged(path, 0)
        _, version, page_size, reach, _ = _FILE.unpack(content)
        if version > VERSION:
            raise StorageError(f"the history {path.name} was written by a newer version")
        return cls(page_size, reach)


class Damaged(StorageError):
    """A history can't be read from some byte on."""

    def __init__(self, path: Path, at: int) -> None:
        super().__init__(f"the history {path.name} is damaged at byte {at}")


def encode(kind: Kind, stamps: Sequence[int], parts: Sequence[Buffer]) -> bytes:
    """Return a block as it stands in the file."""
    packer = zlib.compressobj(1)
    content = b"".join([*map(packer.compress, parts), packer.flush()])
    fields = (kind, len(content), stamps[0], stamps[-1], zlib.crc32(content))
    head = _BLOCK.pack(*fields, 0)[:-4]
    head += struct.pack("<I", zlib.crc32(head))
    return head + content + _FOOT.pack(len(head) + len(content) + _FOOT.size)


def read_block(file: int, begin: int, end: int) -> Block | None:
    """Return the block that begins there; None if there is none, or just a part of one."""
    head = os.pread(file, _BLOCK.size, begin)
    if len(head) != _BLOCK.size:
        return None
    kind, length, first, last, checksum, own_checksum = _BLOCK.unpack(head)
    if zlib.crc32(head[:-4]) != own_checksum:
        return None
    block = Block(Kind(kind), length, first, last, checksum, begin)
    return block if block.end <= end else None


def newest_block(file: int) -> tuple[Block | None, Block | None]:
    """Return the last block, without what may be left behind it of one that wasn't finished.

    Returns:
        That one second, so far as it can be known.
    """
    end = os.fstat(file).st_size
    (length,) = _FOOT.unpack(os.pread(file, _FOOT.size, end - _FOOT.size))
    block = read_block(file, end - length, end) if end - length >= _FILE.size else None
    if block is not None and block.end == end and _is_whole(file, block):
        return block, None
    newest, begin = None, _FILE.size
    while (block := read_block(file, begin, end)) is not None and _is_whole(file, block):
        newest, begin = block, block.end
    torn = block
    os.ftruncate(file, begin)
    return newest, torn


def _is_whole(file: int, block: Block) -> bool:
    content = os.pread(file, block.length, block.begin + _BLOCK.size)
    return zlib.crc32(content) == block.checksum


def content_of(file: int, block: Block, path: Path) -> bytes:
    """Return what a block holds. Raises `Damaged`."""
    packed = os.pread(file, block.length, block.begin + _BLOCK.size)
    if zlib.crc32(packed) != block.checksum:
        raise Damaged(path, block.begin)
    return zlib.decompress(packed)


def backwards(file: int, path: Path) -> Iterator[Block]:
    """Return all blocks, the newest first. Raises `Damaged`."""
    end = os.fstat(file).st_size
    while end > _FILE.size:
        (length,) = _FOOT.unpack(os.pread(file, _FOOT.size, end - _FOOT.size))
        begin = end - length
        block = read_block(file, begin, end) if begin >= _FILE.size else None
        if block is None:
            raise Damaged(path, max(begin, 0))
        yield block
        end = begin
