"""Asking who somebody is: the form for people, and the same for programs."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import Redirect, Response, Template
from pydantic import ValidationError

from apps.edge import Form, GuestRequest, sentence_of
from apps.identity import NewGuest, Token, Tokens, new_guest
from apps.problems import UNREADABLE

HOME: Final = "/"


def ask_name(request: GuestRequest) -> Template:
    """Return the page that asks for a name and then leads back to the page asked for."""
    query = request.url.query
    return _name_page(request, to=f"{request.url.path}?{query}" if query else request.url.path)


@get("/name", include_in_schema=False)
async def change_name(request: GuestRequest) -> Template:
    """Ask for another name, and then lead to one of this site's paths."""
    return _name_page(request, to=_own_path(request.query_params.get("next", "")))


@post("/name", status_code=303, include_in_schema=False)
async def take_name(
    request: GuestRequest, data: Form, tokens: NamedDependency[Tokens]
) -> Response[Any]:
    """Take or change somebody's name, and go on to where they wanted to be."""
    name, to = data.get("name", ""), _own_path(data.get("next", ""))
    try:
        guest = new_guest(NewGuest(name=name), known=request.user)
    except ValidationError as refusal:
        return _name_page(request, to=to, name=name, error=sentence_of(refusal))
    answer = Redirect(to, status_code=303)
    answer.cookies.append(tokens.cookie(guest, secure=request.url.scheme == "https"))
    return answer


@post("/api/identity", tags=["identity"], responses=UNREADABLE)
async def identify(data: JSONBody[NewGuest], tokens: NamedDependency[Tokens]) -> Token:
    """Get a token that makes you a guest with a name."""
    return Token(token=tokens.issue(new_guest(data)))


def _name_page(request: GuestRequest, *, to: str, name: str = "", error: str = "") -> Template:
    known = request.user.name if request.user else ""
    context = {"next": to, "name": name or known, "error": error}
    return Template("name.html", context=context, status_code=422 if error else 200)


def _own_path(text: str) -> str:
    """Return the path if it is one of this site's, or else the front page."""
    parts = urlsplit(text)
    is_own = text.startswith("/") and not text.startswith(("//", "/\\")) and not parts.netloc
    return text if is_own and text.isprintable() else HOME
