"""A pulse's own SQL: when the server was last alive, and when it wasn't."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runtime import SqlStorage

MOST_OUTAGES: Final = 100  # that are remembered

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE pulse (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        process TEXT NOT NULL,
        beat_at REAL NOT NULL,
        beats_until REAL NOT NULL
    )
    """,
    "CREATE TABLE outages (number INTEGER PRIMARY KEY, began REAL NOT NULL, ended REAL NOT NULL)",
)


@dataclass(frozen=True, slots=True)
class Beat:
    """The last sign of life."""

    process: str
    """Which process it is of."""
    beat_at: float
    beats_until: float
    """Until when more are wanted."""


def last_beat(sql: SqlStorage) -> Beat | None:
    """Return the last sign of life."""
    return sql.exec("SELECT process, beat_at, beats_until FROM pulse", row=Beat).next()


def note_beat(sql: SqlStorage, beat: Beat) -> None:
    """Keep a sign of life."""
    sql.exec("REPLACE INTO pulse VALUES (1, ?, ?, ?)", beat.process, beat.beat_at, beat.beats_until)


def note_outage(sql: SqlStorage, began: float, ended: float) -> None:
    """Keep it that the server wasn't alive."""
    sql.exec("INSERT INTO outages (began, ended) VALUES (?, ?)", began, ended)
    sql.exec(
        "DELETE FROM outages WHERE number <= (SELECT max(number) FROM outages) - ?", MOST_OUTAGES
    )


def outages_after(sql: SqlStorage, moment: float) -> list[tuple[float, float]]:
    """Return those that have ended after a moment, with their ends, oldest first."""
    rows = sql.exec("SELECT began, ended FROM outages WHERE ended > ? ORDER BY number", moment)
    return [(row["began"], row["ended"]) for row in rows]
