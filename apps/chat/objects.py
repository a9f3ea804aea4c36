"""The chat room: what must happen in one place, one event at a time."""

from __future__ import annotations

from functools import partial

from apps.chat import domain, store, views
from apps.chat.domain import Message, Person, Scene, Visitor
from runtime import (
    AlarmInvocation,
    DurableObject,
    DurableObjectState,
    Request,
    Response,
    WebSocket,
)
from runtime.patterns.feed import Feed
from runtime.patterns.presence import Presence


class ChatRoom(DurableObject[object]):
    """One room: its messages, and the sockets of the people in it.

    Messages live in SQLite and sockets outlive the object, so a room may be evicted between
    any two events. Nothing in ``self`` is worth keeping.
    """

    migrations = store.MIGRATIONS

    def __init__(self, ctx: DurableObjectState, env: object) -> None:
        super().__init__(ctx, env)
        self._feed = Feed(ctx)
        self._presence = Presence(ctx)

    # Called by routes, through a stub.

    async def post(self, author: Person, client_id: str, text: str) -> Message:
        """Say something to everyone here, once: a resend gets the message that is there."""
        sql = self.ctx.storage.sql
        message = store.sent_before(sql, author, client_id)
        if message is None:
            message = store.append(sql, author, client_id, text)
            # The output gate holds this, and our answer, until the message is on disk.
            self._feed.publish(partial(views.new_message, message))
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
        name = self.ctx.id.name or ""
        me = domain.Standing(Person("", ""))
        page, cursor = self._last_page(), self._feed.cursor
        return Scene(name, name, domain.RoomKind.OPEN, page, self._visitors(), cursor, me)

    # Called by the runtime.

    async def fetch(self, request: Request) -> Response:
        """Let somebody in, and tell them what they have missed since the cursor they name."""
        ws = request.web_socket
        if ws is None:
            return Response(426, text="expected a WebSocket")
        person = Person(request.headers["x-person-id"], request.headers["x-person-name"])
        if not person.id:
            return Response(401, text="who are you?")
        self.ctx.accept_web_socket(ws, tags=[person.id])
        is_away = "away" in request.query
        is_news = self._presence.join(ws, person.id, person.name, is_away=is_away)
        if (since := request.query.get("since")) is not None:
            self._catch_up(ws, since)
        people = views.people(self._visitors())
        ws.send(people)  # which also says that they are in
        if is_news:
            self.ctx.broadcast(people, exclude=[ws])
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        """Note whether somebody looks at the room. Commands come by HTTP, which has answers."""
        if message not in ("here", "away"):
            ws.close(1008, "messages are sent by POST")
        elif self._presence.set_away(ws, message == "away"):
            self._show_people()

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        """Note that a window is gone. The others see it later, unless its person comes back."""
        if await self._presence.leave(ws):
            self._show_people()

    async def alarm(self, invocation: AlarmInvocation) -> None:
        """Show who has gone and hasn't come back."""
        if await self._presence.alarm(invocation):
            self._show_people()
        if not self._visitors() and not self._last_page():
            await self.ctx.storage.delete_all()  # a room where nobody spoke leaves no trace

    def _catch_up(self, ws: WebSocket, since: str) -> None:
        missed = self._feed.missed(since)
        if missed is None:
            ws.send(views.all_messages(self._last_page(), self._feed.cursor))
        elif missed:
            ws.send("".join(missed))

    def _show_people(self) -> None:
        self.ctx.broadcast(views.people(self._visitors()))

    def _last_page(self) -> tuple[Message, ...]:
        return tuple(store.messages_before(self.ctx.storage.sql, None, domain.PAGE))

    def _visitors(self) -> tuple[Visitor, ...]:
        return domain.in_order(
            Visitor(Person(present.id, present.about), present.is_away)
            for present in self._presence.people()
        )
