"""The waiting list: who gets seats that become free, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from apps.booking.domain import seating
from apps.booking.domain.house import Person
from apps.booking.domain.seating import Rows

MAX_WAITING: Final = 10_000  # people, for one event


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody who waits for seats together."""

    number: int
    """In the order in which they came."""
    person: Person
    count: int
    offer: int = 0
    """The number of the hold that they were offered; 0 as long as there is none."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Seats for somebody who has waited."""

    waiting: Waiting
    seats: tuple[int, ...]


def offers(free: Rows, width: int, waiting: Iterable[Waiting]) -> Iterator[Offer]:
    """Yield what to offer, to whom, first come first served.

    Whoever wants more seats together than there are lets others pass, and keeps their place.
    """
    rest = list(free)
    for somebody in waiting:
        if seats := seating.best(rest, width, somebody.count):
            for seat in seats:
                rest[seat // width] &= ~(1 << seat % width)
            yield Offer(somebody, seats)
