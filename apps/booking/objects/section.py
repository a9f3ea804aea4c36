"""A section of a large event: some rows of its seats."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from apps.booking.domain import seating
from apps.booking.domain.house import House, Person, Tier
from apps.booking.domain.refusals import Conflict, TooSoon
from apps.booking.objects.env import Env
from apps.booking.objects.hall import taken
from apps.booking.objects.show import Show
from apps.booking.store import schema
from apps.booking.store.seats import SeatTable
from runtime import DurableObject, DurableObjectState, Request, Response, WebSocket
from runtime.patterns.letterbox import Letterbox

_HOUSE = "house"


class Section(DurableObject[Env]):
    """Seats of a large event, and whoever looks at them.

    What it knows of holds is their numbers. Until when they last, and what they are paid, is the
    event's business: a hold ends here when the event's letter says so.
    """

    migrations = schema.SECTION

    def __init__(self, ctx: DurableObjectState, env: Env) -> None:
        super().__init__(ctx, env)
        self._show = Show(ctx, self._house, self._seats)
        self._letterbox = Letterbox(ctx)
        self._table: SeatTable | None = None
        self._found: House | None = None

    # Called by the event.

    async def be(self, house: House, number: int) -> None:
        """Be a section of that event; the seats are made the first time."""
        rows = house.sections[number]
        self.ctx.storage.kv.put(_HOUSE, (asdict(house), rows.start))
        self._found = house
        self._seats().fill(len(rows) * house.seats_per_row)

    async def take(self, hold: int, wanted: tuple[int, ...], best: int) -> tuple[int, ...]:
        """Give seats to a hold: the wanted ones, or the best so many together, or none.

        Raises:
            Taken: If the wanted ones aren't free.
            Conflict: If that hold has ended meanwhile.
        """
        sql, table, house = self.ctx.storage.sql, self._seats(), self._house()
        if sql.exec("SELECT 1 FROM over WHERE hold = ?", hold).next() is not None:
            raise Conflict("these seats were let go before they were held")
        if mine := table.of(hold):
            return mine
        first_row = table.first_row
        if wanted and not table.are_free(wanted):
            raise taken(house, table.free, first_row, wanted, best)
        seats = wanted
        if not wanted:
            found = seating.best(table.free, house.seats_per_row, best) or ()
            seats = tuple(seat + first_row * house.seats_per_row for seat in found)
        if seats:
            table.take(hold, seats)
            self._show.changed()
        return seats

    async def settle(self, letter: str, what: str, hold: int) -> None:
        """Sell a hold's seats, or make them free."""
        if not self._letterbox.take(letter):
            return
        table = self._seats()
        if what == "sell":
            table.sell(hold, table.of(hold))
        else:
            # A request for seats may come later than the letter that gives them back.
            self.ctx.storage.sql.exec("INSERT OR IGNORE INTO over VALUES (?)", hold)
            table.give_back(hold, table.of(hold))
        self._show.changed()

    async def states(self) -> str:
        """Return a letter for each seat."""
        return self._seats().states()

    async def scene(self) -> tuple[str, str, tuple[str, ...]]:
        """Return a letter for each seat, a cursor, and the seats that somebody looks at."""
        return self._seats().states(), self._show.cursor, self._show.looks()

    # Called by the runtime.

    async def fetch(self, request: Request) -> Response:
        """Let somebody watch this section."""
        ws = request.web_socket
        if ws is None:
            return Response(426, text="expected a WebSocket")
        person = Person(request.headers["x-person-id"], request.headers["x-person-name"])
        if not person.id:
            return Response(401, text="who are you?")
        if self.ctx.storage.kv.get(_HOUSE) is None:
            await self.ctx.storage.delete_all()  # nothing is left of having asked for it
            return Response(404, text="there is no such section")
        try:
            self._show.must_have_room_for(person)
        except TooSoon as refusal:
            return Response(refusal.status, text=str(refusal))
        self.ctx.accept_web_socket(ws, tags=[person.id])
        if (since := request.query.get("since")) is not None:
            self._show.catch_up(ws, since)
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        """Note where somebody looks."""
        if not self._show.hear(ws, str(message)):
            ws.close(1008, "seats are held by POST")

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        """Note that somebody looks no longer."""
        self._show.left(ws)

    def _house(self) -> House:
        if self._found is None:
            facts: dict[str, Any]
            facts, _ = self.ctx.storage.kv.get(_HOUSE)
            owner, tiers = Person(**facts["owner"]), tuple(Tier(**tier) for tier in facts["tiers"])
            self._found = House(**{**facts, "owner": owner, "tiers": tiers})
        return self._found

    def _seats(self) -> SeatTable:
        if self._table is None:
            facts, first_row = self.ctx.storage.kv.get(_HOUSE)
            width = facts["seats_per_row"]
            self._table = SeatTable(self.ctx, first=first_row * width, width=width)
        return self._table
