"""Events: their organisers, whoever watches, sections, the waiting room, and their past."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apps.booking.app import APP
from apps.booking.domain.hold import HOLD_SECONDS
from apps.booking.domain.payment import Card
from apps.booking.domain.refusals import Conflict, NotFound, NotYours, Taken, TooSoon, Unfit
from apps.booking.objects.event import Event as NewEvent
from apps.booking.store import schema
from runtime import DurableObject
from runtime.testing import ClientSocket, HandshakeRefused, TestRuntime
from tests.apps.booking.conftest import ADA, BOB, DAY, EVE, OWNER, house, ref
from tests.apps.booking.test_holds import tally

# Organisers.


async def test_only_its_organiser_runs_an_event(event: NewEvent) -> None:
    sale = await event.hold(ADA, ("A1",), 0)

    for forbidden in (
        event.change(ADA, {"is_open": False}),
        event.add_voucher(ADA, "FREE", 100, 1),
        event.let_go(ADA, ref(sale).number),
        event.books(ADA),
        event.orders(ADA),
        event.audit(ADA),
    ):
        with pytest.raises(NotYours, match="only whoever organises"):
            await forbidden

    assert await tally(event) == "14/1/0"
    assert [entry.who for entry in await event.audit(OWNER)] == ["Olga"]


async def test_when_sales_are_closed_what_is_held_can_still_be_paid(event: NewEvent) -> None:
    sale = await event.hold(ADA, ("A1",), 0)
    await event.change(OWNER, {"is_open": False})

    with pytest.raises(Conflict, match="sales are closed"):
        await event.hold(BOB, ("A2",), 0)
    with pytest.raises(Conflict, match="sales are closed"):
        await event.wait(BOB, 1)

    assert (await event.confirm(ADA, ref(sale), "", Card.GOOD, None)).sale.paid_at


async def test_nothing_is_sold_once_the_event_has_begun(
    runtime: TestRuntime[Any], event: NewEvent
) -> None:
    await runtime.clock.advance(30 * DAY)

    with pytest.raises(Conflict, match="the event has begun"):
        await event.hold(ADA, ("A1",), 0)


async def test_an_organiser_sees_who_holds_what_and_releases_it(event: NewEvent) -> None:
    sale = await event.hold(ADA, ("A1", "A2"), 0)
    books = await event.books(OWNER)
    assert [(held.owner.name, held.seats) for held in books.held] == [("Ada", ("A1", "A2"))]

    await event.let_go(OWNER, ref(sale).number)

    assert await tally(event) == "15/0/0"
    assert (await event.audit(OWNER))[0].what == "released what Ada held"
    with pytest.raises(NotFound):
        await event.let_go(OWNER, 99)


async def test_rows_have_prices_of_their_own(event: NewEvent) -> None:
    tiers = [
        {"name": "All", "first_row": 0, "last_row": 2, "cents": 500},
        {"name": "Front", "first_row": 0, "last_row": 0, "cents": 900},
    ]
    await event.change(OWNER, {"tiers": tiers})

    assert (await event.hold(ADA, ("A1", "B1"), 0)).cents == (900, 500)
    with pytest.raises(Unfit, match="row A has no price"):
        await event.change(OWNER, {"tiers": [tiers[0] | {"first_row": 1}]})


async def test_what_was_sold_is_told_by_pages(event: NewEvent) -> None:
    for seat in ("A1", "A2"):
        sale = await event.hold(ADA, (seat,), 0)
        await event.confirm(ADA, ref(sale), "", Card.GOOD, None)
    await event.hold(BOB, ("A3",), 0)

    first, second = await event.orders(OWNER)

    assert (first.seats, second.seats) == (("A1",), ("A2",))
    assert await event.orders(OWNER, ref(first).number) == [second]


async def test_an_event_is_made_once(event: NewEvent) -> None:
    assert not await event.open(replace(house(), title="Mine", owner=EVE))

    assert (await event.plan())[0].owner == OWNER


async def test_there_is_nothing_to_do_where_there_is_no_event(runtime: TestRuntime[Any]) -> None:
    nowhere = runtime.env.events.get_by_name("nowhere")

    for what in (
        nowhere.plan(),
        nowhere.hold(ADA, (), 1),
        nowhere.books(ADA),
        nowhere.wait(ADA, 1),
    ):
        with pytest.raises(NotFound):
            await what
    await runtime.evict_all_durable_objects()

    assert await runtime.list_durable_object_ids(runtime.env.events) == []


async def test_the_catalogue_hears_of_everything_soon(
    runtime: TestRuntime[Any], event: NewEvent
) -> None:
    sale = await event.hold(ADA, ("A1", "A2"), 0)
    await event.confirm(ADA, ref(sale), "", Card.GOOD, None)

    await runtime.clock.advance(5)

    (listing,) = await runtime.env.catalogue.get_by_name("all").upcoming()
    assert (listing.slug, listing.free, listing.capacity, listing.from_cents) == (
        "gala",
        13,
        15,
        500,
    )


# Whoever watches.


async def watch(runtime: TestRuntime[Any], stub: Any, person: Any, query: str = "") -> ClientSocket:
    """Open somebody's window on an event."""
    headers = {"x-person-id": person.id, "x-person-name": person.name}
    return await runtime.connect(stub, f"/booking/gala/ws{query}", headers=headers)


def states(window: ClientSocket) -> dict[str, str]:
    """Return what a window was pushed about seats, the newest of each."""
    pushes = "".join(str(push) for push in window.received)
    return dict(re.findall(r'data-name="(\w+)"[^>]*data-state="(\w+)"', pushes))


async def test_everybody_sees_each_seat_change(runtime: TestRuntime[Any], event: NewEvent) -> None:
    cursor = (await event.scene(BOB)).cursor
    window = await watch(runtime, event, BOB, f"?since={cursor}")
    sale = await event.hold(ADA, ("A1", "A2"), 0)
    await runtime.clock.advance(1)
    assert states(window) == {"A1": "held", "A2": "held"}

    await event.confirm(ADA, ref(sale), "", Card.GOOD, None)
    other = await event.hold(ADA, ("A3",), 0)
    await event.release(ADA, ref(other))
    await runtime.clock.advance(1)

    assert states(window) == {"A1": "sold", "A2": "sold", "A3": "free"}


async def test_whoever_comes_back_is_told_what_they_have_missed(
    runtime: TestRuntime[Any], event: NewEvent
) -> None:
    cursor = (await event.scene(BOB)).cursor
    await event.hold(ADA, ("A1",), 0)
    await event.hold(ADA, ("C5",), 0)

    window = await watch(runtime, event, BOB, f"?since={cursor}")
    lost = await watch(runtime, event, EVE, "?since=1-beef")

    assert states(window) == {"A1": "held", "C5": "held"}
    assert len(states(lost)) == 15


async def test_pushes_are_few_however_much_happens(
    runtime: TestRuntime[Any], event: NewEvent
) -> None:
    window = await watch(runtime, event, BOB)
    for number in range(10):
        await event.hold(ADA, (house().name_of(number),), 0)
    await runtime.clock.advance(1)

    assert sum("data-feed" in str(push) for push in window.received) <= 2 + 1
    assert len(states(window)) == 10


async def test_what_somebody_holds_is_in_all_their_windows_and_in_nobody_elses(
    runtime: TestRuntime[Any], event: NewEvent
) -> None:
    ada, bob = await watch(runtime, event, ADA), await watch(runtime, event, BOB)

    sale = await event.hold(ADA, ("A1",), 0)
    held = [str(push) for push in ada.received if sale.id in str(push)]
    shared = await event.share(ADA, ref(sale))

    assert len(held) == 1
    assert shared.share in str(ada.received[-1])
    assert not any(sale.id in str(push) for push in bob.received)


async def test_one_sees_where_others_look(runtime: TestRuntime[Any], event: NewEvent) -> None:
    ada, bob = await watch(runtime, event, ADA), await watch(runtime, event, BOB)

    await ada.send("look B3")
    await runtime.clock.advance(1)
    assert 'data-seats="B3"' in str(bob.received[-1])
    await ada.vanish()
    await runtime.clock.advance(1)

    assert 'data-seats=""' in str(bob.received[-1])


@pytest.mark.parametrize("message", ["look Z9", "hold A1", "", "lookA1"])
async def test_a_socket_is_for_looking_only(
    runtime: TestRuntime[Any], event: NewEvent, message: str
) -> None:
    window = await watch(runtime, event, ADA)

    await window.send(message)
    await runtime.settle()

    assert window.closed is not None
    assert window.closed[0] == 1008


async def test_somebodys_windows_show_what_they_have(
    runtime: TestRuntime[Any], event: NewEvent
) -> None:
    mine, others = await watch(runtime, event, ADA), await watch(runtime, event, BOB)
    await event.hold(ADA, ("A1",), 0)

    await runtime.clock.advance(HOLD_SECONDS + 1)

    assert 'hx-target="#mine"' in "".join(map(str, mine.received))
    assert 'hx-target="#mine"' not in "".join(map(str, others.received))


async def test_nobody_watches_what_isnt_there(runtime: TestRuntime[Any], event: NewEvent) -> None:
    for stub, person in (
        (runtime.env.events.get_by_name("nowhere"), ADA),
        (runtime.env.sections.get_by_name("gala/0"), ADA),
        (event, replace(ADA, id="")),
    ):
        with pytest.raises(HandshakeRefused):
            await watch(runtime, stub, person)


# Sections.


@pytest.fixture
async def large(runtime: TestRuntime[Any]) -> NewEvent:
    """An event each of whose rows is a section."""
    gala: NewEvent = runtime.env.events.get_by_name("gala")
    await gala.open(house(section_rows=1))
    return gala


async def test_seats_in_several_sections_are_held_and_sold_together(
    runtime: TestRuntime[Any], large: NewEvent
) -> None:
    sale = await large.hold(ADA, ("A5", "B1", "C1"), 0)
    assert (sale.seats, await tally(large)) == (("A5", "B1", "C1"), "12/3/0")

    await large.confirm(ADA, ref(sale), "", Card.GOOD, None)
    await runtime.clock.advance(2)

    assert await tally(large) == "12/0/3"
    await runtime.env.orders.get_by_name(sale.id).cancel(ADA)
    await runtime.clock.advance(2)
    assert await tally(large) == "15/0/0"


async def test_if_one_section_refuses_the_others_get_their_seats_back(
    runtime: TestRuntime[Any], large: NewEvent
) -> None:
    await large.hold(BOB, ("C1",), 0)

    with pytest.raises(Taken) as refusal:
        await large.hold(ADA, ("A1", "B1", "C1"), 0)
    await runtime.clock.advance(2)

    assert refusal.value.alternatives == ("C2",)
    assert await tally(large) == "14/1/0"


async def test_the_best_seats_of_a_large_event_are_in_one_section(large: NewEvent) -> None:
    assert (await large.hold(ADA, (), 4)).seats == ("A1", "A2", "A3", "A4")
    assert (await large.hold(ADA, (), 2)).seats == ("B2", "B3")
    with pytest.raises(Taken, match="no 6 seats together"):
        await large.hold(ADA, (), 6)


async def test_a_hold_that_comes_to_nothing_leaves_nothing_in_any_section(
    runtime: TestRuntime[Any], large: NewEvent
) -> None:
    crash = runtime.crash_at("after_sync")  # some section has been asked, or none
    with pytest.raises(Exception, match=r"."):
        await large.hold(ADA, ("A1", "B1"), 0)
    await crash

    await runtime.clock.advance(HOLD_SECONDS + 60)

    assert await tally(large) == "15/0/0"
    assert (await large.hold(BOB, ("A1", "B1"), 0)).seats


async def test_a_section_pushes_its_own_seats(runtime: TestRuntime[Any], large: NewEvent) -> None:
    section = runtime.env.sections.get_by_name("gala/1")
    window = await watch(runtime, section, BOB, "?since=")
    await large.hold(ADA, ("A1", "B2"), 0)
    await runtime.clock.advance(1)

    assert states(window) == {"B1": "free", "B2": "held", "B3": "free", "B4": "free", "B5": "free"}


# The waiting room.


async def test_a_hot_sale_lets_in_so_many_a_second_in_the_order_of_coming(
    runtime: TestRuntime[Any], event: NewEvent
) -> None:
    await event.change(OWNER, {"per_second": 2})
    queue = runtime.env.queues.get_by_name("gala")
    places = [await queue.join(str(number)) for number in range(7)]
    assert [place.is_in for place in places] == [True, True] + 5 * [False]
    assert [place.before for place in places[2:]] == [0, 1, 2, 3, 4]

    for _ in range(100):  # reloading doesn't help
        await queue.join("6")
    await runtime.clock.advance(1.05)

    seen = [(await queue.place(str(number))).is_in for number in range(7)]
    assert seen == [True] * 4 + [False] * 3
    assert (await queue.place("6")).before == 2


async def test_nobody_holds_seats_past_the_waiting_room(
    runtime: TestRuntime[Any], event: NewEvent
) -> None:
    await event.change(OWNER, {"per_second": 1})
    await event.hold(ADA, ("A1",), 0)

    with pytest.raises(TooSoon, match="0 people are before you") as refusal:
        await event.hold(BOB, ("A2",), 0)

    assert refusal.value.retry_after == 1
    await runtime.clock.advance(1.5)
    assert (await event.hold(BOB, ("A2",), 0)).seats == ("A2",)


# The past.


class Event(DurableObject[Any]):
    """An event as it was before rows had prices of their own."""

    migrations = schema.EVENT[:4]

    async def make(self) -> None:
        self.ctx.storage.sql.exec(
            "INSERT INTO house (slug, title, rows, seats_per_row, price, owner_id, owner, "
            "starts_at) VALUES ('gala', 'Gala', 3, 5, 700, 'o', 'Olga', 4e9)"
        )
        self.ctx.storage.sql.exec(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 14) "
            "INSERT INTO seats (number) SELECT i FROM n"
        )

    async def alarm(self, invocation: Any) -> None:
        pass


async def test_an_event_that_has_slept_since_wakes_up_with_one_price_for_all_rows(
    folder: Path,
) -> None:
    async with TestRuntime(bindings={"events": Event}, data=folder) as runtime:
        await runtime.env.events.get_by_name("gala").make()

    async with TestRuntime(bindings=APP.bindings, data=folder) as runtime:
        event: NewEvent = runtime.env.events.get_by_name("gala")

        found, _ = await event.plan()
        assert [(tier.name, tier.first_row, tier.last_row, tier.cents) for tier in found.tiers] == [
            ("Standard", 0, 2, 700)
        ]
        assert (await event.hold(ADA, ("A1", "C5"), 0)).total == 1400
