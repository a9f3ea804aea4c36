"""The files of a journal: where they are, and which of them there must be."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from runtime.errors import DataFolderRefused

INDEX: Final = "index"


class Index(NamedTuple):
    """Which segments there must be."""

    oldest: int
    newest: int

    def write(self, folder: Path) -> None:
        """Put it in the place of the one before, durably."""
        draft = folder / f"{INDEX}.new"
        with draft.open("w") as file:
            file.write(self._text())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / INDEX)
        sync_folder(folder)

    @classmethod
    def read(cls, folder: Path) -> Index | None:
        """Return what was written last; None if nothing was.

        Raises:
            DataFolderRefused: If it can't be read.
        """
        if not (folder / INDEX).exists():
            return None
        text = (folder / INDEX).read_text(errors="replace")
        try:
            oldest, newest, _ = text.split()
            index = cls(int(oldest), int(newest))
        except ValueError:
            index = cls(0, 0)
        if index._text() != text:
            raise DataFolderRefused(
                f"{folder / INDEX} is damaged. Restore a backup; or, to go on with what the "
                "databases hold, move the folder away"
            )
        return index

    def _text(self) -> str:
        numbers = f"{self.oldest} {self.newest}"
        return f"{numbers} {zlib.crc32(numbers.encode()):08x}\n"


def path_of_segment(folder: Path, number: int) -> Path:
    """Return where a segment lies."""
    return folder / f"{number:012}.journal"


def erase(folder: Path) -> None:
    """Delete a journal that no database needs.

    A part of it would do harm: it would bring databases back to what they were. So it is void
    before the first segment goes.
    """
    paths = [*folder.glob("*.journal")]
    if paths:
        newest = max(int(path.stem) for path in paths)
        Index(newest + 1, newest).write(folder)
        for path in paths:
            path.unlink()
        sync_folder(folder)
    (folder / INDEX).unlink(missing_ok=True)


def begin_anew(folder: Path) -> None:
    """Have an empty journal, durably."""
    erase(folder)
    make_folder(folder)


def make_folder(folder: Path) -> None:
    """Make the journal's folder, durably, if it isn't there.

    It has to be there before anything is served: without one, what is in the databases' logs counts
    as durable.
    """
    if not folder.is_dir():
        folder.mkdir()
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make it durable which files there are in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, content: bytes | memoryview, at: int) -> None:
    """Write `content` at a place in a file, however many calls that takes."""
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written
