"""An order: what its owner keeps, and the half of the saga that goes back.

    PAID --- commit: RETURNING, a letter ---> event.cancel: the seats are free, this is the refund
         <-- commit: REFUNDING, a letter ---> provider.refund, under a key that never changes
         <-- commit: CANCELLED

Each step is written in one commit with the letter that brings about the next one, so the process
may die anywhere: the letter is delivered until it was answered, and who gets it twice does nothing
twice.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Final

from apps.booking import store
from apps.booking.domain.hold import Reference
from apps.booking.domain.house import Person
from apps.booking.domain.order import Order as OrderSeen
from apps.booking.domain.order import Turn, way_of
from apps.booking.domain.refusals import Conflict, NotFound, NotYours, Refusal
from apps.booking.domain.saga import NEXT, Way
from apps.booking.domain.sale import Sale
from apps.booking.objects.env import Env
from apps.booking.objects.till import read_sale
from apps.booking.store import orders, schema
from runtime import AlarmInvocation, DurableObject, DurableObjectState
from runtime.patterns.outbox import Letter, Outbox

PATIENCE_SECONDS: Final = 5.0  # for a cancellation to come through before it is answered
REVIVE: Final = "revive"  # the alarm on which letters are tried again that were given up
REVIVE_SECONDS: Final = 3600.0


class Order(DurableObject[Env]):
    """One order.

    It begins to exist when somebody first asks for it, and asks its event then: a new object is a
    new database, which no buyer should have to wait for. Until then it is a row of the event's.
    """

    migrations = schema.ORDER

    def __init__(self, ctx: DurableObjectState, env: Env) -> None:
        super().__init__(ctx, env)
        self._sql = ctx.storage.sql
        self._outbox = Outbox(ctx, self._deliver)
        self._moved = asyncio.Event()

    async def show(self, person: Person) -> OrderSeen:
        """Return the order to its owner.

        Raises:
            NotFound: If there is no such order.
            NotYours: If it is somebody else's.
        """
        order = await self._own(person)
        reference, found = self._reference(), None
        with suppress(NotFound):  # a receipt may be older than what its event remembers
            found = await self.env.events.get_by_name(reference.slug).order_of(reference)
        order = orders.find(self._sql) or order
        sale = read_sale(order["sale"])
        if found is not None:  # the event may have another time by now
            sale = replace(sale, title=found[0].title, starts_at=found[0].starts_at)
        turns = orders.course(self._sql)
        return OrderSeen(
            sale,
            Way(order["way"]),
            tuple(Turn(at, Way(way)) for at, way in turns),
        )

    async def cancel(self, person: Person) -> OrderSeen:
        """Give the seats back, and get back of the money what the rules say.

        Returns:
            The order as far as it has come in a few seconds. The rest follows by itself.

        Raises:
            Conflict: If it isn't paid, was cancelled, or it is too late.
        """
        order = await self._own(person)
        if order["way"] != Way.PAID:
            raise Conflict(_WHY_NOT[Way(order["way"])])
        orders.refuse(self._sql, "")
        self._go(order, Way.RETURNING)
        await self._outbox.send("event", {"do": "return"})
        await self._come_through()
        seen = orders.find(self._sql)
        if seen is not None and seen["way"] == Way.PAID:
            raise Conflict(seen["refusal"])
        return await self.show(person)

    async def alarm(self, invocation: AlarmInvocation) -> None:
        """Deliver letters; and once in a while those again that were given up."""
        if invocation.name == REVIVE:
            for letter in self._outbox.dead():
                await self._outbox.revive(letter.id)
        elif await self._outbox.alarm(invocation) and self._outbox.dead():
            await self.ctx.storage.set_alarm(self._now() + REVIVE_SECONDS, name=REVIVE)

    async def _own(self, person: Person) -> dict[str, Any]:
        order = orders.find(self._sql)
        if order is None or order["way"] in _OF_THE_EVENT:
            order = await self._ask()
        if order["sale"]["owner"]["id"] != person.id:
            raise NotYours("this order is somebody else's")
        return order

    async def _ask(self) -> dict[str, Any]:
        """Hear of this order from its event."""
        reference = self._reference()
        try:
            found = await self.env.events.get_by_name(reference.slug).order_of(reference)
        except NotFound:
            await self.ctx.storage.delete_all()  # nothing is left of having asked for it
            raise
        order = orders.find(self._sql)
        if found is not None:
            sale, payment = found
            self._be(_plain(sale), payment)
            order = orders.find(self._sql)
        if order is None:
            await self.ctx.storage.delete_all()
            raise NotFound("there is no such order")
        return order

    def _be(self, sale: dict[str, Any], payment: str) -> None:
        """Take over what the event knows, as long as it knows better.

        From PAID on it is this object that decides. An answer of the event may have been on its
        way while somebody began to cancel, and must not take that back.
        """
        order = orders.find(self._sql)
        way = way_of(read_sale(sale).state)
        is_ours = order is not None and order["way"] not in _OF_THE_EVENT
        before = Way(order["way"]) if order else Way.PAYING
        if (order is None and way is not Way.VOID) or (not is_ours and way in NEXT[before]):
            orders.put(self._sql, sale["id"], sale, payment, way)

    def _go(self, order: dict[str, Any], way: Way, **sale: Any) -> dict[str, Any]:
        assert way in NEXT[Way(order["way"])], (order["way"], way)
        sale = order["sale"] | sale
        orders.put(self._sql, sale["id"], sale, order["payment"], way)
        return order | {"sale": sale, "way": way}

    async def _deliver(self, letter: Letter) -> None:
        match letter.body["do"]:
            case "return":
                await self._return()
            case "refund":
                await self._refund(letter.body["cents"])

    async def _return(self) -> None:
        reference = self._reference()
        order = orders.find(self._sql)
        assert order is not None, "who has written a letter is there"
        person = Person(**order["sale"]["owner"])
        try:
            sale = await self.env.events.get_by_name(reference.slug).cancel(person, reference)
        except Refusal as refusal:
            self._go(order, Way.PAID)
            orders.refuse(self._sql, str(refusal))
        else:
            if (order := orders.find(self._sql)) and order["way"] == Way.RETURNING:
                self._go(order, Way.REFUNDING, state=str(sale.state), refund=sale.refund)
                await self._outbox.send("provider", {"do": "refund", "cents": sale.refund})
        self._moved.set()

    async def _refund(self, cents: int) -> None:
        reference = self._reference()
        order = orders.find(self._sql)
        assert order is not None, "who has written a letter is there"
        if cents:
            provider = self.env.payments.get_by_name(reference.slug)
            await provider.refund(order["payment"], cents, f"{reference}/cancelled")
        if (order := orders.find(self._sql)) and order["way"] == Way.REFUNDING:
            self._go(order, Way.CANCELLED)
        self._moved.set()

    async def _come_through(self) -> None:
        """Wait until a cancellation is through or refused, but not for long."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (order := orders.find(self._sql)) and order["way"] in _UNDER_WAY:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            pass

    def _reference(self) -> Reference:
        return Reference.read(self.ctx.id.name or "")

    def _now(self) -> float:
        return store.now(self._sql)


_OF_THE_EVENT: Final = (Way.PAYING, Way.UNKNOWN, Way.VOID)
_UNDER_WAY: Final = (Way.RETURNING, Way.REFUNDING)
_WHY_NOT: Final = {
    Way.PAYING: "the payment is under way",
    Way.UNKNOWN: "nobody knows yet whether the payment has gone through; it is being found out",
    Way.RETURNING: "this order is being cancelled already",
    Way.REFUNDING: "this order is being cancelled already",
    Way.CANCELLED: "this order was cancelled",
    Way.VOID: "this order was never paid",
}


def _plain(sale: Sale) -> dict[str, Any]:
    return asdict(sale)
