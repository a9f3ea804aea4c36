"""What a process holds of one object: its sockets, and its activation while it is awake."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from runtime import events
from runtime.activation import Activation
from runtime.catalog import Key
from runtime.clock import Clock
from runtime.errors import Overloaded
from runtime.events import MAX_TASKS, OVERLOADED
from runtime.ids import ObjectId
from runtime.sockets import Message, SocketSet, WebSocket

INTERNAL_ERROR: Final = 1011  # the close code for a socket whose object can't be started

Event = Callable[[Activation], object]
Refuse = Callable[[Exception], object]


class Hosting(Protocol):
    """What a resident needs from its host."""

    clock: Clock

    def handles(self, key: Key, handler: str) -> bool:
        """Whether an object's class has a handler; if not, it needn't be woken for it."""

    def deliver(self, resident: Resident, event: Event, refuse: Refuse) -> None:
        """Have an object handle an event."""

    def forget_if_idle(self, resident: Resident) -> None:
        """Let go of an object that is asleep and has no socket."""


class Resident:
    """What the process holds of one object: its sockets, and its activation while it is awake.

    Invariants:
        - There is at most one activation, and none while the last one's database is closing (I1).
    """

    def __init__(self, host: Hosting, key: Key, id: ObjectId) -> None:
        self.key = key
        self.id = id
        self.sockets = SocketSet(self, host.clock.time)
        self.life: Activation | None = None
        self.is_closing = False
        self.waits_for_disk = False
        """Whether it can't go on closing until the disk lets it."""
        self.waiting: deque[tuple[Event, Refuse]] = deque()
        self._host = host

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing left to know of it."""
        return not (self.life or self.is_closing or self.waiting or len(self.sockets))

    def wait(self, event: Event, refuse: Refuse) -> None:
        """Keep an event for the next life, once this one's database is closed."""
        if len(self.waiting) < MAX_TASKS:
            self.waiting.append((event, refuse))
        else:
            refuse(Overloaded(OVERLOADED, durable_object_id=self.id.hex))

    # Where what arrives on its sockets goes: `sockets.SocketEvents`.

    def message(self, ws: WebSocket, message: Message) -> None:
        if self._host.handles(self.key, "web_socket_message"):
            receive = partial(events.receive, ws=ws, message=message)
            self._host.deliver(self, receive, lambda _: ws.drop(INTERNAL_ERROR, ""))

    def close(self, ws: WebSocket, code: int, reason: str, was_clean: bool) -> None:
        if self._host.handles(self.key, "web_socket_close"):
            lose = partial(events.lose, ws=ws, code=code, reason=reason, was_clean=was_clean)
            self._host.deliver(self, lose, lambda _: self.sockets.remove(ws))
        else:
            self.sockets.remove(ws)
            self._host.forget_if_idle(self)
