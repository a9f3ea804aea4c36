"""Copying files fast, and folders that are there whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import math
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from runtime.errors import BackupFailed
from runtime.pins import is_at
from runtime.segments import sync_folder

THREADS: Final = 4
BATCH: Final = 100  # files that a thread is given at a time
LARGE: Final = 1024 * 1024  # bytes
MARK: Final = "unfinished"

_CANT_SHARE: Final = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_libc: Final = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, which becomes `folder` at the end of the block, durably.

    It is ``<folder>.partial`` until then, and deleted if the block fails. What a process has left
    that was killed in here is deleted by the next one.

    Raises:
        BackupFailed: If `folder` isn't empty or can't be replaced, if another process is about to
            make it, or if the disk refuses.
    """
    folder = folder.resolve()
    _check_free(folder)
    draft = folder.with_name(f"{folder.name}.partial")
    descriptor = _begin(draft)
    try:
        yield draft
        _sync_disk(descriptor)
        (draft / MARK).unlink()
        sync_folder(draft)
        draft.rename(folder)
        sync_folder(folder.parent)
    except BaseException as failure:
        shutil.rmtree(draft, ignore_errors=True)
        if isinstance(failure, OSError):
            where = f" ({failure.filename})" if failure.filename else ""
            raise BackupFailed(f"{folder} can't be made: {failure.strerror}{where}") from failure
        raise
    finally:
        os.close(descriptor)


def copy_file(source: Path, target: Path, *, sync_from: float = math.inf) -> bool:
    """Copy a file as long as it is now, and its permissions. What is added meanwhile isn't copied.

    Args:
        sync_from: Make the copy durable if it has so many bytes.

    Returns:
        False if it isn't there.
    """
    try:
        original = os.open(source, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        state = os.fstat(original)
        copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.fchmod(copy, stat.S_IMODE(state.st_mode))
            _pour(original, copy, state.st_size)
            if state.st_size >= sync_from:
                os.fdatasync(copy)
        finally:
            os.close(copy)
    finally:
        os.close(original)
    return True


def copy_files(
    names: Sequence[str], source: Path, target: Path, heard: Callable[[int], object]
) -> None:
    """Copy files of a folder; those that are gone are left out.

    Args:
        heard: Called with how many more there are now, again and again.
    """

    def copy(name: str) -> None:
        # Large ones at once: with all of it to be synced at the end, others would wait long who
        # sync to the same disk.
        copy_file(source / name, target / name, sync_from=LARGE)

    for copied in in_batches(copy, names):
        heard(len(copied))


def copy_folder_mode(source: Path, target: Path) -> None:
    """Give a folder the permissions of another."""
    target.chmod(stat.S_IMODE(source.stat().st_mode))


def in_batches(work: Callable[[str], T], names: Sequence[str]) -> Iterator[list[T]]:
    """Do work for each name, on threads, and return what comes of it, in order."""
    batches = (names[start : start + BATCH] for start in range(0, len(names), BATCH))
    with ThreadPoolExecutor(THREADS) as pool:
        yield from pool.map(partial(_do_batch, work), batches)


def _do_batch(work: Callable[[str], T], batch: Sequence[str]) -> list[T]:
    return [work(name) for name in batch]


def _pour(original: int, copy: int, size: int) -> None:
    """Copy bytes without bringing them here; where the disk can, the files share their blocks."""
    at, shares = 0, True
    while at < size:
        try:
            if shares:
                count = os.copy_file_range(original, copy, size - at, at, at)
            else:
                count = os.sendfile(copy, original, at, size - at)
        except OSError as error:
            if not shares or at or error.errno not in _CANT_SHARE:
                raise
            shares = False
            continue
        if not count:  # it has become shorter
            return
        at += count


def _check_free(folder: Path) -> None:
    try:
        if os.path.ismount(folder):
            raise BackupFailed(f"{folder} is where a disk is mounted: name a folder in it")
        if any(folder.iterdir()):
            raise BackupFailed(
                f"{folder} isn't empty, and nothing is overwritten: name another folder, or move "
                "that one away"
            )
    except FileNotFoundError:
        pass
    except OSError as error:
        raise BackupFailed(f"{folder} can't be used: {error.strerror}") from error


def _begin(draft: Path) -> int:
    """Make an empty folder with the mark in it, and keep others out of it."""
    try:
        while True:
            draft.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if is_at(descriptor, draft):  # else another process has just finished with it
                    _empty(draft)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
    except BlockingIOError as error:
        raise BackupFailed(f"another process is writing {draft}") from error
    except OSError as error:
        raise BackupFailed(f"{draft} can't be made: {error.strerror}") from error


def _empty(draft: Path) -> None:
    names = os.listdir(draft)
    if names and MARK not in names:
        raise BackupFailed(f"{draft} is in the way: move it away")
    (draft / MARK).touch()
    clear(draft)


def clear(draft: Path) -> None:
    """Delete what is in the folder that `made_whole` has given."""
    for path in draft.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != MARK:
            path.unlink()


def _sync_disk(descriptor: int) -> None:
    """Make everything on a folder's disk durable: a sync for each of many files takes minutes."""
    if _libc.syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
