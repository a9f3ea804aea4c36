"""Clients that mean ill, or are ill: they get what they deserve, and nobody else notices.

`CROWD` in the environment sets how many come at once: see ``make fuzz``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from runtime import edge
from tests.runtime.echo_rooms import Guest, Room, Server, assert_echoes, rooms, undisturbed
from tests.runtime.raw_socket import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawSocket,
    close,
    frame,
    handshake,
    text,
)
from tests.servers import TRANSPORTS

pytestmark = pytest.mark.asyncio(loop_scope="module")

CROWD: Final = int(os.environ.get("CROWD", "200"))
FLOOD: Final = 100_000 if "CROWD" in os.environ else 5_000  # frames
AT_ONCE: Final = 1000  # of them that may be handled before somebody else has a turn
MEGABYTE: Final = 2**20
LIMIT: Final = 4 * MEGABYTE  # of a message
KERNEL_BYTES: Final = 65_536
VANISHED: Final = (1006, "WebSocket disconnected without sending Close frame.", False)

ANSWERS_ARE_BOUNDED: Final = {"portable": False, "detached": True}
"""Where the transports differ: uvicorn keeps all pongs for a client that doesn't take them."""

HALF_CLOSED_IS_SEEN: Final = {"portable": False, "detached": True}
"""And: if something waits for a peer that has closed its half, uvicorn waits until it is taken."""

IN_TURNS: Final = {"portable": False, "detached": True}
"""Whether handshakes wait for each other while those who are inside have their turns. uvicorn
begins all of them at once."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(TRANSPORTS))
async def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    """A server, one for each transport."""
    folder = tmp_path_factory.mktemp("rooms")
    async with rooms(folder, request.param, limit=LIMIT, kernel_bytes=KERNEL_BYTES) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fast_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One for what is uvicorn's own affair on the portable transport."""
    async with rooms(tmp_path_factory.mktemp("rooms"), "detached") as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def bystander(server: Server) -> AsyncIterator[Guest]:
    """Somebody else in the room."""
    async for guest in undisturbed(server):
        yield guest


# On open sockets.


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_peer_that_answers_no_ping_is_gone_and_one_that_does_stays(
    tmp_path: Path, transport: str
) -> None:
    async with rooms(tmp_path, transport, ws_ping_interval=0.1, ws_ping_timeout=0.1) as server:
        silent, lively = await server.guest(), await server.guest()

        for _ in range(5):
            ping = await lively.raw.frame()
            assert ping.opcode == PING
            await lively.raw.send(frame(PONG, ping.payload))

        assert await silent.end() == VANISHED
        *pings, last = await silent.raw.until_close()
        assert {ping.opcode for ping in pings} == {PING}
        assert last.end == (1011, "keepalive ping timeout")
        assert lively.told.empty()


async def test_a_client_that_takes_nothing_is_closed_before_much_waits_for_it(
    server: Server, bystander: Guest
) -> None:
    guest = await server.guest()

    sent = 0
    while guest.told.empty():
        await bystander.raw.send(text("flood everybody"))
        sent += len((await bystander.raw.frame()).payload)
        assert sent < edge.MAX_BURST_BYTES + MEGABYTE

    assert await guest.end() == (1013, "too slow", False)
    assert (await guest.raw.until_close())[-1].end == (1013, "too slow")


async def test_a_client_that_asks_and_takes_no_answers_gets_none(
    server: Server, bystander: Guest
) -> None:
    guest = await server.guest()

    tracemalloc.start()
    try:
        for _ in range(100):
            await guest.raw.send(frame(PING, b"?" * 125) * 250)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    await guest.raw.send(close(1000))
    while await guest.raw.some(MEGABYTE):  # with both ways full, the kernel would take long
        pass

    assert (await guest.end())[0] == 1000
    assert (peak < 2 * MEGABYTE) == ANSWERS_ARE_BOUNDED[server.transport]


async def test_a_client_that_takes_a_large_message_slowly_gets_all_of_it(
    server: Server, bystander: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.edge.SLOW_SECONDS", 0.1)
    monkeypatch.setattr("runtime.edge.STALLED_SECONDS", 0.1)
    guest = await server.guest()
    loop = asyncio.get_running_loop()
    large = frame(BINARY, bytes(LIMIT))

    sending = asyncio.create_task(guest.raw.send(large))
    began, taken = loop.time(), 0
    while taken < LIMIT:
        taken += await guest.raw.some(LIMIT // 50)
        await asyncio.sleep(0.01)
    await sending

    assert loop.time() - began > 0.4, "it took longer than a stall may"
    await assert_echoes(guest)


async def test_what_was_said_before_a_close_reaches_a_slow_client_that_takes_it(
    server: Server, bystander: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.detached.CLOSE_SECONDS", 0.4)
    guest = await server.guest()
    loop = asyncio.get_running_loop()
    large = bytes(MEGABYTE // 2)
    whole = len(frame(BINARY, large, is_masked=False)) + len(close(4000, b"as you wish")) - 4

    sending = asyncio.create_task(guest.raw.send(frame(BINARY, large) + text("close me with 4000")))
    started, taken = loop.time(), 0
    while loop.time() < started + 1.2:
        taken += await guest.raw.some(4_096)
        await asyncio.sleep(0.01)  # it has little bandwidth
    await sending
    was_slow = taken < whole
    while taken < whole:
        taken += (more := await guest.raw.some(whole - taken))
        assert more, "cut off"
    await guest.raw.send(close(4000))

    assert was_slow
    # It may be too late by then for its answer to count; what the kernel has isn't in our hands.
    assert (await guest.end())[0] in (4000, 1006)


async def test_a_client_below_the_limit_again_isnt_slow(
    server: Server, bystander: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.edge.SLOW_SECONDS", 0.1)
    guest = await server.guest()
    loop = asyncio.get_running_loop()
    size = MEGABYTE + 6 * KERNEL_BYTES

    sending = asyncio.create_task(guest.raw.send(frame(BINARY, bytes(size))))
    taken = await guest.raw.some(size // 2)
    while taken < size // 2:
        taken += await guest.raw.some(size // 2 - taken)
    await sending
    started = loop.time()
    while loop.time() < started + 0.3:  # as long as three times what makes a client slow
        await assert_echoes(bystander)
    await guest.raw.send(text("hello"))
    while taken < size:
        taken += await guest.raw.some(size - taken)

    assert guest.told.empty()


async def test_a_client_that_is_refused_while_it_uploads_hears_why(tmp_path: Path) -> None:
    # Only here: uvicorn closes at once, and what it hasn't read takes its close frame along.
    async with rooms(tmp_path, "detached", limit=MEGABYTE) as server:
        guest = await server.guest()

        await guest.raw.send(frame(BINARY, length=33 * MEGABYTE), *[bytes(65_536)] * 64)

        assert (await guest.raw.until_close())[-1].end[0] == 1009
        assert (await guest.end())[0] == 1009


async def test_a_peer_that_hangs_up_and_takes_nothing_is_let_go(
    server: Server, bystander: Guest
) -> None:
    guest = await server.guest()
    for _ in range(10):  # more than the kernel takes, and less than is too much
        await bystander.raw.send(text("flood everybody"))
        await bystander.raw.frame()

    guest.raw.send_no_more()
    if not HALF_CLOSED_IS_SEEN[server.transport]:
        guest.raw.reset()

    assert await guest.end() == VANISHED


@pytest.mark.parametrize(
    "flood",
    [
        text("~") * FLOOD,
        frame(PING, b"?") * FLOOD,
        frame(PONG) * FLOOD,
        frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * FLOOD,
    ],
    ids=["messages", "pings", "pongs", "empty parts"],
)
async def test_others_have_their_turn_during_a_flood_of_tiny_frames(
    server: Server, bystander: Guest, flood: bytes
) -> None:
    guest = await server.guest()
    Room.waves = 0

    peak = peak_memory()

    flooding = asyncio.create_task(guest.raw.send(flood))
    await asyncio.sleep(0)
    await assert_echoes(bystander)
    waves_before = Room.waves
    await flooding
    guest.raw.leave()

    assert await guest.end() == VANISHED
    assert waves_before <= AT_ONCE
    assert peak_memory() - peak < 32 * MEGABYTE


def peak_memory() -> int:
    """Return the most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# At the door.


async def test_handshakes_that_come_at_once_take_turns_with_those_who_are_inside(
    server: Server, bystander: Guest
) -> None:
    raws = [await server.connect() for _ in range(200)]
    Room.arrived = 0

    heads = (raw.send(handshake(server.path(f"in-turn-{n}"))) for n, raw in enumerate(raws))
    coming = asyncio.gather(*heads)
    await asyncio.sleep(0)
    await assert_echoes(bystander)
    arrived = Room.arrived
    await coming

    assert (arrived < 50) == IN_TURNS[server.transport]
    for raw in raws:
        assert (await raw.response_head()).startswith(b"HTTP/1.1 101 ")


async def crowd(server: Server) -> list[str]:
    """Come in many at once, to a room of their own, and return what each has been answered."""

    async def come(number: int) -> str:
        raw = await RawSocket.connect(server.address)
        await raw.open(server.path(f"one-{number}", room="full"))
        await raw.send(text("let me in"))
        answer = await raw.frame()
        raw.leave()
        return answer.payload.decode()

    return await asyncio.gather(*map(come, range(CROWD)))


async def test_a_crowd_that_comes_at_once_is_let_in_and_those_inside_dont_wait_for_it(
    server: Server, bystander: Guest
) -> None:
    coming = asyncio.create_task(asyncio.to_thread(asyncio.run, crowd(server)))
    waits = []
    loop = asyncio.get_running_loop()
    while not coming.done():
        began = loop.time()
        await assert_echoes(bystander)
        waits.append(loop.time() - began)

    assert await coming == ["let me in"] * CROWD
    if IN_TURNS[server.transport]:
        assert max(waits) < 3


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (handshake("/rooms/a", sec_websocket_version="8"), 400),
        (handshake("/rooms/a", sec_websocket_version=None), 400),
        (handshake("/rooms/a", sec_websocket_key=None), 400),
        (handshake("/rooms/a", sec_websocket_key="short"), 400),
        (handshake("/rooms/a", "sec-websocket-key: dGhlIG1vdXNlIHNsZWVwcw=="), 400),
        (handshake("/rooms/a", "sec-websocket-protocol: ,;"), 400),
        (handshake("/rooms/a").replace(b"GET", b"POST"), 405),
        (handshake("/rooms/a", connection="close"), 405),
        (handshake("/rooms/a", upgrade="h2c"), 405),
        (handshake("/nowhere"), 403),
        (b"\x00" * 100, 400),
        (text("no handshake at all"), 400),
    ],
    ids=[
        "old version",
        "no version",
        "no key",
        "short key",
        "two keys",
        "bad subprotocol",
        "POST",
        "no upgrade",
        "another upgrade",
        "nowhere",
        "zeros",
        "a frame",
    ],
)
async def test_a_wrong_handshake_is_refused(
    server: Server, bystander: Guest, head: bytes, status: int
) -> None:
    raw = await server.connect()

    await raw.send(head)

    assert (await raw.response_head()).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize(
    "head",
    [
        handshake("/rooms/a", f"cookie: {'x' * 10_000}"),
        handshake(f"/rooms/a?{'x' * 10_000}"),
        handshake("/rooms/a", *(f"x-{number}: 1" for number in range(200))),
        handshake("/rooms/a", *(f"x-{number}: {'y' * 1000}" for number in range(70))),
        handshake("/rooms/a", "content-length: 5") + b"hello",
        handshake("/rooms/a", "transfer-encoding: chunked") + b"0\r\n\r\n",
    ],
    ids=["long line", "long path", "many lines", "70 KB", "a body", "a body in chunks"],
)
async def test_a_handshake_that_is_too_much_is_refused(fast_server: Server, head: bytes) -> None:
    raw = await fast_server.connect()

    await raw.send(head)

    assert (await raw.response_head()).startswith(b"HTTP/1.1 4")


async def test_a_large_body_and_the_next_head_in_one_write_are_both_answered(
    fast_server: Server,
) -> None:
    body = b"x" * 100_000
    post = b"POST /nowhere HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n" % len(body)
    get = b"GET /nowhere HTTP/1.1\r\nhost: test\r\n\r\n"
    raw = await fast_server.connect()

    await raw.send(post + body + get[:20])
    first = await raw.response_head()
    await raw.send(get[20:])

    assert first.startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "in pieces"])
async def test_a_head_without_an_end_is_refused(fast_server: Server, at_once: bool) -> None:
    endless = b"GET / HTTP/1.1\r\n" + b"x-y: %s\r\n" % (b"z" * 1000) * 66
    size = len(endless) if at_once else 1000
    raw = await fast_server.connect()

    await raw.send(*(endless[at : at + size] for at in range(0, len(endless), size)))

    assert (await raw.response_head()).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "begun", [b"", b"GE", b"GET /rooms/a HTTP/1.1\r\n", handshake("/rooms/a")[:-2]]
)
async def test_a_head_that_isnt_finished_in_time_is_refused(
    fast_server: Server, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.uvicorn_ws.HEAD_SECONDS", 0.2)
    raw = await fast_server.connect()
    await raw.send(begun)

    answering = asyncio.create_task(raw.response_head())
    with contextlib.suppress(ConnectionError):  # it may have ended while we send
        while not answering.done():
            await asyncio.sleep(0.03)
            if begun.endswith(b"\r\n") and not answering.done():
                await raw.send(b"x")  # a byte now and then is no progress

    assert (await answering).startswith(b"HTTP/1.1 408 ")
