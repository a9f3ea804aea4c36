"""Looking for garbage a little at a time, so that nobody has to wait for it.

Nothing else runs while Python's collector does, and it looks again and again through all that
there is: a tenth of a second for 200,000 objects, as a thousand matches make. Nearly all that a
node leaves behind goes without it, by counted references. So here it looks through what is new, and
sets aside what has survived that. All of it is looked through when there is twice as much, and at a
moment when no alarm is due.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any, Final

from runtime.clock import SystemClock, monotonic

NEW: Final = 4_000  # objects more than were let go of, after which the newest are looked through
SURVIVING: Final = 2  # such looks, after which what has survived them is, and is set aside then
NEVER: Final = 1_000_000_000  # what Python does by itself with what has survived that, too
GROWTH: Final = 2  # times what was set aside, until all of it is looked through
MARGIN: Final = 2.0  # times what that took before, for which no alarm must be due
AGAIN_SECONDS: Final = 0.02  # until it is looked again whether an alarm is due
PATIENCE_SECONDS: Final = 60.0  # for which old garbage waits for alarms; then one may be late


class Collector:
    """Python's garbage collector, while a node serves. Of the process: one is enough."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._before: tuple[int, int, int] | None = None
        """Python's thresholds, while it collects."""
        self._enough = self._room = 0
        """How many objects are set aside when all of them are to be looked through, and how many
        more that is at least: to count them takes a while, too."""
        self._is_due = False
        """Whether that is to be done as soon as there is time."""
        self._seconds = 0.0
        """How long that took before."""

    def start(self) -> None:
        """Look through all that there is, and from now on through what is new."""
        self._look_through_all()
        self._before = gc.get_threshold()
        gc.set_threshold(NEW, SURVIVING, NEVER)
        gc.callbacks.append(self._looked)

    def stop(self) -> None:
        """Leave it to Python again, as it was before."""
        if self._before is None:
            return
        with suppress(ValueError):  # somebody else has emptied the list
            gc.callbacks.remove(self._looked)
        gc.set_threshold(*self._before)
        gc.unfreeze()
        self._before = None

    def _looked(self, phase: str, about: dict[str, Any]) -> None:
        if phase == "start" or about["generation"] != 1:
            return
        if self._loop.is_closed():
            self.stop()
            return
        gc.freeze()  # what has survived; there is nothing younger at this moment
        self._room -= (SURVIVING + 2) * NEW  # it is the look after these that has come here
        if self._room < 0 and not self._is_due:
            self._room = self._enough - gc.get_freeze_count()
            self._is_due = self._room < 0
            if self._is_due:
                # It can't look while it looks; and this may be another thread, or an object's step,
                # which has no part in what other objects leave behind.
                look = partial(self._look_when_there_is_time, monotonic() + PATIENCE_SECONDS)
                self._loop.call_soon_threadsafe(look, context=Context())

    def _look_when_there_is_time(self, until: float) -> None:
        if self._before is None:
            return
        if SystemClock.spare_seconds() < MARGIN * self._seconds and monotonic() < until:
            self._loop.call_later(AGAIN_SECONDS, self._look_when_there_is_time, until)
        else:
            self._is_due = False
            self._look_through_all()

    def _look_through_all(self) -> None:
        begun = monotonic()
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._seconds = monotonic() - begun
        count = gc.get_freeze_count()
        self._enough, self._room = GROWTH * count, (GROWTH - 1) * count
