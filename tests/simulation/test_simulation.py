"""What a seed brings about, and that what is wrong is found."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import pytest

from runtime import DurableObject
from runtime.activation import Activation
from runtime.catalog import Key
from runtime.checkers import Operation, Violation
from runtime.host import Host
from runtime.scenario import KINDS
from runtime.seeded import SeededSyncer
from runtime.testing import Client, Scenario, SimulationFailed, checkers, simulate
from tests.simulation.__main__ import BROKEN, ENOUGH, EVERY, SOUND
from tests.simulation.bells import Waking
from tests.simulation.registers import Registering

SEEDS = 2
AGAIN = 7  # which was the first that differed when callers failed in no order
SHOW = "from tests.simulation.test_simulation import AGAIN, history; print(history(AGAIN))"
FIRST = {
    "ChattingTwice": 3,
    "GamingAgainstForgetfulClocks": 5,
    "GamingAgainstHastyClocks": 5,
    "RushingForgetfully": 2,
    "RushingHopefully": 3,
}
"""Where something has been found, which makes the search short. It may have moved."""


def history(seed: int) -> str:
    """Return what happens with a seed, wherever much does."""
    names = ("Chatting", "Waking", "Selling", "Keeping", "Registering")
    return "\n".join(str(simulate(SOUND[name], seed)) for name in names)


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_in_what_is_sound(name: str) -> None:
    for seed in range(SEEDS):
        simulate(SOUND[name], seed)


@pytest.mark.parametrize("name", BROKEN)
def test_something_is_found_in_whatever_is_broken(name: str) -> None:
    seeds = (FIRST.get(name, 0), *range(ENOUGH))

    assert any(fails(BROKEN[name], seed) for seed in seeds), "it isn't found out"


def test_a_seed_is_the_same_run_in_any_process() -> None:
    found = subprocess.run(
        [sys.executable, "-c", SHOW],
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONASYNCIODEBUG": ""},
        capture_output=True,
        text=True,
    )

    assert found.returncode == 0, found.stderr
    assert found.stdout == f"{history(AGAIN)}\n"


def test_other_seeds_are_other_runs() -> None:
    runs = {str(simulate(EVERY["Registering"], seed)) for seed in range(SEEDS)}

    assert len(runs) == SEEDS


def test_everything_goes_wrong_that_can() -> None:
    faults = {fault.kind for fault in simulate(Unlucky, 0).faults}

    assert faults == set(KINDS)


class Unlucky(Registering):
    faults = 40


class InTheDark(Registering):
    """The power fails, and nothing else goes wrong."""

    kinds = ("power cut",)


class Startled(Waking):
    """Bells are reset, again and again, and nothing else goes wrong."""

    kinds = ("reset",)
    faults = 30


def said_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the disk say that something is durable when it is only written."""
    begin = SeededSyncer._begin

    def early(self: SeededSyncer, work: Any, done: Any, *, is_urgent: bool) -> Any:
        finish = begin(self, work, lambda error: None, is_urgent=is_urgent)
        self.after(0, partial(done, None))
        return finish

    monkeypatch.setattr(SeededSyncer, "_begin", early)


def tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an alarm count as done when its object is reset meanwhile."""
    rung = Host._rung

    def over(self: Host, life: Activation, key: Key, alarm: str | None) -> None:
        if life.failure is None:
            rung(self, life, key, alarm)
        else:
            self._ringer.rung(key, alarm)

    monkeypatch.setattr(Host, "_rung", over)


@pytest.mark.parametrize(("scenario", "broken"), [(InTheDark, said_early), (Startled, tried_once)])
def test_what_breaks_in_the_runtime_is_found(
    scenario: type[Scenario], broken: Callable[[pytest.MonkeyPatch], None]
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        broken(monkeypatch)
        found = next((seed for seed in range(ENOUGH) if fails(scenario, seed)), None)

    assert found is not None, "nothing is missed"
    assert not fails(scenario, found), "it fails without that"


def test_a_failure_says_how_to_have_it_again_and_its_shortest_history_fails_too() -> None:
    failing = next(seed for seed in range(ENOUGH) if fails(EVERY["PlayingHastily"], seed))
    with pytest.raises(SimulationFailed) as first:
        simulate(EVERY["PlayingHastily"], failing, tries=30)
    report = first.value.report
    only = " ".join(report.labels)

    assert f'simulate(PlayingHastily, {failing}, only="{only}")' in str(first.value)
    assert str(report) in str(first.value)
    with pytest.raises(SimulationFailed) as again:
        simulate(EVERY["PlayingHastily"], failing, only=only, tries=0)
    assert str(again.value.report) == str(report)
    assert len(report.labels) < 8


class Guestbook(DurableObject):
    async def sign(self, guest: str) -> None:
        guests = await self.guests()
        await asyncio.sleep(0.01)
        await self.ctx.storage.put("guests", [*guests, guest])  # whoever came meanwhile is lost

    async def guests(self) -> list[str]:
        guests: list[str] = await self.ctx.storage.get("guests", [])
        return guests


class Signing(Scenario):
    """Loses guests, and has a check that fails in another way where there are none."""

    bindings: ClassVar = {"books": Guestbook}
    faults = 0

    async def step(self, client: Client) -> None:
        book, guest = client.env.books.get_by_name("a"), f"{client.name}{client.random.random()}"
        await client.call("sign", guest, lambda: book.sign(guest))

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        guests = await client.env.books.get_by_name("a").guests()
        assert guests[-1] in {operation.value for operation in history}
        self.count(guests, history)

    def count(self, guests: list[str], history: Sequence[Operation]) -> None:
        checkers.exactly_once(history, guests, "sign")


class Greeting(Signing):
    """Looks at the same in two ways, of which the other fails where there are few."""

    def count(self, guests: list[str], history: Sequence[Operation]) -> None:
        if len(history) < 10:
            checkers.no_lost_acknowledgement(history, ["nobody"], "sign")
        super().count(guests, history)


class Rejecting(Signing):
    """Says itself what is wrong, of one cause at two places."""

    def count(self, guests: list[str], history: Sequence[Operation]) -> None:
        if len(history) < 10:
            raise Violation("nobody comes") from ValueError("few")
        raise Violation("everybody comes") from ValueError("many")


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        (Signing, "is there not at all"),
        (Greeting, "is there not at all"),
        (Rejecting, "everybody comes"),
    ],
)
def test_what_a_shorter_history_shows_is_what_was_found(scenario: type[Scenario], why: str) -> None:
    with pytest.raises(SimulationFailed, match=why) as failed:
        simulate(scenario, 1, tries=15)

    assert why in str(failed.value.report.violation)
    assert 1 < len(failed.value.report.labels) < 24


def fails(scenario: type[Scenario], seed: int) -> bool:
    """Whether a scenario fails with a seed."""
    try:
        simulate(scenario, seed, tries=0)
    except SimulationFailed:
        return True
    return False


class Wrong(Waking):
    """Its author has made a mistake."""

    async def step(self, client: Client) -> None:
        raise LookupError("no such thing")


class Disappointed(Waking):
    """What it expects isn't so."""

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        raise Violation("the moon isn't made of cheese")


class Patient(Waking):
    """Waits for what never comes."""

    async def step(self, client: Client) -> None:
        await asyncio.sleep(3600)


class Counter(DurableObject):
    async def count(self, ready: str) -> str:
        return await asyncio.to_thread(self._counted, ready)

    def _counted(self, ready: str) -> str:
        sum(range(100_000))  # which takes longer than all else that is under way
        return ready


class Counting(Scenario):
    """Has threads do something, which takes no time there."""

    bindings: ClassVar = {"counters": Counter}
    faults = 0

    async def step(self, client: Client) -> None:
        counter = client.env.counters.get_by_name("a")
        await client.call("count", "done", lambda: counter.count("done"))

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        assert "done" in {operation.result for operation in history}


def test_threads_are_waited_for() -> None:
    simulate(Counting, 1)


class Nobody(Waking):
    clients = 0


class Crowd(Waking):
    clients = 27


class Misspelt(Waking):
    kinds: ClassVar[Any] = ("evict", "evit")


class Kindless(Waking):
    kinds = ()


class Lucky(Kindless):
    faults = 0


def test_nothing_need_go_wrong() -> None:
    assert simulate(Lucky, 1).faults == []


class Unbound(Scenario):
    pass


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        (Wrong, rf"LookupError: no such thing, at {re.escape(__file__)}:\d+ in step\(\)"),
        (Disappointed, "the moon isn't made of cheese"),
        (Patient, r"not done after 120 s:\n    step \w\d, begun at .* s\n(.*\n)*.*client\.sleep"),
    ],
)
def test_a_failure_says_why(scenario: type[Scenario], why: str) -> None:
    with pytest.raises(SimulationFailed, match=why) as failed:
        simulate(scenario, 1, tries=3)

    assert f"{scenario.__name__} fails with seed 1" in str(failed.value)
    assert failed.value.__cause__ is not None


@pytest.mark.parametrize(
    ("scenario", "error", "why"),
    [
        (Nobody, ValueError, "needs 1 to 26 clients"),
        (Crowd, ValueError, "needs 1 to 26 clients"),
        (Misspelt, ValueError, "Misspelt has 'evit' in kinds; there are evict, reset, "),
        (Kindless, ValueError, "Kindless needs kinds of faults"),
        (Unbound, TypeError, "Unbound needs `bindings`"),
        (Waking(), TypeError, "a class derived from Scenario"),
    ],
)
def test_what_is_no_scenario_is_refused(scenario: Any, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        simulate(scenario, 1)


def test_steps_that_there_are_not_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^this run has no step or fault !99, z7$"):
        simulate(Waking, 1, only="a0 z7 !99")


async def test_it_runs_a_loop_of_its_own() -> None:
    with pytest.raises(RuntimeError, match="call it from a plain def"):
        simulate(Waking, 1)
