"""What people do by the forms of the room's page. Each works without JavaScript, by redirect."""

from typing import Any
from uuid import NAMESPACE_OID, uuid4, uuid5

from litestar import MediaType, post
from litestar.params import FromPath
from litestar.response import Redirect, Response, Template

from apps.chat import domain, views
from apps.chat.domain import ChatRefusal, Message, Outdated
from apps.chat.events import EditMessage, Mute, PostMessage, React, SlowDown, Switch
from apps.chat.routes.edge import (
    Seq,
    TheVisit,
    Visit,
    headers_of,
    read_form,
    status_of,
    stub_of,
)
from apps.edge import Form, NamedRequest, is_htmx
from apps.identity import needs_guest

GUEST: dict[str, Any] = {"guards": [needs_guest], "include_in_schema": False}


@post(["/chat/{room:str}", "/chat/{room:str}/messages"], **GUEST)
async def say(request: NamedRequest, visit: TheVisit, data: Form) -> Response[Any]:
    """Say something. What is refused isn't lost: the page comes back with it."""
    try:
        wanted = read_form(PostMessage, data)
        await visit.spend("say")
        message = await _say_once(visit, wanted)
    except ChatRefusal as refusal:
        if is_htmx(request):
            raise
        scene = await visit.room.scene(visit.asker)
        text, client_id = data.get("text", ""), str(uuid4())
        context = views.room(scene, request.user, client_id, text=text, notice=str(refusal))
        return _refused("chat/room.html", context, refusal)
    if is_htmx(request):
        return _html(views.new_message(message))
    return _to_message(visit.address, message)


@post("/chat/{room:str}/messages/{seq:int}/text", **GUEST)
async def edit(request: NamedRequest, visit: TheVisit, seq: Seq, data: Form) -> Response[Any]:
    """Change what one has said. What is refused isn't lost: the message's page has it."""
    try:
        wanted = read_form(EditMessage, data)
        await visit.spend("change")
        message = await visit.room.edit(visit.asker, seq, wanted.text, wanted.revision)
    except ChatRefusal as refusal:
        if is_htmx(request):
            raise
        closeup = await visit.room.closeup(visit.asker, seq)
        text = data.get("text", "")
        context = views.message(closeup, request.user, text=text, notice=str(refusal))
        return _refused("chat/message.html", context, refusal)
    return _changed(request, visit.address, message)


@post("/chat/{room:str}/messages/{seq:int}/deletion", **GUEST)
async def delete(request: NamedRequest, visit: TheVisit, seq: Seq) -> Response[Any]:
    """Delete what one has said; the room's creator, what anybody has."""
    await visit.spend("change")
    return _changed(request, visit.address, await visit.room.delete(visit.asker, seq))


@post("/chat/{room:str}/messages/{seq:int}/reactions", **GUEST)
async def react(request: NamedRequest, visit: TheVisit, seq: Seq, data: Form) -> Response[Any]:
    """React to a message, or not any more."""
    wanted = read_form(React, data)
    await visit.spend("change")
    message = await visit.room.react(visit.asker, seq, wanted.kind, is_on=wanted.on)
    return _changed(request, visit.address, message)


@post("/chat/{room:str}/messages/{seq:int}/pin", **GUEST)
async def pin(request: NamedRequest, visit: TheVisit, seq: Seq, data: Form) -> Response[Any]:
    """Pin a message, or not any more."""
    wanted = read_form(Switch, data)
    await visit.spend("change")
    return _changed(request, visit.address, await visit.room.pin(visit.asker, seq, is_on=wanted.on))


# About people.


@post("/chat/{room:str}/people/{id:str}/muting", **GUEST)
async def mute(visit: TheVisit, id: FromPath[str], data: Form) -> Redirect:
    """Have somebody not speak for a while; the room's creator can."""
    wanted = read_form(Mute, data)
    await visit.spend("change")
    await visit.room.mute(visit.asker, id, wanted.minutes)
    return _to_about(visit.address)


@post("/chat/{room:str}/people/{id:str}/removal", **GUEST)
async def kick(visit: TheVisit, id: FromPath[str]) -> Redirect:
    """Close somebody's windows; the room's creator can."""
    await visit.spend("change")
    await visit.room.kick(visit.asker, id)
    return _to_about(visit.address)


@post("/chat/{room:str}/people/{id:str}/ban", **GUEST)
async def ban(visit: TheVisit, id: FromPath[str], data: Form) -> Redirect:
    """Don't let somebody in any more, or do again; the room's creator can."""
    wanted = read_form(Switch, data)
    await visit.spend("change")
    await visit.room.ban(visit.asker, id, is_on=wanted.on)
    return _to_about(visit.address)


@post("/chat/{room:str}/slow", **GUEST)
async def slow_down(visit: TheVisit, data: Form) -> Redirect:
    """Set the room's slow mode; its creator can."""
    wanted = read_form(SlowDown, data)
    await visit.spend("change")
    await visit.room.slow_down(visit.asker, wanted.seconds)
    return _to_about(visit.address)


@post("/chat/{room:str}/people/{id:str}/direct", **GUEST)
async def talk_directly(visit: TheVisit, id: FromPath[str]) -> Redirect:
    """Go to the room of two people, of whom one has met the other in this room."""
    return Redirect(f"/chat/{await opened_direct(visit, id)}", status_code=303)


async def opened_direct(visit: Visit, id: str) -> str:
    """Open the room of two people, and return how it is called in addresses."""
    other = await visit.room.acquaintance(visit.asker, id)
    address = domain.direct_room(visit.asker.id, other.id)
    await visit.spend("open")
    await stub_of(visit.runtime.env.rooms, address).open_direct(visit.asker, other)
    return address


async def _say_once(visit: Visit, wanted: PostMessage) -> Message:
    try:
        return await visit.room.post(visit.asker, wanted.client_id, wanted.text)
    except Outdated:  # an old page, shown again: its id has been used
        again = uuid5(NAMESPACE_OID, f"{wanted.client_id} {wanted.text}")
        return await visit.room.post(visit.asker, str(again), wanted.text)


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
