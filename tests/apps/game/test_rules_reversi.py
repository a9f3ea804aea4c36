"""The rules of Reversi, against what is published of them."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.game.domain.reversi import Passed, Placed, Position, Reversi, squares_of, turned
from apps.game.domain.reversi import moves as moves_of
from apps.game.domain.rules import IllegalMove, Outcome, replay, try_move
from tests.apps.game.playing import perft, play

RULES = Reversi()

# Black is beaten by 59 to 0, and has passed 23 times. From a list of mathematicians' puzzles, where
# black's moves are written in capitals.
MOST_PASSES = (
    "F5d6C4g5D7c7H5d8B8b7B6a7b5A6a5b4B3c6E8f8C8a8e7a4b2A2c2D2d1e2"
    "F2c5c3a1a3e6d3f6F7f1g2H2e3F4b1g1c1e1g8g7f3h1h3h4h6"
)


def moves(text: str) -> list[str]:
    return re.findall("[A-Ha-h][1-8]", text)


@pytest.mark.parametrize(
    ("depth", "games"),
    [(1, 4), (2, 12), (3, 56), (4, 244), (5, 1_396), (6, 8_200), (7, 55_092)],
)
def test_there_are_as_many_games_as_others_have_counted(depth: int, games: int) -> None:
    assert perft(RULES, depth) == games


@example([0, *[1] * 6, *[None] * 57])
@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([None, 0, 0, 1, 1, 1]), min_size=64, max_size=64))
def test_a_disc_turns_what_a_walk_in_each_direction_turns(owners: list[int | None]) -> None:
    board = dict(zip(itertools.product(range(8), range(8)), owners, strict=True))
    discs = [sum(1 << n for n, owner in enumerate(owners) if owner == seat) for seat in (0, 1)]
    position = Position((discs[0], discs[1]))

    for square, (row, column) in enumerate(board):
        expected = set[int]()
        for down, right in itertools.product((-1, 0, 1), repeat=2):
            line = [(row + down * n, column + right * n) for n in range(1, 8)]
            run = list(itertools.takewhile(lambda place: board.get(place) == 1, line))
            if len(run) < 7 and board.get(line[len(run)]) == 0:
                expected |= {row * 8 + column for row, column in run}
        assert set(squares_of(turned(position, 0, square))) == expected
        is_legal = bool(expected) and owners[square] is None
        assert bool(moves_of(position, 0) >> square & 1) == is_legal


def test_the_shortest_game_ends_when_one_side_is_wiped_out() -> None:
    position, log = play(RULES, moves("e6f4e3f6g5d6e7f5c5"))

    assert RULES.outcome(position) == Outcome(0, "13 to 0")
    assert RULES.board(position, None).tallies == ("13 discs", "0 discs")
    assert RULES.to_move(position) == frozenset()
    assert {type(event) for event in log} == {Placed}  # nobody passes after the end
    with pytest.raises(IllegalMove, match="the game is over"):
        try_move(RULES, position, 1, "a1")


def test_a_game_ends_when_neither_side_can_move_though_both_have_discs() -> None:
    position, log = play(RULES, moves("f5f4c3e6f7g6g4e8g8g5h5"))

    assert RULES.outcome(position) == Outcome(0, "14 to 1")
    assert RULES.board(position, None).tallies == ("14 discs", "1 disc")
    assert len(log) == 11


def test_whoever_cant_move_passes_by_itself() -> None:
    position, log = RULES.new(), list[Placed | Passed]()
    for move in moves(MOST_PASSES):
        seat = 0 if move[0].isupper() else 1
        assert RULES.to_move(position) == {seat}
        log += try_move(RULES, position, seat, move)
        position = replay(RULES, tuple(log))

    assert sum(event == Passed(0) for event in log) == 23
    assert sum(event == Passed(1) for event in log) == 0
    assert [RULES.notation(event) for event in log[11:14]] == ["a7", "passes", "b5"]
    assert RULES.outcome(position) == Outcome(1, "59 to 0")


def test_equal_numbers_of_discs_are_a_draw() -> None:
    top, bottom = (1 << 32) - 1, (1 << 64) - (1 << 32)

    assert RULES.outcome(Position((top, bottom))) == Outcome(None, "32 to 32")
    assert RULES.outcome(Position((top ^ 1, bottom | 1))) == Outcome(1, "33 to 31")


@pytest.mark.parametrize(
    ("move", "rule"),
    [
        ("a9", "a move is a square, a1 to h8"),
        ("i1", "a move is a square, a1 to h8"),
        ("pass", "a move is a square, a1 to h8"),
        ("d3c4", "a move is a square, a1 to h8"),
        ("d4", "d4 is taken"),
        ("a1", "a disc on a1 would turn none"),
        ("e3", "a disc on e3 would turn none"),
    ],
)
def test_a_move_against_the_rules_is_refused_by_its_rule(move: str, rule: str) -> None:
    with pytest.raises(IllegalMove, match=rule):
        try_move(RULES, RULES.new(), 0, move)


def test_a_move_is_read_in_capitals_and_between_blanks() -> None:
    assert try_move(RULES, RULES.new(), 0, " D3 ") == try_move(RULES, RULES.new(), 0, "d3")


def test_the_board_shows_the_legal_squares_and_the_last_one() -> None:
    position, _ = play(RULES, ["d3"])

    cells = {cell.name: cell for cell in RULES.board(position, 1).grids[0].cells}

    assert [name for name, cell in cells.items() if cell.is_last] == ["d3"]
    assert [name for name, cell in cells.items() if cell.move] == ["c3", "e3", "c5"]
    assert [cells[name].label for name in ("d3", "d4", "e5", "a1")] == [
        "d3, black",
        "d4, black",
        "e5, white",
        "a1, empty",
    ]
