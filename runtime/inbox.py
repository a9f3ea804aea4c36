"""What has come for an object and hasn't begun: how many there may be, how much, for how long.

Most events begin in the turn they come in, and never see this file. Others wait: for a critical
section to end, or for the database of the last life to be closed. They have an end there, so that
an object that is held up refuses work instead of gathering it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from runtime.clock import Clock, Timer

MAX_TASKS: Final = 4096  # of one object, under way or waiting
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024  # two arguments of the largest size
MAX_SECONDS: Final = 60.0  # about as long as a browser or a proxy waits for an answer

TOO_MANY: Final = "Durable Object is overloaded. Too many requests queued."
TOO_MUCH: Final = "Durable Object is overloaded. Too much data queued."
TOO_LONG: Final = "Durable Object is overloaded. Requests queued for too long."


@dataclass(slots=True)
class _Item:
    size: int
    until: float
    expired: Callable[[], object] | None


class Inbox:
    """How much data waits for one object, in all its lives, and until when.

    Invariants:
        - `bytes` is the sum of what waits; what alone is too much may still wait alone.
        - What has expired was told so, and is no longer here.
    """

    def __init__(self, clock: Clock) -> None:
        self.bytes = 0
        """How much data waits."""
        self._clock = clock
        self._items: dict[object, _Item] = {}
        self._timer: Timer | None = None

    def add(self, what: object, size: int = 0, expired: Callable[[], object] | None = None) -> bool:
        """Note that something waits.

        Args:
            what: By which it is found again. Nothing else may be equal to it.
            size: Of its data, as `wire` measures it.
            expired: Called if it still waits after `MAX_SECONDS`. Without it, it may wait for ever.

        Returns:
            Whether there is room. If not, nothing was noted.
        """
        if size and self.bytes and self.bytes + size > MAX_WAITING_BYTES:
            return False
        self.bytes += size
        self._items[what] = _Item(size, self._clock.time() + MAX_SECONDS, expired)
        if expired is not None and self._timer is None:
            self._timer = self._clock.call_later(MAX_SECONDS, self._look)
        return True

    def take(self, what: object) -> None:
        """Hear that something waits no more. Harmless if it isn't here."""
        item = self._items.pop(what, None)
        if item is not None:
            self.bytes -= item.size

    def _look(self) -> None:
        self._timer = None
        now = self._clock.time()
        for what, item in list(self._items.items()):
            if item.expired is None:
                continue
            if item.until > now:
                self._timer = self._clock.call_later(item.until - now, self._look)
                return
            self.take(what)
            item.expired()
