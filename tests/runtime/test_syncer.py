"""The threads that wait for the disk."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from runtime.syncer import THREADS, Syncer

pytestmark = pytest.mark.usefixtures("debug_mode")

PATIENCE = 30.0


@pytest.fixture
async def syncer() -> Syncer:
    return Syncer()


async def test_work_is_done_on_another_thread_and_reported_on_the_loops(syncer: Syncer) -> None:
    threads: list[int] = []
    reported: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def done(error: Exception | None) -> None:
        threads.append(threading.get_ident())
        reported.set_result(error)

    syncer.run(lambda: threads.append(threading.get_ident()), done)
    assert not syncer.is_idle
    assert await asyncio.wait_for(reported, PATIENCE) is None

    worker, reporter = threads
    assert worker != reporter == threading.get_ident()
    assert syncer.is_idle


async def test_work_that_fails_is_reported_with_its_error(syncer: Syncer) -> None:
    reported: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    error = ValueError("why")

    def fail() -> None:
        raise error

    syncer.run(fail, reported.set_result)

    assert await asyncio.wait_for(reported, PATIENCE) is error
    assert syncer.is_idle


async def test_several_pieces_of_work_are_done_at_the_same_time(syncer: Syncer) -> None:
    """They wait for each other, so one after the other they would never end."""
    meeting = threading.Barrier(THREADS, timeout=PATIENCE)
    reports: list[Exception | None] = []
    everybody = asyncio.Event()

    def done(error: Exception | None) -> None:
        reports.append(error)
        if len(reports) == THREADS:
            everybody.set()

    def meet() -> None:
        meeting.wait()

    for _ in range(THREADS):
        syncer.run(meet, done)
    await asyncio.wait_for(everybody.wait(), PATIENCE)

    assert reports == [None] * THREADS


async def test_shutting_down_ends_after_the_work_that_was_given(syncer: Syncer) -> None:
    done: list[int] = []
    for number in range(3 * THREADS):
        syncer.run(partial(done.append, number), lambda error: None)

    syncer.shut_down()

    assert sorted(done) == list(range(3 * THREADS))
    await asyncio.sleep(0)  # the reports are still under way
    assert syncer.is_idle
