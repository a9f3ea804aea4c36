"""A runtime whose settings, disk and death go by a seed. For runs that can be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Final

from runtime.faults import Done, Faults, FaultyHost, FaultySyncer
from runtime.histories import Histories
from runtime.mortal import MortalRuntime
from runtime.power import Appended, Changed, tear_logs
from runtime.resting import RestingLoop
from runtime.scenario import Scenario
from runtime.settling import ROUNDS

START: Final = 1_700_000_000.0  # what the clock shows first
EVICTING: Final = 0.2  # the share of runs in which objects are evicted before each of their events
DEBUGGING: Final = 0.25  # the share of runs in development's settings, under a guard's eyes
IDLE_SECONDS: Final = (0.05, 1.0, 10.0)
HISTORY_DAYS: Final = (30, 30, 0)
SEGMENT_BYTES: Final = (1, 20_000, 16 * 1024 * 1024)  # one commit, some of them, or all
MOST_SEGMENTS: Final = (1, 4, 16)  # after which databases are to take in what the oldest one has
LOG_PAGES: Final = (4, 40, 1000)  # after which an object's database takes in its log
SYNC_SECONDS: Final = 0.003  # that the disk takes, on average


class SeededRuntime(MortalRuntime[Any]):
    """A runtime all of whose time comes from a seed, and which ends by dying. In a `RestingLoop`.

    Attributes:
        may_lose_power: Whether the power may fail. What is written is kept track of then.
    """

    _syncer: SeededSyncer
    may_lose_power = False

    def __init__(self, scenario: Scenario, seed: int) -> None:
        random = Random(f"{seed}/runtime")
        self._seed = seed
        self._power: Random | None = None
        """What says which part of the files a power cut leaves, until that is done."""
        super().__init__(
            bindings=scenario.bindings,
            env=type(scenario).env,
            evicting=random.random() < EVICTING,
            start=START,
            debug=random.random() < DEBUGGING,
            idle_seconds=random.choice(IDLE_SECONDS),
            history_days=random.choice(HISTORY_DAYS),
            journal_segment_bytes=random.choice(SEGMENT_BYTES),
        )
        self._most_segments = random.choice(MOST_SEGMENTS)
        self._log_pages = random.choice(LOG_PAGES)

    async def __aexit__(self, *error: object) -> None:
        self.calm_down()
        self._leave_timers()
        self._give_back()
        self.host.die()
        await self._catalog.abandon()
        self._disk.close()
        self._let_go()
        self.host.bury()
        self._clean_up()

    def calm_down(self) -> None:
        """Let nothing more go wrong."""
        self._faults.point = self._power = None
        self._syncer.is_to_die = False
        self.disk.mend()

    def cut_power(self, share: float) -> None:
        """End the process as soon as something is being written, and leave a part of that.

        Args:
            share: Which part: a number from 0 up to 1.
        """
        self._power = Random(f"{self._seed}/{share}")
        if self._syncer.is_writing:
            self.die()
        else:
            self._syncer.is_to_die = True

    async def _rest(self, rounds: int = ROUNDS) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, RestingLoop), "its time moves when that is at rest"
        await loop.rest()

    async def _open(self) -> None:
        if self._power is not None:
            self._syncer.tear(self._power)
            self._power = None
        await super()._open()

    def _make_host(self, histories: Histories) -> FaultyHost:
        host = super()._make_host(histories)
        host.log_pages = self._log_pages
        host.journal.most_segments = self._most_segments
        return host

    def _make_syncer(self) -> SeededSyncer:
        return SeededSyncer(self._faults, self._seed, self)


class SeededSyncer(FaultySyncer):
    """A disk without threads: how long it takes is the seed's, some milliseconds of the clock's.

    What it is given is done at the beginning of these, or at the end, and durable at the end.

    Args:
        node: What it is the disk of.

    Attributes:
        is_to_die: End the process when something is written that isn't durable yet.
    """

    def __init__(self, faults: Faults, seed: int, node: SeededRuntime) -> None:
        super().__init__(faults)
        self.is_to_die = False
        self._seed = seed
        self._node = node
        self._journal, self._objects = node.config.data / "journal", node.config.data / "objects"
        self._busy_until = 0.0
        self._unsure: dict[Appended | Changed, None] = {}
        """What is written, and may not be durable."""

    def run(self, work: Callable[[], None], done: Done, *, is_urgent: bool = False) -> None:
        if is_urgent and self._faults.fires("after_commit"):
            self._faults.die_soon()
            return
        now = self._faults.clock.time()
        # By the time, not in turn: so what others leave out changes nothing about it.
        random = Random(f"{self._seed}/{now}/{is_urgent}")
        end = now + random.expovariate(1 / SYNC_SECONDS)
        if is_urgent:  # then it keeps its order
            end = max(now, self._busy_until) + (self._faults.delay or end - now)
            self._busy_until = end
            work, done = self._as_it_is(work), partial(self._tell, done)
        finish: Callable[[], object]
        if random.random() < 0.5:
            finish = self._begin(work, done, is_urgent=is_urgent)
        else:
            finish = partial(_finish, partial(self.attempt, work), done)
        self.after(end - now, finish)

    @property
    def is_writing(self) -> bool:
        """Whether something is written that isn't durable yet."""
        return bool(self._unsure)

    def tear(self, random: Random) -> None:
        """Lose a part of what isn't durable. When nobody uses it any more."""
        for writes in self._unsure:
            writes.tear(random)
        tear_logs(self._objects, random)

    def _begin(
        self, work: Callable[[], None], done: Done, *, is_urgent: bool
    ) -> Callable[[], object]:
        """Do it, and return what tells that it is durable."""
        if not self._node.may_lose_power:
            return partial(done, self.attempt(work))
        writes = Appended(self._journal) if is_urgent else Changed(self._objects)
        error = self.attempt(work)
        if isinstance(writes, Changed):
            writes.end()
        if error is None:
            self._unsure[writes] = None
            if self.is_to_die:
                self.is_to_die = False
                self._faults.die_soon()

        def finish() -> None:
            self._unsure.pop(writes, None)
            done(error)

        return finish


def _finish(attempt: Callable[[], Exception | None], done: Done) -> None:
    done(attempt())
