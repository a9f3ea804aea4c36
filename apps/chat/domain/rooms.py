"""Which rooms there are, and what they are called."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

from apps.chat.domain.refusals import Unacceptable
from apps.chat.domain.visible import is_readable, is_visible, shows_nothing

MAX_ROOM_NAME = 32  # characters
MAX_TITLE = 60  # characters

_PRIVATE = re.compile(r"[0-9a-f]{64}")
_DIRECT = re.compile(r"([0-9a-f]{16})~([0-9a-f]{16})")


class RoomKind(StrEnum):
    """Who may enter a room."""

    OPEN = "open"
    """Everybody."""
    PRIVATE = "private"
    """Whoever has its address, which nobody can guess."""
    DIRECT = "direct"
    """Two people."""


class BadRoomName(Unacceptable):
    """No room can have that name."""

    def __str__(self) -> str:
        return f"a room's name has 1 to {MAX_ROOM_NAME} letters, digits, dashes or underscores"


def room_kind(room: str) -> RoomKind:
    """Return what kind of room that is: its kind shows in how it is called in addresses."""
    if _PRIVATE.fullmatch(room):
        return RoomKind.PRIVATE
    return RoomKind.DIRECT if "~" in room else RoomKind.OPEN


def room_address(text: str) -> str:
    """Return the one spelling of a room in addresses, of whatever kind it is.

    Raises:
        BadRoomName: If it can't be a room.
    """
    if _PRIVATE.fullmatch(text):
        return text
    if pair := _DIRECT.fullmatch(text):
        return direct_room(*pair.groups())
    return room_name(text)


def direct_room(one: str, other: str) -> str:
    """Return the room of two people, the same whoever asks.

    Args:
        one: A person's id, and `other` somebody else's.

    Raises:
        BadRoomName: If they are one person, or one is nobody.
    """
    first, second = sorted((one, other))
    room = f"{first}~{second}"
    if first == second or not _DIRECT.fullmatch(room):
        raise BadRoomName
    return room


def direct_people(room: str) -> tuple[str, ...]:
    """Return the ids of the two people of a direct room; nobody for any other room."""
    pair = _DIRECT.fullmatch(room)
    return () if pair is None else pair.groups()


def room_name(text: str) -> str:
    """Return the one spelling of an open room's name: in lower case, blanks as dashes.

    Raises:
        BadRoomName: If it can't be a room's name.
    """
    lower = unicodedata.normalize("NFC", text).lower()
    name = "-".join(unicodedata.normalize("NFC", lower).split())
    is_fit = 1 <= len(name) <= MAX_ROOM_NAME and all(map(_is_in_a_name, name))
    if not is_fit or _is_mark(name[0]):
        raise BadRoomName
    return name


def room_title(text: str) -> str:
    """Return what a private room is called on its page: on one line, without invisible marks.

    Raises:
        Unacceptable: If nothing is left, it is too long, or has characters nobody can read.
    """
    title = " ".join(unicodedata.normalize("NFC", text).split())
    if not title or len(title) > MAX_TITLE:
        raise Unacceptable(f"a room's title has 1 to {MAX_TITLE} characters")
    if not all(map(is_readable, title)):
        raise Unacceptable("a room's title can't have control characters")
    if not is_visible(title):
        raise Unacceptable("a room's title needs something that can be seen")
    return title


def _is_in_a_name(character: str) -> bool:
    if shows_nothing(character):  # with them, two rooms could look the same
        return False
    return character.isalnum() or character in "-_" or _is_mark(character)


def _is_mark(character: str) -> bool:
    # It belongs to the letter before it, in Hindi for instance.
    return unicodedata.category(character) in ("Mn", "Mc")
