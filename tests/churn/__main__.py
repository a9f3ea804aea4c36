"""``python -m tests.churn``: have people come and go for minutes, and look at the memory."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import random
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Final

import httpx
import psutil
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.churn.people import Person, Tally

READING_SECONDS: Final = 5.0
READINGS: Final = 12  # at least, however short the soak
WARM_UP: Final = 0.25  # of the time isn't looked at
ROOMS: Final = 150  # for half of them to be asleep at any time
COMPARED: Final = 0.25  # of the time after that, and of the time at the end
TOLERATED: Final = 0.05  # growth from one to the other, or
TOLERATED_BYTES: Final = 4 * 1024 * 1024  # whatever is more
PATIENCE_SECONDS: Final = 20.0  # until nothing is left of those who have gone
MOST_FAULTS: Final = 10  # to be told of in full
BARS: Final = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Reading:
    """How the server was at one moment."""

    seconds: float
    memory: int
    sockets: int
    objects: int
    awake: int
    too_slow: int


@dataclass(slots=True)
class Soak:
    """What has come of it."""

    seed: int
    readings: list[Reading] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    end: Reading | None = None
    """How the server was when everybody had gone."""

    @property
    def early(self) -> float:
        """The memory after the warm-up, in bytes."""
        begin = round(len(self.readings) * WARM_UP)
        return self._memory(begin, begin + self._compared)

    @property
    def late(self) -> float:
        """The memory before the end, in bytes."""
        return self._memory(len(self.readings) - self._compared, len(self.readings))

    @property
    def faults(self) -> list[str]:
        """What isn't as it should be."""
        faults = self.tally.wrong[:MOST_FAULTS]
        if (more := len(self.tally.wrong) - len(faults)) > 0:
            faults.append(f"and {more:,} more of this kind")
        allowed = self.early + max(TOLERATED * self.early, TOLERATED_BYTES)
        if self.late > allowed:
            faults.append(f"the memory has grown from {_mb(self.early)} to {_mb(self.late)}")
        assert self.end is not None
        if self.end.sockets or self.end.objects:
            faults.append(f"{self.end.sockets} sockets and {self.end.objects} objects are left")
        return faults

    @property
    def _compared(self) -> int:
        return max(1, round(len(self.readings) * COMPARED))

    def _memory(self, begin: int, end: int) -> float:
        return statistics.median(reading.memory for reading in self.readings[begin:end])


class Server:
    """The server of the soak, seen from outside."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self._process = psutil.Process(pid)
        self._begun = monotonic()

    async def read(self) -> Reading:
        """Look how it is."""
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
            answer = await client.get(f"http://127.0.0.1:{self.port}/state")
        memory = self._process.memory_full_info().pss
        return Reading(monotonic() - self._begun, memory, **answer.json())


async def soak(seconds: float, people: int, rooms: int, seed: int) -> Soak:
    """Have so many people come and go in so many rooms for so long."""
    found = Soak(seed)
    interval = min(READING_SECONDS, seconds / READINGS)
    async with _serving() as server, asyncio.TaskGroup() as group:
        until = monotonic() + seconds
        for number in range(people):
            rng = random.Random(f"{seed} {number}")
            person = Person(f"person{number}", server.port, rooms, found.tally, rng)
            group.create_task(person.live(until))
        with _progress(seconds) as show:
            while until - monotonic() > interval:  # then they all leave
                await asyncio.sleep(interval)
                found.readings.append(await server.read())
                show(found.readings[-1])
        found.end = await _emptied(server)
    return found


async def _emptied(server: Server) -> Reading:
    until = monotonic() + PATIENCE_SECONDS
    while True:
        reading = await server.read()
        if not (reading.sockets or reading.objects) or monotonic() > until:
            return reading
        await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def _serving() -> AsyncIterator[Server]:
    with tempfile.TemporaryDirectory(prefix="dormouse-churn-") as data:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.churn.server", data), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            yield Server(int(await process.stdout.readline()), process.pid)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


@contextlib.contextmanager
def _progress(seconds: float) -> Iterator[Callable[[Reading], None]]:
    columns = (
        *(TextColumn("churning"), BarColumn(), TimeRemainingColumn()),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=seconds, state="")

        def show(reading: Reading) -> None:
            state = f"{_mb(reading.memory)}, {reading.sockets} sockets, {reading.awake} awake"
            progress.update(task, completed=reading.seconds, state=state)

        yield show


def show(found: Soak) -> None:
    """Print what happened as a table, and what was wrong."""
    assert found.end is not None
    console = Console()
    table = Table("", "memory", "sockets", "rooms", "awake", "too slow so far")
    some = found.readings[:: math.ceil(len(found.readings) / 10)]
    for reading in [*some, found.end]:
        when = "all gone" if reading is found.end else f"{reading.seconds:,.0f} s"
        counts = (reading.sockets, reading.objects, reading.awake, reading.too_slow)
        table.add_row(when, _mb(reading.memory), *map(str, counts))
    console.print(table)
    console.print(f"memory {_line([reading.memory for reading in found.readings])}")
    ends = f"{_mb(found.early)} after the warm-up, {_mb(found.late)} at the end"
    allowed = f"{TOLERATED:.0%} or {_mb(TOLERATED_BYTES)} more are allowed"
    console.print(f"{ends} ({allowed})", highlight=False)
    tally = found.tally
    visits = ", ".join(f"{kind} {count:,}" for kind, count in tally.visits.most_common())
    console.print(f"sent {tally.sent:,}, received {tally.received:,}; {visits}", highlight=False)
    for fault in found.faults:
        console.print(f"[red]wrong:[/red] {fault}", highlight=False)


def _line(figures: list[int]) -> str:
    """Draw figures as a line of bars, from nothing to the largest."""
    step = math.ceil(len(figures) / 60)
    return "".join(BARS[figure * (len(BARS) - 1) // max(figures)] for figure in figures[::step])


def _mb(size: float) -> str:
    return f"{size / 1024 / 1024:.1f} MB"


def _positive(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: more than 0 minutes")
    return minutes


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of people: 1 or more")
    return int(text)


def main() -> int:
    """Soak as the arguments say, and return whether anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.churn", description=__doc__)
    parser.add_argument("--minutes", type=_positive, default=10, help="how long [%(default)s]")
    parser.add_argument("--people", type=_count, default=300, help="how many [%(default)s]")
    parser.add_argument("--seed", type=int, help="of what people do [random]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    found = uvloop.run(soak(arguments.minutes * 60, arguments.people, ROOMS, seed))
    if arguments.json:
        figures = {"early": found.early, "late": found.late, "faults": found.faults}
        print(json.dumps(asdict(found) | figures, indent=2))
    else:
        show(found)
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
