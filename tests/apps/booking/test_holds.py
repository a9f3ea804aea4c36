"""Holding seats, as objects do it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apps.booking.domain.hold import EXTENSION_SECONDS, HOLD_SECONDS, OFFER_SECONDS
from apps.booking.domain.payment import Card
from apps.booking.domain.refusals import Conflict, Gone, NotFound, NotYours, Taken, Unfit
from apps.booking.domain.saga import State
from apps.booking.domain.sale import Sale
from apps.booking.objects.event import Event
from runtime.testing import TestRuntime
from tests.apps.booking.conftest import ADA, BOB, EVE, OWNER, ref


async def tally(event: Event) -> str:
    """Return how many seats are free, held, sold."""
    _, states = await event.plan()
    return f"{states.count('f')}/{states.count('h')}/{states.count('s')}"


async def test_of_two_people_who_want_a_seat_one_is_offered_another(event: Event) -> None:
    answers = await asyncio.gather(
        event.hold(ADA, ("A1",), 0), event.hold(BOB, ("A1",), 0), return_exceptions=True
    )

    assert [type(answer) for answer in answers] == [Sale, Taken]
    assert str(answers[1]) == "A1 has just been taken"
    assert answers[1].alternatives == ("A2",)  # type: ignore[union-attr]
    assert await tally(event) == "14/1/0"


async def test_all_seats_are_held_or_none(event: Event) -> None:
    await event.hold(ADA, ("B2",), 0)

    with pytest.raises(Taken) as refusal:
        await event.hold(BOB, ("B1", "B2", "B3"), 0)

    assert refusal.value.alternatives == ("A1", "A2", "A3")
    assert await tally(event) == "14/1/0"


async def test_the_best_seats_are_in_front_and_in_the_middle(event: Event) -> None:
    assert (await event.hold(ADA, (), 3)).seats == ("A2", "A3", "A4")
    assert (await event.hold(BOB, (), 2)).seats == ("B2", "B3")
    with pytest.raises(Taken, match="there are no 6 seats together any more"):
        await event.hold(EVE, (), 6)
    for best in (5, 2, 1, 1, 1):  # row C, and what is left of the others
        await event.hold(EVE, (), best)
    with pytest.raises(Taken, match="there is no seat any more"):
        await event.hold(BOB, (), 1)


@pytest.mark.parametrize(
    ("names", "best"), [(("A6",), 0), (("A1", "A1"), 0), ((), 0), ((), -3), ((), 51)]
)
async def test_what_cant_be_meant_is_refused(event: Event, names: Any, best: int) -> None:
    with pytest.raises(Unfit):
        await event.hold(ADA, names, best)

    assert await tally(event) == "15/0/0"


async def test_a_hold_that_isnt_paid_in_time_frees_its_seats(
    runtime: TestRuntime[Any], event: Event
) -> None:
    sale = await event.hold(ADA, ("A1",), 0)
    await runtime.clock.advance(HOLD_SECONDS - 1)
    assert await tally(event) == "14/1/0"

    await runtime.clock.advance(2)

    assert await tally(event) == "15/0/0"
    assert (await event.sale(ADA, ref(sale))).state is State.EXPIRED
    with pytest.raises(Gone, match="the time to pay for these seats is over"):
        await event.confirm(ADA, ref(sale), "", Card.GOOD, None)


async def test_a_hold_is_over_though_its_alarm_has_not_rung(
    runtime: TestRuntime[Any], event: Event
) -> None:
    await event.hold(ADA, ("A1",), 0)
    await runtime.run_in_durable_object(event, lambda _, ctx: ctx.storage.delete_alarm(name="due"))
    await runtime.clock.advance(HOLD_SECONDS + 1)

    assert (await event.hold(BOB, ("A1",), 0)).seats == ("A1",)


async def test_a_hold_is_extended_once(runtime: TestRuntime[Any], event: Event) -> None:
    sale = await event.hold(ADA, ("A1",), 0)

    longer = await event.extend(ADA, ref(sale))

    assert longer.expires_at == sale.expires_at + EXTENSION_SECONDS
    with pytest.raises(Conflict):
        await event.extend(ADA, ref(sale))
    await runtime.clock.advance(HOLD_SECONDS + EXTENSION_SECONDS - 1)
    assert await tally(event) == "14/1/0"


async def test_seats_that_are_let_go_are_free_at_once(event: Event) -> None:
    sale = await event.hold(ADA, ("A1", "A2"), 0)
    with pytest.raises(NotYours):
        await event.release(BOB, ref(sale))

    await event.release(ADA, ref(sale))

    assert await tally(event) == "15/0/0"
    with pytest.raises(Gone):
        await event.release(ADA, ref(sale))


async def test_nobody_holds_ten_thousand_seats(runtime: TestRuntime[Any], event: Event) -> None:
    await event.change(OWNER, {"per_person": 4})
    for _ in range(2):
        await event.hold(ADA, (), 2)

    for _ in range(3):
        with pytest.raises(Conflict, match="everybody may have 4 seats, and you have 4"):
            await event.hold(ADA, (), 1)

    assert await tally(event) == "11/4/0"
    assert (await event.hold(BOB, (), 1)).seats


async def test_whoever_guesses_a_number_has_no_hold(event: Event) -> None:
    sale = await event.hold(ADA, ("A1",), 0)
    number, _, _ = sale.id.partition("-")

    for text in (f"{number}-{'0' * 12}", "gala.77-000000000000"):
        with pytest.raises(NotFound):
            await event.sale(ADA, ref(sale).read(text))


async def test_seats_that_are_shared_are_taken_over_until_the_same_moment(event: Event) -> None:
    sale = await event.share(ADA, ref(await event.hold(ADA, ("A1", "A2", "A3"), 0)))
    with pytest.raises(NotFound, match="doesn't lead"):
        await event.take_over(BOB, ref(sale), "guess", ("A2",))

    theirs = await event.take_over(BOB, ref(sale), sale.share, ("A2",))

    assert (theirs.seats, theirs.total, theirs.expires_at) == (("A2",), 500, sale.expires_at)
    assert (await event.sale(ADA, ref(sale))).seats == ("A1", "A3")
    with pytest.raises(Conflict, match="taken that seat over"):
        await event.take_over(EVE, ref(sale), sale.share, ("A2",))
    assert (await event.confirm(BOB, ref(theirs), "", Card.GOOD, 500)).sale.seats == ("A2",)
    assert await tally(event) == "12/2/1"


async def test_a_voucher_is_used_as_often_as_it_may_be(event: Event) -> None:
    await event.add_voucher(OWNER, "TEN", 10, 1)
    sale = await event.redeem(ADA, ref(await event.hold(ADA, ("A1", "A2"), 0)), "TEN")
    others = ref(await event.hold(BOB, ("B1",), 0))

    assert (sale.total, sale.discount) == (900, 10)
    with pytest.raises(NotFound, match="was used already"):
        await event.redeem(BOB, others, "TEN")
    await event.release(ADA, ref(sale))
    assert (await event.redeem(BOB, others, "TEN")).total == 450
    with pytest.raises(Conflict, match="one voucher"):
        await event.redeem(BOB, others, "TEN")


async def sell_out(event: Event) -> list[Sale]:
    """Have Eve hold all seats, row by row."""
    return [await event.hold(EVE, (), 5) for _ in range(3)]


async def test_seats_that_become_free_go_to_whoever_waits_longest(
    runtime: TestRuntime[Any], event: Event
) -> None:
    with pytest.raises(Conflict, match="no need to wait"):
        await event.wait(ADA, 1)
    rows = await sell_out(event)
    assert [await event.wait(ADA, 2), await event.wait(BOB, 4), await event.wait(ADA, 3)] == [
        1,
        2,
        1,
    ]

    await event.release(EVE, ref(rows[0]))

    scene = await event.scene(ADA)
    assert [(hold.seats, hold.is_offer) for hold in scene.holds] == [(("A2", "A3", "A4"), True)]
    assert (scene.place, await event.place(BOB), await tally(event)) == (0, 1, "2/13/0")
    with pytest.raises(Taken):
        await event.hold(EVE, ("A2",), 0)


async def test_an_offer_that_isnt_taken_goes_to_the_next(
    runtime: TestRuntime[Any], event: Event
) -> None:
    rows = await sell_out(event)
    await event.wait(ADA, 5)
    await event.wait(BOB, 5)
    await event.release(EVE, ref(rows[0]))
    assert (await event.scene(BOB)).holds == ()

    await runtime.clock.advance(OFFER_SECONDS + 1)

    (offer,) = (await event.scene(BOB)).holds
    assert (offer.seats[0], (await event.scene(ADA)).holds) == ("A1", ())
    await event.confirm(BOB, ref(offer), "", Card.GOOD, None)
    assert [await event.place(person) for person in (ADA, BOB)] == [0, 0]


async def test_whoever_waits_no_longer_gets_nothing(event: Event) -> None:
    rows = await sell_out(event)
    await event.wait(ADA, 1)
    await event.stop_waiting(ADA)

    await event.release(EVE, ref(rows[1]))

    assert await tally(event) == "5/10/0"
