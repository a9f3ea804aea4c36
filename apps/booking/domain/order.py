"""An order, as its owner sees it."""

from __future__ import annotations

from dataclasses import dataclass

from apps.booking.domain.saga import State, Way
from apps.booking.domain.sale import Sale

WAY_OF = {
    State.CONFIRMING: Way.PAYING,
    State.UNKNOWN: Way.UNKNOWN,
    State.CONFIRMED: Way.PAID,
    State.CANCELLED: Way.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Turn:
    """What an order has become, and when."""

    at: float
    way: Way


@dataclass(frozen=True, slots=True)
class Order:
    """Seats that were paid for, or may have been."""

    sale: Sale
    way: Way
    course: tuple[Turn, ...] = ()


def way_of(state: State) -> Way:
    """Return how an order is whose sale is so."""
    return WAY_OF.get(state, Way.VOID)
