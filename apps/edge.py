"""What the handlers of all apps need: who asks, and how a refusal is told."""

from __future__ import annotations

from math import ceil
from typing import Any, Final

from litestar import Request, WebSocket
from litestar.exceptions import TooManyRequestsException
from litestar.params import URLEncodedBody
from pydantic import ValidationError

from apps.identity import Guest

GuestRequest = Request[Guest | None, Any, Any]
NamedRequest = Request[Guest, Any, Any]
"""Of somebody who has a name: of a handler that `needs_guest`."""
GuestSocket = WebSocket[Guest | None, Any, Any]
Form = URLEncodedBody[dict[str, str]]

NOT_ALLOWED: Final = 1008  # the close code after which a page doesn't come back


def is_htmx(request: Request[Any, Any, Any]) -> bool:
    """Whether a page's script asks, which wants a fragment."""
    return request.headers.get("hx-request") == "true"


def sentence_of(error: ValidationError) -> str:
    """Return the first thing that isn't acceptable, in words for a person."""
    return error.errors()[0]["msg"].removeprefix("Value error, ")


def too_quick(wait: float) -> TooManyRequestsException:
    """Return the refusal of what somebody does too often, and may do again in `wait` seconds."""
    seconds = ceil(wait)
    sentence = f"that was too quick; try again in {seconds} s"
    return TooManyRequestsException(sentence, headers={"Retry-After": str(seconds)})


async def turn_away(socket: GuestSocket, refusal: Exception) -> None:
    """Close a socket that no object is to be woken for, and say why."""
    await socket.accept()  # a browser hides every other refusal
    await socket.close(NOT_ALLOWED, getattr(refusal, "detail", str(refusal)))
