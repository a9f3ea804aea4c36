"""Where an event's seats are: in its own table, or in the sections of a large event.

When not to shard: as long as one object can do it. Seats of one table are taken in one commit;
those of several sections need an order in which they are asked, and letters that undo what can't
be done.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from apps.booking.domain import seating
from apps.booking.domain.hold import Hold, check_count
from apps.booking.domain.house import House
from apps.booking.domain.refusals import Conflict, NotFound, Taken, Unfit
from apps.booking.objects.env import Env
from apps.booking.store import houses
from apps.booking.store.seats import SeatTable
from runtime import DurableObjectState
from runtime.patterns.outbox import Outbox

if TYPE_CHECKING:
    from apps.booking.objects.section import Section


_UNTOLD: Final = "untold"  # there as long as sections may not know what the event is


class Hall:
    """The seats of one event.

    Args:
        outbox: For letters to sections; what they say is in `Section`.
    """

    def __init__(self, ctx: DurableObjectState, env: Env, outbox: Outbox) -> None:
        self._ctx = ctx
        self._env = env
        self._outbox = outbox
        self._house: House | None = None
        self._seats: SeatTable | None = None

    @property
    def house(self) -> House:
        """What the event is.

        Raises:
            NotFound: If there is no such event.
        """
        if not self.exists or self._house is None:
            raise NotFound("there is no such event")
        return self._house

    @property
    def exists(self) -> bool:
        if self._house is None:
            self._house = houses.find(self._ctx.storage.sql)
        return self._house is not None

    def open(self, house: House) -> None:
        """Keep a new event."""
        houses.create(self._ctx.storage.sql, house)
        self._house = house
        if house.sections:
            self._ctx.storage.kv.put(_UNTOLD, True)
        else:
            self.seats.fill(house.capacity)

    def change(self, house: House) -> None:
        """Keep what is new about it."""
        houses.change(self._ctx.storage.sql, house)
        self._house = house
        if house.sections:
            self._ctx.storage.kv.put(_UNTOLD, True)

    @property
    def is_sharded(self) -> bool:
        return bool(self.house.sections)

    @property
    def seats(self) -> SeatTable:
        """The event's own table: empty if it has sections."""
        if self._seats is None:
            self._seats = SeatTable(self._ctx, first=0, width=self.house.seats_per_row)
        return self._seats

    def wanted(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """Return which seats somebody asks for.

        Raises:
            Unfit: If there is one that there isn't, or one twice.
        """
        seats = tuple(map(self.house.seat_of, names))
        check_count(len(seats))
        if len(set(seats)) < len(seats):
            raise Unfit("a seat can't be held twice")
        return tuple(sorted(seats))

    def choose(self, wanted: tuple[int, ...], best: int) -> tuple[int, ...]:
        """Return the seats to hold: those that are wanted, or else the `best` so many together.

        Raises:
            Taken: If they aren't free.
        """
        house, table = self.house, self.seats
        if wanted and table.are_free(wanted):
            return wanted
        if not wanted and (found := seating.best(table.free, house.seats_per_row, best)):
            return found
        raise taken(house, table.free, 0, wanted, best)

    async def choose_in_sections(
        self, hold: int, wanted: tuple[int, ...], best: int
    ) -> tuple[int, ...]:
        """Have sections hold seats, and return them.

        Always in the order of the sections: two people who want seats in the same two never each
        have one and wait for the other.

        Raises:
            Taken: If they aren't free; what some sections hold already is to be given back.
        """
        if wanted:
            for number, seats in groupby(wanted, self.house.section_of):
                await self._section(number).take(hold, tuple(seats), 0)
            return wanted
        for number in range(len(self.house.sections)):
            if found := await self._section(number).take(hold, (), best):
                return found
        raise Taken.together(best)

    async def sell(self, hold: Hold) -> None:
        """Note that a hold's seats are paid."""
        if self.is_sharded:
            await self._tell_sections("sell", hold)
        else:
            self.seats.sell(hold.number, hold.seats)

    async def give_back(self, hold: Hold) -> None:
        """Make a hold's seats free."""
        if self.is_sharded:
            await self._tell_sections("give_back", hold)
        else:
            self.seats.give_back(hold.number, hold.seats)

    def must_be_whole(self) -> None:
        """Let pass what takes all seats in one commit.

        Raises:
            Conflict: If they are in sections.
        """
        if self.is_sharded:
            raise Conflict("seats of so large an event can't be shared")

    async def states(self) -> str:
        """Return a letter for each seat."""
        if not self.is_sharded:
            return self.seats.states()
        parts = [await self._section(n).states() for n in range(len(self.house.sections))]
        return "".join(parts)

    async def tell_sections_of_house(self) -> None:
        """Have all sections know what the event is now, unless they do.

        The process may die in between, so whatever an event does begins with this.
        """
        if not self.is_sharded or not self._ctx.storage.kv.get(_UNTOLD, False):
            return
        house = self.house
        for number in range(len(house.sections)):
            await self._section(number).be(self.house, number)
        if house == self.house:  # else it has changed meanwhile, and who did that tells them
            self._ctx.storage.kv.delete(_UNTOLD)

    async def _tell_sections(self, what: str, hold: Hold) -> None:
        # Which sections have seats of a hold that isn't complete, nobody knows.
        every = range(len(self.house.sections))
        numbers = sorted(set(map(self.house.section_of, hold.seats))) or every
        for number in numbers:
            body = {"section": number, "do": what, "hold": hold.number}
            await self._outbox.send(f"section:{number}", body)

    def _section(self, number: int) -> Section:
        return self._env.sections.get_by_name(f"{self.house.slug}/{number}")


def taken(
    house: House, free: seating.Rows, first_row: int, wanted: tuple[int, ...], best: int
) -> Taken:
    """Return the refusal of seats that aren't free, with what there is instead.

    Args:
        free: Of each row, from `first_row` on.
    """
    width = house.seats_per_row
    first = first_row * width
    near = tuple(seat - first for seat in wanted)
    found = seating.alternatives(free, width, near, len(wanted) or best)
    names = house.names_of(tuple(seat + first for seat in found))
    if not wanted:
        return Taken.together(best, names)
    rows = [divmod(seat, width) for seat in near]
    gone = [
        seat for seat, (row, place) in zip(wanted, rows, strict=True) if not free[row] >> place & 1
    ]
    which = ", ".join(house.names_of(tuple(gone)))
    return Taken(f"{which} {'has' if len(gone) == 1 else 'have'} just been taken", names)
