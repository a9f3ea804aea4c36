"""Section I of the conformance list: how objects come and go, and the doors that tests have."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, ClassVar, Final

import pytest

from runtime import (
    AlarmInvocation,
    DurableObject,
    DurableObjectState,
    Migration,
    Request,
    Response,
    Runtime,
    WebSocket,
    errors,
)
from runtime.testing import TestRuntime, key_of
from tests.conftest import StartRuntime

_NO_FACETS: Final = "facets aren't asked for: no ctx.facets in api.md"

LEFT_OUT: Final[dict[str, str]] = dict.fromkeys(("J02", "J03", "J04", "J06"), _NO_FACETS)


class Counter(DurableObject[object]):
    """Counts in memory and on disk."""

    migrations = ("CREATE TABLE entries (text TEXT NOT NULL)",)

    should_fail: ClassVar[bool]
    made: ClassVar[int]
    ticked: ClassVar[asyncio.Event]
    should_tick: ClassVar[bool]

    def __init__(self, ctx: DurableObjectState, env: object) -> None:
        super().__init__(ctx, env)
        Counter.made += 1
        if Counter.should_fail:
            raise LookupError("not today")
        self.count: int = ctx.storage.kv.get("count") or 0
        self.flag = False

    async def increment(self) -> int:
        self.count += 1
        await self.ctx.storage.put("count", self.count)
        return self.count

    async def raise_flag(self) -> bool:
        """Raise the flag in memory, and return whether it was up."""
        was_up, self.flag = self.flag, True
        return was_up

    async def start_interval(self) -> None:
        """Count with every tick, beside all requests."""
        self.ctx.wait_until(self._interval())

    async def _interval(self) -> None:
        while Counter.should_tick:
            await Counter.ticked.wait()
            Counter.ticked.clear()
            if Counter.should_tick:
                await self.increment()

    async def fetch(self, request: Request) -> Response:
        return Response(302, headers={"location": "http://elsewhere/"})

    async def entries(self) -> list[str]:
        return [row["text"] for row in self.ctx.storage.sql.exec("SELECT text FROM entries")]

    async def enter(self, text: str) -> None:
        self.ctx.storage.sql.exec("INSERT INTO entries VALUES (?)", text)

    async def wake_in(self, seconds: float) -> None:
        await self.ctx.storage.set_alarm(timedelta(seconds=seconds))

    async def alarm(self, invocation: AlarmInvocation) -> None:
        await self.enter("rung")


@pytest.fixture(autouse=True)
async def fresh_counter() -> None:
    """Put back what the tests' class shares among its objects."""
    Counter.should_fail, Counter.made = False, 0
    Counter.ticked, Counter.should_tick = asyncio.Event(), True


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with counters."""
    started: TestRuntime[Any] = await start_runtime(counters=Counter)
    return started


@pytest.fixture
def counter(runtime: TestRuntime[Any]) -> Any:
    """One of them."""
    return runtime.env.counters.get_by_name("a")


@pytest.fixture
async def awake_runtime(start_awake_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with counters that stay in memory for their ten seconds."""
    started: TestRuntime[Any] = await start_awake_runtime(counters=Counter)
    return started


@pytest.fixture
def awake_counter(awake_runtime: TestRuntime[Any]) -> Any:
    """One of those."""
    return awake_runtime.env.counters.get_by_name("a")


def is_awake(runtime: TestRuntime[Any], stub: Any) -> bool:
    return runtime.host.life_of(key_of(stub)) is not None


async def tick(runtime: TestRuntime[Any], seconds: float) -> None:
    """Let time pass, and the interval tick at the end of it."""
    await runtime.clock.advance(seconds)
    Counter.ticked.set()
    await runtime.settle()


# Eviction.


async def test_i01_an_object_leaves_memory_after_ten_idle_seconds(
    awake_runtime: TestRuntime[Any], awake_counter: Any
) -> None:
    first = await awake_counter.raise_flag()
    await awake_runtime.clock.advance(9.9)
    in_time = await awake_counter.raise_flag()
    await awake_runtime.clock.advance(10)

    assert [first, in_time, await awake_counter.raise_flag()] == [False, True, False]


async def test_i01_an_object_stays_if_eviction_is_prevented() -> None:
    """Which is a long `idle_seconds` here."""
    async with TestRuntime(bindings={"counters": Counter}, idle_seconds=10**9) as runtime:
        counter = runtime.env.counters.get_by_name("a")
        await counter.raise_flag()

        await runtime.clock.advance(timedelta(days=1))

        assert await counter.raise_flag()


async def test_i02_an_interval_keeps_an_object_until_ten_seconds_after_it_is_cleared(
    awake_runtime: TestRuntime[Any], awake_counter: Any
) -> None:
    await awake_counter.start_interval()

    await tick(awake_runtime, 15)
    with_interval = is_awake(awake_runtime, awake_counter)
    Counter.should_tick = False
    await tick(awake_runtime, 0)
    await awake_runtime.clock.advance(9.9)
    shortly_before = is_awake(awake_runtime, awake_counter)
    await awake_runtime.clock.advance(0.1)

    assert (with_interval, shortly_before) == (True, True)
    assert not is_awake(awake_runtime, awake_counter)
    assert await awake_counter.increment() == 2


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="runtime/README.md: none is dropped; an object stays until its work is done, or fails",
)
async def test_i02_an_interval_that_is_never_cleared_keeps_no_object_for_ever(
    awake_runtime: TestRuntime[Any], awake_counter: Any
) -> None:
    await awake_counter.start_interval()
    for _ in range(7):
        await tick(awake_runtime, 20)
    await awake_runtime.clock.advance(2)
    was_awake = is_awake(awake_runtime, awake_counter)
    count = await awake_counter.increment() - 1
    Counter.should_tick = False
    await tick(awake_runtime, 0)

    assert 5 <= count <= 7
    assert not was_awake


async def test_i03_eviction_takes_what_is_in_memory_only(
    awake_runtime: TestRuntime[Any], awake_counter: Any
) -> None:
    await awake_counter.increment()
    await awake_counter.increment()

    async def overwrite() -> None:
        def set_count(instance: Counter, _: DurableObjectState) -> None:
            instance.count = 999

        await awake_runtime.run_in_durable_object(awake_counter, set_count)

    await overwrite()
    await awake_runtime.evict_durable_object(awake_counter)
    assert await awake_counter.increment() == 3
    await overwrite()
    assert await awake_counter.increment() == 1000, "nothing was evicted"


async def test_i03_all_objects_are_evicted_at_once(
    awake_runtime: TestRuntime[Any], awake_counter: Any
) -> None:
    other = awake_runtime.env.counters.get_by_name("b")
    for stub in (awake_counter, other):
        await stub.raise_flag()

    evicting: Any = awake_runtime
    await evicting.evict_all_durable_objects()

    assert [await awake_counter.raise_flag(), await other.raise_flag()] == [False, False]


# Direct access.


async def test_i05_tests_reach_the_instance_and_its_storage(
    runtime: TestRuntime[Any], counter: Any
) -> None:
    response = await runtime.run_in_durable_object(
        counter, lambda instance, _: instance.fetch(Request("http://counter/"))
    )
    await counter.increment()

    async def look(instance: Counter, ctx: DurableObjectState) -> tuple[bool, int, int]:
        return isinstance(instance, Counter), instance.count, await ctx.storage.get("count")

    async def increase(instance: Counter, ctx: DurableObjectState) -> None:
        await instance.increment()

    assert (response.status, response.headers["location"]) == (302, "http://elsewhere/")
    assert await runtime.run_in_durable_object(counter, look) == (True, 1, 1)
    await runtime.run_in_durable_object(counter, increase)
    assert await counter.increment() == 3


async def test_i06_what_isnt_running_or_is_no_stub_cant_be_evicted(
    awake_runtime: TestRuntime[Any], awake_counter: Any
) -> None:
    with pytest.raises(
        errors.DurableObjectError,
        match=r"^Cannot evict Durable Object: it is not currently running\.$",
    ):
        await awake_runtime.evict_durable_object(awake_counter)
    with pytest.raises(TypeError, match="stub"):
        await awake_runtime.evict_durable_object("a")

    assert not is_awake(awake_runtime, awake_counter)


async def test_i07_what_is_written_before_the_first_request_is_there() -> None:
    """The class is enabled by a migration, and the object reached by its name and its id."""
    migration = Migration(tag="v1", new_sqlite_classes=("Counter",))
    async with TestRuntime(bindings={"counters": Counter}, migrations=(migration,)) as runtime:
        counters = runtime.env.counters
        by_name = counters.get_by_name("a")
        by_id = counters.get(counters.id_from_name("a"))

        def insert(_: Counter, ctx: DurableObjectState) -> None:
            ctx.storage.sql.exec("INSERT INTO entries VALUES ('before')")

        def read(_: Counter, ctx: DurableObjectState) -> list[Any]:
            return ctx.storage.sql.exec("SELECT text FROM entries").to_array()

        await runtime.run_in_durable_object(by_name, insert)
        assert await by_name.entries() == ["before"]
        await by_name.enter("after")

        assert await runtime.run_in_durable_object(by_id, read) == [
            {"text": "before"},
            {"text": "after"},
        ]


async def test_i09_aborting_keeps_data_and_alarms(
    awake_runtime: TestRuntime[Any], awake_counter: Any
) -> None:
    await awake_counter.increment()
    await awake_counter.raise_flag()
    await awake_counter.wake_in(60)

    await awake_runtime.abort_durable_object(awake_counter)
    flag = await awake_counter.raise_flag()
    await awake_runtime.clock.advance(60)

    assert not flag
    assert await awake_counter.increment() == 2
    assert await awake_counter.entries() == ["rung"]


@pytest.mark.parametrize("jurisdiction", [None, "eu"])
async def test_i09_a_reset_takes_all_data_and_alarms(
    runtime: TestRuntime[Any], jurisdiction: str | None
) -> None:
    counter = runtime.env.counters.jurisdiction(jurisdiction).get_by_name("a")
    await counter.increment()
    await counter.wake_in(60)

    await runtime.reset()
    await runtime.clock.advance(60)

    assert await counter.entries() == []
    assert await counter.increment() == 1


# Construction and new code.


async def test_i10_a_constructor_that_raises_fails_all_callers_and_is_tried_again(
    awake_counter: Any,
) -> None:
    Counter.should_fail = True

    failures = await asyncio.gather(
        *(awake_counter.increment() for _ in range(3)), return_exceptions=True
    )
    Counter.should_fail = False

    assert [type(failure) for failure in failures] == [LookupError] * 3
    assert all(vars(failure)["remote"] for failure in failures)
    assert all(vars(failure)["durable_object_reset"] for failure in failures)
    made = Counter.made
    assert await awake_counter.increment() == 1
    assert Counter.made == made + 1


class Room(DurableObject[object]):
    """Answers with its version, at once or when it is released."""

    version: ClassVar[str] = "old"
    released: ClassVar[asyncio.Event]

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        ws.send(self.version)

    async def ponder(self) -> str:
        await self.released.wait()
        return self.version


class NewRoom(Room):
    version = "new"


NewRoom.__name__ = Room.__name__  # another version of the same class


def deploy(runtime: TestRuntime[Any]) -> None:
    """Go on with the new version of the room."""
    runtime.adopt(Runtime(runtime.config, bindings={"rooms": NewRoom}, env=SimpleNamespace))


async def test_i11_a_deferred_deploy_keeps_sockets_and_wakes_objects_in_the_new_code() -> None:
    Room.released = asyncio.Event()
    async with TestRuntime(bindings={"rooms": Room}) as runtime:
        room: Any = runtime.env.rooms.get_by_name("a")
        client = await runtime.connect(room)
        await client.send("which?")
        await runtime.evict_durable_object(room)

        deploy(runtime)
        await client.send("which?")

        assert list(client.received) == ["old", "new"]
        assert client.closed is None


async def test_i11_an_immediate_deploy_resets_what_is_busy() -> None:
    Room.released = asyncio.Event()
    async with TestRuntime(bindings={"rooms": Room}, drain_seconds=0) as runtime:
        room: Any = runtime.env.rooms.get_by_name("a")
        pondering = room.ponder()
        await runtime.settle()

        deploy(runtime)
        await runtime.clock.advance(0)

        with pytest.raises(
            errors.ObjectReset, match=r"^Durable Object reset because its code was updated\.$"
        ):
            await pondering
        Room.released.set()
        assert await room.ponder() == "new"


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="runtime/README.md: no socket closes when code is reloaded (I8)",
)
async def test_i11_an_immediate_deploy_closes_the_sockets() -> None:
    async with TestRuntime(bindings={"rooms": Room}, drain_seconds=0) as runtime:
        client = await runtime.connect(runtime.env.rooms.get_by_name("a"))

        deploy(runtime)
        await runtime.settle()

        assert client.closed is not None
