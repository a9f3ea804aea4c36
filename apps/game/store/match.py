"""A match's own SQL: its log, a snapshot of what that comes to, and who is there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, reduce
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter

from apps.game.domain.games import GAMES
from apps.game.domain.match import Event, Match, begin, evolve, rebuild
from runtime import SqlStorage
from runtime.patterns.outbox import Outbox

SNAPSHOT_EVERY: Final = 32  # events, so that waking up takes a bounded time

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE log (
        seq INTEGER PRIMARY KEY,
        game TEXT NOT NULL,
        event TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE snapshot (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        seq INTEGER NOT NULL,
        match TEXT NOT NULL
    )
    """,
    "CREATE TABLE presence (seat INTEGER PRIMARY KEY, gone_since REAL)",
    Outbox.schema(),
    "DELETE FROM snapshot",  # whose turns' plies didn't count takebacks; the log makes it anew
    "ALTER TABLE presence ADD COLUMN has_come INTEGER NOT NULL DEFAULT 1",
)

Numbered = tuple[int, Event[Any]]


def load(sql: SqlStorage) -> tuple[int, Match[Any, Any]] | None:
    """Return the number of the last event, and the match it has led to; None if there is none."""
    row = sql.exec("SELECT max(seq) AS seq, game FROM log").one()
    if row["seq"] is None:
        return None
    found = sql.exec("SELECT seq, match FROM snapshot").next()
    later = log(sql, after=0 if found is None else found["seq"])
    events = tuple(event for _, event in later)
    if found is None:
        return row["seq"], rebuild(events)
    match = adapters(row["game"])[1].validate_json(found["match"])
    return row["seq"], reduce(evolve, events, match)


def log(sql: SqlStorage, *, after: int = 0) -> list[Numbered]:
    """Return the events after a number, oldest first."""
    rows = sql.exec("SELECT seq, game, event FROM log WHERE seq > ? ORDER BY seq", after)
    return [(row["seq"], adapters(row["game"])[0].validate_json(row["event"])) for row in rows]


def append(
    sql: SqlStorage, seq: int, match: Match[Any, Any] | None, events: Sequence[Event[Any]]
) -> tuple[int, Match[Any, Any]]:
    """Keep what has happened after event `seq`, and return where that leads.

    Args:
        match: What the events before have led to; None if there are none.
    """
    for event in events:
        match = begin(event) if match is None else evolve(match, event)  # type: ignore[arg-type]
        event_type, match_type = adapters(match.rules.name)
        seq += 1
        text = event_type.dump_json(event).decode()
        sql.exec("INSERT INTO log VALUES (?, ?, ?)", seq, match.rules.name, text)
        if seq % SNAPSHOT_EVERY == 0:
            text = match_type.dump_json(match).decode()
            sql.exec("REPLACE INTO snapshot VALUES (1, ?, ?)", seq, text)
    assert match is not None, "something has happened"
    return seq, match


def gone_since(sql: SqlStorage) -> tuple[float | None, float | None]:
    """Return since when each player isn't there; None for who is, or isn't waited for."""
    rows = sql.exec("SELECT seat, gone_since FROM presence").to_array()
    since = {row["seat"]: row["gone_since"] for row in rows}
    return since.get(0), since.get(1)


def seats_here(sql: SqlStorage) -> list[int]:
    """Return the seats whose players are there, as far as was noted."""
    rows = sql.exec("SELECT seat FROM presence WHERE gone_since IS NULL ORDER BY seat")
    return [row["seat"] for row in rows]


def note_presence(sql: SqlStorage, seat: int, gone_since: float | None) -> None:
    """Note that a player is there, or since when they aren't."""
    sql.exec("REPLACE INTO presence VALUES (?, ?, 1)", seat, gone_since)


def note_expected(sql: SqlStorage, seat: int, since: float) -> None:
    """Note since when a player is waited for who has never opened a window."""
    sql.exec("REPLACE INTO presence VALUES (?, ?, 0)", seat, since)


def is_expected(sql: SqlStorage, seat: int | None) -> bool:
    """Return whether a player is waited for who has never opened a window."""
    row = sql.exec("SELECT 1 FROM presence WHERE seat = ? AND NOT has_come", seat).next()
    return row is not None


def expect_no_longer(sql: SqlStorage, seat: int) -> None:
    """Forget that a player was waited for."""
    sql.exec("DELETE FROM presence WHERE seat = ? AND NOT has_come", seat)


def all_gone_at(sql: SqlStorage, now: float) -> None:
    """Note that whoever isn't there has left only now: before, nobody could be."""
    sql.exec("UPDATE presence SET gone_since = ? WHERE gone_since IS NOT NULL", now)


def adapters(game: str) -> tuple[TypeAdapter[Any], TypeAdapter[Any]]:
    """Return what reads and writes the events of a match of that game, and a match."""
    rules = GAMES[game]
    return _adapters_of(rules.position_type, rules.event_type)


@cache
def _adapters_of(position: Any, event: Any) -> tuple[TypeAdapter[Any], TypeAdapter[Any]]:
    events = Annotated[Event[event], Field(discriminator="kind")]
    return TypeAdapter(events), TypeAdapter(Match[position, event])
