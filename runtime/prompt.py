"""Disk work without threads, for tests: it is done at once, and told in the loop's next turn.

A thread that is waited for does nothing better than a call, and takes longer. And where there is
none, the same test is the same run.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Generator, Iterable
from contextvars import Context
from typing import Any, Self, TypeVar

from runtime.syncer import Syncer

T = TypeVar("T")


class PromptSyncer(Syncer):
    """Does disk work where it is asked for."""

    def run(
        self,
        work: Callable[[], None],
        done: Callable[[Exception | None], object],
        *,
        is_urgent: bool = False,
    ) -> None:
        self._under_way += 1
        error = self.attempt(work)

        def finish() -> None:
            self._under_way -= 1
            done(error)

        # As from a thread: it is nobody's step, and sees nothing of whoever has asked.
        asyncio.get_running_loop().call_soon(finish, context=Context())

    async def prepare(self, work: Callable[[], T]) -> T:
        return work()


class PromptConnection:
    """A `catalog.Connection` that is used where it is asked for. Await it to open it.

    Args:
        connect: Opens the file.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], _rows_at_once: int) -> None:
        self._connect = connect

    def __await__(self) -> Generator[Any, None, Self]:
        self._connection = self._connect()
        yield
        return self

    async def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return self._connection.execute(sql, parameters)

    async def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        return self._connection.executemany(sql, parameters)

    async def execute_fetchall(self, sql: str, parameters: Any = (), /) -> Iterable[Any]:
        return self._connection.execute(sql, parameters).fetchall()

    async def commit(self) -> None:
        self._connection.commit()

    async def rollback(self) -> None:
        self._connection.rollback()

    async def close(self) -> None:
        self._connection.close()
