"""The lists of rooms: that of all open ones, and that of one person's."""

from __future__ import annotations

from typing import Any

from apps.chat.domain import Listing, RoomKind, Unread
from apps.chat.store.rows import moment
from runtime import SqlStorage

SHOWN = 100  # rooms, in either list
MOST_LISTED = 10_000  # open rooms; those are forgotten in which nobody has spoken for longest
MOST_NOTED = 200  # rooms of one person

DIRECTORY = """
    CREATE TABLE rooms (
        room TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        people INTEGER NOT NULL,
        messages INTEGER NOT NULL,
        last_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX rooms_last ON rooms (last_at)
"""

INBOX = """
    CREATE TABLE rooms (
        room TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        kind TEXT NOT NULL,
        unread INTEGER NOT NULL,
        mentions INTEGER NOT NULL,
        last_at REAL NOT NULL
    ) WITHOUT ROWID
"""


def list_room(sql: SqlStorage, room: Listing) -> None:
    """Keep how an open room is now."""
    sql.exec(
        "REPLACE INTO rooms (room, title, people, messages, last_at) VALUES (?, ?, ?, ?, ?)",
        room.room,
        room.title,
        room.people,
        room.messages,
        room.last_at.timestamp(),
    )
    _keep(sql, MOST_LISTED)


def rooms(sql: SqlStorage, limit: int) -> list[Listing]:
    """Return the open rooms in which somebody has spoken last, those first."""
    return sql.exec(
        "SELECT room, title, people, messages, last_at FROM rooms "
        "ORDER BY last_at DESC, room LIMIT ?",
        limit,
        row=_listing,
    ).to_array()


def note_unread(sql: SqlStorage, room: Unread) -> None:
    """Keep what is new in a room for this person."""
    sql.exec(
        "REPLACE INTO rooms (room, title, kind, unread, mentions, last_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        room.room,
        room.title,
        room.kind,
        room.unread,
        room.mentions,
        room.last_at.timestamp(),
    )
    _keep(sql, MOST_NOTED)


def forget_unread(sql: SqlStorage, room: str) -> None:
    """Know a room no longer."""
    sql.exec("DELETE FROM rooms WHERE room = ?", room)


def unread(sql: SqlStorage) -> list[Unread]:
    """Return this person's rooms, those with something new first."""
    return sql.exec(
        "SELECT room, title, kind, unread, mentions, last_at FROM rooms "
        "ORDER BY unread > 0 DESC, last_at DESC, room LIMIT ?",
        SHOWN,
        row=_unread,
    ).to_array()


def _keep(sql: SqlStorage, most: int) -> None:
    sql.exec(
        "DELETE FROM rooms WHERE room IN "
        "(SELECT room FROM rooms ORDER BY last_at DESC LIMIT -1 OFFSET ?)",
        most,
    )


def _listing(**row: Any) -> Listing:
    return Listing(**row | {"last_at": moment(row["last_at"])})


def _unread(**row: Any) -> Unread:
    return Unread(**row | {"last_at": moment(row["last_at"]), "kind": RoomKind(row["kind"])})
