"""How many requests a server answers in a second: W1, W2."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable

from benchmarks.load import load
from benchmarks.results import Result

CONNECTIONS = 64
OBJECTS = 1000
PATIENCE_SECONDS = 20


async def w1(rounds: int, seconds: float, step: Callable[[], object]) -> list[Result]:
    """Read: ``GET`` -> RPC, no write, beside the same server's plain "hello"."""
    ours, theirs = await compare("GET", named("/counters"), ["/hello"], rounds, seconds, step)
    return [Result("W1", f"GET to one of {OBJECTS:,} objects", "1/s", ours, "GET /hello", theirs)]


async def w2(rounds: int, seconds: float, step: Callable[[], object]) -> list[Result]:
    """Durable write: ``POST`` -> RPC -> SQL -> sync, beside one SQLite file and locks."""
    return [await writes("W2", f"one of {OBJECTS:,} objects", OBJECTS, rounds, seconds, step)]


async def w2_one(rounds: int, seconds: float, step: Callable[[], object]) -> list[Result]:
    """The same, with a single object that all connections write to."""
    return [await writes("W2-ONE", "one object", 1, rounds, seconds, step)]


async def writes(
    workload: str,
    target: str,
    objects: int,
    rounds: int,
    seconds: float,
    step: Callable[[], object],
) -> Result:
    """Measure durable writes to so many objects."""
    paths = named("/ledgers", objects), named("/plain", objects)
    ours, theirs = await compare("POST", *paths, rounds, seconds, step)
    what = f"POST to {target}, durable"
    return Result(workload, what, "1/s", ours, "one SQLite file", theirs)


def named(path: str, objects: int = OBJECTS) -> list[str]:
    """Return where the objects of a kind are."""
    return [f"{path}/{number}" for number in range(objects)]


async def compare(
    method: str,
    ours: list[str],
    theirs: list[str],
    rounds: int,
    seconds: float,
    step: Callable[[], object],
) -> tuple[float, float]:
    """Ask for both in turn, and return how many of each were answered in a second."""
    figures: tuple[list[float], list[float]] = ([], [])
    async with serving() as port:
        for paths in (ours, theirs):
            await wake(port, method, paths)
        for _ in range(rounds):
            for paths, found in zip((theirs, ours), reversed(figures), strict=True):
                result = await load(
                    port, paths, method=method, connections=CONNECTIONS, seconds=seconds
                )
                found.append(result.per_second)
                step()
    return statistics.median(figures[0]), statistics.median(figures[1])


async def wake(port: int, method: str, paths: list[str]) -> None:
    """Ask for everything once, so that all objects are in memory."""
    answered = 0
    while answered < len(paths):
        rest = paths[answered:]
        result = await load(port, rest, method=method, connections=CONNECTIONS, seconds=0.5)
        answered += max(0, result.answered - CONNECTIONS)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """Run the server in a process of its own, and give its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as data:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.server", str(port), data
        )
        keep_apart(process.pid)
        try:
            await reachable(port)
            yield port
        finally:
            process.terminate()
            await process.wait()


def keep_apart(server: int) -> None:
    """Give the server one core, and us the others, where there is more than one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(server, {cores[0]})
        os.sched_setaffinity(0, set(cores[1:]))


async def reachable(port: int) -> None:
    """Return once the server answers."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
