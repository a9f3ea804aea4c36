"""What Python's garbage collector looks through while a node serves."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from runtime.clock import SystemClock
from runtime.garbage import NEVER, NEW, SURVIVING, Collector
from runtime.uvicorn_ws import Server


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """One that is at work."""
    collector = Collector()
    collector.start()
    yield collector
    collector.stop()


class Node:
    """Refers to itself, so that counting references never finds it to be garbage."""

    def __init__(self) -> None:
        self.me = self


def many(count: int) -> list[list[None]]:
    """Return as many objects, which may be garbage one day."""
    return [[] for _ in range(count)]


async def test_what_has_survived_is_not_looked_through_again(collector: Collector) -> None:
    before = gc.get_freeze_count()

    kept = many(NEW * (SURVIVING + 3))

    assert gc.get_freeze_count() - before > NEW * SURVIVING
    assert len(gc.get_objects()) < NEW * (SURVIVING + 2)
    assert len(kept) == NEW * (SURVIVING + 3)


async def test_new_garbage_is_found_at_once(collector: Collector) -> None:
    garbage = weakref.ref(Node())
    assert garbage() is not None

    kept = many(2 * NEW)

    assert garbage() is None
    assert kept


async def test_old_garbage_is_found_when_there_is_twice_as_much_as_before(
    collector: Collector,
) -> None:
    node = Node()
    garbage = weakref.ref(node)
    kept = many(NEW * (SURVIVING + 3))
    del node
    await asyncio.sleep(0)
    assert garbage() is not None, "it was set aside"

    kept += many(gc.get_freeze_count() + 10 * NEW)
    await asyncio.sleep(0)

    assert garbage() is None


async def test_old_garbage_is_not_looked_for_while_something_is_due(collector: Collector) -> None:
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


async def test_afterwards_python_does_as_it_always_has() -> None:
    before, callbacks = gc.get_threshold(), list(gc.callbacks)

    collector = Collector()
    collector.start()
    during = gc.get_threshold()
    collector.stop()

    assert during != before
    assert (gc.get_threshold(), gc.callbacks) == (before, callbacks)


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


def test_a_server_looks_for_garbage_where_the_process_is_its_own() -> None:
    config = uvicorn.Config(_nothing, port=0, lifespan="off", log_level="error")
    alone, guest = Glance(config), Glance(config)

    alone.run()
    asyncio.run(guest.serve())

    assert alone.is_looking
    assert not guest.is_looking
