"""What all sides of a room stand on: who somebody is there, and how the others hear of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta

from apps.chat import domain, store, views
from apps.chat.domain import Message, NotThere, Person, Role, RoomKind, Standing, Visitor
from apps.chat.objects.env import Env
from runtime import DurableObject, DurableObjectState, WebSocket, errors
from runtime.patterns.feed import Feed
from runtime.patterns.outbox import Letter, Outbox
from runtime.patterns.presence import Presence

NEWS = "news"
"""The alarm by which everybody hears what needn't be told at once."""
NEWS_AFTER = timedelta(seconds=2)
SEEN = "seen"
"""What a window has shown: an entry of its attachment, until it is written with the news."""

for refusal in (
    domain.BadRoomName,
    domain.BadText,
    domain.ChatRefusal,
    domain.NotAllowed,
    domain.NotThere,
    domain.Outdated,
    domain.TooSoon,
    domain.Unacceptable,
):
    errors.register(refusal)


class RoomBase(DurableObject[Env], ABC):
    """A room, as far as all of its sides need it.

    Messages live in SQLite and sockets outlive the object, so a room may be evicted between
    any two events. Nothing in ``self`` is worth keeping.
    """

    migrations = store.MIGRATIONS

    def __init__(self, ctx: DurableObjectState, env: Env) -> None:
        super().__init__(ctx, env)
        self._sql = ctx.storage.sql
        self._room = ctx.id.name or str(ctx.id)
        self._kind = domain.room_kind(self._room)
        self._feed = Feed(ctx)
        self._presence = Presence(ctx)
        self._outbox = Outbox(ctx, self._deliver)

    @abstractmethod
    async def _deliver(self, letter: Letter) -> None:
        """Take a letter to whom it is for."""

    def _enter(self, person: Person) -> Standing:
        """Return how somebody stands here.

        Raises:
            NotAllowed: If they are banned.
            NotThere: If there is no such room, as far as they are to know.
        """
        entry = store.members.look_up(self._sql, person.id)
        pair = domain.direct_people(self._room)
        is_room = entry.is_room or self._kind is RoomKind.OPEN
        if not is_room or (pair and person.id not in pair):
            raise NotThere("there is no such room")
        standing = self._standing(person, entry)
        domain.check_may_be_here(standing)
        return standing

    def _standing(self, person: Person, entry: store.members.Entry) -> Standing:
        is_creator = entry.creator_id == person.id
        read_up_to = max(entry.read_up_to, min(entry.last, self._seen(person)))
        spoke_at = None
        if entry.slow_seconds and not is_creator:
            spoke_at = store.last_post_at(self._sql, person)
        return Standing(
            person,
            entry.at,
            Role.CREATOR if is_creator else Role.MEMBER,
            read_up_to,
            min(domain.MOST_UNREAD, entry.last - read_up_to),
            entry.sanction.muted_until,
            entry.sanction.is_banned,
            None if spoke_at is None else spoke_at + timedelta(seconds=entry.slow_seconds),
        )

    def _seen(self, person: Person) -> int:
        """Return how far somebody's windows have shown everything, if that isn't written yet."""
        windows = self.ctx.get_web_sockets(person.id)
        return max((seen_in(ws) for ws in windows), default=0)

    def _find(self, seq: int) -> Message:
        message = store.find(self._sql, seq)
        if message is None:
            raise NotThere("there is no such message here")
        return message

    def _visitors(self) -> tuple[Visitor, ...]:
        return domain.in_order(
            Visitor(Person(present.id, present.about), present.is_away)
            for present in self._presence.people()
        )

    def _show_pins(self) -> None:
        pins = store.pins(self._sql)
        self._feed.publish(lambda cursor: views.pins(pins, cursor))

    async def _tell_later(self, after: timedelta = NEWS_AFTER) -> None:
        """Have the inboxes, the directory and the pages told what has changed, in a while."""
        if await self.ctx.storage.get_alarm(name=NEWS) is None:
            await self.ctx.storage.set_alarm(after, name=NEWS)


def seen_in(ws: WebSocket) -> int:
    """Return up to which message a window has shown everything, if that isn't written yet."""
    seq: int = (ws.deserialize_attachment() or {}).get(SEEN, 0)
    return seq
