"""A node in a process of its own, to be started, loaded and killed:
``python -m benchmarks.node COMMAND FOLDER``. What it has measured it prints as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import uvloop

from benchmarks.server import Ledger
from runtime import AlarmInvocation, Runtime, RuntimeConfig

CALLERS = 64
OBJECTS = 1000
ENTRIES = 100_000
SECONDS = 3.0


class Bell(Ledger):
    """A ledger that can be rung."""

    rung: ClassVar[int] = 0

    async def set(self, when: float) -> None:
        await self.add("an alarm")
        await self.ctx.storage.set_alarm(when)

    async def count(self) -> int:
        return int(self.ctx.storage.sql.exec("SELECT count(*) AS n FROM entries").one()["n"])

    async def alarm(self, invocation: AlarmInvocation) -> None:
        Bell.rung += 1


def node(folder: Path) -> Runtime[Any]:
    """Return a node that forgets nothing of its journal by itself."""
    config = RuntimeConfig(data=folder, idle_seconds=3600, journal_segment_bytes=1 << 40)
    return Runtime(config, bindings={"bells": Bell})


async def fill(folder: Path) -> None:
    """Have `ENTRIES` in the journal, and wait to be killed."""
    async with node(folder) as runtime:
        bells = [runtime.env.bells.get_by_name(str(number)) for number in range(OBJECTS)]
        for _ in range(ENTRIES // OBJECTS):
            await asyncio.gather(*(bell.add("some text") for bell in bells))
        say({"entries": ENTRIES})
        await asyncio.Event().wait()


async def start(folder: Path) -> None:
    """Start and stop, before any alarm can ring."""
    begun = perf_counter()
    async with node(folder):
        say({"start": perf_counter() - begun})


async def use(folder: Path, overdue: int) -> None:
    """Start, wait for the alarms that are overdue, then read and write."""
    begun = perf_counter()
    async with node(folder) as runtime:
        bells = [runtime.env.bells.get_by_name(str(number)) for number in range(OBJECTS)]
        await bells[0].add("some text")
        first = perf_counter() - begun
        while Bell.rung < overdue:  # noqa: ASYNC110  # nothing tells, and nothing is measured
            await asyncio.sleep(0.01)
        rung = perf_counter() - begun
        for bell in bells:
            await bell.add("some text")
        reads = await per_second([bell.count for bell in bells])
        syncs = count_syncs()
        writes = await per_second([partial(bell.add, "some text") for bell in bells])
        answers = writes * SECONDS / max(1, len(syncs))
    say({"first": first, "rung": rung, "reads": reads, "writes": writes, "answers": answers})


async def per_second(calls: list[Callable[[], Awaitable[object]]]) -> float:
    """Make calls, so many at a time, and return how many were answered in a second."""
    answered, until = 0, perf_counter() + SECONDS
    upcoming = cycle(calls)

    async def caller() -> None:
        nonlocal answered
        while perf_counter() < until:
            await next(upcoming)()
            answered += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return answered / SECONDS


def count_syncs() -> list[int]:
    """Return a list that gets longer with every ``fdatasync``."""
    syncs: list[int] = []
    really = os.fdatasync

    def sync(descriptor: Any) -> None:
        syncs.append(descriptor)
        really(descriptor)

    os.fdatasync = sync  # type: ignore[assignment]  # it takes files as well
    return syncs


def say(figures: dict[str, float]) -> None:
    print(json.dumps(figures), flush=True)


COMMANDS: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
    "fill": fill,
    "start": start,
    "use": use,
}

if __name__ == "__main__":
    uvloop.run(COMMANDS[sys.argv[1]](Path(sys.argv[2]), *map(int, sys.argv[3:])))
