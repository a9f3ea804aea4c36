"""An egg that was taken out is out."""

from app import Book, Pan

from runtime.testing import TestRuntime


async def test_what_was_taken_out_doesnt_ring() -> None:
    async with TestRuntime(bindings={"pans": Pan, "books": Book}) as rt:
        await rt.env.pans.get_by_name("blue").boil("Ada", 240)
        await rt.env.pans.get_by_name("blue").take_out()

        await rt.crash()
        await rt.clock.advance(600)

        assert await rt.env.pans.get_by_name("blue").state() == "empty"
        assert await rt.env.books.get_by_name("kitchen").eggs() == []


async def test_the_next_egg_has_its_own_time() -> None:
    async with TestRuntime(bindings={"pans": Pan, "books": Book}, evicting=True) as rt:
        pan = rt.env.pans.get_by_name("blue")
        await pan.boil("Ada", 240)
        await rt.clock.advance(200)
        await pan.take_out()
        await pan.boil("Bob", 240)

        await rt.clock.advance(200)
        assert await pan.state() == "boiling Bob"
        await rt.clock.advance(40)

        assert await rt.env.books.get_by_name("kitchen").eggs() == ["Bob"]
