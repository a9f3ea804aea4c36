"""The flag falls by itself, once, and everybody sees it."""

from app import Match

from runtime.testing import TestRuntime


async def test_the_flag_falls_once() -> None:
    async with TestRuntime(bindings={"matches": Match}) as rt:
        match = rt.env.matches.get_by_name("a")
        await match.play("x", 0)
        watcher = await rt.connect(match)
        watcher.received.clear()

        await rt.clock.advance(4.9)
        assert not watcher.received
        await rt.clock.advance(3600)

        assert ["x has won" in str(push) for push in watcher.received] == [True]
