"""One object's alarms: what is set, what is being rung, what has failed.

They are rows of the object's own database, so setting one commits and rolls back with the
writes beside it. The node keeps a queue of all objects' alarms; it learns of changes after the
commit, and asks back here before it rings: a queue that is early does no harm (I7).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, cast

from runtime.sql import Database, Row, SqlValue
from runtime.tables import RuntimeTable

MAX_RETRIES: Final = 6  # so an alarm runs at most seven times
FIRST_RETRY_SECONDS: Final = 2.0  # doubled for each further one
JITTER: Final = (
    0.25  # at most so much is added, so that a thousand failures don't come back at once
)

# Running an alarm leaves its row in place, to be deleted on success. The stamp tells that row
# from one that the handler has set anew meanwhile, and a rollback takes it back as well.
_COLUMNS: Final = """
    (
        name TEXT PRIMARY KEY,
        scheduled REAL NOT NULL,
        due REAL NOT NULL,
        retries INTEGER NOT NULL,
        stamp INTEGER NOT NULL,
        failure TEXT
    ) WITHOUT ROWID
"""
_THE_ONE: Final = ""  # in the table, the name of the alarm that has none


@dataclass(frozen=True, slots=True)
class AlarmInvocation:
    """Why an object's `alarm` method is called."""

    scheduled_time: float
    """When it was set for, in seconds since the epoch."""
    retry_count: int
    """How many runs of it have failed before."""
    name: str | None = None

    @property
    def is_retry(self) -> bool:
        return self.retry_count > 0


@dataclass(frozen=True, slots=True)
class Ringing:
    """An alarm that has been found due, and its row."""

    invocation: AlarmInvocation
    stamp: int


class AlarmTable:
    """The alarms of one object, by name; None is the one that the original has.

    Invariants:
        - An alarm's row goes in the same commit as what its successful run has written.
        - While an alarm runs, it doesn't show, unless its handler has set it anew.
    """

    def __init__(self, database: Database) -> None:
        self._table = RuntimeTable(database, "_cf_ALARM", _COLUMNS)
        self._running: dict[str | None, int] = {}
        self.changed = False
        """Whether something may have changed since the node's queue was last told."""

    def get(self, name: str | None) -> float | None:
        """Return when the alarm is set for; None if it isn't, or has failed for good."""
        return self.all().get(name)

    def all(self) -> dict[str | None, float]:
        """Return all alarms that are set, with their times."""
        rows = self._table.read(
            "SELECT name, scheduled, stamp FROM _cf_ALARM WHERE failure IS NULL"
        )
        return {
            _name(row): cast(float, row[1])
            for row in rows
            if self._running.get(_name(row)) != row[2]
        }

    def due(self) -> dict[str | None, float]:
        """Return when each alarm is to be run: as set, or the time of its next try."""
        rows = self._table.read("SELECT name, due FROM _cf_ALARM WHERE failure IS NULL")
        return {_name(row): cast(float, row[1]) for row in rows}

    def set(self, name: str | None, when: float) -> None:
        """Set the alarm, in place of the one of that name. It is no write if that is the same."""
        same = self._table.read(
            "SELECT stamp FROM _cf_ALARM "
            "WHERE name = ?1 AND scheduled = ?2 AND due = ?2 AND failure IS NULL",
            name or _THE_ONE,
            when,
        )
        if same and same[0][0] != self._running.get(name):
            return
        stamp = random.getrandbits(62)
        self._write(
            "INSERT OR REPLACE INTO _cf_ALARM (name, scheduled, due, retries, stamp) "
            "VALUES (?1, ?2, ?2, 0, ?3)",
            name or _THE_ONE,
            when,
            stamp,
        )

    def delete(self, name: str | None) -> None:
        """Unset the alarm. A run of it that is under way isn't affected."""
        if self.get(name) is not None:
            self._write("DELETE FROM _cf_ALARM WHERE name = ?", name or _THE_ONE)

    # Called by the runtime.

    def ring(self, name: str | None, now: float) -> Ringing | None:
        """Begin a run of the alarm, if it is due. `succeed` or `fail` must follow."""
        rows = self._table.read(
            "SELECT scheduled, retries, stamp FROM _cf_ALARM "
            "WHERE name = ? AND due <= ? AND failure IS NULL",
            name or _THE_ONE,
            now,
        )
        if not rows:
            return None
        scheduled, retries, stamp = cast(tuple[float, int, int], rows[0])
        self._running[name] = stamp
        return Ringing(AlarmInvocation(scheduled, retries, name), stamp)

    def succeed(self, ringing: Ringing) -> None:
        """Delete the alarm that has run, unless its handler has set it anew."""
        name = ringing.invocation.name
        which = (name or _THE_ONE, ringing.stamp)
        # It may have deleted everything: to write then would make the object exist again.
        if self._table.read("SELECT 1 FROM _cf_ALARM WHERE name = ? AND stamp = ?", *which):
            self._write("DELETE FROM _cf_ALARM WHERE name = ? AND stamp = ?", *which)
        self._running.pop(name, None)

    def fail(self, ringing: Ringing, failure: str, now: float) -> None:
        """Set the next try; after the last one keep the alarm, with what went wrong."""
        name, retries = ringing.invocation.name, ringing.invocation.retry_count
        spent = retries >= MAX_RETRIES
        delay = FIRST_RETRY_SECONDS * 2**retries * (1 + random.uniform(0, JITTER))
        self._write(
            "UPDATE _cf_ALARM SET retries = ?, due = ?, failure = ? WHERE name = ? AND stamp = ?",
            retries + 1,
            now + delay,
            failure if spent else None,
            name or _THE_ONE,
            ringing.stamp,
        )
        self._running.pop(name, None)

    def give_up(self, why: str) -> None:
        """Keep the alarms that are being run with what went wrong, and don't try them again."""
        for name, stamp in self._running.items():
            self._write(
                "UPDATE _cf_ALARM SET retries = retries + 1, failure = ? "
                "WHERE name = ? AND stamp = ?",
                why,
                name or _THE_ONE,
                stamp,
            )

    def _write(self, statement: str, *bindings: SqlValue) -> None:
        self.changed = True
        self._table.write(statement, *bindings)


def _name(row: Row) -> str | None:
    return cast(str, row[0]) or None
