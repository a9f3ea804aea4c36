"""The event: what must happen in one place, one thing at a time, so that no seat is sold twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, ClassVar, Final

from apps.booking.domain import refunds, saga, seating
from apps.booking.domain.hold import Reference, check_count, check_limits
from apps.booking.domain.house import House, Person
from apps.booking.domain.money import money
from apps.booking.domain.payment import Card
from apps.booking.domain.refusals import Conflict, Refusal, Unfit
from apps.booking.domain.saga import AWAITS_PAYMENT, State, Step
from apps.booking.domain.sale import Entry, Paid, Sale, Scene
from apps.booking.domain.waiting import MAX_WAITING
from apps.booking.objects.desk import DUE, Desk
from apps.booking.objects.env import Env
from apps.booking.objects.hall import Hall
from apps.booking.objects.office import Office
from apps.booking.objects.post import TELL, Post
from apps.booking.objects.show import Show
from apps.booking.objects.till import Till
from apps.booking.store import holds, schema
from apps.booking.store import waiting as waiting_list
from runtime import (
    AlarmInvocation,
    DurableObject,
    DurableObjectState,
    Request,
    Response,
    WebSocket,
)

NOTICE_SECONDS: Final = 30 * 24 * 3600.0  # until an event whose time isn't given
ORDERS_SHOWN: Final = 50  # of one customer


class Event(DurableObject[Env]):
    """One event: its seats, holds, prices and waiting list.

    What somebody asks is answered by one of its parts: the desk holds seats, the till takes
    money, the office is for organisers, the show is what all others see of that, and the post is
    what other objects hear.
    """

    migrations = schema.EVENT
    show_class: ClassVar = Show  # whoever proves something looks more closely

    def __init__(self, ctx: DurableObjectState, env: Env) -> None:
        super().__init__(ctx, env)
        self._sql = ctx.storage.sql
        self._post = post = Post(ctx, env)
        self._hall = hall = Hall(ctx, env, post.outbox)
        self._show = show = self.show_class(ctx, lambda: hall.house, lambda: hall.seats)
        self._desk = desk = Desk(ctx, env, hall, show)
        self._till = Till(ctx, env, hall=hall, desk=desk, show=show, outbox=post.outbox)
        self._office = Office(ctx, hall=hall, desk=desk, show=show)

    # For everybody.

    async def scene(self, person: Person) -> Scene:
        """Return what somebody sees who opens the event's page."""
        now = await self._desk.tidy()
        house = self._hall.house
        states = await self._hall.states()
        return Scene(
            house,
            states,
            now,
            self._show.cursor,
            self._desk.held_by(person.id, now),
            waiting_list.place(self._sql, person.id),
            waiting_list.length(self._sql),
            self._show.looks(),
        )

    async def plan(self) -> tuple[House, str]:
        """Return what the event is, and a letter for each seat."""
        await self._desk.tidy()
        return self._hall.house, await self._hall.states()

    async def hold(self, person: Person, names: tuple[str, ...], best: int) -> Sale:
        """Hold seats: those with these names, or the `best` so many together."""
        return await self._desk.hold(person, names, best)

    async def sale(self, person: Person, reference: Reference) -> Sale:
        """Return a hold or an order of somebody's own."""
        now = await self._desk.tidy()
        return self._desk.sale(self._desk.own(person, reference), now)

    async def held_by(self, person: Person) -> list[Sale]:
        """Return what somebody holds and hasn't paid, oldest first."""
        now = await self._desk.tidy()
        return list(self._desk.held_by(person.id, now))

    async def extend(self, person: Person, reference: Reference) -> Sale:
        """Give somebody more time, once."""
        return await self._desk.extend(person, reference)

    async def release(self, person: Person, reference: Reference) -> None:
        """Let somebody's seats go."""
        await self._desk.release(person, reference)
        await self._post.changed()

    async def redeem(self, person: Person, reference: Reference, code: str) -> Sale:
        """Take a voucher's share off the price."""
        return await self._desk.redeem(person, reference, code)

    async def share(self, person: Person, reference: Reference) -> Sale:
        """Make a link by which others may take over some of the seats."""
        return await self._desk.share(person, reference)

    async def shared(self, reference: Reference, share: str) -> Sale:
        """Return what somebody with the link sees."""
        return await self._desk.shared(reference, share)

    async def take_over(
        self, person: Person, reference: Reference, share: str, names: tuple[str, ...]
    ) -> Sale:
        """Give seats of a hold to somebody who has its link."""
        return await self._desk.take_over(person, reference, share, names)

    async def confirm(
        self, person: Person, reference: Reference, key: str, card: Card, total: int | None
    ) -> Paid:
        """Pay for a hold, and return what has come of it: once for each key."""
        paid = await self._till.confirm(person, reference, key=key, card=card, total=total)
        await self._post.changed()
        return paid

    async def payment_answered(self, id: str) -> bool:
        """Look at a payment that the provider has something to say about."""
        is_ours = await self._till.answered(id)
        await self._post.changed()
        return is_ours

    async def wait(self, person: Person, count: int) -> int:
        """Put somebody on the waiting list, and return their place."""
        now = await self._desk.tidy()
        check_count(count)
        house = self._hall.house
        if count > house.seats_per_row:
            raise Unfit(f"a row has {house.seats_per_row} seats")
        if self._hall.is_sharded:
            raise Conflict("an event of this size has no waiting list")
        house.must_be_on_sale(now)
        if seating.best(self._hall.seats.free, house.seats_per_row, count):
            raise Conflict("there are seats; there is no need to wait")
        check_limits(count, *holds.counts_of(self._sql, person.id), house.per_person)
        if waiting_list.has_offer(self._sql, person.id):
            raise Conflict("seats are held for you already: pay for them, or let them go")
        if waiting_list.length(self._sql) >= MAX_WAITING:
            raise Conflict("too many wait already")
        waiting_list.join(self._sql, person, count)
        self._desk.offer(now)
        self._tell_places()
        return waiting_list.place(self._sql, person.id)

    async def stop_waiting(self, person: Person) -> None:
        """Take somebody off the waiting list."""
        await self._desk.tidy()
        if waiting_list.leave(self._sql, person.id):
            self._tell_places()

    async def place(self, person: Person) -> int:
        """Return somebody's place on the waiting list, from 1; 0 if they aren't on it."""
        await self._desk.tidy()
        return waiting_list.place(self._sql, person.id)

    # Called by orders and customers.

    async def cancel(self, person: Person, reference: Reference) -> Sale:
        """Take seats back that were paid, and say how much money goes back. Once."""
        now = await self._desk.tidy()
        hold = self._desk.own(person, reference)
        if hold.state is not State.CANCELLED:
            state = saga.step(hold.state, Step.CANCEL)
            refund = refunds.refund(hold.total, self._hall.house.starts_at, now)
            hold = self._desk.change(hold, state=state, refund=refund)
            await self._hall.give_back(hold)
            self._office.note(person, f"cancelled an order, and gets {money(refund)} back")
            self._desk.offer(now)
            await self._desk.set_alarm()
            self._show.changed()
            await self._post.changed()
        return self._desk.sale(hold, now)

    async def order_of(self, reference: Reference) -> tuple[Sale, str] | None:
        """Return a sale and its payment, for an order that hasn't heard of them yet."""
        now = await self._desk.tidy()
        hold = self._desk.find(reference)
        if hold.state not in saga.IS_ORDER:
            return None
        return self._desk.sale(hold, now), hold.payment(reference.slug)

    async def orders_of(self, person_id: str) -> list[Sale]:
        """Return what a customer has paid for here, or may have, the newest first."""
        now = await self._desk.tidy()
        found = holds.orders_of(self._sql, person_id, ORDERS_SHOWN)
        return [self._desk.sale(hold, now) for hold in found]

    # For organisers. Who that is, the office knows.

    async def open(self, house: House) -> bool:
        """Make the event. Returns whether there was none."""
        if self._hall.exists:
            return False
        if not house.starts_at:
            house = replace(house, starts_at=self._desk.now() + NOTICE_SECONDS)
        self._hall.open(house)
        self._office.note(house.owner, f"made the event, with {house.capacity} seats")
        await self._hall.tell_sections_of_house()
        await self._post.changed()
        return True

    async def change(self, person: Person, changes: dict[str, Any]) -> House:
        """Change what may be changed: see `Office.change`."""
        house = await self._office.change(person, changes)
        if "per_second" in changes:
            await self.env.queues.get_by_name(house.slug).be(house.per_second)
        await self._hall.tell_sections_of_house()
        await self._post.changed()
        return house

    async def add_voucher(self, person: Person, code: str, percent: int, uses: int) -> None:
        """Make a voucher."""
        await self._office.add_voucher(person, code, percent, uses)

    async def let_go(self, person: Person, number: int) -> None:
        """Release a hold of somebody else, by its number."""
        await self._office.let_go(person, number)
        await self._post.changed()

    async def books(self, person: Person) -> Any:
        """Return what organisers see: see `Office.books`."""
        return await self._office.books(person)

    async def orders(self, person: Person, after: int = 0) -> list[Sale]:
        """Return what was sold, by pages."""
        return await self._office.orders(person, after)

    async def audit(self, person: Person, before: int | None = None) -> list[Entry]:
        """Return the audit log's last lines."""
        return await self._office.audit(person, before)

    # Called by the runtime.

    async def fetch(self, request: Request) -> Response:
        """Let somebody watch, and tell them what they have missed since the cursor they name."""
        ws = request.web_socket
        if ws is None:
            return Response(426, text="expected a WebSocket")
        person = Person(request.headers["x-person-id"], request.headers["x-person-name"])
        if not person.id:
            return Response(401, text="who are you?")
        try:
            now = await self._desk.tidy()
            self._show.must_have_room_for(person)
        except Refusal as refusal:
            return Response(refusal.status, text=str(refusal))
        self.ctx.accept_web_socket(ws, tags=[person.id])
        if (since := request.query.get("since")) is not None:
            if not self._hall.is_sharded:  # else its sections show their own
                self._show.catch_up(ws, since)
            place = waiting_list.place(self._sql, person.id)
            ws.send(self._desk.push_to(person.id, place, now))
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        """Note where somebody looks. Commands come by HTTP, which has answers."""
        if not self._show.hear(ws, str(message)):
            ws.close(1008, "seats are held by POST")

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        """Note that somebody looks no longer."""
        self._show.left(ws)

    async def alarm(self, invocation: AlarmInvocation) -> None:
        """Deliver letters, see to holds whose time has come, or tell the catalogue."""
        if invocation.name == DUE:
            await self._see_to_holds(invocation.scheduled_time)
        elif invocation.name == TELL:
            await self._post.tell_catalogue(*await self.plan())
        else:
            await self._post.alarm(invocation)

    async def _see_to_holds(self, scheduled: float) -> None:
        now = max(await self._desk.tidy(), scheduled)
        due = holds.due(self._sql, now)
        for hold in due:
            if hold.state is State.TAKING:
                await self._desk.end(hold, Step.LEFT, now)
        unsure = (hold for hold in due if hold.state in AWAITS_PAYMENT)
        await asyncio.gather(*map(self._till.reconcile, unsure))
        await self._desk.rang()
        await self._post.changed()

    def _tell_places(self) -> None:
        now = self._desk.now()
        for person_id in self._show.people():
            if place := waiting_list.place(self._sql, person_id):
                self._show.tell(person_id, self._desk.push_to(person_id, place, now))
