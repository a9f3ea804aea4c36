"""Looking for garbage a little at a time, so that nobody has to wait for it.

Nothing else runs while Python's collector does, and it looks again and again through all that
there is: a tenth of a second for 200,000 objects, as a thousand matches make. Nearly all that a
node leaves behind goes without it, by counted references. So here it looks through what is new, and
sets aside what has survived that: nobody looks there before it has become twice as much.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Any, Final

NEW: Final = 10_000  # objects more than were let go of, after which the newest are looked through
SURVIVING: Final = 2  # such looks, after which what has survived them is, and is set aside then
NEVER: Final = 1_000_000_000  # what Python does by itself with what has survived that, too
GROWTH: Final = 2  # times what was set aside, until all of it is looked through

_DEFAULTS: Final = gc.get_threshold()


class Collector:
    """Python's garbage collector, while a node serves. Of the process: one is enough."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._enough = 0
        """How many objects are set aside when all of them are to be looked through."""

    def start(self) -> None:
        """Look through all that there is, and from now on through what is new."""
        self._look_through_all()
        gc.set_threshold(NEW, SURVIVING, NEVER)
        gc.callbacks.append(self._looked)

    def stop(self) -> None:
        """Leave it to Python again."""
        gc.callbacks.remove(self._looked)
        gc.set_threshold(*_DEFAULTS)

    def _looked(self, phase: str, about: dict[str, Any]) -> None:
        if phase == "start" or about["generation"] != 1:
            return
        if self._loop.is_closed():
            self.stop()
            return
        gc.freeze()  # what has survived; there is nothing younger at this moment
        if gc.get_freeze_count() > self._enough:
            self._enough = NEVER  # once is enough
            # It can't look while it looks; and this may be another thread.
            self._loop.call_soon_threadsafe(self._look_through_all)

    def _look_through_all(self) -> None:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._enough = GROWTH * gc.get_freeze_count()
