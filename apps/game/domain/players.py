"""How a bot plays, from nothing but what its seat may see.

It looks a few moves ahead where everything is in the open, and goes by what is likely where it is
not. A game of which this file knows nothing is played by any legal move.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any

from apps.game.domain import battleship, connect_four, reversi
from apps.game.domain.rules import Rules

if TYPE_CHECKING:
    from random import Random  # whoever asks brings the randomness

Worth = Callable[[Any, int], float]
"""How good a position that hasn't ended is for a seat: 0 if for both alike, less than a win."""

WIN = 1_000_000.0


def choose(rules: Rules[Any, Any], view: Any, seat: int, rng: Random) -> str:
    """Return a good move for a seat that is to move: some ten milliseconds of thought."""
    if rules.name == battleship.Battleship.name:
        waters = view.waters
        return _shot(waters[1 - seat], rng) if waters[seat].is_ready else _fleet(rng)
    moves = list(rules.legal(view, seat))
    rng.shuffle(moves)
    if rules.name not in _LOOKS_AHEAD:
        return moves[0]
    depth, worth = _LOOKS_AHEAD[rules.name]
    return _best(rules, view, seat, moves, depth, worth)


# Where everything is in the open.


def _best(
    rules: Rules[Any, Any], position: Any, seat: int, moves: list[str], depth: int, worth: Worth
) -> str:
    best, most = moves[0], -2 * WIN
    for move in moves:
        after = _after(rules, position, seat, move)
        found = _search(rules, after, seat, depth - 1, most, 2 * WIN, worth)
        if found > most:
            best, most = move, found
    return best


def _search(
    rules: Rules[Any, Any],
    position: Any,
    seat: int,
    depth: int,
    low: float,
    high: float,
    worth: Worth,
) -> float:
    """Return what a position is worth to a seat, as far as it lies between `low` and `high`."""
    outcome = rules.outcome(position)
    if outcome is not None:
        if outcome.winner is None:
            return 0.0
        return (WIN + depth) * (1 if outcome.winner == seat else -1)  # rather soon than late
    if not depth:
        return worth(position, seat)
    moves = rules.legal(position, seat)
    if not moves:
        return -_search(rules, position, 1 - seat, depth, -high, -low, worth)
    for move in moves:
        after = _after(rules, position, seat, move)
        low = max(low, _search(rules, after, seat, depth - 1, low, high, worth))
        if low >= high:
            break
    return low


def _after(rules: Rules[Any, Any], position: Any, seat: int, move: str) -> Any:
    return reduce(rules.evolve, rules.decide(position, seat, move), position)


def _worth_of_discs(position: connect_four.Position, seat: int) -> float:
    return connect_four.chances(position, seat) - connect_four.chances(position, 1 - seat)


_CORNERS = 0x8100000000000081
_BEFORE_CORNERS = 0x42C300000000C342  # whoever takes one of these gives the corner away
_EDGES = 0x3C0081818181003C


def _worth_of_squares(position: reversi.Position, seat: int) -> float:
    def strength(seat: int) -> float:
        discs = position.discs[seat]
        return (
            30 * (discs & _CORNERS).bit_count()
            - 8 * (discs & _BEFORE_CORNERS).bit_count()
            + 2 * (discs & _EDGES).bit_count()
            + 3 * reversi.moves(position, seat).bit_count()
        )

    return strength(seat) - strength(1 - seat)


_LOOKS_AHEAD: dict[str, tuple[int, Worth]] = {
    connect_four.ConnectFour.name: (4, _worth_of_discs),
    reversi.Reversi.name: (2, _worth_of_squares),
}
"""How many moves, and what is made of the position there."""


# Where ships are hidden.


_PLACES: dict[int, tuple[battleship.Ship, ...]] = {
    length: tuple(battleship.places(length)) for length in set(battleship.FLEET)
}


def _fleet(rng: Random) -> str:
    taken: set[str] = set()
    spans = []
    for length in battleship.FLEET:
        free = [ship for ship in _PLACES[length] if taken.isdisjoint(ship)]
        ship = rng.choice(free)
        taken.update(ship)
        spans.append(f"{ship[0]}-{ship[-1]}")
    return " ".join(spans)


def _shot(waters: battleship.Waters, rng: Random) -> str:
    """Return the cell where most of the ships that may still be there would lie."""
    sunk = [shot.sunk for shot in waters.shots if shot.sunk]
    afloat = Counter(battleship.FLEET) - Counter(map(len, sunk))
    tried = {shot.cell for shot in waters.shots}
    wounds = {shot.cell for shot in waters.shots if shot.is_hit}.difference(*sunk)
    weights = {cell: rng.random() for cell in battleship.CELLS if cell not in tried}
    for length in afloat.elements():
        for ship in _PLACES[length]:
            wounded = len(wounds.intersection(ship))
            if len(tried.intersection(ship)) > wounded:
                continue  # it would have been hit, or lies where another one was sunk
            for cell in ship:
                if cell in weights:
                    weights[cell] += 100.0**wounded
    return max(weights, key=weights.__getitem__)
