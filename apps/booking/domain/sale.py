"""What its owner sees of a hold, and of the order that it becomes."""

from __future__ import annotations

from dataclasses import dataclass

from apps.booking.domain.hold import Hold
from apps.booking.domain.house import House, Person
from apps.booking.domain.saga import State


@dataclass(frozen=True, slots=True)
class Sale:
    """Seats that somebody holds, or has bought. Money is in cents, times are since the epoch."""

    id: str
    """Of the hold, and of the order."""
    event: str
    title: str
    starts_at: float
    owner: Person
    seats: tuple[str, ...]
    cents: tuple[int, ...]
    discount: int
    """In per cent."""
    total: int
    state: State
    expires_at: float
    is_extended: bool
    is_offer: bool
    share: str
    """What a link to these seats ends in; empty if they aren't shared."""
    paid_at: float
    refund: int

    @classmethod
    def of(cls, hold: Hold, house: House, now: float) -> Sale:
        """Return what there is to see of a hold now."""
        return cls(
            id=str(hold.reference(house.slug)),
            event=house.slug,
            title=house.title,
            starts_at=house.starts_at,
            owner=hold.owner,
            seats=house.names_of(hold.seats),
            cents=hold.cents,
            discount=hold.discount,
            total=hold.total,
            state=hold.state_at(now),
            expires_at=hold.expires_at,
            is_extended=hold.is_extended,
            is_offer=hold.is_offer,
            share=hold.share,
            paid_at=hold.paid_at,
            refund=hold.refund,
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """How many seats are how."""

    free: int
    held: int
    sold: int

    @classmethod
    def of(cls, states: str) -> Tally:
        """Count them."""
        return cls(states.count(FREE), states.count(HELD), states.count(SOLD))


FREE, HELD, SOLD = "f", "h", "s"
"""How a seat is, as one letter, so that a house is a text with a letter for each seat."""


@dataclass(frozen=True, slots=True)
class Scene:
    """An event as somebody sees it who opens its page."""

    house: House
    seats: str
    """A letter for each seat."""
    now: float
    """What the server's clock shows."""
    cursor: str
    """From where to go on, once they are connected."""
    holds: tuple[Sale, ...]
    """Their own, which aren't paid yet."""
    place: int
    """On the waiting list, from 1; 0 if they aren't on it."""
    waiting: int
    """How many are on it."""
    looks: tuple[str, ...]
    """The seats that somebody looks at."""

    @property
    def tally(self) -> Tally:
        return Tally.of(self.seats)


@dataclass(frozen=True, slots=True)
class Paid:
    """What has come of paying."""

    sale: Sale
    declined: str = ""
    """Why the payment was declined, if it was."""
    is_replayed: bool = False
    """Whether this was the answer to the same request before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the audit log."""

    number: int
    at: float
    who: str
    what: str
