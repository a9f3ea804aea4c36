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
from apps.booking.objects.show import Show
from apps.booking.proof.invariants import OF_SEATS, Taken, broken_seats
from apps.booking.store import holds
from runtime import DurableObject, SqlStorage

NOBODY = Person("", "")
CHECKS, BROKEN = "checks", "broken"


class WatchedShow(Show):
    """Looks at the seats in each step that changes one, right where it ends.

    What it finds is written there, too: so it is in the same commit, and of one that is lost it
    says nothing.
    """

    def changed(self) -> None:
        kv = self._ctx.storage.kv
        if broken := broken_now(self._ctx.storage.sql):
            kv.put(BROKEN, broken | kv.get(BROKEN, {}))  # what was found first stays
        kv.put(CHECKS, kv.get(CHECKS, 0) + OF_SEATS)
        super().changed()


class WatchedEvent(Event):
    """The event itself, which looks at its own books, and can be asked for them."""

    show_class = WatchedShow

    async def ledger(self) -> list[Hold]:
        """Return all holds."""
        return holds.all_holds(self._sql)

    async def taken(self) -> Taken:
        """Return who has which seat."""
        return taken(self)

    async def watched(self) -> tuple[int, dict[str, str]]:
        """Return how often invariants of seats were looked at, and those that didn't hold."""
        kv = self.ctx.storage.kv
        return kv.get(CHECKS, 0), kv.get(BROKEN, {})


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
        self._show.changed()
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


def broken_now(sql: SqlStorage) -> dict[str, str]:
    """Return which invariants of seats don't hold, and why: read at one go, to be quick."""
    seats = _all(sql, "SELECT json_array(number, hold, is_sold) AS line FROM seats ORDER BY number")
    if not seats:
        return {}  # they are in sections
    keeping = ", ".join(f"'{state}'" for state in sorted(KEEPS_SEATS))
    ledger = [
        Hold(number, "", NOBODY, tuple(map(int, seats.split(","))), (), 0.0, State(state))
        for number, seats, state in _all(
            sql,
            f"SELECT json_array(number, seats, state) AS line FROM holds "
            f"WHERE state IN ({keeping}) AND seats != ''",
        )
    ]
    found = {number: (hold, bool(is_sold)) for number, hold, is_sold in seats if hold}
    letters = "".join("f" if not hold else "s" if sold else "h" for _, hold, sold in seats)
    return broken_seats(ledger, found, letters)


def _all(sql: SqlStorage, lines: str) -> list[Any]:
    query = f"SELECT json_group_array(json(line)) AS found FROM ({lines})"
    found: list[Any] = json.loads(str(sql.exec(query).one()["found"]))
    return found
