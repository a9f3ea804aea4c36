"""The chat room: what must happen in one place, one event at a time."""

from __future__ import annotations

import re
from contextlib import suppress

from apps.chat import domain, store, views
from apps.chat.domain import (
    FRAMES,
    Bucket,
    ChatRefusal,
    NotAllowed,
    Person,
    RoomKind,
    TooSoon,
    Unacceptable,
)
from apps.chat.objects.base import NEWS
from apps.chat.objects.moderating import Moderating
from apps.chat.objects.news import News
from apps.chat.objects.speaking import COMPACT
from runtime import AlarmInvocation, Request, Response, WebSocket

NOT_ALLOWED = 1008
RESTARTING = 1012
MOST_WINDOWS = 20  # of one person in one room
_READ = re.compile(r"read ([0-9]{1,15})")


class ChatRoom(Moderating, News):
    """One room: its messages, and the sockets of the people in it.

    This side of it are the events: sockets and alarms. The others are what people say
    (`Speaking`), see (`Reading`), may not do (`Moderating`), and what is told elsewhere (`News`).
    """

    async def fetch(self, request: Request) -> Response:
        """Let somebody in, and tell them what they have missed since the cursor they name."""
        ws = request.web_socket
        if ws is None:
            return Response(426, text="expected a WebSocket")
        person = Person(request.headers["x-person-id"], request.headers["x-person-name"])
        if not person.id:
            return Response(401, text="who are you?")
        if (refusal := self._refusal(person)) is not None:
            return Response(403, text=refusal)
        self.ctx.accept_web_socket(ws, tags=[person.id])
        ws.serialize_attachment({"person": (person.id, person.name)})
        is_away = "away" in request.query
        is_news = self._presence.join(ws, person.id, person.name, is_away=is_away)
        if store.room.room(self._sql) is not None:  # else nobody is to be remembered
            store.members.meet(self._sql, person, store.last_seq(self._sql))
        if (since := request.query.get("since")) is not None:
            self._catch_up(ws, since)
        ws.send(self._people())  # which also says that they are in
        if is_news:
            await self._show_people(newcomer=ws)
            await self._tell_presence_later()
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        """Hear what a page notices by itself. Commands come by HTTP, which has answers."""
        try:
            await self._hear(ws, message)
        except ChatRefusal as refusal:
            ws.close(NOT_ALLOWED, str(refusal))

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        """Note that a window is gone. The others see it later, unless its person comes back."""
        self._write_seen(ws)
        if await self._presence.leave(ws):
            await self._show_people()
            await self._tell_presence_later()

    async def alarm(self, invocation: AlarmInvocation) -> None:
        """Do what was put off: see who has gone, tell what is new, archive, deliver letters."""
        if invocation.name == NEWS:
            await self._tell_news()
        elif invocation.name == COMPACT:
            await self._archive()
        elif await self._presence.alarm(invocation):
            await self._show_people()
            await self._tell_presence_later()
        else:
            await self._outbox.alarm(invocation)
        is_unused = store.room.room(self._sql) is None
        if is_unused and self._kind is RoomKind.OPEN and not self._visitors():
            await self.ctx.storage.delete_all()  # a room where nobody spoke leaves no trace

    async def note_reading(self, person: Person, seq: int) -> None:
        """Note how far somebody has read. Less than before changes nothing."""
        self._enter(person)
        if store.room.room(self._sql) is None:
            return
        store.members.meet(self._sql, person, 0)
        if store.reading.read(self._sql, person, min(seq, store.last_seq(self._sql))):
            await self._tell_later()

    # For the strip that shows what goes on, in development.

    async def drop_windows(self, person: Person) -> int:
        """Cut off the creator's own windows, as a bad network would; return how many."""
        domain.check_may_moderate(self._enter(person))
        windows = self.ctx.get_web_sockets(person.id)
        for ws in windows:
            ws.close(RESTARTING, "dropped, to see what happens")
        return len(windows)

    async def restart(self, person: Person) -> None:
        """Lose everything that is only in memory, and all sockets, as in a crash.

        Raises:
            ObjectReset: Always, unless they may not.
        """
        domain.check_may_moderate(self._enter(person))
        self.ctx.abort("restarted, to see what happens")

    def _refusal(self, person: Person) -> str | None:
        """Return why somebody can't open a window here; None if they can."""
        try:
            self._enter(person)
        except ChatRefusal as refusal:
            return str(refusal)
        has_many = len(self.ctx.get_web_sockets(person.id)) >= MOST_WINDOWS
        return "you have too many windows open on this room" if has_many else None

    async def _hear(self, ws: WebSocket, message: str | bytes) -> None:
        self._count_frame(ws)
        person = Person(*ws.deserialize_attachment()["person"])
        if message in ("here", "away"):
            if self._presence.set_away(ws, message == "away"):
                await self._show_people()
        elif message == "typing":
            self._show_typing(person)
        elif isinstance(message, str) and (read := _READ.fullmatch(message)):
            await self._note_seen(ws, int(read[1]))
        else:
            raise Unacceptable("messages are sent by POST")

    def _catch_up(self, ws: WebSocket, since: str) -> None:
        missed = self._feed.missed(since)
        if missed is None:
            last_page = store.messages_before(self._sql, None, domain.PAGE)
            cursor = self._feed.cursor
            ws.send(views.all_messages(last_page, cursor))
            ws.send(views.pins(store.pins(self._sql), cursor))
            if (room := store.room.room(self._sql)) is not None:
                ws.send(views.rules(room.rules, cursor))
        elif missed:
            ws.send("".join(missed))

    def _count_frame(self, ws: WebSocket) -> None:
        attachment, now = ws.deserialize_attachment(), store.now(self._sql).timestamp()
        kept = attachment.get("frames")
        bucket = Bucket(*kept) if kept else Bucket.full(FRAMES, now)
        left = bucket.take(FRAMES, now)
        if left is None:
            raise TooSoon("that was too much at once", 1)
        ws.serialize_attachment({**attachment, "frames": (left.tokens, left.at)})

    def _show_typing(self, person: Person) -> None:
        with suppress(NotAllowed):  # whoever is muted types for themselves
            domain.check_may_act(self._enter(person))
            own = self.ctx.get_web_sockets(person.id)
            self.ctx.broadcast(views.typing(person), exclude=own)
