"""What is new for one person, over all rooms: an object for each."""

from __future__ import annotations

from apps.chat import views
from apps.chat.domain import Unread
from apps.chat.store import listings
from runtime import DurableObject, Request, Response, WebSocket
from runtime.patterns.letterbox import Letterbox

MOST_WINDOWS = 100  # of one person: each page with the list of their rooms is one


class UserInbox(DurableObject[object]):
    """The rooms that somebody knows, and how much is new in each.

    The rooms tell it, in letters. Its name is the person's id; whoever asks for it must have
    shown that they are that person.
    """

    migrations = (listings.INBOX, Letterbox.schema())

    async def told(self, letter: str, room: Unread) -> None:
        """Hear from a room what is new there. A letter that comes twice does nothing."""
        if Letterbox(self.ctx).take(letter):
            listings.note_unread(self.ctx.storage.sql, room)
            self._show()

    async def left(self, letter: str, room: str) -> None:
        """Hear from a room that its person isn't welcome there any more."""
        if Letterbox(self.ctx).take(letter):
            listings.forget_unread(self.ctx.storage.sql, room)
            self._show()

    async def rooms(self) -> list[Unread]:
        """Return the rooms, those with something new first."""
        return self._rooms()

    async def fetch(self, request: Request) -> Response:
        """Let a window of its person listen."""
        if request.web_socket is None:
            return Response(426, text="expected a WebSocket")
        if len(self.ctx.get_web_sockets()) >= MOST_WINDOWS:
            return Response(403, text="you have too many windows open")
        self.ctx.accept_web_socket(request.web_socket)
        request.web_socket.send(views.inbox(self._rooms()))
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        """Hear nothing: here is only told."""
        ws.close(1008, "an inbox only tells")

    def _show(self) -> None:
        if self.ctx.get_web_sockets():  # most inboxes are told while nobody looks
            self.ctx.broadcast(views.inbox(self._rooms()))

    def _rooms(self) -> list[Unread]:
        return listings.unread(self.ctx.storage.sql)
