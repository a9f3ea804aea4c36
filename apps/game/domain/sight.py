"""What a bot knows of a match: no more than who sits there, and not drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apps.game.domain.match import Match, Offer
from apps.game.domain.view import seen


@dataclass(frozen=True, slots=True)
class Sight:
    """A match as a bot sees it: as a value of the game's own, which only that seat may have."""

    game: str
    seat: int
    ply: int
    to_move: frozenset[int]
    position: Any
    offer: Offer | None


def sight(match: Match[Any, Any], seat: int) -> Sight:
    """Return what a seat may know of a match, to think about."""
    position = seen(match, match.position, seat)
    return Sight(match.rules.name, seat, match.ply, match.to_move, position, match.offer)
