"""A room's own SQL: functions that keep values of the domain, and return them."""

from apps.chat.store import archive, members, reading, room, words
from apps.chat.store.messages import (
    append,
    can_pin_more,
    find,
    is_what_was_sent,
    last_post_at,
    last_seq,
    messages_after,
    messages_before,
    pins,
    pushes,
    replace_push,
    save,
    sent_before,
)
from apps.chat.store.rows import now
from apps.chat.store.schema import MIGRATIONS

__all__ = [
    "MIGRATIONS",
    "append",
    "archive",
    "can_pin_more",
    "find",
    "is_what_was_sent",
    "last_post_at",
    "last_seq",
    "members",
    "messages_after",
    "messages_before",
    "now",
    "pins",
    "pushes",
    "reading",
    "replace_push",
    "room",
    "save",
    "sent_before",
    "words",
]
