"""Time, and what is due when. The only file that reads the time (I12).

Everything that happens later (an alarm, a retry, an eviction, a time limit) is an entry in one
queue, so a test that moves the clock moves all of it, in order.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Protocol
from weakref import WeakValueDictionary

TIDY_FROM: Final = 256  # timers in a queue, cancelled ones included
RECHECK_SECONDS: Final = 60.0  # the longest sleep: a wall clock may be set forward meanwhile

Settle = Callable[[], Coroutine[Any, Any, None]]


class Clock(Protocol):
    """Where the runtime gets its time from."""

    def time(self) -> float:
        """Return the time now, in seconds since the epoch."""

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` on the running loop once `time()` has reached `when`, never earlier."""

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` in so many seconds from now."""


@dataclass(order=True, slots=True)
class Timer:
    """One thing that is due. Timers of the same time ring in the order they were set."""

    when: float
    number: int
    callback: Callable[[], object] | None = field(compare=False)
    handle: asyncio.TimerHandle | None = field(compare=False, default=None)

    def cancel(self) -> None:
        """Make it not happen. Harmless when it has happened."""
        self.callback = None
        if self.handle is not None:
            self.handle.cancel()

    def ring(self) -> None:
        """Do it, unless it was cancelled or has been done."""
        callback, self.callback = self.callback, None
        if callback is not None:
            callback()


class DueQueue:
    """What is due, earliest first. Pure: it is told the time."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._count = 0
        self._tidy_at = TIDY_FROM

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, when: float, callback: Callable[[], object]) -> Timer:
        if len(self._heap) >= self._tidy_at:  # what was cancelled mustn't stay until it is due
            self._heap = [timer for timer in self._heap if timer.callback is not None]
            heapq.heapify(self._heap)
            self._tidy_at = max(TIDY_FROM, 2 * len(self._heap))
        self._count += 1
        timer = Timer(when, self._count, callback)
        heapq.heappush(self._heap, timer)
        return timer

    def earliest(self) -> float | None:
        """When the next thing is due; None if nothing is."""
        while self._heap and self._heap[0].callback is None:
            heapq.heappop(self._heap)
        return self._heap[0].when if self._heap else None

    def pop_due(self, now: float) -> Timer | None:
        """Take out the earliest timer that is due at `now`."""
        earliest = self.earliest()
        if earliest is None or earliest > now:
            return None
        return heapq.heappop(self._heap)


class SystemClock:
    """The machine's time. Needs a running loop only while something is due."""

    _all: ClassVar[WeakValueDictionary[int, SystemClock]] = WeakValueDictionary()

    def __init__(self) -> None:
        self._all[id(self)] = self
        self._due = DueQueue()
        self._wake: asyncio.TimerHandle | None = None
        self._wake_at = 0.0

    def time(self) -> float:
        return time.time()

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        timer = self._due.add(when, callback)
        if self._wake is None or when < self._wake_at:
            self._arm()
        return timer

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        # A span, unlike a date, isn't touched by somebody setting the machine's clock.
        timer = Timer(self.time() + seconds, 0, callback)
        timer.handle = asyncio.get_running_loop().call_later(seconds, timer.ring)
        return timer

    @classmethod
    def spare_seconds(cls) -> float:
        """Return for how long nothing becomes due by any of them that was set for a moment.

        From any thread: it looks at one number of each. Something may have been cancelled since.
        """
        clocks = [clock for each in cls._all.valuerefs() if (clock := each()) is not None]
        moments = (clock._wake_at for clock in clocks if clock._wake is not None)
        return min(moments, default=math.inf) - time.time()

    def _arm(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        earliest = self._due.earliest()
        if earliest is None:
            return
        delay = min(max(0.0, earliest - self.time()), RECHECK_SECONDS)
        self._wake_at = earliest
        self._wake = asyncio.get_running_loop().call_later(delay, self._ring_due)

    def _ring_due(self) -> None:
        self._wake = None
        # Only what is due by now: a timer that sets another for "now" must not starve the loop.
        now = self.time()
        try:
            while (timer := self._due.pop_due(now)) is not None:
                timer.ring()
        finally:
            self._arm()


class ManualClock:
    """A clock that stands still until it is told to move. For tests.

    Args:
        settle: Waits until all that has been set in motion has come to rest.
        start: What it shows first, as for `moment`. The default is the machine's time, so that a
            moment computed by other means (``time.time() + 60``) lies where the test expects it.

    Attributes:
        due: What it will ring, and when.
        threads: What object code has threads do now. Nothing is settled before that is done.
    """

    def __init__(self, settle: Settle, start: float | datetime | None = None) -> None:
        self.due = DueQueue()
        self.threads: set[asyncio.Future[Any]] = set()
        now = time.time()
        self._now = now if start is None else moment(start, now)
        self._settle = settle
        self._moves: deque[asyncio.Task[None]] = deque()
        self._has_begun = False
        self._mover: asyncio.Task[Any] | None = None
        """Who has asked for the latest move."""
        self._waiting: list[Callable[[], object]] = []

    def time(self) -> float:
        return self._now

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        timer = self.due.add(when, callback)
        if when <= self._now:
            asyncio.get_running_loop().call_soon(self._ring_next, self._now)
        return timer

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        return self.call_at(self._now + seconds, callback)

    def advance(self, seconds: float | timedelta) -> Awaitable[None]:
        """Move the clock, and do on the way what is due, in order, each at its own time.

        Await it to have all the consequences: handlers finished, commits durable, and whatever
        these made due in turn. Without ``await`` it happens before whatever the test asks of
        an object next. A task that was created before has its first turn before.

        Raises:
            ValueError: If that isn't a time that passes.
            RuntimeError: When awaited, if something never comes to rest on the way.
        """
        span = span_of(seconds)
        before = self._moves[-1] if self._moves else None
        move = asyncio.get_running_loop().create_task(self._move(span, before), context=Context())
        # However it ends, cancelled before its first turn too: others wait for the clock.
        move.add_done_callback(self._moved, context=Context())
        self._moves.append(move)
        self._mover = asyncio.current_task()
        return move

    def skip(self, until: float = math.inf) -> bool:
        """Move to the next thing that is due, and do it. Returns whether there was one.

        Unlike `advance` it doesn't wait for what follows from that.
        """
        return self._ring_next(until)

    @property
    def is_moving(self) -> bool:
        """Whether `advance` was called, and isn't done, as far as whoever asks comes after that."""
        if not self._moves:
            return False
        # A task whose turn comes before the move's first one was begun before it was asked for.
        return self._has_begun or self._mover is asyncio.current_task()

    async def stand_still(self) -> None:
        """Return when the moves that have been asked for are done."""
        while self.is_moving:
            move = self._moves[-1]
            await asyncio.wait([move])
            if not move.cancelled():
                move.result()

    def when_still(self, callback: Callable[[], object]) -> None:
        """Call `callback` after the moves that have been asked for."""
        self._waiting.append(callback)

    async def _move(self, span: float, before: asyncio.Task[None] | None) -> None:
        self._has_begun = True
        if before is not None:
            await asyncio.wait([before])
        target = self._now + span
        await self._settle()
        while self._ring_next(target):
            await self._settle()
        self._now = target

    def _moved(self, move: asyncio.Task[None]) -> None:
        self._moves.remove(move)
        if not self._moves:
            self._has_begun, self._mover = False, None
            waiting, self._waiting = self._waiting, []
            for callback in waiting:
                callback()

    def _ring_next(self, until: float) -> bool:
        timer = self.due.pop_due(until)
        if timer is None:
            return False
        self._now = max(self._now, timer.when)
        timer.ring()
        return True


def span_of(seconds: float | timedelta) -> float:
    """Return a span of time in seconds.

    Raises:
        ValueError: If it is negative, or no number.
    """
    span = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    if not 0 <= span < math.inf:
        raise ValueError(f"time passes, so {span} s can't be meant")
    return span


def monotonic() -> float:
    """Return the seconds since some moment: real time, whatever a clock is set to."""
    return time.monotonic()


def moment(when: float | datetime | timedelta, now: float) -> float:
    """Return `when` in seconds since the epoch; a timedelta counts from `now`.

    Raises:
        TypeError: If it is a datetime without a time zone, or no time at all.
    """
    if isinstance(when, timedelta):
        return now + when.total_seconds()
    if isinstance(when, datetime):
        if when.tzinfo is None:
            raise TypeError(f"{when!r} has no time zone; use datetime.now(UTC) or similar")
        return when.timestamp()
    if isinstance(when, bool) or not isinstance(when, int | float) or math.isnan(when):
        raise TypeError(f"expected seconds, an aware datetime or a timedelta, not {when!r}")
    return float(when)
