"""What a sale promises."""

import asyncio

from app import Bank, Sale

from runtime.testing import TestRuntime

OBJECTS = {"sales": Sale, "banks": Bank}


async def test_who_buys_has_paid_and_has_a_ticket() -> None:
    async with TestRuntime(bindings=OBJECTS) as rt:
        buying = rt.env.sales.get_by_name("friday").buy("Ada")
        await rt.clock.advance(1)
        await buying

        assert await rt.env.sales.get_by_name("friday").tickets() == ["Ada"]
        assert await rt.env.banks.get_by_name("bank").charges() == ["Ada"]


async def test_three_tickets_are_three() -> None:
    async with TestRuntime(bindings=OBJECTS) as rt:
        sale = rt.env.sales.get_by_name("friday")
        calls = (sale.buy(f"person {n}") for n in range(10))
        buying = asyncio.gather(*calls, return_exceptions=True)
        await rt.clock.advance(1)
        await buying

        assert len(await sale.tickets()) == 3
