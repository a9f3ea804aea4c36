"""People at a server that dies: what they are told, and what is found to be so afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx

from apps.booking.app import APP
from apps.booking.domain.house import row_name
from apps.booking.proof.watched import taken
from apps.booking.store import holds
from runtime.testing import TestRuntime, Violation
from tests.servers import http_client
from tests.simulation.sales import check_money, check_seats

EVENT: Final = "gala"
WIDTH: Final = 20
PATIENCE_SECONDS: Final = 60.0
LATER_SECONDS: Final = 3600.0  # until everything has expired, or was found out


@dataclass(slots=True)
class Rush:
    """How it went."""

    seats: int
    attempts: int
    kills: int
    answered: int = 0
    """Attempts that came to an end."""
    lives: int = 0
    """Of the server."""
    resent: int = 0
    """Requests that were sent again, because nothing was heard."""
    bought: dict[str, list[str]] = field(default_factory=dict)
    """The seats of each order that somebody was told is theirs."""
    sold: int = 0
    """Seats that are sold, as the data says in the end."""


class House:
    """The server: it is killed when so many attempts were answered, and started again."""

    def __init__(self, folder: Path, rush: Rush) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._folder = folder
        self._rush = rush
        self._process: asyncio.subprocess.Process | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Serve inside the block."""
        await self._start()
        killer = asyncio.ensure_future(self._kill_again_and_again())
        try:
            yield
        finally:
            killer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await killer
            await self._kill()

    async def _kill_again_and_again(self) -> None:
        for number in range(self._rush.kills):
            until = self._rush.attempts * (number + 1) // (self._rush.kills + 1)
            while self._rush.answered < until:
                await asyncio.sleep(0.01)
            await self._kill()
            await self._start()

    async def _start(self) -> None:
        self._rush.lives += 1
        command = (sys.executable, "-m", "benchmarks.box_office", str(self.port), self._folder)
        self._process = await asyncio.create_subprocess_exec(*command)

    async def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


class Buyer:
    """Somebody who sends again what was not answered, as it was."""

    def __init__(self, port: int, rush: Rush) -> None:
        self._client = http_client(f"http://127.0.0.1:{port}/api", timeout=20)
        self._rush = rush

    async def come(self, name: str) -> None:
        """Get a token."""
        answer = await self._ask("POST", "/identity", {"name": name})
        self._client.headers["authorization"] = f"Bearer {answer.json()['token']}"

    async def make_event(self) -> None:
        """Make the event that everybody wants."""
        facts = {"title": "Gala", "rows": self._rush.seats // WIDTH, "seats_per_row": WIDTH}
        body = {"slug": EVENT, "price": 500} | facts
        await self._ask("POST", "/booking/events", body)

    async def buy(self, number: int, seat: str) -> None:
        """Hold a seat, and pay for it."""
        held = await self._ask("POST", f"/booking/events/{EVENT}/holds", {"seats": [seat]})
        if held.status_code == 201:
            await self._pay(number, held.json()["hold_id"])
        elif held.status_code != 409:
            raise Violation(f"a hold was answered with {held.status_code}: {held.text}")
        self._rush.answered += 1

    async def leave(self) -> None:
        await self._client.aclose()

    async def _pay(self, number: int, hold: str) -> None:
        path, key = f"/booking/holds/{hold}/confirm", {"idempotency-key": f"attempt {number}"}
        paid = await self._ask("POST", path, headers=key)
        if paid.status_code == 200:
            self._rush.bought[hold] = paid.json()["seats"]
        elif paid.status_code not in (202, 402):  # nobody knows yet, or it hadn't arrived
            raise Violation(f"a payment was answered with {paid.status_code}: {paid.text}")

    async def _ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = await self._client.request(method, path, json=body, headers=headers)
                    if answer.status_code < 500:
                        return answer
                self._rush.resent += 1
                await asyncio.sleep(0.05)


async def rush(
    folder: Path, *, seats: int, attempts: int, clients: int, kills: int, seed: int
) -> Rush:
    """Have people buy at a server that dies, and check what is left.

    Raises:
        Violation: If a seat was sold twice, a booking is lost, or a payment has no seat.
    """
    course = Rush(seats, attempts, kills)
    house = House(folder, course)
    names = [f"{row_name(n // WIDTH)}{n % WIDTH + 1}" for n in range(seats)]
    wishes = [names[number % seats] for number in range(attempts)]
    Random(seed).shuffle(wishes)
    upcoming = iter(list(enumerate(wishes)))
    async with house.opened():
        buyers = [Buyer(house.port, course) for _ in range(clients)]
        await asyncio.gather(*(buyer.come(f"Buyer {n}") for n, buyer in enumerate(buyers)))
        await buyers[0].make_event()

        async def go_on(buyer: Buyer) -> None:
            for number, seat in upcoming:
                await buyer.buy(number, seat)

        await asyncio.gather(*map(go_on, buyers))
        await asyncio.gather(*(buyer.leave() for buyer in buyers))
    await _check(folder, course)
    return course


async def _check(folder: Path, course: Rush) -> None:
    """Open the data an hour later, and compare it with what people were told."""
    async with TestRuntime(bindings=APP.bindings, data=folder) as runtime:
        event = runtime.env.events.get_by_name(EVENT)
        for _ in range(3):
            await runtime.clock.advance(LATER_SECONDS / 3)
            await event.plan()
        ledger, seats = await runtime.run_in_durable_object(
            event, lambda object, ctx: (holds.all_holds(ctx.storage.sql), taken(object))
        )
        _, states = await event.plan()
        check_seats(ledger, seats, states)
        check_money(ledger, await runtime.env.payments.get_by_name(EVENT).books())
    known = {f"{EVENT}.{hold.number}-{hold.token}": hold for hold in ledger}
    for id, names in course.bought.items():
        if id not in known or known[id].state != "confirmed" or len(known[id].seats) != len(names):
            raise Violation(f"{id} was told to be theirs, and is {known.get(id)}")
    course.sold = len(seats)
