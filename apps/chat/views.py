"""From values to HTML: the room's fragments, for the page, the answers and every push."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps import pages
from apps.chat.domain import (
    MAX_TEXT,
    About,
    Closeup,
    Happening,
    Listing,
    Message,
    Person,
    Reader,
    Rules,
    Scene,
    Unread,
    Visitor,
    parts,
    with_reader,
)
from apps.identity import Guest

# Pages.


def home(
    guest: Guest | None,
    listings: Sequence[Listing],
    unread: Sequence[Unread],
    *,
    name: str = "",
    room: str = "",
    error: str = "",
) -> dict[str, Any]:
    """Return what the chat's home shows: a form, what is new for the guest, and all rooms."""
    return {
        "guest": guest,
        "rooms": [listing.room for listing in listings],
        "unread": unread,
        "name": name or (guest.name if guest else ""),
        "room": room,
        "error": error,
    }


def room(
    scene: Scene,
    guest: Guest,
    client_id: str,
    *,
    text: str = "",
    notice: str = "",
    has_strip: bool = False,
) -> dict[str, Any]:
    """Return what the room's page shows. The next message sent from it has `client_id`.

    Args:
        text: What the guest has written, if the page is shown because it was refused.
        notice: Why it was.
        has_strip: Whether to show what goes on behind the room.
    """
    return {
        "scene": scene,
        "room": scene.room,
        "guest": guest,
        "messages": scene.messages,
        "visitors": with_reader(scene.visitors, Person(guest.id, guest.name)),
        "cursor": scene.cursor,
        "max_text": MAX_TEXT,
        "client_id": client_id,
        "text": text,
        "notice": notice,
        "has_strip": has_strip,
    }


def older(scene: Scene, guest: Guest) -> dict[str, Any]:
    """Return what a page of older messages shows."""
    return {"scene": scene, "messages": scene.messages, "guest": guest}


def message(closeup: Closeup, guest: Guest) -> dict[str, Any]:
    """Return what the page of one message shows, with what the guest may do to it."""
    return {"closeup": closeup, "message": closeup.message, "guest": guest}


def search(
    scene: Scene, guest: Guest, words: str, messages: Sequence[Message], error: str = ""
) -> dict[str, Any]:
    """Return what the page of a search in a room shows."""
    return {"scene": scene, "guest": guest, "words": words, "messages": messages, "error": error}


def about(about: About, guest: Guest) -> dict[str, Any]:
    """Return what the page about a room shows."""
    return {"about": about, "scene": about.scene, "guest": guest}


def strip(room: str, happening: Happening) -> dict[str, Any]:
    """Return what is shown of what goes on behind a room."""
    return {"room": room, "happening": happening}


# Pushes. Each has a key, so that one that comes twice does no harm.


def new_message(message: Message, cursor: str) -> str:
    """Return a push that puts a message into its place; doing it twice does no harm."""
    return pages.render("chat/_new_message.html", message=message, cursor=cursor)


def changed_message(message: Message, cursor: str) -> str:
    """Return a push that shows a message as it is now, where it is shown."""
    return pages.render("chat/_changed_message.html", message=message, cursor=cursor)


def all_messages(messages: Sequence[Message], cursor: str) -> str:
    """Return a push that replaces what the log shows."""
    return pages.render("chat/_all_messages.html", messages=messages, cursor=cursor)


def people(visitors: Sequence[Visitor]) -> str:
    """Return a push that replaces the list of who is here."""
    return pages.render("chat/_new_people.html", visitors=visitors)


def pins(pins: Sequence[Message], cursor: str) -> str:
    """Return a push that replaces the pinned messages."""
    return pages.render("chat/_new_pins.html", pins=pins, cursor=cursor)


def rules(rules: Rules, cursor: str) -> str:
    """Return a push that says what holds for everybody from now on."""
    return pages.render("chat/_new_rules.html", rules=rules, cursor=cursor)


def readers(readers: Sequence[Reader]) -> str:
    """Return a push that says who has read how far."""
    return pages.render("chat/_new_readers.html", readers=readers)


def typing(person: Person) -> str:
    """Return a push that says that somebody is typing."""
    return pages.render("chat/_typing.html", person=person)


def notice(sentence: str) -> str:
    """Return a push that says something to one person."""
    return pages.render("chat/_new_notice.html", notice=sentence)


def turned_away(sentence: str) -> str:
    """Return a push that says why no other will come."""
    return pages.render("chat/_new_notice.html", notice=sentence)


def inbox(unread: Sequence[Unread]) -> str:
    """Return a push that replaces what is new for somebody, on the chat's home."""
    return pages.render("chat/_new_inbox.html", unread=unread)


pages.environment.globals["parts"] = parts
