"""A server with objects that take their time: ``python -m tests.runtime.slow_server PORT DATA``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import litestar
import uvicorn
from litestar import Litestar, websocket
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


class Clerk(DurableObject[Any]):
    """Writes down what it is told, and takes as long for it as it is told."""

    migrations = ("CREATE TABLE notes (text TEXT NOT NULL)",)

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        seconds, _, text = str(message).partition(" ")
        ws.send(f"begun {text}")
        await asyncio.sleep(float(seconds))
        self.ctx.storage.sql.exec("INSERT INTO notes VALUES (?)", text)
        notes = self.ctx.storage.sql.exec("SELECT count(*) AS n FROM notes").one()["n"]
        ws.send(f"done {text}, {notes} notes")


@websocket("/{name:str}")
async def enter(
    socket: litestar.WebSocket[Any, Any, Any],
    name: FromPath[str],
    clerks: NamedDependency[DurableObjectNamespace[Clerk]],
) -> None:
    await forward(socket, to=clerks.get_by_name(name))


def main(port: int, data: Path) -> None:
    """Serve until a signal ends it."""
    runtime = Runtime(RuntimeConfig(data=data), bindings={"clerks": Clerk})
    app = Litestar([enter], plugins=[DurableObjectsPlugin(runtime)], logging_config=None)
    config = uvicorn.Config(
        app, port=port, ws=WebSocketProtocol, http=HttpProtocol, log_level="error"
    )
    Server(config).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
