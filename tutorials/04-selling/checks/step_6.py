"""One key is one purchase."""

from app import Bank, Sale

from runtime.testing import TestRuntime


async def test_a_key_buys_once() -> None:
    async with TestRuntime(bindings={"sales": Sale, "banks": Bank}, evicting=True) as rt:
        sale = rt.env.sales.get_by_name("a")
        for key in ("1", "1", "2", "1"):
            await sale.buy(key, "Ada")
            await rt.clock.advance(5)

        assert await sale.tickets() == ["Ada", "Ada"]
        assert await rt.env.banks.get_by_name("bank").charges() == ["Ada", "Ada"]
