"""After a crash: asking the objects that were awake.

An object that was awake has left a WAL beside its database. What is in it may never have been
synced, and the catalog may not have heard of its alarms. So before anything is served, each such
WAL is brought into its database, durably, and the object's alarms are read.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.alarms import AlarmTable
from runtime.errors import SqlError
from runtime.schema import ObjectName
from runtime.sql import Database

THREADS: Final = 4
_WAL: Final = ".sqlite-wal"

log = logging.getLogger("runtime")


@dataclass(frozen=True, slots=True)
class Recovered:
    """An object that was awake when the process ended."""

    directory: str
    hex: str
    name: str | None
    alarms: dict[str | None, float]


class _Nobody:
    """Nobody needs to hear of the commits: recovery itself makes none."""

    def begun(self) -> None: ...
    def committed(self) -> None: ...
    def undone(self) -> None: ...
    def lost(self, error: SqlError) -> None: ...


def recover(objects: Path) -> list[Recovered]:
    """Return what the objects say that were awake. All that they hold is durable then.

    Args:
        objects: The folder in which each class has a folder of its own.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(_recover_one, objects.glob(f"*/*{_WAL}"))
        return [recovered for recovered in found if recovered is not None]


def _recover_one(wal: Path) -> Recovered | None:
    database = Database(wal.with_name(wal.name.removesuffix("-wal")), _Nobody())
    if not database.exists():  # it was being deleted
        wal.unlink()
        return None
    try:
        name = ObjectName(database).recall()
        alarms = AlarmTable(database).due()
        database.close(checkpoint=True)
    except SqlError:  # its calls will fail with that; the other objects can be served
        log.exception("%s can't be read, and its alarms won't ring", database.path)
        return None
    return Recovered(wal.parent.name, wal.name.removesuffix(_WAL), name, alarms)
