"""How many requests a server answers in a second: W1, W2."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from benchmarks.load import load
from benchmarks.processes import serving
from benchmarks.results import Result

CONNECTIONS = 64
OBJECTS = 1000


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
    async with serving("benchmarks.server") as server:
        port = server.port
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
