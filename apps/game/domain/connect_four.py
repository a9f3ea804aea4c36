"""Connect Four: discs fall to the bottom of a column, and four in a row win.

The discs of a seat are one number, a bit a cell, from the bottom of column 1 upwards and then to
the right. Each column has a seventh bit, always 0, so that no line goes on in the next column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from apps.game.domain.rules import Board, Cell, Grid, IllegalMove, InTheOpen, Outcome, counted

WIDTH, HEIGHT = 7, 6  # cells
COLUMNS = tuple("1234567")

_STRIDE = HEIGHT + 1
_COLUMN = (1 << HEIGHT) - 1
_FULL = sum(_COLUMN << column * _STRIDE for column in range(WIDTH))
_STEPS = (1, _STRIDE, _STRIDE - 1, _STRIDE + 1)  # up, right, and the two slopes


@dataclass(frozen=True, slots=True)
class Position:
    """Where the discs lie. Seat 0 moves when there are as many of both colours."""

    discs: tuple[int, int] = (0, 0)
    last: int | None = None
    """The bit's number of the disc that has fallen last."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A disc has fallen."""

    seat: int
    column: int
    """From 0."""
    kind: Literal["dropped"] = "dropped"


class ConnectFour(InTheOpen):
    """See `Rules`."""

    name = "connect-four"
    title = "Connect Four"
    sides = ("red", "yellow")
    how_to_move = "A move is a column, 1 to 7."
    position_type = Position
    event_type = Dropped

    def new(self) -> Position:
        return Position()

    def to_move(self, position: Position) -> frozenset[int]:
        if self.outcome(position) is not None:
            return frozenset()
        first, second = position.discs
        return frozenset({first.bit_count() - second.bit_count()})

    def outcome(self, position: Position) -> Outcome | None:
        for seat, discs in enumerate(position.discs):
            if fours(discs):
                return Outcome(seat, "four in a row")
        if position.discs[0] | position.discs[1] == _FULL:
            return Outcome(None, "the board is full")
        return None

    def legal(self, position: Position, seat: int) -> tuple[str, ...]:
        if seat not in self.to_move(position):
            return ()
        return tuple(COLUMNS[column] for column in open_columns(position))

    def decide(self, position: Position, seat: int, move: str) -> tuple[Dropped, ...]:
        if move not in COLUMNS:
            raise IllegalMove("a move is a column, 1 to 7")
        column = COLUMNS.index(move)
        if column not in open_columns(position):
            raise IllegalMove(f"column {move} is full")
        return (Dropped(seat, column),)

    def evolve(self, position: Position, event: Dropped) -> Position:
        bit = landing(position, event.column)
        discs = list(position.discs)
        discs[event.seat] |= 1 << bit
        return Position((discs[0], discs[1]), bit)

    def notation(self, event: Dropped) -> str:
        return COLUMNS[event.column]

    def board(self, position: Position, seat: int | None) -> Board:
        won = fours(position.discs[0]) | fours(position.discs[1])
        moves = () if seat is None else self.legal(position, seat)
        targets = {landing(position, COLUMNS.index(move)) for move in moves}

        def cell(column: int, row: int) -> Cell:
            bit = column * _STRIDE + row
            piece = self._piece(position, bit)
            number = COLUMNS[column]
            return Cell(
                name=f"{number}-{row + 1}",
                label=f"column {number}, row {row + 1}, {piece or 'empty'}",
                piece=piece,
                move=number if number in moves and not piece else None,
                is_target=bit in targets,
                is_last=bit == position.last,
                is_winning=bool(won >> bit & 1),
            )

        rows = range(HEIGHT - 1, -1, -1)
        cells = tuple(cell(column, row) for row in rows for column in range(WIDTH))
        heads = tuple(str(row + 1) for row in rows)
        red, yellow = (counted(discs.bit_count(), "disc") for discs in position.discs)
        return Board((Grid("board", "Board", COLUMNS, heads, cells),), (red, yellow))

    def _piece(self, position: Position, bit: int) -> str:
        for side, discs in zip(self.sides, position.discs, strict=True):
            if discs >> bit & 1:
                return side
        return ""


def landing(position: Position, column: int) -> int:
    """Return the bit's number of the lowest free cell of a column that isn't full."""
    taken = position.discs[0] | position.discs[1]
    return column * _STRIDE + (taken >> column * _STRIDE & _COLUMN).bit_count()


def open_columns(position: Position) -> tuple[int, ...]:
    """Return the columns, from 0, that have room for a disc."""
    taken = position.discs[0] | position.discs[1]
    return tuple(
        column for column in range(WIDTH) if taken >> column * _STRIDE & _COLUMN != _COLUMN
    )


def fours(discs: int) -> int:
    """Return those of a seat's discs that are in a line of four or more."""
    found = 0
    for step in _STEPS:
        starts = _starts(discs, step)
        if starts:
            found |= starts | starts << step | starts << 2 * step | starts << 3 * step
    return found


def chances(position: Position, seat: int) -> int:
    """Return in how many places a seat may still get four in a row: 69 on the empty board."""
    free = _FULL & ~position.discs[1 - seat]
    return sum(_starts(free, step).bit_count() for step in _STEPS)


def _starts(cells: int, step: int) -> int:
    """Return the first cell of each line of four in one direction."""
    pairs = cells & cells >> step
    return pairs & pairs >> 2 * step
