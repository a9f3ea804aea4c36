"""What leaves a node's sockets, in order and in slices.

A broadcast to thousands takes milliseconds of the one thread that all objects share. So there
is a budget for each turn of the loop; what goes beyond it waits for the next turn, behind what
other rooms have waiting. What waits belongs to the node: the object may leave memory meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from runtime.messages import Parcel

BUDGET: Final = 256  # writes in a turn: a millisecond or two
BYTES_A_WRITE: Final = 16_384  # how many bytes take about as long to write as a write itself

Turn = Callable[[Callable[[], object]], object]


class Recipient(Protocol):
    """Where something goes."""

    def leave(self, parcel: Parcel) -> None:
        """Let it leave, or keep it back for the time being. Never waits."""


class Pump:
    """Lets things leave, so much in every turn of the loop.

    Invariants:
        - While anything waits, a turn is scheduled.
        - In one turn no more is written than the budget allows, but always something.
    """

    def __init__(self, schedule: Turn) -> None:
        """Args:
        schedule: Calls a function in the loop's next turn: its ``call_soon``.
        """
        self._schedule = schedule
        self._spent = 0
        self._is_scheduled = False
        self._waiting: deque[Lane] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def take(self, cost: int, most: int = 1) -> int:
        """Return how many writes of such a cost there is time for; they count as done then."""
        left = BUDGET - self._spent
        if left <= 0:
            return 0
        count = 1 if most == 1 else min(most, -(-left // cost))
        self._spent += count * cost
        if not self._is_scheduled:
            self._is_scheduled = True
            self._schedule(self._turn)
        return count

    def queue(self, lane: Lane) -> None:
        """Have what waits in a lane leave in its turn."""
        self._waiting.append(lane)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._schedule(self._turn)

    def _turn(self) -> None:
        self._spent = 0
        self._is_scheduled = False
        waiting = self._waiting
        while waiting:
            lane = waiting.popleft()
            if lane.go_on():
                waiting.append(lane)  # the time is up, and the others come first in the next turn
                break
        if waiting and not self._is_scheduled:
            self._is_scheduled = True
            self._schedule(self._turn)


class _Delivery:
    """One thing that goes to some sockets, and how far it has come."""

    __slots__ = ("_at", "_cost", "_parcel", "_recipients")

    def __init__(self, recipients: Sequence[Recipient], parcel: Parcel, cost: int) -> None:
        self._recipients = recipients
        self._parcel = parcel
        self._cost = cost
        self._at = 0

    def go_on(self, pump: Pump) -> bool:
        """Write to as many as there is time for, and return whether all have got it."""
        recipients, parcel, at = self._recipients, self._parcel, self._at
        upto = at + pump.take(self._cost, len(recipients) - at)
        self._at = upto
        for recipient in recipients[at:upto]:
            recipient.leave(parcel)
        return upto == len(recipients)


class Lane:
    """The order in which things leave the sockets of one object.

    Invariants:
        - What was put in first leaves first; nothing overtakes, even if something is put in
          while another thing leaves: a client that is given up may make its object say so.
    """

    __slots__ = ("_is_waiting", "_is_writing", "_pump", "_queue")

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._queue: deque[_Delivery] | None = None
        self._is_writing = self._is_waiting = False

    def put(self, recipient: Recipient, parcel: Parcel) -> None:
        """Let something leave by one socket: now, if nothing waits and there is time."""
        cost = 1 + parcel.size // BYTES_A_WRITE
        if self._queue or self._is_writing or not self._pump.take(cost):
            self._wait((recipient,), parcel, cost)
            return
        self._is_writing = True
        try:
            recipient.leave(parcel)
        finally:
            self._is_writing = False

    def put_all(self, recipients: Sequence[Recipient], parcel: Parcel) -> None:
        """Let the same leave by many sockets."""
        cost = 1 + parcel.size // BYTES_A_WRITE
        if self._queue or self._is_writing:
            self._wait(recipients, parcel, cost)
            return
        self._queue = deque((_Delivery(recipients, parcel, cost),))
        if self._go_on():
            self._wait_for_turn()

    def clear(self) -> None:
        """Forget what waits."""
        self._queue = None

    def go_on(self) -> bool:
        """Take a turn, and return whether something is left for another."""
        self._is_waiting = self._go_on()
        return self._is_waiting

    def _go_on(self) -> bool:
        self._is_writing = True
        try:
            while self._queue:
                if not self._queue[0].go_on(self._pump):
                    return bool(self._queue)
                if self._queue:  # somebody may have cleared it meanwhile
                    self._queue.popleft()
            self._queue = None
            return False
        finally:
            self._is_writing = False

    def _wait(self, recipients: Sequence[Recipient], parcel: Parcel, cost: int) -> None:
        if self._queue is None:
            self._queue = deque()
        self._queue.append(_Delivery(recipients, parcel, cost))
        self._wait_for_turn()

    def _wait_for_turn(self) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            self._pump.queue(self)
