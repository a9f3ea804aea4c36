"""Our server of sockets: ``python -m benchmarks.rooms PORT DATA [--ws portable] [--chat]``."""

from __future__ import annotations

import argparse
import gc
from pathlib import Path
from typing import Any

import litestar
import uvicorn
from litestar import Litestar, get, post, websocket
from litestar.di import NamedDependency
from litestar.params import FromPath

from apps.chat import app as chat
from benchmarks.processes import give_back, raise_file_limit
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
from runtime.persistence import Persistence
from runtime.uvicorn_ws import HttpProtocol, Server, WebSocketProtocol


class Echo(DurableObject):
    """Sends back what it is sent."""

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        ws.send(message)


class Room(DurableObject):
    """Keeps what it is sent, and sends it to everybody."""

    migrations = ("CREATE TABLE messages (number INTEGER PRIMARY KEY, text TEXT NOT NULL)",)

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        await self.say(message)

    async def say(self, message: str | bytes) -> None:
        self.ctx.storage.sql.exec("INSERT INTO messages (text) VALUES (?)", message)
        self.ctx.broadcast(message)


class Note(DurableObject):
    """Keeps one text on disk."""

    migrations = ("CREATE TABLE note (text TEXT NOT NULL)",)

    async def write(self, text: str) -> None:
        self.ctx.storage.sql.exec("DELETE FROM note")
        self.ctx.storage.sql.exec("INSERT INTO note VALUES (?)", text)

    async def read(self) -> str:
        return str(self.ctx.storage.sql.exec("SELECT text FROM note").one()["text"])


Asked = litestar.Request[Any, Any, Any]
Socket = litestar.WebSocket[Any, Any, Any]
Echoes = NamedDependency[DurableObjectNamespace[Echo]]
Rooms = NamedDependency[DurableObjectNamespace[Room]]
Notes = NamedDependency[DurableObjectNamespace[Note]]


@websocket("/echo/{name:str}")
async def echo(socket: Socket, name: FromPath[str], echoes: Echoes) -> None:
    """W3: what comes goes through an object."""
    await forward(socket, to=echoes.get_by_name(name))


@websocket("/rooms/{name:str}")
async def join(socket: Socket, name: FromPath[str], rooms: Rooms) -> None:
    """W4, and the sockets of W5."""
    await forward(socket, to=rooms.get_by_name(name))


@post("/rooms/{name:str}")
async def say(request: Asked, name: FromPath[str], rooms: Rooms) -> str:
    """W4-CHAT: what comes by POST goes to everybody in the room."""
    await rooms.get_by_name(name).say((await request.body()).decode())
    return "said"


@post("/notes/{name:str}")
async def write(name: FromPath[str], notes: Notes) -> str:
    """Make an object, for W5 and W6."""
    await notes.get_by_name(name).write("some text")
    return "written"


@get("/notes/{name:str}")
async def read(name: FromPath[str], notes: Notes) -> str:
    """W6, where the object isn't in memory."""
    return await notes.get_by_name(name).read()


@get("/awake", sync_to_thread=False)
def awake() -> str:
    """Take as little memory as possible, and count the objects whose databases are open."""
    give_back()
    return str(sum(isinstance(thing, Persistence) for thing in gc.get_objects()))


def create_app(config: RuntimeConfig) -> Litestar:
    """Return the application that is measured."""
    runtime = Runtime(config, bindings={"echoes": Echo, "rooms": Room, "notes": Note})
    return Litestar(
        [echo, join, say, write, read, awake],
        plugins=[DurableObjectsPlugin(runtime)],
        openapi_config=None,
        logging_config=None,
    )


def main() -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rooms")
    parser.add_argument("port", type=int)
    parser.add_argument("data", type=Path)
    parser.add_argument("--ws", choices=("detached", "portable"), default="detached")
    parser.add_argument("--idle", type=float, default=3600, metavar="SECONDS")
    parser.add_argument("--chat", action="store_true", help="serve the chat itself")
    arguments = parser.parse_args()
    raise_file_limit()
    is_detached = arguments.ws == "detached"
    settings = RuntimeConfig(data=arguments.data, idle_seconds=arguments.idle)
    config = uvicorn.Config(
        chat.create_app(settings) if arguments.chat else create_app(settings),
        port=arguments.port,
        loop="uvloop",
        http=HttpProtocol if is_detached else "httptools",
        ws=WebSocketProtocol if is_detached else "websockets-sansio",
        ws_per_message_deflate=False,
        log_level="error",
        access_log=False,
    )
    Server(config).run()


if __name__ == "__main__":
    main()
