"""From values to HTML: the room's fragments, for the page, the answers and every push."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps import pages
from apps.chat.domain import MAX_TEXT, Message, Person, Scene, Visitor, with_reader
from apps.identity import Guest


def room(name: str, scene: Scene, guest: Guest, client_id: str) -> dict[str, Any]:
    """Return what the room's page shows. The next message sent from it has `client_id`."""
    return {
        "room": name,
        "guest": guest,
        "messages": scene.messages,
        "visitors": with_reader(scene.visitors, Person(guest.id, guest.name)),
        "cursor": scene.cursor,
        "max_text": MAX_TEXT,
        "client_id": client_id,
    }


def new_message(message: Message, cursor: str) -> str:
    """Return a push that puts a message into its place; doing it twice does no harm."""
    return pages.render("chat/_new_message.html", message=message, cursor=cursor)


def all_messages(messages: Sequence[Message], cursor: str) -> str:
    """Return a push that replaces what the log shows."""
    return pages.render("chat/_all_messages.html", messages=messages, cursor=cursor)


def people(visitors: Sequence[Visitor]) -> str:
    """Return a push that replaces the list of who is here."""
    return pages.render("chat/_new_people.html", visitors=visitors)
