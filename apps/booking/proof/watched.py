"""Events that can be asked for their books, and two that are broken."""

from __future__ import annotations

import asyncio
from typing import Any

from apps.booking.domain.hold import HOLD_SECONDS, Hold
from apps.booking.domain.house import Person
from apps.booking.domain.saga import AWAITS_PAYMENT, State
from apps.booking.domain.sale import Sale
from apps.booking.objects.event import Event
from apps.booking.objects.section import Section
from apps.booking.store import holds
from runtime import DurableObject

Taken = dict[int, tuple[int, bool]]
"""For each seat that isn't free: the number of the hold that has it, and whether it is sold."""


class WatchedEvent(Event):
    """The event itself, which can also be asked for its books."""

    async def ledger(self) -> list[Hold]:
        """Return all holds."""
        return holds.all_holds(self._sql)

    async def taken(self) -> Taken:
        """Return who has which seat."""
        return taken(self)

    async def glance(self) -> tuple[list[Hold], Taken, str]:
        """Return the holds that keep seats, who has which seat, and a letter for each seat."""
        return holds.keeping(self._sql), taken(self), self._hall.seats.states()


class WatchedSection(Section):
    """The same of a section."""

    async def taken(self) -> Taken:
        """Return who has which seat."""
        return taken(self)


class HastyEvent(WatchedEvent):
    """Looks whether seats are free, asks somebody else first, and then takes them."""

    async def hold(self, person: Person, names: tuple[str, ...], best: int) -> Sale:
        now = await self._desk.tidy()
        seats = self._hall.choose(self._hall.wanted(names) if names else (), best)
        await asyncio.sleep(0.01)
        until, cents = now + HOLD_SECONDS, tuple(map(self._hall.house.cents_of, seats))
        hold = holds.add(self._sql, person, seats, cents, expires_at=until, due=until)
        for seat in seats:
            self._sql.exec("UPDATE seats SET hold = ? WHERE number = ?", hold.number, seat)
        self._hall.seats.forget()
        return self._desk.sale(hold, now)


class ForgetfulEvent(WatchedEvent):
    """Lets go of seats whose payment doesn't answer, as if no answer meant no."""

    async def _see_to_holds(self, scheduled: float) -> None:
        for hold in holds.due(self._sql, max(self._desk.now(), scheduled)):
            if hold.state in AWAITS_PAYMENT:
                self._desk.change(hold, state=State.HELD)
        await super()._see_to_holds(scheduled)


def taken(of: DurableObject[Any]) -> Taken:
    """Return who has which seat of an event or a section."""
    rows = of.ctx.storage.sql.exec("SELECT number, hold, is_sold FROM seats WHERE hold IS NOT NULL")
    return {row["number"]: (row["hold"], bool(row["is_sold"])) for row in rows}
