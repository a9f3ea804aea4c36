"""What a process holds of one object: its sockets, and its activation while it is awake."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from runtime import events
from runtime.activation import Activation
from runtime.catalog import Key
from runtime.clock import Clock
from runtime.connection import INTERNAL_ERROR, SERVICE_RESTART, TRY_AGAIN_LATER, Traffic
from runtime.errors import Overloaded, ShuttingDown
from runtime.ids import ObjectId
from runtime.inbox import MAX_TASKS, MAX_WAITING_BYTES, TOO_LONG, TOO_MANY, TOO_MUCH, Inbox
from runtime.journal import Journal
from runtime.messages import Message
from runtime.sockets import SocketSet, WebSocket
from runtime.tasks import ObjectTask

# From here on sockets aren't read, which leaves room for calls, and for what was read already.
CONGESTED_TASKS: Final = MAX_TASKS // 4
CONGESTED_BYTES: Final = MAX_WAITING_BYTES // 2
LOOK_SECONDS: Final = 0.25  # until it is looked whether paused sockets can be read again

Event = Callable[[Activation], ObjectTask | None]
"""Something to be done in a life, and the task of it, if that may have to wait there."""
Refuse = Callable[[Exception], object]


class Hosting(Protocol):
    """What a resident needs from its host."""

    clock: Clock
    traffic: Traffic
    journal: Journal
    is_draining: bool

    def handles(self, key: Key, handler: str) -> bool:
        """Whether an object's class has a handler; if not, it needn't be woken for it."""

    def deliver(self, resident: Resident, event: Event, refuse: Refuse) -> None:
        """Have an object handle an event."""

    def forget_if_idle(self, resident: Resident) -> None:
        """Let go of an object that is asleep and has no socket."""


@dataclass(eq=False, slots=True)
class Waiting:
    """An event that waits for the next life."""

    event: Event
    refuse: Refuse


class Resident:
    """What the process holds of one object: its sockets, and its activation while it is awake.

    Invariants:
        - There is at most one activation, and none while the last one's database is closing (I1).
        - While a socket isn't read, somebody is going to look whether it can be.
        - What was set for all sockets outlives their object, though there be none (I6).
    """

    def __init__(self, host: Hosting, key: Key, id: ObjectId) -> None:
        self.key = key
        self.id = id
        self.sockets = SocketSet(self, host.clock.time, host.traffic)
        self.inbox = Inbox(host.clock)
        self.life: Activation | None = None
        self.is_closing = False
        self.waits_for_disk = False
        """Whether it can't go on closing until the disk lets it."""
        self.waiting: deque[Waiting] = deque()
        self._is_relieving = self._is_looking = self._is_set_up = False
        self._host = host

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing left to know of it."""
        is_used = self.life or self.is_closing or self.waiting or len(self.sockets)
        is_set = self._is_set_up and (self.sockets.auto_response or self.sockets.event_timeout)
        return not (is_used or (is_set and not self._host.is_draining))

    def broke(self) -> None:
        """Forget what a life has set that is lost, unless there are sockets that it holds for."""
        self.life = None
        if not len(self.sockets):
            self.sockets.auto_response = self.sockets.event_timeout = None

    def wait(self, event: Event, refuse: Refuse) -> None:
        """Keep an event for the next life, once this one's database is closed."""
        # There are no more ends of sockets than there were sockets, and nobody to refuse them to.
        is_end = isinstance(event, partial) and event.func is events.lose
        if len(self.waiting) >= MAX_TASKS and not is_end:
            refuse(self._overloaded(TOO_MANY))
            return
        waiting = Waiting(event, refuse)
        size, is_call = events.weigh(event)
        if self.inbox.add(waiting, size, partial(self._expire, waiting) if is_call else None):
            self.waiting.append(waiting)
        else:
            refuse(self._overloaded(TOO_MUCH))

    def next(self) -> Waiting:
        """Take out the event that has waited longest."""
        waiting = self.waiting.popleft()
        self.inbox.take(waiting)
        return waiting

    def _expire(self, waiting: Waiting) -> None:
        self.waiting.remove(waiting)
        waiting.refuse(self._overloaded(TOO_LONG))

    def _overloaded(self, why: str) -> Overloaded:
        return Overloaded(why, durable_object_id=self.id.hex)

    # Where what arrives on its sockets goes: `connection.SocketEvents`.

    def message(self, ws: WebSocket, message: Message) -> None:
        life, name = self.life, "web_socket_message"
        handles = self._host.handles(self.key, name) if life is None else name in life.handlers
        if handles and not self._host.is_draining:
            receive = partial(events.receive, ws=ws, message=message)
            self._host.deliver(self, receive, partial(_drop, ws))

    def error(self, ws: WebSocket, error: Exception) -> None:
        if self._host.handles(self.key, "web_socket_error") and not self._host.is_draining:
            fail = partial(events.fail, ws=ws, error=error)
            self._host.deliver(self, fail, lambda _: None)

    def close(self, ws: WebSocket, code: int, reason: str, was_clean: bool) -> None:
        if self._host.handles(self.key, "web_socket_close") and not self._host.is_draining:
            lose = partial(events.lose, ws=ws, code=code, reason=reason, was_clean=was_clean)
            self._host.deliver(self, lose, lambda _: self.sockets.remove(ws))
        else:
            self.sockets.remove(ws)
            self._host.forget_if_idle(self)

    @property
    def is_congested(self) -> bool:
        return (
            self._load >= CONGESTED_TASKS
            or self.inbox.bytes >= CONGESTED_BYTES
            or self._host.journal.is_filling
        )

    def set_up(self) -> None:
        self._is_set_up = True

    def held_up(self) -> None:
        # Work that never ends may keep `eased` from ever being half as much, and the journal says
        # nothing when it has room again.
        if not self._is_looking:
            self._is_looking = True
            self._host.clock.call_later(LOOK_SECONDS, self._look)

    def eased(self) -> None:
        is_half = self._load * 2 <= CONGESTED_TASKS and self.inbox.bytes * 2 <= CONGESTED_BYTES
        if is_half and not self._is_relieving:  # in a turn of its own: this is inside a step
            self._is_relieving = True
            asyncio.get_running_loop().call_soon(self._relieve, context=Context())

    @property
    def _load(self) -> int:
        return len(self.waiting) + (0 if self.life is None else len(self.life.tasks))

    def _relieve(self) -> None:
        self._is_relieving = False
        self.sockets.relieve()

    def _look(self) -> None:
        self._is_looking = False
        self.sockets.relieve()
        if self.sockets.paused:
            self.held_up()


def _drop(ws: WebSocket, why: Exception) -> None:
    """Close the socket of a message that can't be delivered."""
    match why:
        case Overloaded():
            ws.drop(TRY_AGAIN_LATER, str(why))
        case ShuttingDown():
            ws.drop(SERVICE_RESTART, str(why))
        case _:
            ws.drop(INTERNAL_ERROR, "")
