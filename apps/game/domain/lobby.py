"""Who waits for an opponent, and who has got one."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal

from apps.game.domain.clock import Control
from apps.game.domain.match import Opponent, Player
from apps.game.domain.rating import Rating

RESERVED_SECONDS: Final = 15.0  # for which a seat is kept for somebody who was paired
MOST_OPEN: Final = 10  # challenges of one person
MOST_LISTED: Final = 100  # challenges that are shown
MOST_HISTORY: Final = 50  # matches that a player's history shows

Score = Literal["won", "lost", "drawn", "aborted"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to play."""

    game: str
    control: Control
    opponent: Opponent
    seat: int | None = None
    """Which seat they want; None for any."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """Somebody waits for anyone to play with."""

    match: str
    game: str
    control: Control
    player: Player
    seat: int | None = None
    """Which seat they want; None for any."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What has come of a wish to play."""

    match: str
    seat: int | None
    """None if somebody was waiting for just that: the match is theirs, and to be joined."""


@dataclass(frozen=True, slots=True)
class Record:
    """One match of a player's history."""

    match: str
    game: str
    seat: int
    opponent: str
    """Their name; empty as long as nobody has followed the link."""
    opponent_rating: Rating | None
    """As it was when the match began; None if the match isn't rated."""
    began_at: float
    """Or when it was opened, while they wait."""
    ended_at: float | None = None
    score: Score | None = None
    """None as long as it is being played."""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """A player as the lobby knows them."""

    ratings: dict[str, Rating]
    """By the game's name, of those that they have been rated in."""
    history: tuple[Record, ...]
    """Newest first."""


def seat_in(match: str, wanted: int | None) -> int:
    """Return where whoever opens a match sits: as wanted, or by lot. The lot is drawn from the id,
    which is drawn itself; so it is the same for the lobby, and if the match is opened again."""
    return sha256(f"the lot of {match}".encode()).digest()[0] % 2 if wanted is None else wanted


def id_after(match: str) -> str:
    """Return the id of a match's rematch: always the same, so that it is made once."""
    return sha256(f"the match after {match}".encode()).hexdigest()[:16]
