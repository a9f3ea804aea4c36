"""A fourth game: all that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from apps.game.domain.rules import Board, Cell, Grid, IllegalMove, InTheOpen, Outcome

CELLS = ("a1", "b1", "c1", "a2", "b2", "c2", "a3", "b3", "c3")
LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))


@dataclass(frozen=True, slots=True)
class Marked:
    seat: int
    cell: int
    kind: Literal["marked"] = "marked"


class NoughtsAndCrosses(InTheOpen):
    name, title, sides = "noughts-and-crosses", "Noughts and crosses", ("crosses", "noughts")
    how_to_move = "A move is a free cell, a1 to c3."
    position_type, event_type = str, Marked  # a position is nine marks, "." where there is none

    def new(self) -> str:
        return "." * 9

    def to_move(self, marks: str) -> frozenset[int]:
        return frozenset() if self.outcome(marks) else frozenset({(9 - marks.count(".")) % 2})

    def outcome(self, marks: str) -> Outcome | None:
        for seat, mark in enumerate("xo"):
            if any(all(marks[cell] == mark for cell in line) for line in LINES):
                return Outcome(seat, "three in a row")
        return None if "." in marks else Outcome(None, "the board is full")

    def legal(self, marks: str, seat: int) -> tuple[str, ...]:
        free = (cell for cell, mark in zip(CELLS, marks, strict=True) if mark == ".")
        return tuple(free) if seat in self.to_move(marks) else ()

    def decide(self, marks: str, seat: int, move: str) -> tuple[Marked, ...]:
        if move not in self.legal(marks, seat):
            raise IllegalMove(self.how_to_move)
        return (Marked(seat, CELLS.index(move)),)

    def evolve(self, marks: str, event: Marked) -> str:
        return marks[: event.cell] + "xo"[event.seat] + marks[event.cell + 1 :]

    def notation(self, event: Marked) -> str:
        return CELLS[event.cell]

    def board(self, marks: str, seat: int | None) -> Board:
        legal = () if seat is None else self.legal(marks, seat)
        pieces = [mark.strip(".") for mark in marks]
        cells = tuple(
            Cell(at, f"{at}, {piece or 'empty'}", piece, at if at in legal else None, at in legal)
            for at, piece in zip(CELLS, pieces, strict=True)
        )
        return Board((Grid("board", "Board", tuple("abc"), tuple("123"), cells),), ("", ""))
