"""The rules of Battleship, and that nobody is told what they may not know."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import pytest

from apps.game.domain.battleship import (
    CELLS,
    FLEET,
    Battleship,
    Fired,
    FleetPlaced,
    Position,
    Shot,
    places,
    read_fleet,
)
from apps.game.domain.rules import IllegalMove, Outcome, try_move
from tests.apps.game.playing import play

RULES = Battleship()
BLUE = "a1-a5 c1-c4 e1-e3 g1-g3 i1-i2"
ORANGE = "a10-e10 j6-j9 h4-f4 b2-b4 d6-d7"
BLUES_SHOTS = "a10 b10 c10 d10 e10 j6 j7 j8 j9 f4 g4 h4 b2 b3 b4 d6 d7".split()
ORANGES_SHOTS = CELLS[50:66]


def test_both_may_place_their_fleets_in_any_order() -> None:
    assert RULES.to_move(RULES.new()) == {0, 1}
    (placed,) = try_move(RULES, RULES.new(), 1, ORANGE)
    position = RULES.evolve(RULES.new(), placed)

    assert RULES.to_move(position) == {0}
    assert RULES.board(position, None).tallies == ("placing ships", "5 ships afloat")
    with pytest.raises(IllegalMove, match="not your turn"):
        try_move(RULES, position, 1, ORANGE)

    position = RULES.evolve(position, try_move(RULES, position, 0, BLUE)[0])

    assert RULES.to_move(position) == {0}
    assert len(RULES.legal(position, 0)) == 100
    assert RULES.legal(position, 1) == ()


def test_a_fleet_may_be_named_from_either_end() -> None:
    ships = read_fleet(ORANGE)

    assert ships[0] == ("a10", "b10", "c10", "d10", "e10")
    assert ships[2] == ("f4", "g4", "h4")


@pytest.mark.parametrize(
    ("fleet", "rule"),
    [
        ("", "ships of 5, 4, 3, 3, 2 cells"),
        ("b7", "five ships from end to end: a1-a5"),
        ("a1-a5 c1-c4 e1-e3 g1-g3", "ships of 5, 4, 3, 3, 2 cells"),
        ("a1-a5 c1-c4 e1-e3 g1-g3 i1-i1", "ships of 5, 4, 3, 3, 2 cells"),
        ("a1-a5 c1-c4 e1-e3 g1-g4 i1-i2", "ships of 5, 4, 3, 3, 2 cells"),
        ("a1-a5 c1-c4 e1-e3 c3-e3 i1-i2", "two ships can't lie on the same cell"),
        ("a1-b5 c1-c4 e1-e3 g1-g3 i1-i2", "one row or one column, and a1-b5 does not"),
        ("a7-a11 c1-c4 e1-e3 g1-g3 i1-i2", "five ships from end to end"),
        ("h1-l1 c1-c4 e1-e3 g1-g3 i1-i2", "five ships from end to end"),
        ("a0-a4 c1-c4 e1-e3 g1-g3 i1-i2", "five ships from end to end"),
        ("a1-a5 c1-c4 e1-e3 g1-g3 i1-i2 j1-j2", "ships of 5, 4, 3, 3, 2 cells"),
        ("a1-a5 " * 7, "at most 40 characters"),
    ],
)
def test_what_is_no_fleet_is_refused_by_its_rule(fleet: str, rule: str) -> None:
    with pytest.raises(IllegalMove, match=rule):
        try_move(RULES, RULES.new(), 0, fleet)


@pytest.mark.parametrize(
    ("move", "rule"),
    [
        ("a11", "a shot is a cell, a1 to j10"),
        ("k1", "a shot is a cell, a1 to j10"),
        ("", "a shot is a cell, a1 to j10"),
        (BLUE, "a shot is a cell, a1 to j10"),
        ("d6", "you have already shot at d6"),
    ],
)
def test_a_shot_against_the_rules_is_refused_by_its_rule(move: str, rule: str) -> None:
    position, _ = play(RULES, [BLUE, ORANGE, "d6", "d6"])

    with pytest.raises(IllegalMove, match=rule):
        try_move(RULES, position, 0, move)


def test_a_shot_tells_what_it_has_hit_and_the_ship_that_it_has_sunk() -> None:
    position, log = play(RULES, [BLUE, ORANGE, "d6", "a1", "d8", "b1", "D7"])

    assert log[2:] == [
        Fired(0, Shot("d6", is_hit=True)),
        Fired(1, Shot("a1", is_hit=True)),
        Fired(0, Shot("d8", is_hit=False)),
        Fired(1, Shot("b1", is_hit=False)),
        Fired(0, Shot("d7", is_hit=True, sunk=("d6", "d7"))),
    ]
    assert [RULES.notation(event) for event in log] == [
        "places the fleet",
        "places the fleet",
        "d6 hit",
        "a1 hit",
        "d8 miss",
        "b1 miss",
        "d7 sinks a ship",
    ]
    assert RULES.board(position, 0).tallies == ("5 ships afloat", "4 ships afloat")


def test_whoever_sinks_the_whole_fleet_first_has_won() -> None:
    shots = [shot for pair in zip(BLUES_SHOTS, ORANGES_SHOTS, strict=False) for shot in pair]
    before, _ = play(RULES, [BLUE, ORANGE, *shots])
    position, _ = play(RULES, [BLUE, ORANGE, *shots, BLUES_SHOTS[-1]])

    assert RULES.outcome(before) is None
    assert RULES.board(before, None).tallies[1] == "1 ship afloat"
    for audience in (0, 1, None):
        view = RULES.view(position, audience)
        assert RULES.outcome(view) == Outcome(0, "the whole fleet is sunk")
        assert RULES.to_move(view) == frozenset()


def test_each_sees_their_own_ships_and_of_the_others_what_was_hit() -> None:
    position, log = play(RULES, [BLUE, ORANGE, "d6", "a1", "d7", "j10"])

    blues, nobodys = RULES.view(position, 0), RULES.view(position, None)

    assert [grid.title for grid in RULES.board(blues, 0).grids] == [
        "Orange's waters",
        "Your waters",
    ]
    assert [grid.title for grid in RULES.board(nobodys, None).grids] == [
        "Orange's waters",
        "Blue's waters",
    ]
    assert pieces(blues, 0) == {
        "orange": Counter(sunk=2),
        "blue": Counter(ship=sum(FLEET) - 1, hit=1, miss=1),
    }
    assert pieces(nobodys, None) == {
        "orange": Counter(sunk=2),
        "blue": Counter(hit=1, miss=1),
    }
    assert pieces(position, None) == {
        "orange": Counter(sunk=2, ship=sum(FLEET) - 2),
        "blue": Counter(ship=sum(FLEET) - 1, hit=1, miss=1),
    }  # when it is over, and there is nothing to hide
    assert [RULES.view_event(event, 1) for event in log] == [FleetPlaced(0), *log[1:]]


def test_one_shoots_at_the_others_waters_and_sees_the_last_shot() -> None:
    position, _ = play(RULES, [BLUE, ORANGE, "d6", "a1"])
    theirs, own = RULES.board(RULES.view(position, 0), 0).grids

    assert {cell.name for cell in theirs.cells if cell.move == cell.name} == {*CELLS} - {"d6"}
    assert not any(cell.move for cell in own.cells)
    assert [cell.label for cell in own.cells if cell.is_last] == ["a1, hit"]
    assert not any(cell.is_last for cell in theirs.cells)
    for audience in (1, None):
        grids = RULES.board(position, audience).grids
        assert not any(cell.move for grid in grids for cell in grid.cells)


@pytest.mark.parametrize(
    ("audience", "fleets"), [(0, [ORANGE]), (1, [BLUE]), (None, [BLUE, ORANGE])]
)
def test_ships_that_werent_hit_are_in_nothing_that_others_get(
    audience: int | None, fleets: list[str]
) -> None:
    position, log = play(RULES, [BLUE, ORANGE, "d6", "a1", "e6"])
    ships = [ship for fleet in fleets for ship in read_fleet(fleet)]
    secret = {cell for ship in ships for cell in ship} - {"d6", "a1"}

    view = RULES.view(position, audience)
    told = repr([asdict(view), *(asdict(RULES.view_event(event, audience)) for event in log)])

    assert not [cell for cell in secret if repr(cell) in told]
    assert "'e6'" in told  # or this test would find nothing anywhere


def test_a_ship_may_lie_wherever_it_fits() -> None:
    assert len(set(places(5))) == 2 * 6 * 10
    assert len(set(places(2))) == 2 * 9 * 10
    assert {len(ship) for ship in places(3)} == {3}


def pieces(position: Position, seat: int | None) -> dict[str, Counter[str]]:
    return {
        grid.name: Counter(cell.piece for cell in grid.cells if cell.piece)
        for grid in RULES.board(position, seat).grids
    }


def titles(position: Position, seat: int | None) -> list[str]:
    return [grid.title for grid in RULES.board(position, seat).grids]
