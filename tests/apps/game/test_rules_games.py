"""What holds for every game: a match, its page and its log rely on this."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from apps.game.domain.games import GAMES
from apps.game.domain.players import choose
from apps.game.domain.rules import Board, IllegalMove, Rules, replay, try_move
from tests.apps.game.noughts_and_crosses import NoughtsAndCrosses

AUDIENCES = (0, 1, None)
bounded = settings(max_examples=25, deadline=None)
ALL: tuple[Rules[Any, Any], ...] = (*GAMES.values(), NoughtsAndCrosses())
every_game = pytest.mark.parametrize("rules", ALL, ids=[rules.name for rules in ALL])


@dataclass(frozen=True)
class Playout:
    """A game that is played by chance up to some point."""

    log: list[Any]
    positions: list[Any]
    """The first one, and those after each event."""


def playout(rules: Rules[Any, Any], rng: Random, attempts: int) -> Playout:
    """Play by attempts of either seat, a third of them nonsense."""
    log, positions = list[Any](), [rules.new()]
    for _ in range(attempts):
        seat, position = rng.randrange(2), positions[-1]
        moves = rules.legal(position, seat)
        if rng.random() < 0.3:
            move = rng.choice(["", "a1", "4", "a1-a5", "9", "resign", "d3", "h8"])
        elif moves:
            move = rng.choice(moves)
        elif seat in rules.to_move(position):
            move = choose(rules, rules.view(position, seat), seat, rng)
        else:
            move = "b2"
        try:
            events = try_move(rules, position, seat, move)
        except IllegalMove:
            continue
        log += events
        for event in events:
            positions.append(rules.evolve(positions[-1], event))
    return Playout(log, positions)


@every_game
@bounded
@given(st.randoms(use_true_random=False), st.integers(0, 150))
def test_any_attempts_leave_a_game_that_its_log_rebuilds(
    rules: Rules[Any, Any], rng: Random, attempts: int
) -> None:
    game = playout(rules, rng, attempts)

    assert replay(rules, tuple(game.log)) == game.positions[-1]
    kept_events = TypeAdapter(list[rules.event_type])  # type: ignore[name-defined]
    assert kept_events.validate_json(kept_events.dump_json(game.log)) == game.log
    kept_position = TypeAdapter(rules.position_type)
    for position in game.positions:
        assert kept_position.validate_json(kept_position.dump_json(position)) == position


@every_game
@bounded
@given(st.randoms(use_true_random=False), st.integers(0, 150))
def test_events_that_somebody_has_seen_lead_to_what_they_see(
    rules: Rules[Any, Any], rng: Random, attempts: int
) -> None:
    game = playout(rules, rng, attempts)

    for audience in AUDIENCES:
        seen = rules.new()
        for event, position in zip(game.log, game.positions[1:], strict=True):
            seen = rules.evolve(seen, rules.view_event(event, audience))
            view = rules.view(position, audience)
            assert seen == view
            assert rules.view(view, audience) == view
            assert rules.to_move(view) == rules.to_move(position)
            assert rules.outcome(view) == rules.outcome(position)


@every_game
@bounded
@given(st.randoms(use_true_random=False), st.integers(0, 150))
def test_a_board_has_a_cell_for_each_place_and_the_legal_moves(
    rules: Rules[Any, Any], rng: Random, attempts: int
) -> None:
    position = playout(rules, rng, attempts).positions[-1]

    for audience in AUDIENCES:
        board = rules.board(rules.view(position, audience), audience)
        for grid in board.grids:
            assert len(grid.cells) == len(grid.columns) * len(grid.rows)
            assert len({cell.name for cell in grid.cells}) == len(grid.cells)
            assert all(cell.label.endswith(cell.piece) for cell in grid.cells)
        assert len({grid.name for grid in board.grids}) == len(board.grids)
        assert moves_on(board) == set(() if audience is None else rules.legal(position, audience))
        assert targets_on(board) == moves_on(board)
        assert sum(cell.is_last for grid in board.grids for cell in grid.cells) <= 1


@every_game
def test_a_seat_may_make_its_legal_moves_and_no_others(rules: Rules[Any, Any]) -> None:
    rng = Random(1)
    positions = playout(rules, rng, 120).positions
    cells = {cell for grid in rules.board(rules.new(), 0).grids for cell in grid.cells}
    words = {cell.name for cell in cells} | {str(n) for n in range(10)} | {"", "pass"}

    for position in positions[1::4]:
        for seat in (0, 1):
            legal = set(rules.legal(position, seat))
            accepted = {word for word in words | legal if is_accepted(rules, position, seat, word)}
            assert accepted == legal


@every_game
def test_only_a_game_that_has_ended_has_nobody_to_move(rules: Rules[Any, Any]) -> None:
    for seed in range(5):
        *before, end = playout(rules, Random(seed), 600).positions

        assert rules.outcome(end) is not None
        assert rules.to_move(end) == frozenset()
        assert all(rules.to_move(position) for position in before)
        assert not any(rules.outcome(position) for position in before)
        with pytest.raises(IllegalMove, match="the game is over"):
            try_move(rules, end, 0, "1")


@every_game
def test_a_game_says_what_it_is(rules: Rules[Any, Any]) -> None:
    assert rules.title
    assert rules.how_to_move.endswith(".")
    assert len(set(rules.sides)) == 2


def moves_on(board: Board) -> set[str]:
    return {cell.move for grid in board.grids for cell in grid.cells if cell.move is not None}


def targets_on(board: Board) -> set[str | None]:
    return {cell.move for grid in board.grids for cell in grid.cells if cell.is_target}


def is_accepted(rules: Rules[Any, Any], position: Any, seat: int, move: str) -> bool:
    try:
        return bool(try_move(rules, position, seat, move))
    except IllegalMove:
        return False
