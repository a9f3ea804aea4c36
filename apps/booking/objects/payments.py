"""A payment provider to practise on, with an interface as real ones have it.

A real one goes here: the same four methods, each one request to its API. What it is like matters
more than what it does: it may decline, be slow, say nothing, or say everything twice.
"""

from __future__ import annotations

from apps.booking import store
from apps.booking.domain.payment import SLOW_SECONDS, Card, Charge, ChargeState
from apps.booking.domain.refusals import Conflict, NotFound
from apps.booking.objects.env import Env
from apps.booking.store import charges, schema
from runtime import AlarmInvocation, DurableObject, DurableObjectState
from runtime.patterns.outbox import Letter, Outbox

_SETTLE = "settle"


class Payments(DurableObject[Env]):
    """The account that the money of one event goes to."""

    migrations = schema.PAYMENTS

    def __init__(self, ctx: DurableObjectState, env: Env) -> None:
        super().__init__(ctx, env)
        self._sql = ctx.storage.sql
        self._outbox = Outbox(ctx, self._deliver)

    # What it can be asked.

    async def charge(self, id: str, amount: int, card: Card) -> Charge:
        """Take money. To ask again with the same id does nothing, and returns what is there.

        Raises:
            Conflict: If that id was used for another amount.
            TimeoutError: If the answer doesn't come. It may have happened, or not.
        """
        if card is Card.LOST:
            raise TimeoutError("the provider doesn't answer")
        if (known := charges.find(self._sql, id)) is not None:
            if known.amount != amount and known.state is not ChargeState.CANCELLED:
                raise Conflict("this charge is for another amount")
            return known
        is_slow = card in (Card.SLOW, Card.SLOW_DECLINED)
        state = ChargeState.PENDING if is_slow else ChargeState.SUCCEEDED
        if card is Card.DECLINED:
            state = ChargeState.DECLINED
        # One that tells twice tells late, too.
        is_told = is_slow or card is Card.TWICE
        due = self._now() + SLOW_SECONDS if is_told else None
        charge = charges.add(self._sql, id, amount, card, state, due)
        if due is not None:
            await self._set_alarm()
        if card is Card.SILENT:
            raise TimeoutError("the provider doesn't answer")
        return charge

    async def find(self, id: str) -> Charge | None:
        """Return a charge; None if none has arrived."""
        return charges.find(self._sql, id)

    async def cancel(self, id: str) -> Charge:
        """Make sure that a charge doesn't happen any more, if it hasn't happened yet.

        One that hasn't even arrived won't when it does. Returns what it is now for good.
        """
        known = charges.find(self._sql, id)
        if known is None:
            return charges.add(self._sql, id, 0, Card.GOOD, ChargeState.CANCELLED, None)
        if known.state is ChargeState.PENDING:
            charges.set_state(self._sql, id, ChargeState.CANCELLED)
        return charges.find(self._sql, id) or known

    async def refund(self, id: str, amount: int, key: str) -> Charge:
        """Give money back, once for each key.

        Raises:
            NotFound: If there is no such charge.
            Conflict: If that is more than is left of it.
        """
        charge = charges.find(self._sql, id)
        if charge is None or charge.state is not ChargeState.SUCCEEDED:
            raise NotFound("nothing was paid that could be given back")
        if charges.refund_of(self._sql, key) is None:
            if charge.refunded + amount > charge.amount:
                raise Conflict("that is more than was paid")
            charges.refund(self._sql, id, amount, key)
        return charges.find(self._sql, id) or charge

    async def books(self) -> list[Charge]:
        """Return all charges: what the provider's own statement would say."""
        return charges.all_charges(self._sql)

    # Called by the runtime.

    async def alarm(self, invocation: AlarmInvocation) -> None:
        """Settle what was slow, and tell the event of it, as a provider's web hook does."""
        if await self._outbox.alarm(invocation):
            return
        now = max(self._now(), invocation.scheduled_time)
        for id, card in charges.due(self._sql, now):
            is_good = card != Card.SLOW_DECLINED
            state = ChargeState.SUCCEEDED if is_good else ChargeState.DECLINED
            charges.set_state(self._sql, id, state)
            for _ in range(2 if card == Card.TWICE else 1):
                await self._outbox.send(id.partition(".")[0], id)
        await self._set_alarm()

    async def _deliver(self, letter: Letter) -> None:
        await self.env.events.get_by_name(letter.to).payment_answered(letter.body)

    async def _set_alarm(self) -> None:
        if (due := charges.next_due(self._sql)) is not None:
            await self.ctx.storage.set_alarm(due, name=_SETTLE)

    def _now(self) -> float:
        return store.now(self._sql)
