"""Accounts whose two halves always agree: in one step, in transactions, over calls and sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from runtime import DurableObject, Request, Response
from runtime.checkers import Operation, Violation, exactly_once
from runtime.loopback import ClientSocket
from runtime.scenario import Client, Scenario

NAMES: Final = "abc"
PAUSE_SECONDS: Final = 0.004  # between the halves: others come in meanwhile, if they may


class Ledger(DurableObject[Any]):
    """Two numbers that are one, and what it has heard of those of others."""

    migrations = (
        "CREATE TABLE halves (name TEXT PRIMARY KEY, number INTEGER NOT NULL);"
        "INSERT INTO halves VALUES ('left', 0), ('right', 0);"
        "CREATE TABLE entries (id TEXT PRIMARY KEY);"
        "CREATE TABLE heard (ledger TEXT PRIMARY KEY, number INTEGER NOT NULL)",
    )

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket)
        request.web_socket.send(str(self._number()))
        return Response.switching_protocols()

    async def enter(self, id: str) -> None:
        """Add one to both halves at once; to ask for the same again does no harm."""
        if self._is_new(id):
            self._add("left")
            self._add("right")
        self.ctx.broadcast(str(self._number()))

    async def enter_slowly(self, id: str, *, fails: bool) -> None:
        """Add one to both halves in a transaction, with a pause between them.

        Raises:
            ValueError: If it `fails`. Then there is no entry.
        """

        async def both(_: Any) -> None:
            await self._enter_half_by_half(id, fails=fails)

        await self.ctx.storage.transaction(both)
        self.ctx.broadcast(str(self._number()))

    async def _enter_half_by_half(self, id: str, *, fails: bool) -> None:
        if self._is_new(id):
            self._add("left")
            await asyncio.sleep(PAUSE_SECONDS)
            self._add("right")
            if fails:
                raise ValueError("on second thoughts")

    async def enter_and_tell(self, id: str, me: str) -> None:
        """Add one, and tell all others how many there are."""
        await self.enter(id)
        number = self._number()
        others = (self.env.ledgers.get_by_name(name) for name in NAMES if name != me)
        await asyncio.gather(*(other.hear(me, number) for other in others))

    async def hear(self, ledger: str, number: int) -> None:
        """Note how many another has."""
        self.ctx.storage.sql.exec(
            "INSERT INTO heard VALUES (?1, ?2) "
            "ON CONFLICT (ledger) DO UPDATE SET number = max(number, ?2)",
            ledger,
            number,
        )

    async def look(self) -> tuple[int, int]:
        """Return both halves."""
        sql = self.ctx.storage.sql
        rows = sql.exec("SELECT number FROM halves ORDER BY name").to_array()
        return rows[0]["number"], rows[1]["number"]

    async def entries(self) -> list[str]:
        return [row["id"] for row in self.ctx.storage.sql.exec("SELECT id FROM entries")]

    async def heard(self) -> dict[str, int]:
        rows = self.ctx.storage.sql.exec("SELECT ledger, number FROM heard")
        return {row["ledger"]: row["number"] for row in rows}

    def _is_new(self, id: str) -> bool:
        entered = self.ctx.storage.sql.exec("INSERT OR IGNORE INTO entries VALUES (?)", id)
        return bool(entered.rows_written)

    def _add(self, half: str) -> None:
        self.ctx.storage.sql.exec("UPDATE halves SET number = number + 1 WHERE name = ?", half)

    def _number(self) -> int:
        left = self.ctx.storage.sql.exec("SELECT number FROM halves WHERE name = 'left'").one()
        return int(left["number"])


class TornLedger(Ledger):
    """Does without transactions."""

    async def enter_slowly(self, id: str, *, fails: bool) -> None:
        await self._enter_half_by_half(id, fails=fails)
        self.ctx.broadcast(str(self._number()))


class Keeping(Scenario):
    """Clients enter, look at all ledgers at once, and listen."""

    bindings: ClassVar = {"ledgers": Ledger}
    refusals = (ValueError,)
    faults = 4

    def __init__(self) -> None:
        self._sockets: list[tuple[str, ClientSocket]] = []

    async def step(self, client: Client) -> None:
        name = client.random.choice(NAMES)
        ledger = client.env.ledgers.get_by_name(name)
        id = f"{client.name}{client.random.randrange(10**6)}"
        fails = client.random.random() < 0.5
        if not any(socket.closed is None for socket in client.sockets):
            socket = await client.connect(ledger)
            self._sockets += [] if socket is None else [(name, socket)]
        ways = (
            lambda: ledger.enter(id),
            lambda: ledger.enter_slowly(id, fails=fails),
            lambda: ledger.enter_and_tell(id, name),
        )
        way = client.random.randrange(len(ways) + 1)
        if way == len(ways):
            stubs = (client.env.ledgers.get_by_name(each) for each in NAMES)
            await asyncio.gather(*(client.call("look", stub.name, stub.look) for stub in stubs))
            return
        for _ in range(3):
            if (await client.call(name, id, ways[way])).outcome != "unknown":
                return

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        await client.sleep(60)
        for operation in history:
            if operation.action == "look" and operation.outcome == "ok":
                _check_halves(operation.result, operation)
        ledgers = {name: client.env.ledgers.get_by_name(name) for name in NAMES}
        numbers = {name: (await ledger.look())[0] for name, ledger in ledgers.items()}
        for name, ledger in ledgers.items():
            entries = await ledger.entries()
            _check_halves(await ledger.look(), name)
            exactly_once(_known(history, name), entries, name)
            if numbers[name] != len(entries):
                raise Violation(f"{name} has {entries}, and counts {numbers[name]}")
            for other, number in (await ledger.heard()).items():
                if number > numbers[other]:
                    raise Violation(f"{name} has heard of {number} in {other}: {numbers}")
        for name, socket in self._sockets:
            told = [int(str(message)) for message in socket.received]
            if told != sorted(told) or max(told, default=0) > numbers[name]:
                raise Violation(f"a socket was told {told} of {name}: {numbers}")
            if socket.closed is None and told[-1] != numbers[name]:
                raise Violation(f"a socket has missed the end of {name}: {told}, {numbers}")


def _check_halves(halves: tuple[int, int], where: object) -> None:
    if halves[0] != halves[1]:
        raise Violation(f"half of it: {halves} in {where}")


def _known(history: Sequence[Operation], action: str) -> list[Operation]:
    # What was refused once may have been entered by an earlier try, of which nobody knows.
    refused = {op.value for op in history if op.action == action and op.outcome == "refused"}
    tried = {op.value for op in history if op.action == action and op.outcome == "unknown"}
    doubtful = refused & tried
    return [
        replace(op, outcome="unknown") if op.value in doubtful and op.outcome == "refused" else op
        for op in history
    ]


class KeepingHalf(Keeping):
    """The same with ledgers that are torn."""

    bindings: ClassVar = {"ledgers": TornLedger}


SCENARIOS: Final[tuple[Any, ...]] = (Keeping,)
BROKEN: Final[tuple[Any, ...]] = (KeepingHalf,)
