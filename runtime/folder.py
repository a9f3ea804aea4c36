"""A data folder, and that one process at a time has it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from runtime.catalog import CatalogError
from runtime.errors import DataFolderRefused

_LOCK: Final = "lock"


def take(data: Path) -> int:
    """Make the folder if need be, and keep other processes out of it.

    Returns:
        The lock, a file descriptor: whoever closes it gives the folder back.

    Raises:
        DataFolderRefused: If it can't be made or written, or another process has it.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = os.open(data / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        reason = "it is a file" if data.is_file() else error.strerror
        raise DataFolderRefused(f"the data folder {data} can't be used: {reason}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(lock, 32).decode() or "unknown"
        os.close(lock)
        raise DataFolderRefused(
            f"the data folder {data} is in use by process {holder}: stop that, or choose another"
        ) from error
    with suppress(OSError):  # the disk may be full, and the lock holds without
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
    return lock


@contextmanager
def refusing(data: Path) -> Iterator[None]:
    """Say in a sentence that what is in the folder can't be read or written."""
    try:
        yield
    except (OSError, CatalogError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataFolderRefused(
            f"what is in the data folder {data} can't be used: {why}. See that its disk has space "
            "and can be written; if that doesn't help, restore a backup"
        ) from error
