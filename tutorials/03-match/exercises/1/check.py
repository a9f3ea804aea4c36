"""A match can be looked at as it was."""

from app import Match

from runtime.testing import TestRuntime


async def test_every_board_of_it_is_there() -> None:
    async with TestRuntime(bindings={"matches": Match}, evicting=True) as rt:
        match = rt.env.matches.get_by_name("a")
        for turn, cell in enumerate((0, 3, 1, 4, 2)):
            await match.play("xo"[turn % 2], cell, turn)

        boards = [(await match.game_at(turn)).board.replace(" ", ".") for turn in range(6)]

        assert boards[:4] == [".........", "x........", "x..o.....", "xx.o....."]
        assert [(await match.game_at(turn)).winner for turn in (4, 5)] == ["", "x"]
