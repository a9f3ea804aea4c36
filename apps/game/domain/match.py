"""A match: who sits where, what has happened, whose clock is running. No I/O, no clock.

What has happened is a list of events, and `evolve` applies one. The object stores them, so a match
can be rebuilt by folding `evolve` over its log. What somebody may do is in `commands`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import reduce
from typing import Any, Final, Generic, Literal, TypeVar

from apps.game.domain.clock import DAY, Clocks, Control
from apps.game.domain.games import GAMES
from apps.game.domain.rating import Rating
from apps.game.domain.rules import Rules, replay

FIRST_MOVE_SECONDS: Final = 60.0  # in which each seat has to begin, where there are no days for it
OPEN_SECONDS: Final = 30 * 60.0  # for which a match waits for somebody
OPEN_DAYS_SECONDS: Final = 7 * DAY  # the same where there are days for each move

P = TypeVar("P")
E = TypeVar("E")
Opponent = Literal["anyone", "link", "bot"]
OfferKind = Literal["draw", "takeback", "rematch"]
How = Literal["rules", "resigned", "time", "agreed", "left", "aborted"]


class Phase(StrEnum):
    WAITING = "waiting"  # for a second player
    PLAYING = "playing"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Player:
    """Somebody who has a seat."""

    id: str
    name: str
    rating: Rating | None = None
    """As it was when they sat down; none for a bot."""
    is_bot: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """What a seat has offered, and the other hasn't answered."""

    what: OfferKind
    seat: int


@dataclass(frozen=True, slots=True)
class Turn(Generic[E]):
    """What one move has caused."""

    ply: int
    """What the match's was before."""
    named: int
    """What the move named, which is less if the other has moved meanwhile."""
    seat: int
    move: str
    """As it was sent. Only its player may know it."""
    events: tuple[E, ...]
    at: float
    left: float
    """Seconds that its player had left after it."""
    lag: float
    """Seconds of it that were given back."""


# What happens. Each has the time at which it did, by the server's clock.


@dataclass(frozen=True, slots=True)
class Opened:
    """Somebody wants to play."""

    at: float
    game: str
    control: Control
    opponent: Opponent
    previous: str | None = None
    """The match that this is a rematch of."""
    kind: Literal["opened"] = "opened"


@dataclass(frozen=True, slots=True)
class Seated:
    """Somebody has sat down. With the second the match begins."""

    at: float
    seat: int
    player: Player
    kind: Literal["seated"] = "seated"


@dataclass(frozen=True, slots=True)
class Moved(Generic[E]):
    """A seat has moved."""

    at: float
    seat: int
    move: str
    events: tuple[E, ...]
    lag: float = 0.0
    named: int | None = None
    """The ply that it named, if the other has moved meanwhile: both may, in some games."""
    kind: Literal["moved"] = "moved"


@dataclass(frozen=True, slots=True)
class Offered:
    at: float
    seat: int
    what: OfferKind
    kind: Literal["offered"] = "offered"


@dataclass(frozen=True, slots=True)
class Declined:
    """An offer was turned down, or taken back."""

    at: float
    seat: int
    what: OfferKind
    kind: Literal["declined"] = "declined"


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The match stands again as it did before."""

    at: float
    ply: int
    """After how many of the game's events that was."""
    kind: Literal["taken_back"] = "taken_back"


@dataclass(frozen=True, slots=True)
class TimeGiven:
    at: float
    seat: int
    """Who has got it."""
    seconds: float
    kind: Literal["time_given"] = "time_given"


@dataclass(frozen=True, slots=True)
class Paused:
    """The server was away, which is nobody's time."""

    at: float
    seconds: float
    kind: Literal["paused"] = "paused"


@dataclass(frozen=True, slots=True)
class Ended:
    """It is over."""

    at: float
    winner: int | None
    """A seat; nobody's if it is a draw, or was aborted."""
    how: How
    words: str
    """What to say on a banner, after the winner's name if there is one."""
    kind: Literal["ended"] = "ended"


@dataclass(frozen=True, slots=True)
class Rematched:
    """They play again, in another match."""

    at: float
    match: str
    kind: Literal["rematched"] = "rematched"


Talked = Offered | Declined
Event = Opened | Seated | Moved[E] | Talked | TakenBack | TimeGiven | Paused | Ended | Rematched
Events = tuple[Event[Any], ...]


@dataclass(frozen=True, slots=True)
class Match(Generic[P, E]):
    """One match at one moment."""

    opened: Opened
    position: P
    clocks: Clocks
    players: tuple[Player | None, Player | None] = (None, None)
    turns: tuple[Turn[E], ...] = ()
    undone: int = 0
    """How far `ply` is ahead of `length`: by what was taken back, and one for each time."""
    began_at: float | None = None
    offer: Offer | None = None
    declined: frozenset[Offer] = frozenset()
    """What was turned down since the last move, and isn't to be offered again before the next."""
    result: Ended | None = None
    next: str | None = None
    """The match in which they play again."""
    changed_at: float = 0.0
    """When the last event happened."""

    @property
    def rules(self) -> Rules[P, Any]:
        return GAMES[self.opened.game]

    @property
    def control(self) -> Control:
        return self.opened.control

    @property
    def phase(self) -> Phase:
        if self.result is not None:
            return Phase.FINISHED
        return Phase.WAITING if None in self.players else Phase.PLAYING

    @property
    def length(self) -> int:
        """How many of the game's events have led to where it stands."""
        return sum(len(turn.events) for turn in self.turns)

    @property
    def ply(self) -> int:
        """What the next move names: how often something has happened on the board, takebacks
        and what they undid included. So no ply comes again, and a move is never good for two."""
        return self.length + self.undone

    @property
    def to_move(self) -> frozenset[int]:
        if self.phase is not Phase.PLAYING:
            return frozenset()
        return self.rules.to_move(self.position)

    @property
    def is_rated(self) -> bool:
        return all(player is not None and not player.is_bot for player in self.players)

    def has_moved(self, seat: int) -> bool:
        return any(turn.seat == seat for turn in self.turns)

    def is_free(self, seat: int) -> bool:
        """Whether a seat's next move isn't charged for: its first, where there are no days."""
        return self.control.days is None and not self.has_moved(seat)

    def seat_of(self, person: str) -> int | None:
        """Return where somebody sits."""
        seats = (s for s, player in enumerate(self.players) if player and player.id == person)
        return next(seats, None)

    def events_of_game(self, until: int | None = None) -> tuple[E, ...]:
        """Return the game's events, or the first of them."""
        return tuple(event for turn in self.turns for event in turn.events)[:until]

    def deadline_of(self, seat: int) -> float | None:
        """Return when a seat's time is up, unless its clock stands."""
        since = self.clocks.since[seat]
        if since is None or self.control.days is not None or self.has_moved(seat):
            return self.clocks.falls_at(seat)
        return since + FIRST_MOVE_SECONDS

    @property
    def deadline(self) -> float | None:
        """When something happens if nobody does anything before; None if nothing will."""
        match self.phase:
            case Phase.WAITING:
                is_slow = self.control.days is not None
                return self.opened.at + (OPEN_DAYS_SECONDS if is_slow else OPEN_SECONDS)
            case Phase.PLAYING:
                deadlines = (self.deadline_of(seat) for seat in (0, 1))
                return min((when for when in deadlines if when is not None), default=None)
            case Phase.FINISHED:
                return None


def begin(opened: Opened) -> Match[Any, Any]:
    """Return the match that an `Opened` begins."""
    rules = GAMES[opened.game]
    return Match(opened, rules.new(), Clocks.of(opened.control), changed_at=opened.at)


def rebuild(events: Events) -> Match[Any, Any]:
    """Return the match that a whole log leads to."""
    opened, *rest = events
    assert isinstance(opened, Opened), "a log begins with that"
    return reduce(evolve, rest, begin(opened))


def evolve(match: Match[Any, Any], event: Event[Any]) -> Match[Any, Any]:
    """Return the match after `event`. Never fails: events are facts."""
    match = replace(match, changed_at=event.at)
    match event:
        case Opened():
            return begin(event)
        case Seated(at, seat, player):
            players = (player, match.players[1]) if seat == 0 else (match.players[0], player)
            match = replace(match, players=players)
            return match if None in players else _wound(replace(match, began_at=at), at)
        case Moved():
            return _moved(match, event)
        case Offered(_, seat, what):
            return replace(match, offer=Offer(what, seat))
        case Declined(_, _, what):
            assert match.offer is not None, "it was offered"
            return replace(match, offer=None, declined=match.declined | {match.offer})
        case TakenBack(at, length):
            return _taken_back(match, length, at)
        case TimeGiven(_, seat, seconds):
            return replace(match, clocks=match.clocks.given(seat, seconds))
        case Paused(at, seconds):
            return replace(match, clocks=match.clocks.held_up(seconds, at))
        case Ended(at):
            clocks = match.clocks.stopped(at)
            return replace(match, result=event, clocks=clocks, offer=None, declined=frozenset())
        case Rematched(_, following):
            return replace(match, next=following, offer=None)


def _moved(match: Match[Any, Any], event: Moved[Any]) -> Match[Any, Any]:
    rules, seat = match.rules, event.seat
    is_free = match.is_free(seat)
    clocks = match.clocks.moved(seat, event.at, event.lag, match.control, free=is_free)
    named = match.ply if event.named is None else event.named
    turn = Turn(
        match.ply, named, seat, event.move, event.events, event.at, clocks.left[seat], event.lag
    )
    position = reduce(rules.evolve, event.events, match.position)
    match = replace(match, position=position, clocks=clocks, turns=(*match.turns, turn))
    return _wound(replace(match, offer=None, declined=frozenset()), event.at)


def _taken_back(match: Match[Any, Any], length: int, at: float) -> Match[Any, Any]:
    position = replay(match.rules, match.events_of_game(length))
    undone, clocks = match.ply + 1 - length, match.clocks.stopped(at)
    while match.length > length:
        match = replace(match, turns=match.turns[:-1])
    match = replace(match, position=position, undone=undone, clocks=clocks)
    return _wound(replace(match, offer=None, declined=frozenset()), at)


def _wound(match: Match[Any, Any], at: float) -> Match[Any, Any]:
    """Return the match with the clocks of those running who are to move."""
    return replace(match, clocks=match.clocks.running(match.to_move, at))
