"""The server of the soak: ``python -m tests.churn.server DATA``. It says which port it has."""

from __future__ import annotations

import gc
import socket
import sys
from pathlib import Path
from typing import Any, Final

import litestar
import uvicorn
from litestar import Litestar, get, websocket
from litestar.di import NamedDependency
from litestar.params import FromPath

from runtime import (
    DurableObject,
    DurableObjectNamespace,
    Request,
    Response,
    Runtime,
    RuntimeConfig,
    WebSocket,
)
from runtime.litestar import DurableObjectsPlugin, forward
from runtime.uvicorn_ws import HttpProtocol, Server, WebSocketProtocol
from tests.churn.in_use import malloc_bytes, python_blocks

IDLE_SECONDS: Final = 0.5  # a quiet room sleeps between two messages
KEPT: Final = 100  # messages of a room
# So little that somebody who reads nothing is found too slow during one visit.
MAX_BUFFERED_BYTES: Final = 256 * 1024
SEND_BYTES: Final = 64 * 1024  # that the system takes of each socket


class Room(DurableObject):
    """Numbers what is said, and says it to everybody. Whoever comes in hears the last number."""

    migrations = ("CREATE TABLE messages (number INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT)",)

    async def fetch(self, request: Request) -> Response:
        ws = request.web_socket
        assert ws is not None
        name = request.query["name"]
        self.ctx.accept_web_socket(ws, tags=[name])
        ws.serialize_attachment({"name": name})
        sql = self.ctx.storage.sql
        last = sql.exec("SELECT coalesce(max(number), 0) AS number FROM messages").one()
        ws.send(f"{last['number']} is the last")
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        assert ws.deserialize_attachment()["name"] in self.ctx.get_tags(ws)
        sql = self.ctx.storage.sql
        new = sql.exec("INSERT INTO messages (text) VALUES (?) RETURNING number", message).one()
        sql.exec("DELETE FROM messages WHERE number <= ?", new["number"] - KEPT)
        self.ctx.broadcast(f"{new['number']} {message!s}")

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        """Wake up for it."""


@websocket("/rooms/{room:str}")
async def join(
    socket: litestar.WebSocket[Any, Any, Any],
    room: FromPath[str],
    rooms: NamedDependency[DurableObjectNamespace[Room]],
) -> None:
    """Let somebody in."""
    await forward(socket, to=rooms.get_by_name(room), max_buffered_bytes=MAX_BUFFERED_BYTES)


def create_app(data: Path) -> Litestar:
    """Return the application."""
    runtime = Runtime(RuntimeConfig(data=data, idle_seconds=IDLE_SECONDS), bindings={"rooms": Room})

    @get("/state", sync_to_thread=False)
    def state() -> dict[str, int]:
        health = runtime.health
        blocks, malloc = python_blocks(), malloc_bytes()
        return {
            "python_blocks": blocks,
            "malloc_bytes": malloc,
            "sockets": health.sockets,
            "objects": health.objects,
            "awake": sum(isinstance(thing, Room) for thing in gc.get_objects()),
            "too_slow": health.sockets_too_slow,
        }

    return Litestar(
        [join, state],
        plugins=[DurableObjectsPlugin(runtime)],
        openapi_config=None,
        logging_config=None,
    )


def main() -> None:
    """Serve until a signal ends it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(
        create_app(Path(sys.argv[1])),
        ws=WebSocketProtocol,
        http=HttpProtocol,
        log_level="error",
        access_log=False,
    )
    Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
