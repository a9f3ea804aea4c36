"""Holding seats: who has which, until when, and what becomes of them afterwards."""

from __future__ import annotations

import math
import secrets
from typing import Final

from apps.booking import store, views
from apps.booking.domain import hold as rules
from apps.booking.domain import saga, seating, waiting
from apps.booking.domain.hold import Hold, Reference
from apps.booking.domain.house import Person
from apps.booking.domain.refusals import Conflict, NotFound, Taken, TooSoon
from apps.booking.domain.saga import State, Step
from apps.booking.domain.sale import Sale
from apps.booking.domain.waiting import Waiting
from apps.booking.objects.env import Env
from apps.booking.objects.hall import Hall
from apps.booking.objects.show import Show
from apps.booking.store import holds, houses
from apps.booking.store import waiting as waiting_list
from runtime import DurableObjectState

DUE: Final = "due"  # the alarm of whatever hold is next
TAKING_SECONDS: Final = 30.0  # for all sections to answer


class Desk:
    """The holds of one event.

    Invariants:
        - A seat that isn't free belongs to a hold whose state keeps seats, and the other way
          round; both change in one commit.
        - A hold whose time is over is treated so at once, whether its alarm has rung or not.
        - Seats that become free go to whoever waits before anybody else can ask for them.
    """

    def __init__(self, ctx: DurableObjectState, env: Env, hall: Hall, show: Show) -> None:
        self._ctx = ctx
        self._sql = ctx.storage.sql
        self._env = env
        self._hall = hall
        self._show = show
        self._first_due: float | None = None
        self._rings_at: float | None = None

    def now(self) -> float:
        """Return what time it is."""
        return store.now(self._sql)

    async def tidy(self) -> float:
        """Let go of holds whose time is over, and return what time it is.

        Whatever is done or told begins with this, so a late alarm changes nothing.

        Raises:
            NotFound: If there is no such event. Nothing is left of having asked for it.
        """
        if not self._hall.exists:
            await self._ctx.storage.delete_all()
            raise NotFound("there is no such event")
        await self._hall.tell_sections_of_house()
        now = self.now()
        if self._first() <= now:
            while late := holds.late(self._sql, now):
                for hold in late:
                    await self.end(hold, Step.LATE, now)
            self._first_due = None
            await self.set_alarm()
        return now

    async def hold(self, person: Person, names: tuple[str, ...], best: int) -> Sale:
        """Hold seats for somebody: those with these names, or the `best` so many together."""
        now = await self.tidy()
        house = self._hall.house
        if house.per_second:
            await self._env.queues.get_by_name(house.slug).must_be_in(person.id, house.per_second)
            now, house = await self.tidy(), self._hall.house
        house.must_be_on_sale(now)
        wanted = self._hall.wanted(names) if names else ()
        rules.check_count(len(wanted) or best)
        seats = () if self._hall.is_sharded else self._hall.choose(wanted, best)
        have = holds.counts_of(self._sql, person.id)
        rules.check_limits(len(wanted) or best, *have, house.per_person)
        if self._hall.is_sharded:
            return await self._hold_in_sections(person, wanted, best, now)
        hold = self.add(person, seats, now, rules.HOLD_SECONDS)
        await self.set_alarm()
        self._show.changed()
        self.tell(hold, now)
        return self.sale(hold, now)

    def add(
        self,
        person: Person,
        seats: tuple[int, ...],
        now: float,
        seconds: float,
        *,
        is_offer: bool = False,
    ) -> Hold:
        """Hold free seats of the event's own table."""
        until = now + seconds
        cents = tuple(map(self._hall.house.cents_of, seats))
        hold = holds.add(
            self._sql, person, seats, cents, expires_at=until, due=until, is_offer=is_offer
        )
        self._hall.seats.take(hold.number, seats)
        self._note_due(until)
        return hold

    def find(self, reference: Reference) -> Hold:
        """Return a hold.

        Raises:
            NotFound: If there is no such hold, or it came to nothing a day ago.
        """
        hold = holds.find(self._sql, reference.number)
        if hold is None or not secrets.compare_digest(hold.token, reference.token):
            raise NotFound("there is no such hold or order")
        return hold

    def own(self, person: Person, reference: Reference) -> Hold:
        """Return a hold of somebody's own."""
        hold = self.find(reference)
        hold.must_be_of(person)
        return hold

    def sale(self, hold: Hold, now: float) -> Sale:
        """Return what there is to see of a hold."""
        return Sale.of(hold, self._hall.house, now)

    def held_by(self, person_id: str, now: float) -> tuple[Sale, ...]:
        """Return what somebody holds and hasn't paid, oldest first."""
        return tuple(self.sale(hold, now) for hold in holds.held_by(self._sql, person_id))

    def change(self, hold: Hold, **changes: object) -> Hold:
        """Keep what is new about a hold, and see that it is looked at again when that is due."""
        changed = holds.change(self._sql, hold, **changes)
        due = changes.get("due", math.inf)
        if isinstance(due, float):
            self._note_due(due)
        return changed

    async def extend(self, person: Person, reference: Reference) -> Sale:
        """Give somebody more time, once."""
        now = await self.tidy()
        hold = self.own(person, reference)
        until = rules.extended(hold, now)
        hold = self.change(hold, expires_at=until, due=until, is_extended=True)
        await self.set_alarm()
        self.tell(hold, now)
        return self.sale(hold, now)

    async def release(self, person: Person, reference: Reference) -> None:
        """Let somebody's seats go."""
        now = await self.tidy()
        await self.end(self.own(person, reference), Step.LEFT, now)
        await self.set_alarm()

    async def redeem(self, person: Person, reference: Reference, code: str) -> Sale:
        """Take a voucher's share off the price."""
        now = await self.tidy()
        hold = self.own(person, reference)
        if hold.state is not State.HELD:
            raise saga.why_not(hold.state)
        if hold.voucher:
            raise Conflict("one voucher is all that goes")
        percent = houses.use_voucher(self._sql, code)
        if percent is None:
            raise NotFound("this voucher doesn't exist, or was used already")
        hold = self.change(hold, voucher=code, discount=percent)
        self.tell(hold, now)
        return self.sale(hold, now)

    async def share(self, person: Person, reference: Reference) -> Sale:
        """Make a link by which others may take over some of the seats."""
        now = await self.tidy()
        hold = self.own(person, reference)
        self._hall.must_be_whole()
        if hold.state is not State.HELD:
            raise saga.why_not(hold.state)
        hold = hold if hold.share else self.change(hold, share=secrets.token_urlsafe(9))
        self.tell(hold, now)
        return self.sale(hold, now)

    async def shared(self, reference: Reference, share: str) -> Sale:
        """Return what somebody with the link sees."""
        now = await self.tidy()
        hold = self.find(reference)
        rules.shared(hold, share, hold.seats, now)
        return self.sale(hold, now)

    async def take_over(
        self, person: Person, reference: Reference, share: str, names: tuple[str, ...]
    ) -> Sale:
        """Give seats of a hold to somebody who has its link, until the same moment."""
        now = await self.tidy()
        hold = self.find(reference)
        self._hall.must_be_whole()
        wanted = self._hall.wanted(names)
        stay = rules.shared(hold, share, wanted, now)
        if hold.owner.id == person.id:
            raise Conflict("these seats are yours already")
        if hold.voucher:
            raise Conflict("seats with a voucher can't be shared")
        have = holds.counts_of(self._sql, person.id)
        rules.check_limits(len(wanted), *have, self._hall.house.per_person)
        costs = dict(zip(hold.seats, hold.cents, strict=True))
        theirs = holds.add(
            self._sql,
            person,
            wanted,
            tuple(costs[seat] for seat in wanted),
            expires_at=hold.expires_at,
            due=hold.expires_at,
            is_extended=hold.is_extended,  # or two people could pass seats on for ever
        )
        self._hall.seats.move(hold.number, theirs.number, wanted)
        hold = self.change(hold, seats=stay, cents=tuple(costs[seat] for seat in stay))
        if not stay:
            hold = self.change(hold, state=saga.step(hold.state, Step.LEFT), due=None)
            waiting_list.end_offer(self._sql, hold.number)
        self.tell(hold, now)
        self.tell(theirs, now)
        return self.sale(theirs, now)

    async def end(self, hold: Hold, step: Step, now: float) -> Hold:
        """Let a hold's seats go, and offer them to whoever waits."""
        hold = self.change(hold, state=saga.step(hold.state, step), due=None)
        if hold.voucher:
            houses.give_voucher_back(self._sql, hold.voucher)
        if hold.is_offer:
            waiting_list.end_offer(self._sql, hold.number)
        await self._hall.give_back(hold)
        self.offer(now)
        self.tell(hold, now)
        self._show.changed()
        return hold

    def offer(self, now: float) -> None:
        """Hold free seats for those who have waited longest."""
        if self._hall.is_sharded or not self._hall.house.is_on_sale(now):
            return
        free, width = self._hall.seats.free, self._hall.house.seats_per_row
        waiting_long = waiting_list.first(self._sql, most=seating.longest(free))
        people = filter(self._may_be_offered, waiting_long)
        for offer in waiting.offers(free, width, people):
            person = offer.waiting.person
            hold = self.add(person, offer.seats, now, rules.OFFER_SECONDS, is_offer=True)
            waiting_list.offer(self._sql, offer.waiting.number, hold.number)
            self.tell(hold, now)

    def _may_be_offered(self, somebody: Waiting) -> bool:
        """Whether they may still have what they wait for: they may have got seats elsewhere."""
        have = holds.counts_of(self._sql, somebody.person.id)
        try:
            rules.check_limits(somebody.count, *have, self._hall.house.per_person)
        except Conflict:
            return False
        return True

    def tell(self, hold: Hold, now: float) -> None:
        """Show all windows of a hold's owner what they have now."""
        if self._ctx.get_web_sockets(hold.owner.id):
            place = waiting_list.place(self._sql, hold.owner.id)
            self._show.tell(hold.owner.id, self.push_to(hold.owner.id, place, now))

    def push_to(self, person_id: str, place: int, now: float) -> str:
        """Return a push that shows somebody what they hold, and their place in the waiting list."""
        return views.mine(self._hall.house, self.held_by(person_id, now), place, now)

    async def set_alarm(self) -> None:
        """See that the next hold that is due is looked at."""
        due = self._first()
        if due < math.inf and (self._rings_at is None or due < self._rings_at):
            self._rings_at = due
            await self._ctx.storage.set_alarm(max(due, 1.0), name=DUE)

    async def rang(self) -> None:
        """Set the alarm anew, once what was due is done."""
        self._first_due = self._rings_at = None
        holds.forget_old(self._sql, self.now())
        await self.set_alarm()

    async def _hold_in_sections(
        self, person: Person, wanted: tuple[int, ...], best: int, now: float
    ) -> Sale:
        until = now + rules.HOLD_SECONDS
        # Written before any section is asked: whatever happens meanwhile, somebody knows that
        # there may be seats to give back.
        hold = holds.add(
            self._sql,
            person,
            (),
            (),
            expires_at=until,
            due=now + TAKING_SECONDS,
            state=State.TAKING,
        )
        self._note_due(now + TAKING_SECONDS)
        await self.set_alarm()
        try:
            seats = await self._hall.choose_in_sections(hold.number, wanted, best)
        except Taken:
            await self.end(hold, Step.LEFT, now)
            raise
        hold = self.find(hold.reference(self._hall.house.slug))
        if hold.state is not State.TAKING:
            raise TooSoon("that took too long; please try again")
        try:  # once more: meanwhile they may have got other seats
            have = holds.counts_of(self._sql, person.id)
            rules.check_limits(len(seats), *have, self._hall.house.per_person)
        except Conflict:
            await self.end(self.change(hold, seats=seats), Step.LEFT, now)
            raise
        cents = tuple(map(self._hall.house.cents_of, seats))
        state = saga.step(hold.state, Step.TAKEN)
        hold = self.change(hold, seats=seats, cents=cents, state=state, due=until)
        await self.set_alarm()
        self.tell(hold, now)
        return self.sale(hold, now)

    def _first(self) -> float:
        """Return when something is due next, or earlier."""
        if self._first_due is None:
            due = holds.next_due(self._sql)
            self._first_due = math.inf if due is None else due
        return self._first_due

    def _note_due(self, due: float) -> None:
        self._first_due = min(self._first(), due)
