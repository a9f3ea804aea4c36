"""A pan with an egg in it takes no other, and takes one afterwards."""

import pytest
from app import Book, Pan, PanInUse

from runtime.testing import TestRuntime


async def test_a_pan_takes_one_egg_at_a_time() -> None:
    async with TestRuntime(bindings={"pans": Pan, "books": Book}, evicting=True) as rt:
        pan = rt.env.pans.get_by_name("blue")
        await pan.boil("Ada", 240)

        with pytest.raises(PanInUse):
            await pan.boil("Bob", 2)
        await rt.clock.advance(240)
        await pan.boil("Bob", 2)
        await rt.clock.advance(2)

        assert await rt.env.books.get_by_name("kitchen").eggs() == ["Ada", "Bob"]
