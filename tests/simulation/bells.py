"""People who want to be woken: a bell that forgets nobody, and one that does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final

from runtime import AlarmInvocation, DurableObject
from runtime.checkers import Operation, Violation, no_lost_acknowledgement
from runtime.scenario import Client, Scenario

BELLS: Final = "abcdefgh"
SNOOZE: Final = timedelta(seconds=0.02)
CHIME_SECONDS: Final = 0.05  # longer than the snooze: it is due while the bell still chimes
TWICE: Final = 2


class Bell(DurableObject[Any]):
    """Wakes each person twice, the second time a moment after the first."""

    migrations = (
        "CREATE TABLE wishes (name TEXT PRIMARY KEY, due REAL, rung INTEGER, early INTEGER)",
    )

    async def wake(self, name: str, seconds: float) -> None:
        """Wake somebody in so many seconds; to ask for the same again does no harm."""
        written = self.ctx.storage.sql.exec(
            "INSERT OR IGNORE INTO wishes VALUES (?, unixepoch('subsec') + ?, 0, 0)", name, seconds
        ).rows_written
        if written:
            await self.ctx.storage.set_alarm(timedelta(seconds=seconds), name=name)

    async def alarm(self, invocation: AlarmInvocation) -> None:
        """Wake whose alarm that is. The first try to wake some people fails."""
        name = str(invocation.name)
        rung = self.ctx.storage.sql.exec(
            "UPDATE wishes SET early = early + (due > unixepoch('subsec') + 0.001) "
            "WHERE name = ? RETURNING rung",
            name,
        ).one()["rung"]
        if name.endswith("7") and not invocation.is_retry:
            raise LookupError("they don't hear it")
        if not rung:
            await self.ctx.storage.set_alarm(SNOOZE, name=name)
        await asyncio.sleep(CHIME_SECONDS)
        self.ctx.storage.sql.exec("UPDATE wishes SET rung = rung + 1 WHERE name = ?", name)

    async def woken(self) -> list[str]:
        """Return who was woken twice, or more often."""
        rows = self.ctx.storage.sql.exec("SELECT name FROM wishes WHERE rung >= ?", TWICE)
        return [row["name"] for row in rows]

    async def woken_early(self) -> list[str]:
        """Return who was woken before their time."""
        rows = self.ctx.storage.sql.exec("SELECT name FROM wishes WHERE early > 0")
        return [row["name"] for row in rows]


class ForgetfulBell(Bell):
    """Knows one alarm only, and so wakes whoever has asked last."""

    async def wake(self, name: str, seconds: float) -> None:
        await super().wake(name, seconds)
        await self.ctx.storage.delete_alarm(name=name)
        await self.ctx.storage.put("name", name)
        await self.ctx.storage.set_alarm(timedelta(seconds=seconds))

    async def alarm(self, invocation: AlarmInvocation) -> None:
        name = await self.ctx.storage.get("name")
        self.ctx.storage.sql.exec("UPDATE wishes SET rung = 2 WHERE name = ?", name)


class Waking(Scenario):
    """Whoever was promised it is woken, by one of some bells."""

    bindings: ClassVar = {"bells": Bell}
    steps = 5
    faults = 5

    async def step(self, client: Client) -> None:
        bell = client.env.bells.get_by_name(client.random.choice(BELLS))
        name = f"{client.name}{client.random.randrange(10**6)}"
        seconds = client.random.expovariate(15)  # most of it while things go wrong
        for _ in range(3):
            asked = await client.call("wake", name, lambda: bell.wake(name, seconds))
            if asked.outcome != "unknown":
                return

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        await client.sleep(600)  # even an alarm that has failed is tried again
        bells = [client.env.bells.get_by_name(name) for name in BELLS]
        woken = [name for bell in bells for name in await bell.woken()]
        no_lost_acknowledgement(history, woken, "wake")
        for bell in bells:
            if early := await bell.woken_early():
                raise Violation(f"woken before their time: {early}")


class WakingTheLast(Waking):
    """The same with a bell that forgets."""

    bindings: ClassVar = {"bells": ForgetfulBell}


SCENARIOS: Final[tuple[Any, ...]] = (Waking,)
BROKEN: Final[tuple[Any, ...]] = (WakingTheLast,)
