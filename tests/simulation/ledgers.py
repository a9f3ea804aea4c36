"""Accounts whose two halves always agree: in one step, in transactions, over calls and sockets.

What a socket is told is counted in its attachment, so it shows if something is told twice, or is
lost, or if the attachment is.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Final

from runtime import DurableObject, DurableObjectState, Request, Response, WebSocket
from runtime.checkers import Operation, Violation, exactly_once
from runtime.loopback import ClientSocket
from runtime.scenario import Client, Scenario

NAMES: Final = "abc"
MENTION: Final = "@"
PAUSE_SECONDS: Final = 0.004  # between the halves: others come in meanwhile, if they may


class Ledger(DurableObject[Any]):
    """Two numbers that are one, and what it has heard of those of others."""

    migrations = (
        "CREATE TABLE halves (name TEXT PRIMARY KEY, number INTEGER NOT NULL);"
        "INSERT INTO halves VALUES ('left', 0), ('right', 0);"
        "CREATE TABLE entries (id TEXT PRIMARY KEY, token TEXT NOT NULL);"
        "CREATE TABLE heard (ledger TEXT PRIMARY KEY, number INTEGER NOT NULL)",
    )

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket)
        self._tell(request.web_socket, str(self._number()))
        return Response.switching_protocols()

    async def enter(self, id: str, token: str) -> None:
        """Add one to both halves at once; to ask for the same again does no harm.

        Args:
            token: Of this try.
        """
        if self._is_new(id, token):
            self._add("left")
            self._add("right")
        self._tell_all(str(self._number()))

    async def enter_slowly(self, id: str, token: str, *, fails: bool) -> None:
        """Add one to both halves in a transaction, with a pause between them.

        Raises:
            ValueError: If it `fails`. Then there is no entry.
        """

        async def both(_: Any) -> None:
            await self._enter_half_by_half(id, token, fails=fails)

        await self.ctx.storage.transaction(both)
        self._tell_all(str(self._number()))

    async def _enter_half_by_half(self, id: str, token: str, *, fails: bool) -> None:
        if self._is_new(id, token):
            self._add("left")
            await asyncio.sleep(PAUSE_SECONDS)
            self._add("right")
            if fails:
                raise ValueError("on second thoughts")

    async def enter_and_tell(self, id: str, token: str, me: str) -> None:
        """Add one, and tell all others which, and how many there are."""
        await self.enter(id, token)
        number = self._number()
        entered = self.ctx.storage.sql.exec("SELECT token FROM entries WHERE id = ?", id).one()
        others = [self.env.ledgers.get_by_name(name) for name in NAMES if name != me]
        for other in others:
            await asyncio.gather(other.mention(entered["token"]), other.hear(me, number))

    async def mention(self, token: str) -> None:
        """Tell everybody of somebody else's entry. Nothing is written, so nothing is waited for."""
        self._tell_all(f"{MENTION}{token}")

    async def hear(self, ledger: str, number: int) -> None:
        """Note how many another has."""
        self.ctx.storage.sql.exec(
            "INSERT INTO heard VALUES (?1, ?2) "
            "ON CONFLICT (ledger) DO UPDATE SET number = max(number, ?2)",
            ledger,
            number,
        )

    async def look(self) -> tuple[int, int]:
        """Return both halves, after a while: perhaps in the middle of something, if that may be."""
        await asyncio.sleep(PAUSE_SECONDS / 2)
        sql = self.ctx.storage.sql
        rows = sql.exec("SELECT number FROM halves ORDER BY name").to_array()
        return rows[0]["number"], rows[1]["number"]

    async def entries(self) -> dict[str, str]:
        """Return what was entered, and by which try."""
        rows = self.ctx.storage.sql.exec("SELECT id, token FROM entries")
        return {row["id"]: row["token"] for row in rows}

    async def heard(self) -> dict[str, int]:
        rows = self.ctx.storage.sql.exec("SELECT ledger, number FROM heard")
        return {row["ledger"]: row["number"] for row in rows}

    def _is_new(self, id: str, token: str) -> bool:
        sql = self.ctx.storage.sql
        return bool(sql.exec("INSERT OR IGNORE INTO entries VALUES (?, ?)", id, token).rows_written)

    def _tell_all(self, text: str) -> None:
        for ws in self.ctx.get_web_sockets():
            if ws.ready_state == "open":
                self._tell(ws, text)

    def _tell(self, ws: WebSocket, text: str) -> None:
        ws.serialize_attachment((ws.deserialize_attachment() or 0) + 1)
        ws.send(f"{ws.deserialize_attachment()} {text}")

    def _add(self, half: str) -> None:
        self.ctx.storage.sql.exec("UPDATE halves SET number = number + 1 WHERE name = ?", half)

    def _number(self) -> int:
        left = self.ctx.storage.sql.exec("SELECT number FROM halves WHERE name = 'left'").one()
        return int(left["number"])


class TornLedger(Ledger):
    """Does without transactions."""

    async def enter_slowly(self, id: str, token: str, *, fails: bool) -> None:
        await self._enter_half_by_half(id, token, fails=fails)
        self._tell_all(str(self._number()))


class HastyLedger(Ledger):
    """Tells others of what it is about to enter."""

    async def enter_and_tell(self, id: str, token: str, me: str) -> None:
        others = [self.env.ledgers.get_by_name(name) for name in NAMES if name != me]
        await asyncio.gather(*(other.mention(token) for other in others))
        await self.enter(id, token)


class ForgetfulLedger(Ledger):
    """Counts what it has told in its memory."""

    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        self._told: Counter[WebSocket] = Counter()

    def _tell(self, ws: WebSocket, text: str) -> None:
        self._told[ws] += 1
        ws.send(f"{self._told[ws]} {text}")


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
            lambda token: ledger.enter(id, token),
            lambda token: ledger.enter_slowly(id, token, fails=fails),
            lambda token: ledger.enter_and_tell(id, token, name),
        )
        way = client.random.randrange(len(ways) + 1)
        if way == len(ways):
            stubs = (client.env.ledgers.get_by_name(each) for each in NAMES)
            await asyncio.gather(*(client.call("look", stub.name, stub.look) for stub in stubs))
            return
        for number in range(3):
            enter = partial(ways[way], f"{id}.{number}")
            if (await client.call(name, id, enter)).outcome != "unknown":
                return

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        await client.sleep(60)
        for operation in history:
            if operation.action == "look" and operation.outcome == "ok":
                _check_halves(operation.result, operation)
        ledgers = {name: client.env.ledgers.get_by_name(name) for name in NAMES}
        numbers = {name: (await ledger.look())[0] for name, ledger in ledgers.items()}
        tokens: set[str] = set()
        for name, ledger in ledgers.items():
            entries = await ledger.entries()
            tokens |= set(entries.values())
            _check_halves(await ledger.look(), name)
            exactly_once(_known(history, name), list(entries), name)
            if numbers[name] != len(entries):
                raise Violation(f"{name} has {entries}, and counts {numbers[name]}")
            for other, number in (await ledger.heard()).items():
                if number > numbers[other]:
                    raise Violation(f"{name} has heard of {number} in {other}: {numbers}")
        for name, socket in self._sockets:
            self._check_socket(name, socket, numbers[name], tokens)

    def _check_socket(self, name: str, socket: ClientSocket, number: int, tokens: set[str]) -> None:
        told = [str(message).split() for message in socket.received]
        if [count for count, _ in told] != [str(place) for place in range(1, len(told) + 1)]:
            raise Violation(f"a socket of {name} was told something twice, or not at all: {told}")
        mentioned = [text for _, text in told if text.startswith(MENTION)]
        if unknown := {text.removeprefix(MENTION) for text in mentioned} - tokens:
            raise Violation(f"a socket of {name} was told of {unknown}, which nobody has entered")
        numbers = [int(text) for _, text in told if not text.startswith(MENTION)]
        if numbers != sorted(numbers) or max(numbers, default=0) > number:
            raise Violation(f"a socket was told {numbers} of {name}: {number}")
        if socket.closed is None and numbers[-1] != number:
            raise Violation(f"a socket has missed the end of {name}: {numbers}, {number}")


class KeepingInTouch(Keeping):
    """The same where nothing goes wrong that may close a socket."""

    kinds = ("evict", "slow disk")

    def _check_socket(self, name: str, socket: ClientSocket, number: int, tokens: set[str]) -> None:
        super()._check_socket(name, socket, number, tokens)
        if socket.closed is not None:
            raise Violation(f"a socket of {name} was closed: {socket.closed}")


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


class KeepingAhead(Keeping):
    """The same with ledgers that tell others too early."""

    bindings: ClassVar = {"ledgers": HastyLedger}


class KeepingCount(Keeping):
    """The same with ledgers that forget whom they have told how much."""

    bindings: ClassVar = {"ledgers": ForgetfulLedger}


SCENARIOS: Final[tuple[Any, ...]] = (Keeping, KeepingInTouch)
BROKEN: Final[tuple[Any, ...]] = (KeepingHalf, KeepingAhead, KeepingCount)
