"""Paying for seats: once, whatever the provider and the process do meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apps.booking.app import APP
from apps.booking.domain.hold import HOLD_SECONDS, SECOND_TRY_SECONDS
from apps.booking.domain.payment import SLOW_SECONDS, Card, Charge, ChargeState
from apps.booking.domain.refusals import Conflict, NotFound, NotYours, Unfit
from apps.booking.domain.saga import State, Way
from apps.booking.domain.sale import Paid
from apps.booking.objects.event import Event
from apps.booking.objects.payments import Payments
from runtime import DurableObjectState, errors
from runtime.testing import POINTS, Point, TestRuntime
from tests.apps.booking.conftest import ADA, BOB, DAY, OWNER, house, ref
from tests.apps.booking.test_holds import tally
from tests.conftest import StartRuntime


async def books(runtime: TestRuntime[Any]) -> list[tuple[int, int, str]]:
    """Return what the provider has: amounts, what of them went back, and states."""
    charges = await runtime.env.payments.get_by_name("gala").books()
    return [(charge.amount, charge.refunded, str(charge.state)) for charge in charges]


async def buy(event: Event, *names: str, card: Card = Card.GOOD, key: str = "") -> Paid:
    """Have Ada hold seats and pay for them."""
    sale = await event.hold(ADA, names, 0)
    return await event.confirm(ADA, ref(sale), key, card, None)


async def test_a_purchase(runtime: TestRuntime[Any], event: Event) -> None:
    paid = await buy(event, "A1", "A2")

    assert (paid.sale.state, paid.sale.total) == (State.CONFIRMED, 1000)
    assert await tally(event) == "13/0/2"
    assert await books(runtime) == [(1000, 0, "succeeded")]
    order = await runtime.env.orders.get_by_name(paid.sale.id).show(ADA)
    assert (order.way, order.sale.seats) == (Way.PAID, ("A1", "A2"))
    await runtime.clock.advance(5)
    assert [each.sale.id for each in await runtime.env.customers.get_by_name("a").orders()] == [
        paid.sale.id
    ]


async def test_the_same_key_is_the_same_purchase(runtime: TestRuntime[Any], event: Event) -> None:
    sale = await event.hold(ADA, ("A1",), 0)
    wish = (ADA, ref(sale), "key", Card.GOOD, 500)

    first, again = await asyncio.gather(event.confirm(*wish), event.confirm(*wish))
    later = await event.confirm(*wish)

    assert (first.is_replayed, again.is_replayed, later.is_replayed) == (False, True, True)
    assert first.sale == again.sale == later.sale
    assert await books(runtime) == [(500, 0, "succeeded")]
    with pytest.raises(Unfit, match="used for something else"):
        await event.confirm(ADA, ref(sale), "key", Card.SLOW, 500)


async def test_without_a_key_two_at_once_are_one_purchase_and_a_refusal(
    runtime: TestRuntime[Any], event: Event
) -> None:
    sale = await event.hold(ADA, ("A1",), 0)

    answers = await asyncio.gather(
        *(event.confirm(ADA, ref(sale), "", Card.GOOD, None) for _ in range(2)),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers] == [Paid, Conflict]
    assert await books(runtime) == [(500, 0, "succeeded")]


async def test_nobody_pays_for_what_they_dont_mean(runtime: TestRuntime[Any], event: Event) -> None:
    sale = await event.hold(ADA, ("A1",), 0)

    with pytest.raises(NotYours):
        await event.confirm(BOB, ref(sale), "", Card.GOOD, None)
    with pytest.raises(Conflict, match="these seats cost 500 cents, and not 1"):
        await event.confirm(ADA, ref(sale), "k", Card.GOOD, 1)

    assert (await books(runtime), await tally(event)) == ([], "14/1/0")
    assert (await event.confirm(ADA, ref(sale), "k", Card.GOOD, 500)).sale.total == 500


async def test_a_price_that_changes_changes_nothing_that_is_held(event: Event) -> None:
    sale = await event.hold(ADA, ("A1",), 0)
    await event.change(OWNER, {"price": 900})

    assert (await event.confirm(ADA, ref(sale), "", Card.GOOD, 500)).sale.total == 500
    assert (await event.hold(ADA, ("A2",), 0)).total == 900


async def test_after_a_declined_payment_there_is_time_for_another(
    runtime: TestRuntime[Any], event: Event
) -> None:
    sale = await event.hold(ADA, ("A1",), 0)
    await runtime.clock.advance(HOLD_SECONDS - 10)

    declined = await event.confirm(ADA, ref(sale), "k1", Card.DECLINED, None)

    assert (declined.declined[:24], declined.sale.state) == ("the payment was declined", State.HELD)
    assert declined.sale.expires_at >= sale.expires_at + SECOND_TRY_SECONDS - 11
    assert (await event.confirm(ADA, ref(sale), "k1", Card.DECLINED, None)).declined
    paid = await event.confirm(ADA, ref(sale), "k2", Card.GOOD, None)
    assert paid.sale.state is State.CONFIRMED
    assert [state for *_, state in await books(runtime)] == ["declined", "succeeded"]


class Talkative(Payments):
    """A provider that tells what came of a payment, and answers a moment later."""

    async def charge(self, id: str, amount: int, card: Card) -> Charge:
        charge = await super().charge(id, amount, card)
        await self.env.events.get_by_name("gala").payment_answered(id)
        return charge


@pytest.mark.parametrize("card", [Card.DECLINED, Card.GOOD])
async def test_what_the_provider_tells_may_be_quicker_than_its_answer(
    card: Card, start_runtime: StartRuntime
) -> None:
    runtime = await start_runtime(**{**APP.bindings, "payments": Talkative})
    event = runtime.env.events.get_by_name("gala")
    await event.open(house())

    paid = await buy(event, "A1", card=card, key="k")

    is_bought = card is Card.GOOD
    assert (paid.declined == "", paid.sale.state is State.CONFIRMED) == (is_bought, is_bought)
    again = await event.confirm(ADA, ref(paid.sale), "k", card, None)
    assert (again.declined, again.sale, again.is_replayed) == (paid.declined, paid.sale, True)


async def test_a_payment_that_doesnt_answer_keeps_its_seats_until_it_is_found_out(
    runtime: TestRuntime[Any], event: Event
) -> None:
    await runtime.clock.advance(1)
    paid = await buy(event, "A1", card=Card.SILENT, key="k")
    assert paid.sale.state is State.UNKNOWN
    order = runtime.env.orders.get_by_name(paid.sale.id)
    assert (await order.show(ADA)).way is Way.UNKNOWN
    with pytest.raises(Conflict, match="nobody knows yet"):
        await event.release(ADA, ref(paid.sale))
    with pytest.raises(Conflict, match="nobody knows yet"):
        await order.cancel(ADA)

    await runtime.clock.advance(60)

    again = await event.confirm(ADA, ref(paid.sale), "k", Card.SILENT, None)
    assert (again.sale.state, again.is_replayed) == (State.CONFIRMED, True)
    assert (await order.show(ADA)).way is Way.PAID
    assert (await books(runtime), await tally(event)) == ([(500, 0, "succeeded")], "14/0/1")


async def test_a_payment_that_never_arrives_frees_its_seats_for_good(
    runtime: TestRuntime[Any], event: Event
) -> None:
    paid = await buy(event, "A1", card=Card.LOST)
    provider = runtime.env.payments.get_by_name("gala")

    await runtime.clock.advance(60)
    late = await provider.charge(f"{paid.sale.id}.1", 0, Card.GOOD)

    assert late.state is ChargeState.CANCELLED
    assert (await event.sale(ADA, ref(paid.sale))).state is State.HELD
    await runtime.clock.advance(HOLD_SECONDS)
    assert (await tally(event), await books(runtime)) == ("15/0/0", [(0, 0, "cancelled")])


@pytest.mark.parametrize(
    ("card", "state"),
    [(Card.SLOW, "14/0/1"), (Card.SLOW_DECLINED, "14/1/0"), (Card.TWICE, "14/0/1")],
)
async def test_an_answer_that_comes_later_or_twice_counts_once(
    runtime: TestRuntime[Any], event: Event, card: Card, state: str
) -> None:
    await buy(event, "A1", card=card)

    await runtime.clock.advance(SLOW_SECONDS + 1)

    assert await tally(event) == state
    assert len(await books(runtime)) == 1


async def test_an_answer_about_nothing_of_ours_is_refused(
    runtime: TestRuntime[Any], event: Event
) -> None:
    sale = await event.hold(ADA, ("A1",), 0)

    for payment in (f"{sale.id}.1", "gala.9-000000000000.1", "nonsense"):
        with pytest.raises(NotFound):
            await event.payment_answered(payment)

    assert await tally(event) == "14/1/0"


async def test_money_that_has_no_seats_goes_back(runtime: TestRuntime[Any], event: Event) -> None:
    paid = await buy(event, "A1", card=Card.DECLINED)
    provider = runtime.env.payments.get_by_name("gala")

    def change_its_mind(_: Any, ctx: DurableObjectState) -> None:
        ctx.storage.sql.exec("UPDATE charges SET state = 'succeeded'")

    await runtime.run_in_durable_object(provider, change_its_mind)

    await event.payment_answered(f"{paid.sale.id}.1")
    await runtime.clock.advance(10)

    assert (await books(runtime), await tally(event)) == ([(500, 500, "succeeded")], "14/1/0")


@pytest.mark.parametrize("point", POINTS[:3])
async def test_a_process_that_dies_while_somebody_pays_takes_no_money_without_seats(
    runtime: TestRuntime[Any], event: Event, point: Point
) -> None:
    sale = await event.hold(ADA, ("A1",), 0)
    crash = runtime.crash_at(point)

    async def pay() -> Paid:
        return await event.confirm(ADA, ref(sale), "k", Card.GOOD, None)

    with pytest.raises(errors.DurableObjectError):
        await pay()
    await crash
    await runtime.clock.advance(HOLD_SECONDS / 2)

    again = await pay()
    if again.declined:  # it hadn't arrived, and never will; the seats are held still
        again = await event.confirm(ADA, ref(sale), "k2", Card.GOOD, None)
    assert again.sale.state is State.CONFIRMED
    paid = [amount for amount, _, state in await books(runtime) if state == "succeeded"]
    assert (paid, await tally(event)) == ([500], "14/0/1")


# Cancelling.


async def test_a_cancelled_order_frees_its_seats_and_gives_money_back(
    runtime: TestRuntime[Any], event: Event
) -> None:
    paid = await buy(event, "A1", "A2")
    order = runtime.env.orders.get_by_name(paid.sale.id)
    with pytest.raises(NotYours):
        await order.cancel(BOB)

    cancelled = await order.cancel(ADA)

    assert (cancelled.way, cancelled.sale.refund) == (Way.CANCELLED, 1000)
    assert [turn.way for turn in cancelled.course] == [
        "paid",
        "returning",
        "refunding",
        "cancelled",
    ]
    assert (await tally(event), await books(runtime)) == ("15/0/0", [(1000, 1000, "succeeded")])
    with pytest.raises(Conflict, match="was cancelled"):
        await order.cancel(ADA)
    await runtime.clock.advance(5)
    (known,) = await runtime.env.customers.get_by_name("a").orders()
    assert known.way is Way.CANCELLED


async def test_the_later_one_cancels_the_less_comes_back(
    runtime: TestRuntime[Any], event: Event
) -> None:
    first, second = await buy(event, "A1"), await buy(event, "A2")
    await runtime.clock.advance(25 * DAY)
    half = await runtime.env.orders.get_by_name(first.sale.id).cancel(ADA)
    await runtime.clock.advance(4.5 * DAY)

    with pytest.raises(Conflict, match="until a day before the event"):
        await runtime.env.orders.get_by_name(second.sale.id).cancel(ADA)

    assert half.sale.refund == 250
    assert (await tally(event), (await books(runtime))[1]) == ("14/0/1", (500, 0, "succeeded"))


@pytest.mark.parametrize("point", [*POINTS[:3], "during_alarm"])
async def test_a_process_that_dies_while_somebody_cancels_gives_money_back_once(
    runtime: TestRuntime[Any], event: Event, point: Point
) -> None:
    paid = await buy(event, "A1")
    await runtime.clock.advance(5)
    order = runtime.env.orders.get_by_name(paid.sale.id)
    crash = runtime.crash_at(point)

    await asyncio.gather(order.cancel(ADA), return_exceptions=True)
    await crash
    await runtime.clock.advance(60)
    await asyncio.gather(order.cancel(ADA), return_exceptions=True)  # if it hasn't been heard
    await runtime.clock.advance(60)

    assert (await order.show(ADA)).way is Way.CANCELLED
    assert (await tally(event), await books(runtime)) == ("15/0/0", [(500, 500, "succeeded")])


async def test_there_is_no_order_of_what_isnt_paid(runtime: TestRuntime[Any], event: Event) -> None:
    sale = await event.hold(ADA, ("A1",), 0)

    for id in (sale.id, "gala.9-000000000000", "nowhere.1-000000000000"):
        with pytest.raises(NotFound):
            await runtime.env.orders.get_by_name(id).show(ADA)
    await runtime.evict_all_durable_objects()

    assert await runtime.list_durable_object_ids(runtime.env.orders) == []
