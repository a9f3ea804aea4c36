"""How much of something somebody may do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket of tokens: it holds `burst`, and gets `per_second` new ones."""

    burst: float
    per_second: float


LIMITS = {
    "say": Limit(burst=40, per_second=2),
    "change": Limit(burst=40, per_second=2),
    "look": Limit(burst=40, per_second=2),
    "open": Limit(burst=10, per_second=0.1),
}
"""What a person may do how often, over all rooms: speak; edit, react and moderate; search and
export; open private and direct rooms."""

FRAMES = Limit(burst=20, per_second=4)
"""What one page may say on its socket."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many tokens a socket had, and when. It is small enough to be kept with the socket."""

    tokens: float
    at: float

    @classmethod
    def full(cls, limit: Limit, now: float) -> Bucket:
        """Return the bucket of a socket that has said nothing yet."""
        return cls(limit.burst, now)

    def take(self, limit: Limit, now: float) -> Bucket | None:
        """Return the bucket with one token less, or None if there is none to take."""
        passed = max(0.0, now - self.at)
        tokens = min(limit.burst, self.tokens + passed * limit.per_second) - 1
        return None if tokens < 0 else Bucket(tokens, now)
