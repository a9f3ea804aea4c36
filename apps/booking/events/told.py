"""What programs get."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel

from apps.booking.domain.house import House, row_name
from apps.booking.domain.listing import Listing
from apps.booking.domain.order import Order, way_of
from apps.booking.domain.saga import Way
from apps.booking.domain.sale import FREE, HELD, SOLD, Entry, Sale, Tally

SeatState = Literal["free", "held", "sold"]
_STATES: dict[str, SeatState] = {FREE: "free", HELD: "held", SOLD: "sold"}


class SeatSeen(BaseModel):
    """One seat."""

    seat: str
    state: SeatState
    price: int


class TierSeen(BaseModel):
    """Rows that cost the same."""

    name: str
    first_row: str
    last_row: str
    price: int


class EventListed(BaseModel):
    """An event, as it was some seconds ago."""

    slug: str
    title: str
    starts_at: datetime
    price_from: int
    free: int
    capacity: int
    is_open: bool

    @classmethod
    def of(cls, listing: Listing) -> EventListed:
        """Return what there is to see of a listing."""
        return cls(
            slug=listing.slug,
            title=listing.title,
            starts_at=moment(listing.starts_at),
            price_from=listing.from_cents,
            free=listing.free,
            capacity=listing.capacity,
            is_open=listing.is_open,
        )


class EventSeen(BaseModel):
    """An event, with all of its seats."""

    slug: str
    title: str
    rows: int
    seats_per_row: int
    starts_at: datetime
    is_open: bool
    per_person: int
    per_second: int
    owner: str
    tiers: list[TierSeen]
    free: int
    held: int
    sold: int
    seats: list[SeatSeen]

    @classmethod
    def of(cls, house: House, states: str) -> EventSeen:
        """Return what there is to see of an event."""
        tally = Tally.of(states)
        return cls(
            slug=house.slug,
            title=house.title,
            rows=house.rows,
            seats_per_row=house.seats_per_row,
            starts_at=moment(house.starts_at),
            is_open=house.is_open,
            per_person=house.per_person,
            per_second=house.per_second,
            owner=house.owner.name,
            tiers=[
                TierSeen(
                    name=tier.name,
                    first_row=row_name(tier.first_row),
                    last_row=row_name(tier.last_row),
                    price=tier.cents,
                )
                for tier in house.tiers
            ],
            free=tally.free,
            held=tally.held,
            sold=tally.sold,
            seats=[
                SeatSeen(seat=house.name_of(seat), state=_STATES[state], price=house.cents_of(seat))
                for seat, state in enumerate(states)
            ],
        )


class HoldSeen(BaseModel):
    """Seats that are yours for a while."""

    hold_id: str
    event: str
    seats: list[str]
    total: int
    expires_at: datetime
    state: str
    is_extended: bool
    share: str | None

    @classmethod
    def of(cls, sale: Sale) -> HoldSeen:
        """Return what there is to see of a hold."""
        return cls(
            hold_id=sale.id,
            event=sale.event,
            seats=list(sale.seats),
            total=sale.total,
            expires_at=moment(sale.expires_at),
            state=sale.state,
            is_extended=sale.is_extended,
            share=sale.share or None,
        )


OrderState = Literal["paying", "unknown", "confirmed", "cancelling", "cancelled", "void"]
_ORDER_STATES: dict[Way, OrderState] = {
    Way.PAYING: "paying",
    Way.UNKNOWN: "unknown",
    Way.PAID: "confirmed",
    Way.RETURNING: "cancelling",
    Way.REFUNDING: "cancelling",
    Way.CANCELLED: "cancelled",
    Way.VOID: "void",
}


class OrderSeen(BaseModel):
    """Seats that you have paid for. As long as its state is unknown nobody else gets them."""

    order_id: str
    event: str
    title: str
    seats: list[str]
    total: int
    state: OrderState
    paid_at: datetime | None
    starts_at: datetime
    refund: int

    @classmethod
    def of(cls, sale: Sale, way: Way | None = None) -> OrderSeen:
        """Return what there is to see of an order."""
        return cls(
            order_id=sale.id,
            event=sale.event,
            title=sale.title,
            seats=list(sale.seats),
            total=sale.total,
            state=_ORDER_STATES[way or way_of(sale.state)],
            paid_at=moment(sale.paid_at) if sale.paid_at else None,
            starts_at=moment(sale.starts_at),
            refund=sale.refund,
        )

    @classmethod
    def of_order(cls, order: Order) -> OrderSeen:
        """Return what there is to see of an order."""
        return cls.of(order.sale, order.way)


class PlaceSeen(BaseModel):
    """Your place on the waiting list."""

    place: int
    """From 1; 0 if you aren't on it."""


class QueueSeen(BaseModel):
    """Your place in the waiting room."""

    is_in: bool
    before: int
    seconds: float


class EntrySeen(BaseModel):
    """A line of the audit log."""

    number: int
    at: datetime
    who: str
    what: str

    @classmethod
    def of(cls, entry: Entry) -> EntrySeen:
        """Return what there is to see of a line."""
        return cls(number=entry.number, at=moment(entry.at), who=entry.who, what=entry.what)


class VoucherSeen(BaseModel):
    """A voucher."""

    code: str
    percent: int
    uses: int


def moment(seconds: float) -> datetime:
    """Return a time since the epoch as one of the calendar."""
    return datetime.fromtimestamp(seconds, UTC)
