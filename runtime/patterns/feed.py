"""A feed of what has happened, for clients that come back and want what they have missed.

Each event is text that is sent as it is, HTML for instance. It has a number, from 1, without
gaps. A cursor is the number of the last event that a client has applied, with a mark drawn by
lot: a number alone would lie after `delete_all`, or after going back to a bookmark, when the
same numbers are given to other events.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from runtime import DurableObjectState

_CURSOR = re.compile(r"([0-9]{1,18})-([0-9a-f]{1,8})")


@dataclass(frozen=True, slots=True)
class _Place:
    number: int = 0
    mark: str = "0"
    through: int = 0
    """Bytes of all events up to this one, those included that are gone."""

    @property
    def cursor(self) -> str:
        return f"{self.number}-{self.mark}"


class Feed:
    """A numbered, bounded, durable feed of one object.

    Every event is on every screen once, in order, though it may come twice:

    - It is written in the same commit as what it tells of, and leaves when that is durable. So
      there is none that a crash takes back, and no change that nobody is told.
    - A socket that is accepted and sent what it has missed, without an ``await`` between, gets
      everything later by `publish`, and nothing twice.
    - A client whose connection breaks before its cursor has moved asks for the same event again.
      So applying an event that is there must do no harm: put it in by a key.

    Args:
        ctx: The object's. Its migrations must include `schema`.
        name: Of the feed and its table, an identifier. An object may have several feeds.
        max_events: How many events somebody may have missed, and still be sent them one by one.
        max_bytes: How large these may be together, in UTF-8. What is beyond either limit is
            deleted, except the newest event.
        tag: Events go to sockets with this tag only; None for all.
    """

    def __init__(
        self,
        ctx: DurableObjectState,
        name: str = "feed",
        *,
        max_events: int = 200,
        max_bytes: int = 256 * 1024,
        tag: str | None = None,
    ) -> None:
        self._ctx = ctx
        self._table = _table(name)
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._tag = tag

    @staticmethod
    def schema(name: str = "feed") -> str:
        """Return the migration that makes the feed's table."""
        return (
            f"CREATE TABLE {_table(name)} (number INTEGER PRIMARY KEY, mark TEXT NOT NULL, "
            "through INTEGER NOT NULL, event TEXT NOT NULL)"
        )

    @property
    def cursor(self) -> str:
        """The cursor of whoever knows everything up to now, by a page just made for instance."""
        return self._newest().cursor

    def publish(self, render: Callable[[str], str]) -> str:
        """Keep an event, send it to everybody who is connected, and return its cursor.

        Call it beside the writes that it tells of, without an ``await`` between. In a transaction
        that is rolled back it would tell of something that hasn't happened.

        Args:
            render: Makes the event. It gets the cursor, which must be in it: that is how a
                client knows from where to go on. It may not publish.
        """
        before = self._newest()
        number, mark = before.number + 1, secrets.token_hex(4)
        event = render(f"{number}-{mark}")
        through = before.through + len(event.encode())
        if before.number == 0:
            self._insert(before, "")  # the beginning is a place to go on from, like any other
        self._insert(new := _Place(number, mark, through), event)
        self._prune(number - self._max_events, through - self._max_bytes)
        self._ctx.broadcast(event, tag=self._tag)
        return new.cursor

    def missed(self, cursor: str) -> list[str] | None:
        """Return the events after `cursor`, oldest first.

        None means that they can't be told: they are too many, or `cursor` is none of this feed,
        because the object has gone back, or has forgotten everything since. Show everything
        afresh then, with the feed's `cursor`.
        """
        if cursor == self.cursor:
            return []
        place = self._find(cursor)
        if place is None:
            return None
        later = self._ctx.storage.sql.exec(
            f"SELECT event FROM {self._table} WHERE number > ? ORDER BY number", place.number
        )
        return [row["event"] for row in later]

    def _newest(self) -> _Place:
        rows = self._ctx.storage.sql.exec(
            f"SELECT number, mark, through FROM {self._table} ORDER BY number DESC LIMIT 1",
            row=_Place,
        )
        return rows.next() or _Place()

    def _find(self, cursor: str) -> _Place | None:
        parts = _CURSOR.fullmatch(cursor)
        if parts is None:
            return None
        rows = self._ctx.storage.sql.exec(
            f"SELECT number, mark, through FROM {self._table} WHERE number = ? AND mark = ?",
            int(parts[1]),
            parts[2],
            row=_Place,
        )
        return rows.next()

    def _insert(self, place: _Place, event: str) -> None:
        self._ctx.storage.sql.exec(
            f"INSERT INTO {self._table} (number, mark, through, event) VALUES (?, ?, ?, ?)",
            place.number,
            place.mark,
            place.through,
            event,
        )

    def _prune(self, number: int, through: int) -> None:
        # Of the rows that stay it looks at the first only: numbers and sums both grow.
        self._ctx.storage.sql.exec(
            f"DELETE FROM {self._table} WHERE number < (SELECT number FROM {self._table} "
            "WHERE number >= ? AND through >= ? ORDER BY number LIMIT 1)",
            number,
            through,
        )


def _table(name: str) -> str:
    if not (name.isascii() and name.isidentifier()):
        raise ValueError(f"a feed's name is an identifier, not {name!r}")
    return f'"{name}"'
