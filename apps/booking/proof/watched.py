"""Events that can be asked for their books, and two that are broken."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from apps.booking.domain.hold import HOLD_SECONDS, Hold
from apps.booking.domain.house import Person
from apps.booking.domain.saga import AWAITS_PAYMENT, KEEPS_SEATS, State
from apps.booking.domain.sale import Sale
from apps.booking.objects.event import Event
from apps.booking.objects.section import Section
from apps.booking.proof.invariants import Taken, broken_seats
from apps.booking.store import holds
from runtime import DurableObject

NOBODY = Person("", "")


class WatchedEvent(Event):
    """The event itself, which can also be asked for its books."""

    async def ledger(self) -> list[Hold]:
        """Return all holds."""
        return holds.all_holds(self._sql)

    async def taken(self) -> Taken:
        """Return who has which seat."""
        return taken(self)

    async def glance(self) -> dict[str, str]:
        """Return which invariants of seats don't hold, and why: read at one go, to be quick."""
        keeping = ", ".join(f"'{state}'" for state in sorted(KEEPS_SEATS))
        ledger = [
            Hold(number, "", NOBODY, tuple(map(int, seats.split(","))), (), 0.0, State(state))
            for number, seats, state in self._all(
                f"SELECT json_array(number, seats, state) AS line FROM holds "
                f"WHERE state IN ({keeping}) AND seats != ''"
            )
        ]
        query = "SELECT json_array(number, hold, is_sold) AS line FROM seats ORDER BY number"
        seats = self._all(query)
        found = {number: (hold, bool(is_sold)) for number, hold, is_sold in seats if hold}
        letters = "".join("f" if not hold else "s" if sold else "h" for _, hold, sold in seats)
        return broken_seats(ledger, found, letters)

    def _all(self, lines: str) -> list[Any]:
        query = f"SELECT json_group_array(json(line)) AS found FROM ({lines})"
        found: list[Any] = json.loads(str(self._sql.exec(query).one()["found"]))
        return found


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
