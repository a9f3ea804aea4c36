"""What is on: a list of all events, which no event waits for."""

from __future__ import annotations

from typing import Any, Final

from apps.booking.domain.listing import Listing
from apps.booking.objects.env import Env
from apps.booking.store import schema
from runtime import DurableObject

PAGE: Final = 200


class Catalogue(DurableObject[Env]):
    """A read model, fed by the events' letters: a few seconds behind them, and never in their way.

    A letter says how an event is, not what has changed. So of two letters the one with the higher
    version counts, in whichever order they come.
    """

    migrations = schema.CATALOGUE

    async def hear(self, listing: dict[str, Any]) -> None:
        """Take over how an event is."""
        self.ctx.storage.sql.exec(
            """
            INSERT INTO listings VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
            ON CONFLICT (slug) DO UPDATE SET title = ?2, starts_at = ?3, from_cents = ?4, free = ?5,
                capacity = ?6, is_open = ?7, version = ?8 WHERE version < ?8
            """,
            listing["slug"],
            listing["title"],
            listing["starts_at"],
            listing["from_cents"],
            listing["free"],
            listing["capacity"],
            listing["is_open"],
            listing["version"],
        )

    async def upcoming(self) -> list[Listing]:
        """Return the events that haven't begun, the next one first."""
        return self.ctx.storage.sql.exec(
            """
            SELECT slug, title, starts_at, from_cents, free, capacity, is_open FROM listings
            WHERE starts_at > unixepoch('subsec') ORDER BY starts_at, slug LIMIT ?
            """,
            PAGE,
            row=Listing.of_row,
        ).to_array()
