"""What people do by the forms of the room's page. Each works without JavaScript, by redirect."""

from typing import Any
from uuid import NAMESPACE_OID, uuid4, uuid5

from litestar import MediaType, post
from litestar.params import FromPath
from litestar.response import Redirect, Response, Template

from apps.chat import domain, views
from apps.chat.domain import ChatRefusal, Message, Outdated, Person
from apps.chat.events import EditMessage, Mute, PostMessage, React, SlowDown, Switch
from apps.chat.objects import ChatRoom
from apps.chat.routes.edge import (
    Address,
    Asker,
    Limits,
    Rooms,
    Seq,
    TheRoom,
    headers_of,
    read_form,
    spend,
    status_of,
    stub_of,
)
from apps.edge import Form, NamedRequest, is_htmx
from apps.identity import needs_guest

GUEST: dict[str, Any] = {"guards": [needs_guest], "include_in_schema": False}


@post(["/chat/{room:str}", "/chat/{room:str}/messages"], **GUEST)
async def say(
    request: NamedRequest,
    the_room: TheRoom,
    address: Address,
    asker: Asker,
    data: Form,
    limits: Limits,
) -> Response[Any]:
    """Say something. What is refused isn't lost: the page comes back with it."""
    try:
        wanted = read_form(PostMessage, data)
        await spend(limits, f"person:{asker.id}", "say")
        message = await _say_once(the_room, asker, wanted)
    except ChatRefusal as refusal:
        if is_htmx(request):
            raise
        scene = await the_room.scene(asker)
        text, client_id = data.get("text", ""), str(uuid4())
        context = views.room(scene, request.user, client_id, text=text, notice=str(refusal))
        return _refused("chat/room.html", context, refusal)
    if is_htmx(request):
        return _html(views.new_message(message))
    return _to_message(address, message)


@post("/chat/{room:str}/messages/{seq:int}/text", **GUEST)
async def edit(
    request: NamedRequest,
    the_room: TheRoom,
    address: Address,
    asker: Asker,
    seq: Seq,
    data: Form,
    limits: Limits,
) -> Response[Any]:
    """Change what one has said. What is refused isn't lost: the message's page has it."""
    try:
        wanted = read_form(EditMessage, data)
        await spend(limits, f"person:{asker.id}", "change")
        message = await the_room.edit(asker, seq, wanted.text, wanted.revision)
    except ChatRefusal as refusal:
        if is_htmx(request):
            raise
        closeup = await the_room.closeup(asker, seq)
        text = data.get("text", "")
        context = views.message(closeup, request.user, text=text, notice=str(refusal))
        return _refused("chat/message.html", context, refusal)
    return _changed(request, address, message)


@post("/chat/{room:str}/messages/{seq:int}/deletion", **GUEST)
async def delete(
    request: NamedRequest,
    the_room: TheRoom,
    address: Address,
    asker: Asker,
    seq: Seq,
    limits: Limits,
) -> Response[Any]:
    """Delete what one has said; the room's creator, what anybody has."""
    await spend(limits, f"person:{asker.id}", "change")
    return _changed(request, address, await the_room.delete(asker, seq))


@post("/chat/{room:str}/messages/{seq:int}/reactions", **GUEST)
async def react(
    request: NamedRequest,
    the_room: TheRoom,
    address: Address,
    asker: Asker,
    seq: Seq,
    data: Form,
    limits: Limits,
) -> Response[Any]:
    """React to a message, or not any more."""
    wanted = read_form(React, data)
    await spend(limits, f"person:{asker.id}", "change")
    message = await the_room.react(asker, seq, wanted.kind, is_on=wanted.on)
    return _changed(request, address, message)


@post("/chat/{room:str}/messages/{seq:int}/pin", **GUEST)
async def pin(
    request: NamedRequest,
    the_room: TheRoom,
    address: Address,
    asker: Asker,
    seq: Seq,
    data: Form,
    limits: Limits,
) -> Response[Any]:
    """Pin a message, or not any more."""
    wanted = read_form(Switch, data)
    await spend(limits, f"person:{asker.id}", "change")
    return _changed(request, address, await the_room.pin(asker, seq, is_on=wanted.on))


# About people.


@post("/chat/{room:str}/people/{id:str}/muting", **GUEST)
async def mute(
    the_room: TheRoom,
    address: Address,
    asker: Asker,
    id: FromPath[str],
    data: Form,
    limits: Limits,
) -> Redirect:
    """Have somebody not speak for a while; the room's creator can."""
    wanted = read_form(Mute, data)
    await spend(limits, f"person:{asker.id}", "change")
    await the_room.mute(asker, id, wanted.minutes)
    return _to_about(address)


@post("/chat/{room:str}/people/{id:str}/removal", **GUEST)
async def kick(
    the_room: TheRoom, address: Address, asker: Asker, id: FromPath[str], limits: Limits
) -> Redirect:
    """Close somebody's windows; the room's creator can."""
    await spend(limits, f"person:{asker.id}", "change")
    await the_room.kick(asker, id)
    return _to_about(address)


@post("/chat/{room:str}/people/{id:str}/ban", **GUEST)
async def ban(
    the_room: TheRoom,
    address: Address,
    asker: Asker,
    id: FromPath[str],
    data: Form,
    limits: Limits,
) -> Redirect:
    """Don't let somebody in any more, or do again; the room's creator can."""
    wanted = read_form(Switch, data)
    await spend(limits, f"person:{asker.id}", "change")
    await the_room.ban(asker, id, is_on=wanted.on)
    return _to_about(address)


@post("/chat/{room:str}/slow", **GUEST)
async def slow_down(
    the_room: TheRoom, address: Address, asker: Asker, data: Form, limits: Limits
) -> Redirect:
    """Set the room's slow mode; its creator can."""
    wanted = read_form(SlowDown, data)
    await spend(limits, f"person:{asker.id}", "change")
    await the_room.slow_down(asker, wanted.seconds)
    return _to_about(address)


@post("/chat/{room:str}/people/{id:str}/direct", **GUEST)
async def talk_directly(
    the_room: TheRoom, asker: Asker, id: FromPath[str], rooms: Rooms, limits: Limits
) -> Redirect:
    """Go to the room of two people, of whom one has met the other in this room."""
    address = await opened_direct(the_room, asker, id, rooms, limits)
    return Redirect(f"/chat/{address}", status_code=303)


async def opened_direct(
    room: ChatRoom, asker: Person, id: str, rooms: Rooms, limits: Limits
) -> str:
    """Open the room of two people, and return how it is called in addresses."""
    other = await room.acquaintance(asker, id)
    address = domain.direct_room(asker.id, other.id)
    await spend(limits, f"person:{asker.id}", "open")
    await stub_of(rooms, address).open_direct(asker, other)
    return address


async def _say_once(room: ChatRoom, author: Person, wanted: PostMessage) -> Message:
    try:
        return await room.post(author, wanted.client_id, wanted.text)
    except Outdated:  # an old page, shown again: its id has been used
        again = uuid5(NAMESPACE_OID, f"{wanted.client_id} {wanted.text}")
        return await room.post(author, str(again), wanted.text)


def _changed(request: NamedRequest, address: str, message: Message) -> Response[Any]:
    if is_htmx(request):
        return _html(views.changed_message(message))
    return _to_message(address, message)


def _refused(page: str, context: views.Context, refusal: ChatRefusal) -> Template:
    status, headers = status_of(refusal), headers_of(refusal)
    return Template(page, context=context, status_code=status, headers=headers)


def _html(fragment: str) -> Response[str]:
    return Response(fragment, media_type=MediaType.HTML, status_code=200)


def _to_message(address: str, message: Message) -> Redirect:
    return Redirect(f"/chat/{address}#message-{message.seq}", status_code=303)


def _to_about(address: str) -> Redirect:
    return Redirect(f"/chat/{address}/about", status_code=303)
