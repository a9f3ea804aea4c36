"""The rules of Connect Four, against what is published of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.game.domain.connect_four import ConnectFour, Position, chances
from apps.game.domain.rules import IllegalMove, Outcome, try_move
from tests.apps.game.playing import nexts, perft, play

RULES = ConnectFour()
FULL = "441365675334466335442232661515577771217122"


@pytest.mark.parametrize(("depth", "games"), [(6, 7**6), (7, 823_536)])
def test_there_are_as_many_games_as_others_have_counted(depth: int, games: int) -> None:
    assert perft(RULES, depth) == games  # of seven moves, seven fill a column


def test_there_are_as_many_positions_after_each_move_as_others_have_counted() -> None:
    positions, counts = {RULES.new()}, list[int]()
    for _ in range(6):
        positions = {
            Position(after.discs) for position in positions for after in nexts(RULES, position)
        }
        counts.append(len(positions))

    assert counts == [7, 49, 238, 1_120, 4_263, 16_422]  # OEIS A212693


@pytest.mark.parametrize(
    ("moves", "winner", "line"),
    [
        ("6371415", 0, "4-1 5-1 6-1 7-1"),
        ("53517214", 1, "1-1 2-1 3-1 4-1"),
        ("6164676", 0, "6-1 6-2 6-3 6-4"),
        ("33134373", 1, "3-2 3-3 3-4 3-5"),
        ("13434442352", 0, "1-1 2-2 3-3 4-4"),
        ("244133534254", 1, "1-1 2-2 3-3 4-4"),
        ("4256323127111", 0, "1-4 2-3 3-2 4-1"),
        ("231263121134", 1, "1-4 2-3 3-2 4-1"),
        ("4542213611556411253", 0, "1-2 2-2 3-2 4-2 5-2 6-2 1-4 2-3 4-1"),
    ],
)
def test_four_in_a_row_or_more_win_in_every_direction(moves: str, winner: int, line: str) -> None:
    position, _ = play(RULES, moves)

    assert RULES.outcome(position) == Outcome(winner, "four in a row")
    assert winning(position) == set(line.split())
    assert RULES.to_move(position) == frozenset()
    for seat in (0, 1):
        with pytest.raises(IllegalMove, match="the game is over"):
            try_move(RULES, position, seat, "1")


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=42, max_size=42))
def test_a_line_doesnt_go_on_at_the_other_end_of_the_board(reds: list[bool]) -> None:
    cells = {(n % 7, n // 7) for n, is_red in enumerate(reds) if is_red}
    lines = [
        {(column + right * n, row + up * n) for n in range(4)}
        for column, row in cells
        for right, up in ((1, 0), (0, 1), (1, 1), (1, -1))
    ]
    expected = {f"{c + 1}-{r + 1}" for line in lines if line <= cells for c, r in line}

    position = Position((sum(1 << column * 7 + row for column, row in cells), 0))

    assert winning(position) == expected


def test_a_full_board_without_four_in_a_row_is_a_draw() -> None:
    position, log = play(RULES, FULL)
    before, _ = play(RULES, FULL[:-1])

    assert RULES.outcome(before) is None
    assert RULES.legal(before, 1) == ("2",)
    assert RULES.outcome(position) == Outcome(None, "the board is full")
    assert RULES.to_move(position) == frozenset()
    assert len(log) == 42
    assert RULES.board(position, 0).tallies == ("21 discs", "21 discs")


@pytest.mark.parametrize(
    ("moves", "move", "rule"),
    [
        ("", "0", "a move is a column, 1 to 7"),
        ("", "8", "a move is a column, 1 to 7"),
        ("", "", "a move is a column, 1 to 7"),
        ("", "12", "a move is a column, 1 to 7"),
        ("", "\u0664", "a move is a column, 1 to 7"),
        ("", "1" * 41, "at most 40 characters"),
        ("444444", "4", "column 4 is full"),
    ],
)
def test_a_move_against_the_rules_is_refused_by_its_rule(moves: str, move: str, rule: str) -> None:
    position, _ = play(RULES, moves)

    with pytest.raises(IllegalMove, match=rule):
        try_move(RULES, position, min(RULES.to_move(position)), move)


def test_the_board_shows_where_a_disc_would_fall_and_where_the_last_one_has() -> None:
    position, _ = play(RULES, "44")

    cells = {cell.name: cell for cell in RULES.board(position, 0).grids[0].cells}

    assert [name for name, cell in cells.items() if cell.is_last] == ["4-2"]
    assert cells["4-2"].label == "column 4, row 2, yellow"
    assert cells["4-2"].move is None
    assert (cells["4-6"].move, cells["4-6"].is_target) == ("4", False)
    assert (cells["4-3"].move, cells["4-3"].is_target) == ("4", True)
    assert cells["4-3"].label == "column 4, row 3, empty"


def test_a_seat_has_fewer_chances_where_the_others_discs_stand() -> None:
    position, _ = play(RULES, "4")

    assert chances(RULES.new(), 0) == 69
    assert (chances(position, 0), chances(position, 1)) == (69, 69 - 7)


def winning(position: Position) -> set[str]:
    cells = RULES.board(position, None).grids[0].cells
    return {cell.name for cell in cells if cell.is_winning}
