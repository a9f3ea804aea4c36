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

import psutil
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.churn.people import Person, Tally
from tests.servers import http_client

READING_SECONDS: Final = 5.0
READINGS: Final = 12  # at least, however short the soak
WARM_UP: Final = 0.25  # of the time, until the allocator has what it needs
JUDGED_SECONDS: Final = 240.0  # a shorter soak says nothing about memory
ROOMS: Final = 150  # for half of them to be asleep at any time
# How much more an empty server may have in use in the end. It has had thirty thousand visitors.
TOLERATED_BLOCKS: Final = 3000
TOLERATED_BYTES: Final = 2 * 1024 * 1024
COMPARED: Final = 0.25  # of the readings of a busy one, the first and the last ones
TOLERATED: Final = 0.1  # growth between them: the heap gets holes, and each thread its own part
MOST_FAULTS: Final = 10  # to be told of in full
PATIENCE_SECONDS: Final = 20.0  # until nothing is left of those who have gone
BARS: Final = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Reading:
    """How the server was at one moment."""

    seconds: float
    memory: int
    """What is its own alone, in bytes: libraries count less the more processes use them."""
    python_blocks: int
    malloc_bytes: int
    sockets: int
    objects: int
    awake: int
    too_slow: int


@dataclass(slots=True)
class Soak:
    """What has come of it."""

    seed: int
    is_judged: bool
    """Whether it was long enough to say something about memory."""
    empty: list[Reading] = field(default_factory=list)
    """How the server was when nobody was there: after the warm-up, and in the end."""
    busy: list[Reading] = field(default_factory=list)
    """How it was in between."""
    tally: Tally = field(default_factory=Tally)

    @property
    def early(self) -> float:
        """The memory of the busy server at first, in bytes."""
        return statistics.median(reading.memory for reading in self.busy[: self._compared])

    @property
    def late(self) -> float:
        """The memory of the busy server at last, in bytes."""
        return statistics.median(reading.memory for reading in self.busy[-self._compared :])

    @property
    def faults(self) -> list[str]:
        """What isn't as it should be."""
        faults = self.tally.wrong[:MOST_FAULTS]
        if (more := len(self.tally.wrong) - len(faults)) > 0:
            faults.append(f"and {more:,} more of this kind")
        before, after = self.empty[0], self.empty[-1]
        if self.is_judged:
            faults += self._growth(before, after)
        if after.sockets or after.objects:
            faults.append(f"{after.sockets} sockets and {after.objects} objects are left")
        return faults

    def _growth(self, before: Reading, after: Reading) -> Iterator[str]:
        if after.python_blocks > before.python_blocks + TOLERATED_BLOCKS:
            counts = f"{before.python_blocks:,} to {after.python_blocks:,}"
            yield f"what an empty server has in use has grown from {counts} blocks"
        if after.malloc_bytes > before.malloc_bytes + TOLERATED_BYTES:
            sizes = f"{_mb(before.malloc_bytes)} to {_mb(after.malloc_bytes)}"
            yield f"what an empty server has in use has grown from {sizes}"
        if self.late > self.early * (1 + TOLERATED):
            yield f"a busy server has grown from {_mb(self.early)} to {_mb(self.late)}"

    @property
    def _compared(self) -> int:
        return max(1, round(len(self.busy) * COMPARED))


class Server:
    """The server of the soak, seen from outside."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self._address = f"http://127.0.0.1:{port}"
        self._process = psutil.Process(pid)
        self._begun = monotonic()

    async def read(self) -> Reading:
        """Look how it is."""
        async with http_client(self._address, timeout=PATIENCE_SECONDS) as client:
            answer = (await client.get("/state")).raise_for_status()
        memory = self._process.memory_full_info().uss
        return Reading(monotonic() - self._begun, memory, **answer.json())

    async def emptied(self) -> Reading:
        """Look how it is once nothing is left of those who have gone, or should be."""
        until = monotonic() + PATIENCE_SECONDS
        while True:
            reading = await self.read()
            if not (reading.sockets or reading.objects) or monotonic() > until:
                return reading
            await asyncio.sleep(0.2)


async def soak(seconds: float, people: int, rooms: int, seed: int) -> Soak:
    """Have so many people come and go in so many rooms for so long."""
    found = Soak(seed, is_judged=seconds >= JUDGED_SECONDS)
    phases = [(seconds, found.busy)]
    if found.is_judged:
        phases = [(seconds * WARM_UP, []), (seconds * (1 - WARM_UP), found.busy)]
    rngs = [random.Random(f"{seed} {number}") for number in range(people)]
    async with _serving() as server:
        crowd = [
            Person(f"person{number}", server.port, rooms, found.tally, rng)
            for number, rng in enumerate(rngs)
        ]
        with _progress(seconds) as show:
            for length, readings in phases:
                until = monotonic() + length
                async with asyncio.TaskGroup() as group:
                    for person in crowd:
                        group.create_task(person.live(until))
                    interval = min(READING_SECONDS, length / READINGS)
                    while until - monotonic() > interval:  # then they all leave
                        await asyncio.sleep(interval)
                        readings.append(await server.read())
                        show(readings[-1])
                found.empty.append(await server.emptied())
    return found


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
    console = Console()
    columns = ("MB", "malloc", "blocks", "sockets", "rooms", "awake", "slow")
    table = Table("", "", *columns)
    some = found.busy[:: math.ceil(len(found.busy) / 10)]
    for reading in sorted([*some, *found.empty], key=lambda reading: reading.seconds):
        when = "empty" if reading in found.empty else "busy"
        sizes = (f"{size / 1024 / 1024:.1f}" for size in (reading.memory, reading.malloc_bytes))
        counts = (reading.sockets, reading.objects, reading.awake, reading.too_slow)
        blocks = f"{reading.python_blocks:,}"
        table.add_row(f"{reading.seconds:,.0f} s", when, *sizes, blocks, *map(str, counts))
    console.print(table)
    if found.is_judged:
        allowed = f"{TOLERATED_BLOCKS:,} blocks and {_mb(TOLERATED_BYTES)}"
        console.print(f"empty, it may have {allowed} more in use in the end", highlight=False)
        growth = f"{_mb(found.early)} at first, {_mb(found.late)} at last"
        console.print(f"busy: {growth} ({TOLERATED:.0%} more are allowed)", highlight=False)
    else:
        console.print(f"memory isn't judged in less than {JUDGED_SECONDS / 60:.0f} minutes")
    console.print(f"busy: {_line([reading.memory for reading in found.busy])}", highlight=False)
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
