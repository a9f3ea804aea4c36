"""What an order remembers of itself, and a customer of all their orders."""

from __future__ import annotations

import json
from typing import Any

from apps.booking.domain.saga import Way
from runtime import SqlStorage

PAGE = 100  # orders that a customer is shown


def put(sql: SqlStorage, id: str, sale: dict[str, Any], payment: str, way: Way) -> None:
    """Keep an order as it is now, and when it has become so."""
    sql.exec(
        """
        INSERT INTO orders (id, sale, way, payment) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (id) DO UPDATE SET sale = ?2, way = ?3, payment = ?4
        """,
        id,
        json.dumps(sale),
        way,
        payment,
    )
    sql.exec("INSERT INTO course (way) VALUES (?)", way)


def refuse(sql: SqlStorage, refusal: str) -> None:
    """Keep why the order can't be cancelled."""
    sql.exec("UPDATE orders SET refusal = ?", refusal)


def find(sql: SqlStorage) -> dict[str, Any] | None:
    """Return the order: its ``sale``, ``way``, ``payment`` and ``refusal``."""
    row = sql.exec("SELECT sale, way, payment, refusal FROM orders").next()
    return None if row is None else {**row, "sale": json.loads(row["sale"])}


def course(sql: SqlStorage) -> list[tuple[float, str]]:
    """Return which way the order has gone, and when."""
    rows = sql.exec("SELECT at, way FROM course ORDER BY number")
    return [(row["at"], row["way"]) for row in rows]


def remember(sql: SqlStorage, sale: dict[str, Any], way: str) -> None:
    """Keep an order of a customer's, as it is now."""
    sql.exec(
        """
        INSERT INTO orders (id, at, sale, way) VALUES (?1, unixepoch('subsec'), ?2, ?3)
        ON CONFLICT (id) DO UPDATE SET sale = ?2, way = ?3
        """,
        sale["id"],
        json.dumps(sale),
        way,
    )


def remembered(sql: SqlStorage) -> list[tuple[dict[str, Any], str]]:
    """Return a customer's orders, the newest first."""
    rows = sql.exec("SELECT sale, way FROM orders ORDER BY at DESC LIMIT ?", PAGE)
    return [(json.loads(row["sale"]), row["way"]) for row in rows]
