"""The sockets: who is there in words that the objects can trust, and then they are the objects'."""

from litestar import websocket
from litestar.exceptions import NotAuthorizedException
from litestar.params import FromPath

from apps.chat import domain
from apps.chat.domain import ChatRefusal
from apps.chat.routes.edge import Inboxes, Rooms, stub_of
from apps.edge import GuestSocket, turn_away
from apps.identity import who
from runtime.litestar import forward

MAX_FRAME_BYTES = 1024  # clients have next to nothing to say


@websocket("/chat/{room:str}/ws")
async def room_socket(socket: GuestSocket, room: FromPath[str], rooms: Rooms) -> None:
    """Hand somebody's socket to the room."""
    try:
        stub = stub_of(rooms, domain.room_address(room))
        guest = who(socket)
    except (ChatRefusal, NotAuthorizedException) as refusal:  # no room is woken for nobody
        await turn_away(socket, refusal)
        return
    headers = {"x-person-id": guest.id, "x-person-name": guest.name}
    await forward(socket, to=stub, headers=headers, max_message_bytes=MAX_FRAME_BYTES)


@websocket("/chat/~/inbox/ws")
async def inbox_socket(socket: GuestSocket, inboxes: Inboxes) -> None:
    """Hand somebody's socket to their inbox."""
    try:
        guest = who(socket)
    except NotAuthorizedException as refusal:
        await turn_away(socket, refusal)
        return
    inbox = inboxes.get_by_name(guest.id)
    await forward(socket, to=inbox, max_message_bytes=MAX_FRAME_BYTES)
