"""From values to HTML: the room's fragments, for the page, the answers and every push."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps import pages
from apps.chat.domain import MAX_TEXT, Message, Person, Scene
from apps.identity import Guest


def room(name: str, scene: Scene, guest: Guest, client_id: str) -> dict[str, Any]:
    """Return what the room's page shows. The next message sent from it has `client_id`."""
    return {
        "room": name,
        "guest": guest,
        "messages": scene.messages,
        "people": scene.people,
        "last_seq": scene.messages[-1].seq if scene.messages else 0,
        "max_text": MAX_TEXT,
        "client_id": client_id,
    }


def new_messages(messages: Sequence[Message]) -> str:
    """Return a push that puts messages into their places; doing it twice does no harm."""
    return pages.render("chat/_new_messages.html", messages=messages)


def all_messages(messages: Sequence[Message]) -> str:
    """Return a push that replaces what the log shows."""
    return pages.render("chat/_all_messages.html", messages=messages)


def people(people: Sequence[Person]) -> str:
    """Return a push that replaces the list of who is here."""
    return pages.render("chat/_new_people.html", people=people)
