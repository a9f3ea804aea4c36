"""A move is for one board only."""

import pytest
from app import Match
from rules import IllegalMove

from runtime.testing import TestRuntime


async def test_a_move_for_another_board_is_refused() -> None:
    async with TestRuntime(bindings={"matches": Match}, evicting=True) as rt:
        match = rt.env.matches.get_by_name("a")
        await match.play("x", 0, 0)
        await match.play("o", 1, 1)

        for turn in (0, 1, 3):
            with pytest.raises(IllegalMove):
                await match.play("x", 8, turn)
        await match.play("x", 8, 2)
