"""The web edge: a Litestar plugin, and the way from a WebSocket's handshake to its object.

The only file that imports Litestar (I11). The sockets here use the portable ASGI path: one
coroutine reads a socket, and another writes it while there is something to write.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from html import escape
from http import HTTPStatus
from typing import Any, Final, cast

from litestar import Litestar, MediaType, Request, Response, WebSocket, route
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.exceptions import (
    HTTPException,
    SerializationException,
    ValidationException,
    WebSocketDisconnect,
)
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.plugins import InitPlugin
from litestar.response import Template
from litestar.types import WebSocketSendEvent

from runtime import edge, fetch, sockets
from runtime.errors import DurableObjectError
from runtime.health import Health
from runtime.namespace import DurableObjectNamespace
from runtime.runtime import Runtime
from runtime.tasks import spawn_outside

__all__ = ["DurableObjectsPlugin", "forward"]

log = logging.getLogger("runtime")

_TOO_SLOW: Final = "too slow"
_UNWELL: Final = ResponseSpec(Health, generate_examples=False, description="The disk refuses")


class DurableObjectsPlugin(InitPlugin):
    """Starts a runtime with the application, and gives its namespaces to the handlers.

    A handler gets a namespace by the name of its binding, and ``env`` by that name. Errors of
    the runtime, and Litestar's own, become problem+json (RFC 9457), or a page for whoever
    accepts HTML.

    Args:
        runtime: Started before the first request, and drained after the last one.
        error_template: The page's template; it gets ``status``, ``title`` and ``detail``.
        health_path: Where `Runtime.health` is served; nowhere by default. The status is 503 while
            the disk refuses what objects write, so that load balancers turn elsewhere.
        health_template: The template of its page for whoever accepts HTML; it gets ``health``.
    """

    def __init__(
        self,
        runtime: Runtime[Any],
        *,
        error_template: str | None = None,
        health_path: str | None = None,
        health_template: str | None = None,
    ) -> None:
        self._runtime = runtime
        self._error_template = error_template
        self._health_path = health_path
        self._health_template = health_template

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.lifespan.append(self._run)
        app_config.dependencies["env"] = Provide(self._env, sync_to_thread=False)
        for binding in self._runtime.bindings:
            provider = Provide(self._namespace_provider(binding), sync_to_thread=False)
            app_config.dependencies.setdefault(binding, provider)
        for kind in (DurableObjectError, HTTPException, Exception):
            app_config.exception_handlers.setdefault(kind, self._answer_error)
        if self._health_path is not None:
            app_config.route_handlers.append(self._health_handler(self._health_path))
        return app_config

    @asynccontextmanager
    async def _run(self, _: Litestar) -> AsyncIterator[None]:
        async with self._runtime:
            yield

    def _env(self) -> Any:
        return self._runtime.env

    def _namespace_provider(self, binding: str) -> Callable[[], DurableObjectNamespace[Any]]:
        def provide() -> DurableObjectNamespace[Any]:
            return self._runtime.namespaces[binding]

        return provide

    def _health_handler(self, path: str) -> HTTPRouteHandler:
        # HEAD is how load balancers ask that want the status alone.
        @route(path, http_method=["GET", "HEAD"], responses={503: _UNWELL}, sync_to_thread=False)
        def health(request: Request[Any, Any, Any]) -> Response[Health]:
            """Return how the server is; as a page to whoever accepts HTML."""
            now = self._runtime.health
            status, headers = edge.answer_for(now)
            if self._health_template is None or not _wants_page(request):
                return Response(now, status_code=status, headers=headers)
            page = Template(
                self._health_template, context={"health": now}, status_code=status, headers=headers
            )
            return cast(Response[Health], page)

        return health

    def _answer_error(self, request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        status, detail = _explain(error)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not edge.may_pass(error):
            log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        headers = dict(getattr(error, "headers", None) or {})
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = str(getattr(error, "retry_after", 1))
        problem = {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}
        if not _wants_page(request):
            if isinstance(error, ValidationException):
                problem["errors"] = _reasons(error)
            return Response(problem, status_code=status, headers=headers, media_type=edge.PROBLEM)
        if self._error_template is not None:
            return Template(
                self._error_template, context=problem, status_code=status, headers=headers
            )
        title, text = problem["title"], escape(detail)
        page = f"<!doctype html><title>{title}</title><h1>{title}</h1><p>{text}</p>"
        return Response(page, status_code=status, headers=headers, media_type=MediaType.HTML)


def _explain(error: Exception) -> tuple[int, str]:
    """Return the HTTP status for an error, and what to tell the client."""
    # What can't be read or isn't acceptable is one case to a client. Litestar has 400, and lets
    # bytes that are no UTF-8 through as they are.
    if isinstance(error, ValidationException):
        reasons = [f"{reason['key']}: {reason['message']}" for reason in _reasons(error)]
        return HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(reasons) or error.detail
    if isinstance(error, UnicodeError) or isinstance(error.__cause__, SerializationException):
        reason = getattr(error, "detail", error)
        return HTTPStatus.UNPROCESSABLE_ENTITY, f"the request can't be read: {reason}"
    if isinstance(error, HTTPException):
        return error.status_code, error.detail
    if edge.may_pass(error):
        return HTTPStatus.SERVICE_UNAVAILABLE, str(error)
    return HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong on our side."


def _wants_page(request: Request[Any, Any, Any]) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _reasons(error: ValidationException) -> list[dict[str, str]]:
    """Return what isn't acceptable, part by part, without the libraries' own jargon."""
    details = error.extra if isinstance(error.extra, list) else []
    reasons = []
    for detail in details:
        key, message = detail.get("key", "body"), detail["message"]
        # The body is called after the handler's parameter, and a missing one is a KeyError.
        message = "is missing" if message == repr(key) else message.removeprefix("Value error, ")
        reasons.append({"key": "body" if key == "data" else key, "message": message})
    return reasons


async def forward(
    socket: WebSocket[Any, Any, Any],
    *,
    to: Any,
    headers: Mapping[str, str] | None = None,
    allowed_origins: Collection[str] = (),
    max_message_bytes: int = edge.MAX_MESSAGE_BYTES,
) -> None:
    """Hand a WebSocket to an object: its `fetch` gets the handshake and accepts it, or doesn't.

    Returns when the connection is gone. A refusal is an accepted handshake that closes at once,
    because a browser hides every other: with 1008 if the object or the origin check refused,
    1013 if it is overloaded or stopping or the disk refuses, 1011 if it failed.

    Args:
        to: A stub of the object.
        headers: What the object is to trust, such as who this is. They go before the client's
            own headers of the same names.
        allowed_origins: Origins, such as ``https://example.org``, whose pages may connect,
            besides this server's own. A client that names no origin is no browser, and may.
        max_message_bytes: Larger messages close the connection with 1009.
    """
    connection = _AsgiConnection(socket)
    if not edge.is_same_origin(
        socket.headers.get("origin"), socket.headers.get("host"), allowed_origins
    ):
        await connection.refuse(edge.POLICY_VIOLATION, "this page may not connect here")
        return
    ws = sockets.WebSocket(connection, url=str(socket.url))
    request = fetch.Request(
        str(socket.url), headers={**dict(socket.headers.items()), **(headers or {})}, web_socket=ws
    )
    try:
        response = await to.fetch(request)
    except Exception as error:  # the bridge's end: the client hears that it failed, we hear why
        if edge.may_pass(error):
            await connection.refuse(edge.TRY_AGAIN_LATER, str(error))
        else:
            log.exception("the handshake at %s failed", socket.url.path)
            await connection.refuse(edge.INTERNAL_ERROR, "the object failed")
    else:
        if response.status == fetch.SWITCHING_PROTOCOLS:
            await connection.run(ws, response, max_message_bytes)
        else:
            await connection.refuse(edge.POLICY_VIOLATION, response.text())


class _AsgiConnection:
    """A WebSocket connection by way of ASGI: `sockets.Connection`.

    Invariants:
        - Messages leave in the order in which they were sent, the close frame last.
        - A client that doesn't take what it was sent while `MAX_BUFFERED_BYTES` more have
          gathered is disconnected, and so is one that takes nothing for `STALLED_SECONDS`.
    """

    def __init__(self, socket: WebSocket[Any, Any, Any]) -> None:
        self._socket = socket
        self._outgoing: deque[sockets.Message] = deque()
        self._buffered = 0
        self._closing: tuple[int, str] | None = None
        self._is_accepted = False
        self._is_gone = False
        self._is_waiting = False
        self._has_given_up = False
        self._writer: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[Any] | None = None

    def send(self, message: sockets.Message) -> None:
        if self._closing is not None:
            return
        self._outgoing.append(message)
        self._buffered += edge.size_of(message)
        limit = edge.MAX_BUFFERED_BYTES if self._is_waiting else edge.MAX_BURST_BYTES
        if self._buffered > limit:
            self._give_up()
        else:
            self._write_soon()

    def close(self, code: int, reason: str) -> None:
        if self._closing is None:
            self._closing = (code, reason)
            self._write_soon()

    def _give_up(self) -> None:
        # What it has missed it gets when it comes back.
        self._outgoing.clear()
        self._closing = (edge.TRY_AGAIN_LATER, _TOO_SLOW)
        self._has_given_up = True
        if self._reader is not None:
            self._reader.cancel()

    def hang_up(self) -> None:
        self._is_gone = True

    async def refuse(self, code: int, reason: str) -> None:
        """Accept the handshake and close at once, with a reason that a browser can read."""
        self.close(code, reason.encode()[: sockets.MAX_REASON_BYTES].decode(errors="ignore"))
        with suppress(WebSocketDisconnect, OSError):  # it may not have waited for the answer
            await self._accept(None, {})

    async def run(
        self, ws: sockets.WebSocket, response: fetch.Response, max_message_bytes: int
    ) -> None:
        """Answer the handshake, then receive until the connection is gone."""
        own = dict(response.headers)
        protocol = own.pop("sec-websocket-protocol", None)
        self._reader = asyncio.current_task()
        try:
            await self._accept(protocol, own)
            ws.opened()
            while (event := await self._socket.receive())["type"] == "websocket.receive":
                text = event.get("text")
                message = event.get("bytes") or b"" if text is None else text
                if edge.size_of(message) > max_message_bytes:
                    self.close(edge.TOO_BIG, f"a message may have {max_message_bytes} bytes")
                else:
                    ws.received(message)
        except (WebSocketDisconnect, OSError):
            event = {"type": "websocket.disconnect", "code": sockets.VANISHED}
        except asyncio.CancelledError:
            if not self._has_given_up or self._reader is None or self._reader.uncancel():
                raise
            event = {"type": "websocket.disconnect", "code": sockets.VANISHED}
        finally:
            if self._writer is not None:
                self._writer.cancel()
        self._is_gone = True
        self._report_end(ws, event)
        if self._has_given_up:
            with suppress(WebSocketDisconnect, OSError, TimeoutError):
                async with asyncio.timeout(edge.FAREWELL_SECONDS):
                    await self._socket.close(edge.TRY_AGAIN_LATER, _TOO_SLOW)

    async def _accept(self, protocol: str | None, headers: dict[str, str]) -> None:
        await self._socket.accept(subprotocols=protocol, headers=headers)
        self._is_accepted = True
        await self._write()

    def _report_end(self, ws: sockets.WebSocket, event: Mapping[str, Any]) -> None:
        code, reason = event.get("code", sockets.NO_STATUS), event.get("reason") or ""
        if code == sockets.SERVICE_RESTART and "reason" not in event:
            ws.forget()  # the server is going down: nobody has left
        elif self._closing is not None:
            ws.disconnected(*self._closing, was_clean=True)
        elif code == sockets.VANISHED or "reason" not in event:
            # uvicorn says 1005 for both, but has a reason only where there was a close frame.
            ws.disconnected(sockets.VANISHED, sockets.VANISHED_REASON, was_clean=False)
        else:
            ws.disconnected(code, reason, was_clean=True)

    def _write_soon(self) -> None:
        if self._is_accepted and (self._writer is None or self._writer.done()):
            self._writer = spawn_outside(self._write())

    async def _write(self) -> None:
        try:
            while self._outgoing and not self._is_gone:
                message = self._outgoing.popleft()
                self._is_waiting = True
                async with asyncio.timeout(edge.STALLED_SECONDS):
                    await self._socket.send(_event(message))
                self._is_waiting = False
                self._buffered -= edge.size_of(message)
            if self._closing is not None and not self._is_gone:
                self._is_gone = True
                await self._socket.close(*self._closing)
        except TimeoutError:
            self._give_up()
        except (WebSocketDisconnect, OSError):
            self._outgoing.clear()  # gone; the reader reports it


def _event(message: sockets.Message) -> WebSocketSendEvent:
    if isinstance(message, str):
        return {"type": "websocket.send", "text": message, "bytes": None}
    return {"type": "websocket.send", "bytes": message, "text": None}
