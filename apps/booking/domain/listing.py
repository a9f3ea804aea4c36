"""An event as the list of all events shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Listing:
    """One event, as it was some seconds ago."""

    slug: str
    title: str
    starts_at: float
    from_cents: int
    free: int
    capacity: int
    is_open: bool

    @classmethod
    def of_row(cls, is_open: int, **facts: Any) -> Listing:
        """Return what a row says."""
        return cls(is_open=bool(is_open), **facts)
