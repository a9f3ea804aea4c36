"""Pins: while somebody holds one, no segment of a data folder's journal is deleted.

A pin is a shared lock on a file, and whoever deletes segments takes that lock alone. So neither
has to know of the other, and the kernel lets go of a pin when the process that held it ends,
however it ends.

A node that starts brings the databases to rest and begins its journal anew. That can't wait for a
backup: it puts another file in the place of this one, and whoever holds a pin on the old one sees
that and begins again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

PIN: Final = "pin"


class Pin:
    """Keeps the segments that are there, and all that come, inside its ``with`` block.

    Args:
        data: The data folder.

    Raises:
        OSError: If the file can't be made or opened.
    """

    def __init__(self, data: Path) -> None:
        self._path = data / PIN
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Wait while segments are being deleted, or a node is starting."""
        while True:
            self._descriptor = _open(self._path)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_SH)
                if self.holds:
                    return self
            except BaseException:
                os.close(self._descriptor)
                raise
            os.close(self._descriptor)  # a node has started since it was opened

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    @property
    def holds(self) -> bool:
        """Whether no node has started since. What was deleted before that, nobody knows."""
        return is_at(self._descriptor, self._path)


@contextmanager
def unless_pinned(data: Path) -> Iterator[bool]:
    """Give whether segments may be deleted inside the block. Then there are no pins in it."""
    descriptor = None
    try:
        descriptor = _open(data / PIN)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_free = True
    except OSError:  # there is a pin, or it can't be found out
        is_free = False
    try:
        yield is_free
    finally:
        if descriptor is not None:
            os.close(descriptor)


def break_pins(data: Path) -> int:
    """Break all pins, and let nobody have others yet. Only for who has the data folder.

    Returns:
        A descriptor. There can be pins again when it is closed.
    """
    descriptor = _open(data / PIN)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        draft = data / f"{PIN}.new"
        descriptor = _open(draft)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        draft.replace(data / PIN)  # locked already: nobody gets in between
    return descriptor


def is_at(descriptor: int, path: Path) -> bool:
    """Return whether what was opened is what is at `path` now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
