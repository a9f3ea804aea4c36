"""A customer: everything that one person has bought, wherever, and the events they have made."""

from __future__ import annotations

from typing import Any, Final

from apps.booking.domain.order import Order as OrderSeen
from apps.booking.domain.refusals import Conflict
from apps.booking.domain.saga import Way
from apps.booking.objects.env import Env
from apps.booking.objects.till import read_sale
from apps.booking.store import orders, schema
from runtime import DurableObject, DurableObjectState
from runtime.patterns.letterbox import Letterbox

MAX_EVENTS: Final = 500  # that one person may make


class Customer(DurableObject[Env]):
    """One person. Nothing waits for it: it hears of orders by their letters."""

    migrations = schema.CUSTOMER

    def __init__(self, ctx: DurableObjectState, env: Env) -> None:
        super().__init__(ctx, env)
        self._sql = ctx.storage.sql
        self._letterbox = Letterbox(ctx)

    async def hear(self, letter: str, sale: dict[str, Any], way: str) -> None:
        """Remember what has become of an order."""
        if self._letterbox.take(letter):
            orders.remember(self._sql, sale, way)

    async def orders(self) -> list[OrderSeen]:
        """Return the orders, the newest first."""
        return [OrderSeen(read_sale(sale), Way(way)) for sale, way in orders.remembered(self._sql)]

    async def make_event(self, slug: str) -> None:
        """Note an event that this person makes.

        Raises:
            Conflict: If they have made as many as anybody may.
        """
        count = self._sql.exec("SELECT count(*) AS n FROM events").one()["n"]
        if count >= MAX_EVENTS:
            raise Conflict(f"nobody makes more than {MAX_EVENTS} events")
        self._sql.exec("INSERT OR IGNORE INTO events (slug) VALUES (?)", slug)

    async def events(self) -> list[str]:
        """Return the slugs of the events that this person has made, the newest first."""
        rows = self._sql.exec("SELECT slug FROM events ORDER BY at DESC, slug LIMIT ?", MAX_EVENTS)
        return [row["slug"] for row in rows]
