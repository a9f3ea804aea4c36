"""A shop that tells the stock what it has sold: exactly once, and in a stock that counts twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from runtime import AlarmInvocation, DurableObject, DurableObjectState
from runtime.checkers import Operation, exactly_once
from runtime.patterns.letterbox import Letterbox
from runtime.patterns.outbox import Letter, Outbox
from runtime.scenario import Client, Scenario


class Shop(DurableObject[Any]):
    """Sells, and tells the stock of it."""

    migrations = ("CREATE TABLE sold (item TEXT PRIMARY KEY)", Outbox.schema())

    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        self._outbox = Outbox(ctx, self._deliver)

    async def sell(self, item: str) -> None:
        """Sell something; to ask for the same again does no harm."""
        sold = self.ctx.storage.sql.exec("INSERT OR IGNORE INTO sold VALUES (?)", item)
        if sold.rows_written:
            await self._outbox.send("stock", item)

    async def alarm(self, invocation: AlarmInvocation) -> None:
        await self._outbox.alarm(invocation)

    async def _deliver(self, letter: Letter) -> None:
        await self.env.stocks.get_by_name(letter.to).take(letter.id, letter.body)


class Stock(DurableObject[Any]):
    """Notes what was sold."""

    migrations = ("CREATE TABLE taken (item TEXT)", Letterbox.schema())

    async def take(self, letter: str, item: str) -> None:
        if Letterbox(self.ctx).take(letter):
            self.ctx.storage.sql.exec("INSERT INTO taken VALUES (?)", item)

    async def taken(self) -> list[str]:
        return [row["item"] for row in self.ctx.storage.sql.exec("SELECT item FROM taken")]


class CarelessStock(Stock):
    """Takes each letter for a new one."""

    async def take(self, letter: str, item: str) -> None:
        self.ctx.storage.sql.exec("INSERT INTO taken VALUES (?)", item)


class Selling(Scenario):
    """What a shop has sold, the stock knows in the end, once."""

    bindings: ClassVar = {"shops": Shop, "stocks": Stock}
    steps = 6

    async def step(self, client: Client) -> None:
        item = f"{client.name}{client.random.randrange(10**6)}"
        shop = client.env.shops.get_by_name("main")
        for _ in range(3):
            if (await client.call("sell", item, lambda: shop.sell(item))).outcome != "unknown":
                return

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        await client.sleep(1000)  # letters that failed are tried again
        exactly_once(history, await client.env.stocks.get_by_name("stock").taken(), "sell")


class SellingTwice(Selling):
    """The same with a stock that doesn't look at what it has had."""

    bindings: ClassVar = {"shops": Shop, "stocks": CarelessStock}


SCENARIOS: Final[tuple[Any, ...]] = (Selling,)
BROKEN: Final[tuple[Any, ...]] = (SellingTwice,)
