"""What a sale promises."""

import asyncio

import pytest
from app import Bank, Sale

from runtime import errors
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


async def test_a_ticket_that_nobody_pays_for_is_free_again() -> None:
    async with TestRuntime(bindings=OBJECTS) as rt:
        buying = rt.env.sales.get_by_name("friday").buy("Ada")
        await rt.clock.advance(0.1)
        await rt.crash()
        with pytest.raises(errors.ObjectReset):
            await buying
        assert "2 left" in await rt.env.sales.get_by_name("friday").html()

        await rt.clock.advance(300)

        assert "3 left" in await rt.env.sales.get_by_name("friday").html()


async def test_nobody_pays_for_nothing() -> None:
    async with TestRuntime(bindings=OBJECTS) as rt:
        buying = rt.env.sales.get_by_name("friday").buy("Ada")
        await rt.clock.advance(0.1)
        crash = rt.crash_at("after_sync")  # the bank has written, and nobody has heard of it
        await rt.clock.advance(1)
        with pytest.raises(errors.ObjectReset):
            await buying

        await rt.clock.advance(3600)

        assert crash.done()
        paid = await rt.env.banks.get_by_name("bank").charges()
        assert await rt.env.sales.get_by_name("friday").tickets() == paid == ["Ada"]
