"""What a sale promises."""

import asyncio
from collections.abc import Sequence

from app import CAPACITY, Bank, Sale, SoldOut

from runtime.testing import Client, Operation, Scenario, TestRuntime, Violation, simulate

OBJECTS = {"sales": Sale, "banks": Bank}


async def test_who_buys_has_paid_and_has_a_ticket() -> None:
    async with TestRuntime(bindings=OBJECTS) as rt:
        await rt.env.sales.get_by_name("friday").buy("1", "Ada")
        await rt.clock.advance(1)

        assert await rt.env.sales.get_by_name("friday").tickets() == ["Ada"]
        assert await rt.env.banks.get_by_name("bank").charges() == ["Ada"]


async def test_three_tickets_are_three() -> None:
    async with TestRuntime(bindings=OBJECTS) as rt:
        sale = rt.env.sales.get_by_name("friday")
        calls = (sale.buy(f"{n}", f"person {n}") for n in range(10))
        await asyncio.gather(*calls, return_exceptions=True)
        await rt.clock.advance(5)

        assert len(await sale.tickets()) == 3


async def test_a_ticket_that_cant_be_paid_for_is_free_again() -> None:
    async with TestRuntime(bindings=OBJECTS) as rt:
        await rt.env.sales.get_by_name("friday").buy("1", "Mallory")
        assert "2 left" in await rt.env.sales.get_by_name("friday").html()

        await rt.crash()
        await rt.clock.advance(300)

        assert "3 left" in await rt.env.sales.get_by_name("friday").html()


async def test_nobody_pays_for_nothing() -> None:
    async with TestRuntime(bindings=OBJECTS) as rt:
        await rt.env.sales.get_by_name("friday").buy("1", "Ada")
        await rt.clock.advance(0.1)
        crash = rt.crash_at("after_sync")  # the bank has written, and nobody has heard of it

        await rt.clock.advance(3600)

        assert crash.done()
        paid = await rt.env.banks.get_by_name("bank").charges()
        assert await rt.env.sales.get_by_name("friday").tickets() == paid == ["Ada"]


class Friday(Scenario):
    """Three people buy, press again, and have no money, while everything goes wrong."""

    bindings = OBJECTS
    refusals = (SoldOut,)

    async def step(self, client: Client) -> None:
        sale = client.env.sales.get_by_name("friday")
        who = client.random.choice(["Ada", "Bob", "Mallory"])
        key = f"{who} {client.random.randrange(4)}"
        await client.call("buy", key, lambda: sale.buy(key, who))

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        await client.sleep(3600)  # whatever is being paid has been
        sold = sorted(await client.env.sales.get_by_name("friday").tickets())
        paid = sorted(await client.env.banks.get_by_name("bank").charges())
        if sold != paid or len(sold) > CAPACITY:
            raise Violation(f"sold to {sold}, paid by {paid}")


def test_tickets_and_money_agree_whatever_happens() -> None:
    for seed in range(5):
        simulate(Friday, seed)
