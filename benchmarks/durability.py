"""What durability costs, and what it is good for: LATENCY, RECOVERY, START."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from time import perf_counter, time
from typing import Any

from rich.console import Console
from rich.progress import track

from benchmarks.node import ENTRIES, OBJECTS, node
from benchmarks.results import Result, percentile
from runtime.catalog import Catalog, Key
from runtime.evictions import name_of
from runtime.ids import IdScheme

ASLEEP = 100_000  # objects on disk
ALARMS = 10_000  # of them, one half overdue
Step = Callable[[], object]


async def latency(rounds: int, seconds: float, step: Step) -> list[Result]:
    """One caller after another, in process: from the call to the durable answer."""
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plain.sqlite"
        with closing(sqlite3.connect(file, isolation_level=None)) as plain:
            plain.execute("PRAGMA journal_mode = WAL")
            plain.execute("PRAGMA synchronous = FULL")
            plain.execute("CREATE TABLE entries (number INTEGER PRIMARY KEY, text TEXT NOT NULL)")
            async with node(Path(folder) / "data") as runtime:
                bell = runtime.env.bells.get_by_name("one")
                for _ in range(rounds):
                    until = perf_counter() + seconds
                    while (begun := perf_counter()) < until:
                        plain.execute("INSERT INTO entries (text) VALUES (?)", ("some text",))
                        theirs.append(perf_counter() - begun)
                    step()
                    until = perf_counter() + seconds
                    while (begun := perf_counter()) < until:
                        await bell.add("some text")
                        ours.append(perf_counter() - begun)
                    step()
    return [
        Result(
            "LATENCY",
            f"a durable call to one object, p{percent}",
            "ms",
            percentile(ours, percent) * 1000,
            "a commit of SQLite, FULL",
            percentile(theirs, percent) * 1000,
        )
        for percent in (50, 99)
    ]


async def recovery(rounds: int, seconds: float, step: Step) -> list[Result]:
    """Start after ``kill -9`` with a full journal, beside a start after a proper stop."""
    killed, stopped = [], []
    with tempfile.TemporaryDirectory() as folder:
        full, copy = Path(folder) / "full", Path(folder) / "copy"
        async with _running("fill", full) as process:
            await _said(process)
            process.kill()
        for _ in range(rounds):
            shutil.copytree(full, copy)
            os.sync()  # what is being written of the copy isn't to be waited for
            killed.append((await _figures("start", copy))["start"])
            step()
            stopped.append((await _figures("start", copy))["start"])
            step()
            shutil.rmtree(copy)
    took = statistics.median(killed)
    what = f"start with {ENTRIES:,} commits of {OBJECTS:,} objects in the journal"
    after = "after a proper stop"
    return [
        Result("RECOVERY", what, "s", took, after, statistics.median(stopped)),
        Result("RECOVERY", "commits recovered", "1/s", ENTRIES / took),
    ]


async def start(rounds: int, seconds: float, step: Step) -> list[Result]:
    """Start where there are many objects, beside a start where there are three."""
    with tempfile.TemporaryDirectory() as folder:
        many, few = Path(folder) / "many", Path(folder) / "few"
        await populate(many, ASLEEP, ALARMS)
        await populate(few, 3, 0)
        ours, theirs = [], []
        for _ in range(rounds):
            theirs.append((await _figures("start", few))["start"])
            step()
            ours.append((await _figures("start", many))["start"])
            step()
        used = await _figures("use", many, ALARMS // 2), await _figures("use", few, 0)
    what = f"start with {ASLEEP:,} objects and {ALARMS:,} alarms"
    rows = [Result("START", what, "s", statistics.median(ours), "three", statistics.median(theirs))]
    for name, what, unit in (
        ("first", "start and first durable answer", "s"),
        ("rung", f"start until {ALARMS // 2:,} overdue alarms have rung", "s"),
        ("reads", f"reads of {OBJECTS:,} objects, in process", "1/s"),
        ("writes", f"durable writes to {OBJECTS:,} objects, in process", "1/s"),
        ("answers", "answers for one fdatasync", "1"),
    ):
        rows.append(Result("START", what, unit, used[0][name], "three", used[1][name]))
    return rows


async def populate(folder: Path, objects: int, alarms: int) -> None:
    """Make a folder of a node that was stopped, with objects that are real but all alike."""
    overdue, future = time() + 5, time() + 3600
    async with node(folder) as runtime:
        scheme: IdScheme = runtime.namespaces["bells"].scheme
        models = {}
        for when in (overdue, future, None):
            bell = runtime.env.bells.get(scheme.new())
            await (bell.add("some text") if when is None else bell.set(when))
            models[when] = folder / "objects" / name_of(Key(scheme.directory, bell.id.hex))
    for model in models.values():  # its copies are other objects'
        with closing(sqlite3.connect(model)) as database, database:
            database.execute("DELETE FROM _cf_METADATA WHERE key = 'id'")
    catalog = await Catalog.open(folder / "catalog.sqlite")
    numbers = range(objects - len(models))
    for number in track(numbers, "populating", console=Console(stderr=True), transient=True):
        when = None if number >= alarms else future if number % 2 else overdue
        key = Key(scheme.directory, scheme.new().hex)
        shutil.copyfile(models[when], folder / "objects" / name_of(key))
        catalog.note(key, None, {} if when is None else {None: when})
        if not number % 1000:
            await catalog.flush()
    await catalog.close()
    await asyncio.sleep(max(0.0, overdue - time()))
    os.sync()


async def _figures(command: str, *about: Any) -> dict[str, float]:
    async with _running(command, *about) as process:
        return await _said(process)


@asynccontextmanager
async def _running(command: str, *about: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.node", command, *map(str, about)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    except BaseException:
        process.kill()
        raise
    finally:
        await process.wait()


async def _said(process: asyncio.subprocess.Process) -> dict[str, float]:
    assert process.stdout is not None
    figures: dict[str, float] = json.loads(await process.stdout.readline())
    return figures
