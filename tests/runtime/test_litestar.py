"""The web edge, over a real port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import websockets
from litestar import Litestar, WebSocket, get, post, websocket
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from pydantic import BaseModel, Field
from websockets.exceptions import ConnectionClosed

from runtime import (
    DurableObject,
    DurableObjectNamespace,
    Request,
    Response,
    Runtime,
    RuntimeConfig,
    errors,
)
from runtime import WebSocket as ObjectWebSocket
from runtime.edge import MAX_BUFFERED_BYTES
from runtime.litestar import DurableObjectsPlugin, forward
from tests.servers import TRANSPORTS, http_client, serving


class Env:
    """What handlers and objects can reach."""

    def __init__(self, halls: Any) -> None:
        self.halls: DurableObjectNamespace[Hall] = halls


class Hall(DurableObject[Env]):
    """Echoes, and remembers how its guests left."""

    closes: ClassVar[list[tuple[int, str, bool]]]

    async def fail(self, how: str) -> None:
        match how:
            case "overloaded":
                raise errors.Overloaded("too much")
            case "broken":
                self.ctx.abort("reset")
            case _:
                raise ValueError("inner workings")

    async def fetch(self, request: Request) -> Response:
        ws = request.web_socket
        assert ws is not None
        match request.headers["x-person"]:
            case "stranger":
                return Response(403, text="strangers stay outside")
            case "bomb":
                raise ValueError("inner workings")
            case "reset":
                self.ctx.abort("reset")
        self.ctx.accept_web_socket(ws, tags=[request.headers["x-person"]])
        return Response.switching_protocols(protocol="echo" if "echo" in request.query else None)

    async def web_socket_message(self, ws: ObjectWebSocket, message: str | bytes) -> None:
        if message == "flood":
            for _ in range(128):  # more than a kernel's buffers take
                ws.send("x" * (MAX_BUFFERED_BYTES // 8))
        elif message == "close":
            ws.close(4000, "as you wish")
        elif message == "protocol":
            ws.send(ws.protocol)
        else:
            ws.send(message)

    async def web_socket_close(
        self, ws: ObjectWebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        Hall.closes.append((code, reason, was_clean))


class Order(BaseModel):
    """A body with a limit."""

    amount: int = Field(ge=1)


@get("/halls/{name:str}/fail/{how:str}")
async def fail(
    name: FromPath[str], how: FromPath[str], halls: NamedDependency[DurableObjectNamespace[Hall]]
) -> None:
    await halls.get_by_name(name).fail(how)


@post("/orders")
async def order(data: JSONBody[Order]) -> int:
    return data.amount


@websocket("/halls/{name:str}/ws")
async def enter(
    socket: WebSocket[Any, Any, Any], name: FromPath[str], env: NamedDependency[Env]
) -> None:
    person = socket.query_params.get("person", "guest")
    await forward(
        socket,
        to=env.halls.get_by_name(name),
        headers={"X-Person": person},
        allowed_origins=["https://friend.example"],
        max_message_bytes=100,
    )


@asynccontextmanager
async def serving_halls(data: Path, transport: str) -> AsyncIterator[str]:
    """Serve halls inside the block, and give the address."""
    Hall.closes = []
    runtime = Runtime(RuntimeConfig(data=data), bindings={"halls": Hall}, env=Env)
    app = Litestar([fail, order, enter], plugins=[DurableObjectsPlugin(runtime)])
    async with serving(app, **TRANSPORTS[transport]) as address:
        yield address


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of a server with halls."""
    async with (
        serving_halls(tmp_path, "detached") as address,
        http_client(f"http://{address}") as client,
    ):
        yield client


@pytest.fixture(params=list(TRANSPORTS))
def transport(request: pytest.FixtureRequest) -> str:
    """One of the ways that frames take."""
    name: str = request.param
    return name


@pytest.fixture
async def address(tmp_path: Path, transport: str) -> AsyncIterator[str]:
    """Where a server with halls listens, for each transport."""
    async with serving_halls(tmp_path, transport) as address:
        yield address


async def close_of(address: str, query: str = "", **options: Any) -> tuple[int, str]:
    """Connect, wait for the server to close, and return its code and reason."""
    async with websockets.connect(f"ws://{address}/halls/a/ws{query}", **options) as ws:
        with pytest.raises(ConnectionClosed):
            await ws.recv()
        return ws.close_code or 0, ws.close_reason or ""


async def closes(count: int) -> list[tuple[int, str, bool]]:
    """Return how the first `count` guests left, once they have."""
    async with asyncio.timeout(10):
        while len(Hall.closes) < count:  # the network has no signal for it
            await asyncio.sleep(0.005)
    return Hall.closes


@pytest.mark.parametrize(
    ("how", "status", "detail"),
    [
        ("overloaded", 503, "too much"),
        ("broken", 500, "Something went wrong on our side."),
        ("other", 500, "Something went wrong on our side."),
    ],
)
async def test_errors_of_objects_become_problems_that_tell_no_secrets(
    client: httpx.AsyncClient, how: str, status: int, detail: str
) -> None:
    response = await client.get(f"/halls/a/fail/{how}")

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == detail
    assert response.headers.get("retry-after") == ("1" if status == 503 else None)


async def test_whoever_accepts_html_gets_a_page(client: httpx.AsyncClient) -> None:
    response = await client.get("/<script>", headers={"accept": "text/html"})

    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")
    assert "<h1>Not Found</h1>" in response.text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"amount": 0}', "amount: Input should be greater than or equal to 1"),
        (b'{"amount": ', "can't be read"),
        (b'{"amount": "\xff"}', "can't be read"),
        (b'{"amount": "\\ud800"}', "can't be read"),
    ],
)
async def test_a_body_that_cant_be_used_is_422_with_the_reason(
    client: httpx.AsyncClient, body: bytes, said: str
) -> None:
    response = await client.post(
        "/orders", content=body, headers={"content-type": "application/json"}
    )

    assert response.status_code == 422
    assert said in response.json()["detail"]


async def test_messages_go_both_ways(address: str) -> None:
    async with websockets.connect(f"ws://{address}/halls/a/ws") as ws:
        await ws.send("hello")
        await ws.send(b"bytes")

        assert [await ws.recv(), await ws.recv()] == ["hello", b"bytes"]
    assert await closes(1) == [(1000, "", True)]


async def test_the_object_may_choose_a_subprotocol(address: str) -> None:
    url = f"ws://{address}/halls/a/ws?echo"
    async with websockets.connect(url, subprotocols=["other", "echo"]) as ws:  # type: ignore[list-item]
        await ws.send("protocol")
        assert ws.subprotocol == await ws.recv() == "echo"


async def test_the_clients_own_headers_cant_pass_for_trusted_ones(address: str) -> None:
    headers = {"X-Person": "guest"}

    closed = await close_of(address, "?person=stranger", additional_headers=headers)

    assert closed == (1008, "strangers stay outside")


@pytest.mark.parametrize(
    ("query", "closed"),
    [
        ("?person=stranger", (1008, "strangers stay outside")),
        ("?person=bomb", (1011, "the object failed")),
    ],
)
async def test_a_refused_handshake_is_told_in_a_close_frame(
    address: str, query: str, closed: tuple[int, str]
) -> None:
    assert await close_of(address, query) == closed


@pytest.mark.parametrize(
    ("origin", "is_let_in"),
    [
        ("http://{address}", True),
        ("https://friend.example", True),
        ("https://evil.example", False),
        ("http://{address}.evil.example", False),
        ("null", False),
        ("http://[", False),
    ],
)
async def test_pages_of_other_sites_are_turned_away(
    address: str, origin: str, is_let_in: bool
) -> None:
    url = f"ws://{address}/halls/a/ws"
    async with websockets.connect(url, origin=origin.format(address=address)) as ws:  # type: ignore[arg-type]
        if is_let_in:
            await ws.send("hello")
            assert await ws.recv() == "hello"
        else:
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert ws.close_code == 1008


async def test_a_message_over_the_limit_closes_its_own_socket_only(address: str) -> None:
    url = f"ws://{address}/halls/a/ws"
    async with websockets.connect(url) as other:
        async with websockets.connect(url) as ws:
            await ws.send("é" * 51)
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert (ws.close_code, ws.close_reason) == (1009, "a message may have 100 bytes")
        await other.send("x" * 100)
        assert await other.recv() == "x" * 100


async def test_a_client_that_vanishes_is_reported_with_1006(address: str) -> None:
    ws = await websockets.connect(f"ws://{address}/halls/a/ws")

    ws.transport.abort()

    reason = "WebSocket disconnected without sending Close frame."
    assert await closes(1) == [(1006, reason, False)]


async def test_a_close_by_the_object_reaches_client_and_object_once(address: str) -> None:
    async with websockets.connect(f"ws://{address}/halls/a/ws") as ws:
        await ws.send("close")
        with pytest.raises(ConnectionClosed):
            await ws.recv()

        assert (ws.close_code, ws.close_reason) == (4000, "as you wish")
    assert await closes(1) == [(4000, "as you wish", True)]


async def test_a_client_that_takes_nothing_is_disconnected_and_the_others_arent(
    address: str,
) -> None:
    url = f"ws://{address}/halls/a/ws"
    async with (
        websockets.connect(url) as other,
        websockets.connect(url, max_queue=1, compression=None) as slow,
    ):
        for _ in range(2):  # one burst is no fault of whoever gets it
            await slow.send("flood")
            await other.send("hello")
            assert await other.recv() == "hello"

        with pytest.raises(ConnectionClosed):
            while True:
                await slow.recv()
        assert (slow.close_code, slow.close_reason) == (1013, "too slow")


async def test_a_reset_during_the_handshake_tells_the_client_to_come_back(address: str) -> None:
    code, _ = await close_of(address, "?person=reset")

    assert code in (1011, 1012)


async def test_clients_are_told_to_come_back_when_the_server_stops(
    tmp_path: Path, transport: str
) -> None:
    async with serving_halls(tmp_path, transport) as address:
        ws = await websockets.connect(f"ws://{address}/halls/a/ws")
        await ws.send("hello")
        await ws.recv()

    with pytest.raises(ConnectionClosed):
        await ws.recv()
    assert ws.close_code == 1012
    assert Hall.closes == [], "nobody has left: the server has"
