"""Paying for seats that are held: the half of the saga that goes forward.

Where the seats are, because these mustn't be promised twice: what is known of the payment and what
becomes of the seats change in one commit of one object. The other half, cancelling, is the order's
own; see `Order`.

    HELD --- commit: CONFIRMING, the payment's id ---> provider.charge
         <-- commit: declined, HELD again
         <-- commit: paid, CONFIRMED, seats sold
         <-- commit: no answer, UNKNOWN: the provider is asked later, and again

The process may die at any of these arrows. The payment's id was written before the provider could
know it, so the next life asks what has become of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

import msgspec

from apps.booking.domain import hold as rules
from apps.booking.domain import payment, saga
from apps.booking.domain.hold import Hold, Reference
from apps.booking.domain.house import Person
from apps.booking.domain.money import money
from apps.booking.domain.payment import Card, Charge, ChargeState
from apps.booking.domain.refusals import Conflict, NotFound, Unfit
from apps.booking.domain.saga import AWAITS_PAYMENT, State, Step
from apps.booking.domain.sale import Paid, Sale
from apps.booking.objects.desk import Desk
from apps.booking.objects.env import Env
from apps.booking.objects.hall import Hall
from apps.booking.objects.show import Show
from apps.booking.store import audit, holds
from apps.booking.store import waiting as waiting_list
from runtime import DurableObjectState, errors
from runtime.patterns.idempotency import Idempotency, KeyReused, Saved
from runtime.patterns.outbox import Outbox

ASK_SECONDS: Final = 30.0  # after which a payment without an answer is asked about


class Till:
    """The payments of one event.

    Invariants:
        - A payment that may have happened keeps its seats until the provider has said that it
          hasn't, and never will.
        - A payment is found out about, whatever happens: its hold is due for that from the commit
          on that comes before it.
        - Each payment that has succeeded has seats, or is given back.
    """

    def __init__(
        self,
        ctx: DurableObjectState,
        env: Env,
        *,
        hall: Hall,
        desk: Desk,
        show: Show,
        outbox: Outbox,
    ) -> None:
        self._sql = ctx.storage.sql
        self._env = env
        self._hall = hall
        self._desk = desk
        self._show = show
        self._outbox = outbox
        self._idempotency = Idempotency(ctx)
        self._courses: dict[int, asyncio.Event] = {}
        """The ends of the payments that are under way in this life, by their holds."""

    async def confirm(
        self, person: Person, reference: Reference, *, key: str, card: Card, total: int | None
    ) -> Paid:
        """Pay for a hold. The same key again gets the answer of the first time."""
        now = await self._desk.tidy()
        hold = self._desk.own(person, reference)
        wish = [str(reference), card, total]
        if key and (saved := self._find(key, wish, person)):
            if (over := self._courses.get(hold.number)) and not saved.is_finished:
                await over.wait()
                saved, hold = self._find(key, wish, person) or saved, self._desk.find(reference)
            return self._again(hold, saved, now)
        rules.check_payable(hold, now, total)
        hold = self._desk.change(
            hold,
            state=saga.step(hold.state, Step.PAY),
            due=now + ASK_SECONDS,
            tries=hold.tries + 1,
            asked=0,
            key=key,
        )
        if key:
            self._idempotency.begin(key, wish, of=person.id)
        if holds.is_first_payment(self._sql, hold):
            await self._outbox.send(f"customer:{person.id}", self._hall.house.slug)
        await self._desk.set_alarm()
        over = self._courses[hold.number] = asyncio.Event()
        try:
            return await self._pay(hold, card)
        finally:
            if self._courses.get(hold.number) is over:  # and not that of a later try
                del self._courses[hold.number]
            over.set()

    async def answered(self, id: str) -> bool:
        """Look at a payment that the provider has something to say about.

        Who says so doesn't matter, and what they say isn't believed: the provider is asked.

        Returns:
            Whether it is one of ours.

        Raises:
            NotFound: If it isn't.
        """
        reference, number = payment.sold_by(id)
        await self._desk.tidy()
        hold = self._desk.find(reference)
        if not 1 <= number <= hold.tries:
            raise NotFound("there is no such payment")
        charge = await self._provider().find(id)
        if charge is None:
            return False
        hold = self._desk.find(reference)
        if number == hold.tries and hold.state in AWAITS_PAYMENT:
            await self._settle(hold, charge)
        elif charge.state is ChargeState.SUCCEEDED and not self._is_for_seats(hold, number):
            # Can't happen, as far as we know. But money without seats must not stay with us.
            await self._refund(id, charge.amount - charge.refunded)
        return True

    async def reconcile(self, hold: Hold) -> None:
        """Find out what has become of a payment that nobody has told us about."""
        id = hold.payment(self._hall.house.slug)
        provider = self._provider()
        charge: Charge | None = None
        try:
            async with asyncio.timeout(payment.ANSWER_SECONDS):
                charge = await provider.find(id)
                is_open = charge is None or charge.state is ChargeState.PENDING
                # What the provider has never heard of may still be under way to it. Its
                # cancellation is what makes sure that it isn't carried out when it arrives.
                if is_open and (charge is None or hold.asked >= payment.LAST_ASK):
                    charge = await provider.cancel(id)
        except (TimeoutError, errors.DurableObjectError):
            charge = None
        found = holds.find(self._sql, hold.number)
        if found is not None and found.state in AWAITS_PAYMENT and found.tries == hold.tries:
            await self._settle(found, charge)

    async def _pay(self, hold: Hold, card: Card) -> Paid:
        charge: Charge | None = None
        id = hold.payment(self._hall.house.slug)
        try:
            async with asyncio.timeout(payment.ANSWER_SECONDS):
                charge = await self._provider().charge(id, hold.total, card)
        except (TimeoutError, errors.DurableObjectError):
            pass  # it may have happened, or not
        found = self._desk.find(hold.reference(self._hall.house.slug))
        if found.tries == hold.tries and found.state in AWAITS_PAYMENT:
            return await self._settle(found, charge)
        # The provider has told what came of it, and that was quicker than its answer.
        now = self._desk.now()
        paid = Paid(self._desk.sale(found, now))
        is_through = found.tries == hold.tries and found.state in saga.IS_ORDER
        return paid if is_through else replace(paid, declined=_sorry("declined", found, now))

    async def _settle(self, hold: Hold, charge: Charge | None) -> Paid:
        """Carry on as the payment has come out: everything that follows, in one commit."""
        now = self._desk.now()
        if charge is not None and charge.state is ChargeState.SUCCEEDED:
            paid = await self._paid(hold, now)
        elif charge is not None and charge.has_failed:
            paid = await self._declined(hold, charge, now)
        else:
            return await self._unknown(hold, now)
        if hold.key:
            self._idempotency.finish(hold.key, msgspec.to_builtins(paid), of=hold.owner.id)
        return paid

    async def _paid(self, hold: Hold, now: float) -> Paid:
        state = saga.step(hold.state, Step.PAID)
        hold = self._desk.change(hold, state=state, due=None, paid_at=now)
        await self._hall.sell(hold)
        if hold.is_offer:
            waiting_list.end_offer(self._sql, hold.number)
        audit.note(
            self._sql, hold.owner.name, f"bought {self._seats(hold)} for {money(hold.total)}"
        )
        return self._told(hold, now)

    async def _declined(self, hold: Hold, charge: Charge, now: float) -> Paid:
        state = saga.step(hold.state, Step.DECLINED)
        until = rules.after_declined(hold, now)
        hold = self._desk.change(hold, state=state, expires_at=until, due=until)
        await self._desk.set_alarm()
        paid = self._told(hold, now)
        why = "declined" if charge.state is ChargeState.DECLINED else "not carried out"
        return replace(paid, declined=_sorry(why, hold, now))

    async def _unknown(self, hold: Hold, now: float) -> Paid:
        hold = self._desk.change(
            hold,
            state=saga.step(hold.state, Step.SILENT),
            due=now + payment.pause_seconds(hold.asked),
            asked=hold.asked + 1,
        )
        await self._desk.set_alarm()
        return self._told(hold, now)

    def _told(self, hold: Hold, now: float) -> Paid:
        self._desk.tell(hold, now)
        self._show.changed()
        return Paid(self._desk.sale(hold, now))

    async def _refund(self, id: str, amount: int) -> None:
        if not amount:
            return  # it went back before
        audit.note(self._sql, "the till", f"gives payment {id} back: it has no seats")
        await self._outbox.send("refund", {"payment": id, "amount": amount})

    def _find(self, key: str, wish: Any, person: Person) -> Saved | None:
        try:
            return self._idempotency.find(key, wish, of=person.id)
        except KeyReused as refusal:
            raise Unfit(str(refusal)) from refusal

    def _again(self, hold: Hold, saved: Saved, now: float) -> Paid:
        if saved.is_finished:
            return replace(read(saved.answer), is_replayed=True)
        if hold.state not in AWAITS_PAYMENT:
            raise Conflict("what has become of this payment isn't known any more")
        return Paid(self._desk.sale(hold, now), is_replayed=True)

    def _is_for_seats(self, hold: Hold, number: int) -> bool:
        is_paid = hold.state in (State.CONFIRMED, State.CANCELLED)
        return number == hold.tries and (is_paid or hold.state in AWAITS_PAYMENT)

    def _seats(self, hold: Hold) -> str:
        return ", ".join(self._hall.house.names_of(hold.seats))

    def _provider(self) -> Any:
        return self._env.payments.get_by_name(self._hall.house.slug)


def _sorry(why: str, hold: Hold, now: float) -> str:
    is_theirs = hold.state in saga.KEEPS_SEATS and now < hold.expires_at
    then = "the seats are still yours for now" if is_theirs else "the time to pay is over"
    return f"the payment was {why}; {then}"


def read(answer: dict[str, Any]) -> Paid:
    """Return what was kept as an answer, or in a letter."""
    return Paid(**{**answer, "sale": read_sale(answer["sale"])})


def read_sale(sale: dict[str, Any]) -> Sale:
    """Return a sale that JSON has said."""
    return Sale(
        **{
            **sale,
            "owner": Person(**sale["owner"]),
            "seats": tuple(sale["seats"]),
            "cents": tuple(sale["cents"]),
            "state": State(sale["state"]),
        }
    )
