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
WARM_UP: Final = 0.25  # of the time, until the allocator has what it needs
JUDGED_SECONDS: Final = 240.0  # a shorter soak says nothing about memory
ROOMS: Final = 150  # for half of them to be asleep at any time
TOLERATED_BYTES: Final = 2 * 1024 * 1024  # that an empty server takes more in the end
COMPARED: Final = 0.25  # of the readings, the first and the last ones
TOLERATED: Final = 0.1  # growth between them; the allocator keeps what lies between what is in use
MOST_FAULTS: Final = 10  # to be told of in full
PATIENCE_SECONDS: Final = 20.0  # until nothing is left of those who have gone
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
        if self.is_judged and after.memory > before.memory + TOLERATED_BYTES:
            sizes = f"{_mb(before.memory)} to {_mb(after.memory)}"
            faults.append(f"the empty server has grown from {sizes}")
        if self.is_judged and self.late > self.early * (1 + TOLERATED):
            sizes = f"{_mb(self.early)} to {_mb(self.late)}"
            faults.append(f"the busy server has grown from {sizes}")
        if after.sockets or after.objects:
            faults.append(f"{after.sockets} sockets and {after.objects} objects are left")
        return faults

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

    async def read(self, *, settled: bool = False) -> Reading:
        """Look how it is.

        Args:
            settled: Whether it gives back first what isn't in use.
        """
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
            if settled:
                (await client.post(f"{self._address}/settle")).raise_for_status()
            answer = (await client.get(f"{self._address}/state")).raise_for_status()
        memory = self._process.memory_full_info().pss
        return Reading(monotonic() - self._begun, memory, **answer.json())

    async def emptied(self) -> Reading:
        """Look how it is once nothing is left of those who have gone, or should be."""
        until = monotonic() + PATIENCE_SECONDS
        while True:
            reading = await self.read(settled=True)
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
    table = Table("", "", "memory", "sockets", "rooms", "awake", "too slow so far")
    some = found.busy[:: math.ceil(len(found.busy) / 10)]
    for reading in sorted([*some, *found.empty], key=lambda reading: reading.seconds):
        when = "empty" if reading in found.empty else "busy"
        counts = (reading.sockets, reading.objects, reading.awake, reading.too_slow)
        table.add_row(f"{reading.seconds:,.0f} s", when, _mb(reading.memory), *map(str, counts))
    console.print(table)
    before, after = (f"{_mb(reading.memory)}" for reading in (found.empty[0], found.empty[-1]))
    if found.is_judged:
        allowed = f"{_mb(TOLERATED_BYTES)} and {TOLERATED:.0%} more are allowed"
        busy = f"busy {_mb(found.early)}, then {_mb(found.late)}"
        console.print(f"empty {before}, then {after}; {busy} ({allowed})", highlight=False)
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
