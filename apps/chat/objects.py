"""The chat room: what must happen in one place, one event at a time."""

from __future__ import annotations

from apps.chat import domain, store, views
from apps.chat.domain import Message, Person, Scene
from runtime import DurableObject, Request, Response, WebSocket


class ChatRoom(DurableObject[object]):
    """One room: its messages, and the sockets of the people in it.

    Messages live in SQLite and sockets outlive the object, so a room may be evicted between
    any two events. Nothing in ``self`` is worth keeping.
    """

    migrations = store.MIGRATIONS

    # Called by routes, through a stub.

    async def post(self, author: Person, client_id: str, text: str) -> Message:
        """Say something to everyone here, once: a resend gets the message that is there."""
        sql = self.ctx.storage.sql
        message = store.sent_before(sql, author, client_id)
        if message is None:
            message = store.append(sql, author, client_id, text)
            # The output gate holds this, and our answer, until the message is on disk.
            self.ctx.broadcast(views.new_messages([message]))
        return message

    async def history(
        self, *, before: int | None = None, after: int | None = None, limit: int = domain.PAGE
    ) -> list[Message]:
        """Return the messages next to `after`, or else the last ones before `before`."""
        sql = self.ctx.storage.sql
        if after is not None:
            return store.messages_after(sql, after, limit)
        return store.messages_before(sql, before, limit)

    async def scene(self) -> Scene:
        """Return what somebody sees who enters: the last messages, and who is here."""
        messages = store.messages_before(self.ctx.storage.sql, None, domain.PAGE)
        return Scene(tuple(messages), self._people())

    # Called by the runtime.

    async def fetch(self, request: Request) -> Response:
        """Let somebody in, and tell them what they have missed since the message they name."""
        ws = request.web_socket
        if ws is None:
            return Response(426, text="expected a WebSocket")
        person = Person(request.headers["x-person-id"], request.headers["x-person-name"])
        if not person.id:
            return Response(401, text="who are you?")
        before = self._people()
        self.ctx.accept_web_socket(ws, tags=[person.id])
        ws.serialize_attachment({"id": person.id, "name": person.name})
        if (since := domain.sequence_number(request.query.get("since"))) is not None:
            self._replay(ws, since)
        people = self._people()
        ws.send(views.people(people))  # which also says that they are in
        if people != before:
            self.ctx.broadcast(views.people(people), exclude=[ws])
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        """Refuse it: commands come by HTTP, which has answers."""
        ws.close(1008, "messages are sent by POST")

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        """Tell the others that somebody has left, unless another window of theirs is open."""
        people = self._people(leaving=ws)
        if people != self._people():
            self.ctx.broadcast(views.people(people))

    def _replay(self, ws: WebSocket, since: int) -> None:
        sql = self.ctx.storage.sql
        missed = store.messages_after(sql, since, domain.MAX_REPLAY + 1)
        if domain.is_too_much(missed):
            ws.send(views.all_messages(store.messages_before(sql, None, domain.PAGE)))
        elif missed:
            ws.send(views.new_messages(missed))

    def _people(self, *, leaving: WebSocket | None = None) -> tuple[Person, ...]:
        return domain.everyone(
            Person(**ws.deserialize_attachment())
            for ws in self.ctx.get_web_sockets()
            if ws is not leaving
        )
