"""The process that is killed: objects, clients that write to them, and a pipe that hears of all.

Every step of an object goes into the pipe before it is committed, every answer when it has
arrived. What is in a pipe survives the process that has written it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

from runtime import AlarmInvocation, DurableObject, Runtime, RuntimeConfig, errors
from tests.crash.model import Effect

OBJECTS: Final = 100
CLIENTS: Final = 32
HOT: Final = 4  # objects that half of the load is for
PATIENCE_SECONDS: Final = 3.0  # with alarms that should have rung
SOON: Final = "soon"
LATER: Final = "later"

report: Callable[..., None]
"""Says something to whoever is going to kill this process."""
steps = Counter[str]()
"""How many steps each object has taken in this process."""


class Thing(DurableObject[Any]):
    """Writes in every way there is. Each method returns the position that its answer reveals."""

    @property
    def name(self) -> str:
        return cast(str, self.ctx.id.name)

    def step(self, *effects: Effect, because: Any = None) -> int:
        report("step", self.name, effects, because)
        steps[self.name] += 1
        return steps[self.name]

    def insert(self, token: str, size: int = 0) -> None:
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS log (number INTEGER PRIMARY KEY, token, filling)")
        sql.exec("INSERT INTO log (token, filling) VALUES (?, zeroblob(?))", token, size)

    async def read(self) -> tuple[int, list[Any], dict[str, str], dict[str, float]]:
        """Return all that it holds."""
        sql = self.ctx.storage.sql
        rows: list[Any] = []
        if list(sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'log'")):
            rows = list(sql.exec("SELECT token, length(filling) FROM log ORDER BY number").raw())
        alarms = await self.ctx.storage.list_alarms()
        keys = dict(self.ctx.storage.kv.list())
        return steps[self.name], rows, keys, cast(dict[str, float], alarms)

    async def row(self, token: str, size: int) -> int:
        position = self.step(("row", token, size))
        self.insert(token, size)
        return position

    async def key(self, token: str, key: str) -> int:
        if await self.ctx.storage.get(key) is None:
            position = self.step(("key", key, token))
            await self.ctx.storage.put(key, token)
        else:
            position = self.step(("key", key, None))
            await self.ctx.storage.delete(key)
        return position

    async def several(self, token: str, key: str) -> int:
        """Writes without yielding are one."""
        storage = self.ctx.storage
        self.insert(token)
        await storage.put(key, token)
        await storage.set_alarm(timedelta(hours=1), name=LATER)
        later = await storage.get_alarm(name=LATER)
        return self.step(("row", token, 0), ("key", key, token), ("alarm", LATER, later))

    async def transaction(self, token: str, key: str) -> int:
        """Nor is anything seen between those of a transaction."""
        position = 0

        async def closure(transaction: Any) -> None:
            nonlocal position
            position = self.step(("row", token, 0), ("key", key, token))
            self.insert(token)
            await asyncio.sleep(0)
            await transaction.put(key, token)

        await self.ctx.storage.transaction(closure)
        return position

    async def undone(self, token: str) -> int:
        """Nothing is left of what is rolled back."""

        async def closure(transaction: Any) -> None:
            self.insert(token)
            await asyncio.sleep(0)
            transaction.rollback()

        await self.ctx.storage.transaction(closure)
        return steps[self.name]

    async def dropped(self, token: str) -> None:
        """Nor of a step that breaks the object."""
        self.insert(token)
        self.ctx.abort("it is dropped")

    async def clear(self) -> int:
        position = self.step(("clear",))
        await self.ctx.storage.delete_all()
        return position

    async def soon(self, seconds: float) -> int:
        storage = self.ctx.storage
        await storage.set_alarm(timedelta(seconds=seconds), name=SOON)
        return self.step(("alarm", SOON, await storage.get_alarm(name=SOON)))

    async def alarm(self, invocation: AlarmInvocation) -> None:
        token = f"rang for {invocation.scheduled_time}"
        self.step(("row", token, 0), ("alarm", SOON, None))
        self.insert(token)

    async def tell(self, token: str, other: str) -> int:
        """What another object hears is durable, like what a client hears."""
        position = self.step(("row", token, 0))
        self.insert(token)
        stub = self.env.things.get_by_name(other)
        report("shown", other, await stub.hear(token, (self.name, position)))
        return position

    async def hear(self, token: str, because: Any) -> int:
        position = self.step(("row", f"heard {token}", 0), because=because)
        self.insert(f"heard {token}")
        return position


KINDS: Final = {
    "row": 30,
    "key": 15,
    "several": 15,
    "transaction": 10,
    "undone": 2,
    "dropped": 1,
    "clear": 4,
    "soon": 8,
    "tell": 5,
    "read": 14,
}


async def client(things: Any, life: int, number: int) -> None:
    """Ask something of one object after another, until the process stops."""
    rng = random.Random(f"{life} {number}")
    for call in count():
        name = str(rng.randrange(HOT if rng.random() < 0.5 else OBJECTS))
        thing = things.get_by_name(name)
        token, key = f"{life}.{number}.{call}", f"key {rng.randrange(4)}"
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        try:
            match kind:
                case "read":
                    report("found", name, *await thing.read())
                    continue
                case "row":
                    size = rng.randrange(30_000 if rng.random() < 0.05 else 300)
                    position = await thing.row(token, size)
                case "key" | "several" | "transaction":
                    position = await getattr(thing, kind)(token, key)
                case "undone" | "dropped":
                    position = await getattr(thing, kind)(token)
                case "clear":
                    position = await thing.clear()
                case "soon":
                    position = await thing.soon(rng.random())
                case "tell":
                    position = await thing.tell(token, str(rng.randrange(OBJECTS)))
        except errors.ShuttingDown:
            return
        except errors.ObjectReset as reset:
            if "stopping" in str(reset):
                return
            if "it is dropped" not in str(reset):  # by `dropped`
                raise
        else:
            report("shown", name, position)


async def check(things: Any, names: Collection[str]) -> bool:
    """Say what objects hold. Returns whether alarms of theirs are about to ring."""
    answers = await asyncio.gather(*(things.get_by_name(name).read() for name in names))
    for name, answer in zip(names, answers, strict=True):
        report("found", name, *answer)
    return any(SOON in alarms for _, _, _, alarms in answers)


async def live(config: RuntimeConfig, life: int, names: Collection[str], *, is_last: bool) -> None:
    """Say what there is, then work until SIGTERM.

    Args:
        names: Of the objects to look at first.
        is_last: Wait for the alarms that are to ring soon instead, and stop.
    """
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Runtime(config, bindings={"things": Thing}) as runtime:
        report("started")
        things = runtime.env.things
        are_due = await check(things, names)
        report("checked")
        if is_last:
            patience_ends = time.monotonic() + PATIENCE_SECONDS
            while are_due:
                await asyncio.sleep(0.02)
                if time.monotonic() > patience_ends:
                    report("overdue")
                are_due = await check(things, names)
            return
        clients = [asyncio.create_task(client(things, life, number)) for number in range(CLIENTS)]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, *clients], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
    await asyncio.gather(*clients)


class Complaints(logging.Handler):
    """Passes on what the node has to say: nothing should go wrong, however often it is killed."""

    def emit(self, record: logging.LogRecord) -> None:
        report("complained", self.format(record))


def main(pipe: int, *about: Any, **kind: Any) -> None:
    """Be the process that is killed: `live`. What it has to say goes into `pipe`, a line each."""
    global report

    def write(*words: Any) -> None:
        os.write(pipe, json.dumps(words).encode() + b"\n")

    report = write
    logging.getLogger("runtime").addHandler(Complaints(logging.WARNING))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # nobody listens any more
    try:
        asyncio.run(live(*about, **kind))
    except errors.DurableObjectError as error:  # any other is a mistake of these tests
        report("failed", repr(error))
    else:
        report("stopped")


def settings(folder: Path, rng: random.Random) -> RuntimeConfig:
    """Return settings that make rare things frequent, some of the time."""
    return RuntimeConfig(
        data=folder,
        idle_seconds=rng.choice([0.02, 10.0]),
        journal_segment_bytes=rng.choice([40_000, 400_000, 16 * 1024 * 1024]),
    )
