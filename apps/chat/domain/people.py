"""People in a room: who is there, what they have read, and what they may do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from apps.chat.domain.refusals import NotAllowed, TooSoon

SLOW_CHOICES = (0, 5, 10, 30, 60, 300)  # seconds between two messages of one person
MOST_MUTED_MINUTES = 24 * 60
MOST_KNOWN = 1_000  # people that a room knows at a time; it forgets who hasn't come for longest


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a room. Two people may have the same name, never the same id."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is in the room now."""

    person: Person
    is_away: bool
    """Whether nobody looks at any of their windows."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How far somebody has read."""

    person: Person
    seq: int


class Role(StrEnum):
    """What somebody is in a room."""

    CREATOR = "creator"
    """Has said the first word in it, or has opened it."""
    MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for everybody in a room but its creator."""

    slow_seconds: int = 0
    """How long a person waits from one message to the next: slow mode."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one person stands in a room."""

    person: Person
    at: datetime
    """When that was so."""
    role: Role = Role.MEMBER
    read_up_to: int = 0
    unread: int = 0
    """Messages after that, at most `scenes.MOST_UNREAD`."""
    muted_until: datetime | None = None
    """None if they aren't muted now."""
    is_banned: bool = False
    may_speak_at: datetime | None = None
    """When slow mode lets them speak again; None for now."""

    @property
    def is_creator(self) -> bool:
        return self.role is Role.CREATOR

    def as_seen_by(self, other: Standing) -> Standing:
        """Return it without what was done to them, unless the creator looks, or they themselves."""
        if other.is_creator or other.person.id == self.person.id:
            return self
        return replace(self, muted_until=None, is_banned=False, may_speak_at=None)


def check_may_be_here(standing: Standing) -> None:
    """Raise `NotAllowed` for whoever is banned."""
    if standing.is_banned:
        raise NotAllowed("you are banned from this room")


def check_may_act(standing: Standing) -> None:
    """Raise `NotAllowed` for whoever is banned, or muted now."""
    check_may_be_here(standing)
    if standing.muted_until is not None and standing.muted_until > standing.at:
        minutes = -(-(standing.muted_until - standing.at).total_seconds() // 60)
        span = "a minute" if minutes == 1 else f"{minutes:.0f} minutes"
        raise NotAllowed(f"you are muted in this room, for {span} more")


def check_may_speak(standing: Standing) -> None:
    """Raise `NotAllowed` for whoever is banned or muted, `TooSoon` where slow mode holds."""
    check_may_act(standing)
    if standing.may_speak_at is not None and standing.may_speak_at > standing.at:
        wait = (standing.may_speak_at - standing.at).total_seconds()
        sentence = f"this room is in slow mode: you can speak again in {-(-wait // 1):.0f} s"
        raise TooSoon(sentence, wait)


def check_may_moderate(standing: Standing, whom: Person | None = None) -> None:
    """Raise `NotAllowed` for all but the room's creator, who can't be moderated either."""
    if not standing.is_creator:
        raise NotAllowed("only the room's creator can do that")
    if whom is not None and whom.id == standing.person.id:
        raise NotAllowed("you can't do that to yourself")


def in_order(visitors: Iterable[Visitor]) -> tuple[Visitor, ...]:
    """Return them by name, and whoever is away after the others."""

    def place(visitor: Visitor) -> tuple[bool, str, str]:
        return visitor.is_away, visitor.person.name.casefold(), visitor.person.id

    return tuple(sorted(visitors, key=place))


def with_reader(visitors: Iterable[Visitor], reader: Person) -> tuple[Visitor, ...]:
    """Return them with whoever is reading the page, whose socket isn't there yet."""
    others = [visitor for visitor in visitors if visitor.person.id != reader.id]
    return in_order([*others, Visitor(reader, is_away=False)])
