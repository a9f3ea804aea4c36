"""The web application around all apps: pages, static files, identity, and the defences."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final, TypeVar

from litestar import Litestar, Request
from litestar.datastructures import CacheControlHeader, Headers
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.exceptions import ClientException, PermissionDeniedException
from litestar.file_system import BaseLocalFileSystem
from litestar.middleware import ASGIMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig
from litestar.types import ASGIApp, ControllerRouterHandler, Message, PathType, Receive, Scope, Send
from litestar.types.file_types import FileInfo

from apps import pages, welcome
from apps.identity import GuestMiddleware, Tokens
from apps.newcomers import Newcomers
from runtime import Runtime, RuntimeConfig
from runtime.litestar import DurableObjectsPlugin

T = TypeVar("T")

YEAR_SECONDS: Final = 365 * 24 * 3600
MAX_BODY_BYTES: Final = 64 * 1024
_NO_NAME: Final = (errno.ENAMETOOLONG, errno.ENOTDIR)  # of a file, wherever it is looked for
SECURITY_HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        b"font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        b"frame-ancestors 'none'; manifest-src 'self'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


@dataclass(frozen=True, slots=True)
class App:
    """An app, ready to be served alone or beside others."""

    bindings: Mapping[str, type]
    """Its classes of objects, by the names that all apps' handlers and objects know them by."""
    handlers: Sequence[ControllerRouterHandler]
    dependencies: Mapping[str, Provide] = field(default_factory=dict)
    """What its handlers get by the names of their parameters."""


class SiteRequest(Request[Any, Any, Any]):
    """A request whose JSON, if it is nested too deep to be read, is its sender's mistake."""

    async def json(self) -> Any:
        try:
            return await super().json()
        except RecursionError as error:
            raise ClientException("this is nested too deep", status_code=422) from error


class StaticFiles(BaseLocalFileSystem):
    """The static files, among which is nothing that no file can be called."""

    async def info(self, path: PathType, **kwargs: Any) -> FileInfo:
        try:
            return await super().info(path, **kwargs)
        except (OSError, ValueError) as error:  # ValueError: it has a zero byte, for instance
            if isinstance(error, OSError) and error.errno not in _NO_NAME:
                raise
            raise FileNotFoundError(path) from error


def create_site(config: RuntimeConfig, *apps: App) -> Litestar:
    """Return an application that serves `apps`, with one runtime behind them.

    Raises:
        ValueError: If two apps give the same name to a binding or a dependency.
    """
    bindings = _together(app.bindings for app in apps)
    runtime = Runtime(config, bindings=bindings, env=SimpleNamespace)
    # Else each push would look whether its templates have changed.
    pages.environment.auto_reload = config.debug
    tokens, newcomers = Tokens.kept_in(config.data / "secret"), Newcomers()
    return Litestar(
        route_handlers=[
            welcome.change_name,
            welcome.take_name,
            welcome.identify,
            *(handler for app in apps for handler in app.handlers),
            create_static_files_router(
                "/static",
                [pages.STATIC],
                StaticFiles(),
                cache_control=CacheControlHeader(max_age=YEAR_SECONDS, immutable=True),
                include_in_schema=False,
            ),
        ],
        plugins=[
            DurableObjectsPlugin(
                runtime,
                error_template="error.html",
                health_path="/health",
                health_template="health.html",
            )
        ],
        dependencies={
            "tokens": Provide(lambda: tokens, sync_to_thread=False, use_cache=True),
            "newcomers": Provide(lambda: newcomers, sync_to_thread=False, use_cache=True),
            **_together(app.dependencies for app in apps),
        },
        middleware=[SameOriginMiddleware(), GuestMiddleware(tokens)],
        before_send=[_add_security_headers],
        template_config=TemplateConfig(
            instance=JinjaTemplateEngine.from_environment(pages.environment)
        ),
        openapi_config=OpenAPIConfig(
            title="Dormouse",
            version="0.1.0",
            path="/schema",
            use_handler_docstrings=True,
            components=Components(
                security_schemes={"guest": SecurityScheme(type="http", scheme="bearer")}
            ),
            render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
        ),
        request_class=SiteRequest,
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,  # whoever serves the application decides
    )


def _together(parts: Iterable[Mapping[str, T]]) -> dict[str, T]:
    together: dict[str, T] = {}
    for part in parts:
        if twice := together.keys() & part.keys():
            raise ValueError(f"two apps have a {sorted(twice)[0]!r}")
        together |= part
    return together


class SameOriginMiddleware(ASGIMiddleware):
    """No other site's page may act in the name of somebody who visits it.

    Browsers say where a request comes from. One that doesn't say is none, and sends no cookie
    that somebody else could misuse. A request of another site's page that wants to change
    something gets 403.

    As a guard it would cost more than all else that is checked: Litestar copies the handler for
    each guard.
    """

    scopes = (ScopeType.HTTP,)  # a socket's origin is checked when it is forwarded

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):  # type: ignore[typeddict-item]
            _must_be_own(Headers.from_scope(scope))
        await next_app(scope, receive, send)


def _must_be_own(headers: Headers) -> None:
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    if site is not None:
        is_own = site in ("same-origin", "none")
    else:
        is_own = origin is None or origin.partition("://")[2] == headers.get("host")
    if not is_own:
        raise PermissionDeniedException("another site's page can't do this in your name")


async def _add_security_headers(message: Message, _: Scope) -> None:
    if message["type"] == "http.response.start":
        message["headers"] = [*message["headers"], *SECURITY_HEADERS]
