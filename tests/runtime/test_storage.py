"""What an object remembers, by its own account: keys, transactions, syncs."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from math import inf
from typing import Any

import pytest

from runtime import AlarmInvocation, DurableObject, DurableObjectState, errors
from runtime.checkpoints import Checkpoints
from runtime.gates import InputGate, OutputGate
from runtime.sql import Database
from runtime.syncer import Syncer
from runtime.testing import TestRuntime, key_of
from tests.conftest import StartRuntime
from tests.runtime.databases import Watch, upto, watch
from tests.runtime.disk import StuckDisk, disk, turns

__all__ = ["disk", "watch"]


class Box(DurableObject[object]):
    """An object whose storage the tests use directly."""

    migrations = (
        "CREATE TABLE parents (id INTEGER PRIMARY KEY);"
        "CREATE TABLE children (parent INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED)",
    )

    async def touch(self) -> str:
        return "touched"

    async def write(self, *ways: str) -> None:
        for way in ways:
            if way == "sql":
                self.ctx.storage.sql.exec("INSERT INTO parents DEFAULT VALUES")
            else:
                await self.ctx.storage.put(way, 1, allow_unconfirmed=way == "unconfirmed")

    async def alarm(self, _: Any) -> None:
        """Make it possible to set one."""

    async def apply(self, function: Callable[[], Any]) -> Any:
        return await function()


@pytest.fixture
async def runtime(start_awake_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with boxes."""
    started: TestRuntime[Any] = await start_awake_runtime(boxes=Box)
    return started


@pytest.fixture
async def box(runtime: TestRuntime[Any]) -> Any:
    """One of them."""
    return runtime.env.boxes.get_by_name("a")


async def test_what_was_put_is_got_back(runtime: TestRuntime[Any], box: Any) -> None:
    async def use(_: Box, ctx: DurableObjectState) -> list[Any]:
        await ctx.storage.put("a", {"n": [1, 2]})
        await ctx.storage.put_many({"b": 2, "c": 3, "left out": None})
        return [
            await ctx.storage.get("a"),
            await ctx.storage.get("nothing", "a default"),
            await ctx.storage.get_many(["c", "b", "nothing", "b"]),
            await ctx.storage.list(start="b"),
            await ctx.storage.delete("b"),
            await ctx.storage.delete("b"),
            await ctx.storage.delete_many(["a", "c", "nothing"]),
            await ctx.storage.list(),
        ]

    assert await runtime.run_in_durable_object(box, use) == [
        {"n": [1, 2]},
        "a default",
        {"b": 2, "c": 3},
        {"b": 2, "c": 3},
        True,
        False,
        2,
        {},
    ]


async def test_none_cant_be_put(runtime: TestRuntime[Any], box: Any) -> None:
    with pytest.raises(TypeError, match="a missing key reads as None"):
        await runtime.run_in_durable_object(box, lambda _, ctx: ctx.storage.put("a", None))


async def test_put_many_stores_all_or_nothing(runtime: TestRuntime[Any], box: Any) -> None:
    async def use(_: Box, ctx: DurableObjectState) -> dict[str, Any]:
        with pytest.raises(TypeError, match="can't be stored"):
            await ctx.storage.put_many({"a": 1, "b": object()})
        return await ctx.storage.list()

    assert await runtime.run_in_durable_object(box, use) == {}


@pytest.mark.parametrize("method", ["get_many", "delete_many"])
async def test_more_than_128_keys_are_refused(
    runtime: TestRuntime[Any], box: Any, method: str
) -> None:
    keys = [str(number) for number in range(129)]

    with pytest.raises(ValueError, match=r"Maximum number of key value pairs is 128\. 129"):
        await runtime.run_in_durable_object(box, lambda _, ctx: getattr(ctx.storage, method)(keys))


async def test_a_transaction_commits_all_of_it(runtime: TestRuntime[Any], box: Any) -> None:
    async def use(_: Box, ctx: DurableObjectState) -> list[Any]:
        async def closure(txn: Any) -> str:
            await txn.put("a", 1)
            await asyncio.sleep(0)
            ctx.storage.sql.exec("INSERT INTO parents VALUES (7)")
            return f"saw {await txn.get('a')}"

        return [await ctx.storage.transaction(closure), await ctx.storage.get("a")]

    assert await runtime.run_in_durable_object(box, use) == ["saw 1", 1]
    await runtime.crash()
    assert await runtime.run_in_durable_object(box, lambda _, ctx: ctx.storage.get("a")) == 1


async def test_a_transaction_that_raises_undoes_all_of_it_and_resets_nothing(
    runtime: TestRuntime[Any], box: Any
) -> None:
    async def use(instance: Box, ctx: DurableObjectState) -> list[Any]:
        async def closure(txn: Any) -> None:
            await txn.put("a", 2)
            await asyncio.sleep(0)
            raise LookupError("changed my mind")

        await ctx.storage.put("a", 1)
        instance.mark = "same life"  # type: ignore[attr-defined]
        with pytest.raises(LookupError):
            await ctx.storage.transaction(closure)
        return [await ctx.storage.get("a"), instance.mark]  # type: ignore[attr-defined]

    assert await runtime.run_in_durable_object(box, use) == [1, "same life"]


async def test_nothing_else_runs_during_a_transaction(runtime: TestRuntime[Any], box: Any) -> None:
    opened = asyncio.get_running_loop().create_future()
    go_on = asyncio.get_running_loop().create_future()

    async def use(_: Box, ctx: DurableObjectState) -> None:
        async def closure(txn: Any) -> None:
            await txn.put("a", 1)
            opened.set_result(None)
            await go_on

        await ctx.storage.transaction(closure)

    running = asyncio.ensure_future(runtime.run_in_durable_object(box, use))
    await opened
    touching = box.touch()
    await turns()
    early = touching.done()
    go_on.set_result(None)

    assert not early
    assert await touching == "touched"
    await running


async def test_an_outer_rollback_undoes_what_an_inner_transaction_has_done(
    runtime: TestRuntime[Any], box: Any
) -> None:
    async def use(_: Box, ctx: DurableObjectState) -> list[Any]:
        async def inner(txn: Any) -> None:
            await asyncio.sleep(0)
            await txn.put("inner", 1)

        async def outer(txn: Any) -> str:
            await txn.put("outer", 1)
            await ctx.storage.transaction(inner)
            seen = await txn.list()
            txn.rollback()
            txn.rollback()
            return f"saw {sorted(seen)}"

        return [await ctx.storage.transaction(outer), await ctx.storage.list()]

    assert await runtime.run_in_durable_object(box, use) == ["saw ['inner', 'outer']", {}]


async def test_an_inner_failure_undoes_only_the_inner_transaction(
    runtime: TestRuntime[Any], box: Any
) -> None:
    async def use(_: Box, ctx: DurableObjectState) -> dict[str, Any]:
        async def inner(txn: Any) -> None:
            await txn.put("inner", 1)
            raise LookupError

        async def outer(txn: Any) -> None:
            await txn.put("outer", 1)
            with pytest.raises(LookupError):
                await ctx.storage.transaction(inner)

        await ctx.storage.transaction(outer)
        return await ctx.storage.list()

    assert await runtime.run_in_durable_object(box, use) == {"outer": 1}


async def test_a_transaction_refuses_to_be_used_when_it_is_over(
    runtime: TestRuntime[Any], box: Any
) -> None:
    async def use(_: Box, ctx: DurableObjectState) -> None:
        kept: list[Any] = []

        async def commit(txn: Any) -> None:
            kept.append(txn)

        async def roll_back(txn: Any) -> None:
            txn.rollback()
            with pytest.raises(errors.StorageError, match=r"Cannot get\(\) on rolled back"):
                await txn.get("a")

        await ctx.storage.transaction(commit)
        await ctx.storage.transaction(roll_back)
        with pytest.raises(errors.StorageError, match="already committed: did you move"):
            await kept[0].put("a", 1)

    await runtime.run_in_durable_object(box, use)


async def test_transaction_sync_keeps_all_or_nothing(runtime: TestRuntime[Any], box: Any) -> None:
    def use(_: Box, ctx: DurableObjectState) -> dict[str, Any]:
        def inner() -> None:
            ctx.storage.kv.put("inner", 1)
            raise LookupError

        def outer() -> str:
            ctx.storage.kv.put("outer", 1)
            with pytest.raises(LookupError):
                ctx.storage.transaction_sync(inner)
            return "kept"

        def failing() -> None:
            ctx.storage.kv.put("failing", 1)
            raise LookupError

        assert ctx.storage.transaction_sync(outer) == "kept"
        with pytest.raises(LookupError):
            ctx.storage.transaction_sync(failing)
        return dict(ctx.storage.kv.list())

    assert await runtime.run_in_durable_object(box, use) == {"outer": 1}


async def test_a_constraint_violated_at_the_commit_resets_the_object(
    runtime: TestRuntime[Any], box: Any
) -> None:
    def orphan(_: Box, ctx: DurableObjectState) -> None:
        ctx.storage.kv.put("a", 1)
        ctx.storage.sql.exec("INSERT INTO children VALUES (99)")

    with pytest.raises(errors.SqlError, match="constraints were violated: FOREIGN KEY") as failure:
        await runtime.run_in_durable_object(box, orphan)

    assert failure.value.durable_object_reset
    assert await runtime.run_in_durable_object(box, lambda _, ctx: ctx.storage.get("a")) is None


async def test_a_constraint_violated_at_a_transactions_end_resets_the_object_too(
    runtime: TestRuntime[Any], box: Any
) -> None:
    async def use(_: Box, ctx: DurableObjectState) -> None:
        async def orphan(txn: Any) -> None:
            await txn.put("b", 2)
            ctx.storage.sql.exec("INSERT INTO children VALUES (99)")

        await ctx.storage.put("a", 1)
        with suppress(errors.SqlError):
            await ctx.storage.transaction(orphan)

    with pytest.raises(errors.SqlError, match=r"^Durable Object was reset and rolled") as failure:
        await runtime.run_in_durable_object(box, use)

    assert failure.value.durable_object_reset
    assert await runtime.run_in_durable_object(box, lambda _, ctx: ctx.storage.list()) == {"a": 1}


@pytest.mark.parametrize("roll_back", [True, False])
async def test_a_full_disk_in_a_transaction_resets_the_object_whatever_its_code_does_then(
    runtime: TestRuntime[Any], box: Any, roll_back: bool
) -> None:
    async def use(_: Box, ctx: DurableObjectState) -> None:
        async def closure(txn: Any) -> None:
            ctx.storage.sql._database.run("PRAGMA max_page_count = 1")  # no public way leads there
            with pytest.raises(errors.SqlError, match="SQLITE_FULL"):
                await txn.put("big", b"x" * 100_000)
            if roll_back:
                txn.rollback()

        await ctx.storage.put("a", 1)
        with suppress(errors.SqlError):
            await ctx.storage.transaction(closure)

    with pytest.raises(errors.SqlError, match=r"^database or disk is full: SQLITE_FULL$"):
        await runtime.run_in_durable_object(box, use)

    assert await runtime.run_in_durable_object(box, lambda _, ctx: ctx.storage.list()) == {"a": 1}


async def test_transaction_sync_says_that_the_object_broke_though_its_closure_caught_that(
    runtime: TestRuntime[Any], box: Any
) -> None:
    def use(_: Box, ctx: DurableObjectState) -> None:
        def closure() -> None:
            ctx.storage.sql._database.run("PRAGMA max_page_count = 1")
            with suppress(errors.SqlError):
                ctx.storage.kv.put("big", b"x" * 100_000)

        ctx.storage.kv.put("a", 1)
        ctx.storage.transaction_sync(closure)
        said.append("committed")

    said: list[str] = []
    with pytest.raises(errors.SqlError, match="SQLITE_FULL"):
        await runtime.run_in_durable_object(box, use)

    assert said == []


async def test_a_full_disk_resets_the_object_even_if_its_code_caught_the_error(
    runtime: TestRuntime[Any], box: Any
) -> None:
    def fill(_: Box, ctx: DurableObjectState) -> str:
        database = ctx.storage.sql._database  # no public way leads to a full disk
        database.run(f"PRAGMA max_page_count = {ctx.storage.sql.database_size // 4096 + 2}")
        with pytest.raises(errors.SqlError, match="database or disk is full: SQLITE_FULL"):
            ctx.storage.kv.put("big", b"x" * 100_000)
        with pytest.raises(errors.SqlError, match="SQLITE_FULL"):
            ctx.storage.kv.get("big")
        return "carried on"

    await runtime.run_in_durable_object(box, lambda _, ctx: ctx.storage.put("small", 1))
    with pytest.raises(errors.SqlError, match="SQLITE_FULL") as failure:
        await runtime.run_in_durable_object(box, fill)

    assert failure.value.durable_object_reset
    assert await runtime.run_in_durable_object(box, lambda _, ctx: ctx.storage.list()) == {
        "small": 1
    }


async def test_a_write_that_takes_too_long_resets_the_object_whatever_its_code_caught() -> None:
    async def use(_: Box, ctx: DurableObjectState) -> None:
        await ctx.storage.put("synced", 1)
        await ctx.storage.sync()
        await ctx.storage.put("later", 1)
        with pytest.raises(errors.SqlError, match="SQLITE_INTERRUPT"):
            ctx.storage.sql.exec(f"INSERT INTO parents {upto(inf)}")
        with pytest.raises(errors.SqlError, match="SQLITE_INTERRUPT"):
            await ctx.storage.get_alarm()

    async with TestRuntime(bindings={"boxes": Box}, statement_seconds=0.05) as runtime:
        box = runtime.env.boxes.get_by_name("a")
        with pytest.raises(errors.SqlError, match="SQLITE_INTERRUPT") as failure:
            await runtime.run_in_durable_object(box, use)
        keys = await runtime.run_in_durable_object(box, lambda _, ctx: ctx.storage.list())

    assert failure.value.durable_object_reset
    assert keys == {"synced": 1}


async def test_a_query_isnt_blamed_for_the_time_between_its_readers_steps(
    runtime: TestRuntime[Any], box: Any, watch: Watch
) -> None:
    async def use(_: Box, ctx: DurableObjectState) -> None:
        rows = ctx.storage.sql.exec(upto(inf))
        for _step in range(3):
            assert len(list(islice(rows, 10_000))) == 10_000
            watch.seconds += 60
            await asyncio.sleep(0)
        with pytest.raises(errors.SqlError, match="SQLITE_INTERRUPT"):
            for _row in rows:
                watch.seconds += 0.001

    await runtime.run_in_durable_object(box, use)


async def test_a_query_that_takes_too_long_is_the_objects_to_handle() -> None:
    async def use(_: Box, ctx: DurableObjectState) -> str:
        await ctx.storage.put("a", 1)
        try:
            ctx.storage.sql.exec(upto(inf)).to_array()
        except errors.SqlError as error:
            return str(error)
        return "read to the end"

    async with TestRuntime(bindings={"boxes": Box}, statement_seconds=0.05) as runtime:
        box = runtime.env.boxes.get_by_name("a")
        said = await runtime.run_in_durable_object(box, use)
        kept = await runtime.run_in_durable_object(box, lambda _, ctx: ctx.storage.get("a"))

    assert (said[:29], kept) == ("interrupted: SQLITE_INTERRUPT", 1)


async def test_delete_all_forgets_data_keys_and_alarms_and_keeps_the_schema(
    runtime: TestRuntime[Any], box: Any
) -> None:
    async def use(_: Box, ctx: DurableObjectState) -> list[Any]:
        await ctx.storage.put("a", 1)
        ctx.storage.sql.exec("CREATE TABLE own (n)")
        await ctx.storage.delete_all()
        await ctx.storage.put("b", 2)
        tables = ctx.storage.sql.exec("SELECT name FROM sqlite_schema WHERE name NOT LIKE '\\_cf%'")
        return [await ctx.storage.list(), [row["name"] for row in tables]]

    keys, tables = await runtime.run_in_durable_object(box, use)

    assert keys == {"b": 2}
    assert "parents" in tables
    assert "own" not in tables


async def test_delete_all_is_refused_inside_a_transaction(
    runtime: TestRuntime[Any], box: Any
) -> None:
    async def use(_: Box, ctx: DurableObjectState) -> None:
        await ctx.storage.transaction(lambda _: ctx.storage.delete_all())

    with pytest.raises(errors.StorageError, match="within a transaction"):
        await runtime.run_in_durable_object(box, use)


async def test_sync_returns_when_what_was_written_is_durable(
    runtime: TestRuntime[Any], box: Any, disk: StuckDisk
) -> None:
    synced: list[str] = []

    async def use(_: Box, ctx: DurableObjectState) -> None:
        await ctx.storage.put("a", 1)
        await ctx.storage.sync()
        synced.append("now")

    await runtime.run_in_durable_object(box, lambda _, ctx: ctx.storage.sync())
    with disk.stuck():
        using = asyncio.ensure_future(runtime.run_in_durable_object(box, use))
        await turns()
        early = list(synced)

    await using
    assert early == []
    assert synced == ["now"]


async def _put(ctx: DurableObjectState) -> None:
    await ctx.storage.put("b", 2, allow_unconfirmed=True)


async def _put_many(ctx: DurableObjectState) -> None:
    await ctx.storage.put_many({"b": 2, "c": 3}, allow_unconfirmed=True)


async def _delete(ctx: DurableObjectState) -> None:
    assert await ctx.storage.delete("a", allow_unconfirmed=True)


async def _delete_many(ctx: DurableObjectState) -> None:
    assert await ctx.storage.delete_many(["a", "b"], allow_unconfirmed=True) == 1


async def _set_alarm(ctx: DurableObjectState) -> None:
    await ctx.storage.set_alarm(timedelta(days=2), allow_unconfirmed=True)


async def _delete_alarm(ctx: DurableObjectState) -> None:
    await ctx.storage.delete_alarm(allow_unconfirmed=True)


async def _in_transaction(ctx: DurableObjectState) -> None:
    async def closure(txn: Any) -> None:
        await txn.put("b", 2, allow_unconfirmed=True)
        await txn.put_many({"c": 3}, allow_unconfirmed=True)
        await txn.delete("a", allow_unconfirmed=True)
        await txn.delete_many(["a"], allow_unconfirmed=True)
        await txn.delete_alarm(allow_unconfirmed=True)
        await txn.set_alarm(timedelta(days=2), allow_unconfirmed=True)
        await asyncio.sleep(0)

    await ctx.storage.transaction(closure)


UNCONFIRMED = [_put, _put_many, _delete, _delete_many, _set_alarm, _delete_alarm, _in_transaction]


@pytest.mark.parametrize("write", UNCONFIRMED)
async def test_nobody_waits_for_an_unconfirmed_write_but_sync(
    runtime: TestRuntime[Any], box: Any, disk: StuckDisk, write: Callable[..., Any]
) -> None:
    async def prepare(_: Box, ctx: DurableObjectState) -> None:
        await ctx.storage.put("a", 1)
        await ctx.storage.set_alarm(timedelta(days=1))

    async def write_and_sync(_: Box, ctx: DurableObjectState) -> None:
        await write(ctx)
        written.set_result(None)
        await ctx.storage.sync()

    await runtime.run_in_durable_object(box, prepare)
    await runtime.settle()
    written = asyncio.get_running_loop().create_future()
    with disk.stuck():
        syncing = asyncio.ensure_future(runtime.run_in_durable_object(box, write_and_sync))
        await written
        touching = box.touch()
        await turns()
        early = (touching.done(), syncing.done())

    assert early == (True, False)
    assert await touching == "touched"
    await syncing


@pytest.mark.parametrize("order", [("unconfirmed", "confirmed"), ("confirmed", "unconfirmed")])
async def test_an_unconfirmed_write_is_waited_for_with_a_confirmed_one_of_its_step(
    box: Any, disk: StuckDisk, order: tuple[str, str]
) -> None:
    with disk.stuck():
        writing = box.write(*order)
        await turns()
        early = writing.done()

    assert not early
    await writing


async def test_sql_is_always_waited_for(box: Any, disk: StuckDisk) -> None:
    with disk.stuck():
        writing = box.write("unconfirmed", "sql")
        await turns()
        early = writing.done()

    assert not early
    await writing


async def test_a_disk_that_is_stuck_resets_the_object(
    runtime: TestRuntime[Any], box: Any, disk: StuckDisk
) -> None:
    await box.touch()
    with disk.stuck():
        writing = box.write("confirmed")
        await turns()
        for timer in list(iter(lambda: runtime.clock.due.pop_due(inf), None)):
            timer.ring()  # the clock can't be moved: the runtime doesn't come to rest
        with pytest.raises(errors.ObjectReset, match=r"^Durable Object storage operation exceed"):
            await writing

    keys = await runtime.run_in_durable_object(box, lambda _, ctx: ctx.storage.list())
    assert keys == {"confirmed": 1}, "perhaps it is written all the same, as here"


async def test_losing_an_unconfirmed_write_resets_the_object(
    runtime: TestRuntime[Any], box: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await box.write("confirmed")
    life = runtime.host.life_of(key_of(box))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", _refuse)
        await box.write("unconfirmed")
        await runtime.settle()

    assert life is not None
    assert isinstance(life.failure, errors.ObjectReset)
    assert await runtime.run_in_durable_object(box, lambda _, ctx: ctx.storage.list()) == {
        "confirmed": 1
    }


async def test_an_alarm_that_never_comes_is_refused(runtime: TestRuntime[Any], box: Any) -> None:
    with pytest.raises(TypeError, match=r"^set_alarm\(\) cannot .* time that never comes$"):
        await runtime.run_in_durable_object(box, lambda _, ctx: ctx.storage.set_alarm(inf))


@pytest.mark.parametrize(("name", "error"), [("", ValueError), (5, TypeError), (b"a", TypeError)])
async def test_what_is_no_name_of_an_alarm_is_refused(
    runtime: TestRuntime[Any], box: Any, name: Any, error: type[Exception]
) -> None:
    async def set_it(_: Box, ctx: DurableObjectState) -> dict[str | None, float]:
        with pytest.raises(error, match="an alarm's name"):
            await ctx.storage.set_alarm(timedelta(1), name=name)
        return await ctx.storage.list_alarms()

    assert await runtime.run_in_durable_object(box, set_it) == {}


async def test_the_node_hears_of_an_alarm_only_once_its_unconfirmed_write_is_durable(
    runtime: TestRuntime[Any], box: Any, disk: StuckDisk
) -> None:
    """Else a crash could lose an alarm whose unsetting was lost."""
    await runtime.run_in_durable_object(box, lambda _, ctx: ctx.storage.set_alarm(timedelta(1)))
    await runtime.settle()

    with disk.stuck():
        unsetting = asyncio.ensure_future(
            runtime.run_in_durable_object(box, lambda _, ctx: _delete_alarm(ctx))
        )
        await turns()
        await runtime._catalog.flush()
        early = len(await runtime._catalog.alarms())
    await unsetting
    await runtime.settle()

    assert early == 1
    assert await runtime._catalog.alarms() == []


async def test_an_unconfirmed_write_is_in_the_journal_before_it_is_in_the_database(
    runtime: TestRuntime[Any], box: Any, disk: StuckDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await box.write("confirmed")
    await runtime.settle()
    life = runtime.host.life_of(key_of(box))
    assert life is not None
    checkpoints = life.disk._checkpoints
    monkeypatch.setattr(checkpoints, "_due_at", 1)

    with disk.stuck():
        await box.write("unconfirmed")
        await turns()
        early = checkpoints.is_running

    assert not early


async def test_an_unconfirmed_transaction_may_call_another_object_but_not_sync(
    runtime: TestRuntime[Any], box: Any
) -> None:
    other = runtime.env.boxes.get_by_name("b")

    async def use(_: Box, ctx: DurableObjectState) -> str:
        async def closure(txn: Any) -> str:
            await txn.put("a", 1, allow_unconfirmed=True)
            said = await other.touch()
            with pytest.raises(errors.StorageError, match=r"sync\(\) inside transaction"):
                await ctx.storage.sync()
            return str(said)

        return await ctx.storage.transaction(closure)

    assert await runtime.run_in_durable_object(box, use) == "touched"


async def test_calling_another_object_after_a_write_in_a_transaction_is_refused(
    runtime: TestRuntime[Any], box: Any
) -> None:
    other = runtime.env.boxes.get_by_name("b")

    async def use(_: Box, ctx: DurableObjectState) -> list[Any]:
        async def closure(txn: Any) -> str:
            before = await other.touch()
            await txn.put("a", 1)
            await other.touch()
            return str(before)

        with pytest.raises(errors.StorageError, match="do it before the first write"):
            await ctx.storage.transaction(closure)
        return [await ctx.storage.get("a")]

    assert await runtime.run_in_durable_object(box, use) == [None]


async def test_sync_waits_for_what_was_written_before_the_transaction_it_is_in(
    runtime: TestRuntime[Any], box: Any
) -> None:
    async def use(_: Box, ctx: DurableObjectState) -> list[Any]:
        async def closure(txn: Any) -> None:
            await ctx.storage.sync()
            await txn.put("b", 2)

        await ctx.storage.put("a", 1)
        await ctx.storage.transaction(closure)
        return sorted(await ctx.storage.list())

    assert await runtime.run_in_durable_object(box, use) == ["a", "b"]


async def test_sync_after_a_write_in_a_transaction_is_refused(
    runtime: TestRuntime[Any], box: Any
) -> None:
    async def use(_: Box, ctx: DurableObjectState) -> list[Any]:
        async def closure(txn: Any) -> None:
            await txn.put("a", 1)
            await ctx.storage.sync()

        with pytest.raises(errors.StorageError, match=r"sync\(\) inside transaction\(\) would"):
            await ctx.storage.transaction(closure)
        return [await ctx.storage.get("a")]

    assert await runtime.run_in_durable_object(box, use) == [None]


async def test_a_callback_that_writes_in_a_transaction_is_an_error_for_whoever_called_it(
    runtime: TestRuntime[Any], box: Any
) -> None:
    other = runtime.env.boxes.get_by_name("b")

    async def use(_: Box, ctx: DurableObjectState) -> list[Any]:
        async def closure(txn: Any) -> str:
            before = await other.apply(lambda: txn.get("a"))
            with pytest.raises(errors.StorageError, match="the answer to a callback inside"):
                await other.apply(lambda: txn.put("a", 1))
            return f"saw {before}, then {await txn.get('a')}"

        return [await ctx.storage.transaction(closure), await ctx.storage.get("a")]

    assert await runtime.run_in_durable_object(box, use) == ["saw None, then 1", 1]


async def test_a_large_log_is_shortened_while_the_object_is_in_use(
    runtime: TestRuntime[Any], box: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.host, "log_pages", 20)
    wal = runtime.config.data / "objects" / "Box" / f"{box.id}.sqlite-wal"

    for number in range(200):
        await runtime.run_in_durable_object(
            box,
            lambda _, ctx: ctx.storage.put(f"k{number}", "x" * 500),  # noqa: B023
        )

    assert wal.stat().st_size < 60 * 4096
    await runtime.crash()
    keys = await runtime.run_in_durable_object(box, lambda _, ctx: ctx.storage.list())
    assert len(keys) == 200


async def test_a_checkpoint_whose_turn_comes_too_late_leaves_the_database_closed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened again, it would be locked when the object's next life wants it."""
    monkeypatch.setattr("runtime.checkpoints.PAGES", 1)
    gate, syncer = InputGate(asyncio.get_running_loop().call_soon), Syncer()
    output = OutputGate()
    checkpoints = Checkpoints(
        database, database.checkpoint, syncer, gate, output.send, lambda _: None
    )
    database.write("CREATE TABLE t (n)")
    database.commit()
    section = gate.start_section(lambda _: None)
    checkpoints.start_if_due()

    database.close(checkpoint=False)
    section.finish()
    await turns()
    syncer.shut_down()

    assert not checkpoints.is_running
    assert not database.is_open


def _refuse(_: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


class Wiper(DurableObject[object]):
    """Empties itself, and goes on."""

    async def put(self) -> None:
        await self.ctx.storage.put("a", 1)

    async def wipe(self, times: int) -> None:
        for _ in range(times):
            await self.ctx.storage.delete_all()
        await self.ctx.storage.put("b", 2)


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("has_stored", [True, False])
async def test_no_thread_uses_the_database_while_a_step_does(
    monkeypatch: pytest.MonkeyPatch, times: int, has_stored: bool
) -> None:
    """delete_all() wants a checkpoint soon, and has to wait for the end of its step."""
    async with TestRuntime(bindings={"wipers": Wiper}) as runtime:
        wiper = runtime.env.wipers.get_by_name("a")
        if has_stored:
            await wiper.put()
            await runtime.settle()
        host, inside = runtime.host, []
        really = host.syncer.run

        def run(*args: Any, **options: Any) -> None:
            if not options:  # else it is the journal's
                inside.append(host.is_stepping)
            really(*args, **options)

        monkeypatch.setattr(host.syncer, "run", run)
        await wiper.wipe(times)
        await runtime.settle()

        assert inside
        assert not any(inside)


class Resetter(DurableObject[Any]):
    """Resets itself when a critical section of it has ended."""

    async def put(self, value: int) -> None:
        await self.ctx.storage.put("value", value)

    async def get(self) -> int | None:
        value: int | None = await self.ctx.storage.get("value")
        return value

    async def reset(self) -> None:
        await self.ctx.block_concurrency_while(lambda: asyncio.sleep(1))
        await self.ctx.storage.set_alarm(timedelta(days=1))
        self.ctx.abort()

    async def alarm(self, invocation: AlarmInvocation) -> None:
        pass


async def test_a_checkpoint_that_a_reset_has_overtaken_settles_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The journal would forget what no database holds."""
    monkeypatch.setattr("runtime.journal.SEGMENTS", 1)
    async with TestRuntime(bindings={"objects": Resetter}, journal_segment_bytes=1) as runtime:
        one, other = (runtime.env.objects.get_by_name(name) for name in "ab")
        await one.put(1)
        resetting = asyncio.ensure_future(one.reset())
        await other.put(2)  # begins a segment: the first one is to be settled, in its turn
        await runtime.clock.advance(1)
        with pytest.raises(errors.ObjectReset):
            await resetting
        await other.put(3)
        await runtime.crash()

        assert await one.get() == 1
