"""What organisers do. Who may, is asked here and not at the door: there are several doors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from apps.booking.domain.house import House, Person, Tier, check_tiers
from apps.booking.domain.money import money
from apps.booking.domain.refusals import Conflict, NotFound
from apps.booking.domain.saga import State, Step, why_not
from apps.booking.domain.sale import Entry, Sale, Tally
from apps.booking.objects.desk import Desk
from apps.booking.objects.hall import Hall
from apps.booking.objects.show import Show
from apps.booking.store import audit, holds, houses
from runtime import DurableObjectState

PAGE: Final = 500  # orders that are returned at a time
HOLDS_SHOWN: Final = 100
MAX_NUMBER: Final = 10**15  # of a hold, as somebody may name it
MAX_VOUCHERS: Final = 1_000
CHANGEABLE: Final = frozenset(
    {"title", "starts_at", "is_open", "per_person", "per_second", "tiers"}
)


@dataclass(frozen=True, slots=True)
class Books:
    """What organisers see of their event."""

    house: House
    tally: Tally
    now: float
    held: tuple[Sale, ...]
    """What is held, and not paid yet; the first ones."""
    vouchers: tuple[dict[str, Any], ...]
    entries: tuple[Entry, ...]
    """The audit log's last lines."""


class Office:
    """The organisers' part of an event. Everything here raises `NotYours` for anybody else."""

    def __init__(self, ctx: DurableObjectState, *, hall: Hall, desk: Desk, show: Show) -> None:
        self._sql = ctx.storage.sql
        self._hall = hall
        self._desk = desk
        self._show = show

    def note(self, person: Person, what: str) -> None:
        """Write a line into the audit log."""
        audit.note(self._sql, person.name, what)

    async def change(self, person: Person, changes: dict[str, Any]) -> House:
        """Change an event's facts. What is held keeps the price that it was held at.

        Args:
            changes: By the names in `CHANGEABLE`, tiers as dicts; or the ``price`` of all rows.
        """
        now = await self._may(person)
        rows, changes = self._hall.house.rows, dict(changes)
        if (price := changes.pop("price", None)) is not None:
            changes["tiers"] = [asdict(Tier("Standard", 0, rows - 1, price))]
        if "tiers" in changes:
            tiers = tuple(Tier(**tier) for tier in changes["tiers"])
            changes["tiers"] = check_tiers(tiers, rows)
        assert changes.keys() <= CHANGEABLE, changes
        before = self._hall.house
        house = replace(before, **changes)
        self._hall.change(house)
        for name in sorted(changes):
            if getattr(before, name) != getattr(house, name):
                self.note(person, f"changed {name} to {_told(getattr(house, name))}")
        self._desk.offer(now)
        await self._desk.set_alarm()
        self._show.changed()
        return house

    async def add_voucher(self, person: Person, code: str, percent: int, uses: int) -> None:
        """Make a voucher."""
        await self._may(person)
        if len(houses.vouchers(self._sql)) >= MAX_VOUCHERS:
            raise Conflict(f"an event has at most {MAX_VOUCHERS} vouchers")
        if not houses.add_voucher(self._sql, code, percent, uses):
            raise Conflict(f"there is a voucher {code!r} already")
        self.note(person, f"made voucher {code}: {percent} %, {uses} times")

    async def let_go(self, person: Person, number: int) -> None:
        """Release a hold of somebody else."""
        now = await self._may(person)
        hold = holds.find(self._sql, number) if 0 < number <= MAX_NUMBER else None
        if hold is None:
            raise NotFound("there is no such hold")
        if hold.state is not State.HELD:
            raise why_not(hold.state)
        self.note(person, f"released what {hold.owner.name} held")
        await self._desk.end(hold, Step.LEFT, now)
        await self._desk.set_alarm()

    async def books(self, person: Person) -> Books:
        """Return what organisers see."""
        now = await self._may(person)
        held = holds.unpaid(self._sql, HOLDS_SHOWN)
        return Books(
            self._hall.house,
            Tally.of(await self._hall.states()),
            now,
            tuple(self._desk.sale(hold, now) for hold in held),
            tuple(houses.vouchers(self._sql)),
            tuple(audit.entries(self._sql)),
        )

    async def orders(self, person: Person, after: int) -> list[Sale]:
        """Return what was sold after that hold's number, oldest first, at most `PAGE`."""
        now = await self._may(person)
        return [self._desk.sale(hold, now) for hold in holds.orders(self._sql, after, PAGE)]

    async def audit(self, person: Person, before: int | None) -> list[Entry]:
        """Return lines of the audit log, the newest first."""
        await self._may(person)
        return audit.entries(self._sql, before)

    async def _may(self, person: Person) -> float:
        now = await self._desk.tidy()
        self._hall.house.must_be_run_by(person)
        return now


def _told(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{tier.name} {money(tier.cents)}" for tier in value)
    return str(value)
