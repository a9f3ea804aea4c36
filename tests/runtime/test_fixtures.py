"""What pytest gives the tests of a project that copies us: run as there, by a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

CONFTEST = """
import pytest
from runtime import DurableObject

pytest_plugins = ["runtime.fixtures"]


class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.calls = 0

    async def count(self):
        self.calls += 1
        stored = (await self.ctx.storage.get("count") or 0) + 1
        await self.ctx.storage.put("count", stored)
        return self.calls, stored

    async def ring_in(self, seconds):
        from datetime import timedelta
        await self.ctx.storage.set_alarm(timedelta(seconds=seconds))

    async def alarm(self, invocation):
        await self.count()
"""
BINDINGS = """

@pytest.fixture
def durable_objects():
    return {"counters": Counter}
"""
TESTS = """
async def test_counts_what_is_stored(runtime):
    counter = runtime.env.counters.get_by_name("a")
    await counter.count()
    assert (await counter.count())[1] == 2


async def test_each_test_has_a_world_of_its_own(runtime):
    assert (await runtime.env.counters.get_by_name("a").count())[1] == 1


async def test_counts_in_memory(runtime):
    counter = runtime.env.counters.get_by_name("a")
    await counter.count()
    assert (await counter.count())[0] == 2


async def test_the_clock_rings_alarms(runtime, clock):
    counter = runtime.env.counters.get_by_name("a")
    await counter.ring_in(60)
    await clock.advance(60)
    assert (await counter.count())[1] == 2
"""


def run(folder: Path, conftest: str, *options: str) -> str:
    """Run the tests of a project, and return what pytest says."""
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_counters.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTEST_ADDOPTS", None)
    plugins = ["--disable-plugin-autoload", "-p", "pytest_asyncio.plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("options", "summary"),
    [([], "4 passed"), (["--evicting"], "1 failed, 3 passed")],
)
def test_each_test_gets_a_runtime_and_its_clock(
    folder: Path, options: list[str], summary: str
) -> None:
    said = run(folder, CONFTEST + BINDINGS, *options)

    assert summary in said
    assert ("FAILED test_counters.py::test_counts_in_memory" in said) is bool(options)


def test_a_project_that_hasnt_said_what_its_objects_are_is_told_how(folder: Path) -> None:
    said = run(folder, CONFTEST)

    assert "define a fixture `durable_objects`" in said
    assert "4 errors" in said
