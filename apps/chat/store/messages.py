"""A room's messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice

from apps.chat.domain import MAX_PINS, Kind, Message, Person
from apps.chat.store import archive
from apps.chat.store.rows import COLUMNS, message_of, moment, people_json, pinned, row_of
from runtime import SqlStorage


@dataclass(frozen=True, slots=True)
class Push:
    """What everybody was sent, and whoever was away then is sent when they come back."""

    number: int
    mark: str
    event: str

    @property
    def cursor(self) -> str:
        """From where they go on."""
        return f"{self.number}-{self.mark}"


def append(
    sql: SqlStorage,
    author: Person,
    client_id: str,
    text: str,
    *,
    kind: Kind = Kind.SAY,
    mentions: tuple[Person, ...] = (),
    sent: str | None = None,
) -> Message:
    """Keep a message, and return it with its place in the room.

    Args:
        sent: What its author has sent, if that isn't its text.
    """
    new = sql.exec(
        "INSERT INTO messages (client_id, author_id, author, text, kind, mentions) "
        f"VALUES (?, ?, ?, ?, ?, ?) RETURNING {COLUMNS}",
        client_id,
        author.id,
        author.name,
        text,
        kind,
        people_json(mentions),
        row=message_of,
    ).one()
    sql.exec(
        "INSERT INTO sent (author_id, client_id, seq, digest) VALUES (?, ?, ?, ?)",
        author.id,
        client_id,
        new.seq,
        _digest(text if sent is None else sent),
    )
    return new


def sent_before(sql: SqlStorage, author: Person, client_id: str) -> Message | None:
    """Return the message that `author` has sent with this id already."""
    row = sql.exec(
        "SELECT seq FROM sent WHERE author_id = ? AND client_id = ?", author.id, client_id
    ).next()
    return None if row is None else find(sql, row["seq"])


def is_what_was_sent(sql: SqlStorage, message: Message, text: str) -> bool:
    """Whether `text` is what became this message; it may have been edited since."""
    row = sql.exec(
        "SELECT digest FROM sent WHERE author_id = ? AND client_id = ?",
        message.author.id,
        message.client_id,
    ).one()
    if row["digest"] is None:  # from before there were digests, and edits
        return message.text == text
    return bool(row["digest"] == _digest(text))


def save(sql: SqlStorage, message: Message) -> None:
    """Replace what is kept of a message."""
    columns = row_of(message)
    changes = ", ".join(f"{name} = ?" for name in columns)
    hot = sql.exec(
        f"UPDATE messages SET {changes} WHERE seq = ? RETURNING seq", *columns.values(), message.seq
    )
    if hot.next() is None:
        archive.save(sql, message)
    if message.is_pinned:
        sql.exec("INSERT OR IGNORE INTO pins (seq) VALUES (?)", message.seq)
    else:
        sql.exec("DELETE FROM pins WHERE seq = ?", message.seq)


def find(sql: SqlStorage, seq: int) -> Message | None:
    """Return the message with this number."""
    rows = sql.exec(f"SELECT {COLUMNS} FROM messages WHERE seq = ?", seq, row=message_of)
    found = rows.next() or archive.find(sql, seq)
    return None if found is None else pinned(sql, [found])[0]


def last_seq(sql: SqlStorage) -> int:
    """Return the newest message's number, 0 if there is none."""
    return int(sql.exec("SELECT coalesce(max(seq), 0) AS seq FROM messages").one()["seq"])


def messages_after(sql: SqlStorage, seq: int, limit: int) -> list[Message]:
    """Return the first `limit` messages after `seq`, oldest first."""
    first = sql.exec("SELECT min(seq) AS seq FROM messages").one()["seq"]
    is_archived = first is not None and seq + 1 < first
    old = list(islice(archive.oldest_first(sql, seq), limit)) if is_archived else []
    rest = sql.exec(
        f"SELECT {COLUMNS} FROM messages WHERE seq > ? ORDER BY seq LIMIT ?",
        seq,
        limit - len(old),
        row=message_of,
    )
    return pinned(sql, old + rest.to_array())


def messages_before(sql: SqlStorage, seq: int | None, limit: int) -> list[Message]:
    """Return the last `limit` messages before `seq`, or of all, oldest first."""
    found = sql.exec(
        f"SELECT {COLUMNS} FROM messages WHERE ?1 IS NULL OR seq < ?1 ORDER BY seq DESC LIMIT ?2",
        seq,
        limit,
        row=message_of,
    ).to_array()
    if len(found) < limit:
        oldest = found[-1].seq if found else seq
        if oldest is not None:
            found += islice(archive.newest_first(sql, oldest), limit - len(found))
    return pinned(sql, found[::-1])


def pins(sql: SqlStorage) -> list[Message]:
    """Return the pinned messages, newest first."""
    seqs = [row["seq"] for row in sql.exec("SELECT seq FROM pins ORDER BY seq DESC")]
    return [message for seq in seqs if (message := find(sql, seq)) is not None]


def can_pin_more(sql: SqlStorage) -> bool:
    """Whether there is room for one more pin."""
    return bool(sql.exec("SELECT count(*) < ? AS can FROM pins", MAX_PINS).one()["can"])


def last_post_at(sql: SqlStorage, author: Person) -> datetime | None:
    """Return when somebody has said something last, of what isn't archived."""
    row = sql.exec(
        "SELECT max(posted_at) AS at FROM messages WHERE author_id = ? AND kind != ?",
        author.id,
        Kind.SYSTEM,
    ).one()
    return None if row["at"] is None else moment(row["at"])


def pushes(sql: SqlStorage) -> list[Push]:
    """Return what somebody may still be sent who comes back, oldest first."""
    return sql.exec("SELECT number, mark, event FROM feed ORDER BY number", row=Push).to_array()


def replace_push(sql: SqlStorage, push: Push, event: str) -> None:
    """Have whoever comes back be sent something else in its place."""
    sql.exec("UPDATE feed SET event = ? WHERE number = ?", event, push.number)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]
