"""The server that is measured: ``python -m benchmarks.server PORT DATA``."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import uvicorn
from litestar import Litestar, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from runtime import DurableObject, DurableObjectNamespace, Runtime, RuntimeConfig
from runtime.litestar import DurableObjectsPlugin


class Counter(DurableObject):
    """Keeps a number in memory, as a cache of the one on disk."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.value: int = ctx.storage.kv.get("value", 0)

    async def read(self) -> int:
        return self.value


class Ledger(DurableObject):
    """Keeps entries on disk."""

    migrations = ("CREATE TABLE entries (number INTEGER PRIMARY KEY, text TEXT NOT NULL)",)

    async def add(self, text: str) -> int:
        sql = self.ctx.storage.sql
        return int(
            sql.exec("INSERT INTO entries (text) VALUES (?) RETURNING number", text).one()["number"]
        )


class Plain:
    """What one would write without objects: one SQLite file, and a lock for each name.

    It syncs each commit, as the objects do, and blocks the loop for it: a thread for each commit
    makes that slower, not faster.
    """

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE entries (name TEXT, number INTEGER, text TEXT)")
        self._connection.execute("CREATE INDEX by_name ON entries (name, number)")
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def add(self, name: str, text: str) -> int:
        async with self._locks[name]:
            query = "SELECT coalesce(max(number), 0) + 1 FROM entries WHERE name = ?"
            number = int(self._connection.execute(query, (name,)).fetchone()[0])
            self._connection.execute("INSERT INTO entries VALUES (?, ?, ?)", (name, number, text))
        return number


Counters = NamedDependency[DurableObjectNamespace[Counter]]
Ledgers = NamedDependency[DurableObjectNamespace[Ledger]]


@get("/hello")
async def hello() -> str:
    """What the server can do without an object."""
    return "hello"


@get("/counters/{name:str}")
async def read(name: FromPath[str], counters: Counters) -> str:
    """W1: one call to one object, which writes nothing."""
    return str(await counters.get_by_name(name).read())


@post("/ledgers/{name:str}")
async def add(name: FromPath[str], ledgers: Ledgers) -> str:
    """W2: one call to one object, which writes, answered when that is durable."""
    return str(await ledgers.get_by_name(name).add("some text"))


@post("/plain/{name:str}")
async def add_plainly(name: FromPath[str], plain: NamedDependency[Plain]) -> str:
    """The same without objects."""
    return str(await plain.add(name, "some text"))


def create_app(data: Path) -> Litestar:
    """Return the application that is measured."""
    bindings = {"counters": Counter, "ledgers": Ledger}
    runtime = Runtime(RuntimeConfig(data=data, idle_seconds=3600), bindings=bindings)
    plain = Plain(data / "plain.sqlite")
    return Litestar(
        [hello, read, add, add_plainly],
        dependencies={"plain": Provide(lambda: plain, sync_to_thread=False)},
        plugins=[DurableObjectsPlugin(runtime)],
        openapi_config=None,
        logging_config=None,
    )


if __name__ == "__main__":
    uvicorn.run(
        create_app(Path(sys.argv[2])), port=int(sys.argv[1]), log_level="error", access_log=False
    )
