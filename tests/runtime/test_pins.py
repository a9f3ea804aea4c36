"""What keeps the journal's segments for a backup, and what doesn't."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from runtime import DurableObject
from runtime.journal import SEGMENTS
from runtime.pins import PIN, Pin, break_pins, unless_pinned
from runtime.testing import TestRuntime


class Log(DurableObject[object]):
    """Writes something down."""

    async def add(self, filling: int) -> None:
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS log (filling)")
        sql.exec("INSERT INTO log VALUES (zeroblob(?))", filling)


async def fill(runtime: TestRuntime[Any], segments: int) -> list[int]:
    """Write until so many segments have been begun, and return those that are there."""
    goal = runtime.host.journal.position + segments
    while runtime.host.journal.position < goal:
        log = runtime.env.logs.get_by_name("a")
        await log.add(3000)
        await runtime.evict_durable_object(log)  # so no database needs them
    return sorted(int(path.stem) for path in runtime.config.data.glob("journal/*.journal"))


async def test_segments_are_kept_while_there_is_a_pin_and_dropped_afterwards(folder: Path) -> None:
    runtime = TestRuntime(bindings={"logs": Log}, data=folder, journal_segment_bytes=10_000)
    async with runtime:
        without = await fill(runtime, 3)
        with Pin(folder), Pin(folder):
            pinned = await fill(runtime, 3)
        afterwards = await fill(runtime, 1)

    assert len(without) <= 2
    assert len(pinned) >= 4
    assert len(afterwards) <= 2


async def test_databases_are_settled_while_there_is_a_pin(folder: Path) -> None:
    """Or the journal would stay as long as it has become."""
    runtime = TestRuntime(bindings={"logs": Log}, data=folder, journal_segment_bytes=10_000)
    async with runtime:
        with Pin(folder):
            await fill(runtime, 2)
            while runtime.host.journal.position < 2 * SEGMENTS:
                await runtime.env.logs.get_by_name("b").add(3000)
            await runtime.settle()
        afterwards = await fill(runtime, 1)

    assert len(afterwards) < SEGMENTS


async def test_a_node_that_stops_keeps_its_journal_while_there_is_a_pin(folder: Path) -> None:
    runtime = TestRuntime(bindings={"logs": Log}, data=folder)
    async with runtime:
        await runtime.env.logs.get_by_name("a").add(1)
        with Pin(folder) as pin:
            await runtime.host.drain()
            await runtime._close()
            kept = list(folder.glob("journal/*.journal"))
            held = pin.holds
            await runtime._open()
            after = pin.holds

    assert kept
    assert (held, after) == (True, False)


def test_there_is_no_new_pin_while_a_node_starts(folder: Path) -> None:
    taken: list[bool] = []

    def take() -> None:
        with Pin(folder) as pin:
            taken.append(pin.holds)

    thread = threading.Thread(target=take)
    with Pin(folder) as old:
        starting = break_pins(folder)
        thread.start()
        thread.join(0.05)
        during = (old.holds, taken.copy())
        os.close(starting)
    thread.join()

    assert during == (False, [])
    assert taken == [True]


def test_what_cant_be_found_out_counts_as_a_pin(folder: Path) -> None:
    (folder / PIN).mkdir()

    with unless_pinned(folder) as may_delete:
        assert not may_delete
