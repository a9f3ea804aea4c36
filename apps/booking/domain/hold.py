"""Seats that somebody has for a while, and may keep by paying."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from apps.booking.domain import saga
from apps.booking.domain.house import Person
from apps.booking.domain.refusals import Conflict, Gone, NotFound, NotYours, Unfit
from apps.booking.domain.saga import State

HOLD_SECONDS: Final = 600.0
OFFER_SECONDS: Final = 300.0  # of seats that the waiting list has brought
EXTENSION_SECONDS: Final = 300.0  # once
SECOND_TRY_SECONDS: Final = 120.0  # at least, after a payment was declined
MAX_TRIES: Final = 3  # after which a payment that was declined gives no more time
MAX_SEATS: Final = 50  # of one hold
MAX_HELD: Final = 100  # seats that somebody may hold at a time, not paid yet

_REFERENCE: Final = re.compile(r"([a-z0-9-]{1,40})\.([0-9]{1,15})-([0-9a-f]{12})")


@dataclass(frozen=True, slots=True)
class Reference:
    """What a hold is known by, and the order that it becomes: ``gala.17-9f3b…``."""

    slug: str
    number: int
    """Among the event's holds, from 1."""
    token: str
    """Which nobody can guess."""

    def __str__(self) -> str:
        return f"{self.slug}.{self.number}-{self.token}"

    @classmethod
    def read(cls, text: str) -> Reference:
        """Return what a text refers to.

        Raises:
            NotFound: If nothing can be called so.
        """
        parts = _REFERENCE.fullmatch(text)
        if parts is None:
            raise NotFound(f"there is no {text[:60]!r}")
        return cls(parts[1], int(parts[2]), parts[3])


@dataclass(frozen=True, slots=True)
class Hold:
    """Seats that somebody has, at the prices that they had when they were taken."""

    number: int
    token: str
    owner: Person
    seats: tuple[int, ...]
    cents: tuple[int, ...]
    """What each of them costs."""
    expires_at: float
    state: State = State.HELD
    is_extended: bool = False
    discount: int = 0
    """In per cent."""
    voucher: str = ""
    share: str = ""
    """Who knows this may take over some of the seats; empty if they aren't shared."""
    tries: int = 0
    """How many payments have been tried."""
    key: str = ""
    """The idempotency key of the last of them, if it had one."""
    asked: int = 0
    """How often the provider was asked about the last of them."""
    paid_at: float = 0.0
    refund: int = 0
    """In cents, once it is cancelled."""
    is_offer: bool = False
    """Whether the waiting list has brought it."""

    @property
    def total(self) -> int:
        """What is to be paid, in cents."""
        whole = sum(self.cents)
        return whole - whole * self.discount // 100

    def reference(self, slug: str) -> Reference:
        """Return what it is known by."""
        return Reference(slug, self.number, self.token)

    def state_at(self, now: float) -> State:
        """Return how it is: a hold whose time is over has expired, whether anybody has noted it
        or not."""
        is_over = self.state is State.HELD and self.expires_at <= now
        return State.EXPIRED if is_over else self.state

    def payment(self, slug: str) -> str:
        """Return what its last payment is known by, to us and to the provider."""
        return f"{self.reference(slug)}.{self.tries}"

    def must_be_of(self, person: Person) -> None:
        """Let only its owner pass.

        Raises:
            NotYours: If `person` is somebody else.
        """
        if self.owner.id != person.id:
            raise NotYours("these seats are held by somebody else")


def extended(hold: Hold, now: float) -> float:
    """Return until when a hold lasts if it is extended.

    Raises:
        Gone: If its time is over.
        Conflict: If it was extended before, or is being paid.
    """
    state = hold.state_at(now)
    if state is not State.HELD:
        raise saga.why_not(state)
    if hold.is_extended:
        raise Conflict("these seats were given more time already; that goes once")
    return hold.expires_at + EXTENSION_SECONDS


def after_declined(hold: Hold, now: float) -> float:
    """Return until when a hold lasts whose payment was declined: there is time for another try.

    But not for ever, or a bad card would keep seats from everybody else.
    """
    if hold.tries >= MAX_TRIES:
        return hold.expires_at
    return max(hold.expires_at, now + SECOND_TRY_SECONDS)


def check_payable(hold: Hold, now: float, total: int | None) -> None:
    """Let a hold pass that can be paid now, for as much as whoever pays believes.

    Raises:
        Gone: If its time is over.
        Conflict: If it is being paid or paid, or costs something else than `total`.
    """
    saga.step(hold.state_at(now), saga.Step.PAY)
    if total is not None and total != hold.total:
        raise Conflict(f"these seats cost {hold.total} cents, and not {total}")


def check_count(count: int) -> None:
    """Let numbers of seats pass that one hold may have.

    Raises:
        Unfit: If that is none, or too many.
    """
    if not 1 <= count <= MAX_SEATS:
        raise Unfit(f"one can hold 1 to {MAX_SEATS} seats at a time")


def check_limits(count: int, held: int, bought: int, per_person: int) -> None:
    """Let somebody have so many seats more.

    Raises:
        Conflict: If they have as many as anybody may.
    """
    if held + count > MAX_HELD:
        raise Conflict(f"nobody may hold more than {MAX_HELD} seats that aren't paid")
    if per_person and held + bought + count > per_person:
        raise Conflict(f"everybody may have {per_person} seats, and you have {held + bought}")


def shared(hold: Hold, share: str, seats: tuple[int, ...], now: float) -> tuple[int, ...]:
    """Return which seats of a hold stay, if somebody with its link takes some over.

    Raises:
        NotFound: If that is no link to it.
        Gone: If its time is over.
        Conflict: If one of the seats isn't among them.
    """
    if not hold.share or share != hold.share:
        raise NotFound("this link doesn't lead to seats")
    if hold.state_at(now) is not State.HELD:
        raise Gone("the time to take over these seats is over")
    if not seats or set(seats) - set(hold.seats):
        raise Conflict("somebody has taken that seat over already")
    return tuple(seat for seat in hold.seats if seat not in seats)
