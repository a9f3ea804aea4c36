"""Somebody gives up."""

import pytest
from app import Match
from rules import IllegalMove

from runtime.testing import TestRuntime


@pytest.mark.parametrize(("player", "winner"), [("x", "o"), ("o", "x")])
async def test_the_other_one_has_won(player: str, winner: str) -> None:
    async with TestRuntime(bindings={"matches": Match}, evicting=True) as rt:
        match = rt.env.matches.get_by_name("a")
        await match.play("x", 0, 0)
        watcher = await rt.connect(match)
        watcher.received.clear()

        await match.resign(player)
        await rt.clock.advance(60)

        assert (await match.game()).winner == winner
        assert [f"{winner} has won" in str(push) for push in watcher.received] == [True]
        with pytest.raises(IllegalMove):
            await match.resign(winner)
        with pytest.raises(IllegalMove):
            await match.play("o", 1, 1)
