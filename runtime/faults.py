"""What goes wrong on purpose, in tests: a disk that refuses or is slow, a process that dies.

A process dies at a *point*: a place in the travel of a write, or in what an object does beside
it, at which an end is worth a test. Nothing here is a copy of what the runtime does: a `Faults`
stands between it and its disk, and at its commits, and lets the real thing go on or not.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from runtime.activation import Activation
from runtime.catalog import Catalog
from runtime.checkpoints import PAGES
from runtime.clock import Clock, ManualClock, span_of
from runtime.config import RuntimeConfig
from runtime.connection import SERVICE_RESTART, Traffic
from runtime.histories import Histories
from runtime.host import Host
from runtime.namespace import Call
from runtime.prompt import PromptSyncer
from runtime.pump import Pump
from runtime.resident import Event, Refuse, Resident
from runtime.tasks import current

Point: TypeAlias = Literal[
    "before_commit", "after_commit", "after_sync", "during_broadcast", "during_alarm"
]
"""Where a process can be made to die.

- ``before_commit``: a step has written, and nothing of it is committed.
- ``after_commit``: committed, and not yet durable.
- ``after_sync``: durable, and nobody has been told.
- ``during_broadcast``: some sockets have got it, the others haven't.
- ``during_alarm``: an alarm's handler has run a step; what that wrote isn't committed.
"""

POINTS: Final = cast(tuple[Point, ...], get_args(Point))

Done = Callable[[Exception | None], object]


class Faults:
    """What is to go wrong with a node, and when.

    Args:
        clock: What a slow disk goes by.
        die: Ends the process, at once.
        die_soon: Ends it in the loop's next turn, before anything that is asked for later.
    """

    def __init__(
        self, clock: Clock, die: Callable[[], object], die_soon: Callable[[], object]
    ) -> None:
        self.clock = clock
        self.point: Point | None = None
        """The next point to die at."""
        self.error: OSError | None = None
        """What the disk refuses writes with."""
        self.delay = 0.0
        """Seconds that the disk takes for a write."""
        self._die, self._die_soon = die, die_soon

    def arm(self, point: Point) -> None:
        """Die the next time that `point` is reached.

        Raises:
            ValueError: If there is no such point.
            RuntimeError: If it is to die at another one already.
        """
        if point not in POINTS:
            raise ValueError(f"there is no point {point!r}; choose one of {', '.join(POINTS)}")
        if self.point is not None:
            raise RuntimeError(
                f"the process is to die at {self.point!r}, and hasn't come there yet"
            )
        self.point = point

    def fires(self, *points: Point) -> bool:
        """Whether the process is to die at one of these points; that happens once."""
        if self.point not in points or self.point is None:
            return False
        self.point = None
        return True

    def fires_at_commit(self, task: str | None) -> bool:
        """End the process before a commit, if that is wanted. Returns whether it has ended."""
        fires = self.fires("before_commit") or (task == "alarm" and self.fires("during_alarm"))
        if fires:
            self._die()
        return fires

    def die_soon(self) -> None:
        """End the process in the loop's next turn."""
        self._die_soon()


class Disk:
    """The disk of a `TestRuntime`, and what is wrong with it. What it refuses is lost.

    It holds until `mend`, over a crash too.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def fill(self) -> None:
        """Let it be full: the journal is refused with ``ENOSPC``."""
        self._refuse(errno.ENOSPC)

    def fail(self) -> None:
        """Let it be broken: the journal is refused with ``EIO``."""
        self._refuse(errno.EIO)

    def slow(self, seconds: float | timedelta) -> None:
        """Let every sync of the journal take so long, by the test's clock.

        An object's first write takes two of them: one for its tables.

        Raises:
            ValueError: If that isn't a time that passes.
        """
        self._faults.delay = span_of(seconds)

    def mend(self) -> None:
        """Let it work again. What waits for a slow disk still does."""
        self._faults.error, self._faults.delay = None, 0.0

    def _refuse(self, number: int) -> None:
        self._faults.error = OSError(number, os.strerror(number))


class FaultySyncer(PromptSyncer):
    """A disk that may be as bad as a test wants it."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults
        self._is_over = False
        self.delayed = 0
        """How much work waits for the clock."""

    def run(self, work: Callable[[], None], done: Done, *, is_urgent: bool = False) -> None:
        faults = self._faults
        if not is_urgent:
            super().run(work, done)
        elif faults.fires("after_commit"):
            faults.die_soon()  # the work isn't begun, and nobody hears of it
        elif faults.delay:
            self.after(faults.delay, partial(self._run_now, work, done))
        else:
            self._run_now(work, done)

    def after(self, seconds: float, callback: Callable[[], object]) -> None:
        """Call `callback` once so much time has passed, by the test's clock, if it lives then."""
        self.delayed += 1

        def go_on() -> None:
            self.delayed -= 1
            if not self._is_over:
                callback()

        self._faults.clock.call_later(seconds, go_on)

    def shut_down(self) -> None:
        self._is_over = True
        super().shut_down()

    def _run_now(self, work: Callable[[], None], done: Done) -> None:
        super().run(self._as_it_is(work), partial(self._tell, done), is_urgent=True)

    def _as_it_is(self, work: Callable[[], None]) -> Callable[[], None]:
        def attempt() -> None:
            if self._faults.error is not None:
                raise self._faults.error
            work()

        return attempt

    def _tell(self, done: Done, error: Exception | None) -> None:
        if error is None and self._faults.fires("after_sync"):
            self._faults.die_soon()
        else:
            done(error)


class FaultyPump(Pump):
    """What leaves a node's sockets, until it dies in the middle of a broadcast."""

    def __init__(self, schedule: Callable[[Callable[[], object]], object], faults: Faults) -> None:
        super().__init__(schedule)
        self._faults = faults

    def take(self, cost: int, most: int = 1) -> int:
        if most > 1 and self._faults.fires("during_broadcast"):
            self._faults.die_soon()
            super().take(cost, most)
            return most // 2
        return super().take(cost, most)


class FaultyHost(Host):
    """A host that keeps calls back while the clock moves, evicts, and dies where it is told to.

    Args:
        syncer: Its disk.
        evicting: Evict an object before each of its events.
        hold_back: Takes the calls that come after its death, for the next process. A stub of a
            jurisdiction goes on bringing them here.

    Attributes:
        log_pages: How long an object's log gets, until its database takes that in.
    """

    clock: ManualClock
    log_pages = PAGES

    def __init__(
        self,
        config: RuntimeConfig,
        clock: ManualClock,
        catalog: Catalog,
        histories: Histories,
        faults: Faults,
        *,
        vfs: str | None,
        syncer: FaultySyncer,
        evicting: bool,
        hold_back: Callable[[Call], object],
    ) -> None:
        super().__init__(config, clock, catalog, syncer, histories, vfs=vfs)
        self.traffic = Traffic(FaultyPump(self.soon, faults))
        self._faults = faults
        self._syncer = syncer
        self._evicting = evicting
        self._hold_back = hold_back

    def route(self, call: Call) -> None:
        is_ours = call.caller is not None and cast(Any, call.caller).node is self
        if self.is_dead and not is_ours:
            self._hold_back(call)
        elif self.clock.is_moving and not call.is_from_object:
            self.clock.when_still(partial(super().route, call))
        else:
            super().route(call)

    @property
    def is_at_rest(self) -> bool:
        if not self._syncer.delayed:
            return super().is_at_rest
        # What waits for a slow disk, a database that is being closed perhaps, waits for the clock.
        return (
            not self._inbox
            and self._syncer.is_idle
            and self.traffic.pump.is_idle
            and self._catalog.is_idle
        )

    def disconnect(self, reason: str) -> None:
        """Close the sockets of all objects, those asleep included, which don't hear of it."""
        for resident in list(self._residents.values()):
            resident.sockets.disconnect(SERVICE_RESTART, reason)
            self.forget_if_idle(resident)

    def deliver(self, resident: Resident, event: Event, refuse: Refuse) -> None:
        life = resident.life
        can_go = life is not None and life.is_quiet and life.failure is None
        if self._evicting and can_go and not self.is_stepping:
            self.evict(cast(Activation, life))
        super().deliver(resident, event, refuse)

    def _wake(self, resident: Resident) -> Activation:
        life = super()._wake(resident)
        commit = life.disk._commit

        def unless_it_dies() -> None:
            task = current.get()
            if not (
                self.is_dead or self._faults.fires_at_commit(task.get_name() if task else None)
            ):
                commit()

        life.disk._commit = unless_it_dies  # type: ignore[method-assign]
        life.disk._checkpoints.limit(self.log_pages)
        return life
