"""What people see of a room."""

from __future__ import annotations

from itertools import islice

from apps.chat import domain, store
from apps.chat.domain import About, Closeup, Message, NotThere, Person, RoomKind, Scene
from apps.chat.objects.base import RoomBase

FOUND = 50  # messages, by one search


class Reading(RoomBase):
    """The side of a room that answers, and changes nothing.

    Every method raises `NotAllowed` for whoever is banned, and `NotThere` for whoever isn't to know
    that there is a room.
    """

    async def scene(
        self,
        reader: Person,
        *,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
    ) -> Scene:
        """Return what somebody sees who enters: messages, who is here, and what holds for them.

        Args:
            before: The page of messages before this one; the last page without it.
            after: Or the page after this one.
            around: Or the page with this one in the middle.
        """
        me = self._enter(reader)
        room = store.room.room(self._sql)
        if around is not None:
            before = around + domain.PAGE // 2
        messages = await self.history(reader, before=before, after=after)
        last = store.last_seq(self._sql)
        return Scene(
            self._room,
            self._title(reader),
            self._kind,
            tuple(messages),
            self._visitors(),
            self._feed.cursor,
            me,
            has_older=bool(messages) and messages[0].seq > 1,
            has_newer=bool(messages) and messages[-1].seq < last,
            pins=tuple(store.pins(self._sql)),
            readers=store.reading.readers(self._sql),
            rules=domain.Rules() if room is None else room.rules,
        )

    async def history(
        self,
        reader: Person,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int = domain.PAGE,
    ) -> list[Message]:
        """Return the messages next to `after`, or else the last ones before `before`."""
        self._enter(reader)
        if after is not None:
            return store.messages_after(self._sql, after, limit)
        return store.messages_before(self._sql, before, limit)

    async def closeup(self, reader: Person, seq: int) -> Closeup:
        """Return one message, with what its reader may do to it, and who else has read it.

        Raises:
            NotThere: If there is no such message.
        """
        me, message = self._enter(reader), self._find(seq)
        readers = tuple(
            each.person for each in store.reading.readers(self._sql) if each.seq >= message.seq
        )
        return Closeup(self._room, self._title(reader), self._kind, message, me, readers)

    async def search(self, reader: Person, words: str) -> list[Message]:
        """Return the newest messages in which all words are, newest first.

        Raises:
            Unacceptable: If there is no word to look for.
        """
        self._enter(reader)
        return store.words.search(self._sql, domain.search_expression(words), FOUND)

    async def about(self, reader: Person) -> About:
        """Return who is known here and how they stand: who is here, then who came last.

        Only the room's creator sees who is muted or banned, before all others, and what they
        themselves have done.
        """
        scene = await self.scene(reader)
        sanctioned = store.members.sanctioned(self._sql) if scene.me.is_creator else []
        here = [visitor.person for visitor in scene.visitors]
        people = {each.id: each for each in (*sanctioned, *here, *store.members.known(self._sql))}
        # None of the sanctioned is left out: where else would a ban be lifted?
        standings = (
            self._standing(person, store.members.look_up(self._sql, person.id))
            for person in islice(people.values(), len(sanctioned) + domain.MOST_SHOWN)
        )
        audit = store.room.audit(self._sql) if scene.me.is_creator else []
        return About(scene, tuple(each.as_seen_by(scene.me) for each in standings), tuple(audit))

    async def acquaintance(self, reader: Person, id: str) -> Person:
        """Return somebody whom the reader may have met here, as the room knows them.

        Raises:
            NotThere: If the room doesn't know them.
        """
        self._enter(reader)
        return self._known(id)

    def _known(self, id: str) -> Person:
        here = {visitor.person.id: visitor.person for visitor in self._visitors()}
        person = here.get(id) or store.members.known_as(self._sql, id)
        if person is None:
            raise NotThere("this room doesn't know that person")
        return person

    def _title(self, reader: Person) -> str:
        """Return what the room is called on somebody's page."""
        if self._kind is RoomKind.OPEN:
            return self._room
        if self._kind is RoomKind.DIRECT:
            others = [each for each in store.members.known(self._sql) if each.id != reader.id]
            return others[0].name if others else "Just you two"
        room = store.room.room(self._sql)
        return room.title if room else ""
