"""An egg is in the book once, at whatever moment the process dies."""

import pytest
from app import Book, Pan

from runtime.testing import POINTS, Point, TestRuntime


@pytest.mark.parametrize("point", sorted({*POINTS} - {"during_broadcast"}))  # nobody is connected
async def test_an_egg_is_in_the_book_once(point: Point) -> None:
    async with TestRuntime(bindings={"pans": Pan, "books": Book}) as rt:
        await rt.env.pans.get_by_name("blue").boil("Ada", 240)

        rt.crash_at(point)
        await rt.clock.advance(600)

        assert await rt.env.books.get_by_name("kitchen").eggs() == ["Ada"]
