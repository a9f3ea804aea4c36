"""A player's own SQL: matches, and how strong they are in which game."""

from __future__ import annotations

from pydantic import TypeAdapter

from apps.game.domain.lobby import MOST_HISTORY, Record
from apps.game.domain.rating import Rating
from runtime import SqlStorage
from runtime.patterns.letterbox import Letterbox
from runtime.patterns.rate_limit import RateLimit

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE matches (
        match TEXT PRIMARY KEY,
        began_at REAL NOT NULL,
        is_over INTEGER NOT NULL,
        record TEXT NOT NULL
    )
    """,
    "CREATE INDEX matches_by_age ON matches (is_over, began_at DESC)",
    """
    CREATE TABLE ratings (
        game TEXT PRIMARY KEY, value REAL NOT NULL, deviation REAL NOT NULL
    ) WITHOUT ROWID
    """,
    Letterbox.schema(),
    RateLimit.schema(),
)

_adapter = TypeAdapter(Record)


def note(sql: SqlStorage, record: Record) -> None:
    """Keep a match, or how it has ended; those that are over, as long as the history shows them.

    One that ends before anybody has come is forgotten.
    """
    if record.score is not None and not record.opponent:
        sql.exec("DELETE FROM matches WHERE match = ?", record.match)
        return
    sql.exec(
        "REPLACE INTO matches VALUES (?, ?, ?, ?)",
        record.match,
        record.began_at,
        record.score is not None,
        _adapter.dump_json(record).decode(),
    )
    sql.exec(
        "DELETE FROM matches WHERE is_over AND match IN "
        "(SELECT match FROM matches ORDER BY is_over, began_at DESC "
        f"LIMIT -1 OFFSET {MOST_HISTORY})"
    )


def history(sql: SqlStorage) -> list[Record]:
    """Return the newest matches, those first that are being played."""
    rows = sql.exec(
        f"SELECT record FROM matches ORDER BY is_over, began_at DESC LIMIT {MOST_HISTORY}"
    )
    return [_adapter.validate_json(row["record"]) for row in rows]


def ratings(sql: SqlStorage) -> dict[str, Rating]:
    """Return how strong they are, by game."""
    rows = sql.exec("SELECT game, value, deviation FROM ratings ORDER BY game")
    return {row["game"]: Rating(row["value"], row["deviation"]) for row in rows}


def rate(sql: SqlStorage, game: str, rating: Rating) -> None:
    """Keep how strong they are in a game."""
    sql.exec("REPLACE INTO ratings VALUES (?, ?, ?)", game, rating.value, rating.deviation)
