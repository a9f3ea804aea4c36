"""Fixtures for pytest: a world of its own for each test, and its clock.

::

    # conftest.py
    pytest_plugins = ["runtime.fixtures"]

    @pytest.fixture
    def durable_objects():
        return {"rooms": ChatRoom}

    # test_rooms.py
    async def test_a_room_is_closed_after_a_day(runtime, clock):
        room = runtime.env.rooms.get_by_name("tea")
        await room.open()
        await clock.advance(timedelta(days=1))
        assert await room.is_closed()

It takes pytest-asyncio. With ``pytest --evicting`` every object is evicted before each of its
events, and whatever a class keeps in memory only is lost: a suite should pass with and without.
Only this file imports pytest.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from runtime.clock import ManualClock
from runtime.worlds import TestRuntime


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--evicting`."""
    parser.addoption(
        "--evicting",
        action="store_true",
        help="evict each durable object before each of its events, in tests that use `runtime`",
    )


def pytest_collection_finish() -> None:
    """Have the garbage collector look at what tests make, not at thousands of tests each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def durable_objects() -> Mapping[str, type]:
    """The class of each binding. To be overridden: a project has its own."""
    return pytest.fail(
        "define a fixture `durable_objects`, in conftest.py for instance, that returns the class "
        'of each binding, such as {"rooms": ChatRoom}',
        pytrace=False,
    )


@pytest.fixture
def durable_object_env() -> Callable[..., Any]:
    """What makes ``env`` of the namespaces. To be overridden, if the objects expect another."""
    return SimpleNamespace


@pytest_asyncio.fixture
async def runtime(
    request: pytest.FixtureRequest,
    durable_objects: Mapping[str, type],
    durable_object_env: Callable[..., Any],
) -> AsyncIterator[TestRuntime[Any]]:
    """A runtime with these classes, in a folder of its own, whose clock stands still."""
    evicting = bool(request.config.getoption("--evicting"))
    async with TestRuntime(
        bindings=durable_objects, env=durable_object_env, evicting=evicting
    ) as started:
        yield started


@pytest.fixture
def clock(runtime: TestRuntime[Any]) -> ManualClock:
    """Its clock: ``await clock.advance(60)``."""
    return runtime.clock
