"""What a room tells others: who has read how far, the inboxes of its people, the directory.

None of it is urgent, and all of it is told as it is by then: an alarm gathers for two seconds. A
letter goes only to an inbox that shows something else, and from "100 or more" on that stays the
same; so a busy room writes few letters to people who are away.
"""

from __future__ import annotations

from apps.chat import store, views
from apps.chat.domain import Listing, Person, RoomKind, Unread
from apps.chat.objects.base import SEEN, seen_in
from apps.chat.objects.directory import THE_ONE
from apps.chat.objects.reading import Reading
from apps.chat.store.rows import moment
from runtime import WebSocket
from runtime.patterns.outbox import Letter

TO_THE_DIRECTORY = "directory"
"""Whom a letter is for, if not for the inbox of the person with this id."""
PUT_OFF = "put off"
"""The key under which a room keeps that its windows haven't been told yet who is here."""
AT_ONCE = 100  # inboxes that are told at a time
CROWD = 100  # windows; with more of them, who comes and goes is news like the rest


class News(Reading):
    """The side of a room that others hear from."""

    _shown = ""  # who was here when a crowd was told last; after a while asleep, it is told again

    def _people(self) -> str:
        """Return the push for a new window; in a crowd, what it was told last: more comes soon."""
        return (self._is_crowd() and self._shown) or views.people(self._visitors())

    async def _show_people(self, newcomer: WebSocket | None = None) -> None:
        """Show who is here to all windows, except one that has just been told.

        At once; to a crowd with the news, as a thousand windows that hear of each other one by one
        would be a million pushes.
        """
        if self._is_crowd():
            if not self.ctx.storage.kv.get(PUT_OFF, False):
                self.ctx.storage.kv.put(PUT_OFF, True)
            await self._tell_later()
        else:
            self._shown = ""
            self.ctx.storage.kv.delete(PUT_OFF)
            exclude = [] if newcomer is None else [newcomer]
            self.ctx.broadcast(views.people(self._visitors()), exclude=exclude)

    async def _tell_presence_later(self) -> None:
        """The same for the directory, which isn't told of a room where nobody has spoken."""
        if store.room.room(self._sql) is not None:
            await self._tell_later()

    async def _note_seen(self, ws: WebSocket, seq: int) -> None:
        """Note in a window's attachment how far it has shown everything.

        It is written with the news: a thousand people who read a message are one commit.
        """
        if seq > seen_in(ws):
            ws.serialize_attachment({**ws.deserialize_attachment(), SEEN: seq})
            await self._tell_later()

    def _write_seen(self, ws: WebSocket) -> None:
        if seq := seen_in(ws):
            attachment = ws.deserialize_attachment()
            ws.serialize_attachment({**attachment, SEEN: 0})
            person = Person(*attachment["person"])
            store.reading.read(self._sql, person, min(seq, store.last_seq(self._sql)))

    def _is_crowd(self) -> bool:
        return len(self.ctx.get_web_sockets()) > CROWD

    async def _tell_news(self) -> None:
        for ws in self.ctx.get_web_sockets():
            self._write_seen(ws)
        visitors = self._visitors()
        is_told = self.ctx.storage.kv.delete(PUT_OFF) or self._is_crowd()
        if is_told and (people := views.people(visitors)) != self._shown:
            self._shown = people
            self.ctx.broadcast(people)
        if store.reading.take_reading(self._sql):
            self.ctx.broadcast(views.readers(store.reading.readers(self._sql)))
        seq, now = store.last_seq(self._sql), store.now(self._sql)
        last = store.find(self._sql, seq)
        at = (last.posted_at if last else now).timestamp()
        waiting = store.reading.take_waiting(self._sql, seq, AT_ONCE)
        for each in waiting:
            person = Person(each.person_id, "")
            news = {"title": self._title(person), "unread": each.unread}
            await self._outbox.send(person.id, news | {"mentions": each.mentions, "at": at})
        if len(waiting) == AT_ONCE:
            await self._tell_later()
        count = len(visitors)
        if self._kind is RoomKind.OPEN and store.room.take_news(self._sql, count, seq):
            news = {"people": count, "messages": seq, "at": at}
            await self._outbox.send(TO_THE_DIRECTORY, news)

    async def _deliver(self, letter: Letter) -> None:
        news = letter.body
        inbox = self.env.inboxes.get_by_name(letter.to)
        if letter.to == TO_THE_DIRECTORY:
            at, people, messages = moment(news["at"]), news["people"], news["messages"]
            listing = Listing(self._room, self._room, people, messages, at)
            await self.env.directory.get_by_name(THE_ONE).told(letter.id, listing)
        elif "left" in news:
            await inbox.left(letter.id, self._room)
        else:
            unread, mentions, at = news["unread"], news["mentions"], moment(news["at"])
            entry = Unread(self._room, news["title"], self._kind, unread, mentions, at)
            await inbox.told(letter.id, entry)
