"""What people may try, to get more than is theirs or by being quick."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from apps.booking.app import APP
from apps.booking.domain.hold import HOLD_SECONDS, MAX_TRIES
from apps.booking.domain.house import House, Person, Tier, section_rows
from apps.booking.domain.payment import Card
from apps.booking.domain.refusals import Conflict, Gone, TooSoon, Unfit
from apps.booking.domain.saga import Way
from apps.booking.objects.event import Event
from apps.booking.objects.queue import Queue
from apps.booking.objects.section import Section
from apps.booking.objects.show import MOST_WINDOWS
from apps.booking.store import holds, waiting
from runtime import errors
from runtime.testing import HandshakeRefused, TestRuntime
from tests.apps.booking.conftest import ADA, BOB, DAY, EVE, OWNER, ref
from tests.apps.booking.test_events import watch
from tests.conftest import StartRuntime


async def test_an_order_that_is_looked_at_while_it_is_cancelled_is_refunded(
    runtime: TestRuntime[Any], event: Event
) -> None:
    sale = await event.hold(ADA, ("A1",), 0)
    await event.confirm(ADA, ref(sale), "", Card.GOOD, None)
    order = runtime.env.orders.get_by_name(sale.id)  # which hasn't heard of itself yet

    both = asyncio.gather(order.cancel(ADA), order.show(ADA))
    await runtime.clock.advance(30)
    await both

    assert (await order.show(ADA)).way is Way.CANCELLED
    [charge] = await runtime.env.payments.get_by_name("gala").books()
    assert charge.refunded == 500


async def test_of_two_cancellations_at_once_one_is_refused(
    runtime: TestRuntime[Any], event: Event
) -> None:
    sale = await event.hold(ADA, ("A1",), 0)
    await event.confirm(ADA, ref(sale), "", Card.GOOD, None)
    order = runtime.env.orders.get_by_name(sale.id)

    both = asyncio.gather(order.cancel(ADA), order.cancel(ADA), return_exceptions=True)
    await runtime.clock.advance(30)

    assert [str(each) for each in await both if isinstance(each, Exception)] == [
        "this order is being cancelled already"
    ]


async def test_an_order_says_when_its_event_is_now(runtime: TestRuntime[Any], event: Event) -> None:
    sale = await event.hold(ADA, ("A1",), 0)
    await event.confirm(ADA, ref(sale), "", Card.GOOD, None)
    order = runtime.env.orders.get_by_name(sale.id)
    before = (await order.show(ADA)).sale

    await event.change(OWNER, {"title": "Later", "starts_at": before.starts_at + DAY})

    after = (await order.show(ADA)).sale
    assert (after.title, after.starts_at) == ("Later", before.starts_at + DAY)


async def test_a_bad_card_does_not_keep_seats_for_ever(
    runtime: TestRuntime[Any], event: Event
) -> None:
    sale = await event.hold(ADA, ("A1",), 0)
    await runtime.clock.advance(HOLD_SECONDS - 1)

    for _ in range(MAX_TRIES):
        assert (await event.confirm(ADA, ref(sale), "", Card.DECLINED, None)).declined
        await runtime.clock.advance(100)

    with pytest.raises(Gone):
        await event.confirm(ADA, ref(sale), "", Card.DECLINED, None)
    assert await event.hold(BOB, ("A1",), 0)


async def test_seats_that_are_passed_on_are_not_given_more_time_again(event: Event) -> None:
    sale = await event.share(ADA, ref(await event.hold(ADA, ("A1",), 0)))
    await event.extend(ADA, ref(sale))

    theirs = await event.take_over(BOB, ref(sale), sale.share, ("A1",))

    with pytest.raises(Conflict, match="that goes once"):
        await event.extend(BOB, ref(theirs))


async def test_whoever_gives_an_offer_away_may_wait_again(event: Event) -> None:
    sale = await event.hold(BOB, (), 5)
    for _ in range(2):
        await event.hold(EVE, (), 5)
    await event.wait(ADA, 5)
    await event.release(BOB, ref(sale))
    [offer] = await event.held_by(ADA)
    offer = await event.share(ADA, ref(offer))

    await event.take_over(BOB, ref(offer), offer.share, offer.seats)

    assert await event.wait(ADA, 5) == 1


async def test_the_waiting_list_gives_nobody_more_than_they_may_have(event: Event) -> None:
    await event.change(OWNER, {"per_person": 5})
    sales = [await event.hold(person, (), 5) for person in (ADA, BOB, EVE)]

    with pytest.raises(Conflict, match="everybody may have 5 seats"):
        await event.wait(ADA, 1)
    carl, dora = Person("c", "Carl"), Person("d", "Dora")
    await event.wait(carl, 5)
    await event.wait(dora, 5)
    shared = await event.share(ADA, ref(sales[0]))
    await event.take_over(carl, ref(shared), shared.share, ("A1",))
    await event.release(BOB, ref(sales[1]))

    assert [len(sale.seats) for sale in await event.held_by(carl)] == [1]
    assert [len(sale.seats) for sale in await event.held_by(dora)] == [5]


async def test_who_has_an_offer_waits_for_no_other(event: Event) -> None:
    sales = [await event.hold(person, (), 5) for person in (ADA, EVE, OWNER)]
    await event.wait(BOB, 2)
    await event.release(ADA, ref(sales[0]))
    assert [len(sale.seats) for sale in await event.held_by(BOB)] == [2]

    with pytest.raises(Conflict, match="seats are held for you already"):
        await event.wait(BOB, 5)


async def test_nothing_is_offered_once_the_event_has_begun(
    runtime: TestRuntime[Any], event: Event
) -> None:
    sales = [await event.hold(person, (), 5) for person in (BOB, EVE, OWNER)]
    await event.wait(ADA, 1)
    await event.change(OWNER, {"starts_at": sales[0].expires_at - 60})

    await runtime.clock.advance(HOLD_SECONDS + 1)

    assert await event.held_by(ADA) == []


async def test_nobody_waits_behind_people_who_want_more_than_there_is(event: Event) -> None:
    for person in (BOB, EVE):
        await event.hold(person, (), 5)
    seats = [await event.hold(OWNER, (name,), 0) for name in ("C1", "C2", "C3", "C4", "C5")]
    for number in range(waiting.AT_ONCE):
        await event.wait(Person(f"{number}", "Many"), 5)
    await event.wait(ADA, 2)
    with pytest.raises(Unfit, match="a row has 5 seats"):
        await event.wait(ADA, 6)

    await event.release(OWNER, ref(seats[1]))
    await event.release(OWNER, ref(seats[2]))

    assert [sale.seats for sale in await event.held_by(ADA)] == [("C2", "C3")]


async def test_of_many_holds_that_are_over_none_is_left(runtime: TestRuntime[Any]) -> None:
    event: Event = runtime.env.events.get_by_name("wide")
    tiers = (Tier("Standard", 0, 1, 500),)
    await event.open(House("wide", "Wide", 2, 100, OWNER, 0.0, tiers=tiers))
    for number in range(holds.AT_ONCE + 1):
        await event.hold(Person(f"{number}", "Many"), (), 1)
    await runtime.run_in_durable_object(event, lambda _, ctx: ctx.storage.delete_alarm(name="due"))
    await runtime.clock.advance(HOLD_SECONDS + 1)

    assert "h" not in (await event.plan())[1]


async def test_nobody_has_all_windows(runtime: TestRuntime[Any], event: Event) -> None:
    for _ in range(MOST_WINDOWS):
        await watch(runtime, event, ADA)

    with pytest.raises(HandshakeRefused, match="too many windows"):
        await watch(runtime, event, ADA)
    await watch(runtime, event, BOB)


def arena() -> House:
    """Return an event with three sections."""
    rows, width = 60, 50
    tiers = (Tier("Standard", 0, rows - 1, 500),)
    height = section_rows(rows, width)
    return House("arena", "Arena", rows, width, OWNER, 0.0, tiers=tiers, section_rows=height)


async def test_who_asks_many_times_at_once_gets_no_more_than_they_may_have(
    runtime: TestRuntime[Any],
) -> None:
    event: Event = runtime.env.events.get_by_name("arena")
    await event.open(replace(arena(), per_person=2))

    answers = await asyncio.gather(
        *(event.hold(ADA, (), 2) for _ in range(3)), return_exceptions=True
    )
    await runtime.clock.advance(5)  # the letters that give seats back

    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "Conflict", "Sale"]
    _, states = await event.plan()
    assert states.count("h") == 2


async def test_seats_that_cant_be_shared_are_not_held_twice(runtime: TestRuntime[Any]) -> None:
    event: Event = runtime.env.events.get_by_name("arena")
    await event.open(arena())
    sale = await event.hold(ADA, ("A1", "A2"), 0)

    with pytest.raises(Conflict, match="so large an event"):
        await event.share(ADA, ref(sale))
    # As if there were a link to them, of an earlier version for instance.
    await runtime.run_in_durable_object(
        event, lambda _, ctx: ctx.storage.sql.exec("UPDATE holds SET share = 'link'").to_array()
    )
    with pytest.raises(Conflict, match="so large an event"):
        await event.take_over(BOB, ref(sale), "link", ("A1",))

    assert await event.held_by(BOB) == []


async def test_an_event_that_dies_while_its_sections_are_made_goes_on_with_it(
    start_runtime: StartRuntime,
) -> None:
    is_dying = [True]

    class Dying(Section):
        async def be(self, house: House, number: int) -> None:
            if number == 1 and is_dying.pop():
                self.ctx.abort("the power is gone")
            await super().be(house, number)

    runtime = await start_runtime(**{**APP.bindings, "sections": Dying})
    event: Event = runtime.env.events.get_by_name("arena")
    with pytest.raises(errors.DurableObjectError):
        await event.open(arena())
    is_dying.append(False)

    _, states = await event.plan()

    assert states == "f" * 3_000


async def test_the_waiting_room_is_there_though_it_has_not_heard_of_it(
    runtime: TestRuntime[Any], event: Event
) -> None:
    await event.change(OWNER, {"per_second": 1})
    queue: Queue = runtime.env.queues.get_by_name("gala")
    await queue.be(0)  # as if the event had died before it could tell

    await event.hold(ADA, (), 1)
    with pytest.raises(TooSoon):
        await event.hold(BOB, (), 1)
