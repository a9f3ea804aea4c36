"""A customer: everything that one person has bought, wherever, and the events they have made."""

from __future__ import annotations

import asyncio
from typing import Final

from apps.booking.domain.order import Order as OrderSeen
from apps.booking.domain.order import way_of
from apps.booking.domain.refusals import Conflict
from apps.booking.objects.env import Env
from apps.booking.store import schema
from runtime import DurableObject, DurableObjectState
from runtime.patterns.letterbox import Letterbox

MAX_EVENTS: Final = 500  # that one person may make
EVENTS_SHOWN: Final = 50  # whose orders are shown


class Customer(DurableObject[Env]):
    """One person.

    It knows where they have bought something, by a letter from each event; what that is, the events
    know. So it says nothing that isn't true any more, and a rush of buyers writes to it once.
    """

    migrations = schema.CUSTOMER

    def __init__(self, ctx: DurableObjectState, env: Env) -> None:
        super().__init__(ctx, env)
        self._sql = ctx.storage.sql
        self._letterbox = Letterbox(ctx)

    async def hear(self, letter: str, slug: str) -> None:
        """Note that there is something of this person's at an event."""
        if self._letterbox.take(letter):
            self._sql.exec("INSERT OR IGNORE INTO visited (slug) VALUES (?)", slug)

    async def orders(self) -> list[OrderSeen]:
        """Return all orders, of the newest events first."""
        rows = self._sql.exec(
            "SELECT slug FROM visited ORDER BY number DESC LIMIT ?", EVENTS_SHOWN
        ).to_array()
        person_id = self.ctx.id.name or ""
        events = [self.env.events.get_by_name(row["slug"]) for row in rows]
        found = await asyncio.gather(*(event.orders_of(person_id) for event in events))
        return [OrderSeen(sale, way_of(sale.state)) for sales in found for sale in sales]

    async def may_make_an_event(self) -> None:
        """Let people pass who may make one more event.

        Raises:
            Conflict: If they have made as many as anybody may.
        """
        count = self._sql.exec("SELECT count(*) AS n FROM events").one()["n"]
        if count >= MAX_EVENTS:
            raise Conflict(f"nobody makes more than {MAX_EVENTS} events")

    async def has_made(self, slug: str) -> None:
        """Note an event that this person has made."""
        self._sql.exec("INSERT OR IGNORE INTO events (slug) VALUES (?)", slug)

    async def events(self) -> list[str]:
        """Return the slugs of the events that this person has made, the newest first."""
        rows = self._sql.exec("SELECT slug FROM events ORDER BY at DESC, slug LIMIT ?", MAX_EVENTS)
        return [row["slug"] for row in rows]
