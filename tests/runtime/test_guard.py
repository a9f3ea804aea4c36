"""What authors are told of three mistakes, and what they aren't told of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runtime import (
    AlarmInvocation,
    DurableObject,
    Request,
    Response,
    Runtime,
    RuntimeConfig,
    WebSocket,
)
from runtime.races import MAX_WRITES, Knowledge, Races, Read
from runtime.testing import TestRuntime
from runtime.witness import MAX_ROWS, MAX_STATEMENTS
from tests.conftest import StartRuntime

FILE = "tests/runtime/test_guard.py"
REMEDY = (
    "Read and write it in one ctx.storage.transaction() or block_concurrency_while(), or read it "
    "again after the await"
)

Told = Callable[[], list[str]]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    """What the guard has said, without the ids of objects."""

    def told() -> list[str]:
        said = [each for each in caplog.records if each.name == "runtime.guard"]
        assert all(each.levelname == "WARNING" for each in said)
        return [
            " ".join(word for word in each.getMessage().split() if len(word) != 64) for each in said
        ]

    return told


def line(function: Callable[..., Any], number: int) -> str:
    """Return where a function's line is, as people are told; its ``def`` has number 0."""
    return f"{FILE}:{function.__code__.co_firstlineno + number}"


async def both(rt: TestRuntime[Any], *calls: Awaitable[Any]) -> None:
    """Let some calls begin at once, and go on until all of them have ended."""
    under_way = [asyncio.ensure_future(call) for call in calls]
    await rt.clock.advance(10)
    await asyncio.gather(*under_way)


# Lost updates of keys.


class Counter(DurableObject[Any]):
    """Counts in a key, in many ways. Each waits for a second in the middle."""

    async def add(self) -> None:
        count = await self.ctx.storage.get("count", 0)
        await asyncio.sleep(1)
        await self.ctx.storage.put("count", count + 1)

    async def set(self, count: int, key: str = "count") -> None:
        await self.ctx.storage.put(key, count)

    async def set_in_kv(self, count: int) -> None:
        self.ctx.storage.kv.put("count", count)

    async def set_among_others(self, count: int) -> None:
        await self.ctx.storage.put_many({"other": 1, "count": count})

    async def set_soon(self, count: int) -> None:
        await asyncio.sleep(0.5)
        await self.set(count)

    async def delete(self) -> None:
        await self.ctx.storage.delete("count")

    async def look_again(self) -> int:
        return int(await self.ctx.storage.get("count", 0))

    # What reads, each in its second line.

    async def get_in_kv(self) -> None:
        read = self.ctx.storage.kv
        read.get("count")
        await self.overwrite()

    async def get_among_others(self) -> None:
        keys = ["other", "count"]
        await self.ctx.storage.get_many(keys)
        await self.overwrite()

    async def list_all(self) -> None:
        prefix = "c"
        await self.ctx.storage.list(prefix=prefix)
        await self.overwrite()

    async def list_in_kv(self) -> None:
        read = self.ctx.storage.kv
        dict(read.list())
        await self.overwrite()

    async def get_in_a_function(self) -> None:
        storage = self.ctx.storage
        await asyncio.wait_for(storage.get("count"), 60)
        await self.overwrite()

    async def overwrite(self) -> None:
        await asyncio.sleep(1)
        await self.ctx.storage.put("count", -1)

    # What writes, each in its second line.

    async def put_in_kv(self) -> None:
        await self.look()
        self.ctx.storage.kv.put("count", -1)

    async def put_among_others(self) -> None:
        await self.look()
        await self.ctx.storage.put_many({"count": -1})

    async def put_in_a_transaction(self) -> None:
        async def put(txn: Any) -> None:
            await txn.put("count", -1)

        await self.look()
        await self.ctx.storage.transaction(put)

    async def remove(self) -> None:
        await self.look()
        await self.ctx.storage.delete("count")

    async def remove_in_kv(self) -> None:
        await self.look()
        self.ctx.storage.kv.delete("count")

    async def put_in_a_task(self) -> None:
        await self.look()
        await asyncio.create_task(self.set(-1))

    async def look(self) -> None:
        await self.ctx.storage.get("count")
        await asyncio.sleep(1)

    # What is as it should be.

    async def add_in_a_transaction(self) -> None:
        async def add(txn: Any) -> None:
            count = await txn.get("count", 0)
            await asyncio.sleep(1)
            await txn.put("count", count + 1)

        await self.ctx.storage.transaction(add)

    async def add_in_a_section(self) -> None:
        await self.ctx.block_concurrency_while(self.add)

    async def add_with_another_look(self) -> None:
        await self.ctx.storage.get("count")
        await asyncio.sleep(1)
        await self.ctx.storage.put("count", await self.ctx.storage.get("count", 0) + 1)

    async def add_at_once(self) -> None:
        await self.ctx.storage.put("count", await self.ctx.storage.get("count", 0) + 1)
        await asyncio.sleep(1)

    async def write_twice(self) -> None:
        await self.ctx.storage.put("count", await self.ctx.storage.get("count", 0) + 1)
        await asyncio.sleep(2)
        await self.ctx.storage.put("count", 7)

    async def write_without_a_look(self) -> None:
        await self.ctx.storage.put("count", 1)
        await asyncio.sleep(1)
        await self.ctx.storage.put("count", 2)

    async def write_in_tasks(self) -> None:
        await self.ctx.storage.get("count")
        await asyncio.gather(self.later(1), self.later(2))

    async def later(self, seconds: int) -> None:
        await asyncio.sleep(seconds)
        await self.ctx.storage.put("count", seconds)

    async def try_in_vain(self) -> None:
        def fail() -> None:
            self.ctx.storage.kv.put("count", 100)
            raise ValueError

        try:
            self.ctx.storage.transaction_sync(fail)
        except ValueError:
            return

    async def begin_anew(self) -> None:
        await self.ctx.storage.put("count", 100)
        await asyncio.sleep(0.5)
        await self.ctx.storage.delete_all()

    async def change_and_change_back(self) -> None:
        count = await self.ctx.storage.get("count")
        await self.ctx.storage.put("count", 100)
        await self.ctx.storage.put("count", count)


@pytest.fixture
async def rt(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with all that this file is about."""
    started: TestRuntime[Any] = await start_runtime(
        counters=Counter, ledgers=Ledger, boards=Board, kitchens=Kitchen
    )
    return started


@pytest.fixture
def counter(rt: TestRuntime[Any]) -> Any:
    return rt.env.counters.get_by_name("a")


async def test_a_lost_update_of_a_key_is_told_with_all_its_lines_and_the_remedy(
    rt: TestRuntime[Any], counter: Any, told: Told
) -> None:
    await both(rt, counter.add(), counter.add(), counter.add())

    read, wrote = line(Counter.add, 1), line(Counter.add, 3)
    assert told() == [
        f"Counter lost an update of the key 'count': add() read it at {read} and overwrote it at "
        f"{wrote}, but meanwhile another event, add(), had changed it at {wrote}, and that change "
        f"is gone. {REMEDY}."
    ]


@pytest.mark.parametrize(
    "name", ["get_in_kv", "get_among_others", "list_all", "list_in_kv", "get_in_a_function"]
)
async def test_every_way_to_read_a_key_is_watched(
    rt: TestRuntime[Any], counter: Any, told: Told, name: str
) -> None:
    await counter.set(5)
    await both(rt, getattr(counter, name)(), counter.set_soon(6))

    (warning,) = told()
    read, wrote = line(getattr(Counter, name), 2), line(Counter.overwrite, 2)
    if name == "get_in_a_function":  # which runs it as a task: all that is known is the event
        read = line(Counter.get_in_a_function, 0)
    assert f"{name}() read it at {read} and overwrote it at {wrote}" in warning


@pytest.mark.parametrize(
    "name",
    [
        "put_in_kv",
        "put_among_others",
        "put_in_a_transaction",
        "remove",
        "remove_in_kv",
        "put_in_a_task",
    ],
)
async def test_every_way_to_write_a_key_is_watched(
    rt: TestRuntime[Any], counter: Any, told: Told, name: str
) -> None:
    await counter.set(5)
    await both(rt, getattr(counter, name)(), counter.set_soon(6))

    (warning,) = told()
    read, wrote = line(Counter.look, 1), line(getattr(Counter, name), 2)
    if name == "put_in_a_task":
        wrote = line(Counter.set, 1)
    assert f"{name}() read it at {read} and overwrote it at {wrote}" in warning


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("set", (6,)),
        ("set_in_kv", (6,)),
        ("set_among_others", (6,)),
        ("delete", ()),
    ],
)
async def test_the_other_event_is_told_with_its_line(
    rt: TestRuntime[Any], counter: Any, told: Told, name: str, args: tuple[int, ...]
) -> None:
    await counter.set(5)
    await both(rt, counter.add(), getattr(counter, name)(*args))

    (warning,) = told()
    assert f"another event, {name}(), had changed it at {line(getattr(Counter, name), 1)}," in (
        warning
    )


async def test_a_lost_update_is_told_once_for_the_same_lines(
    rt: TestRuntime[Any], counter: Any, told: Told
) -> None:
    other = rt.env.counters.get_by_name("b")
    await both(rt, counter.add(), counter.add(), other.add(), other.add())
    await both(rt, counter.add(), counter.add())

    before = len(told())
    await both(rt, counter.put_in_kv(), counter.set(6))

    assert (before, len(told())) == (1, 2)


async def test_who_has_read_and_written_overwrites_what_came_after_that(
    rt: TestRuntime[Any], counter: Any, told: Told
) -> None:
    await counter.set(5)
    await both(rt, counter.write_twice(), counter.later(1))

    (warning,) = told()
    read, wrote = line(Counter.write_twice, 1), line(Counter.write_twice, 3)
    assert f"read it at {read} and overwrote it at {wrote}" in warning
    assert f"another event, later(), had changed it at {line(Counter.later, 2)}" in warning


@pytest.mark.parametrize(
    "name",
    [
        "add_in_a_transaction",
        "add_in_a_section",
        "add_with_another_look",
        "add_at_once",
        "write_twice",
        "write_without_a_look",
        "write_in_tasks",
    ],
)
async def test_who_goes_by_what_a_key_holds_is_told_nothing(
    rt: TestRuntime[Any], counter: Any, told: Told, name: str
) -> None:
    call = getattr(counter, name)
    calls = [call()] if name in ("write_twice", "write_in_tasks") else [call(), call(), call()]
    await both(rt, *calls)

    assert told() == []


async def test_another_key_is_no_matter(rt: TestRuntime[Any], counter: Any, told: Told) -> None:
    await both(rt, counter.add(), counter.set(6, "other"))

    assert told() == []


async def test_what_one_event_has_read_another_may_write(
    rt: TestRuntime[Any], counter: Any, told: Told
) -> None:
    await both(rt, counter.look(), counter.set(6))
    count = await counter.look_again()
    await counter.set(7)
    await counter.set(count + 1)

    assert told() == []


@pytest.mark.parametrize("name", ["try_in_vain", "begin_anew", "change_and_change_back"])
async def test_a_change_that_is_undone_isnt_lost(
    rt: TestRuntime[Any], counter: Any, told: Told, name: str
) -> None:
    await counter.set(5)
    await both(rt, counter.add(), getattr(counter, name)())

    assert told() == []


async def test_to_write_the_same_again_is_no_change(
    rt: TestRuntime[Any], counter: Any, told: Told
) -> None:
    await counter.set(5)
    await both(rt, counter.add(), counter.set(5))

    assert told() == []


# Lost updates in SQL.


class Ledger(DurableObject[Any]):
    """Keeps accounts in tables."""

    migrations = (
        "CREATE TABLE account (id INTEGER PRIMARY KEY, sum INTEGER, note TEXT, open INTEGER)",
        "CREATE TABLE rate (name TEXT PRIMARY KEY, value REAL) WITHOUT ROWID",
        "CREATE TABLE pair (a TEXT, b TEXT, n INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "CREATE TABLE log (sum INTEGER)",
        "INSERT INTO account VALUES (1, 10, '', 1), (2, 20, '', 1)",
        "INSERT INTO rate VALUES ('x', 1.5)",
        "INSERT INTO pair VALUES ('a', 'b', 1), ('a', 'c', 2)",
        "CREATE TABLE derived (id INTEGER PRIMARY KEY, n INTEGER, twice INTEGER AS (n * 2))",
        "INSERT INTO derived (id, n) VALUES (1, 1)",
        "CREATE TRIGGER logged AFTER UPDATE OF open ON account BEGIN "
        "UPDATE log SET sum = new.sum; END",
        "INSERT INTO log VALUES (0)",
    )

    async def pay(self, amount: int, id: int = 1) -> None:
        before = self.ctx.storage.sql.exec("SELECT sum FROM account WHERE id = ?", id).one()["sum"]
        await asyncio.sleep(1)
        self.ctx.storage.sql.exec("UPDATE account SET sum = ? WHERE id = ?", before - amount, id)

    async def run(self, *statements: str) -> None:
        sql = self.ctx.storage.sql
        for statement in statements:
            if statement:
                sql.exec(statement).to_array()
            else:
                await asyncio.sleep(1)

    async def run_soon(self, *statements: str) -> None:
        await asyncio.sleep(0.5)
        await self.run(*statements)

    async def run_in_a_transaction(self, *statements: str) -> None:
        async def run(txn: Any) -> None:
            await self.run(*statements)

        await self.ctx.storage.transaction(run)

    async def count_beside(self, statement: str) -> None:
        count = await self.ctx.storage.get("count", 0)
        await asyncio.sleep(1)
        self.ctx.storage.sql.exec(statement)
        await self.ctx.storage.put("count", count + 1)

    async def fail(self, statement: str) -> None:
        def fail() -> None:
            self.ctx.storage.sql.exec(statement)
            raise ValueError

        try:
            self.ctx.storage.transaction_sync(fail)
        except ValueError:
            return

    async def read_slowly(self, statement: str) -> None:
        self.ctx.storage.sql.exec("UPDATE account SET sum = 20")
        rows = self.ctx.storage.sql.exec("SELECT sum FROM account ORDER BY id")
        await asyncio.sleep(1)
        rows.to_array()
        self.ctx.storage.sql.exec(statement)


@pytest.fixture
def ledger(rt: TestRuntime[Any]) -> Any:
    return rt.env.ledgers.get_by_name("a")


async def test_a_lost_update_of_a_column_is_told_with_all_its_lines_and_the_remedy(
    rt: TestRuntime[Any], ledger: Any, told: Told
) -> None:
    await both(rt, ledger.pay(1), ledger.pay(2), ledger.pay(3))

    read, wrote = line(Ledger.pay, 1), line(Ledger.pay, 3)
    assert told() == [
        f"Ledger lost an update of account.sum: pay() read it at {read} and overwrote it at "
        f"{wrote}, but meanwhile another event, pay(), had changed it at {wrote}, and that change "
        f"is gone. {REMEDY}, or do it in one SQL statement, such as SET n = n + 1."
    ]


@pytest.mark.parametrize(
    ("read", "change", "write"),
    [
        ("SELECT * FROM account", "UPDATE account SET sum = 1", "UPDATE account SET sum = 2"),
        (
            "SELECT sum AS total FROM (SELECT sum FROM account)",
            "UPDATE account SET sum = sum + 1",
            "UPDATE account SET note = 'paid', sum = 2 WHERE id = 1",
        ),
        (
            "SELECT sum FROM account WHERE id = 3",
            "INSERT INTO account VALUES (3, 30, '', 1)",
            "INSERT OR REPLACE INTO account VALUES (3, 40, '', 1)",
        ),
        (
            "SELECT sum FROM account WHERE id = 3",
            "INSERT INTO account VALUES (3, 30, '', 1)",
            "INSERT INTO account VALUES (3, 40, '', 1) "
            "ON CONFLICT (id) DO UPDATE SET sum = excluded.sum",
        ),
        (
            "SELECT sum FROM account WHERE id = 2",
            "DELETE FROM account WHERE id = 2",
            "INSERT INTO account VALUES (2, 21, '', 1)",
        ),
        (
            "SELECT value FROM rate",
            "UPDATE rate SET value = 2.5",
            "REPLACE INTO rate VALUES ('x', 3.5)",
        ),
        ("SELECT n FROM pair", "UPDATE pair SET n = 4", "UPDATE pair SET n = 3 WHERE b = 'c'"),
    ],
)
async def test_every_way_to_overwrite_a_row_is_watched(
    rt: TestRuntime[Any], ledger: Any, told: Told, read: str, change: str, write: str
) -> None:
    await both(rt, ledger.run(read, "", write), ledger.run(change))

    at = line(Ledger.run, 4)
    (warning,) = told()
    assert f"run() read it at {at} and overwrote it at {at}, " in warning


async def test_who_has_read_and_written_a_row_knows_it(
    rt: TestRuntime[Any], ledger: Any, told: Told
) -> None:
    read, write = "SELECT sum FROM account WHERE id = 1", "UPDATE account SET sum = 7 WHERE id = 1"
    again = "UPDATE account SET sum = 9 WHERE id = 1"
    await both(
        rt, ledger.run(read, write, "", again), ledger.run_soon("UPDATE account SET sum = 8")
    )

    assert len(told()) == 1


async def test_a_row_that_is_read_late_was_seen_late(
    rt: TestRuntime[Any], ledger: Any, told: Told
) -> None:
    change, write = (f"UPDATE account SET sum = {sum} WHERE id = 2" for sum in (21, 22))
    await both(rt, ledger.read_slowly(write), ledger.run(change))

    assert told() == []


@pytest.mark.parametrize(
    ("read", "change", "write"),
    [
        # One statement reads and writes.
        (
            "SELECT sum FROM account",
            "UPDATE account SET sum = 1",
            "UPDATE account SET sum = sum + 1",
        ),
        (
            "SELECT sum FROM account",
            "UPDATE account SET sum = 1",
            "UPDATE account SET sum = 2 WHERE sum = 1",
        ),
        (
            "SELECT sum FROM account",
            "REPLACE INTO account VALUES (1, 11, '', 1)",
            "UPDATE account SET sum = sum + 1",
        ),
        (
            "SELECT * FROM account",
            "UPDATE account SET sum = 1, note = 'a'",
            "UPDATE account SET sum = sum + 1, note = 'b'",
        ),
        # Another row, or another column.
        (
            "SELECT sum FROM account WHERE id = 1",
            "UPDATE account SET sum = 3 WHERE id = 2",
            "UPDATE account SET sum = 2 WHERE id = 1",
        ),
        (
            "SELECT sum FROM account WHERE id = 1",
            "UPDATE account SET sum = 3 WHERE id = 2",
            "UPDATE account SET sum = 4 WHERE id = 2",
        ),
        (
            "SELECT sum FROM account",
            "UPDATE account SET note = 'a'",
            "UPDATE account SET sum = 2",
        ),
        (
            "SELECT note FROM account",
            "UPDATE account SET sum = 1",
            "UPDATE account SET sum = 2",
        ),
        ("SELECT n FROM pair", "INSERT INTO pair VALUES ('a', 'd', 1)", "UPDATE pair SET n = 3"),
        (
            "SELECT n FROM pair",
            "UPDATE pair SET n = 1 WHERE b = 'c'",
            "UPDATE pair SET n = 3 WHERE b = 'b'",
        ),
        (
            "SELECT note FROM account",
            "UPDATE account SET note = 'a'",
            "UPDATE account SET sum = 2",
        ),
        # What was read, or is there, is the same.
        ("SELECT sum FROM account", "UPDATE account SET sum = sum", "UPDATE account SET sum = 2"),
        (
            "SELECT sum FROM account WHERE id = 1",
            "UPDATE account SET sum = 11 WHERE id = 1; UPDATE account SET sum = 10 WHERE id = 1",
            "UPDATE account SET sum = 2",
        ),
        # Somebody wants it gone.
        (
            "SELECT * FROM account",
            "UPDATE account SET sum = 1",
            "DELETE FROM account WHERE id = 1",
        ),
        # What isn't watched: expressions, triggers, computed columns, other numbers for rows.
        (
            "SELECT max(sum), sum + 0 FROM account",
            "UPDATE account SET sum = 1",
            "UPDATE account SET sum = 2",
        ),
        ("SELECT sum FROM log", "UPDATE log SET sum = 1", "UPDATE account SET open = 0"),
        ("SELECT n FROM derived", "UPDATE derived SET n = 2", "UPDATE derived SET n = 3"),
        (
            "SELECT sum FROM account",
            "UPDATE account SET id = id + 10",
            "UPDATE account SET sum = 2",
        ),
    ],
)
async def test_who_doesnt_overwrite_what_was_read_is_told_nothing(
    rt: TestRuntime[Any], ledger: Any, told: Told, read: str, change: str, write: str
) -> None:
    await both(rt, ledger.run(read, "", write), ledger.run(change))

    assert told() == []


@pytest.mark.parametrize(
    "again", ["SELECT sum FROM account", "SELECT * FROM account", "SELECT max(sum) FROM account"]
)
async def test_a_column_that_is_read_again_may_be_written(
    rt: TestRuntime[Any], ledger: Any, told: Told, again: str
) -> None:
    first, last = "SELECT sum FROM account", "UPDATE account SET sum = 2"
    await both(rt, ledger.run(first, "", again, last), ledger.run("UPDATE account SET sum = 1"))

    assert told() == []


async def test_sql_in_a_transaction_is_safe(rt: TestRuntime[Any], ledger: Any, told: Told) -> None:
    statements = ("SELECT sum FROM account", "", "UPDATE account SET sum = 2")
    await both(rt, *(ledger.run_in_a_transaction(*statements) for _ in range(2)))

    assert told() == []


async def test_what_was_rolled_back_isnt_lost(
    rt: TestRuntime[Any], ledger: Any, told: Told
) -> None:
    await both(rt, ledger.pay(1), ledger.fail("UPDATE account SET sum = 0"))

    assert told() == []


async def test_a_statement_that_fails_has_changed_nothing(
    rt: TestRuntime[Any], ledger: Any, told: Told
) -> None:
    clash = "UPDATE account SET sum = 0, id = 7"
    under_way = asyncio.ensure_future(ledger.pay(1))
    with pytest.raises(Exception, match="UNIQUE"):
        await ledger.run(clash)
    await both(rt, under_way)

    assert told() == []


async def test_a_table_that_has_changed_is_watched_as_it_is(
    rt: TestRuntime[Any], ledger: Any, told: Told
) -> None:
    await ledger.run("UPDATE account SET note = 'a'", "ALTER TABLE account RENAME sum TO total")
    read, write = "SELECT total FROM account", "UPDATE account SET total = 1"
    await both(rt, ledger.run(read, "", write), ledger.run("UPDATE account SET total = 2"))

    (warning,) = told()
    assert "lost an update of account.total: " in warning


async def test_a_statement_from_the_cache_is_known_after_a_change_of_the_table(
    rt: TestRuntime[Any], ledger: Any, told: Told
) -> None:
    safe = "UPDATE account SET sum = sum + 1"
    await ledger.run("SELECT * FROM account", safe)
    await ledger.run("ALTER TABLE account ADD COLUMN more TEXT")
    await both(rt, ledger.run("SELECT * FROM account", "", safe), ledger.run(safe))

    assert told() == []


async def test_only_so_many_rows_of_one_statement_are_looked_at(
    rt: TestRuntime[Any], ledger: Any, told: Told
) -> None:
    many = range(MAX_ROWS + 10)
    await ledger.run(*(f"INSERT OR REPLACE INTO account VALUES ({id}, 5, '', 1)" for id in many))
    for id in (MAX_ROWS + 5, 5):
        read = f"SELECT sum FROM account WHERE id = {id}"
        write = f"UPDATE account SET sum = 7 WHERE id = {id}"
        before = told()
        await both(rt, ledger.run(read, "", write), ledger.run("UPDATE account SET sum = 6"))
        await ledger.run("UPDATE account SET sum = 5")

    assert (len(before), len(told())) == (0, 1)


async def test_keys_are_watched_beside_statements_that_change_many_rows(
    rt: TestRuntime[Any], told: Told
) -> None:
    ledger = rt.env.ledgers.get_by_name("a")
    rows = "SELECT value FROM json_each(json_array(" + "1, " * 99 + "1))"
    many = f"INSERT INTO log SELECT a.value FROM ({rows}) a, ({rows}) b"
    await both(rt, ledger.count_beside(many), ledger.count_beside(many))

    assert len(told()) == 1


async def test_a_statement_that_is_used_again_and_again_stays_known(
    rt: TestRuntime[Any], ledger: Any, told: Told
) -> None:
    read, write = "SELECT sum FROM account", "UPDATE account SET sum = 7"
    others = [f"SELECT {number}" for number in range(MAX_STATEMENTS + 10)]
    for start in range(0, len(others), 50):
        await ledger.run(write, *others[start : start + 50])
    await both(rt, ledger.run(read, "", write), ledger.run("UPDATE account SET sum = 6"))

    assert len(told()) == 1


def test_what_is_kept_of_writes_is_bounded() -> None:
    races, reader, writer = Races(), Knowledge("read"), Knowledge("write")
    cell = ("t", 0, "n")
    reader.knows(cell, Read(1, "a.py:1"))
    races.wrote(writer, cell, 1, 2, 2, "a.py:2")
    before = races.race(reader, cell, 2)
    for row in range(MAX_WRITES):
        races.wrote(writer, ("t", row, "m"), 1, 2, 2, "a.py:2")

    assert before is not None
    assert races.race(reader, cell, 2) is None


# Lost attributes.


class Board(DurableObject[Any]):
    """Has things in memory."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.count = 0
        self.names: list[str] = []
        self.about: dict[str, Any] = {"tags": {"a"}}
        self.loaded: list[Any] | None = None
        self.note: Any = None
        self._cache = 0
        self.people = [ws.deserialize_attachment() for ws in ctx.get_web_sockets()]
        ctx.block_concurrency_while(self.load)

    async def load(self) -> None:
        await asyncio.sleep(0)
        self.note = await self.ctx.storage.get("note")

    async def greet(self) -> str:
        return "hello"

    # What loses something.

    async def hit(self) -> None:
        self.count += 1

    async def append(self) -> None:
        self.names.append("ada")

    async def tag(self) -> None:
        self.about["tags"].add("b")

    async def forget(self) -> None:
        self.about.clear()

    async def add_another(self) -> None:
        self.another = 1.5

    async def hit_in_a_task(self) -> None:
        async def hit() -> None:
            await asyncio.sleep(1)
            self.count += 1

        await asyncio.create_task(hit())

    async def hit_after_a_look(self) -> None:
        await self.ctx.storage.get("limit", 100)
        self.count += 1

    async def alarm(self, _: AlarmInvocation) -> None:
        self.count += 1

    async def wait_for_the_alarm(self) -> None:
        await self.ctx.storage.set_alarm(timedelta(seconds=1))

    # What loses nothing.

    async def hit_and_store(self) -> None:
        self.count += 1
        await self.ctx.storage.put("count", self.count)

    async def hit_and_store_later(self) -> None:
        self.count += 1
        await asyncio.sleep(1)
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS hits (n)")
        self.ctx.storage.sql.exec("INSERT INTO hits VALUES (?)", self.count)

    async def hit_and_store_by_alarm(self) -> None:
        self.names.append("ada")
        await self.ctx.storage.set_alarm(timedelta(days=1))

    async def store(self) -> None:
        await self.ctx.storage.put("count", self.count)

    async def hit_cache(self) -> None:
        self._cache += 1

    async def hit_and_take_back(self) -> None:
        self.count += 1
        await asyncio.sleep(1)
        self.count -= 1

    async def set_note(self, note: str) -> None:
        await self.ctx.storage.put("note", note)

    async def load_late(self) -> None:
        self.loaded = [await self.ctx.storage.get("note", "none")]

    async def load_rows(self) -> None:
        rows = self.ctx.storage.sql.exec("SELECT 'a' AS name, 7 AS n UNION SELECT 'b', 8")
        self.loaded = [(row["n"], row["name"]) for row in rows]

    async def empty(self) -> None:
        self.count = -1
        await self.ctx.storage.delete_all()

    async def hold_objects(self) -> None:
        self.note = object()
        self.people = [self.ctx]
        self.about = {"task": asyncio.get_running_loop().create_future()}

    async def let_go_of_objects(self) -> None:
        await self.hold_objects()
        await asyncio.sleep(1)
        self.note = None
        self.about = {}

    async def hold_a_lot(self) -> None:
        self.names = ["ada"] * 2000

    async def hold_itself(self) -> None:
        self.about["itself"] = self.about

    async def count_on(self) -> None:
        self.count += 1
        self.ctx.abort("enough")

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket)
        request.web_socket.serialize_attachment("ada")
        self.people.append("ada")
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        ws.serialize_attachment(message)
        self.people = [each.deserialize_attachment() for each in self.ctx.get_web_sockets()]

    async def web_socket_close(self, ws: WebSocket, code: int, reason: str, _: bool) -> None:
        self.people.clear()


@pytest.fixture
def board(rt: TestRuntime[Any]) -> Any:
    return rt.env.boards.get_by_name("a")


async def leave(rt: TestRuntime[Any], stub: Any) -> None:
    """Let an object be idle until it has left memory."""
    await rt.clock.advance(30)
    assert rt.why_awake(stub) == []


async def test_a_lost_attribute_is_told_with_its_method_and_the_remedy(
    rt: TestRuntime[Any], board: Any, told: Told
) -> None:
    await board.hit()
    before = told()
    await leave(rt, board)

    assert before == []
    assert told() == [
        "Board lost self.count when it left memory, as every object does that is idle for a while: "
        f"hit(), at {line(Board.hit, 0)}, changed it and stored nothing. Put it into ctx.storage, "
        "and load it in the constructor; or call it self._count, if it is a cache that may be lost."
    ]


async def test_a_lost_attribute_is_told_at_every_kind_of_eviction(
    start_awake_runtime: StartRuntime, told: Told
) -> None:
    rt = await start_awake_runtime(boards=Board)
    board = rt.env.boards.get_by_name("a")
    await board.hit()

    await rt.evict_durable_object(board)

    assert len(told()) == 1


async def test_a_world_that_evicts_before_each_event_tells_at_once(told: Told) -> None:
    async with TestRuntime(bindings={"boards": Board}, evicting=True) as rt:
        board = rt.env.boards.get_by_name("a")
        await board.hit()
        await board.greet()

        assert len(told()) == 1


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("append", "names"),
        ("tag", "about"),
        ("forget", "about"),
        ("add_another", "another"),
        ("hit_in_a_task", "count"),
        ("hit_after_a_look", "count"),
    ],
)
async def test_every_plain_attribute_is_watched(
    rt: TestRuntime[Any], board: Any, told: Told, name: str, attribute: str
) -> None:
    await both(rt, getattr(board, name)())
    await leave(rt, board)

    (warning,) = told()
    assert warning.startswith(f"Board lost self.{attribute} when ")
    assert f": {name}(), at {line(getattr(Board, name), 0)}, changed it" in warning


async def test_that_an_alarm_is_over_isnt_taken_for_something_stored(
    rt: TestRuntime[Any], board: Any, told: Told
) -> None:
    await board.wait_for_the_alarm()
    await leave(rt, board)

    (warning,) = told()
    assert f"alarm, at {line(Board.alarm, 0)}, changed it and stored nothing" in warning


async def test_a_lost_attribute_is_told_once_for_the_same_method(
    rt: TestRuntime[Any], board: Any, told: Told
) -> None:
    for name in ("hit", "hit", "append"):
        await getattr(board, name)()
        await leave(rt, board)

    assert len(told()) == 2


@pytest.mark.parametrize(
    "name",
    [
        "greet",
        "hit_and_store",
        "hit_and_store_later",
        "hit_and_store_by_alarm",
        "hit_cache",
        "hit_and_take_back",
        "load_late",
        "load_rows",
        "empty",
        "hold_objects",
        "let_go_of_objects",
        "hold_a_lot",
        "hold_itself",
    ],
)
async def test_what_isnt_lost_isnt_told(
    rt: TestRuntime[Any], board: Any, told: Told, name: str
) -> None:
    await both(rt, getattr(board, name)())
    await leave(rt, board)

    assert told() == []


async def test_what_the_constructor_loads_isnt_lost(
    rt: TestRuntime[Any], board: Any, told: Told
) -> None:
    await board.set_note("soup")
    await leave(rt, board)
    await board.greet()
    await leave(rt, board)

    assert told() == []


async def test_what_another_event_stores_later_isnt_lost(
    start_awake_runtime: StartRuntime, told: Told
) -> None:
    rt = await start_awake_runtime(boards=Board)
    board = rt.env.boards.get_by_name("a")
    await board.hit()
    await board.store()
    await leave(rt, board)

    assert told() == []


async def test_what_is_known_from_sockets_isnt_lost(
    rt: TestRuntime[Any], board: Any, told: Told
) -> None:
    client = await rt.connect(board)
    await leave(rt, board)
    await client.send("bob")
    await leave(rt, board)
    await client.leave()
    await leave(rt, board)

    assert told() == []


async def test_what_a_reset_takes_isnt_told(rt: TestRuntime[Any], board: Any, told: Told) -> None:
    with pytest.raises(Exception, match="enough"):
        await board.count_on()
    await leave(rt, board)

    assert told() == []


async def test_what_a_crash_takes_isnt_told(start_awake_runtime: StartRuntime, told: Told) -> None:
    rt = await start_awake_runtime(boards=Board)
    board = rt.env.boards.get_by_name("a")
    await board.hit()
    await rt.crash()

    assert told() == []


async def test_what_a_test_changes_isnt_told(rt: TestRuntime[Any], board: Any, told: Told) -> None:
    await rt.run_in_durable_object(board, lambda one, _: setattr(one, "count", 7))
    await leave(rt, board)

    assert told() == []


# Slow critical sections.


class Kitchen(DurableObject[Any]):
    """Has one stove."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        if ctx.id.name == "slow":
            ctx.block_concurrency_while(self.heat)

    async def heat(self) -> None:
        await asyncio.sleep(8)

    async def greet(self) -> str:
        return "hello"

    async def cook(self, seconds: float) -> None:
        async def cook() -> None:
            await asyncio.sleep(seconds)

        await self.ctx.block_concurrency_while(cook)

    async def cook_in_a_transaction(self, seconds: float) -> None:
        async def cook(txn: Any) -> None:
            await txn.put("soup", "onion")
            await self.simmer(seconds)

        await self.ctx.storage.transaction(cook)

    async def simmer(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def order(self) -> None:
        async def order() -> None:
            await self.env.kitchens.get_by_name("b").simmer(7)

        await self.ctx.block_concurrency_while(order)

    async def cook_in_courses(self, first: float, second: float) -> None:
        async def cook() -> None:
            await asyncio.sleep(first)
            await asyncio.sleep(second)

        await self.ctx.block_concurrency_while(cook)


WHAT_ELSE = (
    "Everything else of the object waits until it ends, and after 30 seconds the object is reset. "
    "Wait for the outside world before it, or after it."
)


@pytest.fixture
def kitchen(rt: TestRuntime[Any]) -> Any:
    return rt.env.kitchens.get_by_name("a")


async def test_a_slow_section_is_told_with_where_it_began_and_where_it_waits(
    rt: TestRuntime[Any], kitchen: Any, told: Told
) -> None:
    await both(rt, kitchen.cook(6), kitchen.greet())

    began, waits = line(Kitchen.cook, 4), line(Kitchen.cook, 2)
    assert told() == [
        f"Kitchen has been in block_concurrency_while(), begun at {began}, for 5 seconds: it waits "
        f"for a timer, asyncio.sleep(6.0), at {waits}. {WHAT_ELSE}"
    ]


async def test_a_slow_transaction_is_told_with_where_it_began_and_where_it_waits(
    rt: TestRuntime[Any], kitchen: Any, told: Told
) -> None:
    await both(rt, kitchen.cook_in_a_transaction(6))

    began, waits = line(Kitchen.cook_in_a_transaction, 5), line(Kitchen.simmer, 1)
    assert told() == [
        f"Kitchen has been in transaction(), begun at {began}, for 5 seconds: it waits for a "
        f"timer, asyncio.sleep(6.0), at {waits}. {WHAT_ELSE}"
    ]


async def test_a_slow_section_is_told_with_whom_it_waits_for(
    rt: TestRuntime[Any], kitchen: Any, told: Told
) -> None:
    await both(rt, kitchen.order())

    (warning,) = told()
    waits = f"an answer to simmer() from <stub of Kitchen b>, at {line(Kitchen.order, 2)}. "
    assert f": it waits for {waits}" in warning


async def test_a_slow_section_of_the_constructor_is_told(rt: TestRuntime[Any], told: Told) -> None:
    await both(rt, rt.env.kitchens.get_by_name("slow").greet())

    (warning,) = told()
    assert f", begun at {line(Kitchen.__init__, 3)}, for 5 seconds: it waits" in warning
    assert f", at {line(Kitchen.heat, 1)}. " in warning


async def test_a_slow_section_is_told_when_it_has_taken_five_seconds(
    rt: TestRuntime[Any], kitchen: Any, told: Told
) -> None:
    under_way = asyncio.ensure_future(kitchen.cook_in_courses(4, 4))
    await rt.clock.advance(4.9)
    before = told()
    await rt.clock.advance(0.1)

    (warning,) = told()
    assert before == []
    assert f", at {line(Kitchen.cook_in_courses, 3)}. " in warning
    await both(rt, under_way)


async def test_a_slow_section_is_told_once_for_the_same_lines(
    rt: TestRuntime[Any], kitchen: Any, told: Told
) -> None:
    other = rt.env.kitchens.get_by_name("b")
    await both(rt, kitchen.cook_in_courses(6, 0), other.cook_in_courses(7, 0))
    await both(rt, kitchen.cook_in_courses(8, 0))
    before = len(told())
    await both(rt, kitchen.cook_in_courses(1, 8))

    assert (before, len(told())) == (1, 2)


@pytest.mark.parametrize("name", ["cook", "cook_in_a_transaction"])
async def test_a_section_that_waits_for_its_turn_isnt_slow(
    rt: TestRuntime[Any], kitchen: Any, told: Told, name: str
) -> None:
    call = getattr(kitchen, name)
    await both(rt, call(3), call(3), call(3))

    assert told() == []


async def test_work_outside_of_a_section_may_take_as_long_as_it_likes(
    rt: TestRuntime[Any], kitchen: Any, told: Told
) -> None:
    await both(rt, kitchen.simmer(9))

    assert told() == []


# Where there is a guard.


@pytest.mark.parametrize("debug", [True, False])
async def test_there_is_a_guard_in_development_only(folder: Path, told: Told, debug: bool) -> None:
    config = RuntimeConfig(data=folder, debug=debug)
    async with Runtime(config, bindings={"boards": Board}, env=SimpleNamespace) as runtime:
        await runtime.env.boards.get_by_name("a").hit()

    assert len(told()) == debug
