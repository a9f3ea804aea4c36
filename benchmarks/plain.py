"""What one would write without us: ``python -m benchmarks.plain PORT DATA [--bare]``.

FastAPI on uvicorn, with one SQLite file that syncs every commit, a set of sockets for each room,
and a lock for each name. With ``--bare``, uvicorn alone: it echoes, and can do nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse

from benchmarks.processes import give_back, raise_file_limit

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS messages (number INTEGER PRIMARY KEY, room TEXT, text TEXT);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, text TEXT);
"""


class Room:
    """Who is in a room, and what makes their messages come one after another."""

    def __init__(self) -> None:
        self.members: set[WebSocket] = set()
        self.lock = asyncio.Lock()


def create_app(data: Path) -> FastAPI:
    """Return the application. It blocks the loop for a sync: a thread for each is slower."""
    app = FastAPI(openapi_url=None)
    database = sqlite3.connect(data / "plain.sqlite", isolation_level=None)
    database.executescript(SCHEMA)
    rooms: defaultdict[str, Room] = defaultdict(Room)
    locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @app.websocket("/echo/{name}")
    async def echo(ws: WebSocket, name: str) -> None:
        await ws.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await ws.send_text(await ws.receive_text())

    @app.websocket("/rooms/{name}")
    async def join(ws: WebSocket, name: str) -> None:
        await ws.accept()
        room = rooms[name]
        room.members.add(ws)
        try:
            while True:
                text = await ws.receive_text()
                async with room.lock:
                    database.execute(
                        "INSERT INTO messages (room, text) VALUES (?, ?)", (name, text)
                    )
                    for member in list(room.members):
                        with contextlib.suppress(WebSocketDisconnect):  # that one has just left
                            await member.send_text(text)
        except WebSocketDisconnect:
            pass
        finally:
            room.members.discard(ws)

    @app.post("/notes/{name}")
    async def write(name: str) -> PlainTextResponse:
        async with locks[name]:
            database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, "some text"))
        return PlainTextResponse("written")

    @app.get("/notes/{name}")
    async def read(name: str) -> PlainTextResponse:
        row = database.execute("SELECT text FROM notes WHERE name = ?", (name,)).fetchone()
        return PlainTextResponse(row[0])

    @app.get("/awake")
    async def awake() -> PlainTextResponse:
        give_back()
        return PlainTextResponse("0")

    return app


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """What uvicorn can do by itself."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": event["text"]})


def main() -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plain")
    parser.add_argument("port", type=int)
    parser.add_argument("data", type=Path)
    parser.add_argument("--bare", action="store_true")
    arguments = parser.parse_args()
    raise_file_limit()
    uvicorn.run(
        bare if arguments.bare else create_app(arguments.data),
        port=arguments.port,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="off",
        log_level="error",
        access_log=False,
    )


if __name__ == "__main__":
    main()
