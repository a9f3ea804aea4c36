"""When commits happened, so that each has a time of its own."""

from __future__ import annotations

from typing import Final

from runtime.clock import Clock

MICROSECONDS: Final = 1_000_000
FORGOTTEN: Final = 900


class Stamps:
    """Gives out times in microseconds since the epoch, each later than all before.

    So they say in which order things happened as well, even if the machine's clock is set back:
    they wait for it then.

    Args:
        last: The latest that a commit has here.
    """

    def __init__(self, clock: Clock, last: int = 0) -> None:
        self._clock = clock
        # Some more may have been given out, for nothing that would be remembered.
        self.last = last + FORGOTTEN

    def now(self) -> int:
        """Return the time, or the latest one that was given out, if that is later."""
        return max(self.last, int(self._clock.time() * MICROSECONDS))

    def next(self) -> int:
        """Return the next one."""
        self.last = max(self.last + 1, self.now())
        return self.last
