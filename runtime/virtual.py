"""Timers of object code that go by a clock of the test's, for tests.

``asyncio.sleep``, ``asyncio.timeout`` and whatever else asks the loop for a timer do so through
``call_later``, ``call_at`` and ``time``. While a `VirtualTimers` is installed, these three ask
the object's clock if it is an object's code that calls them, and the machine if it is anybody
else's. So a test that moves the clock moves an object's own timers with its alarms and time limits,
in order. Of two runtimes on one loop each has its own clock.

What object code has threads do (``asyncio.to_thread``) goes through ``run_in_executor``, which lets
the clock know: time doesn't pass meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, Final

from runtime.clock import Clock, ManualClock, Timer
from runtime.loans import Loan, Undo
from runtime.tasks import current

_NAMES: Final = ("time", "call_at", "call_later", "run_in_executor")


class VirtualTimers:
    """Lends a loop the clocks of objects, for the timers of their code.

    Args:
        loop: A loop whose methods can be replaced, as those of asyncio and uvloop can.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._before = {name: loop.__dict__.get(name) for name in _NAMES}
        self._real = {name: getattr(loop, name) for name in _NAMES}

    def install(self) -> None:
        """Let object code's timers go by its object's clock from now on."""
        for name in _NAMES:
            setattr(self._loop, name, getattr(self, name))

    def uninstall(self) -> None:
        """Leave the loop as it was found."""
        for name, before in self._before.items():
            if before is None:
                delattr(self._loop, name)
            else:
                setattr(self._loop, name, before)

    # What stands in for the loop's own.

    def time(self) -> float:
        task = current.get()
        return float(self._real["time"]()) if task is None else task.owner.clock.time()

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> Any:
        task = current.get()
        if task is None:
            return self._real["call_at"](when, callback, *args, context=context)
        return VirtualHandle(task.owner.clock, when, callback, args, context)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> Any:
        task = current.get()
        if task is None:
            return self._real["call_later"](delay, callback, *args, context=context)
        clock = task.owner.clock
        return VirtualHandle(clock, clock.time() + delay, callback, args, context)

    def run_in_executor(self, *what: Any) -> asyncio.Future[Any]:
        work: asyncio.Future[Any] = self._real["run_in_executor"](*what)
        task = current.get()
        if task is not None and isinstance(task.owner.clock, ManualClock):
            task.owner.clock.threads.add(work)
            work.add_done_callback(task.owner.clock.threads.discard, context=Context())
        return work


class VirtualHandle:
    """A timer as its owner sees it: ``asyncio.TimerHandle``, by a clock."""

    def __init__(
        self,
        clock: Clock,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context | None,
    ) -> None:
        self._when = when
        self._is_cancelled = False
        within = context or copy_context()
        self._timer: Timer = clock.call_at(when, lambda: within.run(callback, *args))

    def when(self) -> float:
        return self._when

    def cancelled(self) -> bool:
        return self._is_cancelled

    def cancel(self) -> None:
        self._is_cancelled = True
        self._timer.cancel()


def _lend_timers(loop: asyncio.AbstractEventLoop) -> Undo:
    timers = VirtualTimers(loop)
    timers.install()
    return timers.uninstall


OBJECT_TIMERS: Final = Loan(_lend_timers)
"""That timers of object code go by its object's clock."""
