"""A room's own SQL: its messages."""

from __future__ import annotations

from datetime import UTC, datetime

from apps.chat.domain import Message, Person
from runtime import SqlStorage
from runtime.patterns.feed import Feed

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE messages (
        seq INTEGER PRIMARY KEY,
        client_id TEXT NOT NULL,
        author_id TEXT NOT NULL,
        author TEXT NOT NULL,
        text TEXT NOT NULL,
        posted_at REAL NOT NULL DEFAULT (unixepoch('subsec')),
        UNIQUE (author_id, client_id)
    )
    """,
    Feed.schema(),
)


def append(sql: SqlStorage, author: Person, client_id: str, text: str) -> Message:
    """Keep a message, and return it with its place in the room."""
    return sql.exec(
        """
        INSERT INTO messages (client_id, author_id, author, text) VALUES (?, ?, ?, ?)
        RETURNING seq, client_id, author_id, author, text, posted_at
        """,
        client_id,
        author.id,
        author.name,
        text,
        row=_message,
    ).one()


def sent_before(sql: SqlStorage, author: Person, client_id: str) -> Message | None:
    """Return the message that `author` has sent with this id already."""
    return sql.exec(
        """
        SELECT seq, client_id, author_id, author, text, posted_at FROM messages
        WHERE author_id = ? AND client_id = ?
        """,
        author.id,
        client_id,
        row=_message,
    ).next()


def messages_after(sql: SqlStorage, seq: int, limit: int) -> list[Message]:
    """Return the first `limit` messages after `seq`, oldest first."""
    return sql.exec(
        """
        SELECT seq, client_id, author_id, author, text, posted_at FROM messages
        WHERE seq > ? ORDER BY seq LIMIT ?
        """,
        seq,
        limit,
        row=_message,
    ).to_array()


def messages_before(sql: SqlStorage, seq: int | None, limit: int) -> list[Message]:
    """Return the last `limit` messages before `seq`, or of all, oldest first."""
    newest_first = sql.exec(
        """
        SELECT seq, client_id, author_id, author, text, posted_at FROM messages
        WHERE ?1 IS NULL OR seq < ?1 ORDER BY seq DESC LIMIT ?2
        """,
        seq,
        limit,
        row=_message,
    )
    return newest_first.to_array()[::-1]


def _message(
    seq: int, client_id: str, author_id: str, author: str, text: str, posted_at: float
) -> Message:
    moment = datetime.fromtimestamp(posted_at, UTC)
    return Message(seq, client_id, Person(author_id, author), text, moment)
