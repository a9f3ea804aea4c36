"""A consistent copy of a data folder, while a node works in it, and the way back.

The node isn't asked and doesn't wait: its files are copied one after another while it writes to
them, and last of all the journal. Then a node starts in the copy, as after a crash, and stops
again. That gives all objects as of one moment, the one at which the end of the journal was copied:

- Each change of a database since the backup began is in the journal that is copied, since no
  segment is deleted meanwhile (`pins`). What was deleted before, the databases held already.
- What is written to a database, the journal has durably (`checkpoints`). So a page that was copied
  before it was written, or after, or halfway, is in the copied journal as it was last, and
  recovery writes it anew. A page of which the journal says nothing hasn't changed.
- A database that appears meanwhile is in the journal from its first page on. One that vanishes does
  so after the journal says it, and recovery removes it again.
- The catalog lags behind the databases and never leads them, so it is copied first. Recovery tells
  it of every object that the journal speaks of.
- The journal has one order for all objects. Where its copy ends, perhaps in the middle of a record,
  it ends for all of them.

The last record that was copied may not have been durable yet, and nobody had seen what it says: it
is as if the process had ended just after it was. If the disk then refuses it, the backup has what
the callers were told to try again; a crash may bring that back as well (`journal`).
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from runtime.clock import SystemClock
from runtime.config import RuntimeConfig
from runtime.copies import MARK, clear, copy_file, copy_files, copy_folder_mode, made_whole
from runtime.damage import find_damage, is_sound_file, names_of_databases, uri_of
from runtime.errors import BackupFailed, DataFolderRefused
from runtime.history import SUFFIX as HISTORY
from runtime.pins import PIN, Pin
from runtime.records import SUFFIX
from runtime.runtime import Runtime
from runtime.segments import Index, path_of_segment

CATALOG: Final = "catalog.sqlite"
JOURNAL: Final = "journal"
LOCK: Final = "lock"
OBJECTS: Final = "objects"
WAL: Final = "-wal"
MANIFEST: Final = "backup.json"
FORMAT: Final = 1
ATTEMPTS: Final = 3  # while nodes start in the data folder
BY_HAND: Final = "or, to go on with the rest, copy this folder by hand, since it is a data folder"

Progress = Callable[[str, int, int], object]
"""Called again and again with what is being done, how much of it is done, and how much there is:
0 if nobody knows."""


class Report(NamedTuple):
    """What was saved, or restored."""

    folder: Path
    objects: int
    bytes: int
    seconds: float
    damaged: Sequence[str]
    """The databases that are damaged, missing, or another object's (`find_damage`), and perhaps
    the catalog. They are so in the data folder as well."""


def backup(data: Path, folder: Path, progress: Progress) -> Report:
    """Copy a data folder, whether or not a node works in it.

    The copy is itself a data folder, at rest, with a file `MANIFEST` in it. It has the catalog,
    all objects, and the plain files beside them, with their permissions. The node keeps its
    journal for as long as files are being copied, and may stop or start. Not for a thread in which
    a loop runs.

    Args:
        folder: What the copy is to be. Absent or empty; folders above it are made.

    Raises:
        BackupFailed: If that isn't so, if there is damage that would keep a node from starting, or
            if a disk refuses. `folder` is as it was.
    """
    clock = SystemClock()
    began = clock.time()
    if not data.exists():
        raise BackupFailed(f"{data} doesn't exist: name the data folder with --data")
    _check_apart(folder, data, "data folder")
    if not (data / CATALOG).is_file():
        raise BackupFailed(f"{data} isn't a data folder: there is no {CATALOG} in it")
    with made_whole(folder) as draft:
        for _ in range(ATTEMPTS):
            if _copy(data, draft, progress):
                break
            clear(draft)
        else:
            raise BackupFailed(
                f"a node has started in {data} {ATTEMPTS} times while it was being copied: try "
                "again when it runs"
            )
        progress("replaying the journal", 0, 0)
        moment = datetime.fromtimestamp(clock.time(), UTC)
        try:
            asyncio.run(_bring_to_rest(draft))
        except (DataFolderRefused, sqlite3.Error) as error:  # it would have kept a node from it too
            raise BackupFailed(str(error).replace(str(draft), str(data))) from error
        report = _report(folder, draft, progress)
        manifest = {"format": FORMAT, "made_at": moment.isoformat(), "objects": report.objects}
        (draft / MANIFEST).write_text(json.dumps(manifest) + "\n")
        copy_folder_mode(data, draft)
        progress("syncing", 0, 0)
    return report._replace(seconds=clock.time() - began)


def restore(folder: Path, data: Path, progress: Progress) -> Report:
    """Make a data folder of a backup, having looked for damage in all of it.

    Args:
        data: What is to become the data folder. Absent or empty; folders above it are made.

    Raises:
        BackupFailed: If that isn't so, if `folder` isn't a whole backup, or if a disk refuses.
            `data` is as it was.
    """
    clock = SystemClock()
    began = clock.time()
    expected = _objects_in(folder)
    _check_apart(data, folder, "backup")
    if (data / LOCK).exists():
        Runtime.check_folder(_settings(data))  # says who has it
    with made_whole(data) as draft:
        _copy_plain_files(folder, draft)
        copy_file(folder / CATALOG, draft / CATALOG)
        _copy_objects(folder / OBJECTS, draft / OBJECTS, progress)
        report = _report(data, draft, progress)
        if report.objects != expected:
            raise BackupFailed(
                f"{folder} had {expected} objects when it was made, and has {report.objects} now: "
                f"use another backup; {BY_HAND}"
            )
        if report.damaged:
            places = len(report.damaged)
            raise BackupFailed(
                f"{folder} is damaged in {places} place{'' if places == 1 else 's'}, such as "
                f"{report.damaged[0]}: use another backup; {BY_HAND}"
            )
        copy_folder_mode(folder, draft)
        progress("syncing", 0, 0)
    return report._replace(seconds=clock.time() - began)


def _copy(data: Path, draft: Path, progress: Progress) -> bool:
    """Copy what is there, in the order that matters, and return whether no node has started."""
    try:
        with Pin(data) as pin:
            try:
                _copy_catalog(data / CATALOG, draft / CATALOG)
                _copy_objects(data / OBJECTS, draft / OBJECTS, progress)
                _copy_plain_files(data, draft)
                _copy_journal(data / JOURNAL, draft / JOURNAL)
            except (FileNotFoundError, DataFolderRefused):
                if pin.holds:
                    raise
            return pin.holds
    except sqlite3.Error as error:
        raise BackupFailed(f"the catalog {data / CATALOG} can't be copied: {error}") from error


def _copy_catalog(source: Path, target: Path) -> None:
    target.touch(mode=0o600)
    copy_folder_mode(source, target)
    with (
        # In this mode, or SQLite would make one.
        closing(sqlite3.connect(f"{uri_of(source)}?mode=rw", uri=True)) as original,
        closing(sqlite3.connect(target)) as copy,
    ):
        original.backup(copy)


def _copy_objects(source: Path, target: Path, progress: Progress) -> None:
    target.mkdir()
    if not source.is_dir():
        return
    copy_folder_mode(source, target)
    folders = {path.name: os.listdir(path) for path in sorted(source.iterdir()) if path.is_dir()}
    done, total = 0, sum(name.endswith(SUFFIX) for names in folders.values() for name in names)

    def heard(more: int) -> None:
        nonlocal done
        done += more
        progress("copying", done, total)

    for folder, names in folders.items():
        (target / folder).mkdir()
        copy_folder_mode(source / folder, target / folder)
        databases = [name for name in names if name.endswith(SUFFIX)]
        copy_files(databases, source / folder, target / folder, heard)
        for name in names:
            if name.endswith(SUFFIX + WAL):  # an object that is awake: recovery asks such ones
                (target / folder / name).touch()
        # Each after its database, and whatever has come meanwhile.
        copy_files(_histories(source / folder), source / folder, target / folder, lambda more: None)


def _histories(folder: Path) -> list[str]:
    names = []
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):
            # One that is empty is just being begun: the journal has what is to be in it.
            if name.endswith(HISTORY) and os.stat(folder / name).st_size:
                names.append(name)
    return names


def _copy_plain_files(source: Path, target: Path) -> None:
    for path in source.iterdir():
        is_ours = path.name in (LOCK, MANIFEST) or path.name.startswith((PIN, CATALOG))
        if path.is_file() and not is_ours:
            copy_file(path, target / path.name)


def _copy_journal(source: Path, target: Path) -> None:
    target.mkdir()
    index = Index.read(source) if source.is_dir() else None
    if index is None:  # nothing has been written since the node started
        return
    for number in range(index.oldest, index.newest + 1):
        # Of the newest one as much as there is now: it may end in half a record, but nothing is
        # written behind one that isn't whole.
        copy_file(path_of_segment(source, number), path_of_segment(target, number))
    index.write(target)


class _NodeWithoutObjects(Runtime[Any]):
    """Starts in a folder, whatever has happened there, and is to stop again."""

    async def _class_keys(
        self, objects: Path, known: dict[str, str], applied: list[str]
    ) -> dict[str, str]:
        return {}  # which classes there are is up to the node that will work there


def _settings(data: Path) -> RuntimeConfig:
    """Return settings that keep every history whole, whatever is set for the node elsewhere."""
    # Unlike the class itself, this reads neither the environment nor a pyproject.toml.
    return RuntimeConfig.model_construct(
        data=data, history_days=timedelta.max.days, history_max_bytes=sys.maxsize
    )


async def _bring_to_rest(draft: Path) -> None:
    async with _NodeWithoutObjects(_settings(draft), bindings={}):
        pass
    (draft / JOURNAL).rmdir()  # it is empty: everything is in the databases
    (draft / LOCK).unlink()
    (draft / PIN).unlink()


def _report(folder: Path, draft: Path, progress: Progress) -> Report:
    """Look for damage in a folder at rest, and count what is there."""
    objects = draft / OBJECTS
    names = names_of_databases(objects)
    damaged = find_damage(objects, names, lambda done: progress("checking", done, len(names)))
    if not is_sound_file(draft / CATALOG):
        damaged.insert(0, CATALOG)
    size = sum(
        os.stat(os.path.join(path, file)).st_size
        for path, _, files in os.walk(draft)
        for file in files
    )
    return Report(folder, len(names), size, 0.0, damaged)


def _objects_in(folder: Path) -> int:
    """Return how many objects a backup had when it was made."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        version, objects = int(manifest["format"]), int(manifest["objects"])
    except FileNotFoundError as error:
        raise BackupFailed(_why_no_backup(folder)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BackupFailed(f"{folder / MANIFEST} is damaged: use another backup") from error
    except OSError as error:
        raise BackupFailed(f"{folder} can't be read: {error.strerror}") from error
    if (folder / LOCK).exists():
        raise BackupFailed(
            f"a node has worked in {folder} since it was made: make a backup of that instead"
        )
    if version > FORMAT:
        raise BackupFailed(f"{folder} was made by a newer version: use that one")
    return objects


def _why_no_backup(folder: Path) -> str:
    if not folder.exists():
        return f"{folder} doesn't exist"
    if (folder / CATALOG).exists() and not (folder / MARK).exists():
        return f"{folder} is a data folder, not a backup: it has no {MANIFEST}"
    return f"{folder} isn't a whole backup: it has no {MANIFEST}"


def _check_apart(folder: Path, source: Path, what: str) -> None:
    if folder.resolve() == source.resolve():
        raise BackupFailed(f"{folder} is the {what} itself: name another folder")
    if folder.resolve().is_relative_to(source.resolve()):
        raise BackupFailed(f"{folder} lies in {source}, which is to be copied: name another folder")
