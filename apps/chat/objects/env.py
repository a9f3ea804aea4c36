"""What a room can reach beside itself."""

from __future__ import annotations

from typing import Protocol

from apps.chat.objects.directory import RoomDirectory
from apps.chat.objects.inbox import UserInbox
from runtime import DurableObjectNamespace


class Env(Protocol):
    """The bindings that rooms need."""

    directory: DurableObjectNamespace[RoomDirectory]
    inboxes: DurableObjectNamespace[UserInbox]
