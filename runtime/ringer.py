"""All alarms of a node: which object to wake, and when.

It is early rather than late (I7): an object is asked before anything is run, and tells the
ringer afterwards how its alarms stand. So an alarm that was unset or moved costs a wake-up at
worst, and one that was set is never forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from runtime.catalog import Alarms, Key
from runtime.clock import Clock, Timer

MAX_RINGING: Final = 64  # at once, so that ten thousand overdue alarms don't starve requests
FIRST_RETRY_SECONDS: Final = 2.0  # after a run that failed by no fault of the alarm's handler
MAX_DOUBLINGS: Final = 9

Which = tuple[Key, str | None]


class Ringer:
    """Rings objects' alarms when they are due, a bounded number at a time.

    Args:
        ring: Has an object run its alarm; `rung` or `failed` must follow.
    """

    def __init__(self, clock: Clock, ring: Callable[[Key, str | None], object]) -> None:
        self._clock = clock
        self._ring = ring
        self._timers: dict[Key, dict[str | None, Timer]] = {}
        self._due: deque[Which] = deque()
        self._ringing: set[Which] = set()
        self._again: set[Which] = set()
        """Those that have become due while they were being run."""
        self._failures: dict[Which, int] = {}
        self._is_stopped = False

    @property
    def is_idle(self) -> bool:
        """Whether no alarm is being run, or about to be."""
        return not self._due and not self._ringing

    @property
    def waiting(self) -> int:
        """How many alarms are due and wait for others to end."""
        return len(self._due)

    @property
    def ringing(self) -> int:
        """How many alarms are being run."""
        return len(self._ringing)

    def set(self, key: Key, alarms: Alarms) -> None:
        """Take over how all alarms of one object stand."""
        before = self._timers.pop(key, {})
        for name, when in alarms.items():
            which, timer = (key, name), before.get(name)
            if which in self._failures and timer and timer.callback and timer.when >= when:
                del before[name]  # what waits after a failure isn't brought forward
            else:
                timer = self._clock.call_at(when, partial(self._is_due, which))
            self._set(which, timer)
        for name, timer in before.items():
            timer.cancel()
            self._again.discard((key, name))  # it is due as it stands now, or it isn't
            if name not in alarms and (key, name) not in self._ringing:
                self._failures.pop((key, name), None)

    def stop(self) -> None:
        """Ring no more: nobody is there to answer."""
        self._is_stopped = True
        for key in list(self._timers):
            self.set(key, {})
        self._due.clear()
        self._again.clear()

    def rung(self, key: Key, name: str | None) -> None:
        """Say that a run is over and durable, whatever came of it; the object has told all."""
        self._failures.pop((key, name), None)
        self._over((key, name))

    def failed(self, key: Key, name: str | None) -> None:
        """Say that a run wasn't possible, or that the object, or what it has written, was lost:
        try again."""
        which = (key, name)
        self._again.discard(which)
        failures = self._failures.get(which, 0)
        self._failures[which] = failures + 1
        delay = FIRST_RETRY_SECONDS * 2 ** min(failures, MAX_DOUBLINGS)
        # A span, which isn't touched by somebody setting the machine's clock back.
        self._set(which, self._clock.call_later(delay, partial(self._is_due, which)))
        self._over(which)

    def _set(self, which: Which, timer: Timer) -> None:
        if self._is_stopped:
            timer.cancel()
            return
        key, name = which
        timers = self._timers.setdefault(key, {})
        if name in timers:
            timers[name].cancel()
        timers[name] = timer

    def _is_due(self, which: Which) -> None:
        self._due.append(which)
        self._ring_next()

    def _over(self, which: Which) -> None:
        self._ringing.discard(which)
        if which in self._again:
            self._again.remove(which)
            self._due.append(which)
        self._ring_next()

    def _ring_next(self) -> None:
        while self._due and len(self._ringing) < MAX_RINGING:
            which = self._due.popleft()
            if which in self._ringing:
                self._again.add(which)
            else:
                self._ringing.add(which)
                self._ring(*which)
