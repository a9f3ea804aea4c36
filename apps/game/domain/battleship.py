"""Battleship: both place a fleet where the other can't see it, then shoot in turn.

What is hidden is where ships are that haven't been hit. What came of a shot is part of the shot, so
that everybody can see it without what it was found out from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from apps.game.domain.rules import Board, Cell, Grid, IllegalMove, Outcome, counted

COLUMNS, ROWS = tuple("abcdefghij"), tuple(str(row) for row in range(1, 11))
CELLS = tuple(column + row for row in ROWS for column in COLUMNS)
FLEET = (5, 4, 3, 3, 2)  # cells of each ship

Ship = tuple[str, ...]
"""Its cells, from the left or the top."""

_SPAN = re.compile(r"([a-j])(10|[1-9])-([a-j])(10|[1-9])")
_HOW_TO_PLACE = "a fleet is five ships from end to end: a1-a5 c1-c4 e1-e3 g1-g3 i1-i2"


@dataclass(frozen=True, slots=True)
class Shot:
    """A shot, and what came of it."""

    cell: str
    is_hit: bool
    sunk: Ship = ()
    """The ship of which this was the last cell."""


@dataclass(frozen=True, slots=True)
class Waters:
    """One seat's ships, and the other's shots at them."""

    is_ready: bool = False
    ships: tuple[Ship, ...] = ()
    """Nothing before they are placed, and nothing where they are hidden."""
    shots: tuple[Shot, ...] = ()
    """In the order in which they were fired."""


@dataclass(frozen=True, slots=True)
class Position:
    """Both seats' waters."""

    waters: tuple[Waters, Waters] = (Waters(), Waters())


@dataclass(frozen=True, slots=True)
class FleetPlaced:
    """A seat has said where its ships are. Others see the event without them."""

    seat: int
    ships: tuple[Ship, ...] = ()
    kind: Literal["fleet_placed"] = "fleet_placed"


@dataclass(frozen=True, slots=True)
class Fired:
    """A seat has shot at the other's waters."""

    seat: int
    shot: Shot
    kind: Literal["fired"] = "fired"


class Battleship:
    """See `Rules`. Its first moves are whole fleets; `decide` has to know where the ships are."""

    name = "battleship"
    title = "Battleship"
    sides = ("blue", "orange")
    how_to_move = f"A shot is a cell, a1 to j10; {_HOW_TO_PLACE}."
    position_type = Position
    event_type = FleetPlaced | Fired

    def new(self) -> Position:
        return Position()

    def to_move(self, position: Position) -> frozenset[int]:
        unready = frozenset(seat for seat in (0, 1) if not position.waters[seat].is_ready)
        if unready or self.outcome(position) is not None:
            return unready
        at_first, at_second = (len(waters.shots) for waters in position.waters)
        return frozenset({at_second - at_first})

    def outcome(self, position: Position) -> Outcome | None:
        for seat, waters in enumerate(position.waters):
            if len(_sunk(waters)) == len(FLEET):
                return Outcome(1 - seat, "the whole fleet is sunk")
        return None

    def legal(self, position: Position, seat: int) -> tuple[str, ...]:
        if seat not in self.to_move(position) or not position.waters[seat].is_ready:
            return ()
        tried = {shot.cell for shot in position.waters[1 - seat].shots}
        return tuple(cell for cell in CELLS if cell not in tried)

    def decide(self, position: Position, seat: int, move: str) -> tuple[FleetPlaced | Fired, ...]:
        if not position.waters[seat].is_ready:
            return (FleetPlaced(seat, read_fleet(move)),)
        if move not in CELLS:
            raise IllegalMove("a shot is a cell, a1 to j10")
        if any(shot.cell == move for shot in position.waters[1 - seat].shots):
            raise IllegalMove(f"you have already shot at {move}")
        return (Fired(seat, _shot(position.waters[1 - seat], move)),)

    def evolve(self, position: Position, event: FleetPlaced | Fired) -> Position:
        waters = list(position.waters)
        if isinstance(event, FleetPlaced):
            waters[event.seat] = Waters(is_ready=True, ships=event.ships)
        else:
            target = waters[1 - event.seat]
            waters[1 - event.seat] = replace(target, shots=(*target.shots, event.shot))
        return Position((waters[0], waters[1]))

    def view(self, position: Position, seat: int | None) -> Position:
        first, second = (
            waters if owner == seat else replace(waters, ships=())
            for owner, waters in enumerate(position.waters)
        )
        return Position((first, second))

    def view_event(self, event: FleetPlaced | Fired, seat: int | None) -> FleetPlaced | Fired:
        if isinstance(event, FleetPlaced) and event.seat != seat:
            return FleetPlaced(event.seat)
        return event

    def notation(self, event: FleetPlaced | Fired) -> str:
        if isinstance(event, FleetPlaced):
            return "places the fleet"
        shot = event.shot
        result = "sinks a ship" if shot.sunk else "hit" if shot.is_hit else "miss"
        return f"{shot.cell} {result}"

    def board(self, position: Position, seat: int | None) -> Board:
        targets = () if seat is None else self.legal(position, seat)
        last = _last_target(position)

        def grid(owner: int) -> Grid:
            waters, side = position.waters[owner], self.sides[owner]
            cells = _cells(waters, () if owner == seat else targets, is_newest=owner == last)
            title = "Your waters" if owner == seat else f"{side.title()}'s waters"
            return Grid(side, title, COLUMNS, ROWS, cells)

        blue, orange = (_tally(waters) for waters in position.waters)
        order = (1, 0) if seat is None else (1 - seat, seat)  # as the players' names stand
        return Board(tuple(grid(owner) for owner in order), (blue, orange))


def read_fleet(text: str) -> tuple[Ship, ...]:
    """Return the ships that a text such as "a1-a5 c1-c4 e1-e3 g1-g3 i1-i2" names, in its order.

    Raises:
        IllegalMove: If they aren't one fleet's, or don't fit into the waters.
    """
    ships = tuple(_read_ship(span) for span in text.split())
    if sorted(map(len, ships), reverse=True) != list(FLEET):
        raise IllegalMove(f"a fleet has ships of {', '.join(map(str, FLEET))} cells")
    cells = [cell for ship in ships for cell in ship]
    if len(set(cells)) < len(cells):
        raise IllegalMove("two ships can't lie on the same cell")
    return ships


def ship_between(start: tuple[int, int], end: tuple[int, int]) -> Ship:
    """Return the cells from one to another, each a column and a row from 0; none of them if they
    aren't in one line."""
    (left, right), (top, bottom) = (sorted(pair) for pair in zip(start, end, strict=True))
    if left != right and top != bottom:
        return ()
    return tuple(
        COLUMNS[column] + ROWS[row]
        for row in range(top, bottom + 1)
        for column in range(left, right + 1)
    )


def places(length: int) -> Iterator[Ship]:
    """Yield every way in which a ship of some cells may lie."""
    for column in range(len(COLUMNS)):
        for row in range(len(ROWS)):
            if column + length <= len(COLUMNS):
                yield ship_between((column, row), (column + length - 1, row))
            if row + length <= len(ROWS):
                yield ship_between((column, row), (column, row + length - 1))


def _read_ship(span: str) -> Ship:
    ends = _SPAN.fullmatch(span)
    if ends is None:
        raise IllegalMove(_HOW_TO_PLACE)
    column, row, last_column, last_row = ends.groups()
    start = COLUMNS.index(column), ROWS.index(row)
    ship = ship_between(start, (COLUMNS.index(last_column), ROWS.index(last_row)))
    if not ship:
        raise IllegalMove(f"a ship lies in one row or one column, and {span} does not")
    return ship


def _shot(waters: Waters, cell: str) -> Shot:
    hits = {shot.cell for shot in waters.shots if shot.is_hit} | {cell}
    for ship in waters.ships:
        if cell in ship:
            return Shot(cell, is_hit=True, sunk=ship if hits.issuperset(ship) else ())
    return Shot(cell, is_hit=False)


def _sunk(waters: Waters) -> list[Ship]:
    return [shot.sunk for shot in waters.shots if shot.sunk]


def _last_target(position: Position) -> int | None:
    """Return whose waters were shot at last. Seat 0 shoots first."""
    at_first, at_second = (len(waters.shots) for waters in position.waters)
    if not at_second:
        return None
    return 0 if at_first == at_second else 1


def _cells(waters: Waters, targets: tuple[str, ...], *, is_newest: bool) -> tuple[Cell, ...]:
    pieces = {cell: "ship" for ship in waters.ships for cell in ship}
    pieces |= {shot.cell: "hit" if shot.is_hit else "miss" for shot in waters.shots}
    pieces |= {cell: "sunk" for ship in _sunk(waters) for cell in ship}
    last = waters.shots[-1].cell if is_newest else None
    return tuple(
        Cell(
            name=cell,
            label=f"{cell}, {pieces.get(cell, 'open water')}",
            piece=pieces.get(cell, ""),
            move=cell if cell in targets else None,
            is_target=cell in targets,
            is_last=cell == last,
        )
        for cell in CELLS
    )


def _tally(waters: Waters) -> str:
    if not waters.is_ready:
        return "placing ships"
    return f"{counted(len(FLEET) - len(_sunk(waters)), 'ship')} afloat"
