"""The list of open rooms: one object, which the rooms tell of themselves."""

from __future__ import annotations

from apps.chat.domain import Listing
from apps.chat.store import listings
from runtime import DurableObject
from runtime.patterns.letterbox import Letterbox

THE_ONE = "all"
"""The name of the only directory."""


class RoomDirectory(DurableObject[object]):
    """All open rooms in which somebody has spoken, as they were some seconds ago.

    A room never waits for it: it writes a letter, which comes when it comes. So the list is late
    at most, and a room that can't reach it works as ever.
    """

    migrations = (listings.DIRECTORY, Letterbox.schema())

    async def told(self, letter: str, room: Listing) -> None:
        """Hear from a room how it is. A letter that comes twice does nothing."""
        if Letterbox(self.ctx).take(letter):
            listings.list_room(self.ctx.storage.sql, room)

    async def rooms(self, limit: int = listings.SHOWN) -> list[Listing]:
        """Return the rooms in which somebody has spoken last, those first."""
        return listings.rooms(self.ctx.storage.sql, limit)
