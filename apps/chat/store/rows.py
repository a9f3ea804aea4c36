"""How a message is kept: as a row of columns, which the archive keeps too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from apps.chat.domain import Kind, Message, Person, Reaction
from runtime import SqlStorage

COLUMNS = (
    "seq, client_id, author_id, author, text, posted_at, "
    "kind, revision, edited_at, deleted_by, mentions, reactions"
)


def now(sql: SqlStorage) -> datetime:
    """Return the time, as the database has it."""
    return moment(sql.exec("SELECT unixepoch('subsec') AS now").one()["now"])


def moment(seconds: float) -> datetime:
    """Return a time that is kept in seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)


def message_of(**row: Any) -> Message:
    """Return the message that a row keeps. Whether it is pinned isn't in the row."""
    deleted_by = json.loads(row["deleted_by"])
    reactions: Mapping[str, list[list[str]]] = json.loads(row["reactions"])
    return Message(
        row["seq"],
        row["client_id"],
        Person(row["author_id"], row["author"]),
        row["text"],
        moment(row["posted_at"]),
        Kind(row["kind"]),
        row["revision"],
        None if row["edited_at"] is None else moment(row["edited_at"]),
        None if deleted_by is None else Person(*deleted_by),
        tuple(Person(*person) for person in json.loads(row["mentions"])),
        tuple(
            Reaction(kind, tuple(Person(*person) for person in people))
            for kind, people in reactions.items()
        ),
    )


def row_of(message: Message) -> dict[str, Any]:
    """Return the columns that keep a message."""
    deleted_by, edited_at = message.deleted_by, message.edited_at
    return {
        "seq": message.seq,
        "client_id": message.client_id,
        "author_id": message.author.id,
        "author": message.author.name,
        "text": message.text,
        "posted_at": message.posted_at.timestamp(),
        "kind": str(message.kind),
        "revision": message.revision,
        "edited_at": None if edited_at is None else edited_at.timestamp(),
        "deleted_by": json.dumps(deleted_by and [deleted_by.id, deleted_by.name]),
        "mentions": people_json(message.mentions),
        "reactions": json.dumps(
            {reaction.kind: _plain(reaction.people) for reaction in message.reactions}
        ),
    }


def people_json(people: tuple[Person, ...]) -> str:
    """Return the column that keeps some people."""
    return json.dumps(_plain(people))


def _plain(people: tuple[Person, ...]) -> list[list[str]]:
    return [[person.id, person.name] for person in people]


def pinned(sql: SqlStorage, messages: list[Message]) -> list[Message]:
    """Return messages with those marked that are pinned."""
    pins = {row["seq"] for row in sql.exec("SELECT seq FROM pins")}
    if not pins:
        return messages
    return [
        replace(message, is_pinned=True) if message.seq in pins else message for message in messages
    ]
