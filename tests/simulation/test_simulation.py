"""What a seed brings about, and that what is wrong is found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence

import pytest

from runtime.chaos import KINDS
from runtime.checkers import Operation, Violation
from runtime.testing import Client, Scenario, SimulationFailed, simulate
from tests.simulation.__main__ import BROKEN, ENOUGH, EVERY, SOUND
from tests.simulation.bells import Waking

SEEDS = 12
SHOW = "from tests.simulation.test_simulation import history; print(history(range(5)))"


def history(seeds: Sequence[int]) -> str:
    """Return what happens with some seeds, in all that is sound."""
    return "\n".join(str(simulate(cls, seed)) for cls in SOUND.values() for seed in seeds)


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_in_what_is_sound(name: str) -> None:
    for seed in range(SEEDS):
        simulate(SOUND[name], seed)


@pytest.mark.parametrize("name", BROKEN)
def test_something_is_found_in_whatever_is_broken(name: str) -> None:
    for seed in range(ENOUGH):
        try:
            simulate(BROKEN[name], seed, tries=0)
        except SimulationFailed:
            return
    pytest.fail(f"{name} isn't found out")


def test_a_seed_is_the_same_run_in_any_process() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", SHOW],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in "12"
    }

    assert found == {f"{history(range(5))}\n"}


def test_other_seeds_are_other_runs() -> None:
    runs = {str(simulate(EVERY["Registering"], seed)) for seed in range(SEEDS)}

    assert len(runs) == SEEDS


def test_everything_goes_wrong_that_can() -> None:
    faults = Counter(
        fault.kind for seed in range(30) for fault in simulate(EVERY["Registering"], seed).faults
    )

    assert set(faults) == set(KINDS)


def test_a_failure_says_how_to_have_it_again_and_its_shortest_history_fails_too() -> None:
    failing = next(seed for seed in range(ENOUGH) if fails("PlayingHastily", seed))
    with pytest.raises(SimulationFailed) as first:
        simulate(EVERY["PlayingHastily"], failing)
    report = first.value.report
    only = " ".join(report.labels)

    assert f'simulate(PlayingHastily, {failing}, only="{only}")' in str(first.value)
    assert str(report) in str(first.value)
    with pytest.raises(SimulationFailed) as again:
        simulate(EVERY["PlayingHastily"], failing, only=only, tries=0)
    assert str(again.value.report) == str(report)
    assert len(report.labels) < 8


def fails(name: str, seed: int) -> bool:
    """Whether a scenario fails with a seed."""
    try:
        simulate(EVERY[name], seed, tries=0)
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


@pytest.mark.parametrize(
    ("scenario", "why"),
    [(Wrong, "LookupError: no such thing"), (Disappointed, "the moon isn't made of cheese")],
)
def test_a_failure_says_why(scenario: type[Scenario], why: str) -> None:
    with pytest.raises(SimulationFailed, match=why) as failed:
        simulate(scenario, 1)

    assert f"{scenario.__name__} fails with seed 1" in str(failed.value)
