"""It calls again, twice, unless somebody is there."""

import pytest
from app import Book, Pan, push

from runtime.testing import TestRuntime


@pytest.mark.parametrize("is_crashing", [False, True], ids=["", "with a crash"])
async def test_it_calls_three_times_and_gives_up(is_crashing: bool) -> None:
    async with TestRuntime(bindings={"pans": Pan, "books": Book}) as rt:
        await rt.env.pans.get_by_name("blue").boil("Ada", 240)
        await rt.clock.advance(241)
        if is_crashing:
            await rt.crash()
        window = await rt.connect(rt.env.pans.get_by_name("blue"))
        window.received.clear()

        await rt.clock.advance(600)

        assert list(window.received) == [push("done: Ada")] * 2


async def test_thanks_ends_it() -> None:
    async with TestRuntime(bindings={"pans": Pan, "books": Book}, evicting=True) as rt:
        pan = rt.env.pans.get_by_name("blue")
        window = await rt.connect(pan)
        await pan.boil("Ada", 240)
        await rt.clock.advance(301)
        assert list(window.received).count(push("done: Ada")) == 2

        await pan.thanks()
        await rt.clock.advance(600)

        assert list(window.received).count(push("done: Ada")) == 2
