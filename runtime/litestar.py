"""The web edge: a Litestar plugin, and the way from a WebSocket's handshake to its object.

The only file that imports Litestar (I11).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
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

from runtime import edge, fetch, sockets
from runtime.connection import INTERNAL_ERROR, TRY_AGAIN_LATER, VANISHED, VANISHED_REASON
from runtime.errors import DurableObjectError
from runtime.health import Health
from runtime.namespace import DurableObjectNamespace
from runtime.portable import PortableSocket
from runtime.runtime import Runtime

__all__ = ["DurableObjectsPlugin", "forward"]

log = logging.getLogger("runtime")

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
        self._tenancy = _Tenancy(runtime)
        self._error_template = error_template
        self._health_path = health_path
        self._health_template = health_template

    @property
    def runtime(self) -> Runtime[Any]:
        """The runtime that the application uses."""
        return self._tenancy.runtime

    @staticmethod
    def of(app: Litestar) -> DurableObjectsPlugin:
        """Return the plugin that an application was made with.

        Raises:
            TypeError: If there is none.
        """
        try:
            return app.plugins.get(DurableObjectsPlugin)
        except KeyError as error:
            raise TypeError(f"{app!r} has no DurableObjectsPlugin") from error

    def follow(self, before: DurableObjectsPlugin) -> None:
        """Use the runtime of an application that this one replaces, and never start the own.

        Both may serve for a while: the runtime is drained when the last of them has ended.
        """
        self._tenancy = before._tenancy

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.lifespan.append(self._run)
        app_config.dependencies["env"] = Provide(self._env, sync_to_thread=False)
        for binding in self.runtime.bindings:
            provider = Provide(self._namespace_provider(binding), sync_to_thread=False)
            app_config.dependencies.setdefault(binding, provider)
        for kind in (DurableObjectError, HTTPException, Exception):
            app_config.exception_handlers.setdefault(kind, self._answer_error)
        if self._health_path is not None:
            app_config.route_handlers.append(self._health_handler(self._health_path))
        return app_config

    @asynccontextmanager
    async def _run(self, _: Litestar) -> AsyncIterator[None]:
        async with self._tenancy:
            yield

    def _env(self) -> Any:
        return self.runtime.env

    def _namespace_provider(self, binding: str) -> Callable[[], DurableObjectNamespace[Any]]:
        def provide() -> DurableObjectNamespace[Any]:
            return self.runtime.namespaces[binding]

        return provide

    def _health_handler(self, path: str) -> HTTPRouteHandler:
        # HEAD is how load balancers ask that want the status alone.
        @route(path, http_method=["GET", "HEAD"], responses={503: _UNWELL}, sync_to_thread=False)
        def health(request: Request[Any, Any, Any]) -> Response[Health]:
            """Return how the server is; as a page to whoever accepts HTML."""
            now = self.runtime.health
            status, headers = edge.answer_for(now)
            if self._health_template is None or not _wants_page(request):
                return Response(now, status_code=status, headers=headers)
            page = Template(
                self._health_template, context={"health": now}, status_code=status, headers=headers
            )
            return cast(Response[Health], page)

        return health

    def _answer_error(self, request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        status, detail = _explain(error, request)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not edge.may_pass(error):
            log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        headers = dict(getattr(error, "headers", None) or {})
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = str(getattr(error, "retry_after", 1))
        problem = {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}
        if not _wants_page(request):
            if isinstance(error, ValidationException):
                problem["errors"] = _reasons(error, request)
            return Response(problem, status_code=status, headers=headers, media_type=edge.PROBLEM)
        if self._error_template is not None:
            return Template(
                self._error_template, context=problem, status_code=status, headers=headers
            )
        title, text = problem["title"], escape(detail)
        page = f"<!doctype html><title>{title}</title><h1>{title}</h1><p>{text}</p>"
        return Response(page, status_code=status, headers=headers, media_type=MediaType.HTML)


class _Tenancy:
    """A runtime that runs from the start of the first application that uses it to the last's end.

    Each application enters it in its lifespan; they begin one after the other.
    """

    def __init__(self, runtime: Runtime[Any]) -> None:
        self.runtime = runtime
        self._tenants = 0

    async def __aenter__(self) -> None:
        if not self._tenants:
            await self.runtime.__aenter__()
        self._tenants += 1

    async def __aexit__(self, *error: object) -> None:
        self._tenants -= 1
        if not self._tenants:
            await self.runtime.__aexit__(*error)


def _explain(error: Exception, request: Request[Any, Any, Any]) -> tuple[int, str]:
    """Return the HTTP status for an error, and what to tell the client."""
    # What can't be read or isn't acceptable is one case to a client. Litestar has 400, and lets
    # bytes that are no UTF-8 through as they are.
    if isinstance(error, ValidationException):
        reasons = (f"{each['key']}: {each['message']}" for each in _reasons(error, request))
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


def _reasons(error: ValidationException, request: Request[Any, Any, Any]) -> list[dict[str, str]]:
    """Return what isn't acceptable, part by part, without the libraries' own jargon."""
    details = error.extra if isinstance(error.extra, list) else []
    parameters = request.scope["route_handler"].parsed_fn_signature.parameters
    reasons = []
    for detail in details:
        key, message = detail.get("key", "body"), detail["message"]
        # The body is called after the handler's parameter, and a missing one is a KeyError. So is
        # one that may be missing, once anything else is wrong.
        if message == repr(key):
            if key in parameters and parameters[key].has_default:
                continue
            message = "is missing"
        message = message.removeprefix("Value error, ")
        reasons.append({"key": "body" if key == "data" else key, "message": message})
    return reasons


async def forward(
    socket: WebSocket[Any, Any, Any],
    *,
    to: Any,
    headers: Mapping[str, str] | None = None,
    allowed_origins: Collection[str] = (),
    max_message_bytes: int = edge.MAX_MESSAGE_BYTES,
    max_buffered_bytes: int = edge.MAX_BUFFERED_BYTES,
) -> None:
    """Hand a WebSocket to an object: its `fetch` gets the handshake and accepts it, or doesn't.

    Returns when the handshake has been answered, on a server that lets sockets go (see
    `runtime.uvicorn_ws`), and when the connection is gone on any other. A refusal is an accepted
    handshake that closes at once, because a browser hides every other: with 1008 if the object or
    the origin check refused, 1013 if it is overloaded or stopping or the disk refuses, 1011 if it
    failed.

    Args:
        to: A stub of the object.
        headers: What the object is to trust, such as who this is. They go before the client's
            own headers of the same names.
        allowed_origins: Origins, such as ``https://example.org``, whose pages may connect,
            besides this server's own. A client that names no origin is no browser, and may.
        max_message_bytes: Larger messages close the connection with 1009.
        max_buffered_bytes: How much may wait for a client that doesn't take what it is sent.
            One that lets more gather is closed with 1013, and gets the rest when it comes back.
    """
    limits = {"max_message_bytes": max_message_bytes, "max_buffered_bytes": max_buffered_bytes}
    connection = PortableSocket(socket, gone=(WebSocketDisconnect, OSError), **limits)
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
            await connection.refuse(TRY_AGAIN_LATER, str(error))
        else:
            log.exception("the handshake at %s failed", socket.url.path)
            await connection.refuse(INTERNAL_ERROR, "the object failed")
    else:
        if response.status == fetch.SWITCHING_PROTOCOLS:
            own = dict(response.headers)
            protocol = own.pop("sec-websocket-protocol", None)
            ws.protocol = protocol or ""
            extensions: Any = socket.scope.get("extensions") or {}
            detach = extensions.get(edge.DETACH)
            if detach is None:
                await connection.run(ws, protocol, own)
            elif await connection.accept(protocol, own):
                detach(ws, **limits)
            else:
                ws.disconnected(VANISHED, VANISHED_REASON, was_clean=False)
        else:
            await connection.refuse(edge.POLICY_VIOLATION, response.text())
