"""What is sent to the chat, and what programs get of it, as values with their limits.

Browsers send the same as forms, and get HTML: see `views`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from apps.chat.domain import MOST_MUTED_MINUTES, Kind, Message, Person, message_text, room_title
from apps.numbers import Flag, Whole

ClientId = Annotated[str, StringConstraints(pattern=r"^[\w-]{1,36}$")]
"""Chosen by the client, a UUID for instance; a resend with the same one is stored once."""

Text = Annotated[str, AfterValidator(message_text)]
Title = Annotated[str, AfterValidator(room_title)]
Seq = Annotated[Whole, Field(ge=0, le=10**15)]
ReactionKind = Literal["thumbs_up", "heart", "laugh", "party", "wow", "sad", "eyes", "check"]


class Body(BaseModel):
    """Base of all of them: immutable, and unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# From the client.


class PostMessage(Body):
    """Say something."""

    client_id: ClientId
    text: Text


class EditMessage(Body):
    """Change what one has said."""

    text: Text
    revision: Seq
    """Of the message that was changed: a newer one isn't overwritten."""


class React(Body):
    """React to a message, or not any more."""

    kind: ReactionKind
    on: Flag


class Switch(Body):
    """Pin a message or ban somebody, or not any more."""

    on: Flag


class Mute(Body):
    """Have somebody not speak for a while."""

    minutes: Annotated[Whole, Field(ge=0, le=MOST_MUTED_MINUTES)]


class SlowDown(Body):
    """Have everybody wait between two messages."""

    seconds: Seq


class OpenPrivate(Body):
    """Open a room that only those find who are given its address."""

    title: Title


class ReadUpTo(Body):
    """Have read something."""

    seq: Seq


# From the room.


class Somebody(Body):
    """A person."""

    id: str
    name: str

    @classmethod
    def of(cls, person: Person) -> Somebody:
        """Return what tells of `person`."""
        return cls(id=person.id, name=person.name)


class RoomOpened(Body):
    """There is a room."""

    room: str
    """How it is called in addresses: ``/api/chat/rooms/{room}``."""


class MessagePosted(Body):
    """Somebody has said something."""

    seq: int
    """Position in the room, from 1, without gaps."""
    client_id: str
    author_id: str
    author: str
    text: str
    """Empty once it is deleted."""
    posted_at: datetime
    kind: Kind
    revision: int
    """How often it was edited."""
    edited_at: datetime | None
    is_deleted: bool
    is_pinned: bool
    mentions: list[Somebody]
    reactions: dict[str, list[Somebody]]
    """Who reacts to it, by how."""

    @classmethod
    def of(cls, message: Message) -> MessagePosted:
        """Return the event that tells of `message`."""
        return cls(
            seq=message.seq,
            client_id=message.client_id,
            author_id=message.author.id,
            author=message.author.name,
            text=message.text,
            posted_at=message.posted_at,
            kind=message.kind,
            revision=message.revision,
            edited_at=message.edited_at,
            is_deleted=message.is_deleted,
            is_pinned=message.is_pinned,
            mentions=[Somebody.of(person) for person in message.mentions],
            reactions={
                reaction.kind: [Somebody.of(person) for person in reaction.people]
                for reaction in message.reactions
            },
        )


class RoomShown(Body):
    """A room, as somebody sees it."""

    room: str
    title: str
    kind: str
    role: str
    unread: int
    """Messages that they haven't read; so many as 100 mean "or more"."""
    read_up_to: int
    muted_until: datetime | None
    slow_seconds: int
    people: list[Somebody]
    """Who is there now."""
    pins: list[MessagePosted]
