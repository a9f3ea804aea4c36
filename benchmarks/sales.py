"""How many bookings a rush makes in a second: W7."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import Callable, Iterator
from random import Random
from time import perf_counter
from typing import Any

from benchmarks.processes import Effort, Server, serving
from benchmarks.results import Result

CLIENTS = 64
SEATS = 1000
ATTEMPTS = 4000
ROWS = 25


class Buyer:
    """One connection, and who is at its end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.token = ""

    async def ask(
        self, method: str, path: str, body: Any = None, key: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Ask for something, and return the status and what came."""
        content = b"" if body is None else json.dumps(body).encode()
        kind = "content-type: application/json\r\n" if content else ""
        key = f"idempotency-key: {key}\r\n" if key else ""
        token = f"authorization: Bearer {self.token}\r\n" if self.token else ""
        head = (
            f"{method} /api{path} HTTP/1.1\r\nhost: x\r\n{token}"
            f"{kind}{key}content-length: {len(content)}\r\n\r\n"
        )
        self._writer.write(head.encode() + content)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        content = await self._reader.readexactly(length)
        return int(answer[9:12]), json.loads(content)

    async def buy(self, event: str, attempts: Iterator[tuple[int, str]]) -> int:
        """Try for one seat after another, and return how many were to be had."""
        bought = 0
        for number, seat in attempts:
            held, hold = await self.ask("POST", f"/booking/events/{event}/holds", {"seats": [seat]})
            if held == 201:
                path = f"/booking/holds/{hold['hold_id']}/confirm"
                paid, order = await self.ask("POST", path, key=f"{event} {number}")
                assert (paid, order["state"]) == (200, "confirmed"), order
                bought += 1
            else:
                assert held == 409, hold
        return bought

    def close(self) -> None:
        self._writer.close()


async def w7(rounds: int, seconds: float, step: Callable[[], object]) -> list[Result]:
    """A rush: hold and confirm, over HTTP, beside the same without objects.

    How long it takes follows from the number of attempts; `seconds` doesn't count.
    """
    effort = Effort()
    figures: dict[str, list[float]] = {"ours": [], "plain": [], "one file": []}
    async with (
        serving("benchmarks.box_office") as ours_server,
        serving("benchmarks.plain_office") as plain_server,
        serving("benchmarks.plain_office", "--one-file") as one_file_server,
    ):
        servers = {"ours": ours_server, "plain": plain_server, "one file": one_file_server}
        for round in range(rounds):
            for name, server in servers.items():
                figures[name].append(await sell(server, f"round-{round}", effort))
                step()
    ours = statistics.median(figures["ours"])
    what = f"{CLIENTS} clients, {SEATS:,} seats, {ATTEMPTS:,} attempts"
    return [
        Result("W7", what, "1/s", ours, baseline, statistics.median(figures[name]), effort.most)
        for name, baseline in (
            ("plain", "FastAPI, the same promises"),
            ("one file", "all in one file"),
        )
    ]


async def sell(server: Server, event: str, effort: Effort) -> float:
    """Sell an event out, and return how many bookings that made in a second."""
    buyers = [await _connect(server) for _ in range(CLIENTS)]
    facts = {"title": "A rush", "rows": ROWS, "seats_per_row": SEATS // ROWS, "price": 5000}
    made, _ = await buyers[0].ask("POST", "/booking/events", facts | {"slug": event})
    assert made == 201
    names = [f"{chr(65 + row)}{place + 1}" for row in range(ROWS) for place in range(SEATS // ROWS)]
    wishes = names * (ATTEMPTS // SEATS)
    Random(event).shuffle(wishes)
    attempts = iter(list(enumerate(wishes)))
    effort.begin()
    begun = perf_counter()
    bought = sum(await asyncio.gather(*(buyer.buy(event, attempts) for buyer in buyers)))
    elapsed = perf_counter() - begun
    effort.end()
    _, seen = await buyers[0].ask("GET", f"/booking/events/{event}")
    assert (bought, seen["sold"], seen["free"], seen["held"]) == (SEATS, SEATS, 0, 0), seen
    for buyer in buyers:
        buyer.close()
    return SEATS / elapsed


async def _connect(server: Server) -> Buyer:
    buyer = Buyer(*await asyncio.open_connection("127.0.0.1", server.port))
    _, answer = await buyer.ask("POST", "/identity", {"name": "Ada"})
    buyer.token = answer["token"]
    return buyer
