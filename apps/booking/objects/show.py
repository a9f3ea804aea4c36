"""What people see of a house while they look: every change of a seat, and where others look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

from apps.booking import views
from apps.booking.domain.house import House, Person
from apps.booking.domain.refusals import TooSoon, Unfit
from apps.booking.domain.sale import Tally
from apps.booking.store.seats import SeatTable
from runtime import DurableObjectState, WebSocket
from runtime.patterns.feed import Feed

MOST_WINDOWS: Final = 20  # of one person
MOST_LOOKS: Final = 100  # that are shown
PAUSE_SECONDS: Final = 0.1  # between pushes, however many seats change meanwhile
_SHOWN: Final = "shown"


class Show:
    """The sockets of an event or a section.

    In a rush seats change faster than anybody can look, and each push goes to everybody. So
    changes are gathered: the seats know in which order they changed, and a push has those since
    the last one. A change that a crash keeps from being pushed is in the next push.

    Args:
        house: Returns what the event is.
        seats: Returns its seats.
    """

    def __init__(
        self,
        ctx: DurableObjectState,
        house: Callable[[], House],
        seats: Callable[[], SeatTable],
    ) -> None:
        self._ctx = ctx
        self._house = house
        self._seats = seats
        self._feed = Feed(ctx)
        self._pause: asyncio.Task[None] | None = None
        self._looks_changed = False

    @property
    def cursor(self) -> str:
        """From where whoever knows everything now goes on."""
        self.flush()
        return self._feed.cursor

    def changed(self) -> None:
        """Push what has changed: now, or after a pause if something was pushed just now."""
        if self._pause is None and self._ctx.get_web_sockets():
            self.flush()
            self._pause = asyncio.ensure_future(self._wait())

    def flush(self) -> None:
        """Push what has changed."""
        kv, seats = self._ctx.storage.kv, self._seats()
        shown = kv.get(_SHOWN, 0)
        if seats.version > shown:
            changed = seats.changed_since(shown)
            house, tally = self._house(), Tally.of(seats.states())
            self._feed.publish(lambda cursor: views.changes(house, changed, tally, cursor))
            kv.put(_SHOWN, seats.version)

    def catch_up(self, ws: WebSocket, since: str) -> None:
        """Send somebody what they have missed."""
        self.flush()
        missed = self._feed.missed(since)
        if missed is None:
            seats = self._seats()
            states, first_row = seats.states(), seats.first_row
            ws.send(views.everything(self._house(), states, first_row, self._feed.cursor))
        elif missed:
            ws.send("".join(missed))
        ws.send(views.looks(self.looks()))

    def hear(self, ws: WebSocket, message: str) -> bool:
        """Note where somebody looks: ``look A1``, or ``look`` for nowhere.

        Returns:
            Whether that was such a message.
        """
        command, _, name = message.partition(" ")
        if command != "look":
            return False
        try:
            name and self._house().seat_of(name)
        except Unfit:
            return False
        attachment: dict[str, Any] = ws.deserialize_attachment() or {}
        ws.serialize_attachment({**attachment, "look": name})
        self._looked()
        return True

    def left(self, ws: WebSocket) -> None:
        """Note that a socket is gone, and nobody looks from there."""
        attachment: dict[str, Any] = ws.deserialize_attachment() or {}
        if attachment.get("look"):
            ws.serialize_attachment({**attachment, "look": ""})
            self._looked()

    def _looked(self) -> None:
        self._looks_changed = True
        if self._pause is None:
            self._show_looks()
            self._pause = asyncio.ensure_future(self._wait())

    def must_have_room_for(self, person: Person) -> None:
        """Let somebody watch, if they don't do so in many windows already.

        Raises:
            TooSoon: If they do.
        """
        if len(self._ctx.get_web_sockets(person.id)) >= MOST_WINDOWS:
            raise TooSoon("you have too many windows open on this event")

    def looks(self) -> tuple[str, ...]:
        """Return the seats that somebody looks at, or some of them if they are many."""
        attachments = (ws.deserialize_attachment() or {} for ws in self._ctx.get_web_sockets())
        looks = sorted({look for each in attachments if (look := each.get("look"))})
        return tuple(looks[:MOST_LOOKS])

    def tell(self, person_id: str, push: str) -> None:
        """Send something to all windows of somebody."""
        self._ctx.broadcast(push, tag=person_id)

    def people(self) -> Iterable[str]:
        """Return whose windows are open."""
        tags = (tag for ws in self._ctx.get_web_sockets() for tag in self._ctx.get_tags(ws))
        return set(tags)

    async def _wait(self) -> None:
        await asyncio.sleep(PAUSE_SECONDS)
        self._pause = None
        self.flush()
        if self._looks_changed:
            self._show_looks()

    def _show_looks(self) -> None:
        self._looks_changed = False
        self._ctx.broadcast(views.looks(self.looks()))
