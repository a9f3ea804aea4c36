"""Reversi, as Othello is played: what stands between two discs of one colour turns to it.

The discs of a seat are one number, a bit a square: a1, in the top left corner, is bit 0, b1 is
bit 1, and h8 is bit 63. Lines are found for all squares at once, by shifting the whole board.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from apps.game.domain.rules import Board, Cell, Grid, IllegalMove, InTheOpen, Outcome, counted

FILES, RANKS = tuple("abcdefgh"), tuple("12345678")
SQUARES = tuple(file + rank for rank in RANKS for file in FILES)

_ALL = (1 << 64) - 1
_INNER_FILES = 0x7E7E7E7E7E7E7E7E  # a line that goes sideways ends at files a and h
_LINES = ((1, _INNER_FILES), (7, _INNER_FILES), (8, _ALL), (9, _INNER_FILES))
"""How far one step of each line is, and where it may go on; each is gone both ways."""


def _bits(*squares: str) -> int:
    return sum(1 << SQUARES.index(square) for square in squares)


@dataclass(frozen=True, slots=True)
class Position:
    """Where the discs lie, and who comes next. Black is seat 0."""

    discs: tuple[int, int] = (_bits("e4", "d5"), _bits("d4", "e5"))
    turn: int = 0
    last: int | None = None
    """The number of the square that was taken last."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A disc has been put down, and has turned others."""

    seat: int
    square: int
    """Its number, from 0 for a1 and 1 for b1."""
    kind: Literal["placed"] = "placed"


@dataclass(frozen=True, slots=True)
class Passed:
    """A seat had no move; the other one goes on."""

    seat: int
    kind: Literal["passed"] = "passed"


class Reversi(InTheOpen):
    """See `Rules`. A seat that can't move passes by itself: that is an event, and never a move."""

    name = "reversi"
    title = "Reversi"
    sides = ("black", "white")
    how_to_move = "A move is a square, a1 to h8."
    position_type = Position
    event_type = Placed | Passed

    def new(self) -> Position:
        return Position()

    def to_move(self, position: Position) -> frozenset[int]:
        return frozenset() if self.outcome(position) else frozenset({position.turn})

    def outcome(self, position: Position) -> Outcome | None:
        if moves(position, 0) or moves(position, 1):
            return None
        black, white = (discs.bit_count() for discs in position.discs)
        winner = None if black == white else int(white > black)
        return Outcome(winner, f"{max(black, white)} to {min(black, white)}")

    def legal(self, position: Position, seat: int) -> tuple[str, ...]:
        if seat != position.turn:
            return ()
        return tuple(SQUARES[square] for square in squares_of(moves(position, seat)))

    def decide(self, position: Position, seat: int, move: str) -> tuple[Placed | Passed, ...]:
        if move not in SQUARES:
            raise IllegalMove("a move is a square, a1 to h8")
        square = SQUARES.index(move)
        if (position.discs[0] | position.discs[1]) >> square & 1:
            raise IllegalMove(f"{move} is taken")
        if not turned(position, seat, square):
            raise IllegalMove(f"a disc on {move} would turn none of the other side's")
        placed = Placed(seat, square)
        after = self.evolve(position, placed)
        if not moves(after, 1 - seat) and moves(after, seat):
            return placed, Passed(1 - seat)
        return (placed,)

    def evolve(self, position: Position, event: Placed | Passed) -> Position:
        if isinstance(event, Passed):
            return Position(position.discs, 1 - event.seat, position.last)
        flips = turned(position, event.seat, event.square)
        own = position.discs[event.seat] | flips | 1 << event.square
        other = position.discs[1 - event.seat] & ~flips
        discs = (other, own) if event.seat else (own, other)
        return Position(discs, 1 - event.seat, event.square)

    def notation(self, event: Placed | Passed) -> str:
        return "passes" if isinstance(event, Passed) else SQUARES[event.square]

    def board(self, position: Position, seat: int | None) -> Board:
        legal = () if seat is None else self.legal(position, seat)

        def cell(square: int) -> Cell:
            name, piece = SQUARES[square], self._piece(position, square)
            return Cell(
                name=name,
                label=f"{name}, {piece or 'empty'}",
                piece=piece,
                move=name if name in legal else None,
                is_target=name in legal,
                is_last=square == position.last,
            )

        cells = tuple(cell(square) for square in range(64))
        black, white = (counted(discs.bit_count(), "disc") for discs in position.discs)
        return Board((Grid("board", "Board", FILES, RANKS, cells),), (black, white))

    def _piece(self, position: Position, square: int) -> str:
        for side, discs in zip(self.sides, position.discs, strict=True):
            if discs >> square & 1:
                return side
        return ""


def moves(position: Position, seat: int) -> int:
    """Return the squares, as bits, where a disc of this seat would turn others, now or if it were
    to move."""
    own, other = position.discs[seat], position.discs[1 - seat]
    found = 0
    for step, middle in _LINES:
        others = other & middle
        up, down = others & own << step, others & own >> step
        for _ in range(5):  # at most six discs lie between two
            up |= others & up << step
            down |= others & down >> step
        found |= up << step | down >> step
    return found & ~(own | other) & _ALL


def turned(position: Position, seat: int, square: int) -> int:
    """Return the discs, as bits, that one of this seat on a square turns."""
    own, other = position.discs[seat], position.discs[1 - seat]
    found = 0
    for step, middle in _LINES:
        others = other & middle
        for shift in (step, -step):
            run, bit = 0, _shifted(1 << square, shift)
            while bit & others:
                run |= bit
                bit = _shifted(bit, shift)
            if bit & own:
                found |= run
    return found


def squares_of(bits: int) -> Iterator[int]:
    """Yield the numbers of the squares in a set of them, from a1 to h8."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _shifted(bits: int, shift: int) -> int:
    return bits << shift & _ALL if shift > 0 else bits >> -shift
