"""One object's database without the object around it."""

from __future__ import annotations

from typing import Any

from runtime.errors import SqlError
from runtime.sql import Database, Row


class Ledger:
    """`Commits` that writes down what it hears, and can refuse."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.losses: list[SqlError] = []
        self.refusal: Exception | None = None

    def begun(self) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.heard.append("begun")

    def committed(self, wal_pages: int) -> None:
        self.heard.append("committed")

    def undone(self) -> None:
        self.heard.append("undone")

    def lost(self, error: SqlError) -> None:
        self.heard.append("lost")
        self.losses.append(error)


def execute(database: Database, statement: str, *bindings: Any) -> list[Row]:
    """Run a statement of object code, and return its rows."""
    return list(database.execute(statement, bindings)[0])
