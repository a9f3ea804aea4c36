"""How many are let in: so many a second, and not all at once after a quiet hour."""

from __future__ import annotations

from typing import Final

PASS_SECONDS: Final = 900.0  # that somebody who was let in may hold seats
MAX_QUEUE: Final = 100_000  # people


def may_enter(per_second: int, last: float, now: float) -> int:
    """Return how many may be let in now, if somebody was last at `last`."""
    return min(per_second, int((now - last) * per_second + 1e-6))


def last_after(per_second: int, last: float, now: float, entered: int) -> float:
    """Return what counts as the time of the last entry, once `entered` are let in.

    What is left over of the time counts for the next, but never more than a second of it.
    """
    return max(last + entered / per_second, now - 1.0)


def wait_seconds(per_second: int, before: int) -> float:
    """Return how long somebody will wait with so many before them, about."""
    return (before + 1) / per_second
