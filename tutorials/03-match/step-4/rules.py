"""The rules of noughts and crosses. No I/O, no clock, no randomness.

`decide` says what a move would change, and `evolve` applies one change. Nothing else is needed: a
game is what its events make of an empty board.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce

LINES = ("012", "345", "678", "036", "147", "258", "048", "246")


class IllegalMove(ValueError):
    """What the rules forbid, in words for whoever tried it."""


@dataclass(frozen=True)
class Game:
    """One match at one moment."""

    board: str = " " * 9
    winner: str = ""

    @property
    def turn(self) -> int:
        return 9 - self.board.count(" ")

    @property
    def to_move(self) -> str:
        return "xo"[self.turn % 2]

    @property
    def is_over(self) -> bool:
        return bool(self.winner) or " " not in self.board


@dataclass(frozen=True)
class Marked:
    """Whose turn it was has marked a cell."""

    cell: int


@dataclass(frozen=True)
class TimedOut:
    """Whose turn it was hasn't moved in time."""


Event = Marked | TimedOut


def decide(game: Game, player: str, cell: int, *, is_late: bool = False) -> Event:
    """Return what a move causes, or raise `IllegalMove`; then nothing has changed."""
    if is_late and not game.is_over:
        return TimedOut()
    if game.is_over:
        raise IllegalMove("the match is over")
    if player != game.to_move:
        raise IllegalMove("it isn't your turn")
    if cell not in range(9) or game.board[cell] != " ":
        raise IllegalMove("that cell is taken")
    return Marked(cell)


def evolve(game: Game, event: Event) -> Game:
    """Return the match after an event. It never fails: events are facts."""
    if isinstance(event, TimedOut):
        return replace(game, winner="xo"[(game.turn + 1) % 2])
    board = game.board[: event.cell] + game.to_move + game.board[event.cell + 1 :]
    has_won = any({board[int(cell)] for cell in line} == {game.to_move} for line in LINES)
    return replace(game, board=board, winner=game.to_move if has_won else "")


def replay(events: Iterable[Event]) -> Game:
    """Return the match that these events have made."""
    return reduce(evolve, events, Game())
