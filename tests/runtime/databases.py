"""One object's database without the object around it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from runtime.errors import SqlError
from runtime.sql import Database, Row


class Ledger:
    """`Commits` that writes down what it hears, and can refuse."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.is_awaited = False
        self.losses: list[SqlError] = []
        self.refusal: Exception | None = None

    def begun(self) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.heard.append("begun")
        self.is_awaited = False

    def confirmed(self) -> None:
        assert not self.is_awaited, "heard twice"
        self.is_awaited = True

    def unconfirmed(self) -> None:
        assert self.is_awaited, "heard for nothing"
        self.is_awaited = False

    def committed(self, wal_pages: int) -> None:
        self.heard.append("committed")

    def wiped(self, wal_pages: int) -> None:
        self.heard += ["begun", "committed"]

    def undone(self) -> None:
        self.heard.append("undone")

    def lost(self, error: SqlError) -> None:
        self.heard.append("lost")
        self.losses.append(error)


def execute(database: Database, statement: str, *bindings: Any) -> list[Row]:
    """Run a statement of object code, and return its rows."""
    return list(database.execute(statement, bindings)[0])


class Watch:
    """The real time that passes while SQLite works, made by the test."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.pace = 0.0
        """What passes from one look to the next."""

    def look(self) -> float:
        self.seconds += self.pace
        return self.seconds


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr("runtime.sql.monotonic", watch.look)
    return watch


def upto(number: float) -> str:
    """Return a query for the numbers from 1 on; with ``math.inf`` it has no end."""
    limit = "" if number == math.inf else f"LIMIT {number}"
    return (
        f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n {limit}) SELECT i FROM n"
    )
