"""A socket on any ASGI server: one coroutine reads it, and another writes while there is something.

The portable path. On uvicorn, `uvicorn_ws` does the same with less: see `detached`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

from runtime import edge
from runtime.connection import (
    AT_ONCE,
    NO_STATUS,
    SERVICE_RESTART,
    TOO_BIG,
    TRY_AGAIN_LATER,
    VANISHED,
    VANISHED_REASON,
)
from runtime.messages import Message, Outgoing, shortened
from runtime.sockets import WebSocket
from runtime.tasks import spawn_outside

NORMAL_CLOSURE: Final = 1000
UNASSIGNED: Final = range(1016, 3000)  # codes that servers refuse to send, though objects may


class AsgiSocket(Protocol):
    """A framework's end of a WebSocket."""

    def accept(
        self, subprotocols: str | None = None, headers: dict[str, Any] | None = None
    ) -> Awaitable[None]: ...

    def receive(self) -> Awaitable[Any]: ...

    def send(self, event: Any) -> Awaitable[None]: ...

    def close(self, code: int, reason: str | None = None) -> Awaitable[None]: ...


class PortableSocket:
    """A WebSocket connection by way of ASGI: `connection.Connection`.

    Invariants:
        - Messages leave in the order in which they were sent, the close frame last.
        - A client that has had more than `max_buffered_bytes` waiting for a second gets nothing
          else and is disconnected, and so is one that takes nothing for `STALLED_SECONDS`.
    """

    def __init__(
        self,
        socket: AsgiSocket,
        *,
        max_message_bytes: int,
        max_buffered_bytes: int,
        gone: tuple[type[Exception], ...],
    ) -> None:
        """Args:
        socket: The framework's end of it, which nobody has accepted yet.
        max_message_bytes: Larger messages close the connection with 1009.
        max_buffered_bytes: How much may wait for a client that doesn't take it.
        gone: What the framework raises when the client has gone.
        """
        self._socket = socket
        self._max_message_bytes = max_message_bytes
        self._max_buffered_bytes = max_buffered_bytes
        self._gone = gone
        self._outgoing: deque[Outgoing] = deque()
        self._buffered = 0
        self._closing: tuple[int, str] | None = None
        self._is_accepted = False
        self._is_gone = False
        self._is_waiting = False
        self._has_given_up = self._has_failed = False
        # Whether too much has waited for the client for a while, and when that is to be judged.
        self._is_slow = False
        self._judging: asyncio.TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[Any] | None = None
        self._ws: WebSocket | None = None
        # Not done while so much waits for the object that nothing more should be read.
        self._pause: asyncio.Future[None] | None = None

    @property
    def is_flushed(self) -> bool:
        return self._is_gone or not (self._outgoing or self._closing or self._is_waiting)

    def send(self, outgoing: Outgoing) -> None:
        if self._closing is not None:
            return
        self._outgoing.append(outgoing)
        self._buffered += outgoing.size
        if self._is_slow or self._buffered > edge.MAX_BURST_BYTES:
            self._give_up()
            return
        if self._buffered > self._max_buffered_bytes and self._judging is None:
            loop = asyncio.get_running_loop()
            self._judging = loop.call_later(edge.SLOW_SECONDS, self._judge)
        self._write_soon()

    def close(self, code: int, reason: str) -> None:
        self.resume()  # what else comes is only a matter of form
        if self._closing is None:
            self._closing = (code, reason)
            self._write_soon()

    def _judge(self) -> None:
        self._is_slow = True

    def _take_back(self) -> None:
        """Say that the client isn't slow, because it has taken what was too much."""
        self._is_slow = False
        if self._judging is not None:
            self._judging.cancel()
            self._judging = None

    def _give_up(self) -> None:
        # What it has missed it gets when it comes back.
        self._outgoing.clear()
        self._closing = (TRY_AGAIN_LATER, edge.TOO_SLOW)
        self._has_given_up = True
        if self._ws is not None:
            self._ws.was_too_slow()
        if self._reader is not None:
            self._reader.cancel()

    def hang_up(self) -> None:
        self._is_gone = True

    def resume(self) -> None:
        if self._pause is not None and not self._pause.done():
            self._pause.set_result(None)

    async def refuse(self, code: int, reason: str) -> None:
        """Accept the handshake and close at once, with a reason that a browser can read."""
        self.close(code, shortened(reason))
        await self.accept(None, {})

    async def run(self, ws: WebSocket, protocol: str | None, headers: dict[str, str]) -> None:
        """Answer the handshake, then receive until the connection is gone."""
        self._ws, self._reader = ws, asyncio.current_task()
        try:
            if await self.accept(protocol, headers):
                ws.opened()
            count = 0
            while (event := await self._socket.receive())["type"] == "websocket.receive":
                count += 1
                if not count % AT_ONCE:
                    await asyncio.sleep(0)
                text = event.get("text")
                message = event.get("bytes") or b"" if text is None else text
                if _size_of(message) > self._max_message_bytes:
                    self._refuse_size(ws)
                    continue
                ws.received(message)
                if ws.must_pause():
                    self._pause = asyncio.get_running_loop().create_future()
                    await self._pause
        except self._gone:
            event = {"type": "websocket.disconnect", "code": VANISHED}
        except asyncio.CancelledError:
            if not self._has_given_up or self._reader is None or self._reader.uncancel():
                raise
            event = {"type": "websocket.disconnect", "code": VANISHED}
        finally:
            self._take_back()
            if self._writer is not None:
                self._writer.cancel()
        self._is_gone = True
        self._report_end(ws, event)
        if self._has_given_up:
            with suppress(*self._gone, TimeoutError):
                async with asyncio.timeout(edge.FAREWELL_SECONDS):
                    await self._socket.close(TRY_AGAIN_LATER, edge.TOO_SLOW)

    def _refuse_size(self, ws: WebSocket) -> None:
        reason = f"a message may have {self._max_message_bytes} bytes"
        if self._closing is None:
            ws.failed(ValueError(reason))
            self._has_failed = True
            self.close(TOO_BIG, reason)

    async def accept(self, protocol: str | None, headers: dict[str, str]) -> bool:
        """Answer the handshake, and send what waits. False if nobody waited for the answer."""
        try:
            await self._socket.accept(subprotocols=protocol, headers=headers)
        except self._gone:
            return False
        self._is_accepted = True
        await self._write()
        return True

    def _report_end(self, ws: WebSocket, event: Mapping[str, Any]) -> None:
        code, reason = int(event.get("code", NO_STATUS)), event.get("reason") or ""
        if code == SERVICE_RESTART and "reason" not in event:
            ws.forget()  # the server is going down: nobody has left
        elif self._closing is not None:
            was_clean = not (self._has_given_up or self._has_failed)
            ws.disconnected(*self._closing, was_clean=was_clean)
        elif code == VANISHED or "reason" not in event:
            # uvicorn says 1005 for both, but has a reason only where there was a close frame.
            ws.disconnected(VANISHED, VANISHED_REASON, was_clean=False)
        else:
            ws.disconnected(code, reason, was_clean=True)

    def _write_soon(self) -> None:
        if self._is_accepted and (self._writer is None or self._writer.done()):
            self._writer = spawn_outside(self._write())

    async def _write(self) -> None:
        try:
            while self._outgoing and not self._is_gone:
                outgoing = self._outgoing.popleft()
                self._is_waiting = True
                async with asyncio.timeout(edge.STALLED_SECONDS):
                    await self._socket.send(_event(outgoing.message))
                self._is_waiting = False
                self._buffered -= outgoing.size
                if self._buffered <= self._max_buffered_bytes:
                    self._take_back()
            if self._closing is not None and not self._is_gone:
                self._is_gone = True
                code, reason = self._closing
                if code in UNASSIGNED:
                    code = NORMAL_CLOSURE
                await self._socket.close(code, reason)
        except TimeoutError:
            self._give_up()
        except self._gone:
            self._outgoing.clear()  # gone; the reader reports it


def _event(message: Message) -> dict[str, Any]:
    if isinstance(message, str):
        return {"type": "websocket.send", "text": message, "bytes": None}
    return {"type": "websocket.send", "bytes": message, "text": None}


def _size_of(message: Message) -> int:
    return len(message.encode() if isinstance(message, str) else message)
