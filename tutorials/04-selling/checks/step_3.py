"""Ten want three tickets: three pay, and have them."""

import asyncio

from app import Bank, Sale

from runtime.testing import TestRuntime


async def test_three_are_sold_and_paid() -> None:
    async with TestRuntime(bindings={"sales": Sale, "banks": Bank}) as rt:
        sale = rt.env.sales.get_by_name("a")
        buying = asyncio.gather(*(sale.buy(f"p{n}") for n in range(10)), return_exceptions=True)
        await rt.clock.advance(10)
        await buying

        assert len(await sale.tickets()) == 3
        assert len(await rt.env.banks.get_by_name("bank").charges()) == 3
