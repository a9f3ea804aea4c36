"""The waiting list."""

from __future__ import annotations

from apps.booking.domain.house import Person
from apps.booking.domain.waiting import Waiting
from runtime import SqlStorage

AT_ONCE = 200  # people whose wishes are looked at when seats become free


def join(sql: SqlStorage, person: Person, count: int) -> None:
    """Put somebody at the end. Whoever is on the list keeps their place."""
    sql.exec(
        """
        INSERT INTO waiting (person_id, person, count) VALUES (?1, ?2, ?3)
        ON CONFLICT (person_id) DO UPDATE SET count = ?3
        """,
        person.id,
        person.name,
        count,
    )


def leave(sql: SqlStorage, person_id: str) -> bool:
    """Take somebody off the list. Returns whether they were on it."""
    return bool(sql.exec("DELETE FROM waiting WHERE person_id = ?", person_id).rows_written)


def has_offer(sql: SqlStorage, person_id: str) -> bool:
    """Return whether seats are held for somebody because they have waited."""
    query = "SELECT 1 FROM waiting WHERE person_id = ? AND offer != 0"
    return sql.exec(query, person_id).next() is not None


def offer(sql: SqlStorage, number: int, hold: int) -> None:
    """Note that somebody was offered a hold."""
    sql.exec("UPDATE waiting SET offer = ? WHERE number = ?", hold, number)


def end_offer(sql: SqlStorage, hold: int) -> None:
    """Take whoever was offered a hold off the list: they have it, or had their time."""
    sql.exec("DELETE FROM waiting WHERE offer = ? AND offer != 0", hold)


def place(sql: SqlStorage, person_id: str) -> int:
    """Return how many come before somebody, and they themselves; 0 if they don't wait."""
    row = sql.exec(
        """
        SELECT count(*) AS place FROM waiting WHERE offer = 0 AND number <= (
            SELECT number FROM waiting WHERE person_id = ? AND offer = 0)
        """,
        person_id,
    ).one()
    return int(row["place"])


def length(sql: SqlStorage) -> int:
    """Return how many wait."""
    return int(sql.exec("SELECT count(*) AS n FROM waiting WHERE offer = 0").one()["n"])


def first(sql: SqlStorage, *, most: int) -> list[Waiting]:
    """Return who has waited longest, in order, of those who want at most so many seats."""
    return sql.exec(
        """
        SELECT number, person_id, person, count, offer FROM waiting
        WHERE offer = 0 AND count <= ? ORDER BY number LIMIT ?
        """,
        most,
        AT_ONCE,
        row=_waiting,
    ).to_array()


def _waiting(number: int, person_id: str, person: str, count: int, offer: int) -> Waiting:
    return Waiting(number, Person(person_id, person), count, offer)
