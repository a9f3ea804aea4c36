"""One run: who wants what, with which card, and when the process dies, all by a seed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from apps.booking.app import APP
from apps.booking.domain.hold import Reference
from apps.booking.domain.house import House, Person, Tier
from apps.booking.domain.payment import Card
from apps.booking.domain.refusals import Refusal
from apps.booking.domain.saga import State
from apps.booking.proof.invariants import ALL, KEPT, broken_money, broken_seats
from apps.booking.proof.watched import ForgetfulEvent, HastyEvent, WatchedEvent
from runtime import errors
from runtime.testing import Point, TestRuntime

BUYERS: Final = 1_000
AT_ONCE: Final = 25
ROWS, WIDTH = 10, 10
CRASHES: Final = 3
POINTS: Final[tuple[Point, ...]] = ("before_commit", "after_commit", "after_sync")
CARDS: Final = (*[Card.GOOD] * 8, *Card)
TRIES: Final = 4  # of somebody who hears nothing
SLUG: Final = "proof"
VARIANTS: Final[dict[str, type[WatchedEvent]]] = {
    "sound": WatchedEvent,
    "hasty": HastyEvent,
    "forgetful": ForgetfulEvent,
}
"""What is run: the app's own event, or one with a mistake that is easily made."""


@dataclass(slots=True)
class Course:
    """How far a run is, and what it has found."""

    seed: int
    variant: str
    buyers: int = 0
    crashes: int = 0
    free: int = ROWS * WIDTH
    held: int = 0
    sold: int = 0
    payments: int = 0
    """That succeeded and weren't given back."""
    checks: int = 0
    """How often all invariants were looked at."""
    broken: dict[str, str] = field(default_factory=dict)
    """Those that didn't hold, with what was found first."""
    is_done: bool = False


class Run:
    """A run of the simulator.

    Args:
        report: Is told how far it is, again and again.
        buyers: How many there are.
    """

    def __init__(
        self,
        seed: int,
        variant: str,
        report: Callable[[Course], None],
        *,
        buyers: int = BUYERS,
    ) -> None:
        self.course = Course(seed, variant)
        self._buyers = buyers
        self._looks = 0
        self._random = Random(f"{seed}")
        self._report = report
        self._promised: dict[int, Reference] = {}

    async def go(self) -> Course:
        """Let everybody buy, and look at the books all the while."""
        bindings = {**APP.bindings, "events": VARIANTS[self.course.variant]}
        waves = range(self._buyers // AT_ONCE)
        dying = set(self._random.sample(waves[1:-1], CRASHES))
        async with TestRuntime(bindings=bindings) as runtime:
            tiers = (Tier("Standard", 0, ROWS - 1, 500),)
            owner = Person("owner", "Owner")
            await _event(runtime).open(House(SLUG, "Proof", ROWS, WIDTH, owner, 0.0, tiers=tiers))
            for wave in waves:
                crash = runtime.crash_at(self._random.choice(POINTS)) if wave in dying else None
                people = range(wave * AT_ONCE, (wave + 1) * AT_ONCE)
                buying = asyncio.gather(*(self._buy(runtime, number) for number in people))
                while not buying.done():  # time goes by for whoever waits for it
                    await runtime.clock.advance(0.05)
                await buying
                if crash is not None:
                    await self._make_sure_of(runtime, crash)
                self.course.buyers += AT_ONCE
                await runtime.clock.advance(self._random.uniform(5, 60))
                await self._look(runtime, is_final=False)
            for _ in range(3):
                await runtime.clock.advance(1200)
            await self._look(runtime, is_final=True)
        self.course.is_done = True
        self._report(self.course)
        return self.course

    async def _buy(self, runtime: TestRuntime[Any], number: int) -> None:
        random = Random(f"{self.course.seed}/{number}")
        person = Person(str(number), f"Buyer {number}")
        seats = tuple(random.sample(range(ROWS * WIDTH), random.randint(1, 2)))
        names = tuple(f"{chr(65 + seat // WIDTH)}{seat % WIDTH + 1}" for seat in seats)
        best = 0 if random.random() < 0.6 else len(seats)
        event = _event(runtime)
        try:
            sale = await _again(lambda: event.hold(person, () if best else names, best))
            if sale is None or random.random() < 0.1:  # closes the page, and says nothing
                return
            reference, card = Reference.read(sale.id), random.choice(CARDS)
            paid = await _again(lambda: event.confirm(person, reference, "key", card, None))
        except Refusal:
            return
        if paid is not None and not paid.declined and paid.sale.state is State.CONFIRMED:
            self._promised[reference.number] = reference

    async def _make_sure_of(self, runtime: TestRuntime[Any], crash: asyncio.Future[None]) -> None:
        """Die now, if nobody has come to the point where that was to be."""
        if not crash.done() and runtime.is_to_crash:
            with suppress(errors.DurableObjectError):
                await _event(runtime).change(Person("owner", "Owner"), {"title": "Again"})
        await crash
        self.course.crashes += 1

    async def _look(self, runtime: TestRuntime[Any], *, is_final: bool) -> None:
        """Look at the books, and report."""
        event = _event(runtime)
        _, states = await event.plan()
        ledger, seats = await event.ledger(), await event.taken()
        charges = await runtime.env.payments.get_by_name(SLUG).books()
        broken = broken_seats(ledger, seats, states)
        broken |= broken_money(ledger, charges, SLUG, is_final=is_final)
        sold = {hold.number for hold in ledger if hold.state is State.CONFIRMED}
        if lost := [number for number in self._promised if number not in sold]:
            broken[KEPT] = f"order {lost[0]} was confirmed, and isn't there"
        course = self.course
        seen, found = await event.watched()
        course.broken = found | broken | course.broken  # what was found first stays
        course.free, course.held, course.sold = map(states.count, "fhs")
        kept = (charge for charge in charges if charge.state == "succeeded")
        course.payments = sum(charge.amount > charge.refunded for charge in kept)
        self._looks += len(ALL)
        course.checks = seen + self._looks
        self._report(course)


def _event(runtime: TestRuntime[Any]) -> WatchedEvent:
    event: WatchedEvent = runtime.env.events.get_by_name(SLUG)
    return event


async def _again(call: Callable[[], Any]) -> Any:
    """Ask until there is an answer; None if there is none."""
    for _ in range(TRIES):
        try:
            return await call()
        except errors.DurableObjectError:
            await asyncio.sleep(0)
    return None
