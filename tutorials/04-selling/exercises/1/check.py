"""Nobody has more than two."""

import pytest
from app import Bank, Sale, TooMany

from runtime.testing import TestRuntime


async def test_a_third_is_refused() -> None:
    async with TestRuntime(bindings={"sales": Sale, "banks": Bank}, evicting=True) as rt:
        sale = rt.env.sales.get_by_name("a")
        await sale.buy("1", "Ada")
        await sale.buy("2", "Ada")

        with pytest.raises(TooMany):
            await sale.buy("3", "Ada")
        await sale.buy("2", "Ada")  # the same again is no third
        await sale.buy("4", "Bob")
        await rt.clock.advance(5)

        assert sorted(await sale.tickets()) == ["Ada", "Ada", "Bob"]
