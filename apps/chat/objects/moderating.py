"""What a room's creator may do. It holds at once, on windows that are open too."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from apps.chat import domain, store, views
from apps.chat.domain import NotAllowed, NotThere, Person, RoomKind, Rules, Unacceptable
from apps.chat.objects.reading import Reading
from apps.chat.objects.speaking import Speaking

TURNED_AWAY = 4403
"""The close code for whoever is kicked or banned: it tells a page not to come back by itself."""


class Moderating(Reading, Speaking):
    """The side of a room that its creator uses. Everybody else gets `NotAllowed` from it.

    What is done to somebody is kept for the creator to look up.
    """

    async def open(self, creator: Person, title: str) -> None:
        """Begin a private room. Somebody else can't begin it again.

        Raises:
            NotAllowed: If it isn't a private room.
        """
        if self._kind is not RoomKind.PRIVATE:
            raise NotAllowed("only a private room is opened")
        store.room.open_room(self._sql, creator, title)
        store.members.meet(self._sql, self._enter(creator).person, 0)
        await self._tell_later()

    async def open_direct(self, one: Person, other: Person) -> None:
        """Begin the room of two people. A second time does nothing.

        Raises:
            NotThere: If this isn't their room.
        """
        if {one.id, other.id} != set(domain.direct_people(self._room)):
            raise NotThere("there is no such room")
        store.room.open_room(self._sql, None)
        for person in (one, other):
            store.members.meet(self._sql, person, 0)
        await self._tell_later()

    async def mute(self, by: Person, id: str, minutes: int) -> None:
        """Have somebody not speak, react or edit for so long; 0 ends it.

        Raises:
            NotThere: If the room doesn't know them.
            Unacceptable: If it is longer than a day.
        """
        if not 0 <= minutes <= domain.MOST_MUTED_MINUTES:
            raise Unacceptable(f"somebody is muted for 0 to {domain.MOST_MUTED_MINUTES:,} minutes")
        whom = self._moderated(by, id)
        until = store.now(self._sql) + timedelta(minutes=minutes) if minutes else None
        before = store.members.look_up(self._sql, id).sanction
        store.members.set_sanction(self._sql, whom, replace(before, muted_until=until))
        span = "a minute" if minutes == 1 else f"{minutes} minutes"
        store.room.note(
            self._sql, by, "mute" if minutes else "unmute", whom, span if minutes else ""
        )
        sentence = f"You are muted in this room for {span}." if minutes else "You can speak again."
        self.ctx.broadcast(views.notice(sentence), tag=id)

    async def kick(self, by: Person, id: str) -> None:
        """Close somebody's windows. They may come back.

        Raises:
            NotThere: If the room doesn't know them.
        """
        whom = self._moderated(by, id)
        store.room.note(self._sql, by, "kick", whom)
        self._turn_away(whom, "You were shown out of this room. You can come back.")

    async def ban(self, by: Person, id: str, *, is_on: bool) -> None:
        """Close somebody's windows, and don't let them in any more; or do again.

        Raises:
            NotThere: If the room doesn't know them.
        """
        whom = self._moderated(by, id)
        before = store.members.look_up(self._sql, id).sanction
        if is_on == before.is_banned:
            return
        store.members.set_sanction(self._sql, whom, replace(before, is_banned=is_on))
        store.room.note(self._sql, by, "ban" if is_on else "unban", whom)
        if is_on:
            store.members.forget(self._sql, whom)
            await self._outbox.send(id, {"left": self._room})
            self._turn_away(whom, "You are banned from this room.")

    async def slow_down(self, by: Person, seconds: int) -> None:
        """Have everybody but the creator wait so long between two messages; 0 ends it.

        Raises:
            Unacceptable: If it is none of `SLOW_CHOICES`.
        """
        standing = self._enter(by)
        domain.check_may_moderate(standing)
        if seconds not in domain.SLOW_CHOICES:
            raise Unacceptable(f"slow mode is one of {', '.join(map(str, domain.SLOW_CHOICES))} s")
        room, rules = store.room.room(self._sql), Rules(seconds)
        if room is None or room.rules == rules:
            return
        store.room.set_rules(self._sql, rules)
        store.room.note(self._sql, by, "slow", None, f"{seconds} s")
        self._feed.publish(lambda cursor: views.rules(rules, cursor))
        what = f"turned on slow mode: {seconds} s" if seconds else "turned off slow mode"
        await self._announce(standing, what)

    def _moderated(self, by: Person, id: str) -> Person:
        """Return somebody whom `by` may do something to, or raise."""
        standing, whom = self._enter(by), self._known(id)
        domain.check_may_moderate(standing, whom)
        return whom

    def _turn_away(self, person: Person, sentence: str) -> None:
        for ws in self.ctx.get_web_sockets(person.id):
            ws.send(views.turned_away(sentence))
            ws.close(TURNED_AWAY, sentence)
