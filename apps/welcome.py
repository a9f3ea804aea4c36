"""Asking who somebody is: the form for people, and the same for programs."""

from __future__ import annotations

from math import ceil
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

from litestar import get, post
from litestar.di import NamedDependency
from litestar.exceptions import TooManyRequestsException
from litestar.params import JSONBody
from litestar.response import Redirect, Response, Template
from pydantic import ValidationError

from apps.edge import Form, GuestRequest, sentence_of
from apps.identity import Guest, NewGuest, Token, Tokens, new_guest
from apps.newcomers import Newcomers
from apps.problems import UNREADABLE, problem

HOME: Final = "/"
MANY: Final = {429: problem("Many have come from your network; Retry-After says when to try again")}


def ask_name(request: GuestRequest) -> Template:
    """Return the page that asks for a name and then leads back to the page asked for."""
    query = request.url.query
    return _name_page(request, to=f"{request.url.path}?{query}" if query else request.url.path)


def admitted(
    request: GuestRequest, wanted: NewGuest, newcomers: Newcomers, known: Guest | None = None
) -> Guest:
    """Return a guest of that name: the one that is known, or somebody new.

    Raises:
        TooManyRequestsException: If too many new ones have come from their address.
    """
    address = request.client.host if request.client else ""
    if known is None and (wait := newcomers.take(address, monotonic())):
        sentence = f"many have come from your network just now; try again in {ceil(wait)} s"
        raise TooManyRequestsException(sentence, headers={"Retry-After": str(ceil(wait))})
    return new_guest(wanted, known)


@get("/name", include_in_schema=False)
async def change_name(request: GuestRequest) -> Template:
    """Ask for another name, and then lead to one of this site's paths."""
    return _name_page(request, to=_own_path(request.query_params.get("next", "")))


@post("/name", status_code=303, include_in_schema=False)
async def take_name(
    request: GuestRequest,
    data: Form,
    tokens: NamedDependency[Tokens],
    newcomers: NamedDependency[Newcomers],
) -> Response[Any]:
    """Take or change somebody's name, and go on to where they wanted to be."""
    name, to = data.get("name", ""), _own_path(data.get("next", ""))
    try:
        guest = admitted(request, NewGuest(name=name), newcomers, request.user)
    except ValidationError as refusal:
        return _name_page(request, to=to, name=name, error=sentence_of(refusal), status=422)
    except TooManyRequestsException as refusal:
        page = _name_page(request, to=to, name=name, error=refusal.detail, status=429)
        page.headers.update(refusal.headers or {})
        return page
    answer = Redirect(to, status_code=303)
    answer.cookies.append(tokens.cookie(guest, secure=request.url.scheme == "https"))
    return answer


@post("/api/identity", tags=["identity"], responses=UNREADABLE | MANY)
async def identify(
    request: GuestRequest,
    data: JSONBody[NewGuest],
    tokens: NamedDependency[Tokens],
    newcomers: NamedDependency[Newcomers],
) -> Token:
    """Get a token that makes you a guest with a name."""
    return Token(token=tokens.issue(admitted(request, data, newcomers)))


def _name_page(
    request: GuestRequest, *, to: str, name: str = "", error: str = "", status: int = 200
) -> Template:
    known = request.user.name if request.user else ""
    context = {"next": to, "name": name or known, "error": error}
    return Template("name.html", context=context, status_code=status)


def _own_path(text: str) -> str:
    """Return the path if it is one of this site's, or else the front page."""
    parts = urlsplit(text)
    is_own = text.startswith("/") and not text.startswith(("//", "/\\")) and not parts.netloc
    return text if is_own and text.isprintable() else HOME
