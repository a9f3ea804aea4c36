"""The game on one node: how exact its clocks are, how many moves it takes, what sleep costs."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil

from apps.game.app import APP
from apps.game.domain.clock import Control
from apps.game.domain.lobby import Wish
from benchmarks.processes import give_back, raise_file_limit
from benchmarks.results import Result, percentile
from runtime import Runtime, RuntimeConfig
from runtime.garbage import Collector

LIVE = 1000  # matches whose clocks run
DRAW = "441365675334466335442232661515577771217122"  # columns
PLAYERS = 64  # who move at the same time
LONG, DAILY = Control(3600.0), Control(0.0, days=7)
FLAGS = 100  # which fall while all that goes on
FLAG_SECONDS = 10.0  # after its second move the first of them runs out of time
FLAG_STEP_SECONDS = 0.1  # the next one so much later
PACE_SECONDS = 10.0  # between two moves of a match, while flags fall
ASLEEP = 2500  # matches whose memory is measured
ASLEEP_AT_ONCE = 500  # an allocator gives and takes by large pieces, so the median of these counts
IDLE_SECONDS = 0.25
PATIENCE_SECONDS = 60

Step = Callable[[], object]


async def matches(rounds: int, seconds: float, step: Step) -> list[Result]:
    """Moves with all matches live, flags among them, and matches that sleep."""
    raise_file_limit(4 * LIVE)
    asleep, moves = await _asleep(), []  # before there is anything else in memory
    step()
    async with _node(idle_seconds=3600) as node:
        collector = Collector()  # as in a server
        collector.start()
        live = await _many(node.env, "live", [LONG] * LIVE)
        for _ in range(rounds):
            moves.append(await _moves(live, seconds))
            step()
        async with asyncio.TaskGroup() as group:
            playing = [
                group.create_task(_play_slowly(live[n::PLAYERS], n / PLAYERS))
                for n in range(PLAYERS)
            ]
            late = await _flags(node.env)
            for task in playing:
                task.cancel()
        collector.stop()
        step()
    awake = f"{LIVE:,} live matches"
    return [
        Result(
            "MATCHES",
            f"durable moves, {awake}, {PLAYERS} at a time",
            "1/s",
            statistics.median(moves),
        ),
        Result("MATCHES", f"a flag after its time, {awake}, p50", "ms", percentile(late, 50)),
        Result("MATCHES", f"the same, p99 of {len(late)}", "ms", percentile(late, 99)),
        Result("MATCHES", "the same, the worst", "ms", max(late)),
        Result("MATCHES", f"memory of a match asleep, of {ASLEEP:,}", "KB", asleep),
    ]


class _Table:
    """A match of Connect Four that fills the board, and nobody wins."""

    def __init__(self, env: Any, id: str) -> None:
        self.match = env.matches.get_by_name(id)
        self.ply = 0

    async def move(self) -> None:
        """Make the next move; after the last one, look at the board."""
        who = ("ada", "bob")[self.ply % 2]
        if self.ply < len(DRAW) - 1:  # the last one would end it
            self.ply = (await self.match.move(who, self.ply, DRAW[self.ply])).ply


async def _many(env: Any, name: str, controls: list[Control]) -> list[_Table]:
    """Return matches that have begun, with these clocks."""
    tables: list[_Table] = []
    for first in range(0, len(controls), PLAYERS):
        some = enumerate(controls[first : first + PLAYERS], start=first)
        tables += await asyncio.gather(*(_begun(env, f"{name}-{n:06}", each) for n, each in some))
    return tables


async def _begun(env: Any, id: str, control: Control) -> _Table:
    table = _Table(env, id)
    await table.match.open("ada", "Ada", Wish("connect-four", control, "link", 0))
    await table.match.join("bob", "Bob", (await table.match.look("ada")).key)
    for _ in range(2):
        await table.move()
    return table


async def _moves(live: list[_Table], seconds: float) -> float:
    """Return how many moves were made in a second."""
    before, begun = sum(table.ply for table in live), perf_counter()

    async def play(tables: list[_Table]) -> None:
        while perf_counter() - begun < seconds:
            for table in tables:
                await table.move()

    await asyncio.gather(*(play(live[n::PLAYERS]) for n in range(PLAYERS)))
    return (sum(table.ply for table in live) - before) / (perf_counter() - begun)


async def _play_slowly(tables: list[_Table], phase: float) -> None:
    pause = PACE_SECONDS / len(tables)
    due = perf_counter() + phase * pause
    while True:
        for table in tables:
            # By the clock, not from move to move: people don't move in step, and once they have
            # all waited for the same thing, these would for ever.
            await asyncio.sleep(due - perf_counter())
            await table.move()
            due += pause


async def _flags(env: Any) -> list[float]:
    """Return how many milliseconds after their time flags have fallen."""
    times = [FLAG_SECONDS + number * FLAG_STEP_SECONDS for number in range(FLAGS)]
    tables = await _many(env, "flag", [Control(time) for time in times])
    await asyncio.sleep(times[-1] + 1)
    late = []
    for table, time in zip(tables, times, strict=True):
        *_, moved, ended = await table.match.log("")
        assert (moved.kind, ended.kind) == ("moved", "ended"), "they have run out of time"
        late.append((ended.at - moved.at - time) * 1000)  # a first move costs no time
    return late


async def _asleep() -> float:
    """Return what a match that sleeps takes of memory, in KB."""
    async with _node(idle_seconds=IDLE_SECONDS) as node:
        await _many(node.env, "warm", [DAILY] * ASLEEP_AT_ONCE)
        taken = [await _settled(node)]
        for begin in range(0, ASLEEP, ASLEEP_AT_ONCE):
            await _many(node.env, f"asleep-{begin}", [DAILY] * ASLEEP_AT_ONCE)
            taken.append(await _settled(node))
        return statistics.median(b - a for a, b in pairwise(taken)) / ASLEEP_AT_ONCE / 1024


async def _settled(node: Runtime[Any]) -> int:
    """Return how many bytes this process takes, once all its objects sleep."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while node.health.objects:  # noqa: ASYNC110  # it can't tell
            await asyncio.sleep(IDLE_SECONDS)
    await asyncio.sleep(IDLE_SECONDS)
    give_back()
    return int(psutil.Process().memory_full_info().uss)


@asynccontextmanager
async def _node(*, idle_seconds: float) -> AsyncIterator[Runtime[Any]]:
    with tempfile.TemporaryDirectory() as folder:
        config = RuntimeConfig(data=Path(folder), idle_seconds=idle_seconds)
        async with Runtime(config, bindings=APP.bindings) as runtime:
            yield runtime
