"""What Python's garbage collector looks through while a node serves.

It is tried in a process that has little else in memory: all of that is looked through again and
again, and where these tests run there are thousands of others.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import weakref
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import pytest
import uvicorn

from runtime.clock import SystemClock
from runtime.garbage import NEVER, NEW, SURVIVING, Collector
from runtime.uvicorn_ws import Server

Trial: TypeAlias = Callable[[], Awaitable[None]] | Callable[[], None]


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Executor]:
    """A process with little else in memory."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        yield executor


def alone(trial: Trial) -> Callable[[Executor], None]:
    """Run a test elsewhere."""

    def test(elsewhere: Executor) -> None:
        elsewhere.submit(run, trial.__name__).result()

    test.trial = trial  # type: ignore[attr-defined]  # by which `run` finds it over there
    return test


def run(name: str) -> None:
    """Be the other process."""
    trial = globals()[name].trial
    if asyncio.iscoroutinefunction(trial):
        asyncio.run(trial())
    else:
        trial()


@contextmanager
def collecting() -> Iterator[None]:
    """Have a collector at work inside the block."""
    collector = Collector()
    collector.start()
    try:
        yield
    finally:
        collector.stop()


class Node:
    """Refers to itself, so that counting references never finds it to be garbage."""

    def __init__(self) -> None:
        self.me = self


def many(count: int) -> list[list[None]]:
    """Return as many objects, which may be garbage one day."""
    return [[] for _ in range(count)]


@alone
async def test_what_has_survived_is_not_looked_through_again() -> None:
    with collecting():
        before = gc.get_freeze_count()

        kept = many(NEW * (SURVIVING + 3))

        assert gc.get_freeze_count() - before > NEW * SURVIVING
        assert len(gc.get_objects()) < NEW * (SURVIVING + 2)
        assert len(kept) == NEW * (SURVIVING + 3)


@alone
async def test_new_garbage_is_found_at_once() -> None:
    with collecting():
        garbage = weakref.ref(Node())
        assert garbage() is not None

        kept = many(2 * NEW)

        assert garbage() is None
        assert kept


@alone
async def test_old_garbage_is_found_when_there_is_twice_as_much_as_before() -> None:
    with collecting():
        node = Node()
        garbage = weakref.ref(node)
        kept = many(NEW * (SURVIVING + 3))
        del node
        await asyncio.sleep(0)
        assert garbage() is not None, "it was set aside"

        kept += many(gc.get_freeze_count() + 10 * NEW)
        await asyncio.sleep(0)

        assert garbage() is None


@alone
async def test_old_garbage_is_not_looked_for_while_something_is_due() -> None:
    with collecting():
        clock, found = SystemClock(), asyncio.Event()
        node = Node()
        garbage = weakref.ref(node, lambda _: found.set())
        kept = many(NEW * (SURVIVING + 3))
        del node
        clock.call_at(clock.time(), lambda: None)

        kept += many(gc.get_freeze_count() + 10 * NEW)
        await asyncio.sleep(0)

        assert garbage() is not None
        await asyncio.wait_for(found.wait(), 10)
        assert garbage() is None


@alone
async def test_afterwards_python_does_as_it_was_told_before() -> None:
    gc.set_threshold(5_000, 20, 100)
    before, callbacks = gc.get_threshold(), list(gc.callbacks)

    collector = Collector()
    collector.start()
    during = gc.get_threshold()
    node = Node()
    garbage = weakref.ref(node)
    kept = many(NEW * (SURVIVING + 3))
    del node
    collector.stop()
    collector.stop()

    assert during != before
    assert (gc.get_threshold(), gc.callbacks) == (before, callbacks)
    gc.collect()
    assert garbage() is None, "nothing stays set aside"
    assert kept


@alone
async def test_what_was_still_to_be_done_isnt_done_afterwards() -> None:
    with collecting():
        kept = many(gc.get_freeze_count() + 10 * NEW)
    await asyncio.sleep(0)

    assert gc.get_freeze_count() == 0
    assert kept


@alone
async def test_no_object_has_a_part_in_what_others_leave_behind() -> None:
    mine, seen = ContextVar("mine", default=False), []

    class Will(Node):
        def __del__(self) -> None:
            seen.append(mine.get())

    with collecting():
        will = Will()
        kept = many(NEW * (SURVIVING + 3))
        del will
        mine.set(True)
        kept += many(gc.get_freeze_count() + 10 * NEW)
        await asyncio.sleep(0)

    assert seen == [False]
    assert kept


@alone
def test_a_loop_that_has_ended_wants_nothing_any_more() -> None:
    before = gc.get_threshold()

    async def begin() -> None:
        Collector().start()

    asyncio.run(begin())
    many(NEW * (SURVIVING + 3))

    assert gc.get_threshold() == before


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """Serve nothing."""


class Glance(Server):
    """Stops as soon as it serves, and knows whether it looks for garbage then."""

    is_looking = False

    async def main_loop(self) -> None:
        self.is_looking = gc.get_threshold() == (NEW, SURVIVING, NEVER)


@alone
def test_a_server_looks_for_garbage_where_the_process_is_its_own() -> None:
    config = uvicorn.Config(_nothing, port=0, lifespan="off", log_level="error")
    host, guest = Glance(config), Glance(config)

    host.run()
    asyncio.run(guest.serve())

    assert host.is_looking
    assert not guest.is_looking
