"""What a match promises."""

import pytest
from app import Match, push
from rules import IllegalMove, Marked, replay

from runtime.testing import TestRuntime

MATCHES = {"matches": Match}


async def test_both_see_every_move() -> None:
    async with TestRuntime(bindings=MATCHES, evicting=True) as rt:
        match = rt.env.matches.get_by_name("final")
        x, o = await rt.connect(match), await rt.connect(match)

        await match.play("x", 4)
        await match.play("o", 0)

        games = [replay(map(Marked, cells)) for cells in ([], [4], [4, 0])]
        assert list(x.received) == list(o.received) == [push(game) for game in games]


async def test_what_the_rules_forbid_changes_nothing() -> None:
    async with TestRuntime(bindings=MATCHES, evicting=True) as rt:
        match = rt.env.matches.get_by_name("final")
        await match.play("x", 4)

        with pytest.raises(IllegalMove, match="it isn't your turn"):
            await match.play("x", 5)

        assert (await match.game()).board == "    x    "


async def test_whoever_doesnt_move_loses() -> None:
    async with TestRuntime(bindings=MATCHES, evicting=True) as rt:
        match = rt.env.matches.get_by_name("final")
        await match.play("x", 4)

        await rt.clock.advance(4)
        assert (await match.game()).winner == ""
        await rt.clock.advance(2)

        assert (await match.game()).winner == "x"


async def test_a_move_winds_the_clock_again() -> None:
    async with TestRuntime(bindings=MATCHES, evicting=True) as rt:
        match = rt.env.matches.get_by_name("final")
        for player, cell in (("x", 4), ("o", 0), ("x", 8)):
            await match.play(player, cell)
            await rt.clock.advance(4)

        assert (await match.game()).winner == ""


async def test_the_flag_falls_though_the_process_died() -> None:
    async with TestRuntime(bindings=MATCHES) as rt:
        await rt.env.matches.get_by_name("final").play("x", 4)

        await rt.crash()
        await rt.clock.advance(5)

        assert (await rt.env.matches.get_by_name("final").game()).winner == "x"
