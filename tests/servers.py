"""A real server on a real port, in the test's own process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import httpx
import uvicorn

from runtime.uvicorn_ws import (
    CompressingWebSocketProtocol,
    HttpProtocol,
    Server,
    WebSocketProtocol,
)

TRANSPORTS: Final[dict[str, dict[str, Any]]] = {
    "portable": {"ws": "websockets-sansio", "ws_per_message_deflate": False},
    "detached": {"ws": WebSocketProtocol, "http": HttpProtocol},
}
"""What uvicorn is told for each of the ways that a WebSocket's frames may take to its object."""

COMPRESSING: Final[dict[str, dict[str, Any]]] = {
    "portable": {"ws": "websockets-sansio"},
    "detached": {"ws": CompressingWebSocketProtocol},
}
"""The same, with permessage-deflate for clients that offer it."""


class PromptServer(Server):
    """One that is told to stop by whoever has started it, and needn't look whether it was."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()

    def stop(self) -> None:
        self.should_exit = True
        self._told.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # which it does once a second, for the date
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), 1)


def http_client(address: str | httpx.URL, **options: Any) -> httpx.AsyncClient:
    """Return a client of a server on this machine.

    It reads no certificates: that takes longer than most of what is asked.
    """
    return httpx.AsyncClient(base_url=address, verify=False, **options)


@asynccontextmanager
async def serving(
    app: Any,
    *,
    ws: type | str = "websockets-sansio",
    kernel_bytes: int | None = None,
    **settings: Any,
) -> AsyncIterator[str]:
    """Serve `app` inside the block, and give its address: ``127.0.0.1:…``.

    Args:
        ws: What speaks WebSocket, and `settings` what else uvicorn is told: see `TRANSPORTS`.
        kernel_bytes: About how much the kernel keeps for a client that takes nothing, if it isn't
            to decide that by itself; it takes megabytes then.
    """
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # or asyncio leaves Nagle's delays in
    listener.bind(("127.0.0.1", 0))
    if kernel_bytes is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kernel_bytes)  # connections too
    options = {"ws": ws, "log_level": "error", "access_log": False} | settings
    server = PromptServer(uvicorn.Config(app, **options))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not running.done():  # uvicorn has no signal for it
        await asyncio.sleep(0.005)
    try:
        yield "{}:{}".format(*listener.getsockname())
    finally:
        server.stop()
        await running
