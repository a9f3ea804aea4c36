"""Work that has to wait for its object, and what becomes of it if it is too much or too long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, field_validator

from runtime import DurableObject, Request, Response, Runtime, RuntimeConfig, WebSocket, errors
from runtime.clock import ManualClock
from runtime.host import Host
from runtime.inbox import MAX_SECONDS
from runtime.testing import TestRuntime, key_of
from tests.conftest import StartRuntime
from tests.runtime.disk import StuckDisk, disk, turns

__all__ = ["disk"]

TOO_MUCH = "^Durable Object is overloaded. Too much data queued.$"
TOO_LONG = "^Durable Object is overloaded. Requests queued for too long.$"


class Parcel(BaseModel):
    """Grows while it is checked, as models may."""

    text: str

    @field_validator("text")
    @classmethod
    def repeat(cls, text: str) -> str:
        return text * 2


class Desk(DurableObject[object]):
    """Takes things in, unless it is shut."""

    open: ClassVar[asyncio.Event]
    taken: ClassVar[list[Any]]

    async def shut(self) -> None:
        await self.ctx.block_concurrency_while(Desk.open.wait)

    async def shut_for(self, times: int) -> None:
        """Shut several times in a row, each until the event is set."""

        async def once() -> None:
            await Desk.open.wait()
            Desk.open.clear()

        for _ in range(times):
            self.ctx.block_concurrency_while(once)

    async def take(self, *things: Any) -> int:
        Desk.taken.extend(things)
        return len(things)

    async def unpack(self, parcels: list[Parcel]) -> int:
        return sum(len(parcel.text) for parcel in parcels)

    async def write(self) -> None:
        await self.ctx.storage.put("written", 1)

    async def fetch(self, request: Request) -> Response:
        if request.web_socket is None:
            return Response(200, text=str(len(request.body)))
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        Desk.taken.append(message)


@pytest.fixture
async def runtime(start_awake_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with desks, which are open."""
    Desk.open, Desk.taken = asyncio.Event(), []
    started: TestRuntime[Any] = await start_awake_runtime(desks=Desk)
    return started


@pytest.fixture
def desk(runtime: TestRuntime[Any]) -> Any:
    """One of them."""
    return runtime.env.desks.get_by_name("a")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 1,000 bytes wait."""
    monkeypatch.setattr("runtime.inbox.MAX_WAITING_BYTES", 1000)


@pytest.mark.parametrize(
    "things",
    [("x" * 600,), (b"x" * 600,), (["x" * 300], {"y": "y" * 300}), ([0] * 75,)],
    ids=["text", "bytes", "several", "numbers"],
)
@pytest.mark.usefixtures("small")
async def test_a_call_is_refused_if_too_much_data_waits_already(desk: Any, things: Any) -> None:
    await desk.take()
    shut = desk.shut()
    waits = desk.take(*things)

    with pytest.raises(errors.Overloaded, match=TOO_MUCH) as refusal:
        await desk.take(*things)
    Desk.open.set()

    assert (refusal.value.overloaded, refusal.value.retryable) == (True, False)
    assert refusal.value.durable_object_id == desk.id.hex
    assert await waits == len(things)
    assert await desk.take(*things) == len(things), "there is room again"
    assert Desk.taken == [*things, *things]
    await shut


@pytest.mark.usefixtures("small")
async def test_what_is_too_much_by_itself_may_wait_alone(desk: Any) -> None:
    await desk.take()
    shut = desk.shut()
    waits = desk.take("x" * 5000)
    with pytest.raises(errors.Overloaded, match=TOO_MUCH):
        await desk.take("y")

    Desk.open.set()

    assert await waits == 1
    await shut


@pytest.mark.usefixtures("small")
async def test_a_call_that_need_not_wait_may_bring_as_much_as_any(desk: Any) -> None:
    assert [await desk.take("x" * 5000) for _ in range(3)] == [1, 1, 1]


@pytest.mark.usefixtures("small")
async def test_a_requests_body_counts(desk: Any) -> None:
    await desk.take()
    shut = desk.shut()
    waits = desk.fetch("http://test/", method="POST", body=b"x" * 600)

    with pytest.raises(errors.Overloaded, match=TOO_MUCH):
        await desk.fetch("http://test/", method="POST", body=b"x" * 600)
    Desk.open.set()

    assert (await waits).text() == "600"
    await shut


@pytest.mark.usefixtures("small")
async def test_a_value_that_its_check_has_made_larger_than_allowed_counts_as_that(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.take()
    shut = desk.shut()
    monkeypatch.setattr("runtime.wire.MAX_BYTES", 700)
    waits = desk.unpack([{"text": "x" * 200}] * 3)

    with pytest.raises(errors.Overloaded, match=TOO_MUCH):
        await desk.take("y" * 400)
    Desk.open.set()

    assert await waits == 1200
    await shut


@pytest.mark.usefixtures("small")
async def test_a_message_that_is_too_much_closes_its_socket_and_no_other(
    runtime: TestRuntime[Any], desk: Any, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = [await runtime.connect(desk) for _ in range(2)]
    shut = desk.shut()

    first.server.received("x" * 600)
    second.server.received("y" * 600)
    Desk.open.set()
    await shut
    await runtime.settle()

    assert Desk.taken == ["x" * 600]
    assert first.closed is None
    assert second.closed == (1013, "Durable Object is overloaded. Too much data queued.")
    assert caplog.messages == []


async def test_a_call_that_waits_for_too_long_is_refused_and_never_runs(
    runtime: TestRuntime[Any], desk: Any
) -> None:
    await desk.shut_for(3)
    early = asyncio.ensure_future(desk.take("early"))
    for _ in range(2):
        await runtime.clock.advance(25)
        Desk.open.set()
    late = asyncio.ensure_future(desk.take("late"))

    await runtime.clock.advance(MAX_SECONDS - 50.1)
    was_done = early.done()
    await runtime.clock.advance(0.1)

    life = runtime.host.life_of(key_of(desk))
    assert life is not None
    assert not was_done
    assert life.input.queued == 1
    with pytest.raises(errors.Overloaded, match=TOO_LONG) as refusal:
        await early
    assert (refusal.value.overloaded, refusal.value.retryable) == (True, False)
    Desk.open.set()
    assert await late == 1
    assert Desk.taken == ["late"]


async def test_each_call_is_refused_when_its_own_time_is_up(
    runtime: TestRuntime[Any], desk: Any
) -> None:
    await desk.shut_for(4)
    calls = []
    refused = []
    for second in range(5):
        calls.append(asyncio.ensure_future(desk.take(second)))
        await runtime.clock.advance(20)
        Desk.open.set()
        await runtime.settle()
        refused.append([call.done() and call.exception() is not None for call in calls])

    assert refused[2] == [True, False, False]
    assert [isinstance(call, errors.Overloaded) for call in await outcomes(calls)] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert Desk.taken == [2, 3, 4]


async def outcomes(calls: list[asyncio.Future[int]]) -> list[Any]:
    """Return the results and errors of calls."""
    return list(await asyncio.gather(*calls, return_exceptions=True))


async def test_a_message_waits_as_long_as_it_takes(runtime: TestRuntime[Any], desk: Any) -> None:
    ws = await runtime.connect(desk)
    await desk.shut_for(4)
    ws.server.received("patient")
    call = asyncio.ensure_future(desk.take("behind it"))

    for _ in range(4):
        await runtime.clock.advance(25)
        Desk.open.set()
    with pytest.raises(errors.Overloaded, match=TOO_LONG):
        await call
    await runtime.settle()

    assert Desk.taken == ["patient"]


@asynccontextmanager
async def runtime_with_a_disk(folder: Path) -> AsyncIterator[tuple[Runtime[Any], ManualClock]]:
    """Run desks with a clock that can be moved while the disk is stuck."""
    clock = ManualClock(turns)
    Desk.open, Desk.taken = asyncio.Event(), []
    config = RuntimeConfig(data=folder)
    async with Runtime(config, bindings={"desks": Desk}, clock=clock) as runtime:
        yield runtime, clock


async def leave_memory(host: Host, desk: Any) -> None:
    """Have a desk leave memory, with all it has written durable and not in its database yet."""
    async with asyncio.timeout(20):
        while not host.is_at_rest:
            await asyncio.sleep(0.001)
    life = host.life_of(key_of(desk))
    assert life is not None
    host.evict(life)


async def test_a_call_that_waits_too_long_for_the_next_life_is_refused_and_never_runs(
    folder: Path, disk: StuckDisk
) -> None:
    async with runtime_with_a_disk(folder) as (runtime, clock):
        desk = runtime.env.desks.get_by_name("a")
        await desk.write()
        await leave_memory(runtime.host, desk)
        with disk.stuck():
            early = asyncio.ensure_future(desk.take("early"))
            await clock.advance(MAX_SECONDS / 2)
            late = asyncio.ensure_future(desk.take("late"))
            await clock.advance(MAX_SECONDS / 2)
            with pytest.raises(errors.Overloaded, match=TOO_LONG):
                await early

        assert await late == 1
        assert Desk.taken == ["late"]


@pytest.mark.usefixtures("small")
async def test_what_waits_for_the_next_life_is_bounded_as_well(
    folder: Path, disk: StuckDisk
) -> None:
    async with runtime_with_a_disk(folder) as (runtime, _):
        desk = runtime.env.desks.get_by_name("a")
        await desk.write()
        await leave_memory(runtime.host, desk)
        with disk.stuck():
            waits = desk.take("x" * 600)
            with pytest.raises(errors.Overloaded, match=TOO_MUCH):
                await desk.take("x" * 600)

        assert await waits == 1
        assert runtime.host._residents[key_of(desk)].inbox.bytes == 0


@pytest.mark.usefixtures("small")
async def test_what_waited_for_an_object_that_is_reset_makes_room_for_its_next_life(
    folder: Path, disk: StuckDisk
) -> None:
    async with runtime_with_a_disk(folder) as (runtime, _):
        desk = runtime.env.desks.get_by_name("a")
        await desk.take()
        with disk.stuck():
            lost = [desk.write(), desk.shut(), desk.take("x" * 600)]
            await turns()
            life = runtime.host.life_of(key_of(desk))
            assert life is not None
            life.break_off(errors.ObjectReset("moved"))
            waits = desk.take("y" * 600)
            await turns()

        assert await waits == 1
        results = await asyncio.gather(*lost, return_exceptions=True)
        assert [type(result) for result in results] == [errors.ObjectReset] * 3
