"""The life of an object: made, blocked, reset, evicted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from runtime import DurableObject, SqlStorage, errors
from runtime.testing import TestRuntime
from tests.conftest import StartRuntime
from tests.runtime.disk import turns


class Plant(DurableObject[object]):
    """Is made with some care, and can be broken in every way there is."""

    should_fail: ClassVar[bool] = False
    log: ClassVar[list[str]]
    held: ClassVar[asyncio.Future[str]]

    def __init__(self, ctx: Any, env: object) -> None:
        super().__init__(ctx, env)
        if Plant.should_fail:
            ctx.storage.kv.put("half", "done")
            raise LookupError("not today")
        ctx.block_concurrency_while(self._prepare)
        self.memory = 0

    async def _prepare(self) -> None:
        Plant.log.append("preparing")
        await asyncio.sleep(0)
        self.prepared = await self.ctx.storage.get("prepared", 0) + 1
        await self.ctx.storage.put("prepared", self.prepared)
        Plant.log.append("prepared")

    async def grow(self) -> int:
        Plant.log.append("grow")
        self.memory += 1
        return self.memory

    async def half(self) -> str | None:
        half: str | None = await self.ctx.storage.get("half")
        return half

    async def own_name(self) -> str | None:
        return self.ctx.id.name

    async def value_of_section(self) -> list[Any]:
        async def one() -> str:
            return "awaited"

        plain: Any = await self.ctx.block_concurrency_while(lambda: "plain")  # type: ignore[arg-type, return-value]
        return [plain, await self.ctx.block_concurrency_while(one)]

    async def two_sections(self) -> list[str]:
        async def section(name: str) -> None:
            Plant.log.append(f"{name} begins")
            await asyncio.sleep(0)
            Plant.log.append(f"{name} ends")

        first = self.ctx.block_concurrency_while(lambda: section("first"))
        second = self.ctx.block_concurrency_while(lambda: section("second"))
        await first
        Plant.log.append("goes on")
        await second
        return Plant.log

    async def abort_between_sections(self) -> None:
        async def section(name: str) -> None:
            Plant.log.append(name)

        first = self.ctx.block_concurrency_while(lambda: section("first"))
        self.ctx.block_concurrency_while(lambda: section("second"))
        await first
        self.ctx.abort("in between")

    async def nest(self, depth: int) -> int:
        async def deeper() -> int:
            return await self.nest(depth - 1) + 1

        if depth == 0:
            return 0
        return await self.ctx.block_concurrency_while(deeper)

    async def block_for_ever(self) -> None:
        await self.ctx.block_concurrency_while(self._wait)

    async def wait(self) -> str:
        return await self._wait()

    async def _wait(self) -> str:
        return await asyncio.shield(Plant.held)

    async def keep_awake(self) -> None:
        self.ctx.wait_until(self._wait())

    async def fail(self) -> None:
        raise ValueError("an ordinary error")

    async def leak(self) -> None:
        Plant.leaked = self.ctx.storage  # type: ignore[attr-defined]

    async def use_a_thread(self) -> str:
        with ThreadPoolExecutor() as pool:  # and wait for it, in the same step
            error = pool.submit(self.ctx.storage.sql.exec, "SELECT 1").exception()
        return type(error).__name__

    async def abort(self, reason: str | None) -> None:
        try:
            self.ctx.abort(reason)
        except Exception:
            Plant.log.append("caught")
        Plant.log.append("went on")


@pytest.fixture(autouse=True)
async def fresh_plant() -> None:
    """Put back what the tests' class shares among its objects."""
    Plant.should_fail = False
    Plant.log = []
    Plant.held = asyncio.get_running_loop().create_future()


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with plants."""
    started: TestRuntime[Any] = await start_runtime(plants=Plant)
    return started


@pytest.fixture
async def awake_runtime(start_awake_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with plants that stay in memory for their ten seconds."""
    started: TestRuntime[Any] = await start_awake_runtime(plants=Plant)
    return started


async def test_no_event_runs_before_the_constructors_section_is_done(
    awake_runtime: TestRuntime[Any],
) -> None:
    plant = awake_runtime.env.plants.get_by_name("a")

    await asyncio.gather(plant.grow(), plant.grow())

    assert Plant.log == ["preparing", "prepared", "grow", "grow"]


async def test_a_stub_alone_makes_nothing(runtime: TestRuntime[Any]) -> None:
    runtime.env.plants.get_by_name("a")

    await runtime.settle()

    assert Plant.log == []


async def test_a_constructor_that_raises_fails_its_callers_and_is_tried_again(
    runtime: TestRuntime[Any],
) -> None:
    plant = runtime.env.plants.get_by_name("a")
    Plant.should_fail = True

    with pytest.raises(LookupError, match="not today") as failure:
        await plant.grow()
    Plant.should_fail = False

    assert vars(failure.value)["remote"]
    assert vars(failure.value)["durable_object_reset"]
    assert await plant.grow() == 1
    assert await plant.half() is None


async def test_an_error_in_a_method_resets_nothing(awake_runtime: TestRuntime[Any]) -> None:
    plant = awake_runtime.env.plants.get_by_name("a")
    await plant.grow()

    with pytest.raises(ValueError, match="ordinary"):
        await plant.fail()

    assert await plant.grow() == 2


async def test_the_name_is_known_inside_however_the_object_was_reached(
    runtime: TestRuntime[Any],
) -> None:
    plants = runtime.env.plants
    await plants.get_by_name("ada").grow()
    id = str(plants.id_from_name("ada"))

    await runtime.restart()

    assert plants.id_from_string(id).name is None
    assert await plants.get(plants.id_from_string(id)).own_name() == "ada"
    assert await plants.get(plants.new_unique_id()).own_name() is None


async def test_a_name_that_is_heard_of_later_is_kept_with_the_next_write(
    runtime: TestRuntime[Any],
) -> None:
    plants = runtime.env.plants
    nameless = plants.get(plants.id_from_string(str(plants.id_from_name("ada"))))
    await nameless.grow()
    await runtime.evict_durable_object(nameless)
    assert await nameless.own_name() is None
    await runtime.evict_durable_object(nameless)

    await plants.get_by_name("ada").grow()
    await runtime.crash()

    assert await nameless.own_name() == "ada"


async def test_a_section_returns_what_its_callback_does(runtime: TestRuntime[Any]) -> None:
    plant = runtime.env.plants.get_by_name("a")

    assert await plant.value_of_section() == ["plain", "awaited"]


async def test_sections_run_one_after_another_and_their_callers_go_on_in_between(
    runtime: TestRuntime[Any],
) -> None:
    plant = runtime.env.plants.get_by_name("a")

    log = await plant.two_sections()

    assert log[2:] == ["first begins", "first ends", "goes on", "second begins", "second ends"]


async def test_a_section_doesnt_begin_when_the_object_was_reset_before_its_turn(
    awake_runtime: TestRuntime[Any],
) -> None:
    plant = awake_runtime.env.plants.get_by_name("a")

    with pytest.raises(errors.ObjectReset, match="in between"):
        await plant.abort_between_sections()
    await awake_runtime.settle()

    assert Plant.log[2:] == ["first"]
    assert await plant.grow() == 1


@pytest.mark.parametrize("depth", [1, 63, 64])
async def test_sections_may_be_nested_64_deep(runtime: TestRuntime[Any], depth: int) -> None:
    assert await runtime.env.plants.get_by_name("a").nest(depth) == depth


async def test_a_section_nested_deeper_is_refused_and_nothing_is_reset(
    awake_runtime: TestRuntime[Any],
) -> None:
    plant = awake_runtime.env.plants.get_by_name("a")
    await plant.grow()

    with pytest.raises(RuntimeError, match="nested too deeply"):
        await plant.nest(65)

    assert await plant.grow() == 1, "the error came out of a section, which resets the object"


async def test_a_section_that_takes_over_thirty_seconds_resets_the_object(
    awake_runtime: TestRuntime[Any],
) -> None:
    plant = awake_runtime.env.plants.get_by_name("a")
    await plant.grow()
    blocked = plant.block_for_ever()

    await awake_runtime.clock.advance(29.9)
    early = blocked.done()
    await awake_runtime.clock.advance(0.1)
    with pytest.raises(errors.ObjectReset, match="waited for too long") as failure:
        await blocked

    assert not early
    assert failure.value.overloaded
    assert failure.value.durable_object_reset
    assert await plant.grow() == 1


async def test_work_that_is_waited_for_keeps_the_object_awake(
    awake_runtime: TestRuntime[Any],
) -> None:
    plant = awake_runtime.env.plants.get_by_name("a")
    await plant.grow()
    await plant.keep_awake()

    await awake_runtime.clock.advance(60)
    while_working = await plant.grow()
    Plant.held.set_result("done")
    await awake_runtime.clock.advance(60)

    assert while_working == 2
    assert await plant.grow() == 1


async def test_a_failure_of_work_that_nobody_waits_for_is_logged(
    awake_runtime: TestRuntime[Any], caplog: pytest.LogCaptureFixture
) -> None:
    plant = awake_runtime.env.plants.get_by_name("a")
    await plant.keep_awake()

    with caplog.at_level(logging.ERROR, logger="runtime"):
        Plant.held.set_exception(ValueError("nobody hears"))
        await awake_runtime.settle()

    assert "wait_until() of Plant" in caplog.text
    assert await plant.grow() == 1


@pytest.mark.parametrize(
    ("reason", "said"), [("out of soil", "out of soil"), (None, "Application called abort()")]
)
async def test_abort_ends_every_call_and_runs_no_further_line(
    awake_runtime: TestRuntime[Any], reason: str | None, said: str
) -> None:
    plant = awake_runtime.env.plants.get_by_name("a")
    waiting = plant.wait()
    await turns()

    results = await asyncio.gather(
        waiting, plant.abort(reason), plant.grow(), return_exceptions=True
    )

    assert [type(result) for result in results[:2]] == [errors.ObjectReset] * 2
    assert all(said in str(result) for result in results[:2])
    assert results[2] == 1, "a later call on the same stub reaches the next life"
    assert "caught" not in Plant.log
    assert "went on" not in Plant.log


async def test_storage_is_closed_to_code_that_isnt_the_objects(
    runtime: TestRuntime[Any],
) -> None:
    plant = runtime.env.plants.get_by_name("a")
    await plant.leak()

    with pytest.raises(errors.OutsideObject, match="only be used by its own code"):
        await Plant.leaked.get("prepared")  # type: ignore[attr-defined]
    assert await plant.use_a_thread() == "OutsideObject"


async def test_an_object_without_data_ceases_to_exist(start_runtime: StartRuntime) -> None:
    class Empty(DurableObject[object]):
        migrations = ("CREATE TABLE things (name TEXT)",)

        async def add(self) -> None:
            self.ctx.storage.sql.exec("INSERT INTO things VALUES ('x')")

        async def clear(self) -> None:
            self.ctx.storage.sql.exec("DELETE FROM things")

        async def forget(self) -> None:
            await self.ctx.storage.delete_all()

    runtime = await start_runtime(things=Empty)
    await runtime.env.things.get_by_name("looked at").clear()
    for name in ("forgotten", "kept", "cleared"):
        await runtime.env.things.get_by_name(name).add()
    await runtime.env.things.get_by_name("forgotten").forget()
    await runtime.env.things.get_by_name("cleared").clear()  # somebody may want it back

    await runtime.clock.advance(60)
    ids = await runtime.list_durable_object_ids(runtime.env.things)

    assert {id.name for id in ids} == {"kept", "cleared"}
    assert {path.stem for path in runtime.config.data.glob("objects/*/*")} == {id.hex for id in ids}


async def test_the_schema_is_brought_up_to_date_before_the_first_event(
    runtime: TestRuntime[Any], start_awake_runtime: StartRuntime
) -> None:
    seen: list[str] = []

    def by_function(sql: SqlStorage) -> None:
        seen.append("function")
        sql.exec("INSERT INTO t SELECT 2")

    class Old(DurableObject[object]):
        migrations: ClassVar[Any] = ("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)",)

        async def all(self) -> list[int]:
            return [row["n"] for row in self.ctx.storage.sql.exec("SELECT n FROM t")]

    started = await start_awake_runtime(things=Old)
    thing = started.env.things.get_by_name("a")
    assert await thing.all() == [1]

    await started.evict_durable_object(thing)
    Old.migrations = (*Old.migrations, by_function, "UPDATE t SET n = n * 10")

    assert await thing.all() == [10, 20]
    assert seen == ["function"]


async def test_a_failing_migration_leaves_the_steps_before_it(
    start_awake_runtime: StartRuntime,
) -> None:
    class Broken(DurableObject[object]):
        migrations: ClassVar[Any] = ("CREATE TABLE t (n INTEGER)", "INSERT INTO nowhere VALUES (1)")

        async def tables(self) -> list[str]:
            rows = self.ctx.storage.sql.exec("SELECT name FROM sqlite_schema WHERE name = 't'")
            return [row["name"] for row in rows]

    started = await start_awake_runtime(things=Broken)
    thing = started.env.things.get_by_name("a")
    with pytest.raises(errors.StorageError, match="migration 2 failed: no such table: nowhere"):
        await thing.tables()

    Broken.migrations = (Broken.migrations[0], "CREATE TABLE nowhere (n INTEGER)")

    assert await thing.tables() == ["t"]


async def test_a_database_of_newer_code_is_refused(start_awake_runtime: StartRuntime) -> None:
    class Newer(DurableObject[object]):
        migrations: ClassVar[Any] = ("CREATE TABLE a (n)", "CREATE TABLE b (n)")

        async def add(self) -> None:
            self.ctx.storage.sql.exec("INSERT INTO b VALUES (1)")

    started = await start_awake_runtime(things=Newer)
    thing = started.env.things.get_by_name("a")
    await thing.add()
    await started.evict_durable_object(thing)
    Newer.migrations = Newer.migrations[:1]

    with pytest.raises(errors.StorageError, match="made by newer code"):
        await thing.add()


async def test_overload_is_refused_before_the_object_hears_of_it(
    awake_runtime: TestRuntime[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.events.MAX_TASKS", 3)
    plant = awake_runtime.env.plants.get_by_name("a")
    await plant.grow()

    waiting: list[Awaitable[str]] = [plant.wait() for _ in range(3)]
    with pytest.raises(errors.Overloaded, match="Too many requests queued") as refusal:
        await plant.grow()
    Plant.held.set_result("done")

    assert await asyncio.gather(*waiting) == ["done"] * 3
    assert refusal.value.overloaded
    assert not refusal.value.retryable
    assert await plant.grow() == 2


async def test_an_alarm_set_before_eviction_finds_the_object_prepared(
    start_awake_runtime: StartRuntime,
) -> None:
    class Sleeper(DurableObject[object]):
        async def sleep(self) -> None:
            await self.ctx.storage.set_alarm(timedelta(minutes=5))

        async def alarm(self, _: Any) -> None:
            await self.ctx.storage.put("woken as", self.ctx.id.name)

        async def woken_as(self) -> str | None:
            name: str | None = await self.ctx.storage.get("woken as")
            return name

    started = await start_awake_runtime(sleepers=Sleeper)
    sleeper = started.env.sleepers.get_by_name("bear")
    await sleeper.sleep()

    await started.clock.advance(timedelta(minutes=10))

    assert await sleeper.woken_as() == "bear"
