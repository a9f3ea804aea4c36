"""``python -m benchmarks W1``: measure, and print both figures and their ratio."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import socket
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.load import load

CONNECTIONS = 64
OBJECTS = 1000
PATIENCE_SECONDS = 20
LIBRARIES = ("litestar", "uvicorn", "uvloop", "pydantic", "apsw")


@dataclass(frozen=True, slots=True)
class Result:
    """Two things measured in one run."""

    workload: str
    what: str
    ours: float
    """Requests answered in a second: the median of the rounds."""
    baseline: str
    theirs: float

    @property
    def ratio(self) -> float:
        """Ours divided by theirs."""
        return self.ours / self.theirs


async def w1(rounds: int, seconds: float, step: Callable[[], object]) -> Result:
    """Read: ``GET`` -> RPC, no write, beside the same server's plain "hello"."""
    ours, theirs = await compare("GET", named("/counters"), ["/hello"], rounds, seconds, step)
    return Result("W1", f"GET to one of {OBJECTS} objects", ours, "GET /hello", theirs)


async def w2(rounds: int, seconds: float, step: Callable[[], object]) -> Result:
    """Durable write: ``POST`` -> RPC -> SQL -> sync, beside one SQLite file and locks."""
    ours, theirs = await compare("POST", named("/ledgers"), named("/plain"), rounds, seconds, step)
    what = f"POST to one of {OBJECTS} objects, durable"
    return Result("W2", what, ours, "one SQLite file", theirs)


def named(path: str) -> list[str]:
    """Return where all objects of a kind are."""
    return [f"{path}/{number}" for number in range(OBJECTS)]


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


Workload = Callable[[int, float, Callable[[], object]], Coroutine[Any, Any, Result]]
WORKLOADS: dict[str, Workload] = {"W1": w1, "W2": w2}


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


def about(command: str) -> dict[str, str]:
    """Return what the figures depend on."""
    cpu = "unknown"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return {
        "command": command,
        "machine": f"{os.cpu_count()} cores, {cpu}, {platform.system()}",
        "versions": f"Python {platform.python_version()}, {libraries}",
    }


async def measure(names: list[str], rounds: int, seconds: float) -> list[Result]:
    """Run the workloads, with a progress bar where somebody watches."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True) as progress:
        total = len(names) * rounds * 2
        task = progress.add_task("measuring", total=total)
        return [
            await WORKLOADS[name](rounds, seconds, lambda: progress.advance(task)) for name in names
        ]


def show(results: list[Result], notes: dict[str, str]) -> None:
    """Print the figures as a table, and what they depend on."""
    table = Table("", "what", "ours, 1/s", "baseline", "theirs, 1/s", "ratio")
    for result in results:
        figures = (f"{result.ours:,.0f}", result.baseline, f"{result.theirs:,.0f}")
        table.add_row(result.workload, result.what, *figures, f"[bold]{result.ratio:.2f}[/bold]")
    console = Console()
    console.print(table)
    for name, note in notes.items():
        console.print(f"[dim]{name}:[/dim] {note}", highlight=False)


def main() -> int:
    """Measure what the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=5, help="of each, alternating [%(default)s]")
    parser.add_argument("--seconds", type=float, default=3, help="for a round [%(default)s]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    names = [name.upper() for given in arguments.workloads for name in given.split(",")]
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there is {', '.join(WORKLOADS)}")
    results = uvloop.run(measure(names or list(WORKLOADS), arguments.rounds, arguments.seconds))
    notes = about(f"make bench BENCH={','.join(names)}")
    if arguments.json:
        figures = [asdict(result) | {"ratio": result.ratio} for result in results]
        print(json.dumps({"results": figures} | notes, indent=2))
    else:
        show(results, notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
