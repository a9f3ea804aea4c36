"""Playing games by their rules alone, for tests."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

from apps.game.domain.rules import Rules, try_move


def play(rules: Rules[Any, Any], moves: Iterable[str]) -> tuple[Any, list[Any]]:
    """Return where moves lead, each made by whoever is to move, and the events on the way."""
    position, log = rules.new(), list[Any]()
    for move in moves:
        events = try_move(rules, position, min(rules.to_move(position)), move)
        position = reduce(rules.evolve, events, position)
        log += events
    return position, log


def perft(rules: Rules[Any, Any], depth: int) -> int:
    """Return how many games of so many moves there are, by which move generators are compared."""
    known: dict[tuple[Any, int], int] = {}

    def games(position: Any, depth: int) -> int:
        if depth == 1:
            return sum(len(rules.legal(position, seat)) for seat in rules.to_move(position))
        key = position, depth
        if key not in known:
            known[key] = sum(games(after, depth - 1) for after in nexts(rules, position))
        return known[key]

    return games(rules.new(), depth)


def nexts(rules: Rules[Any, Any], position: Any) -> list[Any]:
    """Return the positions one move later."""
    return [
        reduce(rules.evolve, rules.decide(position, seat, move), position)
        for seat in rules.to_move(position)
        for move in rules.legal(position, seat)
    ]
