"""What reference section 12 promises of sockets, over a real port: one suite, two transports.

Everything runs on both, and once more with the object evicted before each of its events. What
needs no network is in `test_sockets`, and single frames are in `test_frames_on_the_wire`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import litestar
import pytest
import pytest_asyncio
import websockets
from litestar import Litestar, websocket
from litestar.di import NamedDependency
from litestar.params import FromPath
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from runtime import (
    DurableObject,
    DurableObjectNamespace,
    DurableObjectState,
    Request,
    Response,
    WebSocket,
    WebSocketRequestResponsePair,
)
from runtime.litestar import DurableObjectsPlugin, forward
from runtime.testing import TestRuntime, key_of
from tests.runtime.disk import StuckDisk, disk
from tests.runtime.raw_socket import PATIENCE
from tests.servers import TRANSPORTS, serving

__all__ = ["disk"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGE: Final = "x" * 65_536
VANISHED: Final = (1006, "WebSocket disconnected without sending Close frame.", False)

End = tuple[int, str, bool]


class Parlour(DurableObject[Any]):
    """Does what it is told in messages."""

    migrations = ("CREATE TABLE log (number INTEGER PRIMARY KEY, text TEXT NOT NULL)",)

    ends: ClassVar[dict[tuple[str | None, str], asyncio.Queue[End]]] = {}
    """By object and guest, how each has left."""
    held: ClassVar[asyncio.Future[None]]

    async def fetch(self, request: Request) -> Response:
        ws = request.web_socket
        assert ws is not None
        guest = request.query["guest"]
        self.ctx.accept_web_socket(ws, tags=[guest, *request.query.get("tags", "").split()])
        ws.serialize_attachment({"guest": guest})
        if "greeted" in request.query:
            ws.send("welcome")
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        verb, _, rest = message.partition(" ") if isinstance(message, str) else ("", "", "")
        match verb:
            case "log":
                self.ctx.storage.sql.exec("INSERT INTO log (text) VALUES (?)", rest)
                ws.send(rest)
            case "attachment":
                attachment = ws.deserialize_attachment()
                ws.send(f"{attachment['guest']} {attachment.get('seen', 0)}")
                ws.serialize_attachment(attachment | {"seen": attachment.get("seen", 0) + 1})
            case "list":
                ws.send(" ".join(self.ctx.get_tags(each)[0] for each in self.guests(rest)))
            case "tell":
                self.ctx.broadcast(rest, exclude=[ws])
            case "fail":
                raise ValueError("on purpose")
            case "wait":
                await asyncio.shield(Parlour.held)
                ws.send("waited")
            case "close":
                ws.send("before")
                ws.close(int(rest), "as you wish")
            case "abort":
                self.ctx.abort("on purpose")
            case "farewell":
                for number in range(int(rest)):
                    ws.send(f"{number} {LARGE}")
                ws.close(4000, "that was all")
            case _:
                ws.send(message)

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        guest = ws.deserialize_attachment()["guest"]
        listed = ws in self.ctx.get_web_sockets()
        assert listed, "until this has been handled"
        Parlour.ends[self.ctx.id.name, guest].put_nowait((code, reason, was_clean))

    def guests(self, tag: str) -> list[WebSocket]:
        return self.ctx.get_web_sockets(tag or None)


@dataclass
class Guest:
    """A client, and the object's view of its end."""

    name: str
    ws: ClientConnection
    ends: asyncio.Queue[End]

    async def say(self, *messages: str | bytes) -> None:
        for message in messages:
            await self.ws.send(message)

    async def hear(self) -> str | bytes:
        return await asyncio.wait_for(self.ws.recv(), PATIENCE)

    async def ask(self, message: str | bytes) -> str | bytes:
        """Send a message, and return what comes next."""
        await self.say(message)
        return await self.hear()

    async def closed(self) -> tuple[list[str | bytes], int | None, str | None]:
        """Return what still comes, then the code and the reason that end it."""
        heard = []
        with pytest.raises(ConnectionClosed):
            while True:
                heard.append(await self.hear())
        return heard, self.ws.close_code, self.ws.close_reason

    async def end(self) -> End:
        """Return how the object was told of the end."""
        return await asyncio.wait_for(self.ends.get(), PATIENCE)


@dataclass
class World:
    """A server, and what is behind it."""

    runtime: TestRuntime[Any]
    url: str
    is_evicting: bool


class Hall:
    """One object, and whoever comes to it in a test."""

    def __init__(self, world: World, name: str) -> None:
        self.runtime = world.runtime
        self.stub = world.runtime.env.parlours.get_by_name(name)
        self.is_evicting = world.is_evicting
        self.name = name
        self.url = f"{world.url}/{name}"
        self.guests: list[Guest] = []

    async def guest(self, name: str, query: str = "", *, max_queue: int = 16) -> Guest:
        """Let somebody in, who takes so many messages from the network before they are heard."""
        ends = Parlour.ends[self.name, name] = asyncio.Queue()
        ws = await websockets.connect(
            f"{self.url}?guest={name}{query}", compression=None, max_queue=max_queue
        )
        guest = Guest(name, ws, ends)
        self.guests.append(guest)
        return guest

    @property
    def is_awake(self) -> bool:
        return self.runtime.host.life_of(key_of(self.stub)) is not None

    async def evict(self) -> None:
        """Take the object out of memory."""
        await self.runtime.settle()
        await self.runtime.evict_durable_object(self.stub)
        assert not self.is_awake

    async def run(self, use: Callable[[DurableObjectState], Any]) -> Any:
        """Run something as the object's code."""
        return await self.runtime.run_in_durable_object(self.stub, lambda _, ctx: use(ctx))


@websocket("/{name:str}")
async def enter(
    socket: litestar.WebSocket[Any, Any, Any],
    name: FromPath[str],
    parlours: NamedDependency[DurableObjectNamespace[Parlour]],
) -> None:
    await forward(socket, to=parlours.get_by_name(name))


WORLDS: Final = [
    pytest.param((transport, evicting), id=f"{transport}-{'evicted' if evicting else 'awake'}")
    for transport in TRANSPORTS
    for evicting in (False, True)
]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=WORLDS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A server for each transport, with objects that stay awake and with some that don't."""
    transport, evicting = request.param
    runtime = TestRuntime(bindings={"parlours": Parlour}, evicting=evicting)
    app = Litestar([enter], plugins=[DurableObjectsPlugin(runtime)], logging_config=None)
    async with serving(app, ws_ping_interval=None, **TRANSPORTS[transport]) as address:
        yield World(runtime, f"ws://{address}", evicting)


@pytest_asyncio.fixture(loop_scope="module")
async def hall(world: World, request: pytest.FixtureRequest) -> AsyncIterator[Hall]:
    """An object for one test."""
    Parlour.held = asyncio.get_running_loop().create_future()
    hall = Hall(world, str(abs(hash(request.node.name))))
    yield hall
    for guest in hall.guests:
        await guest.ws.close()
        assert guest.ends.qsize() <= 1, "an end is told once"


# Messages.


async def test_text_and_bytes_go_both_ways(hall: Hall) -> None:
    guest = await hall.guest("ann")

    assert await guest.ask("héllo") == "héllo"
    assert await guest.ask(b"\x00\xff") == b"\x00\xff"
    assert await guest.ask("") == ""
    assert await guest.ask(b"") == b""


async def test_what_is_sent_before_the_handshake_is_answered_comes_first(hall: Hall) -> None:
    guest = await hall.guest("ann", "&greeted=1")

    assert await guest.hear() == "welcome"


async def test_a_hundred_messages_that_write_are_answered_in_order(hall: Hall) -> None:
    guests = [await hall.guest(name) for name in ("ann", "bob")]
    numbers = [str(number) for number in range(100)]

    await asyncio.gather(*(guest.say(*(f"log {n}" for n in numbers)) for guest in guests))

    for guest in guests:
        assert [await guest.hear() for _ in numbers] == numbers
    logged = await hall.run(
        lambda ctx: [row["text"] for row in ctx.storage.sql.exec("SELECT text FROM log")]
    )
    assert sorted(logged, key=int) == sorted(numbers * 2, key=int)


async def test_messages_that_come_while_the_object_sleeps_are_answered_in_order(
    hall: Hall,
) -> None:
    guest = await hall.guest("ann")
    await guest.ask("awake")
    await hall.evict()

    await guest.say(*(str(number) for number in range(20)))

    assert [await guest.hear() for _ in range(20)] == [str(number) for number in range(20)]


async def test_a_handler_that_waits_doesnt_hold_up_the_next_message(hall: Hall) -> None:
    guest = await hall.guest("ann")

    await guest.say("wait", "meanwhile")
    first = await guest.hear()
    Parlour.held.set_result(None)

    assert [first, await guest.hear()] == ["meanwhile", "waited"]


async def test_a_handler_that_fails_leaves_the_socket_open(hall: Hall) -> None:
    guest = await hall.guest("ann")

    await guest.say("fail")

    assert await guest.ask("still here") == "still here"


async def test_messages_wait_for_the_disk(hall: Hall, disk: StuckDisk) -> None:
    guest = await hall.guest("ann")
    await guest.ask("awake")

    with disk.stuck():
        await guest.say("log it")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(guest.ws.recv(), 0.1)

    assert await guest.hear() == "it"


# Tags, lists and attachments.


async def test_a_broadcast_reaches_those_it_is_meant_for(hall: Hall) -> None:
    ann = await hall.guest("ann", "&tags=people")
    bob = await hall.guest("bob", "&tags=people")

    await ann.say("tell all others")
    reached = await hall.run(lambda ctx: ctx.broadcast("people", tag="people"))
    await hall.run(lambda ctx: ctx.broadcast("ann", tag="ann"))

    assert reached == 2
    assert [await ann.hear(), await ann.hear()] == ["people", "ann"]
    assert [await bob.hear(), await bob.hear()] == ["all others", "people"]


async def test_sockets_are_listed_newest_first_and_by_tag_oldest_first(hall: Hall) -> None:
    for name in ("ann", "bob", "cem"):
        guest = await hall.guest(name, "&tags=all")
    await hall.guests[0].ask("awake")
    await hall.evict()

    assert await guest.ask("list") == "cem bob ann"
    assert await guest.ask("list all") == "ann bob cem"
    assert await guest.ask("list nobody") == ""


async def test_an_attachment_survives_the_objects_sleep(hall: Hall) -> None:
    guest = await hall.guest("ann")

    assert await guest.ask("attachment") == "ann 0"
    await hall.evict()
    assert await guest.ask("attachment") == "ann 1"
    await hall.evict()
    assert await guest.ask("attachment") == "ann 2"


# Sleep.


async def test_an_object_sleeps_after_ten_seconds_and_a_call_or_a_message_wakes_it(
    hall: Hall,
) -> None:
    guest = await hall.guest("ann")
    await guest.ask("awake")

    await hall.runtime.clock.advance(10)
    assert not hall.is_awake
    assert await hall.run(lambda ctx: ctx.broadcast("called")) == 1
    assert await guest.hear() == "called"

    await hall.runtime.clock.advance(10)
    assert not hall.is_awake
    assert await guest.ask("OK") == "OK"


async def test_an_automatic_answer_wakes_nobody_and_leaves_its_time(hall: Hall) -> None:
    ann, bob = await hall.guest("ann"), await hall.guest("bob")
    pair = WebSocketRequestResponsePair("ping", "pong")
    await hall.run(lambda ctx: ctx.set_web_socket_auto_response(pair))
    await hall.evict()

    assert [await ann.ask("ping"), await bob.ask("ping")] == ["pong", "pong"]
    assert not hall.is_awake
    assert await bob.ask(b"ping") == b"ping", "bytes are no text"
    assert await hall.run(
        lambda ctx: {ctx.get_web_socket_auto_response_timestamp(ws) for ws in ctx.get_web_sockets()}
    ) == {hall.runtime.clock.time()}


async def test_an_automatic_answer_comes_after_what_was_sent_before_it(
    hall: Hall, disk: StuckDisk
) -> None:
    guest = await hall.guest("ann")
    pair = WebSocketRequestResponsePair("ping", "pong")
    await hall.run(lambda ctx: ctx.set_web_socket_auto_response(pair))

    with disk.stuck():
        await guest.say("log first", "ping")

    heard = [await guest.hear(), await guest.hear()]
    if hall.is_evicting:  # it is waking then, and hasn't sent anything yet
        assert heard == ["pong", "first"]
    else:
        assert heard == ["first", "pong"]


async def test_what_is_under_way_when_the_object_is_evicted_arrives(hall: Hall) -> None:
    guest = await hall.guest("ann", max_queue=1)
    await guest.say("farewell 200")  # more than the network takes
    await hall.evict()

    heard, *closed = await guest.closed()

    assert [str(message).partition(" ")[0] for message in heard] == list(map(str, range(200)))
    assert closed == [4000, "that was all"]
    assert await guest.end() == (4000, "that was all", True)


# Ends.


async def test_the_objects_close_reaches_the_client_after_what_was_sent(hall: Hall) -> None:
    guest = await hall.guest("ann")

    await guest.say("close 4001", "too late")

    assert await guest.closed() == (["before"], 4001, "as you wish")
    assert await guest.end() == (4001, "as you wish", True)


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "bye"), (4999, "κόσμε")])
async def test_the_clients_close_is_answered_and_told_once(
    hall: Hall, code: int, reason: str
) -> None:
    guest, other = await hall.guest("ann"), await hall.guest("bob")

    await guest.ws.close(code, reason)

    assert await guest.end() == (code, reason, True)
    assert (guest.ws.close_code, guest.ws.close_reason) == (code, reason)
    assert await other.ask("list") == "bob"


async def test_a_client_that_vanishes_is_told_with_1006_even_to_a_sleeping_object(
    hall: Hall,
) -> None:
    guest, other = await hall.guest("ann"), await hall.guest("bob")
    await other.ask("awake")
    await hall.evict()

    guest.ws.transport.abort()

    assert await guest.end() == VANISHED
    assert await other.ask("list") == "bob"


async def test_a_reset_closes_the_sockets_so_that_clients_come_back(hall: Hall) -> None:
    guests = [await hall.guest("ann"), await hall.guest("bob")]

    await guests[0].say("abort")

    for guest in guests:
        _, code, _ = await guest.closed()
        assert code == 1012
        assert guest.ends.empty(), "nobody is left to be told"
    assert await (await hall.guest("cem")).ask("list") == "cem"


async def test_an_event_that_takes_longer_than_its_limit_disconnects(hall: Hall) -> None:
    guest = await hall.guest("ann")
    await hall.run(lambda ctx: ctx.set_hibernatable_web_socket_event_timeout(5))
    await guest.say("wait")
    assert await guest.ask("meanwhile") == "meanwhile"

    await hall.runtime.clock.advance(5)

    assert (await guest.closed())[1] == 1012
