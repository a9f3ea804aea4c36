"""What an order remembers of itself."""

from __future__ import annotations

import json
from typing import Any

from apps.booking.domain.saga import Way
from runtime import SqlStorage


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
