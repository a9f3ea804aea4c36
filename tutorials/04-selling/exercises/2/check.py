"""A ticket comes back, and the money with it."""

import pytest
from app import Bank, Sale, StillPaying

from runtime.testing import Point, TestRuntime

OBJECTS = {"sales": Sale, "banks": Bank}


@pytest.mark.parametrize("point", [None, "after_sync", "during_alarm"])
async def test_ticket_and_money_come_back(point: Point | None) -> None:
    async with TestRuntime(bindings=OBJECTS) as rt:
        for key, who in (("1", "Ada"), ("2", "Bob")):
            await rt.env.sales.get_by_name("a").buy(key, who)
        await rt.clock.advance(60)

        await rt.env.sales.get_by_name("a").cancel("1")
        assert await rt.env.sales.get_by_name("a").tickets() == ["Bob"]
        if point is not None:
            rt.crash_at(point)
        await rt.clock.advance(3600)

        assert await rt.env.sales.get_by_name("a").tickets() == ["Bob"]
        assert await rt.env.banks.get_by_name("bank").charges() == ["Bob"]


async def test_what_is_being_paid_for_cant_be_cancelled() -> None:
    async with TestRuntime(bindings=OBJECTS, evicting=True) as rt:
        await rt.env.sales.get_by_name("a").buy("1", "Ada")

        with pytest.raises(StillPaying):
            await rt.env.sales.get_by_name("a").cancel("1")
        await rt.clock.advance(60)

        assert await rt.env.banks.get_by_name("bank").charges() == ["Ada"]
