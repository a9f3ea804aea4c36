"""A match is played by the rules, and kept."""

import pytest
from app import Match
from rules import IllegalMove

from runtime.testing import TestRuntime


async def test_a_match_is_kept() -> None:
    async with TestRuntime(bindings={"matches": Match}) as rt:
        match = rt.env.matches.get_by_name("a")
        await match.play("x", 0)
        with pytest.raises(IllegalMove):
            await match.play("x", 1)

        await rt.crash()

        assert (await rt.env.matches.get_by_name("a").game()).board == "x        "
