"""All objects of a process together: started, evicted, drained, crashed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from runtime import DurableObject, Request, Response, Runtime, RuntimeConfig, WebSocket, errors
from runtime.testing import TestRuntime, key_of
from tests.conftest import StartRuntime
from tests.runtime.disk import StuckDisk, disk, turns

__all__ = ["disk"]

pytestmark = pytest.mark.usefixtures("debug_mode")


class Shelf(DurableObject[object]):
    """Holds one thing."""

    held: ClassVar[asyncio.Future[str]]
    closes: ClassVar[int]

    async def put(self, thing: str) -> str:
        await self.ctx.storage.put("thing", thing)
        return thing

    async def get(self) -> str | None:
        thing: str | None = await self.ctx.storage.get("thing")
        return thing

    async def hold_and_put(self) -> str:
        return await self.put(await asyncio.shield(Shelf.held))

    async def ask(self, other: Any) -> str | None:
        await asyncio.shield(Shelf.held)
        answer: str | None = await other.get()
        return answer

    async def put_and_ask(self, other: Any) -> str | None:
        await self.hold_and_put()
        return await self.ask(other)

    async def drop(self) -> None:
        self.ctx.abort("dropped")

    async def drop_and_put(self, other: Any) -> list[str]:
        answers = await asyncio.gather(other.drop(), other.put("jar"), return_exceptions=True)
        return [str(answer) for answer in answers]

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols()

    async def web_socket_close(self, ws: WebSocket, *_: Any) -> None:
        Shelf.closes += 1


@pytest.fixture(autouse=True)
async def fresh_shelf() -> None:
    """Put back what the tests' class shares among its objects."""
    Shelf.held = asyncio.get_running_loop().create_future()
    Shelf.closes = 0


@pytest.fixture
async def runtime(start_awake_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with shelves."""
    started: TestRuntime[Any] = await start_awake_runtime(shelves=Shelf)
    return started


def config(folder: Path) -> RuntimeConfig:
    """Settings for a runtime of its own."""
    return RuntimeConfig(data=folder)


async def test_data_survives_a_clean_restart_and_leaves_a_database_and_its_history(
    tmp_path: Path,
) -> None:
    async with Runtime(config(tmp_path), bindings={"shelves": Shelf}) as runtime:
        await runtime.env.shelves.get_by_name("a").put("jar")
    files = sorted(path.name for path in tmp_path.glob("objects/Shelf/*"))

    async with Runtime(config(tmp_path), bindings={"shelves": Shelf}) as runtime:
        shelf = runtime.env.shelves.get_by_name("a")
        assert await shelf.get() == "jar"
        assert files == [f"{shelf.id}.history", f"{shelf.id}.sqlite"]


async def test_stopping_waits_for_handlers_and_for_the_disk(
    tmp_path: Path, disk: StuckDisk
) -> None:
    async with Runtime(config(tmp_path), bindings={"shelves": Shelf}) as runtime:
        putting = runtime.env.shelves.get_by_name("a").hold_and_put()
        await turns()
        asyncio.get_running_loop().call_later(0.01, Shelf.held.set_result, "last minute")

    assert await putting == "last minute"


async def test_a_handler_that_takes_too_long_is_dropped_when_the_runtime_stops(
    tmp_path: Path,
) -> None:
    hurried = RuntimeConfig(data=tmp_path, drain_seconds=0)

    async with Runtime(hurried, bindings={"shelves": Shelf}) as runtime:
        putting = runtime.env.shelves.get_by_name("a").hold_and_put()
        await turns()

    with pytest.raises(errors.ObjectReset, match="stopping") as dropped:
        await putting
    assert not dropped.value.retryable, "it may have acted"


@pytest.mark.parametrize("method", ["ask", "put_and_ask"])
async def test_a_stopping_runtime_refuses_new_calls_but_not_those_of_its_objects(
    tmp_path: Path, method: str
) -> None:
    refused: list[BaseException | None] = []

    async with Runtime(config(tmp_path), bindings={"shelves": Shelf}) as runtime:
        shelf, other = (runtime.env.shelves.get_by_name(name) for name in "ab")
        await other.put("lamp")
        asking = getattr(shelf, method)(other)

        def call_while_stopping() -> None:
            late = shelf.get()
            refused.append(late.exception())
            Shelf.held.set_result("")

        asyncio.get_running_loop().call_later(0.01, call_while_stopping)

    assert isinstance(refused[0], errors.ShuttingDown)
    assert refused[0].retryable
    assert await asking == "lamp"


async def test_stopping_tells_clients_to_come_back_and_no_object_that_they_left(
    runtime: TestRuntime[Any],
) -> None:
    ws = await runtime.connect(runtime.env.shelves.get_by_name("a"))

    await runtime.restart()

    assert ws.closed == (1012, "this server is stopping")
    assert Shelf.closes == 0


async def test_stopping_lets_go_of_sockets_whose_object_is_asleep(
    runtime: TestRuntime[Any],
) -> None:
    ws = await runtime.connect(runtime.env.shelves.get_by_name("a"))
    await runtime.clock.advance(30)

    async with asyncio.timeout(20):
        await runtime.restart()

    assert ws.closed == (1012, "this server is stopping")


async def test_events_that_come_while_an_object_leaves_memory_are_bounded(
    runtime: TestRuntime[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.resident.MAX_TASKS", 3)
    shelf = runtime.env.shelves.get_by_name("a")
    await shelf.put("jar")
    await runtime.settle()
    life = runtime.host.life_of(key_of(shelf))
    assert life is not None

    runtime.host.evict(life)
    calls = [shelf.get() for _ in range(4)]
    results = await asyncio.gather(*calls, return_exceptions=True)

    assert results[:3] == ["jar"] * 3
    assert isinstance(results[3], errors.Overloaded)


async def test_a_call_that_is_queued_when_its_object_leaves_memory_wakes_it_once(
    runtime: TestRuntime[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, other = (runtime.env.shelves.get_by_name(name) for name in "ab")
    await other.put("jar")
    asking = shelf.ask(other)
    await runtime.settle()
    life = runtime.host.life_of(key_of(other))
    assert life is not None
    run = runtime.host.syncer.run

    def run_and_go_on(work: Callable[[], None], done: Callable[[Exception | None], object]) -> None:
        def closed(error: Exception | None) -> None:
            Shelf.held.set_result("")  # two turns later it asks, and in that turn it is forgotten
            asyncio.get_running_loop().call_soon(done, error)

        run(work, closed)

    monkeypatch.setattr(runtime.host.syncer, "run", run_and_go_on)
    runtime.host.evict(life)
    answer = await asking
    monkeypatch.undo()

    assert answer == "jar"
    assert await other.put("lamp") == "lamp"
    assert runtime.host.resident_count == 2


async def test_a_call_that_is_queued_when_its_object_is_reset_reaches_the_next_life(
    runtime: TestRuntime[Any],
) -> None:
    shelf, other = (runtime.env.shelves.get_by_name(name) for name in "ab")
    await other.put("lamp")

    answers = await shelf.drop_and_put(other)

    assert answers == ["dropped", "jar"]
    assert [await other.get() for _ in range(3)] == ["jar"] * 3
    assert runtime.host.resident_count == 2


async def test_calls_behind_one_that_breaks_a_waking_object_reach_its_next_life(
    runtime: TestRuntime[Any],
) -> None:
    shelf = runtime.env.shelves.get_by_name("a")
    await shelf.put("jar")
    await runtime.settle()
    life = runtime.host.life_of(key_of(shelf))
    assert life is not None

    runtime.host.evict(life)
    calls = [shelf.put("lamp"), shelf.drop(), shelf.get()]  # they wait until it is closed
    *broken, found = await asyncio.gather(*calls, return_exceptions=True)

    assert [str(answer) for answer in broken] == ["dropped"] * 2
    assert found == "lamp"


async def test_code_left_over_from_a_life_that_is_over_doesnt_run(
    runtime: TestRuntime[Any],
) -> None:
    shelf = runtime.env.shelves.get_by_name("a")
    context = await runtime.run_in_durable_object(shelf, lambda *_: copy_context())
    await runtime.evict_durable_object(shelf)
    ran: list[int] = []

    async def late() -> None:
        ran.append(1)

    task = context.run(asyncio.create_task, late())
    results = await asyncio.gather(task, return_exceptions=True)

    assert isinstance(results[0], errors.ObjectReset)
    assert ran == []


async def test_a_crash_ends_calls_and_connections_and_keeps_what_was_acknowledged(
    runtime: TestRuntime[Any],
) -> None:
    shelf = runtime.env.shelves.get_by_name("a")
    ws = await runtime.connect(shelf)
    await shelf.put("jar")
    holding = shelf.hold_and_put()
    await turns()

    await runtime.crash()

    with pytest.raises(errors.DurableObjectError, match="died"):
        await holding
    assert ws.closed == (1006, "")
    assert Shelf.closes == 0
    assert await shelf.get() == "jar"


async def test_an_object_asleep_costs_nothing(runtime: TestRuntime[Any]) -> None:
    for number in range(20):
        await runtime.env.shelves.get_by_name(str(number)).put("x")
    awake = runtime.host.resident_count

    await runtime.clock.advance(30)

    assert awake == 20
    assert runtime.host.resident_count == 0


async def test_an_object_asleep_with_a_socket_is_remembered_until_the_socket_goes(
    runtime: TestRuntime[Any],
) -> None:
    ws = await runtime.connect(runtime.env.shelves.get_by_name("a"))
    await runtime.clock.advance(30)
    asleep = runtime.host.resident_count

    await ws.leave()
    await runtime.clock.advance(30)

    assert asleep == 1
    assert runtime.host.resident_count == 0


async def test_many_calls_at_once_on_many_objects_all_arrive(runtime: TestRuntime[Any]) -> None:
    shelves = [runtime.env.shelves.get_by_name(str(number)) for number in range(50)]

    answers = await asyncio.gather(*(shelf.put(str(n)) for n in range(5) for shelf in shelves))

    assert len(answers) == 250
    assert [await shelf.get() for shelf in shelves] == ["4"] * 50


async def test_overdue_alarms_dont_starve_calls(
    start_awake_runtime: StartRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.ringer.MAX_RINGING", 4)
    go_on = asyncio.Event()

    class Bell(DurableObject[object]):
        begun: ClassVar[int] = 0

        async def set(self) -> None:
            await self.ctx.storage.set_alarm(timedelta(seconds=5))

        async def alarm(self, _: Any) -> None:
            Bell.begun += 1
            await go_on.wait()

        async def count(self) -> int:
            return Bell.begun

    runtime: TestRuntime[Any] = await start_awake_runtime(bells=Bell)
    bells = [runtime.env.bells.get_by_name(str(number)) for number in range(10)]
    for bell in bells:
        await bell.set()

    await runtime.restart(after=timedelta(hours=1))
    counts = [await bell.count() for bell in bells]
    go_on.set()
    await runtime.settle()

    assert counts == [4] * 10
    assert Bell.begun == 10
