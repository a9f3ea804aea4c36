"""From values to HTML: booking's fragments, for the page, the answers and every push."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from apps import pages
from apps.booking.domain.house import House, row_name
from apps.booking.domain.money import money
from apps.booking.domain.order import Order
from apps.booking.domain.payment import Card
from apps.booking.domain.sale import FREE, HELD, SOLD, Sale, Scene, Tally
from apps.identity import Guest

COLOURS = 5  # of prices
CARDS = {
    Card.GOOD: "good: the payment succeeds",
    Card.DECLINED: "declined",
    Card.SLOW: "slow: it takes three seconds",
    Card.SLOW_DECLINED: "slow, and then declined",
    Card.SILENT: "charged, but no answer comes",
    Card.LOST: "the request gets lost",
    Card.TWICE: "the answer comes twice",
}
STATES = {FREE: "free", HELD: "held", SOLD: "sold"}


def event(scene: Scene, guest: Guest) -> dict[str, Any]:
    """Return what the event's page shows."""
    return {
        "house": scene.house,
        "rows": () if scene.house.sections else rows(scene.house, scene.seats),
        "tally": scene.tally,
        "cursor": scene.cursor,
        "holds": scene.holds,
        "place": scene.place,
        "waiting": scene.waiting,
        "looks": scene.looks,
        "now": scene.now,
        "is_owner": guest.id == scene.house.owner.id,
        "cards": list(Card),
        "mine": {name for hold in scene.holds for name in hold.seats},
        "section": None,
        "notice": "",
        "alternatives": (),
    }


def section(
    house: House, number: int, states: str, cursor: str, looked_at: Sequence[str]
) -> dict[str, Any]:
    """Return what is another in the page of a large event, which shows one section at a time."""
    first = house.sections[number].start
    return {
        "section": number,
        "sections": [
            f"{row_name(part.start)} to {row_name(part.stop - 1)}" for part in house.sections
        ],
        "rows": rows(house, states, first),
        "cursor": cursor,
        "looks": looked_at,
    }


def rows(house: House, states: str, first: int = 0) -> list[dict[str, Any]]:
    """Return the house row by row, from row `first` on: ``name`` and ``seats`` of each."""
    width = house.seats_per_row
    shown = []
    for row, start in enumerate(range(0, len(states), width), first):
        letters = states[start : start + width]
        seats = [seat(house, row * width + place, each) for place, each in enumerate(letters)]
        shown.append({"name": row_name(row), "seats": seats})
    return shown


def seat(house: House, number: int, state: str) -> dict[str, Any]:
    """Return what there is to see of one seat."""
    tier = house.tier_of(number)
    row, place = divmod(number, house.seats_per_row)
    return {
        "name": house.name_of(number),
        "row": row_name(row),
        "place": place + 1,
        "rank": house.tiers.index(tier) % COLOURS,
        "state": STATES[state],
        "cents": tier.cents,
        "tier": tier.name,
    }


def changes(house: House, changed: Mapping[int, str], tally: Tally, cursor: str) -> str:
    """Return a push that shows seats as they are now; doing it twice does no harm."""
    seats = [seat(house, number, state) for number, state in changed.items()]
    return pages.render("booking/_changes.html", seats=seats, tally=tally, cursor=cursor)


def everything(house: House, states: str, first_row: int, cursor: str) -> str:
    """Return a push that shows all seats as they are now.

    Args:
        first_row: Which row the first letter of `states` is in; not 0 in a section.
    """
    context = {"house": house, "rows": rows(house, states, first_row), "tally": Tally.of(states)}
    return pages.render("booking/_everything.html", cursor=cursor, **context)


def looks(names: Sequence[str]) -> str:
    """Return a push that says which seats somebody looks at."""
    return pages.render("booking/_looks.html", looks=names)


def mine(house: House, holds: Sequence[Sale], place: int, now: float) -> str:
    """Return a push, for one person, that shows what they hold and where they wait."""
    context = {"house": house, "holds": holds, "place": place, "now": now, "cards": list(Card)}
    return pages.render("booking/_new_mine.html", **context)


def order(seen: Order) -> dict[str, Any]:
    """Return what an order's page shows."""
    return {"order": seen, "sale": seen.sale, "way": str(seen.way)}


def shared(sale: Sale, share: str, guest: Guest) -> dict[str, Any]:
    """Return what somebody sees who was sent a link to seats."""
    return {"sale": sale, "share": share, "is_own": sale.owner.id == guest.id}


def books(seen: Any) -> dict[str, Any]:
    """Return what organisers see of their event: see `Books`."""
    return {
        "house": seen.house,
        "tally": seen.tally,
        "held": seen.held,
        "vouchers": seen.vouchers,
        "entries": seen.entries,
        "now": seen.now,
        "notice": "",
    }


def line(sale: Sale) -> tuple[str, ...]:
    """Return an order as a line of a table. What a spreadsheet takes for a formula is text."""
    name = f"'{sale.owner.name}" if sale.owner.name[0] in "=+-@" else sale.owner.name
    paid_at = datetime.fromtimestamp(sale.paid_at, UTC).isoformat(timespec="seconds")
    seats = " ".join(sale.seats)
    return (sale.id, name, seats, str(sale.total), str(sale.state), paid_at, str(sale.refund))


def clock(seconds: float) -> str:
    """Return a time as machines read it, for `datetime` attributes."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def day(seconds: float) -> str:
    """Return a time as people read it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%a %-d %B %Y, %H:%M} UTC"


def hour(seconds: float) -> str:
    """Return the time of a day as people read it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M} UTC"


pages.environment.filters |= {
    "money": money,
    "clock": clock,
    "day": day,
    "hour": hour,
    "card_name": CARDS.__getitem__,
}
