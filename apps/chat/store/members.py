"""Whom a room knows, and what they may not do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.chat.domain import MOST_KNOWN, Person
from apps.chat.store.rows import moment
from runtime import SqlStorage

SEEN_AGAIN_SECONDS = 3600  # a visit sooner after the last one isn't noted


@dataclass(frozen=True, slots=True)
class Sanction:
    """What somebody may not do."""

    muted_until: datetime | None = None
    is_banned: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """What the room knows of somebody, and of itself, when they come to its door."""

    at: datetime
    is_room: bool
    """Whether anybody has opened it, or spoken in it."""
    creator_id: str | None
    slow_seconds: int
    last: int
    """The newest message's number."""
    read_up_to: int
    """How far they have read: everything, if they are new."""
    sanction: Sanction
    """What holds now: a mute that is over is none."""


def look_up(sql: SqlStorage, id: str) -> Entry:
    """Return all that decides what somebody may do here, at once: it is asked for all the time."""
    return sql.exec(
        """
        SELECT unixepoch('subsec') AS at, room.one, creator_id, slow_seconds, read_up_to,
            muted_until, is_banned, (SELECT coalesce(max(seq), 0) FROM messages) AS last
        FROM (SELECT ? AS id) AS person LEFT JOIN room
            LEFT JOIN members ON members.id = person.id
            LEFT JOIN sanctions ON sanctions.id = person.id
        """,
        id,
        row=_entry,
    ).one()


def _entry(**row: Any) -> Entry:
    until, read_up_to = row["muted_until"], row["read_up_to"]
    is_muted = until is not None and until > row["at"]
    return Entry(
        moment(row["at"]),
        row["one"] is not None,
        row["creator_id"],
        row["slow_seconds"] or 0,
        row["last"],
        row["last"] if read_up_to is None else read_up_to,
        Sanction(moment(until) if is_muted else None, bool(row["is_banned"])),
    )


def meet(sql: SqlStorage, person: Person, read_up_to: int) -> None:
    """Know somebody from now on. Whoever is new has nothing to read after `read_up_to`."""
    known = sql.exec(
        "SELECT name, seen_at > unixepoch('subsec') - ? AS is_recent FROM members WHERE id = ?",
        SEEN_AGAIN_SECONDS,
        person.id,
    ).next()
    if known is not None and known == {"name": person.name, "is_recent": True}:
        return
    sql.exec(
        "INSERT INTO members (id, name, seen_at, read_up_to, shown_up_to) "
        "VALUES (?, ?, unixepoch('subsec'), ?, 0) "
        "ON CONFLICT DO UPDATE SET name = excluded.name, seen_at = excluded.seen_at",
        person.id,
        person.name,
        read_up_to,
    )
    if known is None:
        longest_gone = sql.exec(
            "SELECT id, name FROM members ORDER BY seen_at DESC LIMIT -1 OFFSET ?",
            MOST_KNOWN,
            row=Person,
        )
        for each in longest_gone.to_array():
            forget(sql, each)


def forget(sql: SqlStorage, person: Person) -> None:
    """Know somebody no longer, nor where they are named: if they come back, that isn't new."""
    sql.exec("DELETE FROM members WHERE id = ?", person.id)
    sql.exec("DELETE FROM mentioned WHERE person_id = ?", person.id)


def known(sql: SqlStorage) -> list[Person]:
    """Return whom the room knows, those first who have come last."""
    return sql.exec("SELECT id, name FROM members ORDER BY seen_at DESC, id", row=Person).to_array()


def known_as(sql: SqlStorage, id: str) -> Person | None:
    """Return somebody whom the room knows, or has sanctioned, by their id."""
    return sql.exec(
        "SELECT id, name FROM members WHERE id = ?1 "
        "UNION ALL SELECT id, name FROM sanctions WHERE id = ?1 LIMIT 1",
        id,
        row=Person,
    ).next()


# What they may not do.


def sanctioned(sql: SqlStorage) -> list[Person]:
    """Return who is banned, or muted now."""
    return sql.exec(
        "SELECT id, name FROM sanctions WHERE is_banned OR muted_until > unixepoch('subsec') "
        "ORDER BY name, id",
        row=Person,
    ).to_array()


def set_sanction(sql: SqlStorage, person: Person, sanction: Sanction) -> None:
    """Set what somebody may not do from now on."""
    if sanction == Sanction():
        sql.exec("DELETE FROM sanctions WHERE id = ?", person.id)
        return
    until = sanction.muted_until
    sql.exec(
        "REPLACE INTO sanctions (id, name, muted_until, is_banned) VALUES (?, ?, ?, ?)",
        person.id,
        person.name,
        None if until is None else until.timestamp(),
        sanction.is_banned,
    )
