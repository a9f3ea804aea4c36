"""What a sale promises."""

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
