"""Money and tickets agree, at whatever moment the process dies."""

import asyncio

import pytest
from app import Bank, Sale

from runtime.testing import Point, TestRuntime


@pytest.mark.parametrize("point", ["before_commit", "after_commit", "after_sync", "during_alarm"])
async def test_who_has_paid_has_a_ticket(point: Point) -> None:
    async with TestRuntime(bindings={"sales": Sale, "banks": Bank}) as rt:
        buying = asyncio.gather(rt.env.sales.get_by_name("a").buy("Ada"), return_exceptions=True)
        await rt.clock.advance(0.1)

        rt.crash_at(point)
        await rt.clock.advance(3600)
        await buying

        assert await rt.env.sales.get_by_name("a").tickets() == ["Ada"]
        assert await rt.env.banks.get_by_name("bank").charges() == ["Ada"]
