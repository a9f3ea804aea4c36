"""What must hold of an event's books, whatever has happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from apps.booking.domain.hold import Hold
from apps.booking.domain.payment import Charge, ChargeState
from apps.booking.domain.saga import AWAITS_PAYMENT, KEEPS_SEATS, State

Taken = dict[int, tuple[int, bool]]
"""For each seat that isn't free: the number of the hold that has it, and whether it is sold."""

COUNTED = "free + held + sold = capacity"
ONCE = "no seat belongs to two holds"
MATCHED = "each seat belongs to the hold that says so"
PAID = "each booking has exactly one payment"
SEATED = "each payment has seats, or went back"
KEPT = "whoever was told that seats are theirs has them"
OF_SEATS = 3  # the first three are of seats alone
ALL = (COUNTED, ONCE, MATCHED, PAID, SEATED, KEPT)


def broken_seats(ledger: Sequence[Hold], seats: Taken, states: str) -> dict[str, str]:
    """Return which invariants of seats don't hold, and why."""
    broken: dict[str, str] = {}
    keeping = [hold for hold in ledger if hold.state in KEEPS_SEATS]
    held = sum(len(hold.seats) for hold in keeping if hold.state is not State.CONFIRMED)
    sold = sum(len(hold.seats) for hold in keeping if hold.state is State.CONFIRMED)
    if states.count("f") + held + sold != len(states):
        broken[COUNTED] = f"{states.count('f')} + {held} + {sold} isn't {len(states)}"
    owners = Counter(seat for hold in keeping for seat in hold.seats)
    if twice := [seat for seat, count in owners.items() if count > 1]:
        which = [hold.number for hold in keeping if twice[0] in hold.seats]
        broken[ONCE] = f"seat {twice[0]} belongs to holds {which}"
    should = {
        seat: (hold.number, hold.state is State.CONFIRMED)
        for hold in keeping
        for seat in hold.seats
    }
    if should != seats:
        odd = sorted(set(should.items()) ^ set(seats.items()))[0]
        broken[MATCHED] = f"seat {odd[0]} isn't that of hold {odd[1][0]}"
    return broken


def broken_money(
    ledger: Sequence[Hold], charges: Iterable[Charge], slug: str, *, is_final: bool
) -> dict[str, str]:
    """Return which invariants of payments don't hold, and why.

    Args:
        is_final: Whether everything has been found out, and nothing is under way.
    """
    broken: dict[str, str] = {}
    succeeded: dict[str, list[Charge]] = {}
    for charge in charges:
        if charge.state is ChargeState.SUCCEEDED:
            succeeded.setdefault(charge.id.rpartition(".")[0], []).append(charge)
        elif is_final and charge.state is ChargeState.PENDING:
            broken[PAID] = f"payment {charge.id} is pending still"
    for hold in ledger:
        mine = succeeded.pop(str(hold.reference(slug)), [])
        kept = sum(charge.amount - charge.refunded for charge in mine)
        match hold.state:
            case State.CONFIRMED if len(mine) != 1 or kept != hold.total:
                broken[PAID] = f"order {hold.number} has {len(mine)} payments"
            case State.CANCELLED if is_final and kept != hold.total - hold.refund:
                broken[SEATED] = f"{kept} cents were kept of order {hold.number}, cancelled"
            case state if kept and state not in AWAITS_PAYMENT | {State.CONFIRMED, State.CANCELLED}:
                broken[SEATED] = f"hold {hold.number} is {state}, and {kept} cents were taken"
    if succeeded:
        broken[SEATED] = f"payment {next(iter(succeeded))} is for nothing"
    if is_final and (odd := [hold.number for hold in ledger if hold.state in AWAITS_PAYMENT]):
        broken[PAID] = f"of order {odd[0]} it was never found out whether it is paid"
    return broken
