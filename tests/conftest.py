"""Fixtures for all tests. Nothing clever."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.catalog import Catalog
from runtime.prompt import PromptSyncer
from runtime.syncer import Syncer
from runtime.testing import TestRuntime

StartRuntime = Callable[..., Any]


def pytest_collection_finish() -> None:
    """Have the garbage collector look at what tests make, not at thousands of tests each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=[False, True], ids=["awake", "evicted"])
def evicting(request: pytest.FixtureRequest) -> bool:
    """Whether objects are evicted before each of their events: nobody may notice (I6)."""
    return bool(request.param)


@pytest.fixture
async def start_runtime(evicting: bool) -> AsyncIterator[StartRuntime]:
    """Start runtimes, each in a world of its own; every test runs twice, once with evictions."""
    async with AsyncExitStack() as stack:

        async def start(env: Any = SimpleNamespace, **bindings: type) -> TestRuntime[Any]:
            runtime = TestRuntime(bindings=bindings, env=env, evicting=evicting)
            return await stack.enter_async_context(runtime)

        yield start


@pytest.fixture
async def start_awake_runtime() -> AsyncIterator[StartRuntime]:
    """Start runtimes for tests that are about what is in memory."""
    async with AsyncExitStack() as stack:

        async def start(env: Any = SimpleNamespace, **bindings: type) -> TestRuntime[Any]:
            return await stack.enter_async_context(TestRuntime(bindings=bindings, env=env))

        yield start


@pytest.fixture(autouse=True)
async def no_task_is_left_behind() -> AsyncIterator[None]:
    """Fail a test that ends while something it has started still runs."""
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"still running: {left}"


@pytest.fixture
async def debug_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a `TestRuntime` use threads, as in life, and the loop refuse calls from a wrong one.

    It keeps a traceback of each future then, and a test takes three times as long. So it is for
    those of what threads have a part in. The rest of what it finds is an error anyway: coroutines
    that nobody awaits (warnings are errors), and tasks that are left behind.
    """
    monkeypatch.setattr(PromptSyncer, "run", Syncer.run)
    monkeypatch.setattr(TestRuntime, "_open_catalog", staticmethod(Catalog.open))
    asyncio.get_running_loop().set_debug(True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for one test's files."""
    return tmp_path
