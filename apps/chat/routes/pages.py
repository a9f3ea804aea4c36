"""The pages, and what htmx takes from them: parse, ask the room once, render one template."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import quote
from uuid import uuid4

from litestar import get, post
from litestar.di import NamedDependency
from litestar.exceptions import TooManyRequestsException
from litestar.params import QueryParameter
from litestar.response import Redirect, Response, Stream, Template
from pydantic import ValidationError

from apps.chat import domain, views
from apps.chat.domain import BadRoomName, Unacceptable
from apps.chat.events import MessagePosted, OpenPrivate
from apps.chat.objects import THE_ONE, RoomDirectory, UserInbox
from apps.chat.routes.edge import (
    Asker,
    Directory,
    Inboxes,
    Limits,
    Number,
    Rooms,
    TheVisit,
    Visit,
    read_form,
    spend,
)
from apps.edge import Form, GuestRequest, NamedRequest, is_htmx, sentence_of
from apps.identity import Guest, NewGuest, Tokens, needs_guest
from apps.newcomers import Newcomers
from apps.welcome import admitted, ask_name
from runtime import DurableObjectNamespace

Words = Annotated[str | None, QueryParameter(name="q")]
EXPORTED_AT_ONCE = 2 * domain.PAGE
VARIES = {"vary": "HX-Request"}  # or a browser that goes back shows a fragment as the page


@get("/chat", include_in_schema=False)
async def home(request: GuestRequest, directory: Directory, inboxes: Inboxes) -> Template:
    """Show the rooms, and what is new in those that somebody knows."""
    return await _home(request.user, directory, inboxes)


@post("/chat", status_code=303, include_in_schema=False)
async def enter(
    request: GuestRequest,
    data: Form,
    directory: Directory,
    inboxes: Inboxes,
    tokens: NamedDependency[Tokens],
    newcomers: NamedDependency[Newcomers],
) -> Response[Any]:
    """Take a name, if there is none yet, and go to the room."""
    form = {"name": data.get("name", ""), "room": data.get("room", "")}
    try:
        guest = request.user
        wanted = NewGuest(name=form["name"]) if form["name"] or guest is None else None
        room = domain.room_name(form["room"])
        if wanted is not None:  # counted only if the rest is fine
            guest = admitted(request, wanted, newcomers, guest)
        assert guest is not None, "whoever isn't known has to say a name"
    except (ValidationError, BadRoomName) as refusal:
        error = str(refusal) if isinstance(refusal, BadRoomName) else sentence_of(refusal)
        return await _home(request.user, directory, inboxes, status=422, error=error, **form)
    except TooManyRequestsException as refusal:
        page = await _home(
            request.user, directory, inboxes, status=429, error=refusal.detail, **form
        )
        page.headers.update(refusal.headers or {})
        return page
    to = Redirect(f"/chat/{room}", status_code=303)
    to.cookies.append(tokens.cookie(guest, secure=request.url.scheme == "https"))
    return to


@post("/chat/~/private", guards=[needs_guest], status_code=303, include_in_schema=False)
async def open_private(
    request: NamedRequest, asker: Asker, data: Form, rooms: Rooms, limits: Limits
) -> Redirect:
    """Open a room with an address that nobody can guess."""
    title = read_form(OpenPrivate, data).title
    await spend(limits, f"address:{request.client.host if request.client else ''}", "open")
    room = rooms.new_unique_id()
    await rooms.get(room).open(asker, title)
    return Redirect(f"/chat/{room}", status_code=303)


@get("/chat/{room:str}", include_in_schema=False)
async def show_room(
    request: GuestRequest,
    visit: TheVisit,
    before: Number = None,
    after: Number = None,
    around: Number = None,
    message: Number = None,
    words: Words = None,
) -> Response[Any]:
    """Show a room: its end, another page of its history, one message, or those with some words.

    All of them have the room's own path, so a link in a fragment needn't name the room.
    """
    if request.user is None:
        return ask_name(request)
    guest = request.user
    if message is not None:
        closeup = await visit.room.closeup(visit.asker, message)
        page = "chat/_actions.html" if is_htmx(request) else "chat/message.html"
        return Template(page, context=views.message(closeup, guest), headers=VARIES)
    if words is not None:
        if words:
            await visit.spend("look")
        return await _found(request, visit, guest, words)
    scene = await visit.room.scene(visit.asker, before=before, after=after, around=around)
    if (before is not None or after is not None) and is_htmx(request):
        return Template("chat/_older.html", context=views.older(scene, guest), headers=VARIES)
    has_strip = visit.runtime.config.debug and scene.me.is_creator
    context = views.room(scene, guest, client_id=str(uuid4()), has_strip=has_strip)
    return Template("chat/room.html", context=context, headers=VARIES)


@get("/chat/{room:str}/about", include_in_schema=False)
async def show_about(request: GuestRequest, visit: TheVisit) -> Template:
    """Show who is known in a room, and what may be done there."""
    if request.user is None:
        return ask_name(request)
    about = await visit.room.about(visit.asker)
    return Template("chat/about.html", context=views.about(about, request.user))


@get("/chat/{room:str}/export", guards=[needs_guest], include_in_schema=False)
async def export(visit: TheVisit) -> Stream:
    """Hand out everything that was said in a room as a JSON file."""
    return await exported(visit)


async def exported(visit: Visit) -> Stream:
    """Return all messages of a room as JSON; a page of them is in memory at a time."""
    await visit.spend("look")
    first = await visit.room.history(visit.asker, after=0, limit=EXPORTED_AT_ONCE)
    name = f"{quote(visit.address)}.json"
    return Stream(
        _lines(visit, first),
        media_type="application/json",
        headers={"content-disposition": f"attachment; filename*=UTF-8''{name}"},
    )


async def _lines(visit: Visit, page: list[domain.Message]) -> AsyncIterator[str]:
    yield f'{{"room": {json.dumps(visit.address)}, "messages": ['
    separator = "\n"
    while page:
        for message in page:
            yield separator + MessagePosted.of(message).model_dump_json()
            separator = ",\n"
        after = page[-1].seq
        page = await visit.room.history(visit.asker, after=after, limit=EXPORTED_AT_ONCE)
    yield "\n]}\n"


async def _found(request: GuestRequest, visit: Visit, guest: Guest, words: str) -> Template:
    page = "chat/_results.html" if is_htmx(request) else "chat/search.html"
    scene = await visit.room.scene(visit.asker)
    error, found = "", list[domain.Message]()
    if words:  # without any, it is the form that was asked for
        try:
            found = await visit.room.search(visit.asker, words)
        except Unacceptable as refusal:
            error = str(refusal)
    context = views.search(scene, guest, words, found, error)
    return Template(page, context=context, headers=VARIES)


async def _home(
    guest: Guest | None,
    directory: DurableObjectNamespace[RoomDirectory],
    inboxes: DurableObjectNamespace[UserInbox],
    *,
    status: int = 200,
    **form: str,
) -> Template:
    listings = await directory.get_by_name(THE_ONE).rooms()
    unread = await inboxes.get_by_name(guest.id).rooms() if guest else []
    context = views.home(guest, listings, unread, **form)
    return Template("chat/home.html", context=context, status_code=status)
