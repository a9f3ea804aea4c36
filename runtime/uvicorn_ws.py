"""The fast socket: what uvicorn runs for us instead of its own protocols.

::

    uvicorn --ws runtime.uvicorn_ws:WebSocketProtocol --http runtime.uvicorn_ws:HttpProtocol app:app

The handshake runs through the ASGI application as ever: sessions, guards, the check of the origin.
What `forward` has accepted is then taken off it, and lives on as a `DetachedSocket`. All other
WebSockets stay with uvicorn's own code.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import weakref
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from types import FrameType
from typing import Any, ClassVar, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from runtime import edge, frames
from runtime.connection import VANISHED, VANISHED_REASON
from runtime.detached import DetachedSocket, Keepalive
from runtime.garbage import Collector
from runtime.sockets import WebSocket

HANDSHAKES_A_TURN: Final = 4  # of the loop: they take a millisecond or two
MAX_HANDSHAKES: Final = 8192  # that wait for their turn
HEAD_SECONDS: Final = 10.0  # for the head of a request to arrive
MAX_HEAD_BYTES: Final = 64 * 1024


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, which lets go of the sockets that objects accept.

    Messages aren't compressed: kilobytes on the wire could become megabytes here. See
    `CompressingWebSocketProtocol`.
    """

    compresses: ClassVar[bool] = False

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn.available_extensions = [frames.offer()] if self.compresses else []
        self._hall = _Hall.of(server_state, config, self.loop)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # uvicorn would wait for what never comes: the head can't be read, or is too large.
            self._refuse(HTTPStatus.BAD_REQUEST, "this request can't be read")

    def handle_connect(self, event: Any) -> None:
        if not self._hall.let_in(lambda: self._begin(event)):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many at once")

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.transport.write(_refusal(status, reason))
        self.transport.close()

    def _begin(self, event: Any) -> None:
        if not self.transport.is_closing():
            super().handle_connect(event)
            if scope := getattr(self, "scope", None):
                scope["extensions"][edge.DETACH] = self.detach

    def detach(self, ws: WebSocket, *, max_message_bytes: int, max_buffered_bytes: int) -> None:
        """Take the connection off the application, after its handshake.

        If it has gone meanwhile, `ws` is told so.
        """
        del self.scope["extensions"][edge.DETACH]
        transport, self.transport = self.transport, _Left()  # type: ignore[assignment]
        if self.disconnected or transport.is_closing():
            transport.close()
            ws.disconnected(VANISHED, VANISHED_REASON, was_clean=False)
            return
        self.stop_keepalive()
        self.connections.discard(self)
        socket = DetachedSocket(
            ws,
            transport,
            self._hall.keepalive,
            max_message_bytes=max_message_bytes,
            max_buffered_bytes=max_buffered_bytes,
            extensions=self.conn.extensions,
        )
        transport.set_protocol(socket)
        transport.resume_reading()
        if self._hall.keepalive.is_stopping:
            socket.stop_reading()
        ws.opened(socket)
        while not self.queue.empty():  # what has come while the application answered
            event: Any = self.queue.get_nowait()
            if event["type"] == "websocket.receive":
                ws.received(event["text"] if "text" in event else event["bytes"])


class CompressingWebSocketProtocol(WebSocketProtocol):
    """The same with permessage-deflate, for clients that offer it."""

    compresses = True


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with limits for the head of a request: 10 seconds, and 64 KiB."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_bytes = 0
        self._is_in_head = self._has_ended = False
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._has_ended = False
        super().data_received(data)
        if self._is_in_head:
            if not self._has_ended:  # else most of this may belong to the request before
                self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            elif self._head_timer is None:
                self._watch()

    def on_message_begin(self) -> None:
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._has_ended = True
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._stop_watching()
        super().on_headers_complete()

    def _watch(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._is_late)

    def _is_late(self) -> None:
        if self.pipeline or (self.cycle is not None and not self.cycle.response_complete):
            self._watch()  # it isn't read while answers to those before it are due
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _stop_watching(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: HTTPStatus) -> None:
        self._stop_watching()
        if not self.transport.is_closing():
            self.transport.write(_refusal(status))
            self.transport.close()


def _refusal(status: HTTPStatus, reason: str = "") -> bytes:
    head = f"HTTP/1.1 {status} {status.phrase}\r\nconnection: close\r\n"
    kind = "content-type: text/plain; charset=utf-8\r\n"
    return f"{head}{kind}content-length: {len(reason)}\r\n\r\n{reason}".encode()


class Server(uvicorn.Server):
    """A server that stops at once when it is told to a second time.

    The first SIGTERM or SIGINT drains it: nothing more is read from sockets, requests and
    handlers that are under way get their time, and what they have written becomes durable before
    sockets are closed with 1012, which makes clients come back. The second ends the process;
    nothing that was acknowledged is lost by that either.

    While it runs by `run`, in the main thread, the process is its own, and it looks for the
    process's garbage, too. By `serve` it is a guest in somebody's loop, and leaves that to them.
    """

    _collector: Collector | None = None
    _has_the_process = False

    def run(self, sockets: Any = None) -> None:
        self._has_the_process = threading.current_thread() is threading.main_thread()
        try:
            super().run(sockets)
        finally:
            self._has_the_process = False
            if self._collector is not None:
                self._collector.stop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            os.kill(os.getpid(), sig)
        super().handle_exit(sig, frame)

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started and self._has_the_process:
            self._collector = Collector()
            self._collector.start()

    async def shutdown(self, sockets: Any = None) -> None:
        _Hall.stop(self.server_state)
        await super().shutdown(sockets)


class _Left:
    """What uvicorn still closes when the application returns whose connection has gone on."""

    def close(self) -> None:
        pass


class _Hall:
    """What all connections of one server share: the keepalive, and the queue at the door.

    A handshake goes through the whole application. If thousands come at once, as after a deploy,
    those who are in already have their turn in between.
    """

    # uvicorn gives a protocol nothing of ours; this goes with the server it belongs to.
    _halls: ClassVar[weakref.WeakKeyDictionary[ServerState, _Hall]] = weakref.WeakKeyDictionary()

    def __init__(self, config: uvicorn.Config, loop: asyncio.AbstractEventLoop) -> None:
        self.keepalive = Keepalive(
            loop, config.ws_ping_interval, ends_silence=config.ws_ping_timeout is not None
        )
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._begun = 0

    @classmethod
    def of(cls, state: ServerState, config: uvicorn.Config, loop: Any) -> _Hall:
        """Return the hall of a server."""
        hall = cls._halls.get(state)
        if hall is None:
            hall = cls._halls[state] = cls(config, loop)
        return hall

    @classmethod
    def stop(cls, state: ServerState) -> None:
        """Read nothing more from a server's sockets."""
        if (hall := cls._halls.get(state)) is not None:
            hall.keepalive.stop_reading()

    def let_in(self, begin: Callable[[], None]) -> bool:
        """Begin a handshake, now or in its turn. False if too many wait for theirs."""
        if self._begun < HANDSHAKES_A_TURN:
            self._count()
            begin()
            return True
        if len(self._waiting) >= MAX_HANDSHAKES:
            return False
        self._waiting.append(begin)
        return True

    def _count(self) -> None:
        if not self._begun:
            self._loop.call_soon(self._turn)
        self._begun += 1

    def _turn(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < HANDSHAKES_A_TURN:
            self._count()
            self._waiting.popleft()()
