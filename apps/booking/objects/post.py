"""What an event tells other objects: by letters, which leave when what they tell of is durable."""

from __future__ import annotations

from typing import Final

from apps.booking import store
from apps.booking.domain.house import House
from apps.booking.domain.sale import Tally
from apps.booking.objects.env import THE_ONE, Env
from runtime import AlarmInvocation, DurableObjectState
from runtime.patterns.outbox import Letter, Outbox

TELL: Final = "tell"  # the alarm on which the catalogue hears how many seats are left
TELL_SECONDS: Final = 2.0
REVIVE: Final = "revive"  # the alarm on which letters are tried again that were given up
REVIVE_SECONDS: Final = 3600.0
_TOLD: Final = "told"  # how often the catalogue has heard


class Post:
    """An event's outbox, and the ways its letters go."""

    def __init__(self, ctx: DurableObjectState, env: Env) -> None:
        self._ctx = ctx
        self._env = env
        self.outbox = Outbox(ctx, self._deliver)

    async def changed(self) -> None:
        """Have the catalogue hear of a change, soon: in a rush not of every seat."""
        if await self._ctx.storage.get_alarm(name=TELL) is None:
            await self._ctx.storage.set_alarm(self._now() + TELL_SECONDS, name=TELL)

    async def tell_catalogue(self, house: House, states: str) -> None:
        """Write down how the event is now, for the catalogue."""
        version = self._ctx.storage.kv.get(_TOLD, 0) + 1
        self._ctx.storage.kv.put(_TOLD, version)
        listing = {
            "slug": house.slug,
            "title": house.title,
            "starts_at": house.starts_at,
            "from_cents": min(tier.cents for tier in house.tiers),
            "free": Tally.of(states).free,
            "capacity": house.capacity,
            "is_open": house.is_open,
            "version": version,
        }
        await self.outbox.send("catalogue", listing)

    async def alarm(self, invocation: AlarmInvocation) -> None:
        """Deliver letters; and once in a while those again that were given up."""
        if invocation.name == REVIVE:
            for letter in self.outbox.dead():
                await self.outbox.revive(letter.id)
        elif await self.outbox.alarm(invocation) and self.outbox.dead():
            # Among them may be somebody's money.
            await self._ctx.storage.set_alarm(self._now() + REVIVE_SECONDS, name=REVIVE)

    async def _deliver(self, letter: Letter) -> None:
        slug = self._ctx.id.name or ""
        kind, _, name = letter.to.partition(":")
        match kind:
            case "customer":
                await self._env.customers.get_by_name(name).hear(letter.id, letter.body)
            case "section":
                section = self._env.sections.get_by_name(f"{slug}/{name}")
                await section.settle(letter.id, letter.body["do"], letter.body["hold"])
            case "refund":
                id, amount = letter.body["payment"], letter.body["amount"]
                await self._env.payments.get_by_name(slug).refund(id, amount, letter.id)
            case "catalogue":
                await self._env.catalogue.get_by_name(THE_ONE).hear(letter.body)

    def _now(self) -> float:
        return store.now(self._ctx.storage.sql)
