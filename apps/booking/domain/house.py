"""What is sold: an event in a house with rows of seats, and what they cost.

A seat is a number, counted along the rows from the front; people and programs know it by a name
such as ``B7``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from apps.booking.domain.refusals import Conflict, NotYours, Unfit

MAX_SLUG: Final = 40  # characters
MAX_TITLE: Final = 80
MAX_ROWS: Final = 200
MAX_SEATS_PER_ROW: Final = 100
MAX_CENTS: Final = 1_000_000  # of one seat
MAX_TIERS: Final = 10
MAX_PER_PERSON: Final = 1_000
MAX_PER_SECOND: Final = 1_000  # let in by the waiting room
SHARDED_FROM: Final = 2_500  # seats: an event with more is kept in sections
SECTION_SEATS: Final = 1_000  # at most, in whole rows

_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SEAT: Final = re.compile(r"([A-Z]{1,2})([1-9][0-9]{0,2})")
_LETTERS: Final = 26
_RESERVED: Final = frozenset({"new", "proof", "orders", "me", "holds"})  # pages of their own


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who books. Two people may have the same name, never the same id."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Tier:
    """Rows that cost the same."""

    name: str
    first_row: int
    """From 0."""
    last_row: int
    cents: int


@dataclass(frozen=True, slots=True)
class House:
    """An event, and the seats that there are for it."""

    slug: str
    title: str
    rows: int
    seats_per_row: int
    owner: Person
    starts_at: float
    """In seconds since the epoch, like all times."""
    is_open: bool = True
    """Whether seats are sold."""
    per_person: int = 0
    """How many seats somebody may have, held and bought; 0 for no limit."""
    per_second: int = 0
    """How many people the waiting room lets in each second; 0 for no waiting room."""
    tiers: tuple[Tier, ...] = ()
    section_rows: int = 0
    """How many rows a section has; 0 if the event keeps its seats itself. It never changes."""

    @property
    def capacity(self) -> int:
        return self.rows * self.seats_per_row

    @property
    def sections(self) -> tuple[range, ...]:
        """The rows of each section; none if the event keeps its seats itself."""
        if not self.section_rows:
            return ()
        height = self.section_rows
        starts = range(0, self.rows, height)
        return tuple(range(start, min(start + height, self.rows)) for start in starts)

    def section_of(self, seat: int) -> int:
        """Return in which section a seat is."""
        return seat // self.seats_per_row // self.section_rows

    def cents_of(self, seat: int) -> int:
        """Return what a seat costs now."""
        return self.tier_of(seat).cents

    def tier_of(self, seat: int) -> Tier:
        """Return which price a seat has: of the last tier that speaks of its row."""
        row = seat // self.seats_per_row
        return next(t for t in reversed(self.tiers) if t.first_row <= row <= t.last_row)

    def name_of(self, seat: int) -> str:
        """Return what people call a seat."""
        row, place = divmod(seat, self.seats_per_row)
        return f"{row_name(row)}{place + 1}"

    def names_of(self, seats: tuple[int, ...]) -> tuple[str, ...]:
        """Return what people call some seats."""
        return tuple(map(self.name_of, seats))

    def seat_of(self, name: str) -> int:
        """Return which seat that is.

        Raises:
            Unfit: If there is no such seat.
        """
        if parts := _SEAT.fullmatch(name):
            row, place = row_number(parts[1]), int(parts[2]) - 1
            if row < self.rows and place < self.seats_per_row:
                return row * self.seats_per_row + place
        raise Unfit(f"there is no seat {name[:20]!r}")

    def is_on_sale(self, now: float) -> bool:
        """Return whether seats are sold."""
        return self.is_open and now < self.starts_at

    def must_be_on_sale(self, now: float) -> None:
        """Let pass while seats are sold.

        Raises:
            Conflict: If sales are closed, or the event has begun.
        """
        if not self.is_open:
            raise Conflict("sales are closed")
        if now >= self.starts_at:
            raise Conflict("the event has begun")

    def must_be_run_by(self, person: Person) -> None:
        """Let only organisers pass.

        Raises:
            NotYours: If `person` is none.
        """
        if person.id != self.owner.id:
            raise NotYours("only whoever organises this event may do that")


def section_rows(rows: int, seats_per_row: int) -> int:
    """Return how many rows the sections of a new event have; 0 if it needs none."""
    if rows * seats_per_row <= SHARDED_FROM:
        return 0
    return max(1, SECTION_SEATS // seats_per_row)


def row_name(row: int) -> str:
    """Return what a row is called: A to Z, then AA to ZZ."""
    before, letter = divmod(row, _LETTERS)
    return (chr(64 + before) if before else "") + chr(65 + letter)


def row_number(name: str) -> int:
    """Return which row, from 0, is called so."""
    number = 0
    for letter in name:
        number = number * _LETTERS + ord(letter) - 64
    return number - 1


def check_slug(text: str) -> str:
    """Return the text, if an event's address may end in it.

    Raises:
        Unfit: If it mayn't.
    """
    if len(text) > MAX_SLUG or not _SLUG.fullmatch(text) or text in _RESERVED:
        raise Unfit(
            f"an address has 1 to {MAX_SLUG} small letters, digits and single dashes between them"
            if text not in _RESERVED
            else f"{text!r} is a page of its own; choose another address"
        )
    return text


def check_tiers(tiers: tuple[Tier, ...], rows: int) -> tuple[Tier, ...]:
    """Return the prices, if each row has one.

    Raises:
        Unfit: If one hasn't, or a tier speaks of rows that there aren't.
    """
    for tier in tiers:
        if not 0 <= tier.first_row <= tier.last_row < rows:
            raise Unfit(f"the price {tier.name!r} is for rows that there aren't")
    for row in range(rows):
        if not any(tier.first_row <= row <= tier.last_row for tier in tiers):
            raise Unfit(f"row {row_name(row)} has no price")
    return tiers
