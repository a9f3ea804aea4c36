"""What people see: a room, the lists of rooms, and what has been done in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from apps.chat.domain.messages import Message, allowed
from apps.chat.domain.people import Person, Reader, Rules, Standing, Visitor
from apps.chat.domain.rooms import RoomKind

PAGE = 50  # messages: what a newcomer sees, and what one request returns unless it says otherwise
MOST_UNREAD = 100  # that are counted; so many mean "or more"
MOST_SHOWN = 200  # people, on the page about a room, beside those who are muted or banned
MOST_READERS = 50  # of whom a page says how far they have read


@dataclass(frozen=True, slots=True)
class Scene:
    """What somebody sees who enters a room."""

    room: str
    """How it is called in addresses."""
    title: str
    kind: RoomKind
    messages: tuple[Message, ...]
    visitors: tuple[Visitor, ...]
    cursor: str
    """From where to go on, once they are connected."""
    me: Standing
    has_older: bool = False
    has_newer: bool = False
    pins: tuple[Message, ...] = ()
    """The pinned ones, newest first."""
    readers: tuple[Reader, ...] = ()
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True, slots=True)
class Listing:
    """An open room, in the list of all."""

    room: str
    title: str
    people: int
    """Who are there now."""
    messages: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Unread:
    """A room that somebody knows, and what is new there for them."""

    room: str
    title: str
    kind: RoomKind
    unread: int
    """At most `MOST_UNREAD`."""
    mentions: int
    """How many of them name this person."""
    last_at: datetime


@dataclass(frozen=True, slots=True)
class AuditRow:
    """What a room's creator has done to somebody."""

    at: datetime
    by: Person
    action: str
    whom: Person | None
    detail: str


@dataclass(frozen=True, slots=True)
class Closeup:
    """One message, as its reader stands to it."""

    room: str
    title: str
    kind: RoomKind
    message: Message
    me: Standing
    readers: tuple[Person, ...]
    """Who has read it, as far as is known."""

    @property
    def may(self) -> frozenset[str]:
        """What the reader may do to it: see `allowed`."""
        return allowed(self.message, self.me, self.kind)


@dataclass(frozen=True, slots=True)
class About:
    """What is behind a room: who is known there, and what was done to them."""

    scene: Scene
    standings: tuple[Standing, ...]
    audit: tuple[AuditRow, ...]
    """Newest first; nothing for anybody but the room's creator."""


@dataclass(frozen=True, slots=True)
class Happening:
    """What goes on behind a room just now."""

    is_awake: bool
    why_awake: tuple[str, ...]
    sockets: int
    commits: int
    """Since it woke."""
    waiting: int
    """Events that wait for their turn."""
    held_back: int
    """Messages and answers that wait for the disk."""
