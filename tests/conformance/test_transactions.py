"""Section B of the conformance list: transactions, what commits together, and what is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from inspect import isawaitable
from typing import Any, ClassVar, Final

import pytest

from runtime import AlarmInvocation, DurableObject, DurableObjectState, errors
from runtime.testing import Point, TestRuntime
from tests.conftest import StartRuntime

FULL: Final = "database or disk is full: SQLITE_FULL"

Work = Callable[[DurableObjectState], Any]


class Vault(DurableObject[Any]):
    """Keeps coins, counts, and does what the tests want done."""

    migrations = ("CREATE TABLE coins (value)",)

    made: ClassVar[int]
    works: ClassVar[list[Work]]
    said: ClassVar[list[str]]

    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        Vault.made += 1

    async def do(self, number: int) -> Any:
        result = Vault.works[number](self.ctx)
        return await result if isawaitable(result) else result

    async def write(self, **entries: Any) -> None:
        for key, value in entries.items():
            await self.ctx.storage.put(key, value)

    async def keys(self) -> dict[str, Any]:
        return await self.ctx.storage.list()

    async def coins(self) -> list[int]:
        return [row["value"] for row in self.ctx.storage.sql.exec("SELECT value FROM coins")]

    async def increment(self) -> int:
        count: int = await self.ctx.storage.get("counter", 0) + 1
        await self.ctx.storage.put("counter", count)
        return count

    async def alarm(self, invocation: AlarmInvocation) -> None:
        Vault.said.append("rung")


@pytest.fixture(autouse=True)
async def fresh_vault() -> None:
    """Put back what the tests' class shares among its objects."""
    Vault.made, Vault.works, Vault.said = 0, [], []


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with vaults."""
    started: TestRuntime[Any] = await start_runtime(vaults=Vault)
    return started


@pytest.fixture
def vault(runtime: TestRuntime[Any]) -> Any:
    """One of them."""
    return runtime.env.vaults.get_by_name("a")


@pytest.fixture
async def awake_runtime(start_awake_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with vaults that stay in memory."""
    started: TestRuntime[Any] = await start_awake_runtime(vaults=Vault)
    return started


@pytest.fixture
def awake_vault(awake_runtime: TestRuntime[Any]) -> Any:
    """One of those."""
    return awake_runtime.env.vaults.get_by_name("a")


def inside(vault: Any, work: Work) -> Any:
    """Have an object do `work`, in a call of its own."""
    Vault.works.append(work)
    return vault.do(len(Vault.works) - 1)


async def commits_of(runtime: TestRuntime[Any], vault: Any, work: Work) -> int:
    """Return in how many commits an object, which has been used before, keeps `work`."""
    await vault.write(used=True)
    before = await runtime.commit_count(vault)
    await inside(vault, work)
    return await runtime.commit_count(vault) - before


def insert(ctx: DurableObjectState, *coins: int) -> None:
    for coin in coins:
        ctx.storage.sql.exec("INSERT INTO coins VALUES (?)", coin)


def overfill(ctx: DurableObjectState) -> None:
    """Ask for more than there is room for, and look away."""
    # No public way leads to a disk that is full for SQLite.
    ctx.storage.sql._database.run("PRAGMA max_page_count = 1")
    with suppress(errors.SqlError):
        ctx.storage.sql.exec("INSERT INTO coins VALUES (zeroblob(100000))")
        Vault.said.append("there was room")


# Transactions.


async def test_b01_what_a_transaction_writes_is_seen_inside_it_and_after_it(vault: Any) -> None:
    async def use(ctx: DurableObjectState) -> list[Any]:
        async def closure(txn: Any) -> str:
            await txn.put("key", "inside")
            return f"seen: {await txn.get('key')}"

        return [await ctx.storage.transaction(closure), await ctx.storage.get("key")]

    assert await inside(vault, use) == ["seen: inside", "inside"]
    assert await vault.keys() == {"key": "inside"}


async def test_b02_what_was_written_before_a_transaction_commits_before_it(
    awake_runtime: TestRuntime[Any], awake_vault: Any
) -> None:
    async def use(ctx: DurableObjectState) -> None:
        async def closure(txn: Any) -> None:
            assert await txn.get("key") == "before"
            await txn.put("key", "inside")

        await ctx.storage.put("key", "before")
        await ctx.storage.transaction(closure)

    assert await commits_of(awake_runtime, awake_vault, use) == 2
    assert await awake_vault.keys() == {"used": True, "key": "inside"}


async def test_b02_a_transaction_that_fails_leaves_what_was_written_before_it(vault: Any) -> None:
    async def use(ctx: DurableObjectState) -> None:
        async def closure(txn: Any) -> None:
            await txn.put("key", "inside")
            raise LookupError

        await ctx.storage.put("key", "before")
        with pytest.raises(LookupError):
            await ctx.storage.transaction(closure)

    await inside(vault, use)

    assert await vault.keys() == {"key": "before"}


async def test_b04_an_outer_rollback_undoes_an_inner_transaction_that_has_waited(
    runtime: TestRuntime[Any], vault: Any
) -> None:
    async def use(ctx: DurableObjectState) -> list[str]:
        async def inner(txn: Any) -> None:
            await txn.put("key", "inner")
            await asyncio.sleep(1)
            await txn.put("other", "inner")

        async def outer(txn: Any) -> list[str]:
            await txn.put("key", "outer")
            await ctx.storage.transaction(inner)
            seen = list((await txn.list()).values())
            txn.rollback()
            return seen

        return await ctx.storage.transaction(outer)

    await vault.write(key="before")
    using = inside(vault, use)
    await runtime.clock.advance(1)

    assert await using == ["inner", "inner"]
    assert await vault.keys() == {"key": "before"}


async def test_b05_transaction_sync_returns_what_its_closure_does(vault: Any) -> None:
    def use(ctx: DurableObjectState) -> Any:
        def closure() -> Any:
            insert(ctx, 5)
            return ctx.storage.sql.exec("SELECT value FROM coins").one()

        return ctx.storage.transaction_sync(closure)

    assert await inside(vault, use) == {"value": 5}
    assert await vault.coins() == [5]


async def test_b05_a_statement_that_fails_takes_back_the_table_of_the_one_before(
    vault: Any,
) -> None:
    def use(ctx: DurableObjectState) -> Any:
        def closure() -> None:
            ctx.storage.sql.exec("CREATE TABLE notes (number INTEGER PRIMARY KEY)")
            ctx.storage.sql.exec("INSERT INTO notes VALUES ('no number')")

        with pytest.raises(errors.SqlError, match="datatype mismatch"):
            ctx.storage.transaction_sync(closure)
        ctx.storage.sql.exec("SELECT * FROM notes")

    with pytest.raises(errors.SqlError, match="no such table: notes"):
        await inside(vault, use)


async def test_b06_an_inner_failure_undoes_only_the_inner_transaction_sync(vault: Any) -> None:
    def use(ctx: DurableObjectState) -> None:
        def inner() -> None:
            insert(ctx, 2)
            ctx.storage.kv.put("inner", 2)
            raise LookupError

        def outer() -> None:
            insert(ctx, 1)
            with pytest.raises(LookupError):
                ctx.storage.transaction_sync(inner)
            insert(ctx, 3)

        ctx.storage.transaction_sync(outer)

    await inside(vault, use)

    assert (await vault.coins(), await vault.keys()) == ([1, 3], {})


async def test_b20_a_transaction_sees_what_it_has_written_over_what_was_there(vault: Any) -> None:
    async def use(ctx: DurableObjectState) -> list[Any]:
        async def closure(txn: Any) -> list[Any]:
            await txn.put("b", "new")
            await txn.put_many({"e": "new", "bb": "new"})
            return [
                await txn.delete("c"),
                await txn.delete("c"),
                [await txn.get(key) for key in "abcde"],
                list((await txn.get_many(["e", "c", "b", "a", "b"])).items()),
                await txn.delete_many(["a", "c", "e", "nothing"]),
                list(await txn.list()),
                list(await txn.list(limit=2)),
                list(await txn.list(start="bb", end="e")),
                list(await txn.list(reverse=True)),
                list(await txn.list(reverse=True, limit=2)),
            ]

        return await ctx.storage.transaction(closure)

    await vault.write(a="old", b="old", c="old", d="old")

    assert await inside(vault, use) == [
        True,
        False,
        ["old", "new", None, "old", "new"],
        [("a", "old"), ("b", "new"), ("e", "new")],
        2,
        ["b", "bb", "d"],
        ["b", "bb"],
        ["bb", "d"],
        ["d", "bb", "b"],
        ["d", "bb"],
    ]
    assert await vault.keys() == {"b": "new", "bb": "new", "d": "old"}


OPERATIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "get": lambda txn: txn.get("a"),
    "put": lambda txn: txn.put("a", 1),
    "delete": lambda txn: txn.delete("a"),
    "list": lambda txn: txn.list(),
    "get_alarm": lambda txn: txn.get_alarm(),
    "set_alarm": lambda txn: txn.set_alarm(timedelta(1)),
    "delete_alarm": lambda txn: txn.delete_alarm(),
    "rollback": lambda txn: txn.rollback(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_b21_a_transaction_that_has_committed_refuses_to_be_used(
    vault: Any, operation: str
) -> None:
    async def use(ctx: DurableObjectState) -> None:
        async def closure(txn: Any) -> Any:
            kept.append(txn)

        kept: list[Any] = []
        await ctx.storage.transaction(closure)
        await OPERATIONS[operation](kept[0])

    with pytest.raises(errors.StorageError) as refusal:
        await inside(vault, use)

    assert str(refusal.value) == (
        f"Cannot call {operation}() on transaction that has already committed: did you move `txn` "
        "outside of the closure?"
    )
    assert await vault.keys() == {}


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "rollback"])
async def test_b21_a_transaction_that_was_rolled_back_refuses_to_be_used(
    vault: Any, operation: str
) -> None:
    async def use(ctx: DurableObjectState) -> str:
        async def closure(txn: Any) -> str:
            await txn.put("a", 1)
            txn.rollback()
            with pytest.raises(errors.StorageError) as refusal:
                await OPERATIONS[operation](txn)
            txn.rollback()  # which may be repeated
            return str(refusal.value)

        return await ctx.storage.transaction(closure)

    assert await inside(vault, use) == f"Cannot {operation}() on rolled back transaction"
    assert await vault.keys() == {}


async def test_b21_delete_all_is_refused_in_a_transaction(vault: Any) -> None:
    async def use(ctx: DurableObjectState) -> None:
        async def closure(txn: Any) -> None:
            await txn.put("b", 2)
            with pytest.raises(
                errors.StorageError, match=r"^Cannot call delete_all\(\) within a transaction$"
            ):
                await ctx.storage.delete_all()

        await ctx.storage.transaction(closure)

    await vault.write(a=1)
    await inside(vault, use)

    assert await vault.keys() == {"a": 1, "b": 2}


async def test_b24_a_transaction_that_takes_30_seconds_resets_the_object(
    awake_runtime: TestRuntime[Any], awake_vault: Any
) -> None:
    async def use(ctx: DurableObjectState) -> None:
        async def closure(txn: Any) -> None:
            await txn.put("key", "inside")
            await asyncio.sleep(3600)

        await ctx.storage.transaction(closure)

    await awake_vault.write(key="before")
    calls = [inside(awake_vault, use), awake_vault.keys()]

    await awake_runtime.clock.advance(29.9)
    early = [call.done() for call in calls]
    await awake_runtime.clock.advance(0.1)
    failures = await asyncio.gather(*calls, return_exceptions=True)

    assert early == [False, False]
    for failure in failures:
        assert isinstance(failure, errors.ObjectReset)
        assert failure.overloaded
        assert str(failure) == (
            "A call to block_concurrency_while() in a Durable Object waited for too long. "
            "The call was canceled and the Durable Object was reset."
        )
    assert await awake_vault.keys() == {"key": "before"}
    assert Vault.made == 2


# What commits together.


async def test_b13_many_keys_are_put_in_one_commit(
    awake_runtime: TestRuntime[Any], awake_vault: Any
) -> None:
    entries = {str(number): number for number in range(100)}

    commits = await commits_of(
        awake_runtime, awake_vault, lambda ctx: ctx.storage.put_many(entries)
    )

    assert commits == 1
    assert await awake_vault.keys() == {"used": True, **entries}


async def test_b13_an_error_in_the_middle_takes_back_all_of_the_keys(vault: Any) -> None:
    async def use(ctx: DurableObjectState) -> None:
        await ctx.storage.put("before", 1)
        with pytest.raises(TypeError, match="can't be stored"):
            await ctx.storage.put_many({"a": 1, "b": object(), "c": 3})

    await inside(vault, use)

    assert await vault.keys() == {"before": 1}


async def write_and_set_alarm(ctx: DurableObjectState) -> None:
    await ctx.storage.set_alarm(timedelta(seconds=60))
    await ctx.storage.put("key", 1)


async def test_b14_an_alarm_is_set_in_the_commit_of_the_write_beside_it(
    awake_runtime: TestRuntime[Any], awake_vault: Any
) -> None:
    assert await commits_of(awake_runtime, awake_vault, write_and_set_alarm) == 1


@pytest.mark.parametrize(
    ("point", "is_kept"), [("before_commit", False), ("after_commit", False), ("after_sync", True)]
)
async def test_b14_a_crash_keeps_both_an_alarm_and_the_write_beside_it_or_neither(
    runtime: TestRuntime[Any], vault: Any, point: Point, is_kept: bool
) -> None:
    await vault.write(before=1)
    crash = runtime.crash_at(point)
    with pytest.raises(errors.ObjectReset, match="the process died"):
        await inside(vault, write_and_set_alarm)
    await crash
    await runtime.clock.advance(60)

    assert ("key" in await vault.keys(), bool(Vault.said)) == (is_kept, is_kept)


async def test_b22_what_is_written_without_waiting_is_one_commit(
    awake_runtime: TestRuntime[Any], awake_vault: Any
) -> None:
    async def write(ctx: DurableObjectState) -> None:
        await ctx.storage.put("a", 1)
        ctx.storage.kv.put("b", 2)
        insert(ctx, 1)
        await ctx.storage.delete("a")

    async def write_and_wait(ctx: DurableObjectState) -> None:
        await ctx.storage.put("a", 1)
        await asyncio.sleep(0)
        await ctx.storage.put("b", 2)

    assert await commits_of(awake_runtime, awake_vault, write) == 1
    assert await commits_of(awake_runtime, awake_vault, write_and_wait) == 2


@pytest.mark.parametrize(
    ("point", "kept"),
    [("before_commit", "before"), ("after_commit", "before"), ("after_sync", "before a b")],
)
async def test_b22_a_crash_keeps_all_that_was_written_without_waiting_or_nothing(
    runtime: TestRuntime[Any], vault: Any, point: Point, kept: str
) -> None:
    await vault.write(before=1)
    crash = runtime.crash_at(point)
    with pytest.raises(errors.ObjectReset, match="the process died"):
        await vault.write(a=1, b=2)
    await crash

    assert (await vault.keys()).keys() == set(kept.split())


async def test_b22_a_crash_keeps_what_was_written_before_the_object_waited(
    runtime: TestRuntime[Any], vault: Any
) -> None:
    async def use(ctx: DurableObjectState) -> None:
        await ctx.storage.put("first", 1)
        await asyncio.sleep(1)
        await ctx.storage.put("second", 2)

    writing = inside(vault, use)
    await runtime.settle()
    crash = runtime.crash_at("before_commit")
    await runtime.clock.advance(1)
    with pytest.raises(errors.ObjectReset, match="the process died"):
        await writing
    await crash

    assert await vault.keys() == {"first": 1}


# Who waits until what is durable.


@pytest.mark.parametrize(
    ("levels", "have_to_wait"),
    [
        ("confirmed", True),
        ("unconfirmed", False),
        ("unconfirmed / unconfirmed", False),
        ("unconfirmed / confirmed", True),
        ("unconfirmed / unconfirmed / confirmed", True),
        ("unconfirmed / confirmed, rolled back", False),
        ("unconfirmed / unconfirmed, rolled back / confirmed", False),
        ("confirmed / confirmed, rolled back", True),
    ],
)
async def test_b16_messages_wait_for_a_transaction_that_keeps_a_confirmed_write(
    awake_runtime: TestRuntime[Any], awake_vault: Any, levels: str, have_to_wait: bool
) -> None:
    async def nest(ctx: DurableObjectState, *levels: str) -> None:
        async def closure(txn: Any) -> None:
            await txn.put(str(len(levels)), 1, allow_unconfirmed="unconfirmed" in levels[0])
            await nest(ctx, *levels[1:])
            if "rolled back" in levels[0]:
                txn.rollback()

        if levels:
            await ctx.storage.transaction(closure)

    await awake_vault.keys()
    awake_runtime.disk.slow(2)
    nesting = inside(awake_vault, lambda ctx: nest(ctx, *levels.split(" / ")))
    await awake_runtime.settle()
    early = nesting.done()
    await awake_runtime.clock.advance(2)

    assert early == (not have_to_wait)
    await nesting


async def test_b16_a_commit_that_fails_resets_the_object_though_nobody_waits_for_it(
    awake_runtime: TestRuntime[Any], awake_vault: Any
) -> None:
    async def use(ctx: DurableObjectState) -> str:
        async def closure(txn: Any) -> str:
            await txn.put("key", 1, allow_unconfirmed=True)
            return "written"

        return await ctx.storage.transaction(closure)

    await awake_vault.write(before=1)
    awake_runtime.disk.slow(1)
    awake_runtime.disk.fail()
    said = await inside(awake_vault, use)
    await awake_runtime.clock.advance(1)
    awake_runtime.disk.mend()

    assert said == "written"
    assert await awake_vault.keys() == {"before": 1}
    assert Vault.made == 2


async def test_b17_sync_returns_at_once_if_nothing_is_pending(
    runtime: TestRuntime[Any], vault: Any
) -> None:
    await vault.write(a=1)

    runtime.disk.slow(2)
    syncing = inside(vault, lambda ctx: ctx.storage.sync())
    await runtime.settle()

    assert syncing.done()
    await syncing


@pytest.mark.parametrize("is_unconfirmed", [True, False])
async def test_b17_sync_waits_for_every_write(
    runtime: TestRuntime[Any], vault: Any, is_unconfirmed: bool
) -> None:
    async def use(ctx: DurableObjectState) -> None:
        await ctx.storage.put("a", 1, allow_unconfirmed=is_unconfirmed)
        await ctx.storage.sync()
        Vault.said.append("synced")

    await vault.write(before=1)
    runtime.disk.slow(2)
    syncing = inside(vault, use)
    await runtime.clock.advance(1.9)
    early = list(Vault.said)
    await runtime.clock.advance(0.1)

    assert (early, Vault.said) == ([], ["synced"])
    await syncing


async def test_b17_sync_waits_for_the_writes_before_it_only(
    runtime: TestRuntime[Any], vault: Any
) -> None:
    async def use(ctx: DurableObjectState) -> None:
        await ctx.storage.put("a", 1)
        syncing = asyncio.ensure_future(ctx.storage.sync())
        await asyncio.sleep(1)
        await ctx.storage.put("b", 2)
        await syncing
        Vault.said.append("synced")

    await vault.write(before=1)
    runtime.disk.slow(2)
    using = inside(vault, use)
    await runtime.clock.advance(2)

    assert Vault.said == ["synced"]
    assert not using.done(), "b isn't durable, or the test means nothing"
    await runtime.clock.advance(2)
    await using


async def test_b17_all_that_is_to_be_synced_is_one_commit(
    awake_runtime: TestRuntime[Any], awake_vault: Any
) -> None:
    async def use(ctx: DurableObjectState) -> None:
        await ctx.storage.put("a", 1, allow_unconfirmed=True)
        await ctx.storage.put("b", 2, allow_unconfirmed=True)
        await asyncio.gather(ctx.storage.sync(), ctx.storage.sync())

    assert await commits_of(awake_runtime, awake_vault, use) == 1


async def test_b17_sync_fails_with_the_commit_that_it_waits_for(
    runtime: TestRuntime[Any], vault: Any
) -> None:
    async def use(ctx: DurableObjectState) -> None:
        await ctx.storage.put("a", 1, allow_unconfirmed=True)
        await ctx.storage.sync()
        Vault.said.append("synced")

    await vault.write(before=1)
    runtime.disk.fail()
    with pytest.raises(errors.ObjectReset, match="the disk refused what this object wrote last"):
        await inside(vault, use)
    runtime.disk.mend()

    assert Vault.said == []
    assert await vault.keys() == {"before": 1}


# What is lost.


async def test_b08_abort_takes_back_what_its_step_has_written(
    runtime: TestRuntime[Any], vault: Any
) -> None:
    async def spoil(ctx: DurableObjectState) -> None:
        await ctx.storage.put("counter", 888)
        ctx.abort("test broken")

    before = [await vault.increment(), await vault.increment()]
    with pytest.raises(errors.ObjectReset, match=r"^test broken$") as failure:
        await inside(vault, spoil)

    assert failure.value.durable_object_reset
    assert [*before, await vault.increment()] == [1, 2, 3]
    assert await runtime.env.vaults.get_by_name("a").increment() == 4


async def test_b09_delete_all_forgets_what_its_step_has_written(vault: Any) -> None:
    async def put_and_delete_all(ctx: DurableObjectState) -> Any:
        await ctx.storage.put("counter", 888)
        await ctx.storage.delete_all()
        return await ctx.storage.get("counter", "forgotten")

    before = [await vault.increment(), await vault.increment()]

    assert await inside(vault, put_and_delete_all) == "forgotten"
    assert [*before, await vault.increment()] == [1, 2, 1]


async def test_b10_a_full_disk_resets_the_object_whatever_its_code_catches(
    awake_vault: Any,
) -> None:
    async def use(ctx: DurableObjectState) -> str:
        insert(ctx, 1)
        await ctx.storage.sync()
        insert(ctx, 2)
        overfill(ctx)
        with pytest.raises(errors.SqlError, match=f"^{FULL}$"):
            insert(ctx, 3)
        return "all is well"

    with pytest.raises(errors.SqlError, match=f"^{FULL}$") as failure:
        await inside(awake_vault, use)

    assert failure.value.durable_object_reset
    assert Vault.said == []
    assert await awake_vault.coins() == [1]
    assert Vault.made == 2


async def test_b12_a_full_disk_in_a_transaction_takes_nothing_that_was_written_before(
    awake_vault: Any,
) -> None:
    async def use(ctx: DurableObjectState) -> str:
        async def closure(txn: Any) -> None:
            insert(ctx, 3)
            overfill(ctx)
            txn.rollback()

        insert(ctx, 1)
        await ctx.storage.sync()
        insert(ctx, 2)
        with suppress(errors.SqlError):
            await ctx.storage.transaction(closure)
        return "all is well"

    with pytest.raises(errors.SqlError, match=f"^{FULL}$") as failure:
        await inside(awake_vault, use)

    assert failure.value.durable_object_reset
    assert Vault.said == []
    assert await awake_vault.coins() == [1, 2]


async def test_b18_whatever_a_broken_object_asks_of_its_storage_fails_with_the_reason(
    vault: Any,
) -> None:
    async def use(ctx: DurableObjectState) -> None:
        async def closure(_: Any) -> None:
            Vault.said.append("a transaction has begun")

        storage = ctx.storage
        uses: list[Callable[[], Awaitable[Any]]] = [
            lambda: storage.get("a"),
            lambda: storage.get_many(["a"]),
            lambda: storage.put("a", 1),
            lambda: storage.put("a", 1, allow_unconfirmed=True),
            lambda: storage.put_many({"a": 1}),
            lambda: storage.delete("a"),
            lambda: storage.delete_many(["a"]),
            storage.list,
            storage.delete_all,
            storage.get_alarm,
            storage.list_alarms,
            lambda: storage.set_alarm(timedelta(1)),
            storage.delete_alarm,
            lambda: storage.transaction(closure),
            storage.sync,
        ]
        overfill(ctx)
        for use in uses:
            with pytest.raises(errors.SqlError, match=f"^{FULL}$"):
                await use()
        Vault.said.append("all have failed")

    with pytest.raises(errors.SqlError, match=f"^{FULL}$"):
        await inside(vault, use)

    assert Vault.said == ["all have failed"]


# Limits and errors that the list doesn't name.


@pytest.mark.parametrize(("depth", "is_fine"), [(64, True), (65, False)])
async def test_limit_of_critical_sections_inside_one_another_counts_transactions(
    awake_vault: Any, depth: int, is_fine: bool
) -> None:
    async def use(ctx: DurableObjectState) -> list[str]:
        async def descend(level: int) -> None:
            if level == depth:
                return
            enter: Any = ctx.storage.transaction if level % 2 else ctx.block_concurrency_while
            try:
                await enter(lambda *_: descend(level + 1))
            except RuntimeError as refusal:
                refusals.append(str(refusal))
            await ctx.storage.put(str(level), level)

        refusals: list[str] = []
        await descend(0)
        return refusals

    refusals = await inside(awake_vault, use)

    too_deep = "block_concurrency_while() calls are nested too deeply."
    assert refusals == ([] if is_fine else [too_deep])
    assert len(await awake_vault.keys()) == depth
    assert Vault.made == 1


async def test_limit_of_an_objects_database_is_10_gigabytes(vault: Any) -> None:
    def most_pages(ctx: DurableObjectState) -> Any:
        return ctx.storage.sql._database.run("PRAGMA max_page_count")[0][0]

    assert await inside(vault, most_pages) * 4096 <= 10 * 10**9


async def test_error_of_rolling_back_around_a_transaction_that_is_running(vault: Any) -> None:
    async def use(ctx: DurableObjectState) -> None:
        async def outer(txn: Any) -> None:
            async def inner(_: Any) -> None:
                with pytest.raises(
                    errors.StorageError,
                    match=r"^Cannot roll back an outer transaction while a nested transaction is "
                    r"still running\.$",
                ):
                    txn.rollback()

            await txn.put("a", 1)
            await ctx.storage.transaction(inner)

        await ctx.storage.transaction(outer)

    await inside(vault, use)

    assert await vault.keys() == {"a": 1}
