"""The sockets: who is there in words that the objects can trust, and then they are the objects'."""

from typing import Any

from litestar import WebSocket, websocket
from litestar.exceptions import NotAuthorizedException
from litestar.params import FromPath

from apps.chat import domain
from apps.chat.domain import ChatRefusal
from apps.chat.routes.edge import Inboxes, Rooms, stub_of
from apps.identity import Guest, who
from runtime.litestar import forward

MAX_FRAME_BYTES = 1024  # clients have next to nothing to say
NOT_ALLOWED = 1008

GuestSocket = WebSocket[Guest | None, Any, Any]


@websocket("/chat/{room:str}/ws")
async def room_socket(socket: GuestSocket, room: FromPath[str], rooms: Rooms) -> None:
    """Hand somebody's socket to the room."""
    try:
        stub = stub_of(rooms, domain.room_address(room))
        guest = who(socket)
    except (ChatRefusal, NotAuthorizedException) as refusal:  # no room is woken for nobody
        await _turn_away(socket, getattr(refusal, "detail", str(refusal)))
        return
    headers = {"x-person-id": guest.id, "x-person-name": guest.name}
    await forward(socket, to=stub, headers=headers, max_message_bytes=MAX_FRAME_BYTES)


@websocket("/chat/~/inbox/ws")
async def inbox_socket(socket: GuestSocket, inboxes: Inboxes) -> None:
    """Hand somebody's socket to their inbox."""
    try:
        guest = who(socket)
    except NotAuthorizedException as refusal:
        await _turn_away(socket, refusal.detail)
        return
    inbox = inboxes.get_by_name(guest.id)
    await forward(socket, to=inbox, max_message_bytes=MAX_FRAME_BYTES)


async def _turn_away(socket: GuestSocket, sentence: str) -> None:
    await socket.accept()  # a browser hides every other refusal
    await socket.close(NOT_ALLOWED, sentence)
