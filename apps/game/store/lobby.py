"""The lobby's own SQL: who waits, and for whom a seat is kept."""

from __future__ import annotations

from pydantic import TypeAdapter

from apps.game.domain.lobby import MOST_LISTED, Challenge, seat_in
from apps.game.domain.match import OPEN_DAYS_SECONDS, OPEN_SECONDS
from runtime import SqlStorage

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE challenges (
        match TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        person TEXT NOT NULL,
        challenge TEXT NOT NULL,
        posted_at REAL NOT NULL DEFAULT (unixepoch('subsec')),
        reserved_for TEXT,
        reserved_until REAL NOT NULL DEFAULT 0
    ) WITHOUT ROWID
    """,
    "ALTER TABLE challenges ADD COLUMN seat INTEGER",  # where its player sits
)

_FREE = "reserved_until <= unixepoch('subsec')"
_NOWHERE = -1  # a seat that nobody sits in
_adapter = TypeAdapter(Challenge)


def post(sql: SqlStorage, challenge: Challenge) -> None:
    """Keep a challenge, once."""
    sql.exec(
        "INSERT OR IGNORE INTO challenges (match, kind, person, challenge, seat) "
        "VALUES (?, ?, ?, ?, ?)",
        challenge.match,
        _kind(challenge),
        challenge.player.id,
        _adapter.dump_json(challenge).decode(),
        seat_in(challenge.match, challenge.seat),
    )


def fitting(sql: SqlStorage, challenge: Challenge) -> str | None:
    """Return the match of whoever has waited longest for just that, isn't the same person, and
    doesn't sit where this one wants to."""
    row = sql.exec(
        "SELECT match FROM challenges WHERE kind = ? AND person != ? "
        f"AND ({_FREE} OR reserved_for = ?) AND seat IS NOT ? ORDER BY posted_at LIMIT 1",
        _kind(challenge),
        challenge.player.id,
        challenge.player.id,
        _NOWHERE if challenge.seat is None else challenge.seat,
    ).next()
    return None if row is None else row["match"]


def reserve(sql: SqlStorage, match: str, person: str, seconds: float) -> None:
    """Keep a match's seat for somebody."""
    sql.exec(
        "UPDATE challenges SET reserved_for = ?, reserved_until = unixepoch('subsec') + ? "
        "WHERE match = ?",
        person,
        seconds,
        match,
    )


def remove(sql: SqlStorage, match: str) -> None:
    """Forget a challenge."""
    sql.exec("DELETE FROM challenges WHERE match = ?", match)


def forget_old(sql: SqlStorage) -> None:
    """Forget challenges that are older than their matches wait: if one was never opened, because
    the process died just then, nobody else would."""
    sql.exec(
        "DELETE FROM challenges WHERE posted_at <= unixepoch('subsec') - "
        "CASE WHEN challenge ->> '$.control.days' IS NULL THEN ? ELSE ? END",
        OPEN_SECONDS,
        OPEN_DAYS_SECONDS,
    )


def count_of(sql: SqlStorage, person: str) -> int:
    """Return how many challenges somebody has open."""
    return int(sql.exec("SELECT count(*) AS n FROM challenges WHERE person = ?", person).one()["n"])


def open_challenges(sql: SqlStorage) -> list[Challenge]:
    """Return those that are free, the oldest first."""
    rows = sql.exec(
        f"SELECT challenge FROM challenges WHERE {_FREE} ORDER BY posted_at LIMIT {MOST_LISTED}"
    )
    return [_adapter.validate_json(row["challenge"]) for row in rows]


def next_release(sql: SqlStorage) -> float | None:
    """Return when the next seat is kept no longer."""
    row = sql.exec(
        "SELECT min(reserved_until) AS at FROM challenges "
        "WHERE reserved_until > unixepoch('subsec')"
    ).one()
    return None if row["at"] is None else float(row["at"])


def release(sql: SqlStorage, moment: float) -> None:
    """Keep no seat any longer that was kept until a moment."""
    sql.exec(
        "UPDATE challenges SET reserved_for = NULL, reserved_until = 0 "
        "WHERE reserved_for IS NOT NULL AND reserved_until <= ?",
        moment,
    )


def _kind(challenge: Challenge) -> str:
    control = challenge.control
    return f"{challenge.game} {control.initial:g}+{control.increment:g} {control.days or ''}"
