"""A rush for few seats, by the real booking app: every seat is sold once, and is paid for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from apps.booking.domain.hold import Hold, Reference
from apps.booking.domain.house import House, Person, Tier
from apps.booking.domain.payment import Card, Charge, ChargeState
from apps.booking.domain.refusals import Refusal
from apps.booking.domain.saga import AWAITS_PAYMENT, KEEPS_SEATS, State, Way
from apps.booking.objects.catalogue import Catalogue
from apps.booking.objects.customer import Customer
from apps.booking.objects.env import Env
from apps.booking.objects.order import Order
from apps.booking.objects.payments import Payments
from apps.booking.objects.queue import Queue
from apps.booking.objects.section import Section
from apps.booking.objects.till import Till
from apps.booking.proof.invariants import Taken, broken_money, broken_seats
from apps.booking.proof.watched import (
    ForgetfulEvent,
    HastyEvent,
    WatchedEvent,
    WatchedSection,
)
from apps.booking.store import holds
from runtime import DurableObjectState
from runtime.checkers import Operation, Violation, told
from runtime.scenario import Client, Scenario

ROWS: Final = 2
WIDTH: Final = 4
SLUG: Final = "gala"
OWNER: Final = Person("owner", "Owner")
CARDS: Final = (*[Card.GOOD] * 6, *Card)
"""What people pay with: mostly something that works."""


class DistantPayments(Payments):
    """A provider that some requests take long to reach: longer than anybody waits for an answer."""

    async def charge(self, id: str, amount: int, card: Card) -> Charge:
        if random.random() < 0.2:
            await asyncio.sleep(random.uniform(1, 120))
        return await super().charge(id, amount, card)


class Rushing(Scenario):
    """People hold seats, pay with all sorts of cards, let go, cancel, and wait for each other."""

    house: ClassVar = House(
        SLUG, "Gala", ROWS, WIDTH, OWNER, starts_at=0.0, tiers=(Tier("All", 0, ROWS - 1, 500),)
    )
    bindings: ClassVar = {
        "events": WatchedEvent,
        "sections": Section,
        "orders": Order,
        "customers": Customer,
        "payments": DistantPayments,
        "catalogue": Catalogue,
        "queues": Queue,
    }
    refusals = (Refusal,)
    clients = 4
    steps = 5
    faults = 4

    def __init__(self) -> None:
        self._references: dict[int, Reference] = {}

    async def begin(self, client: Client) -> None:
        await client.env.events.get_by_name(SLUG).open(self.house)

    async def step(self, client: Client) -> None:
        event = client.env.events.get_by_name(SLUG)
        person = Person(client.name, client.name.upper())
        names = self._wish(client)
        best = 0 if names else client.random.randint(1, 2)
        held = await client.call(
            "hold", names or best, lambda: self._seen(event.hold(person, names, best))
        )
        if held.outcome == "refused" and client.random.random() < 0.5:
            await client.call("wait", person.id, lambda: event.wait(person, 1))
        if held.outcome != "ok":
            return
        number = held.result[0]
        reference = self._references[number]
        await client.sleep(client.random.expovariate(30))
        match client.random.choice(("pay", "pay", "pay", "pay", "release", "leave", "extend")):
            case "release":
                await client.call("release", number, lambda: event.release(person, reference))
                return
            case "extend":
                await client.call(
                    "extend", number, lambda: self._seen(event.extend(person, reference))
                )
            case "leave":
                return
        paid = await self._pay(client, person, number)
        if paid and client.random.random() < 0.3:
            order = client.env.orders.get_by_name(str(reference))
            for _ in range(2):
                await client.call("cancel", number, lambda: self._cancelled(order, person))

    async def _pay(self, client: Client, person: Person, number: int) -> bool:
        """Pay; whoever hears nothing sends the same again."""
        event = client.env.events.get_by_name(SLUG)
        key, card = f"key {client.random.random()}", client.random.choice(CARDS)
        wish = (person, self._references[number], key, card, None)
        for _ in range(3):
            paid = await client.call("confirm", number, lambda: self._paid(event.confirm(*wish)))
            if paid.outcome != "unknown":
                break
        return paid.outcome == "ok" and paid.result == State.CONFIRMED

    # What is told of an answer has nothing in it that no seed decides, such as a token.

    async def _seen(self, answer: Any) -> tuple[int, tuple[str, ...], str]:
        sale = await answer
        reference = Reference.read(sale.id)
        self._references[reference.number] = reference
        return reference.number, sale.seats, str(sale.state)

    async def _paid(self, answer: Any) -> str:
        paid = await answer
        return "declined" if paid.declined else str(paid.sale.state)

    async def _cancelled(self, order: Any, person: Person) -> str:
        return str((await order.cancel(person)).way)

    def _wish(self, client: Client) -> tuple[str, ...]:
        if client.random.random() < 0.3:
            return ()
        seats = client.random.sample(range(self.house.capacity), client.random.randint(1, 3))
        return self.house.names_of(tuple(seats))

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        event = client.env.events.get_by_name(SLUG)
        for _ in range(3):  # by then all has expired, was found out, and was told
            await client.sleep(1200)
            await event.plan()
        _, broken = await event.watched()
        _nothing_in(broken)
        ledger = await event.ledger()
        _, states = await event.plan()
        check_seats(ledger, await self._seats(client), states)
        charges = await client.env.payments.get_by_name(SLUG).books()
        check_money(ledger, charges)
        _check_answers(history, ledger)
        await _check_orders(client, ledger)

    async def _seats(self, client: Client) -> Taken:
        taken: Taken = await client.env.events.get_by_name(SLUG).taken()
        return taken


def check_seats(ledger: Sequence[Hold], seats: Taken, states: str) -> None:
    """Each seat has the hold that has it, and no other; those that aren't free are paid for."""
    _nothing_in(broken_seats(ledger, seats, states))
    held = [hold for hold in ledger if hold.state in KEEPS_SEATS - {State.CONFIRMED}]
    if held:
        raise Violation(f"an hour later these are held still: {held}")


def check_money(ledger: Sequence[Hold], charges: Sequence[Charge]) -> None:
    """Each payment that succeeded has seats, and each sale one payment; the rest went back."""
    _nothing_in(broken_money(ledger, charges, SLUG, is_final=True))


def _nothing_in(broken: dict[str, str]) -> None:
    if broken:
        raise Violation("; ".join(f"not so: {what} ({why})" for what, why in broken.items()))


def _check_answers(history: Sequence[Operation], ledger: Sequence[Hold]) -> None:
    """Whoever was told that seats are theirs has them, or has cancelled."""
    states = {hold.number: hold.state for hold in ledger}
    cancelled = {op.value for op in history if op.action == "cancel" and op.outcome != "refused"}
    for operation in history:
        state = states.get(operation.value) if operation.outcome == "ok" else None
        if operation.action == "confirm" and operation.result == State.CONFIRMED:
            may_be = {State.CONFIRMED}
            if operation.value in cancelled:
                may_be.add(State.CANCELLED)
            if state not in may_be:
                raise Violation(told(f"this booking is {state}", [operation]))
        is_cancelled = operation.action == "cancel" and operation.outcome == "ok"
        if is_cancelled and state is not State.CANCELLED:
            raise Violation(told(f"this cancellation is {state}", [operation]))


async def _check_orders(client: Client, ledger: Sequence[Hold]) -> None:
    """Each order knows how it is, and so does its customer."""
    ways = {State.CONFIRMED: Way.PAID, State.CANCELLED: Way.CANCELLED}
    for hold in ledger:
        if hold.state not in ways:
            continue
        id = str(hold.reference(SLUG))
        order = await client.env.orders.get_by_name(id).show(hold.owner)
        if order.way is not ways[hold.state]:
            raise Violation(f"order {id} is {order.way}, and its sale {hold.state}")
        known = await client.env.customers.get_by_name(hold.owner.id).orders()
        if [each.way for each in known if each.sale.id == id] != [order.way]:
            raise Violation(f"{hold.owner.id} knows of {known}, and {id} is {order.way}")


class RushingInSections(Rushing):
    """The same in a house whose two rows are sections: many want seats in both."""

    house: ClassVar = replace(Rushing.house, section_rows=1)
    bindings: ClassVar = Rushing.bindings | {"sections": WatchedSection}

    async def _seats(self, client: Client) -> Taken:
        sections = [client.env.sections.get_by_name(f"{SLUG}/{row}") for row in range(ROWS)]
        return {
            seat: hold for section in sections for seat, hold in (await section.taken()).items()
        }


class HopefulTill(Till):
    """Takes what the provider has never heard of for what never will be."""

    async def reconcile(self, hold: Hold) -> None:
        id = hold.payment(SLUG)
        charge = await self._provider().find(id) or Charge(id, 0, ChargeState.CANCELLED)
        found = holds.find(self._sql, hold.number)
        if found and found.state in AWAITS_PAYMENT and found.tries == hold.tries:
            await self._settle(found, charge)


class HopefulEvent(WatchedEvent):
    """An event with such a till."""

    def __init__(self, ctx: DurableObjectState, env: Env) -> None:
        super().__init__(ctx, env)
        self._till = HopefulTill(
            ctx, env, hall=self._hall, desk=self._desk, show=self._show, outbox=self._post.outbox
        )


class RushingHopefully(Rushing):
    """The same with an event that doesn't cancel what hasn't arrived."""

    bindings: ClassVar = Rushing.bindings | {"events": HopefulEvent}


class RushingHastily(Rushing):
    """The same with an event that promises seats twice."""

    bindings: ClassVar = Rushing.bindings | {"events": HastyEvent}


class RushingForgetfully(Rushing):
    """The same with an event that takes no answer for a no."""

    bindings: ClassVar = Rushing.bindings | {"events": ForgetfulEvent}


SCENARIOS: Final[tuple[Any, ...]] = (Rushing, RushingInSections)
BROKEN: Final[tuple[Any, ...]] = (RushingHastily, RushingForgetfully, RushingHopefully)
