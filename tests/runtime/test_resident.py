"""Sockets of an object that can't take what arrives on them: now, or any more."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar

import pytest

from runtime import (
    DurableObject,
    Request,
    Response,
    WebSocket,
    WebSocketRequestResponsePair,
    errors,
)
from runtime.loopback import ClientSocket
from runtime.resident import LOOK_SECONDS
from runtime.testing import TestRuntime, key_of
from tests.conftest import StartRuntime
from tests.runtime.disk import StuckDisk, disk, turns

__all__ = ["disk"]

STOPPING = (1012, "this server is stopping")


class Pool(DurableObject[object]):
    """Takes messages, each for as long as the test wants."""

    log: ClassVar[list[str]]
    gates: ClassVar[dict[str, asyncio.Event]]
    starts: ClassVar[bool]
    opens_with: ClassVar[WebSocketRequestResponsePair | None] = None

    def __init__(self, ctx: Any, env: object) -> None:
        super().__init__(ctx, env)
        if Pool.opens_with is not None:
            ctx.set_web_socket_auto_response(Pool.opens_with)
        if not Pool.starts:
            raise ValueError("no water")

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols()

    async def wait(self, gate: str) -> None:
        await Pool.gates.setdefault(gate, asyncio.Event()).wait()

    async def shut(self) -> None:
        await self.ctx.block_concurrency_while(lambda: self.wait("section"))

    async def fill(self, size: int) -> None:
        await self.ctx.storage.put("water", b"x" * size)

    async def nothing(self) -> None:
        pass

    async def set_up(self, pair: Any, seconds: float | None) -> None:
        self.ctx.set_web_socket_auto_response(pair and WebSocketRequestResponsePair(*pair))
        self.ctx.set_hibernatable_web_socket_event_timeout(seconds)

    async def set_up_badly(self, pair: Any) -> None:
        self.ctx.set_web_socket_auto_response(pair)

    async def settings(self) -> tuple[str | None, float | None]:
        pair = self.ctx.get_web_socket_auto_response()
        timeout = self.ctx.get_hibernatable_web_socket_event_timeout()
        return None if pair is None else pair.response, timeout

    async def drain(self) -> None:
        self.ctx.abort("to be cleaned")

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        assert isinstance(message, str)
        Pool.log.append(message[:20])
        if message.startswith("wait"):
            await self.wait(message)

    async def web_socket_error(self, ws: WebSocket, error: Exception) -> None:
        Pool.log.append(f"error: {error}, {len(self.ctx.get_web_sockets())} sockets")
        if str(error) == "raise":
            raise error

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        Pool.log.append(f"close {code} {reason}")


@pytest.fixture
async def runtime(start_awake_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with pools."""
    Pool.log, Pool.gates, Pool.starts = [], {}, True
    started: TestRuntime[Any] = await start_awake_runtime(pools=Pool)
    return started


@pytest.fixture
def pool(runtime: TestRuntime[Any]) -> Any:
    """One of them."""
    return runtime.env.pools.get_by_name("a")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sockets be read while fewer than four tasks are under way or waiting."""
    monkeypatch.setattr("runtime.resident.CONGESTED_TASKS", 4)


def bring(ws: ClientSocket, *messages: str) -> None:
    """Have messages arrive, which may wait on the wire."""
    for message in messages:
        ws.wire.bring(message)


@pytest.mark.usefixtures("few")
async def test_sockets_arent_read_while_too_much_is_under_way_and_lose_nothing(
    runtime: TestRuntime[Any], pool: Any
) -> None:
    first, second = [await runtime.connect(pool) for _ in range(2)]

    bring(first, *[f"wait {number}" for number in range(6)])
    bring(second, "second")
    meanwhile = list(Pool.log)
    Pool.gates["wait 0"].set()
    await turns()
    still = list(Pool.log)
    Pool.gates["wait 1"].set()
    await turns()
    for gate in list(Pool.gates.values()):
        gate.set()
    await runtime.settle()

    assert meanwhile == ["wait 0", "wait 1", "wait 2", "wait 3", "second"]
    assert still == meanwhile, "it goes on when there is half as much"
    assert Pool.log == [*meanwhile, "wait 4", "wait 5"]


@pytest.mark.usefixtures("few")
async def test_sockets_are_read_again_before_long_if_the_rest_of_the_work_has_no_end(
    runtime: TestRuntime[Any], pool: Any
) -> None:
    ws = await runtime.connect(pool)
    calls = [pool.wait(gate) for gate in "xxxy"]
    bring(ws, "first", "second", "third")
    meanwhile = list(Pool.log)

    Pool.gates["y"].set()
    await runtime.clock.advance(LOOK_SECONDS)

    assert meanwhile == ["first"]
    assert Pool.log == ["first", "second", "third"]
    Pool.gates["x"].set()
    await asyncio.gather(*calls)


@pytest.mark.usefixtures("few")
async def test_it_is_looked_again_and_again_whether_sockets_can_be_read(
    runtime: TestRuntime[Any], pool: Any
) -> None:
    ws = await runtime.connect(pool)
    calls = [pool.wait(gate) for gate in "xxxy"]
    bring(ws, "first", "second")

    await runtime.clock.advance(10 * LOOK_SECONDS)
    meanwhile = list(Pool.log)
    Pool.gates["y"].set()
    await runtime.clock.advance(LOOK_SECONDS)

    assert (meanwhile, Pool.log) == (["first"], ["first", "second"])
    Pool.gates["x"].set()
    await asyncio.gather(*calls)


async def test_sockets_arent_read_while_too_much_data_waits(
    runtime: TestRuntime[Any], pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.resident.CONGESTED_BYTES", 1000)
    ws = await runtime.connect(pool)
    shut = pool.shut()
    await runtime.settle()

    bring(ws, *[f"{number}".ljust(600) for number in range(4)])
    resident = runtime.host._residents[key_of(pool)]
    meanwhile = resident.inbox.bytes, len(resident.sockets.paused)
    Pool.gates["section"].set()
    await shut
    await runtime.settle()

    assert meanwhile == (1200, 1)
    assert [message.strip() for message in Pool.log] == ["0", "1", "2", "3"]


@pytest.mark.usefixtures("few")
async def test_what_arrives_while_an_object_leaves_memory_is_bounded_and_all_delivered(
    runtime: TestRuntime[Any], pool: Any
) -> None:
    ws = await runtime.connect(pool)
    await runtime.settle()
    life = runtime.host.life_of(key_of(pool))
    assert life is not None
    messages = [f"{number}" for number in range(10)]

    runtime.host.evict(life)
    bring(ws, *messages)
    waiting = len(runtime.host._residents[key_of(pool)].waiting)
    await runtime.settle()

    assert waiting == 4
    assert Pool.log == messages


async def test_sockets_arent_read_while_the_journal_is_filling(disk: StuckDisk) -> None:
    Pool.log, Pool.gates, Pool.starts = [], {}, True
    async with TestRuntime(bindings={"pools": Pool}, journal_max_bytes=100_000) as runtime:
        pool = runtime.env.pools.get_by_name("a")
        ws = await runtime.connect(pool)
        with disk.stuck():
            filling = asyncio.ensure_future(pool.fill(60_000))
            await turns()
            bring(ws, "first", "second")
            meanwhile = list(Pool.log)
        await filling

        await runtime.clock.advance(LOOK_SECONDS)

        assert (meanwhile, Pool.log) == (["first"], ["first", "second"])


@pytest.mark.parametrize(
    ("limit", "closed"),
    [
        (2, (1013, "Durable Object is overloaded. Too many requests queued.")),
        (100, None),
    ],
)
async def test_a_message_that_is_one_too_many_for_the_next_life_closes_its_socket(
    runtime: TestRuntime[Any],
    pool: Any,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    closed: tuple[int, str] | None,
) -> None:
    monkeypatch.setattr("runtime.resident.MAX_TASKS", limit)
    ws, other = [await runtime.connect(pool) for _ in range(2)]
    await runtime.settle()
    life = runtime.host.life_of(key_of(pool))
    assert life is not None

    runtime.host.evict(life)
    bring(other, "first", "second")
    bring(ws, "third")
    await runtime.settle()

    assert (ws.closed, other.closed) == (closed, None)
    assert Pool.log[:2] == ["first", "second"]


async def test_a_message_whose_object_cant_be_started_closes_its_socket(
    runtime: TestRuntime[Any], pool: Any
) -> None:
    ws = await runtime.connect(pool)
    await runtime.evict_durable_object(pool)
    Pool.starts = False

    await ws.send("hello?")

    assert ws.closed is not None
    assert ws.closed[0] in (1011, 1012)
    assert Pool.log == []


async def test_nothing_that_arrives_while_the_server_stops_is_delivered(
    runtime: TestRuntime[Any], pool: Any
) -> None:
    ws, other = [await runtime.connect(pool) for _ in range(2)]
    bring(ws, "wait")
    stopping = asyncio.ensure_future(runtime.restart())
    await turns()

    bring(ws, "late")
    other.server.failed(ValueError("late"))
    other.server.disconnected(1001, "late", was_clean=True)
    await turns()
    Pool.gates["wait"].set()
    await stopping

    assert Pool.log == ["wait"]
    assert ws.closed == STOPPING


async def test_a_message_that_waits_when_the_server_stops_has_its_client_come_back(
    runtime: TestRuntime[Any], pool: Any
) -> None:
    ws = await runtime.connect(pool)
    await runtime.settle()
    life = runtime.host.life_of(key_of(pool))
    assert life is not None

    runtime.host.evict(life)
    bring(ws, "late")
    await runtime.restart()

    assert ws.closed == STOPPING
    assert Pool.log == []


async def test_a_broken_connection_is_told_before_its_end(
    start_runtime: StartRuntime,
) -> None:
    Pool.log, Pool.gates, Pool.starts = [], {}, True
    runtime = await start_runtime(pools=Pool)
    ws = await runtime.connect(runtime.env.pools.get_by_name("a"))

    ws.server.failed(ValueError("invalid UTF-8"))
    ws.server.disconnected(1006, "", was_clean=False)
    ws.server.failed(ValueError("too late"))
    await runtime.settle()

    assert Pool.log == ["error: invalid UTF-8, 1 sockets", "close 1006 "]


async def test_what_a_handler_of_errors_raises_is_logged_and_the_socket_goes_on(
    runtime: TestRuntime[Any], pool: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ws = await runtime.connect(pool)

    with caplog.at_level(logging.ERROR, logger="runtime"):
        ws.server.failed(ValueError("raise"))
        await runtime.settle()
    await ws.send("still here")

    assert "web_socket_error of Pool" in caplog.text
    assert Pool.log[-1] == "still here"


async def test_an_object_without_a_handler_of_errors_sleeps_on(
    start_awake_runtime: StartRuntime,
) -> None:
    class Mute(DurableObject[object]):
        async def fetch(self, request: Request) -> Response:
            assert request.web_socket is not None
            self.ctx.accept_web_socket(request.web_socket)
            return Response.switching_protocols()

    runtime = await start_awake_runtime(mutes=Mute)
    mute = runtime.env.mutes.get_by_name("a")
    ws = await runtime.connect(mute)
    await runtime.evict_durable_object(mute)

    ws.server.failed(ValueError("invalid UTF-8"))
    await runtime.settle()

    assert runtime.host.life_of(key_of(mute)) is None


async def test_an_end_is_told_of_every_socket_though_all_end_while_the_object_is_leaving(
    start_awake_runtime: StartRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.resident.MAX_TASKS", 2)
    runtime = await start_awake_runtime(hosts=Host)
    host = runtime.env.hosts.get_by_name("a")
    Host.left.clear()
    guests = [await runtime.connect(host) for _ in range(5)]
    life = runtime.host.life_of(key_of(host))

    runtime.host.evict(life)
    for guest in guests:
        guest.server.disconnected(1006, "", was_clean=False)
    await runtime.settle()

    assert len(Host.left) == 5


class Host(DurableObject[object]):
    """Notes who has left."""

    left: ClassVar[list[int]] = []

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols()

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        Host.left.append(code)


# What holds for all sockets, those to come as well.


@pytest.mark.parametrize(
    ("pair", "seconds", "settings"),
    [(("ping", "pong"), None, ("pong", None)), (None, 5, (None, 5))],
)
async def test_what_was_set_before_the_first_socket_outlives_the_memory(
    runtime: TestRuntime[Any], pool: Any, pair: Any, seconds: Any, settings: Any
) -> None:
    await pool.set_up(pair, seconds)
    await runtime.clock.advance(60)
    assert runtime.host.life_of(key_of(pool)) is None

    assert await pool.settings() == settings


async def test_a_socket_that_comes_later_is_answered_automatically(
    runtime: TestRuntime[Any], pool: Any
) -> None:
    await pool.set_up(("ping", "pong"), None)
    await runtime.evict_durable_object(pool)
    ws = await runtime.connect(pool)
    await ws.leave()
    await runtime.evict_durable_object(pool)

    ws = await runtime.connect(pool)
    await ws.send("ping")

    assert (list(ws.received), Pool.log) == (["pong"], ["close 1000 "])


async def test_an_object_for_whose_sockets_nothing_is_set_any_more_is_forgotten(
    runtime: TestRuntime[Any], pool: Any
) -> None:
    await pool.set_up(("ping", "pong"), 5)
    await pool.set_up(None, None)
    await runtime.evict_durable_object(pool)

    assert runtime.host.resident(key_of(pool)) is None


async def test_what_every_constructor_sets_keeps_nothing_in_memory(
    runtime: TestRuntime[Any], pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pool, "opens_with", WebSocketRequestResponsePair("ping", "pong"))
    assert await pool.settings() == ("pong", None)
    await runtime.evict_durable_object(pool)

    assert runtime.host.resident(key_of(pool)) is None
    assert await pool.settings() == ("pong", None)


async def test_what_was_set_goes_with_the_sockets_when_the_object_is_reset(pool: Any) -> None:
    await pool.set_up(("ping", "pong"), 5)

    with pytest.raises(errors.ObjectReset):
        await pool.drain()

    assert await pool.settings() == (None, None)


@pytest.mark.parametrize("pair", [("ping", "pong"), "ping"])
async def test_what_is_no_pair_is_refused_when_it_is_set(
    runtime: TestRuntime[Any], pool: Any, pair: Any
) -> None:
    ws = await runtime.connect(pool)
    await pool.set_up(("hello", "there"), None)

    with pytest.raises(TypeError, match=r"^expected a WebSocketRequestResponsePair, not "):
        await pool.set_up_badly(pair)
    await ws.send("hello")

    assert list(ws.received) == ["there"]
