"""Clients and objects under a scheduler that goes by a seed, and everything that can go wrong.

One seed, one run: who does what and when, how long the network and the disk take, what is lost on
the way, when the process dies, all of that comes from the seed, and the time is the run's own. So
what has failed once fails again, and can be made smaller until it fits on a screen. The idea is
FoundationDB's (Zhou et al., "FoundationDB: A Distributed Unbundled Transactional Key Value Store",
2021, section 4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random, getstate, setstate
from random import seed as seed_random
from string import ascii_lowercase
from traceback import extract_tb
from typing import Any, Final

from runtime.awake import causes
from runtime.chaos import Fault, inflict, plan_faults
from runtime.clock import monotonic
from runtime.errors import DurableObjectError
from runtime.operations import Operation, Violation
from runtime.resting import RestingLoop
from runtime.scenario import KINDS, NETWORK_SECONDS, Client, Scenario
from runtime.seeded import START, SeededRuntime
from runtime.shrinking import shrink
from runtime.tasks import error_of, spawn_outside

THINK_SECONDS: Final = 0.04  # between a client's steps, on average
STEP_SECONDS: Final = 120.0  # after which clients that still take their steps count as stuck
CHECK_SECONDS: Final = 7200.0  # the same for what is done before and after
SHRINK_SECONDS: Final = 20.0  # of the machine's, in which a smaller failure is looked for
TRIES: Final = 150  # to make a failure smaller
MOST_MOVES: Final = 50_000  # of the clock, after which a run counts as endless


@dataclass(frozen=True, slots=True)
class Report:
    """What a run has come to.

    Attributes:
        seed: What it went by.
        history: What the clients have done and seen, in the order of their calls.
        faults: What went wrong.
        labels: What can be left out of it: steps such as ``a3``, and faults such as ``!1``.
        violation: What didn't hold, if something didn't.
    """

    seed: int
    history: Sequence[Operation]
    faults: Sequence[Fault]
    labels: Sequence[str]
    violation: Violation | None

    def __str__(self) -> str:
        told = [(op.called_at, number, str(op)) for number, op in enumerate(self.history)]
        told += [(fault.at, -1, f"!  {fault}") for fault in self.faults]
        if not told:
            return "  (nobody has called anything, and nothing has gone wrong)"
        return "\n".join(f"{moment:8.3f} s  {what}" for moment, _, what in sorted(told))


class SimulationFailed(Violation):
    """A run in which something didn't hold. Its text says what, in which history, and how to
    have it again.

    Attributes:
        report: The smallest run that was found.
    """

    def __init__(self, name: str, first: Report, smallest: Report) -> None:
        self.report = smallest
        only = " ".join(smallest.labels)
        super().__init__(
            f"{name} fails with seed {first.seed}.\n\n{smallest.violation}\n\n"
            f"The shortest history found, {len(smallest.labels)} of {len(first.labels)} steps and "
            f"faults:\n\n{smallest}\n\n"
            f'To see it again: simulate({name}, {first.seed}, only="{only}")'
        )


def simulate(
    scenario: type[Scenario],
    seed: int,
    *,
    only: str | None = None,
    tries: int = TRIES,
) -> Report:
    """Run a scenario as a seed has it, and see whether what must hold does.

    The same seed is the same run, on any machine: ``random`` goes by it too. What objects have from
    elsewhere (``uuid``, ``secrets``, ``new_unique_id``, threads) doesn't, and had better not
    matter. It can't be called while an event loop runs.

    Args:
        scenario: A class derived from `Scenario`.
        seed: Any number. It is another run with each.
        only: The steps and faults that are to happen, as a failure names them; all by default.
        tries: How many runs may be made to find a smaller one if it fails.

    Raises:
        SimulationFailed: If something doesn't hold, with the shortest history that shows the same:
            another that is found on the way, by another checker or at another line, doesn't count.
        ValueError: If the scenario has no such clients, steps or faults.
        TypeError: If that is no scenario.
        RuntimeError: If an event loop runs.
    """
    __tracebackhide__ = True
    _check(scenario)
    first = _run(scenario, seed, None if only is None else only.split())
    if first.violation is None:
        return first
    smallest, until = first, monotonic() + SHRINK_SECONDS
    kind = _kind_of(first.violation)

    def fails(labels: Sequence[str]) -> bool:
        nonlocal smallest
        if monotonic() > until:
            return False
        report = _run(scenario, seed, labels)
        is_the_same = report.violation is not None and _kind_of(report.violation) == kind
        if is_the_same:
            smallest = report
        return is_the_same

    shrink(first.labels, fails, tries=tries)
    name = getattr(scenario, "__name__", "the scenario")
    raise SimulationFailed(name, first, smallest) from first.violation


def _check(scenario: Any) -> None:
    name = getattr(scenario, "__name__", repr(scenario))
    if not (isinstance(scenario, type) and issubclass(scenario, Scenario)):
        raise TypeError(f"simulate() takes a class derived from Scenario, not {name}")
    if not getattr(scenario, "bindings", None):
        raise TypeError(f'{name} needs `bindings`: the class of each, as in {{"rooms": Room}}')
    if not 1 <= scenario.clients <= len(ascii_lowercase) or scenario.steps < 1:
        raise ValueError(f"{name} needs 1 to {len(ascii_lowercase)} clients, and a step or more")
    if unknown := [kind for kind in scenario.kinds if kind not in KINDS]:
        raise ValueError(f"{name} has {unknown[0]!r} in kinds; there are {', '.join(KINDS)}")
    if scenario.faults < 0 or (scenario.faults and not scenario.kinds):
        raise ValueError(f"{name} needs kinds of faults; for nothing to go wrong set faults = 0")
    if _is_in_a_loop():
        raise RuntimeError("simulate() runs a loop of its own: call it from a plain def, not async")


def _is_in_a_loop() -> bool:
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        return True
    return False


def _run(scenario: type[Scenario], seed: int, only: Collection[str] | None) -> Report:
    async def run() -> Report:
        seed_random(seed)  # what the runtime and objects draw by themselves
        runs = scenario()
        async with SeededRuntime(runs, seed) as runtime:
            return await _Run(runs, seed, runtime).report(only)

    before = getstate()
    try:
        # Without the loop's own checks: they take most of the time, and change nothing.
        with asyncio.Runner(debug=False, loop_factory=RestingLoop) as runner:
            return runner.run(run())
    finally:
        setstate(before)


class _Run:
    """One run of a scenario."""

    def __init__(self, scenario: Scenario, seed: int, runtime: SeededRuntime) -> None:
        self.scenario = scenario
        self.seed = seed
        self.runtime = runtime
        self.history: list[Operation] = []
        self._moves = 0
        self._since: dict[str, float] = {}
        """The steps that are being taken, and since when."""

        self.clock = runtime.clock
        self.env = runtime.env

    @property
    def now(self) -> float:
        """Seconds since it began."""
        return self.clock.time() - START

    async def report(self, only: Collection[str] | None) -> Report:
        scenario = self.scenario
        clients = [self._client(name) for name in ascii_lowercase[: scenario.clients]]
        steps = [f"{client.name}{number}" for client in clients for number in range(scenario.steps)]
        seconds = scenario.steps * (THINK_SECONDS + 4 * NETWORK_SECONDS)
        random = Random(f"{self.seed}/faults")
        faults = plan_faults(random, seconds, scenario.faults, scenario.kinds)
        if only is not None:
            steps = [label for label in steps if label in only]
            faults = [fault for fault in faults if fault.label in only]
            if unknown := set(only) - {*steps, *(fault.label for fault in faults)}:
                raise ValueError(f"this run has no step or fault {', '.join(sorted(unknown))}")
        self.runtime.may_lose_power = any(fault.kind == "power cut" for fault in faults)
        violation = None
        try:
            await self._drive(scenario.begin(self._client("begin", is_spared=True)))
            faults = [replace(fault, at=self.now + fault.at) for fault in faults]
            self._plan(faults, clients)
            await self._drive(self._act(clients, steps), STEP_SECONDS)
            self.runtime.calm_down()
            await self._drive(scenario.check(self._client("end", is_spared=True), self.history))
        except Violation as error:
            violation = error
        labels = [*steps, *(fault.label for fault in faults)]
        return Report(self.seed, self.history, faults, labels, violation)

    def _client(self, name: str, *, is_spared: bool = False) -> Client:
        return Client(name, self.scenario, self, is_spared=is_spared)

    def _plan(self, faults: Sequence[Fault], clients: Sequence[Client]) -> None:
        sockets = {client.name: client.sockets for client in clients}
        for fault in faults:
            self.clock.call_at(START + fault.at, partial(inflict, fault, self.runtime, sockets))

    async def _act(self, clients: Sequence[Client], steps: Collection[str]) -> None:
        await asyncio.gather(*(self._take(client, set(steps)) for client in clients))

    async def _take(self, client: Client, steps: Collection[str]) -> None:
        for number in range(self.scenario.steps):
            label = f"{client.name}{number}"
            # Of its own for each step, so that leaving one out changes nothing about the others.
            client.random = Random(f"{self.seed}/{label}")
            await client.sleep(client.random.expovariate(1 / THINK_SECONDS))
            if label in steps:
                self._since[label] = self.now
                await self.scenario.step(client)
                del self._since[label]

    async def _drive(self, work: Coroutine[Any, Any, None], seconds: float = CHECK_SECONDS) -> None:
        """Let time pass until some work is done: on to what is next, whenever all is at rest."""
        task = spawn_outside(work)
        limit = self.clock.time() + seconds
        await self._rest()
        while not task.done():
            self._moves += 1
            if self._moves > MOST_MOVES or not self.clock.skip(limit):
                task.cancel()
                raise Violation(self._stuck(seconds))
            await self._rest()
        error = error_of(task)
        if isinstance(error, Violation):
            raise error
        if error is not None:
            raise Violation(f"{type(error).__name__}: {error}{_place_of(error)}") from error

    async def _rest(self) -> None:
        try:
            await self.runtime.come_to_rest()
        except (OSError, DurableObjectError, RuntimeError) as error:
            raise Violation(f"the process can't go on: {error}") from error

    def _stuck(self, seconds: float) -> str:
        """Say who isn't done, and what their objects wait for."""
        steps = [f"step {label}, begun at {since:.3f} s" for label, since in self._since.items()]
        busy = [
            f"{life}: {cause}"
            for life in self.runtime.host.lives()
            if life.tasks
            for cause in causes(life, self.runtime.config.idle_seconds)
        ]
        end = f"after {seconds:g} s" if self._moves <= MOST_MOVES else f"{MOST_MOVES} timers later"
        lines = [f"not done {end}:", *(steps or ["begin() or check()"]), *busy]
        return "\n    ".join([*lines, "(clients wait by client.sleep(), not by asyncio.sleep())"])


def _kind_of(violation: Violation) -> Hashable:
    """Return what tells it from others: the stage of the run, the error, and who raised it where.

    What its operations and values are doesn't count, as they are others in a shorter history.
    """
    error = violation if _place_of(violation) else violation.__cause__ or violation
    stage, *_ = extract_tb(violation.__traceback__)  # the line of `report` that it came to
    raiser = [frame.name for frame in extract_tb(error.__traceback__)][-1:]  # a checker, perhaps
    return stage.lineno, type(error), tuple(raiser), _place_of(error)


def _place_of(error: BaseException) -> str:
    """Say where something was raised: in the last of the scenario's own lines, if it has one."""
    frames = extract_tb(error.__traceback__)
    frame = next((each for each in reversed(frames) if not _is_ours(each.filename)), None)
    return "" if frame is None else f", at {frame.filename}:{frame.lineno} in {frame.name}()"


def _is_ours(file: str) -> bool:
    return Path(file).parent == Path(__file__).parent
