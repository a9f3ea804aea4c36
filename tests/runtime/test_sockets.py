"""Sockets, as objects and their clients see them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from runtime import (
    DurableObject,
    DurableObjectState,
    Request,
    Response,
    WebSocket,
    WebSocketRequestResponsePair,
)
from runtime.testing import HandshakeRefused, SocketClosed, TestRuntime, key_of
from tests.conftest import StartRuntime


class Hall(DurableObject[object]):
    """Accepts whoever comes, with the tags they ask for."""

    closes: ClassVar[list[tuple[int, str, bool, int, int]]]
    held: ClassVar[asyncio.Future[None]]

    async def fetch(self, request: Request) -> Response:
        ws = request.web_socket
        if ws is None:
            return Response(426, text="expected a WebSocket")
        tags = request.query.get("tags")
        self.ctx.accept_web_socket(ws, tags.split(",") if tags else ())
        match request.path:
            case "/greeted":
                ws.send("before the handshake is answered")
            case "/failing":
                raise ValueError("changed my mind")
            case "/refused":
                return Response(403, text="not you")
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        match message:
            case "fail":
                raise ValueError("no")
            case "wait":
                await asyncio.shield(Hall.held)
                ws.send("waited")
            case "close":
                ws.close(4001, "as you wish")
                ws.close(4002, "closing twice does nothing")
            case "abort":
                self.ctx.abort("reset")
            case "half":
                ws.send("\ud83d")
            case bytes():
                ws.send(message[::-1])
            case _:
                ws.send(f"echo {message}")

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        listed = len(self.ctx.get_web_sockets())
        await asyncio.sleep(0)
        later = len(self.ctx.get_web_sockets())
        Hall.closes.append((code, reason, was_clean, listed, later))

    async def tell(self, text: str, tag: str | None = None) -> int:
        return self.ctx.broadcast(text, tag=tag)


@pytest.fixture(autouse=True)
async def fresh_hall() -> None:
    """Put back what the tests' class shares among its objects."""
    Hall.closes = []
    Hall.held = asyncio.get_running_loop().create_future()


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with halls."""
    started: TestRuntime[Any] = await start_runtime(halls=Hall)
    return started


@pytest.fixture
async def hall(runtime: TestRuntime[Any]) -> Any:
    """One of them."""
    return runtime.env.halls.get_by_name("a")


async def in_hall(
    runtime: TestRuntime[Any], hall: Any, use: Callable[[DurableObjectState], Any]
) -> Any:
    """Run `use` as code of the hall."""
    return await runtime.run_in_durable_object(hall, lambda _, ctx: use(ctx))


async def test_text_and_bytes_go_both_ways(runtime: TestRuntime[Any], hall: Any) -> None:
    ws = await runtime.connect(hall)

    await ws.send("hello")
    await ws.send(b"abc")

    assert list(ws.received) == ["echo hello", b"cba"]


async def test_what_is_sent_before_the_handshake_is_answered_comes_after_it(
    runtime: TestRuntime[Any], hall: Any
) -> None:
    ws = await runtime.connect(hall, "/greeted")

    assert await ws.receive() == "before the handshake is answered"


@pytest.mark.parametrize("path", ["/refused", "/failing"])
async def test_a_handshake_that_fails_leaves_no_socket_behind(
    runtime: TestRuntime[Any], hall: Any, path: str
) -> None:
    with pytest.raises((HandshakeRefused, ValueError)):
        await runtime.connect(hall, path)

    assert await hall.tell("anybody?") == 0
    assert Hall.closes == []


async def test_a_request_without_a_socket_is_answered(runtime: TestRuntime[Any], hall: Any) -> None:
    response = await hall.fetch("http://test/")

    assert (response.status, response.text()) == (426, "expected a WebSocket")


async def test_messages_of_one_socket_keep_their_order(
    runtime: TestRuntime[Any], hall: Any
) -> None:
    ws = await runtime.connect(hall)

    for number in range(100):
        ws.server.received(str(number))
    await runtime.settle()

    assert list(ws.received) == [f"echo {number}" for number in range(100)]


async def test_a_handler_that_waits_doesnt_hold_up_the_next_message(
    runtime: TestRuntime[Any], hall: Any
) -> None:
    ws = await runtime.connect(hall)

    await ws.send("wait")
    await ws.send("meanwhile")
    Hall.held.set_result(None)
    await runtime.settle()

    assert list(ws.received) == ["echo meanwhile", "waited"]


async def test_a_handler_that_fails_leaves_socket_and_object_alone(
    runtime: TestRuntime[Any], hall: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ws = await runtime.connect(hall)

    with caplog.at_level(logging.ERROR, logger="runtime"):
        await ws.send("fail")
    await ws.send("still here")

    assert "web_socket_message of Hall" in caplog.text
    assert list(ws.received) == ["echo still here"]


async def test_a_broadcast_reaches_everybody_or_those_with_a_tag(
    runtime: TestRuntime[Any], hall: Any
) -> None:
    alice = await runtime.connect(hall, "/?tags=alice,people")
    bob = await runtime.connect(hall, "/?tags=bob,people")

    reached = [await hall.tell("all"), await hall.tell("bob only", "bob"), await hall.tell("", "x")]

    assert reached == [2, 1, 0]
    assert list(alice.received) == ["all"]
    assert list(bob.received) == ["all", "bob only"]


async def test_a_broadcast_leaves_out_whom_it_is_told_to(
    runtime: TestRuntime[Any], hall: Any
) -> None:
    first = await runtime.connect(hall, "/?tags=first")
    second = await runtime.connect(hall)

    reached = await in_hall(
        runtime,
        hall,
        lambda ctx: ctx.broadcast("x", exclude=ctx.get_web_sockets("first")),
    )

    assert reached == 1
    assert (list(first.received), list(second.received)) == ([], ["x"])


async def test_sockets_are_listed_newest_first_and_by_tag_oldest_first(
    runtime: TestRuntime[Any], hall: Any
) -> None:
    for name in ("1", "2", "3"):
        await runtime.connect(hall, f"/?tags={name},all")

    def names(ctx: DurableObjectState, tag: str | None) -> list[str]:
        return [ctx.get_tags(ws)[0] for ws in ctx.get_web_sockets(tag)]

    assert await in_hall(runtime, hall, lambda ctx: names(ctx, None)) == ["3", "2", "1"]
    assert await in_hall(runtime, hall, lambda ctx: names(ctx, "all")) == ["1", "2", "3"]
    assert await in_hall(runtime, hall, lambda ctx: names(ctx, "nobody")) == []


async def test_the_object_closes_a_socket_with_code_and_reason(
    runtime: TestRuntime[Any], hall: Any
) -> None:
    ws = await runtime.connect(hall)

    await ws.send("close")

    with pytest.raises(SocketClosed) as closed:
        await ws.receive()
    assert (closed.value.code, closed.value.reason) == (4001, "as you wish")
    assert Hall.closes == [(4001, "as you wish", True, 1, 0)]


async def test_a_client_that_leaves_is_seen_once_and_then_gone(
    runtime: TestRuntime[Any], hall: Any
) -> None:
    ws = await runtime.connect(hall)
    await runtime.connect(hall)

    await ws.leave(4000, "bye")
    ws.server.disconnected(1000, "again", was_clean=True)
    await runtime.settle()

    assert Hall.closes == [(4000, "bye", True, 2, 1)]
    assert await hall.tell("x") == 1


async def test_a_client_that_vanishes_is_reported_as_such(
    runtime: TestRuntime[Any], hall: Any
) -> None:
    ws = await runtime.connect(hall)

    await ws.vanish()

    reason = "WebSocket disconnected without sending Close frame."
    assert Hall.closes == [(1006, reason, False, 1, 0)]


async def test_sending_to_a_client_that_has_gone_does_nothing(
    runtime: TestRuntime[Any], hall: Any
) -> None:
    ws = await runtime.connect(hall)

    async def send_late(ctx: DurableObjectState) -> None:
        (server,) = ctx.get_web_sockets()
        server.disconnected(1000, "", was_clean=True)
        server.send("too late")

    await in_hall(runtime, hall, send_late)

    assert list(ws.received) == []


async def test_text_with_half_a_character_in_it_is_refused_and_not_sent(
    runtime: TestRuntime[Any], hall: Any
) -> None:
    ws = await runtime.connect(hall)

    def use(ctx: DurableObjectState) -> None:
        for send in (ctx.get_web_sockets()[0].send, ctx.broadcast):
            with pytest.raises(UnicodeEncodeError):
                send("half a \ud83d")

    await in_hall(runtime, hall, use)
    with pytest.raises(UnicodeEncodeError):
        await hall.tell("\ud83d")
    await ws.send("half")
    await ws.send("🐭")

    assert list(ws.received) == ["echo 🐭"]
    assert ws.closed is None


async def test_a_reset_closes_the_sockets_so_that_clients_come_back(
    runtime: TestRuntime[Any], hall: Any
) -> None:
    ws = await runtime.connect(hall)

    await ws.send("abort")

    assert ws.closed is not None
    assert ws.closed[0] == 1012
    assert await hall.tell("anybody?") == 0


async def test_automatic_answers_wake_nobody_and_leave_a_time(
    runtime: TestRuntime[Any], hall: Any
) -> None:
    ws = await runtime.connect(hall)
    pair = WebSocketRequestResponsePair("ping", "pong")
    await in_hall(runtime, hall, lambda ctx: ctx.set_web_socket_auto_response(pair))
    await runtime.clock.advance(60)

    await ws.send("ping")
    is_awake = runtime.host.life_of(key_of(hall)) is not None
    when = await in_hall(
        runtime,
        hall,
        lambda ctx: ctx.get_web_socket_auto_response_timestamp(ctx.get_web_sockets()[0]),
    )

    assert not is_awake
    assert list(ws.received) == ["pong"]
    assert when == runtime.clock.time()
    assert await in_hall(runtime, hall, lambda ctx: ctx.get_web_socket_auto_response()) == pair


async def test_automatic_answers_can_be_ended(runtime: TestRuntime[Any], hall: Any) -> None:
    ws = await runtime.connect(hall)
    pair = WebSocketRequestResponsePair("ping", "pong")
    await in_hall(runtime, hall, lambda ctx: ctx.set_web_socket_auto_response(pair))

    await in_hall(runtime, hall, lambda ctx: ctx.set_web_socket_auto_response())
    await ws.send("ping")

    assert list(ws.received) == ["echo ping"]


@pytest.mark.parametrize(("request_", "response"), [("x" * 2049, "y"), ("x", "é" * 1025)])
def test_an_automatic_answer_has_at_most_2048_bytes(request_: str, response: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be larger than 2048 bytes. A re\w+ of size 20\d"):
        WebSocketRequestResponsePair(request_, response)


async def test_an_attachment_is_a_copy_and_may_have_16384_bytes(
    runtime: TestRuntime[Any], hall: Any
) -> None:
    await runtime.connect(hall)

    def use(ctx: DurableObjectState) -> list[Any]:
        (ws,) = ctx.get_web_sockets()
        empty = ws.deserialize_attachment()
        value = ["x"]
        ws.serialize_attachment(value)
        value.append("changed later")
        ws.deserialize_attachment().append("changed in a copy")
        with pytest.raises(ValueError, match=r"larger than 16384 bytes\. 'attachment' was 16385"):
            ws.serialize_attachment("x" * (16_385 - 3))
        return [empty, ws.deserialize_attachment()]

    assert await in_hall(runtime, hall, use) == [None, ["x"]]


@pytest.mark.parametrize("code", [999, 1004, 1005, 1006, 1015, 5000])
async def test_close_codes_that_may_not_be_sent_are_refused(
    runtime: TestRuntime[Any], hall: Any, code: int
) -> None:
    ws = await runtime.connect(hall)

    with pytest.raises(ValueError, match=f"Invalid WebSocket close code: {code}"):
        await in_hall(runtime, hall, lambda ctx: ctx.get_web_sockets()[0].close(code))

    assert ws.closed is None


async def test_a_close_reason_has_at_most_123_bytes(runtime: TestRuntime[Any], hall: Any) -> None:
    ws = await runtime.connect(hall)

    with pytest.raises(ValueError, match="not be longer than 123 bytes"):
        await in_hall(runtime, hall, lambda ctx: ctx.get_web_sockets()[0].close(1000, "é" * 62))

    assert ws.closed is None


async def test_sending_after_closing_is_an_error(runtime: TestRuntime[Any], hall: Any) -> None:
    await runtime.connect(hall)

    def use(ctx: DurableObjectState) -> str:
        (ws,) = ctx.get_web_sockets()
        ws.close()
        with pytest.raises(TypeError, match=r"send\(\) after close"):
            ws.send("x")
        return ws.ready_state

    assert await in_hall(runtime, hall, use) == "closing"


@pytest.mark.parametrize(
    ("tags", "error"),
    [
        ([str(n) for n in range(11)], "more than 10 tags"),
        (["x" * 257], "longer than the max tag length"),
    ],
)
async def test_tags_have_limits(
    start_awake_runtime: StartRuntime, tags: list[str], error: str
) -> None:
    runtime = await start_awake_runtime(halls=Hall)
    hall = runtime.env.halls.get_by_name("a")

    with pytest.raises(ValueError, match=error):
        await runtime.connect(hall, f"/?tags={','.join(tags)}")

    assert await hall.tell("x") == 0


async def test_a_socket_has_each_tag_once(runtime: TestRuntime[Any], hall: Any) -> None:
    await runtime.connect(hall, "/?tags=a,b,a")

    tags = await in_hall(runtime, hall, lambda ctx: ctx.get_tags(ctx.get_web_sockets()[0]))

    assert tags == ["a", "b"]


async def test_too_many_sockets_are_refused(
    runtime: TestRuntime[Any], hall: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.sockets.MAX_SOCKETS", 1)
    await runtime.connect(hall)

    with pytest.raises(RuntimeError, match="only 1 websockets can be accepted"):
        await runtime.connect(hall)


async def test_an_event_that_takes_longer_than_its_limit_resets_the_object(
    start_awake_runtime: StartRuntime,
) -> None:
    runtime = await start_awake_runtime(halls=Hall)
    hall = runtime.env.halls.get_by_name("a")
    ws = await runtime.connect(hall)
    await in_hall(runtime, hall, lambda ctx: ctx.set_hibernatable_web_socket_event_timeout(5))

    ws.server.received("wait")
    await runtime.clock.advance(4.9)
    early = ws.closed
    await runtime.clock.advance(0.1)

    assert early is None
    assert ws.closed is not None


async def test_an_event_limit_is_at_most_a_week(runtime: TestRuntime[Any], hall: Any) -> None:
    with pytest.raises(ValueError, match="should not exceed 604800 seconds"):
        await in_hall(
            runtime, hall, lambda ctx: ctx.set_hibernatable_web_socket_event_timeout(604_801)
        )


async def test_a_class_without_handlers_ignores_messages_and_sleeps_on(
    start_awake_runtime: StartRuntime,
) -> None:
    class Mute(DurableObject[object]):
        made: ClassVar[int] = 0

        def __init__(self, ctx: Any, env: object) -> None:
            super().__init__(ctx, env)
            Mute.made += 1

        async def fetch(self, request: Request) -> Response:
            assert request.web_socket is not None
            self.ctx.accept_web_socket(request.web_socket)
            return Response.switching_protocols()

        async def count(self) -> int:
            return len(self.ctx.get_web_sockets())

    runtime = await start_awake_runtime(mutes=Mute)
    mute = runtime.env.mutes.get_by_name("a")
    ws = await runtime.connect(mute)
    await runtime.evict_durable_object(mute)

    await ws.send("hello?")
    await ws.leave()
    made = Mute.made

    assert made == 1
    assert await mute.count() == 0
