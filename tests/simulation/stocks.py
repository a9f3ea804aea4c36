"""People who want more than there is: a stock that is never oversold, and one that is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from runtime import DurableObject
from runtime.checkers import Operation, no_oversell
from runtime.scenario import Client, Scenario

CAPACITY: Final = 7


class Stock(DurableObject[Any]):
    """So many pieces, and who holds how many of them."""

    migrations = ("CREATE TABLE holds (holder TEXT PRIMARY KEY, quantity INTEGER NOT NULL)",)

    async def reserve(self, holder: str, quantity: int) -> None:
        """Hold some; to ask for the same again does no harm.

        Raises:
            ValueError: If there aren't so many left.
        """
        if holder not in self._held():
            self._refuse(quantity)
            self._hold(holder, quantity)

    async def release(self, holder: str) -> None:
        """Give back what `holder` has, if it has something."""
        self.ctx.storage.sql.exec("DELETE FROM holds WHERE holder = ?", holder)

    async def held(self) -> dict[str, int]:
        return self._held()

    def _held(self) -> dict[str, int]:
        rows = self.ctx.storage.sql.exec("SELECT holder, quantity FROM holds")
        return {row["holder"]: row["quantity"] for row in rows}

    def _refuse(self, quantity: int) -> None:
        left = CAPACITY - sum(self._held().values())
        if quantity > left:
            raise ValueError(f"{left} are left")

    def _hold(self, holder: str, quantity: int) -> None:
        self.ctx.storage.sql.exec("INSERT OR IGNORE INTO holds VALUES (?, ?)", holder, quantity)


class OversoldStock(Stock):
    """Waits for a payment between looking and holding."""

    async def reserve(self, holder: str, quantity: int) -> None:
        if holder not in self._held():
            self._refuse(quantity)
            await asyncio.sleep(0.01)
            self._hold(holder, quantity)


class Booking(Scenario):
    """People take, and give back."""

    bindings: ClassVar = {"stocks": Stock}
    refusals = (ValueError,)
    clients = 4
    steps = 6

    async def step(self, client: Client) -> None:
        stock = client.env.stocks.get_by_name("a")
        holder = f"{client.name}{client.random.randrange(10**6)}"
        quantity = client.random.randint(1, 3)
        for _ in range(3):
            taken = await client.call(
                "reserve", (holder, quantity), lambda: stock.reserve(holder, quantity)
            )
            if taken.outcome != "unknown":
                break
        if taken.outcome != "refused" and client.random.random() < 0.6:
            await client.sleep(client.random.expovariate(20))
            await client.call("release", (holder, quantity), lambda: stock.release(holder))

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        await client.sleep(1)
        no_oversell(history, await client.env.stocks.get_by_name("a").held(), CAPACITY)


class BookingHastily(Booking):
    """The same with a stock that is promised twice."""

    bindings: ClassVar = {"stocks": OversoldStock}


SCENARIOS: Final[tuple[Any, ...]] = (Booking,)
BROKEN: Final[tuple[Any, ...]] = (BookingHastily,)
