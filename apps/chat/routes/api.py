"""The same for programs, as JSON."""

from typing import Annotated, Any

from litestar import delete, get, patch, post, put
from litestar.exceptions import ClientException
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream

from apps.chat import domain
from apps.chat.domain import Listing, Unread
from apps.chat.events import (
    EditMessage,
    MessagePosted,
    OpenPrivate,
    PostMessage,
    ReactionKind,
    ReadUpTo,
    RoomOpened,
    RoomShown,
    Somebody,
)
from apps.chat.objects import THE_ONE
from apps.chat.routes.edge import (
    Asker,
    Directory,
    Inboxes,
    Limits,
    Number,
    Rooms,
    Seq,
    TheVisit,
    spend,
)
from apps.chat.routes.pages import exported
from apps.edge import NamedRequest
from apps.identity import needs_guest
from apps.problems import PROBLEMS, problem

Limit = Annotated[int, QueryParameter(ge=1, le=2 * domain.PAGE)]
Words = Annotated[str, QueryParameter(name="q")]

API: dict[str, Any] = {
    "guards": [needs_guest],
    "tags": ["chat"],
    "security": [{"guest": []}],
    "responses": PROBLEMS
    | {
        403: problem("You may not do that here"),
        404: problem("It isn't there, or not for you"),
        409: problem("It has changed meanwhile"),
        429: problem("That was too quick; Retry-After says when to try again"),
    },
}
ROOM = "/api/chat/rooms/{room:str}"
MESSAGE = f"{ROOM}/messages/{{seq:int}}"


# Rooms.


@get("/api/chat/rooms", **API)
async def list_rooms(directory: Directory) -> list[Listing]:
    """List the open rooms in which somebody has spoken last. It is some seconds old."""
    return await directory.get_by_name(THE_ONE).rooms()


@post("/api/chat/rooms", **API)
async def open_private_room(
    request: NamedRequest, asker: Asker, data: JSONBody[OpenPrivate], rooms: Rooms, limits: Limits
) -> RoomOpened:
    """Open a private room, which only those find who are given its address."""
    await spend(limits, f"address:{request.client.host if request.client else ''}", "open")
    room = rooms.new_unique_id()
    await rooms.get(room).open(asker, data.title)
    return RoomOpened(room=str(room))


@get("/api/chat/inbox", **API)
async def list_unread(asker: Asker, inboxes: Inboxes) -> list[Unread]:
    """List the rooms that you know, with how much is new in each. It is some seconds old."""
    return await inboxes.get_by_name(asker.id).rooms()


@get(ROOM, **API)
async def read_room(visit: TheVisit) -> RoomShown:
    """See who is there, what is pinned, and what holds for you."""
    scene = await visit.room.scene(visit.asker)
    return RoomShown(
        room=scene.room,
        title=scene.title,
        kind=scene.kind,
        role=scene.me.role,
        unread=scene.me.unread,
        read_up_to=scene.me.read_up_to,
        muted_until=scene.me.muted_until,
        slow_seconds=scene.rules.slow_seconds,
        people=[Somebody.of(visitor.person) for visitor in scene.visitors],
        pins=[MessagePosted.of(message) for message in scene.pins],
    )


@put(f"{ROOM}/read", status_code=204, **API)
async def read_messages(visit: TheVisit, data: JSONBody[ReadUpTo]) -> None:
    """Say how far you have read. Less than before changes nothing."""
    await visit.room.note_reading(visit.asker, data.seq)


@get(f"{ROOM}/export", **API)
async def export_room(visit: TheVisit) -> Stream:
    """Get everything that was said, however much it is."""
    return await exported(visit)


# Messages.


@post(f"{ROOM}/messages", **API)
async def post_message(visit: TheVisit, data: JSONBody[PostMessage]) -> MessagePosted:
    """Say something. The same `client_id` and text again return the message that is there."""
    await visit.spend("say")
    return MessagePosted.of(await visit.room.post(visit.asker, data.client_id, data.text))


@get(f"{ROOM}/messages", **API)
async def list_messages(
    visit: TheVisit, after: Number = None, before: Number = None, limit: Limit = domain.PAGE
) -> list[MessagePosted]:
    """Read messages, oldest first: those after a number, or the last ones (before a number)."""
    if after is not None and before is not None:
        raise ClientException("give either after or before, not both", status_code=422)
    messages = await visit.room.history(visit.asker, before=before, after=after, limit=limit)
    return [MessagePosted.of(message) for message in messages]


@get(f"{ROOM}/search", **API)
async def search_messages(visit: TheVisit, words: Words) -> list[MessagePosted]:
    """Find the newest messages in which all words are; of the last, its beginning does."""
    await visit.spend("look")
    return [MessagePosted.of(message) for message in await visit.room.search(visit.asker, words)]


@patch(MESSAGE, **API)
async def edit_message(visit: TheVisit, seq: Seq, data: JSONBody[EditMessage]) -> MessagePosted:
    """Change what you have said."""
    await visit.spend("change")
    return MessagePosted.of(await visit.room.edit(visit.asker, seq, data.text, data.revision))


@delete(MESSAGE, status_code=200, **API)
async def delete_message(visit: TheVisit, seq: Seq) -> MessagePosted:
    """Delete what you have said; as the room's creator, what anybody has. Its place stays."""
    await visit.spend("change")
    return MessagePosted.of(await visit.room.delete(visit.asker, seq))


@put(f"{MESSAGE}/reactions/{{kind:str}}", **API)
async def add_reaction(visit: TheVisit, seq: Seq, kind: FromPath[ReactionKind]) -> MessagePosted:
    """React to a message."""
    await visit.spend("change")
    return MessagePosted.of(await visit.room.react(visit.asker, seq, kind, is_on=True))


@delete(f"{MESSAGE}/reactions/{{kind:str}}", status_code=200, **API)
async def remove_reaction(visit: TheVisit, seq: Seq, kind: FromPath[ReactionKind]) -> MessagePosted:
    """React to a message no longer."""
    await visit.spend("change")
    return MessagePosted.of(await visit.room.react(visit.asker, seq, kind, is_on=False))


@put(f"{MESSAGE}/pin", **API)
async def pin_message(visit: TheVisit, seq: Seq) -> MessagePosted:
    """Pin a message: in a direct room you can, in any other one its creator."""
    await visit.spend("change")
    return MessagePosted.of(await visit.room.pin(visit.asker, seq, is_on=True))


@delete(f"{MESSAGE}/pin", status_code=200, **API)
async def unpin_message(visit: TheVisit, seq: Seq) -> MessagePosted:
    """Unpin a message."""
    await visit.spend("change")
    return MessagePosted.of(await visit.room.pin(visit.asker, seq, is_on=False))
