"""After a crash: bringing every database to its last durable commit.

The journal has all that was acknowledged since a database was last settled, as pages; what is in
the databases beyond that, and in their write-ahead logs, may be torn. So before anything is
served the pages are written, which can be done any number of times, and the logs are dropped.
Then the objects concerned are asked for their alarms: the catalog may not have heard of them.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Final

from runtime import wal
from runtime.alarms import AlarmTable
from runtime.commits import Nobody
from runtime.differences import Buffer, Commit, write
from runtime.errors import DataFolderRefused, StorageError
from runtime.history import History, Retention
from runtime.metadata import Metadata
from runtime.records import SUFFIX, Entry, Kind, Segment
from runtime.segments import Index, path_of_segment, sync_folder
from runtime.sql import Database
from runtime.tables import is_empty

THREADS: Final = 4
# Of a shorter history, and of an earlier database with its write-ahead log.
DRAFTS: Final = (".history.new", ".restoring", ".restoring-wal")

log = logging.getLogger("runtime")


@dataclass(frozen=True, slots=True)
class Recovered:
    """An object that had something in the journal, or was awake when the process ended."""

    directory: str
    hex: str
    exists: bool
    """Whether it has storage."""
    name: str | None = None
    alarms: dict[str | None, float] = field(default_factory=dict)
    stamp: int = field(default=0, compare=False)
    """Of its latest commit in the journal; 0 if there is none."""


@dataclass(slots=True)
class _Changes:
    """What the journal says of one database."""

    page_size: int = 0
    commits: list[Commit] = field(default_factory=list)
    stamp: int = 0
    """The latest."""
    was_removed: bool = False

    def add(self, entry: Entry) -> None:
        """Take in an entry that comes after those before."""
        self.stamp = entry.stamp
        if entry.kind is Kind.REMOVED:
            self.was_removed = True
            self.commits.clear()
            return
        self.page_size = entry.page_size
        self.commits.append(Commit.of(entry.stamp, entry.kind, entry.content, entry.page_size))


def recover(journal: Path, objects: Path, retention: Retention) -> list[Recovered]:
    """Bring all databases to their last durable commit, durably.

    The journal is to be erased when the catalog durably knows what is returned, not before.

    Args:
        journal: The journal's folder.
        objects: The folder in which each class has a folder of its own.
        retention: How much history is kept.

    Returns:
        What the objects say that this concerns.

    Raises:
        DataFolderRefused: If the journal is damaged. Nothing was changed.
    """
    if not journal.is_dir():  # somebody has moved it away, to go on with what is in the logs
        answers = [_ask(objects, path) for path in sorted(map(_database_of, _clear(objects)))]
        return [answer for answer in answers if answer is not None]
    changes: dict[str, _Changes] = {}
    for entry in _entries(journal):
        changes.setdefault(entry.path, _Changes()).add(entry)
    awake = set(map(_database_of, _clear(objects)))
    concerned = sorted(changes.keys() | awake)
    with ThreadPoolExecutor(THREADS) as pool:
        restored = [
            pool.submit(_restore, objects / path, changes.get(path), retention)
            for path in concerned
        ]
        for each in restored:
            try:
                each.result()
            except StorageError as error:
                raise DataFolderRefused(f"{error}. Use that one, or restore a backup") from error
        for folder in {objects, *((objects / path).parent for path in concerned)}:
            sync_folder(folder)
        found = list(pool.map(partial(_ask, objects), concerned))
    return [
        replace(recovered, stamp=changes[path].stamp if path in changes else 0)
        for path, recovered in zip(concerned, found, strict=True)
        if recovered is not None
    ]


def _clear(objects: Path) -> list[Path]:
    """Delete the drafts that were being made, and return the databases' write-ahead logs."""
    logs = []
    for folder in objects.iterdir():
        for name in os.listdir(folder):
            if name.endswith(f"{SUFFIX}-wal"):
                logs.append(folder / name)
            elif name.endswith(DRAFTS):
                (folder / name).unlink()
    return logs


def _database_of(log: Path) -> str:
    return f"{log.parent.name}/{log.name.removesuffix('-wal')}"


def _entries(folder: Path) -> list[Entry]:
    numbers = sorted(int(path.stem) for path in folder.glob("*.journal"))
    index = Index.read(folder)
    if index is not None:
        numbers = [number for number in numbers if number >= index.oldest]
        missing = set(range(index.oldest, index.newest + 1)) - set(numbers)
        if missing:
            raise DataFolderRefused(
                f"the journal {folder} lacks {path_of_segment(folder, min(missing)).name}. Restore "
                "a backup; or, to go on with what the databases hold, move the folder away"
            )
    newest = 0 if index is None else index.newest
    segments = []
    for number in numbers:
        try:
            segments.append(Segment(path_of_segment(folder, number)))
        except DataFolderRefused:
            if number <= newest:  # else the process ended while it was being made
                raise
    # All of it is read before anything is done about it.
    entries: list[Entry] = []
    for segment, following in zip_longest(segments, segments[1:]):
        end = None if following is None else following.header.previous_end
        entries += segment.entries(end)
    return entries


def _restore(path: Path, changes: _Changes | None, retention: Retention) -> None:
    if changes is not None and changes.was_removed:
        path.unlink(missing_ok=True)
        History(path).forget()
    if changes is not None and changes.commits:
        _apply(path, changes, retention)
    wal.path_of(path).unlink(missing_ok=True)


def _apply(path: Path, changes: _Changes, retention: Retention) -> None:
    pages: dict[int, Buffer] = {}
    for commit in changes.commits:
        pages |= commit.pages
    size = changes.commits[-1].size
    if not path.exists() and len(pages) < size:
        log.error("%s is missing, and the journal has only the end of what was in it", path)
        return
    path.parent.mkdir(exist_ok=True)
    History(path).add(changes.page_size, changes.commits, retention, is_recovery=True)
    write(path, changes.page_size, pages, size)


def _ask(objects: Path, path: str) -> Recovered | None:
    directory, _, file = path.partition("/")
    hex = file.removesuffix(SUFFIX)
    database = Database(objects / path, Nobody())
    if not database.exists():
        return Recovered(directory, hex, exists=False)
    try:
        name = Metadata(database).recall(hex)
        alarms = AlarmTable(database).due()
        is_nothing = is_empty(database) and not History(database.path).exists()
        database.close(checkpoint=True)
    except StorageError:  # its calls will fail with that; the other objects can be served
        log.exception("%s can't be read, and its alarms won't ring", database.path)
        return None
    if is_nothing:  # its first commit never became durable
        with suppress(OSError):
            database.path.unlink()
    return Recovered(directory, hex, not is_nothing, name, alarms)
