"""What people have read of a room, and so what is new for them."""

from __future__ import annotations

from dataclasses import dataclass

from apps.chat.domain import MOST_READERS, MOST_UNREAD, Person, Reader
from apps.chat.store import members
from runtime import SqlStorage


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much is new for somebody, which their inbox doesn't know yet."""

    person_id: str
    unread: int
    mentions: int


def read(sql: SqlStorage, person: Person, seq: int) -> bool:
    """Note how far somebody has read. Returns whether that is further than before."""
    changed = sql.exec(
        "UPDATE members SET read_up_to = ?1 WHERE id = ?2 AND read_up_to < ?1 RETURNING id",
        seq,
        person.id,
    ).next()
    if changed is not None:
        sql.exec("DELETE FROM mentioned WHERE person_id = ? AND seq <= ?", person.id, seq)
    return changed is not None


def speak(sql: SqlStorage, author: Person, seq: int, *, has_unread: bool) -> None:
    """Know somebody who has said something, and so has read everything before it."""
    known = sql.exec(
        "UPDATE members SET read_up_to = ? WHERE id = ? AND name = ? RETURNING id",
        seq,
        author.id,
        author.name,
    ).next()
    if known is None:
        members.meet(sql, author, seq)
    if known is None or has_unread:
        read(sql, author, seq)
        sql.exec("DELETE FROM mentioned WHERE person_id = ?", author.id)


def mention(sql: SqlStorage, people: tuple[Person, ...], seq: int) -> None:
    """Note who is named in a message, of those who haven't read it: its author has."""
    for person in people:
        sql.exec(
            "INSERT OR IGNORE INTO mentioned SELECT id, seq FROM members, messages "
            "WHERE id = ? AND seq = ? AND read_up_to < seq",
            person.id,
            seq,
        )


def mention_anew(sql: SqlStorage, people: tuple[Person, ...], seq: int) -> None:
    """Note who is named in a message that was changed, and that nobody else is any more."""
    sql.exec("DELETE FROM mentioned WHERE seq = ?", seq)
    mention(sql, people, seq)


def readers(sql: SqlStorage) -> tuple[Reader, ...]:
    """Return who has read how far, those first who have come last."""
    rows = sql.exec(
        "SELECT id, name, read_up_to FROM members ORDER BY seen_at DESC, id LIMIT ?", MOST_READERS
    )
    return tuple(Reader(Person(row["id"], row["name"]), row["read_up_to"]) for row in rows)


def take_reading(sql: SqlStorage) -> bool:
    """Whether anybody has read on since this was asked last."""
    changed = sql.exec(
        "UPDATE members SET shown_up_to = read_up_to WHERE shown_up_to != read_up_to RETURNING id"
    )
    return bool(changed.to_array())


def take_waiting(sql: SqlStorage, last: int, limit: int) -> list[Waiting]:
    """Return for whom something is new, or isn't any more, since this was asked last.

    Args:
        last: The newest message's number.
        limit: How many people at most.
    """
    unread = f"min({MOST_UNREAD}, ?1 - read_up_to)"
    mentions = "(SELECT count(*) FROM mentioned WHERE person_id = members.id)"
    return sql.exec(
        f"UPDATE members SET told_unread = {unread}, told_mentions = {mentions} WHERE id IN "
        f"(SELECT id FROM members WHERE told_unread != {unread} OR told_mentions != {mentions} "
        "LIMIT ?2) RETURNING id AS person_id, told_unread AS unread, told_mentions AS mentions",
        last,
        limit,
        row=Waiting,
    ).to_array()
