"""What the pan promises."""

from app import Pan, push

from runtime.testing import TestRuntime


async def test_it_rings_after_four_minutes_and_not_before() -> None:
    async with TestRuntime(bindings={"pans": Pan}) as rt:
        pan = rt.env.pans.get_by_name("blue")
        kitchen = await rt.connect(pan)
        await pan.boil("Ada", 240)

        await rt.clock.advance(239)
        assert await pan.state() == "boiling Ada"
        await rt.clock.advance(1)

        assert list(kitchen.received) == [push("empty"), push("boiling Ada"), push("done: Ada")]


async def test_it_rings_though_the_process_died_meanwhile() -> None:
    async with TestRuntime(bindings={"pans": Pan}) as rt:
        await rt.env.pans.get_by_name("blue").boil("Ada", 240)

        await rt.crash()
        await rt.clock.advance(240)

        assert await rt.env.pans.get_by_name("blue").state() == "done: Ada"
