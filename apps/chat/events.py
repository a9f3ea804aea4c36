"""What programs send to a chat room, and what they get, as values with their limits.

Browsers send the first of them as forms, and get HTML: see `views`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from apps.chat.domain import Message, message_text

ClientId = Annotated[str, StringConstraints(pattern=r"^[\w-]{1,36}$")]
"""Chosen by the client, a UUID for instance; a resend with the same one is stored once."""

Text = Annotated[str, AfterValidator(message_text)]


class Body(BaseModel):
    """Base of all of them: immutable, and unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# From the client.


class PostMessage(Body):
    """Say something."""

    client_id: ClientId
    text: Text


# From the room.


class MessagePosted(Body):
    """Somebody has said something."""

    seq: int
    """Position in the room, from 1, without gaps."""
    client_id: str
    author_id: str
    author: str
    text: str
    posted_at: datetime

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
        )
