"""What organisers have done, and what has happened to money: appended to, never changed."""

from __future__ import annotations

from apps.booking.domain.sale import Entry
from runtime import SqlStorage

PAGE = 200


def note(sql: SqlStorage, who: str, what: str) -> None:
    """Write a line."""
    sql.exec("INSERT INTO audit (who, what) VALUES (?, ?)", who, what)


def entries(sql: SqlStorage, before: int | None = None) -> list[Entry]:
    """Return the last lines, the newest first."""
    return sql.exec(
        """
        SELECT number, at, who, what FROM audit WHERE ?1 IS NULL OR number < ?1
        ORDER BY number DESC LIMIT ?2
        """,
        before,
        PAGE,
        row=Entry,
    ).to_array()
