"""The course of a sale, from seats that are held to an order that is paid, and back.

Everything that changes a sale's state is in these two tables. A step that they don't have for a
state doesn't happen there.

What keeps money and seats together is what isn't here: from CONFIRMING and UNKNOWN no time that
passes leads anywhere. Only an answer about the payment does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from apps.booking.domain.refusals import Conflict, Gone, Refusal


class State(StrEnum):
    """How a hold is, which becomes an order when it is paid."""

    TAKING = "taking"  # seats are being asked for in the sections of a large event
    HELD = "held"
    CONFIRMING = "confirming"  # the payment is under way
    UNKNOWN = "unknown"  # it has been asked for, and no answer has come
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    RELEASED = "released"
    EXPIRED = "expired"


class Step(StrEnum):
    """What may happen to it."""

    TAKEN = "taken"  # all sections have agreed
    LEFT = "left"  # it is let go
    LATE = "late"  # its time is over
    PAY = "pay"  # the payment is asked for
    PAID = "paid"
    DECLINED = "declined"
    SILENT = "silent"  # no answer, or that there is none yet
    CANCEL = "cancel"


COURSE: Final[dict[State, dict[Step, State]]] = {
    State.TAKING: {Step.TAKEN: State.HELD, Step.LEFT: State.RELEASED},
    State.HELD: {
        Step.PAY: State.CONFIRMING,
        Step.LEFT: State.RELEASED,
        Step.LATE: State.EXPIRED,
    },
    State.CONFIRMING: {
        Step.PAID: State.CONFIRMED,
        Step.DECLINED: State.HELD,
        Step.SILENT: State.UNKNOWN,
    },
    State.UNKNOWN: {
        Step.PAID: State.CONFIRMED,
        Step.DECLINED: State.HELD,
        Step.SILENT: State.UNKNOWN,
    },
    State.CONFIRMED: {Step.CANCEL: State.CANCELLED},
    State.CANCELLED: {},
    State.RELEASED: {},
    State.EXPIRED: {},
}

KEEPS_SEATS: Final = frozenset(
    {State.TAKING, State.HELD, State.CONFIRMING, State.UNKNOWN, State.CONFIRMED}
)
AWAITS_PAYMENT: Final = frozenset({State.CONFIRMING, State.UNKNOWN})
IS_ORDER: Final = AWAITS_PAYMENT | {State.CONFIRMED, State.CANCELLED}

_WHY_NOT: Final[dict[State, str]] = {
    State.TAKING: "these seats are still being asked for",
    State.HELD: "these seats are held, and not paid yet",
    State.CONFIRMING: "the payment is under way",
    State.UNKNOWN: "nobody knows yet whether the payment has gone through; it is being found out",
    State.CONFIRMED: "these seats are paid for",
    State.CANCELLED: "this order was cancelled",
    State.RELEASED: "these seats were let go",
    State.EXPIRED: "the time to pay for these seats is over",
}


def step(state: State, what: Step) -> State:
    """Return what comes of a state.

    Raises:
        Gone: If its seats have been let go.
        Conflict: If that doesn't happen there for another reason.
    """
    following = COURSE[state].get(what)
    if following is None:
        raise why_not(state)
    return following


def why_not(state: State) -> Refusal:
    """Return the refusal of what doesn't go with a state."""
    kind = Gone if state in (State.RELEASED, State.EXPIRED) else Conflict
    return kind(_WHY_NOT[state])


class Way(StrEnum):
    """How far a cancellation is: what an order does once it is paid."""

    PAYING = "paying"
    UNKNOWN = "unknown"
    PAID = "paid"
    RETURNING = "returning"  # its seats are being given back
    REFUNDING = "refunding"  # and then its money
    CANCELLED = "cancelled"
    VOID = "void"  # it was never paid


NEXT: Final[dict[Way, frozenset[Way]]] = {
    Way.PAYING: frozenset({Way.UNKNOWN, Way.PAID, Way.VOID}),
    Way.UNKNOWN: frozenset({Way.PAID, Way.VOID}),
    Way.PAID: frozenset({Way.RETURNING}),
    Way.RETURNING: frozenset({Way.REFUNDING, Way.PAID}),  # back, if it is too late for that
    Way.REFUNDING: frozenset({Way.CANCELLED}),
    Way.CANCELLED: frozenset(),
    Way.VOID: frozenset({Way.UNKNOWN, Way.PAID}),  # another payment was tried
}
