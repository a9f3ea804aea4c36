"""What the web edge goes by, whatever framework it stands in."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from typing import Final

from runtime.errors import DurableObjectError, RoutingError
from runtime.health import LOOK_SECONDS, Health

MAX_MESSAGE_BYTES: Final = 32 * 1024 * 1024  # of one received message, as in the original
MAX_BUFFERED_BYTES: Final = 1024 * 1024  # of messages that one client hasn't taken yet
MAX_BURST_BYTES: Final = 16 * MAX_BUFFERED_BYTES  # sent at once, to one that takes everything
SLOW_SECONDS: Final = 1.0  # for a client to take what is over the limit, after a burst
STALLED_SECONDS: Final = 20.0  # the same, if nothing else is sent to it
FAREWELL_SECONDS: Final = 5  # for the close frame of a client that takes nothing

POLICY_VIOLATION: Final = 1008  # tells htmx and others to stay away

TOO_SLOW: Final = "too slow"
SILENT: Final = "keepalive ping timeout"


DETACH: Final = "runtime.detach"  # the ASGI extension of a server that lets sockets go
PROBLEM: Final = "application/problem+json"


def is_same_origin(origin: str | None, host: str | None, allowed: Collection[str]) -> bool:
    """Whether a page of `origin` may connect to `host`. What names no origin is no browser."""
    return origin is None or origin in allowed or origin.partition("://")[2] == host


def may_pass(error: Exception) -> bool:
    """Whether a call was refused for reasons that pass by themselves, and nobody's code failed."""
    is_retryable = isinstance(error, DurableObjectError) and error.retryable
    return is_retryable or isinstance(error, RoutingError)


def answer_for(health: Health) -> tuple[HTTPStatus, dict[str, str]]:
    """Return the status that tells load balancers how the node is, and headers that go with it."""
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    if health.is_well:
        return HTTPStatus.OK, headers
    return HTTPStatus.SERVICE_UNAVAILABLE, headers | {"Retry-After": f"{LOOK_SECONDS:.0f}"}
