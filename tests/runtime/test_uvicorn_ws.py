"""How a server stops, in a process of its own that gets real signals."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0  # seconds, on a busy machine


class Process:
    """A server that is running."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.url = url
        self._process = process

    def tell(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ends(self) -> int:
        """Return its exit status, once it has ended."""
        return await asyncio.wait_for(self._process.wait(), PATIENCE)


@asynccontextmanager
async def running(data: Path) -> AsyncIterator[Process]:
    """Run a server of clerks inside the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.runtime.slow_server", str(port), str(data), cwd=ROOT
    )
    try:
        await reachable(port)
        yield Process(process, f"ws://127.0.0.1:{port}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def reachable(port: int) -> None:
    """Return once the server answers."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                await writer.wait_closed()
                return


async def rest_of(ws: ClientConnection) -> tuple[list[str | bytes], int | None]:
    """Return all that still comes, and the code that ends it."""
    received = []
    with pytest.raises(ConnectionClosed):
        while True:
            received.append(await asyncio.wait_for(ws.recv(), PATIENCE))
    return received, ws.close_code


async def test_what_is_under_way_is_finished_and_sent_before_sockets_close(tmp_path: Path) -> None:
    async with running(tmp_path) as server, websockets.connect(f"{server.url}/a") as ws:
        await ws.send("1 first")
        assert await ws.recv() == "begun first"
        server.tell(signal.SIGTERM)

        assert await rest_of(ws) == (["done first, 1 notes"], 1012)
        await server.ends()

    async with running(tmp_path) as server, websockets.connect(f"{server.url}/a") as ws:
        await ws.send("0 second")
        assert [await ws.recv(), await ws.recv()] == ["begun second", "done second, 2 notes"]


async def test_nothing_new_is_begun_once_the_server_is_told_to_stop(tmp_path: Path) -> None:
    async with running(tmp_path) as server, websockets.connect(f"{server.url}/a") as ws:
        await ws.send("1.5 first")
        assert await ws.recv() == "begun first"
        server.tell(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            while await is_listening(server.url):
                await asyncio.sleep(0.02)

        await ws.send("0 second")

        assert await rest_of(ws) == (["done first, 1 notes"], 1012)


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as server, websockets.connect(f"{server.url}/a") as ws:
        await ws.send("25 first")
        assert await ws.recv() == "begun first"
        server.tell(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            while await is_listening(server.url):
                await asyncio.sleep(0.02)

        server.tell(signal.SIGTERM)

        assert await asyncio.wait_for(server.ends(), 5) == -signal.SIGTERM
        assert await rest_of(ws) == ([], 1006)


async def is_listening(url: str) -> bool:
    """Whether the server takes connections."""
    host, port = url.removeprefix("ws://").split(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True
