"""A room that echoes, on a real port, over each of the transports; for tests of the wire."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from litestar import Litestar, WebSocket, websocket
from litestar.di import NamedDependency
from litestar.params import FromPath

from runtime import DurableObject, DurableObjectNamespace, Request, Response, Runtime, RuntimeConfig
from runtime import WebSocket as ObjectWebSocket
from runtime.litestar import DurableObjectsPlugin, forward
from tests.runtime.raw_socket import PATIENCE, Frame, RawSocket, text
from tests.servers import COMPRESSING, TRANSPORTS, serving

End = tuple[int, str, bool]

SOON: Final = 1.5  # seconds, in which a connection that is refused ends

FAULTS_ARE_TOLD: Final = {"portable": False, "detached": True}
"""Where the transports differ. ASGI's disconnect event has a code and a reason, and no place for
whose they are: on the portable path a peer that breaks the protocol looks like one that has left
with that code, cleanly and without an error."""

WHAT_CAME_BEFORE_A_FAULT_COUNTS: Final = {"portable": False, "detached": True}
"""Where they differ too: uvicorn drops messages that arrive together with what is wrong."""

UNASSIGNED_CODES_LEAVE: Final = {"portable": False, "detached": True}
"""And: uvicorn refuses to send the close codes from 1016 to 2999, so a peer gets 1000 instead."""


class Room(DurableObject[Any]):
    """Sends back what it gets, and tells the tests how its guests have left."""

    told: ClassVar[dict[str, asyncio.Queue[End | Exception]]] = defaultdict(asyncio.Queue)
    """By guest, what the room has been told of each, except messages."""
    waves: ClassVar = 0
    """How many messages have come that want no answer."""
    arrived: ClassVar = 0
    """How many guests have come, to all rooms."""

    async def fetch(self, request: Request) -> Response:
        ws = request.web_socket
        assert ws is not None
        Room.arrived += 1
        self.ctx.accept_web_socket(ws, tags=[request.query["guest"]])
        return Response.switching_protocols()

    async def web_socket_message(self, ws: ObjectWebSocket, message: str | bytes) -> None:
        if type(message) not in (str, bytes):
            message = f"neither text nor bytes, but a {type(message).__name__}"
        match message:
            case str() if message.startswith("close me with "):
                ws.close(int(message.rpartition(" ")[2]), "as you wish")
            case "~":
                Room.waves += 1
            case "flood everybody":
                self.ctx.broadcast(b"x" * 65_536)
            case _:
                ws.send(message)

    async def web_socket_close(
        self, ws: ObjectWebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        (guest,) = self.ctx.get_tags(ws)
        Room.told[guest].put_nowait((code, reason, was_clean))

    async def web_socket_error(self, ws: ObjectWebSocket, error: Exception) -> None:
        (guest,) = self.ctx.get_tags(ws)
        Room.told[guest].put_nowait(error)


@dataclass
class Guest:
    """A client, and what the room is told of it."""

    name: str
    raw: RawSocket
    told: asyncio.Queue[End | Exception]
    errors: list[Exception] = field(default_factory=list)

    async def end(self) -> End:
        """Return how the room was told that it has left, and keep the errors before."""
        async with asyncio.timeout(PATIENCE):
            while isinstance(event := await self.told.get(), Exception):
                self.errors.append(event)
        assert type(event[0]) is int, "or an object can't store it"
        return event


@dataclass
class Server:
    """A server with rooms.

    Attributes:
        transport: One of `tests.servers.TRANSPORTS`.
        limit: How large a message may be.
        kernel_bytes: How much the kernel keeps for a guest: see `serving`.
        bystander: Somebody who is in the hall all the time.
        guests: All others, of this test.
    """

    transport: str
    address: str
    limit: int
    kernel_bytes: int | None = None
    bystander: Guest = field(init=False)
    guests: list[Guest] = field(default_factory=list)
    _raws: list[RawSocket] = field(default_factory=list)
    _numbers: ClassVar[itertools.count[int]] = itertools.count(1)

    def path(self, guest: str, room: str = "hall") -> str:
        """Return where a guest enters."""
        return f"/rooms/{room}?guest={guest}&limit={self.limit}"

    async def connect(self) -> RawSocket:
        """Connect, and send nothing yet."""
        raw = await RawSocket.connect(self.address, kernel_bytes=self.kernel_bytes)
        self._raws.append(raw)
        return raw

    async def guest(self, *headers: str, room: str = "hall") -> Guest:
        """Let somebody in."""
        name = f"guest-{next(self._numbers)}"
        guest = Guest(name, await self.connect(), Room.told[name])
        await guest.raw.open(self.path(name, room), *headers)
        self.guests.append(guest)
        return guest

    def clear(self) -> None:
        """Have everybody leave but the bystander."""
        self.guests.clear()
        while self._raws:
            self._raws.pop().leave()


@websocket("/rooms/{name:str}")
async def enter(
    socket: WebSocket[Any, Any, Any],
    name: FromPath[str],
    rooms: NamedDependency[DurableObjectNamespace[Room]],
) -> None:
    limit = int(socket.query_params["limit"])
    await forward(socket, to=rooms.get_by_name(name), max_message_bytes=limit)


@asynccontextmanager
async def rooms(
    data: Path,
    transport: str,
    *,
    limit: int = 2**20,
    compressing: bool = False,
    kernel_bytes: int | None = None,
    **settings: Any,
) -> AsyncIterator[Server]:
    """Serve rooms inside the block.

    Args:
        limit: How large a message may be.
        compressing: Whether messages are compressed, for clients that offer it.
        kernel_bytes: How much the kernel keeps for a guest: see `serving`.
        settings: What else uvicorn is told.
    """
    runtime = Runtime(RuntimeConfig(data=data), bindings={"rooms": Room})
    app = Litestar([enter], plugins=[DurableObjectsPlugin(runtime)], logging_config=None)
    options = (COMPRESSING if compressing else TRANSPORTS)[transport]
    settings = options | {"ws_max_size": limit, "ws_ping_interval": None} | settings
    async with serving(app, kernel_bytes=kernel_bytes, **settings) as address:
        server = Server(transport, address, limit, kernel_bytes)
        server.bystander = await server.guest()
        server.guests, server._raws = [], []
        try:
            yield server
        finally:
            server.clear()
            server.bystander.raw.leave()


async def undisturbed(server: Server) -> AsyncIterator[Guest]:
    """Give the one who stays, and must not notice what others do in a test. For fixtures."""
    yield server.bystander
    try:
        await assert_echoes(server.bystander)
        assert all(each.told.empty() for each in server.guests), "an end is told once"
    finally:
        server.clear()


async def assert_closed_for(
    server: Server,
    guest: Guest,
    code: int,
    *,
    after: Sequence[Frame] = (),
) -> None:
    """Assert that a guest is closed with a code, and that the room is told so.

    Args:
        after: What else it gets, before that.
    """
    async with asyncio.timeout(SOON):
        *others, last = await guest.raw.rest()
    assert others == list(after)
    assert last.end[0] == code
    was_told = await guest.end()
    if FAULTS_ARE_TOLD[server.transport]:
        assert len(guest.errors) == 1, "the room hears of the error first"
        assert was_told == (*last.end, False)
    else:
        assert not guest.errors
        assert was_told == (*last.end, True)


async def assert_echoes(guest: Guest, message: str = "still here") -> None:
    """Assert that the room answers somebody."""
    await guest.raw.send(text(message))
    answer = await guest.raw.frame()
    assert answer.payload == message.encode()
