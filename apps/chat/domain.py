"""The rules of a chat room. No I/O, no clock, no randomness."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

MAX_TEXT = 2_000  # characters of one message
MAX_ROOM_NAME = 32  # characters
PAGE = 50  # messages: what a newcomer sees, and what one request returns unless it says otherwise

# Letters and marks that show as nothing: with them, two rooms could look the same.
_INVISIBLE = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0]|[\U000e0100-\U000e01ef]"
)


class ChatRefusal(ValueError):
    """What the room doesn't do, in words for whoever asked."""


class BadRoomName(ChatRefusal):
    """No room can have that name."""

    def __str__(self) -> str:
        return f"a room's name has 1 to {MAX_ROOM_NAME} letters, digits, dashes or underscores"


class BadText(ChatRefusal):
    """That is no message."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a room. Two people may have the same name, never the same id."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody has said."""

    seq: int
    """Position in the room, from 1, without gaps."""
    client_id: str
    """Chosen by the sender; a second message with the same one is the same message."""
    author: Person
    text: str
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is in the room now."""

    person: Person
    is_away: bool
    """Whether nobody looks at any of their windows."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What somebody sees who enters a room."""

    messages: tuple[Message, ...]
    visitors: tuple[Visitor, ...]
    cursor: str
    """From where to go on, once they are connected."""


def room_name(text: str) -> str:
    """Return the one spelling of a room's name: in lower case, blanks as dashes.

    Raises:
        BadRoomName: If it can't be a room's name.
    """
    lower = unicodedata.normalize("NFC", text).lower()
    name = "-".join(unicodedata.normalize("NFC", lower).split())
    is_fit = 1 <= len(name) <= MAX_ROOM_NAME and all(map(_is_in_a_name, name))
    if not is_fit or _is_mark(name[0]):
        raise BadRoomName
    return name


def _is_in_a_name(character: str) -> bool:
    if _INVISIBLE.match(character):
        return False
    return character.isalnum() or character in "-_" or _is_mark(character)


def _is_mark(character: str) -> bool:
    # It belongs to the letter before it, in Hindi for instance.
    return unicodedata.category(character) in ("Mn", "Mc")


def message_text(text: str) -> str:
    """Return a message's text as it is kept: without blanks around it, lines ended alike.

    Raises:
        BadText: If nothing is left, it is too long, or has characters nobody can read.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text:
        raise BadText("a message needs some text")
    if len(text) > MAX_TEXT:
        raise BadText(f"a message has at most {MAX_TEXT:,} characters; this one has {len(text):,}")
    if any(_is_unreadable(character) for character in text):
        raise BadText("a message can't have control characters")
    return text


def _is_unreadable(character: str) -> bool:
    # Cc: control characters, such as NUL. Cs: half of a character, which no UTF-8 can carry.
    return character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cs")


def in_order(visitors: Iterable[Visitor]) -> tuple[Visitor, ...]:
    """Return them by name, and whoever is away after the others."""

    def place(visitor: Visitor) -> tuple[bool, str, str]:
        return visitor.is_away, visitor.person.name.casefold(), visitor.person.id

    return tuple(sorted(visitors, key=place))


def with_reader(visitors: Iterable[Visitor], reader: Person) -> tuple[Visitor, ...]:
    """Return them with whoever is reading the page, whose socket isn't there yet."""
    others = [visitor for visitor in visitors if visitor.person.id != reader.id]
    return in_order([*others, Visitor(reader, is_away=False)])
