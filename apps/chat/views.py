"""From values to HTML: the fragments and pages of the chat, for answers and every push."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from markupsafe import Markup

from apps import pages
from apps.chat.domain import (
    MAX_SEARCH,
    MAX_TEXT,
    MAX_TITLE,
    REACTIONS,
    SLOW_CHOICES,
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

# A message is in pages, answers and pushes, which give its template the message and nothing else.
pages.environment.globals["parts"] = parts

Context = dict[str, Any]
MOST_RENDERED = 100  # messages that are kept as HTML, for the answer that follows their push

# Pushes. Each may come twice, and says by an id where it belongs.


def new_message(message: Message, cursor: str = "") -> str:
    """Return a push that puts a message into its place; without a cursor, the answer to a POST."""
    return pages.render("chat/_new_message.html", item=_item(message), cursor=cursor)


def changed_message(message: Message, cursor: str = "") -> str:
    """Return a push that shows a message as it is now, where it is shown at all; or an answer."""
    seq, item = message.seq, _item(message)
    return pages.render("chat/_changed_message.html", seq=seq, item=item, cursor=cursor)


def retracted(push: str, message: Message, cursor: str) -> str:
    """Return what is sent instead of an older push to whoever comes back after a deletion.

    That is the push itself, unless it shows the message that was deleted. The one that put it into
    its place puts there what is left of it. A later one that changed or pinned it says nothing,
    since there is a newer one.

    Args:
        message: As it is now.
        cursor: Of the older push.
    """
    # No text that people write can have these: in it a quotation mark is `&#34;`.
    if f' data-seq="{message.seq}"' in push:
        return new_message(message, cursor) if "<hx-upsert " in push else ""
    return "" if f'"?around={message.seq}#message-{message.seq}"' in push else push


@lru_cache(MOST_RENDERED)
def _item(message: Message) -> Markup:
    return Markup(pages.render("chat/_message.html", message=message))


def all_messages(messages: Sequence[Message], cursor: str) -> str:
    """Return a push that replaces what the log shows."""
    return pages.render("chat/_all_messages.html", messages=messages, cursor=cursor)


def people(visitors: Sequence[Visitor]) -> str:
    """Return a push that replaces the list of who is here."""
    return pages.render("chat/_new_people.html", visitors=visitors)


def pins(pins: Sequence[Message], cursor: str) -> str:
    """Return a push that replaces the line of what is pinned."""
    return pages.render("chat/_new_pins.html", pins=pins, cursor=cursor)


def rules(rules: Rules, cursor: str) -> str:
    """Return a push that says how fast people may speak."""
    return pages.render("chat/_new_rules.html", rules=rules, cursor=cursor)


def readers(readers: Sequence[Reader]) -> str:
    """Return a push that says how far everybody has read."""
    return pages.render("chat/_new_readers.html", readers=readers)


def typing(person: Person) -> str:
    """Return a push that says of somebody that they type. The page forgets it by itself."""
    return pages.render("chat/_typing.html", person=person)


def notice(sentence: str) -> str:
    """Return a push that tells somebody something at once."""
    return pages.render("chat/_new_notice.html", notice=sentence)


def turned_away(sentence: str) -> str:
    """Return a push that tells somebody why their connection is about to end."""
    return pages.render("chat/_turned_away.html", notice=sentence)


def inbox(unread: Sequence[Unread]) -> str:
    """Return a push that replaces somebody's list of rooms."""
    return pages.render("chat/_new_inbox.html", unread=unread)


# Pages.


def home(
    guest: Guest | None,
    listings: Sequence[Listing],
    unread: Sequence[Unread],
    *,
    name: str = "",
    room: str = "",
    error: str = "",
) -> Context:
    """Return what the page with all rooms shows. `name` and `room` are what was refused."""
    known = {entry.room for entry in unread}
    return {
        "guest": guest,
        "unread": unread,
        "listings": [listing for listing in listings if listing.room not in known],
        "name": name,
        "room": room,
        "error": error,
        "max_title": MAX_TITLE,
    }


def room(
    scene: Scene,
    guest: Guest,
    client_id: str,
    *,
    text: str = "",
    notice: str = "",
    has_strip: bool = False,
) -> Context:
    """Return what a room's page shows.

    Args:
        client_id: Of the next message that is sent from the page.
        text: What was to be said, and was refused, for the reason in `notice`.
        has_strip: Whether to show what goes on behind the room.
    """
    return {
        "scene": scene,
        "guest": guest,
        "messages": scene.messages,
        "visitors": with_reader(scene.visitors, Person(guest.id, guest.name)),
        "pins": scene.pins,
        "rules": scene.rules,
        "readers": scene.readers,
        "first_unread": _first_unread(scene),
        "max_text": MAX_TEXT,
        "client_id": client_id,
        "text": text,
        "notice": notice,
        "has_strip": has_strip,
    }


def older(scene: Scene, guest: Guest) -> Context:
    """Return what is put before, or behind, the messages that a page shows already."""
    return {"scene": scene, "messages": scene.messages, "guest": guest}


def message(
    closeup: Closeup, guest: Guest, *, text: str | None = None, notice: str = ""
) -> Context:
    """Return what a message's page shows: all that its reader may do with it.

    Args:
        text: What it was to be changed to, and wasn't, for the reason in `notice`.
    """
    author = closeup.message.author
    mine = {
        reaction.kind
        for reaction in closeup.message.reactions
        if any(person.id == guest.id for person in reaction.people)
    }
    return {
        "room": closeup.room,
        "title": closeup.title,
        "message": closeup.message,
        "readers": [each for each in closeup.readers if each.id not in (author.id, guest.id)],
        "may": closeup.may,
        "reactions": [(kind, emoji, kind in mine) for kind, emoji in REACTIONS.items()],
        "text": text,
        "notice": notice,
        "guest": guest,
    }


def search(
    scene: Scene, guest: Guest, words: str, messages: Sequence[Message], error: str = ""
) -> Context:
    """Return what the page that searches a room shows."""
    return {
        "room": scene.room,
        "title": scene.title,
        "words": words,
        "messages": messages,
        "error": error,
        "guest": guest,
        "max_search": MAX_SEARCH,
    }


def about(about: About, guest: Guest) -> Context:
    """Return what the page about a room shows; to its creator, what they can do there."""
    scene = about.scene
    return {
        "scene": scene,
        "room": scene.room,
        "title": scene.title,
        "standings": about.standings,
        "audit": about.audit,
        "here_now": {visitor.person.id for visitor in scene.visitors},
        "slow_choices": SLOW_CHOICES,
        "guest": guest,
    }


def strip(room: str, happening: Happening) -> Context:
    """Return what the strip shows: what goes on behind a room."""
    return {"room": room, "happening": happening}


def _first_unread(scene: Scene) -> int | None:
    """Return the message above which the line goes; None for whoever has read all, or nothing."""
    if not scene.me.read_up_to or not scene.me.unread:
        return None
    new = (each.seq for each in scene.messages if each.seq > scene.me.read_up_to)
    return next(new, None)
