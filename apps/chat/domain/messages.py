"""Messages: what may be said, and what may become of it afterwards."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from apps.chat.domain.people import Person, Standing
from apps.chat.domain.refusals import NotAllowed, Outdated, Unacceptable
from apps.chat.domain.rooms import RoomKind
from apps.chat.domain.visible import is_visible

MAX_TEXT = 2_000  # characters of one message
MAX_REACTORS = 50  # people who react to one message in one way
MAX_PINS = 20  # of one room

REACTIONS = {
    "thumbs_up": "👍",
    "heart": "❤️",
    "laugh": "😂",
    "party": "🎉",
    "wow": "😮",
    "sad": "😢",
    "eyes": "👀",
    "check": "✅",
}
"""All there are: how they are called, and what they look like."""


class BadText(Unacceptable):
    """That is no message."""


class Kind(StrEnum):
    """How a message is meant."""

    SAY = "say"
    ME = "me"
    """What its author does: ``/me waves`` is "Ada waves"."""
    DICE = "dice"
    """What the server has thrown for them."""
    SYSTEM = "system"
    """What they have changed in the room, as a sentence without its subject."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """Who reacts to a message in one way."""

    kind: str
    """One of `REACTIONS`."""
    people: tuple[Person, ...]

    @property
    def emoji(self) -> str:
        return REACTIONS[self.kind]

    @property
    def count(self) -> int:
        return len(self.people)


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody has said."""

    seq: int
    """Position in the room, from 1, without gaps."""
    client_id: str
    """Chosen by the sender; a second message with the same one is the same message."""
    author: Person
    text: str
    """Empty once it is deleted."""
    posted_at: datetime
    kind: Kind = Kind.SAY
    revision: int = 0
    """How often it was edited."""
    edited_at: datetime | None = None
    deleted_by: Person | None = None
    mentions: tuple[Person, ...] = ()
    """Whom it names with an ``@``, as they were called then."""
    reactions: tuple[Reaction, ...] = ()
    is_pinned: bool = False

    @property
    def is_deleted(self) -> bool:
        return self.deleted_by is not None


def message_text(text: str) -> str:
    """Return a message's text as it is kept: without blanks around it, lines ended alike.

    Raises:
        BadText: If nothing is left that can be seen, it is too long, or has control characters.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if len(text) > MAX_TEXT:
        raise BadText(f"a message has at most {MAX_TEXT:,} characters; this one has {len(text):,}")
    if any(_is_unreadable(character) for character in text):
        raise BadText("a message can't have control characters")
    if not is_visible(text):
        raise BadText("a message needs some text")
    return text


def _is_unreadable(character: str) -> bool:
    # Cc: control characters, such as NUL. Cs: half of a character, which no UTF-8 can carry.
    return character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cs")


def allowed(message: Message, standing: Standing, room: RoomKind) -> frozenset[str]:
    """Return what somebody may do to a message: of ``react``, ``edit``, ``delete``, ``pin``."""
    if message.is_deleted:
        return frozenset()
    is_own = message.author.id == standing.person.id
    return frozenset(
        what
        for what, is_allowed in {
            "react": True,
            "edit": is_own and message.kind in (Kind.SAY, Kind.ME),
            "delete": is_own or standing.is_creator,
            "pin": standing.is_creator or room is RoomKind.DIRECT,
        }.items()
        if is_allowed
    )


def check_allowed(what: str, message: Message, standing: Standing, room: RoomKind) -> None:
    """Raise `NotAllowed` unless `what` is among what is `allowed`; `Outdated` if it's deleted."""
    if message.is_deleted:
        raise Outdated("this message has been deleted")
    if what not in allowed(message, standing, room):
        raise NotAllowed(
            "only the room's creator can pin messages"
            if what == "pin"
            else f"you can {what} only what you have said yourself"
        )


def edited(
    message: Message, text: str, mentions: tuple[Person, ...], revision: int, now: datetime
) -> Message:
    """Return a message with another text.

    Args:
        revision: Of the message that its author has changed, to notice if there is a newer one.

    Raises:
        Outdated: If there is. The same change once more isn't one.
    """
    if text == message.text:
        return message
    if revision != message.revision:
        raise Outdated("you have changed this message in another window meanwhile")
    return replace(
        message, text=text, mentions=mentions, revision=message.revision + 1, edited_at=now
    )


def deleted(message: Message, by: Person) -> Message:
    """Return what is left of a message: that somebody has said something."""
    return replace(message, text="", mentions=(), reactions=(), is_pinned=False, deleted_by=by)


def pinned(message: Message, *, is_on: bool) -> Message:
    """Return a message that is kept in everybody's view, or not any more."""
    return replace(message, is_pinned=is_on)


def reacted(message: Message, person: Person, kind: str, *, is_on: bool) -> Message:
    """Return a message to which somebody reacts, or doesn't any more.

    Raises:
        NotAllowed: If so many do already that one more tells nobody anything.
        Unacceptable: If there is no such reaction.
    """
    if kind not in REACTIONS:
        raise Unacceptable("there is no such reaction")
    people = {reaction.kind: reaction.people for reaction in message.reactions}
    others = tuple(other for other in people.get(kind, ()) if other.id != person.id)
    if is_on and len(others) == len(people.get(kind, ())):
        if len(others) >= MAX_REACTORS:
            raise NotAllowed(f"{MAX_REACTORS} people have reacted like that already")
        others = (*others, person)
    elif is_on:
        return message
    people[kind] = others
    reactions = (Reaction(each, people[each]) for each in REACTIONS if people.get(each))
    return replace(message, reactions=tuple(reactions))
