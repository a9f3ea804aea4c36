"""Who comes and goes. They notice if a message is missing, comes twice, or out of order."""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

IN_THE_HALL: Final = 0.25  # of all visits are to one and the same room
STAY_SECONDS: Final = 10.0  # at most
AWAY_SECONDS: Final = 3.0  # between two visits, at most
PAUSE_SECONDS: Final = 4.0  # from one message of a visitor to the next, on the average
SLOWLY_SECONDS: Final = 0.2  # for one message, where somebody reads slowly
LONG: Final = 0.1  # of all messages are this long:
LONG_BYTES: Final = 30_000
RECEIVE_BYTES: Final = 16 * 1024  # that the system takes for somebody who reads nothing
TOO_SLOW: Final = 1013

Visit = Callable[["Person", ClientConnection, float], Awaitable[None]]


@dataclass(slots=True)
class Tally:
    """What all people have done and seen."""

    visits: Counter[str] = field(default_factory=Counter)
    received: int = 0
    sent: int = 0
    wrong: list[str] = field(default_factory=list)
    """What should not have happened."""


class Person:
    """Visits one room after another, each time in another way."""

    def __init__(self, name: str, port: int, rooms: int, tally: Tally, rng: random.Random) -> None:
        self.tally = tally
        self.rng = rng
        self._name = name
        self._port = port
        self._rooms = rooms
        self._seen = 0

    async def live(self, until: float) -> None:
        """Come and go until that moment of the monotonic clock."""
        await asyncio.sleep(self.rng.uniform(0, AWAY_SECONDS))
        while monotonic() < until:
            visit = self.rng.choices(list(VISITS), list(VISITS.values()))[0]
            leave = min(until, monotonic() + self.rng.uniform(0, STAY_SECONDS))
            await self._visit(visit, leave)
            self.tally.visits[visit.__name__] += 1
            if self.rng.random() < 0.5:  # the others are back at once
                await asyncio.sleep(self.rng.uniform(0, AWAY_SECONDS))

    async def _visit(self, visit: Visit, leave: float) -> None:
        room = 0 if self.rng.random() < IN_THE_HALL else self.rng.randrange(self._rooms)
        address = f"ws://127.0.0.1:{self._port}/rooms/{room}?name={self._name}"
        queue = 8 if visit in (read_slowly, sleep) else None
        try:
            ws = await connect(
                address, sock=self._socket(), compression=None, ping_interval=None, max_queue=queue
            )
        except (OSError, TimeoutError, InvalidHandshake) as error:
            self.tally.wrong.append(f"{self._name} can't come in: {error!r}")
            return
        try:
            self._seen = int(str(await ws.recv()).split(" ", 1)[0])
            await visit(self, ws, leave)
        except ConnectionClosed as error:
            code = None if error.rcvd is None else error.rcvd.code
            # Whoever reads slowly may be sent away, and may not get as far as to read why.
            if visit is not read_slowly or code not in (TOO_SLOW, None):
                self.tally.wrong.append(f"{self._name} was cut off in {visit.__name__}: {error}")
        finally:
            ws.transport.abort()
            await ws.wait_closed()

    def _socket(self) -> socket.socket:
        """Return one that can't hold megabytes, as the system's own would."""
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        small.connect(("127.0.0.1", self._port))
        small.setblocking(False)
        return small

    async def hear(self, ws: ClientConnection, seconds: float) -> None:
        """Listen for so long."""
        try:
            async with asyncio.timeout(max(0, seconds)):
                while True:
                    self.heard(str(await ws.recv()))
        except TimeoutError:
            pass

    def heard(self, message: str) -> None:
        """Check that a message is the next one."""
        number = int(message.split(" ", 1)[0])
        self.tally.received += 1
        if number != self._seen + 1:
            self.tally.wrong.append(f"{self._name} heard {number} after {self._seen}")
        self._seen = number

    async def say(self, ws: ClientConnection) -> None:
        """Say something, mostly short."""
        length = LONG_BYTES if self.rng.random() < LONG else self.rng.randrange(200)
        await ws.send("x" * length)
        self.tally.sent += 1


async def talk(person: Person, ws: ClientConnection, leave: float) -> None:
    """Listen and talk, and leave properly."""
    while (left := leave - monotonic()) > 0:
        await person.hear(ws, min(left, person.rng.expovariate(1 / PAUSE_SECONDS)))
        await person.say(ws)
    await ws.close()


async def vanish(person: Person, ws: ClientConnection, leave: float) -> None:
    """Listen and talk, and drop the connection in the middle of it."""
    while (left := leave - monotonic()) > 0:
        await person.hear(ws, min(left, person.rng.expovariate(1 / PAUSE_SECONDS)))
        await person.say(ws)


async def look_in(person: Person, ws: ClientConnection, leave: float) -> None:
    """Say something, and be gone before it comes back."""
    await person.say(ws)


async def read_slowly(person: Person, ws: ClientConnection, leave: float) -> None:
    """Take one message now and then."""
    while (left := leave - monotonic()) > 0:
        await asyncio.sleep(min(left, SLOWLY_SECONDS))
        try:
            async with asyncio.timeout(SLOWLY_SECONDS):
                person.heard(str(await ws.recv()))
        except TimeoutError:
            pass


async def sleep(person: Person, ws: ClientConnection, leave: float) -> None:
    """Take nothing at all; what arrives piles up, here and at the server."""
    await asyncio.sleep(max(0, leave - monotonic()))


VISITS: Final[dict[Visit, int]] = {talk: 40, vanish: 25, look_in: 15, read_slowly: 10, sleep: 10}
