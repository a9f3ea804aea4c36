"""What a game is to a match: a position, what may be done in it, and how to draw it.

A game is one class of this shape in one file. It is pure: `decide` says what a move would cause,
`evolve` applies one event of it, and a match is rebuilt by folding `evolve` over its log. Positions
and events are frozen dataclasses of numbers, words and tuples, so that they can be kept as JSON.

Who may see what is said once, by `view` and `view_event`. Every other question can be asked of a
view as well as of the truth, and replaying the events that somebody has seen gives their view.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, TypeVar

MAX_MOVE = 40  # characters; the longest is a fleet: "a10-e10 b1-b4 …"

Position = TypeVar("Position")
Event = TypeVar("Event", bound="HasSeat")


class IllegalMove(ValueError):
    """The rule that forbids it, in words for whoever tried."""


class HasSeat(Protocol):
    """What every event has: it says who has done it."""

    @property
    def kind(self) -> str:
        """What has happened, in one word: what tells a game's events apart in JSON."""

    @property
    def seat(self) -> int:
        """0 or 1."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a game has ended."""

    winner: int | None
    """A seat, or nobody's when it is a draw."""
    reason: str
    """Words that go on a banner, such as "four in a row" or "33 to 31"."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of a grid."""

    name: str
    """Where it is, short, as people write it: "d3". Different in each cell of a grid."""
    label: str
    """All there is to know about it, for whoever hears it: "column 4, row 2, red"."""
    piece: str = ""
    """What lies there, in one word that a picture can be chosen by, or nothing."""
    move: str | None = None
    """What to send when it is pressed; nothing if that isn't allowed."""
    is_target: bool = False
    """Whether the piece would come to lie here, of the cells with this move."""
    is_last: bool = False
    """Whether it belongs to the last move."""
    is_winning: bool = False
    """Whether it belongs to what has won the game."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells in rows, from the top left."""

    name: str
    """Which grid it is, in one word: unlike any other of the same board."""
    title: str
    columns: tuple[str, ...]
    """What stands above each column."""
    rows: tuple[str, ...]
    """What stands beside each row."""
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A position as one seat or a spectator sees it: all that a page has to draw."""

    grids: tuple[Grid, ...]
    tallies: tuple[str, str]
    """What each seat has, in words: "12 discs", "3 ships afloat"."""


class Rules(Protocol[Position, Event]):
    """One game for two seats, 0 and 1. Seat 0 begins where one of them has to."""

    name: str
    """What addresses and logs call it: "connect-four"."""
    title: str
    """What people call it: "Connect Four"."""
    sides: tuple[str, str]
    """What each seat's pieces are called: "red", "yellow"."""
    how_to_move: str
    """One sentence, for people, about what a move is written like."""

    @property
    def position_type(self) -> Any:
        """The type of its positions, to keep and read them by."""

    @property
    def event_type(self) -> Any:
        """The type of its events, or the union of them, to keep and read them by."""

    def new(self) -> Position:
        """Return the position that every game begins with."""

    def to_move(self, position: Position) -> frozenset[int]:
        """Return the seats that may move now: both in a game where they needn't wait for each
        other, none when it has ended."""

    def outcome(self, position: Position) -> Outcome | None:
        """Return how the game has ended, unless it goes on."""

    def legal(self, position: Position, seat: int) -> tuple[str, ...]:
        """Return all moves that a seat may make now, or none where there are too many to list."""

    def decide(self, position: Position, seat: int, move: str) -> tuple[Event, ...]:
        """Return what a move causes, one event or more. `try_move` has seen to it that `seat` is
        to move.

        Raises:
            IllegalMove: If the rules forbid it.
        """

    def evolve(self, position: Position, event: Event) -> Position:
        """Return the position after `event`. Never fails: events are facts."""

    def view(self, position: Position, seat: int | None) -> Position:
        """Return what a seat may know of a position, and with `None`, what everybody may know."""

    def view_event(self, event: Event, seat: int | None) -> Event:
        """Return what a seat, or everybody, may know of an event."""

    def notation(self, event: Event) -> str:
        """Return how the list of moves writes an event: "d3", "passes", "b7 hit"."""

    def board(self, position: Position, seat: int | None) -> Board:
        """Return how to draw a position for a seat, or for a spectator: with the moves that the
        seat may make now. What the position hides is not on it."""


class InTheOpen:
    """What games share that hide nothing: whoever looks sees it all."""

    def view(self, position: Position, seat: int | None) -> Position:
        return position

    def view_event(self, event: Event, seat: int | None) -> Event:
        return event


def try_move(rules: Rules[Any, Event], position: Any, seat: int, move: str) -> tuple[Event, ...]:
    """Return what a move causes in a game of these rules.

    Raises:
        IllegalMove: If it isn't the seat's turn, or the rules forbid it.
    """
    if rules.outcome(position) is not None:
        raise IllegalMove("the game is over")
    if seat not in rules.to_move(position):
        raise IllegalMove("it is not your turn")
    if len(move) > MAX_MOVE:
        raise IllegalMove(f"a move has at most {MAX_MOVE} characters")
    return rules.decide(position, seat, move.strip().lower())


def replay(rules: Rules[Position, Event], events: tuple[Event, ...]) -> Position:
    """Return the position that a game's events lead to."""
    return reduce(rules.evolve, events, rules.new())


def counted(count: int, noun: str) -> str:
    """Return a number of things in words: "1 disc", "2 discs"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
