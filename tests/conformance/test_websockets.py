"""Section H of the conformance list: WebSockets, and what becomes of them when objects sleep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from runtime import (
    DurableObject,
    DurableObjectState,
    Request,
    Response,
    WebSocket,
    WebSocketRequestResponsePair,
    errors,
)
from runtime.sockets import MAX_SOCKETS
from runtime.testing import ClientSocket, HandshakeRefused, SocketClosed, TestRuntime, key_of
from tests.conftest import StartRuntime
from tests.runtime.disk import StuckDisk, disk, turns
from tests.runtime.echo_rooms import Server, rooms
from tests.runtime.raw_socket import BINARY, TEXT, Frame, close, frame, text
from tests.servers import TRANSPORTS

__all__ = ["disk"]

MAX_ATTACHMENT: Final = 16_384
OVERHEAD: Final = 3  # bytes, of a text's encoding
VANISHED: Final = (1006, "WebSocket disconnected without sending Close frame.", False)

End = tuple[int, str, bool]


class Lounge(DurableObject[object]):
    """Accepts whoever comes, and does what it is told in messages."""

    migrations = ("CREATE TABLE log (number INTEGER PRIMARY KEY, text TEXT NOT NULL)",)

    heard: ClassVar[list[str | bytes]]
    ends: ClassVar[list[End]]
    held: ClassVar[asyncio.Event]

    def __init__(self, ctx: DurableObjectState, env: object) -> None:
        super().__init__(ctx, env)
        self.requests = 0

    async def fetch(self, request: Request) -> Response:
        ws = request.web_socket
        if ws is None and request.path == "/ws":
            return Response(426, text="expected a WebSocket")
        if ws is None:
            self.requests += 1
            self.ctx.broadcast(f"request {self.requests}")
            return Response(text=str(self.requests))
        if request.path == "/failing":
            raise ValueError("changed my mind")
        self.ctx.accept_web_socket(ws, request.query.get("tags", "").split())
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        Lounge.heard.append(message)
        verb, _, rest = message.partition(" ") if isinstance(message, str) else ("", "", "")
        match verb:
            case "count":
                ws.send(f"requests: {self.requests}")
            case "close":
                ws.close(int(rest), "bye")
            case "log":
                self.ctx.storage.sql.exec("INSERT INTO log (text) VALUES (?)", rest)
                ws.send(rest)
            case "wait":
                ws.send("waiting")
                await Lounge.held.wait()
                ws.send("waited")
            case "farewell":
                for number in range(int(rest)):
                    ws.send(str(number))
                ws.close(4000, "that was all")
            case _:
                ws.send(message)

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        Lounge.ends.append((code, reason, was_clean))

    async def tell(self, message: str | bytes, tag: str | None = None) -> int:
        sockets = self.ctx.get_web_sockets(tag)
        for ws in sockets:
            ws.send(message)
        return len(sockets)

    async def write_and_tell(self, message: str, tag: str) -> None:
        await self.ctx.storage.put("told", message)
        await self.tell(message, tag)

    async def answer(self, request: str, response: str) -> None:
        pair = WebSocketRequestResponsePair(request, response)
        self.ctx.set_web_socket_auto_response(pair)

    async def hold(self) -> None:
        await Lounge.held.wait()

    async def abort(self) -> None:
        self.ctx.abort("reset by request")


@pytest.fixture(autouse=True)
async def fresh_lounge() -> None:
    """Put back what the tests' class shares among its objects."""
    Lounge.heard, Lounge.ends = [], []
    Lounge.held = asyncio.Event()


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with lounges."""
    started: TestRuntime[Any] = await start_runtime(lounges=Lounge)
    return started


@pytest.fixture
def lounge(runtime: TestRuntime[Any]) -> Any:
    """One of them."""
    return runtime.env.lounges.get_by_name("a")


@pytest.fixture
async def awake_runtime(start_awake_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with lounges that stay in memory for their ten seconds."""
    started: TestRuntime[Any] = await start_awake_runtime(lounges=Lounge)
    return started


@pytest.fixture
def awake_lounge(awake_runtime: TestRuntime[Any]) -> Any:
    """One of those."""
    return awake_runtime.env.lounges.get_by_name("a")


@pytest.fixture(params=list(TRANSPORTS))
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    """A room that echoes on a real port, over each of the transports."""
    async with rooms(tmp_path, request.param) as server:
        yield server


async def inside(
    runtime: TestRuntime[Any], lounge: Any, use: Callable[[DurableObjectState], Any]
) -> Any:
    """Run `use` as code of the lounge."""
    return await runtime.run_in_durable_object(lounge, lambda _, ctx: use(ctx))


def is_awake(runtime: TestRuntime[Any], lounge: Any) -> bool:
    return runtime.host.life_of(key_of(lounge)) is not None


async def ask(client: ClientSocket, message: str) -> str | bytes:
    """Send a message, and return what comes next."""
    await client.send(message)
    return await client.receive()


# Messages and ends.


async def test_h01_text_and_bytes_reach_the_client_and_a_message_is_dispatched_once(
    runtime: TestRuntime[Any], lounge: Any
) -> None:
    client = await runtime.connect(lounge)

    assert await lounge.tell("text") == 1
    assert await lounge.tell(b"bytes") == 1
    await client.send("hello")

    assert list(client.received) == ["text", b"bytes", "hello"]
    assert Lounge.heard == ["hello"]


async def test_h01_text_and_bytes_travel_over_a_real_port(server: Server) -> None:
    guest = await server.guest()

    await guest.raw.send(text("text"), frame(BINARY, b"bytes"))

    assert (await guest.raw.frame(), await guest.raw.frame()) == (
        Frame(TEXT, b"text"),
        Frame(BINARY, b"bytes"),
    )


async def test_h02_either_sides_close_reaches_the_other_once(
    runtime: TestRuntime[Any], lounge: Any
) -> None:
    closed, leaving = await runtime.connect(lounge), await runtime.connect(lounge)

    await closed.send("close 1001")
    with pytest.raises(SocketClosed) as end:
        await closed.receive()
    await leaving.leave(1000, "gone")
    await runtime.settle()

    assert (end.value.code, end.value.reason) == (1001, "bye")
    assert sorted(Lounge.ends) == [(1000, "gone", True), (1001, "bye", True)]
    assert await lounge.tell("anybody?") == 0


async def test_h02_either_sides_close_travels_over_a_real_port(server: Server) -> None:
    closed, leaving = await server.guest(), await server.guest()

    await closed.raw.send(text("close me with 1001"))
    assert [each.end for each in await closed.raw.until_close()] == [(1001, "as you wish")]
    await closed.raw.send(close(1001))
    await leaving.raw.send(close(1000, b"gone"))

    assert (await closed.end())[0] == 1001
    assert await leaving.end() == (1000, "gone", True)
    assert leaving.told.empty()


async def test_h03_a_tag_reaches_those_who_have_it(runtime: TestRuntime[Any], lounge: Any) -> None:
    alice = await runtime.connect(lounge, "/?tags=alice")
    bob = await runtime.connect(lounge, "/?tags=bob")

    reached = [await lounge.tell(f"to {tag}", tag) for tag in ("alice", "bob", None, "nobody")]

    assert reached == [1, 1, 2, 0]
    assert list(alice.received) == ["to alice", "to None"]
    assert list(bob.received) == ["to bob", "to None"]


# Automatic answers.


async def test_h05_an_automatic_answer_is_given_without_dispatching_or_waking(
    awake_runtime: TestRuntime[Any], awake_lounge: Any
) -> None:
    client = await awake_runtime.connect(awake_lounge)
    await awake_lounge.answer("ping", "pong")

    assert await ask(client, "ping") == "pong"
    await awake_runtime.evict_durable_object(awake_lounge)
    assert await ask(client, "ping") == "pong"
    slept = not is_awake(awake_runtime, awake_lounge)
    telling = []
    for number in range(5):
        telling.append(awake_lounge.tell(str(number)))
        client.wire.bring("ping")
    await asyncio.gather(*telling)
    await awake_runtime.settle()

    assert slept
    assert Lounge.heard == []
    assert sorted(client.received) == ["0", "1", "2", "3", "4", *["pong"] * 5]


async def test_h06_an_automatic_answer_waits_only_for_what_was_sent_before_it(
    awake_runtime: TestRuntime[Any], awake_lounge: Any, disk: StuckDisk
) -> None:
    told = await awake_runtime.connect(awake_lounge, "/?tags=told")
    asker = await awake_runtime.connect(awake_lounge)
    await awake_lounge.answer("ping", "pong")
    await awake_runtime.settle()

    with disk.stuck():
        writing = awake_lounge.write_and_tell("written", "told")
        await turns()
        for client in (told, asker):
            client.wire.bring("ping")
        await turns()
        early = list(told.received), list(asker.received)
        changing = awake_lounge.answer("ping", "another")  # what is on its way stays as it was
        await turns()
    await asyncio.gather(writing, changing)
    await awake_runtime.settle()

    assert early == ([], ["pong"])
    assert [await told.receive(), await told.receive()] == ["written", "pong"]
    await awake_runtime.evict_durable_object(awake_lounge)
    assert await ask(told, "ping") == "another"
    assert not is_awake(awake_runtime, awake_lounge)


# Sleep.


async def test_h07_a_socket_goes_on_across_requests_and_lives(
    runtime: TestRuntime[Any], lounge: Any
) -> None:
    client = await runtime.connect(lounge)

    await lounge.tell("one")
    await lounge.tell("two")
    await asyncio.gather(lounge.tell("three"), lounge.tell("three"))
    await runtime.clock.advance(10)
    was_awake = is_awake(runtime, lounge)
    await client.send("revived")
    await runtime.settle()
    await runtime.evict_durable_object(lounge)
    await lounge.tell("evicted")
    await client.send("again")

    assert not was_awake
    assert list(client.received) == [
        *("one", "two", "three", "three", "revived", "evicted", "again")
    ]


async def test_h09_what_was_sent_when_the_instance_goes_is_delivered(
    awake_runtime: TestRuntime[Any], awake_lounge: Any
) -> None:
    """The original may lose it then."""
    client = await awake_runtime.connect(awake_lounge)

    client.wire.bring("farewell 5000")
    life = awake_runtime.host.life_of(key_of(awake_lounge))
    assert life is not None
    while not life.is_quiet:
        await turns(1)
    arrived_before = len(client.received)
    awake_runtime.host.evict(life)
    await awake_runtime.settle()

    assert arrived_before < 5000, "or nothing was under way"
    assert list(client.received) == [str(number) for number in range(5000)]
    assert client.closed == (4000, "that was all")


async def test_h10_a_request_or_a_message_wakes_an_object_that_sleeps(
    awake_runtime: TestRuntime[Any], awake_lounge: Any
) -> None:
    client = await awake_runtime.connect(awake_lounge)
    assert await ask(client, "Regular response.") == "Regular response."

    await awake_runtime.clock.advance(10)
    assert not is_awake(awake_runtime, awake_lounge)
    assert (await awake_lounge.fetch("http://lounge/")).text() == "1"
    assert await client.receive() == "request 1"

    await awake_runtime.clock.advance(10)
    assert not is_awake(awake_runtime, awake_lounge)
    assert await ask(client, "count") == "requests: 0"

    await awake_runtime.clock.advance(10)
    with pytest.raises(errors.ObjectReset, match="reset by request"):
        await awake_lounge.abort()
    with pytest.raises(SocketClosed):
        await client.receive()


async def test_h11_a_client_that_vanishes_is_told_with_1006(
    runtime: TestRuntime[Any], lounge: Any
) -> None:
    client = await runtime.connect(lounge)

    await client.vanish()
    await runtime.settle()

    assert Lounge.ends == [VANISHED]


async def test_h11_a_client_that_vanishes_from_a_real_port_is_told_with_1006(
    server: Server,
) -> None:
    guest = await server.guest()

    guest.raw.leave()

    assert await guest.end() == VANISHED
    assert guest.told.empty()


@pytest.mark.xfail(
    strict=True,
    raises=AttributeError,
    reason="api.md: every socket is one that outlives its object; there is no accept()",
)
async def test_h13_a_socket_accepted_by_accept_keeps_its_instance(
    start_awake_runtime: StartRuntime,
) -> None:
    class Listener(DurableObject[object]):
        async def fetch(self, request: Request) -> Response:
            ws: Any = request.web_socket
            ws.accept()
            ws.add_event_listener("message", lambda event: ws.send(event.data))
            return Response.switching_protocols()

    runtime = await start_awake_runtime(listeners=Listener)
    listener = runtime.env.listeners.get_by_name("a")
    client = await runtime.connect(listener)
    await runtime.clock.advance(10)

    assert is_awake(runtime, listener)
    assert await ask(client, "echo") == "echo"


async def test_h14_a_handshake_is_refused_closed_or_rejected_by_the_object(
    runtime: TestRuntime[Any], lounge: Any
) -> None:
    response = await lounge.fetch("http://lounge/ws")
    client = await runtime.connect(lounge, "/ws")

    await client.send("close 1000")
    with pytest.raises(SocketClosed) as end:
        await client.receive()
    with pytest.raises((HandshakeRefused, ValueError), match="changed my mind"):
        await runtime.connect(lounge, "/failing")

    assert response.status == 426
    assert (end.value.code, end.value.reason) == (1000, "bye")


@pytest.mark.parametrize("attempt", range(5))
async def test_h15_a_hundred_messages_that_write_are_answered_in_order(
    runtime: TestRuntime[Any], lounge: Any, attempt: int
) -> None:
    client = await runtime.connect(lounge)
    numbers = [str(number) for number in range(attempt, attempt + 100)]

    for number in numbers:
        client.wire.bring(f"log {number}")
    await runtime.settle()
    log = await inside(
        runtime,
        lounge,
        lambda ctx: [
            row["text"] for row in ctx.storage.sql.exec("SELECT text FROM log ORDER BY number")
        ],
    )

    assert list(client.received) == numbers
    assert log == numbers


# Attachments, tags, lists.


async def test_h17_an_attachment_is_a_copy_of_limited_size_that_survives_sleep(
    runtime: TestRuntime[Any], lounge: Any
) -> None:
    await runtime.connect(lounge)
    largest = "x" * (MAX_ATTACHMENT - OVERHEAD)

    def attach(ctx: DurableObjectState) -> None:
        (ws,) = ctx.get_web_sockets()
        assert ws.deserialize_attachment() is None
        ws.serialize_attachment(largest)
        assert ws.deserialize_attachment() == largest
        value = ["attached"]
        ws.serialize_attachment(value)
        value.append("later")
        ws.deserialize_attachment().append("to a copy")
        with pytest.raises(
            ValueError,
            match=r"^A WebSocket 'attachment' cannot be larger than 16384 bytes\. "
            r"'attachment' was 16385 bytes\.$",
        ):
            ws.serialize_attachment(largest + "x")

    await inside(runtime, lounge, attach)
    await runtime.settle()
    await runtime.evict_durable_object(lounge)

    assert await inside(
        runtime, lounge, lambda ctx: ctx.get_web_sockets()[0].deserialize_attachment()
    ) == ["attached"]


async def test_h18_sockets_are_listed_newest_first_and_by_tag_oldest_first(
    runtime: TestRuntime[Any], lounge: Any
) -> None:
    for name in ("a", "b", "c"):
        await runtime.connect(lounge, f"/?tags=all+{name}")

    def names(ctx: DurableObjectState, tag: str | None = None) -> str:
        return "".join(ctx.get_tags(ws)[1] for ws in ctx.get_web_sockets(tag))

    assert await inside(runtime, lounge, names) == "cba"
    assert await inside(runtime, lounge, lambda ctx: names(ctx, "all")) == "abc"


async def test_h18_a_socket_that_wasnt_accepted_has_no_tags(start_runtime: StartRuntime) -> None:
    class Hasty(DurableObject[object]):
        async def fetch(self, request: Request) -> Response:
            assert request.web_socket is not None
            return Response(text=" ".join(self.ctx.get_tags(request.web_socket)))

    runtime = await start_runtime(hasty=Hasty)

    with pytest.raises(
        RuntimeError,
        match=r"^you must call 'accept_web_socket\(\)' before attempting to access the tags of a "
        r"WebSocket\.$",
    ):
        await runtime.connect(runtime.env.hasty.get_by_name("a"))


async def test_h19_sending_and_closing_have_their_rules(
    runtime: TestRuntime[Any], lounge: Any
) -> None:
    client = await runtime.connect(lounge)

    def use(ctx: DurableObjectState) -> None:
        (ws,) = ctx.get_web_sockets()
        for code in (0, 999, 1004, 1005, 1006, 1015, 5000):
            with pytest.raises(ValueError, match=rf"^Invalid WebSocket close code: {code}\.$"):
                ws.close(code)
        with pytest.raises(
            ValueError,
            match=r"^WebSocket close reason must not be longer than 123 bytes when UTF-8 encoded",
        ):
            ws.close(4000, "é" * 62)
        ws.close(4000, "x" * 123)
        ws.close(4001, "ignored")
        with pytest.raises(ValueError, match="Invalid WebSocket close code"):
            ws.close(1005)
        with pytest.raises(TypeError, match=r"^Can't call WebSocket send\(\) after close\(\)\.$"):
            ws.send("too late")

    await inside(runtime, lounge, use)

    assert client.closed == (4000, "x" * 123)


@pytest.mark.xfail(
    strict=True,
    raises=pytest.fail.Exception,
    reason="api.md: close(code=1000, reason=''), so there always is a code",
)
async def test_h19_a_reason_needs_a_code(runtime: TestRuntime[Any], lounge: Any) -> None:
    await runtime.connect(lounge)

    def use(ctx: DurableObjectState) -> None:
        (ws,) = ctx.get_web_sockets()
        with pytest.raises((TypeError, ValueError), match="you must also specify a code"):
            ws.close(reason="bye")

    await inside(runtime, lounge, use)


# Limits.


async def test_h21_an_events_time_is_limited_and_the_limit_too(
    awake_runtime: TestRuntime[Any], awake_lounge: Any
) -> None:
    client = await awake_runtime.connect(awake_lounge)

    def limit(ctx: DurableObjectState) -> None:
        ctx.set_hibernatable_web_socket_event_timeout(604_800)
        with pytest.raises(ValueError, match=r"^Event timeout should not exceed 604800 seconds\.$"):
            ctx.set_hibernatable_web_socket_event_timeout(604_801)
        ctx.set_hibernatable_web_socket_event_timeout(5)

    await inside(awake_runtime, awake_lounge, limit)
    client.wire.bring("wait")
    waiting = awake_lounge.hold()
    await awake_runtime.clock.advance(5)

    with pytest.raises(
        errors.ObjectReset, match=r"^Actor exceeded event execution time and was disconnected\.$"
    ):
        await waiting
    assert client.closed is not None


async def test_h22_an_object_accepts_so_many_sockets_and_no_more(
    runtime: TestRuntime[Any], lounge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_SOCKETS == 32_768
    monkeypatch.setattr("runtime.sockets.MAX_SOCKETS", 3)
    for _ in range(3):
        await runtime.connect(lounge)

    with pytest.raises(
        RuntimeError,
        match=r"^only 3 websockets can be accepted on a single Durable Object instance$",
    ):
        await runtime.connect(lounge)


async def test_h23_a_handler_that_waits_lets_the_next_message_be_handled(
    runtime: TestRuntime[Any], lounge: Any
) -> None:
    client = await runtime.connect(lounge)

    await client.send("wait")
    await client.send("meanwhile")
    Lounge.held.set()
    await runtime.settle()

    assert list(client.received) == ["waiting", "meanwhile", "waited"]
