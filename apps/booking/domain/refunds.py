"""How much comes back when an order is cancelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from apps.booking.domain.refusals import Conflict

DAY_SECONDS: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Rule:
    """Until when how much comes back."""

    days_before: int
    percent: int


RULES: Final = (Rule(7, 100), Rule(1, 50))
"""The first whose time isn't over counts."""


def refund(total: int, starts_at: float, now: float) -> int:
    """Return how much comes back, in cents.

    Raises:
        Conflict: If it is too late.
    """
    for rule in RULES:
        if now <= starts_at - rule.days_before * DAY_SECONDS:
            return total * rule.percent // 100
    raise Conflict("an order can be cancelled until a day before the event begins")
