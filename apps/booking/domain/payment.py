"""What a payment provider is asked, and what it answers: small, and like real ones."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from apps.booking.domain.hold import Reference
from apps.booking.domain.refusals import NotFound

SLOW_SECONDS: Final = 3.0  # until a slow card is settled


class Card(StrEnum):
    """Cards for trying out what may happen, as every provider has them."""

    GOOD = "tok_good"
    DECLINED = "tok_declined"
    SLOW = "tok_slow"  # pending, and then good
    SLOW_DECLINED = "tok_slow_declined"
    SILENT = "tok_silent"  # charged, and the answer never comes
    LOST = "tok_lost"  # the request never arrives
    TWICE = "tok_twice"  # the answer comes again, and late


class ChargeState(StrEnum):
    """How a charge is."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    CANCELLED = "cancelled"  # before it had happened; it never will


@dataclass(frozen=True, slots=True)
class Charge:
    """Money that was asked for."""

    id: str
    """Chosen by whoever asks: to ask again with it does nothing."""
    amount: int
    """In cents."""
    state: ChargeState
    refunded: int = 0

    @property
    def has_failed(self) -> bool:
        return self.state in (ChargeState.DECLINED, ChargeState.CANCELLED)


def sold_by(payment: str) -> tuple[Reference, int]:
    """Return what a payment is for, and the how-manieth it is for that.

    Raises:
        NotFound: If it can't be one of ours.
    """
    reference, _, tries = payment.rpartition(".")
    if not (tries.isascii() and tries.isdecimal() and len(tries) < 10):
        raise NotFound(f"there is no payment {payment[:60]!r}")
    return Reference.read(reference), int(tries)


def pause_seconds(asked: int) -> float:
    """Return how long to wait until the provider is asked again."""
    return float(min(300, 5 * 2 ** min(asked, 10)))


LAST_ASK: Final = 8  # so often; then a payment that is still pending is cancelled, after 20 minutes
ANSWER_SECONDS: Final = 20.0  # until no answer counts as none
