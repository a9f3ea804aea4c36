"""What the rules promise."""

import pytest
from rules import Game, IllegalMove, Marked, decide, evolve, replay


def test_three_in_a_row_win() -> None:
    game = replay(map(Marked, [0, 3, 1, 4, 2]))

    assert (game.board, game.winner, game.is_over) == ("xxxoo    ", "x", True)


@pytest.mark.parametrize(
    ("played", "player", "cell", "why"),
    [
        ([], "o", 0, "it isn't your turn"),
        ([4], "o", 4, "that cell is taken"),
        ([4], "o", 9, "that cell is taken"),
        ([0, 3, 1, 4, 2], "o", 8, "the match is over"),
    ],
)
def test_what_the_rules_forbid(played: list[int], player: str, cell: int, why: str) -> None:
    with pytest.raises(IllegalMove, match=why):
        decide(replay(map(Marked, played)), player, cell, turn=len(played))


def test_every_game_ends_within_nine_moves() -> None:
    game, cells = Game(), iter([4, 0, 2, 6, 3, 5, 1, 7, 8])
    while not game.is_over:
        game = evolve(game, decide(game, game.to_move, next(cells), turn=game.turn))

    assert game.turn <= 9
