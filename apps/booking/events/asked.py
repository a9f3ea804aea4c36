"""What programs send."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from apps.booking.domain import house as facts
from apps.booking.domain.hold import MAX_SEATS
from apps.booking.domain.house import check_slug
from apps.booking.domain.payment import Card
from apps.booking.domain.refusals import Unfit
from apps.numbers import Flag, Whole


def _slug(text: str) -> str:
    try:
        return check_slug(text)
    except Unfit as refusal:
        raise ValueError(str(refusal)) from refusal


def _readable(what: str) -> AfterValidator:
    def check(text: str) -> str:
        text = " ".join(text.split())
        if not text or not text.isprintable():
            raise ValueError(f"{what} needs some text, in characters that people can read")
        return text

    return AfterValidator(check)


def _moment(moment: datetime) -> datetime:
    if not FIRST <= moment < LAST:
        raise ValueError(f"an event begins between {FIRST.year} and {LAST.year}")
    return moment


# Years that calendars, other time zones and whatever else is reckoned from it can bear.
FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LAST: Final = datetime(3000, 1, 1, tzinfo=UTC)

Moment = Annotated[AwareDatetime, AfterValidator(_moment)]
Slug = Annotated[str, Field(max_length=facts.MAX_SLUG), AfterValidator(_slug)]
Title = Annotated[str, Field(max_length=facts.MAX_TITLE), _readable("a title")]
Cents = Annotated[Whole, Field(ge=0, le=facts.MAX_CENTS)]
Count = Annotated[Whole, Field(ge=1, le=MAX_SEATS)]
SeatName = Annotated[str, Field(pattern=r"^[A-Z]{1,2}[1-9][0-9]{0,2}$")]
Code = Annotated[str, Field(pattern=r"^[A-Z0-9-]{1,20}$")]
PerPerson = Annotated[Whole, Field(ge=0, le=facts.MAX_PER_PERSON)]
PerSecond = Annotated[Whole, Field(ge=0, le=facts.MAX_PER_SECOND)]


class Body(BaseModel):
    """Base of all of them: immutable, and unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NewTier(Body):
    """Rows that cost the same."""

    name: Annotated[str, Field(max_length=30), _readable("a tier's name")]
    first_row: Annotated[Whole, Field(ge=1, le=facts.MAX_ROWS)]
    """From 1, in front."""
    last_row: Annotated[Whole, Field(ge=1, le=facts.MAX_ROWS)]
    price: Cents


Tiers = Annotated[list[NewTier], Field(min_length=1, max_length=facts.MAX_TIERS)]


class NewEvent(Body):
    """Make an event. Its seats are called A1, A2 and so on, from the front."""

    slug: Slug
    """What its address ends in."""
    title: Title
    rows: Annotated[Whole, Field(ge=1, le=facts.MAX_ROWS)]
    seats_per_row: Annotated[Whole, Field(ge=1, le=facts.MAX_SEATS_PER_ROW)]
    price: Cents
    """Of each seat."""
    starts_at: Moment | None = None
    """In 30 days, by default."""
    per_person: PerPerson = 0
    """How many seats somebody may have; 0 for no limit."""


class ChangeEvent(Body):
    """Change an event. What isn't named stays."""

    title: Title | None = None
    starts_at: Moment | None = None
    is_open: Flag | None = None
    """Whether seats are sold."""
    per_person: PerPerson | None = None
    per_second: PerSecond | None = None
    """How many people the waiting room lets in each second; 0 for no waiting room."""
    price: Cents | None = None
    """Of every seat; instead of `tiers`."""
    tiers: Tiers | None = None
    """Of two that speak of a row the later one counts."""

    @model_validator(mode="after")
    def _has_one_price(self) -> Self:
        if self.price is not None and self.tiers is not None:
            raise ValueError("give either price or tiers, not both")
        return self


class NewHold(Body):
    """Hold seats: the ones that you name, or the best ones together."""

    seats: Annotated[list[SeatName], Field(min_length=1, max_length=MAX_SEATS)] | None = None
    best: Count | None = None

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if (self.seats is None) == (self.best is None):
            raise ValueError("give either seats or best")
        return self


class Confirm(Body):
    """Pay for seats."""

    card: Card = Card.GOOD
    total: Annotated[Whole, Field(ge=0)] | None = None
    """What you believe they cost. If they cost something else, nothing is paid."""


class Redeem(Body):
    """Use a voucher."""

    code: Code


class NewVoucher(Body):
    """Make a voucher."""

    code: Code
    percent: Annotated[Whole, Field(ge=1, le=100)]
    uses: Annotated[Whole, Field(ge=1, le=100_000)] = 1


class TakeOver(Body):
    """Take over seats that somebody shares."""

    share: Annotated[str, Field(min_length=1, max_length=20)]
    seats: Annotated[list[SeatName], Field(min_length=1, max_length=MAX_SEATS)]


class Wait(Body):
    """Wait for seats together."""

    seats: Annotated[Whole, Field(ge=1, le=20)] = 1


class PaymentAnswer(Body):
    """The provider has something to say about a payment. It is asked what."""

    payment: Annotated[str, Field(min_length=1, max_length=100)]
