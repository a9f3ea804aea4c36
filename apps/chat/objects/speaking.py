"""What people say in a room, and what becomes of it."""

from __future__ import annotations

import secrets
from datetime import timedelta
from functools import partial
from random import Random, SystemRandom
from typing import ClassVar

from apps.chat import domain, store, views
from apps.chat.domain import Kind, Message, NotAllowed, Outdated, Person, Standing, Throw, Utterance
from apps.chat.objects.base import NEWS_AFTER, RoomBase

COMPACT = "compact"
"""The alarm by which old messages are archived."""
AT_ONCE = timedelta(0)
AUDITED_TEXT = 200  # characters of a message that the room's creator has deleted


class Speaking(RoomBase):
    """The side of a room that is changed by what people say.

    Each method is told by the routes who asks, and looks up here whether they may. What it changes
    is pushed to everybody in one commit with the change.
    """

    random: ClassVar[Random] = SystemRandom()
    """What dice are thrown by."""

    async def post(self, author: Person, client_id: str, text: str) -> Message:
        """Say something to everyone here, once: a resend gets the message that is there.

        Raises:
            BadText: If it is a command without sense.
            NotAllowed: If they are banned or muted.
            Outdated: If they have used `client_id` for another text.
            TooSoon: If the room is in slow mode.
        """
        standing = self._enter(author)
        sent = store.sent_before(self._sql, author, client_id)
        if sent is not None:
            if not store.is_what_was_sent(self._sql, sent, text):
                raise Outdated(
                    f"you have used this client_id for message {sent.seq}, which has another text"
                )
            return sent
        domain.check_may_speak(standing)
        return await self._say(standing, client_id, self._uttered(text), sent=text)

    async def edit(self, author: Person, seq: int, text: str, revision: int) -> Message:
        """Change what somebody has said themselves.

        Args:
            revision: Of the message that they have changed.

        Raises:
            NotAllowed: If it isn't theirs, or they are banned or muted.
            NotThere: If there is no such message.
            Outdated: If it was edited or deleted meanwhile.
        """
        now = store.now(self._sql)
        message = self._about_to("edit", author, seq)
        changed = domain.edited(message, text, self._mentioned(text), revision, now)
        return await self._change(message, changed)

    async def react(self, person: Person, seq: int, kind: str, *, is_on: bool) -> Message:
        """Have somebody react to a message, or not any more.

        Raises:
            NotAllowed: If they are banned or muted, or too many react like that already.
            NotThere: If there is no such message.
            Outdated: If it was deleted meanwhile.
            Unacceptable: If there is no such reaction.
        """
        message = self._about_to("react", person, seq)
        return await self._change(message, domain.reacted(message, person, kind, is_on=is_on))

    async def pin(self, person: Person, seq: int, *, is_on: bool) -> Message:
        """Keep a message in everybody's view, or not any more.

        Raises:
            NotAllowed: If they may not, or enough are pinned.
            NotThere: If there is no such message.
            Outdated: If it was deleted meanwhile.
        """
        message = self._about_to("pin", person, seq)
        if is_on and not message.is_pinned and not store.can_pin_more(self._sql):
            raise NotAllowed(f"{domain.MAX_PINS} messages are pinned; unpin one first")
        changed = await self._change(message, domain.pinned(message, is_on=is_on))
        if changed != message:
            self._show_pins()
        return changed

    async def delete(self, person: Person, seq: int) -> Message:
        """Leave of a message only that something was said. A second time does nothing.

        Raises:
            NotAllowed: If it isn't theirs, and they aren't the room's creator.
            NotThere: If there is no such message.
        """
        standing, message = self._enter(person), self._find(seq)
        if message.is_deleted:
            return message
        domain.check_allowed("delete", message, standing, self._kind)
        if message.author.id != person.id:
            text = message.text[:AUDITED_TEXT]
            store.room.note(self._sql, person, "delete", message.author, text)
        gone = domain.deleted(message, person)
        self._retract(gone)
        await self._change(message, gone)
        if message.is_pinned:
            self._show_pins()
        return gone

    def _about_to(self, what: str, person: Person, seq: int) -> Message:
        """Return a message to which somebody may do `what`, or raise."""
        standing = self._enter(person)
        domain.check_may_act(standing)
        message = self._find(seq)
        domain.check_allowed(what, message, standing, self._kind)
        return message

    def _uttered(self, text: str) -> Utterance:
        meant = domain.understood(text)
        if not isinstance(meant, Throw):
            return meant
        return meant.result([self.random.randint(1, meant.sides) for _ in range(meant.count)])

    def _mentioned(self, text: str) -> tuple[Person, ...]:
        if "@" not in text:  # the room may know many
            return ()
        return domain.mentions(text, store.members.known(self._sql))

    async def _say(
        self, standing: Standing, client_id: str, said: Utterance, *, sent: str
    ) -> Message:
        author = standing.person
        mentions = self._mentioned(said.text)
        message = store.append(
            self._sql,
            author,
            client_id,
            said.text,
            kind=said.kind,
            mentions=mentions,
            sent=sent,
        )
        if message.seq == 1:
            self._begin(author)
        # What a window has shown isn't written yet, and they may be named in it.
        has_unread = standing.unread > 0 or self._seen(author) > 0
        store.reading.speak(self._sql, author, message.seq, has_unread=has_unread)
        store.reading.mention(self._sql, mentions, message.seq)
        # The output gate holds this, and our answer, until the message is on disk.
        self._feed.publish(partial(views.new_message, message))
        await self._tell_later(NEWS_AFTER if message.seq > 1 else AT_ONCE)
        is_time_to_look = message.seq % store.archive.CHUNK == 0
        if is_time_to_look and store.archive.is_due(self._sql):
            await self.ctx.storage.set_alarm(AT_ONCE, name=COMPACT)
        return message

    async def _announce(self, standing: Standing, sentence: str) -> None:
        """Say in the room what somebody has changed in it."""
        said = Utterance(Kind.SYSTEM, sentence)
        await self._say(standing, f"system-{secrets.token_hex(8)}", said, sent=sentence)

    def _begin(self, author: Person) -> None:
        """Make the room that of whoever speaks first, and know who hears it."""
        store.room.open_room(self._sql, author)
        for visitor in self._visitors():
            store.members.meet(self._sql, visitor.person, 0)

    async def _change(self, before: Message, after: Message) -> Message:
        if after != before:
            store.save(self._sql, after)
            store.words.replace(self._sql, after)
            if after.mentions != before.mentions:
                store.reading.mention_anew(self._sql, after.mentions, after.seq)
                await self._tell_later()
            self._feed.publish(partial(views.changed_message, after))
        return after

    def _retract(self, message: Message) -> None:
        """Have nobody who comes back be sent what a message said that is deleted now."""
        for push in store.pushes(self._sql):
            event = views.retracted(push.event, message, push.cursor)
            if event != push.event:
                store.replace_push(self._sql, push, event)

    async def _archive(self) -> None:
        store.words.catch_up(self._sql)
        store.archive.archive_oldest(self._sql)
        if store.archive.is_due(self._sql):
            await self.ctx.storage.set_alarm(AT_ONCE, name=COMPACT)
