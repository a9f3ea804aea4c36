"""A match as one seat sees it, or a spectator: all that pages, pushes and programs are told.

What a game hides is taken out here and nowhere else, by `seen`; nothing that leaves the object is
made of anything but a view. When the match is over there is nothing left to hide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from typing import Any

from apps.game.domain.clock import Control
from apps.game.domain.commands import (
    Abort,
    Claim,
    Command,
    GiveTime,
    Propose,
    Resign,
    decide,
    have_both_moved,
)
from apps.game.domain.match import Event, Match, Moved, Offer, Phase, Player
from apps.game.domain.refusals import Refused
from apps.game.domain.rules import Board, replay
from apps.game.domain.timeouts import CLAIM_SECONDS, GONE_SECONDS, Gone


@dataclass(frozen=True, slots=True)
class Presence:
    """Who has the match open just now."""

    gone_since: Gone = (None, None)
    """Since when each player hasn't; None for one who has, or plays without."""
    watching: int = 0
    """How many others have."""


@dataclass(frozen=True, slots=True)
class SeatView:
    """One seat, and its clock."""

    side: str
    id: str | None
    """Of the player; None while the seat is free."""
    name: str | None
    rating: str | None
    is_bot: bool
    is_to_move: bool
    left: float
    """Seconds as of the view's `now`."""
    runs_from: float | None
    """When its clock begins, or has begun, to run; None while it stands."""
    falls_at: float | None
    """When its time is up if it doesn't move."""
    lag: float
    """Seconds given back for its last move, which were spent on the way."""
    gone_since: float | None
    """Since when its player isn't there, if that is long enough to speak of."""
    claim_at: float | None
    """From when the other may claim the match, if its player stays away."""


@dataclass(frozen=True, slots=True)
class TurnView:
    """One move of the list."""

    ply: int
    """What it named."""
    after: int
    """How many events of the game had led to where the match stood after it."""
    seat: int
    notation: str
    at: float
    left: float
    """Seconds its player had left after it."""


@dataclass(frozen=True, slots=True)
class ResultView:
    winner: int | None
    how: str
    words: str


@dataclass(frozen=True, slots=True)
class View:
    """A match as somebody sees it at one moment."""

    id: str
    version: str
    """Which state of the match it is: what `since` of the socket names."""
    now: float
    """The server's time, in seconds since the epoch, as all times here."""
    game: str
    title: str
    how_to_move: str
    control: Control
    opponent: str
    phase: Phase
    seat: int | None
    """The viewer's own; None for whoever watches."""
    ply: int
    """What the next move names. It only grows, with takebacks too."""
    to_move: tuple[int, ...]
    seats: tuple[SeatView, SeatView]
    board: Board
    legal: tuple[str, ...]
    """The viewer's moves, unless they are too many to list."""
    turns: tuple[TurnView, ...]
    offer: Offer | None
    may: tuple[str, ...]
    """What the viewer may do beside moving."""
    result: ResultView | None
    key: str | None
    """What lets somebody sit down who was sent the link: for whoever sits here already."""
    previous: str | None
    """The match before this one."""
    next: str | None
    """The match after this one: the rematch."""
    watching: int


@dataclass(frozen=True, slots=True)
class Still:
    """The match as it stood once: a picture, in which nothing can be done."""

    id: str
    title: str
    ply: int
    """After how many of the game's events."""
    last_ply: int
    """How many there are."""
    seat: int | None
    sides: tuple[str, str]
    names: tuple[str | None, str | None]
    board: Board
    turns: tuple[TurnView, ...]
    """All of the match, so that one can go to any."""
    result: ResultView | None
    """Shown with the last position only."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event of a match's log, as its reader may know it."""

    seq: int
    kind: str
    at: float
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Around:
    """What there is to know about a match beside its log."""

    id: str
    version: str
    key: str
    presence: Presence
    now: float


def view(match: Match[Any, Any], seat: int | None, around: Around) -> View:
    """Return a match as a seat sees it, or with None, as whoever watches."""
    presence, now = around.presence, around.now
    rules = match.rules
    position = seen(match, match.position, seat)
    is_moving = seat is not None and seat in match.to_move
    return View(
        id=around.id,
        version=around.version,
        now=now,
        game=rules.name,
        title=rules.title,
        how_to_move=rules.how_to_move,
        control=match.control,
        opponent=match.opened.opponent,
        phase=match.phase,
        seat=seat,
        ply=match.ply,
        to_move=tuple(sorted(match.to_move)),
        seats=(_seat(match, 0, presence, now), _seat(match, 1, presence, now)),
        board=_board(match, position, seat, is_moving=is_moving),
        legal=rules.legal(position, seat) if is_moving and seat is not None else (),
        turns=_turns(match, seat),
        offer=match.offer,
        may=() if seat is None else _may(match, seat, presence, now),
        result=_result(match),
        key=around.key if seat is not None and match.phase is Phase.WAITING else None,
        previous=match.opened.previous,
        next=match.next,
        watching=presence.watching,
    )


def still(match: Match[Any, Any], seat: int | None, ply: int, id: str) -> Still:
    """Return a match as it stood after so many of its game's events, or as it stands."""
    ply = max(0, min(ply, match.length))
    position = seen(match, replay(match.rules, match.events_of_game(ply)), seat)
    first, second = (player.name if player else None for player in match.players)
    return Still(
        id=id,
        title=match.rules.title,
        ply=ply,
        last_ply=match.length,
        seat=seat,
        sides=match.rules.sides,
        names=(first, second),
        board=_board(match, position, seat, is_moving=False),
        turns=_turns(match, seat),
        result=_result(match) if ply == match.length else None,
    )


def log(
    match: Match[Any, Any], events: Sequence[tuple[int, Event[Any]]], seat: int | None
) -> list[LogEntry]:
    """Return a match's log, numbered as it is kept, as a seat may know it."""
    return [
        LogEntry(seq, event.kind, event.at, _details(match, event, seat)) for seq, event in events
    ]


def seen(match: Match[Any, Any], position: Any, seat: int | None) -> Any:
    """Return what a seat, or whoever watches, may know of a position of this match."""
    is_over = match.phase is Phase.FINISHED
    return position if is_over else match.rules.view(position, seat)


def _details(match: Match[Any, Any], event: Event[Any], seat: int | None) -> dict[str, Any]:
    if not isinstance(event, Moved):
        known = asdict(event)
        return {name: value for name, value in known.items() if name not in ("at", "kind")}
    game_events = [_seen_event(match, each, seat) for each in event.events]
    return {
        "seat": event.seat,
        "lag": event.lag,
        "notation": _notation(match, game_events),
        "events": [asdict(each) for each in game_events],
    }


def _seen_event(match: Match[Any, Any], event: Any, seat: int | None) -> Any:
    is_over = match.phase is Phase.FINISHED
    return event if is_over else match.rules.view_event(event, seat)


def _notation(match: Match[Any, Any], events: Sequence[Any]) -> str:
    return ", ".join(match.rules.notation(event) for event in events)


def _turns(match: Match[Any, Any], seat: int | None) -> tuple[TurnView, ...]:
    afters = accumulate(len(turn.events) for turn in match.turns)
    return tuple(
        TurnView(
            turn.named,
            after,
            turn.seat,
            _notation(match, [_seen_event(match, event, seat) for event in turn.events]),
            turn.at,
            turn.left,
        )
        for turn, after in zip(match.turns, afters, strict=True)
    )


def _board(match: Match[Any, Any], position: Any, seat: int | None, *, is_moving: bool) -> Board:
    board = match.rules.board(position, seat)
    if is_moving or not any(cell.move for grid in board.grids for cell in grid.cells):
        return board
    still = (
        replace(grid, cells=tuple(replace(cell, move=None, is_target=False) for cell in grid.cells))
        for grid in board.grids
    )
    return replace(board, grids=tuple(still))


def _seat(match: Match[Any, Any], seat: int, presence: Presence, now: float) -> SeatView:
    player: Player | None = match.players[seat]
    gone = presence.gone_since[seat]
    if match.phase is not Phase.PLAYING or gone is None or now < gone + GONE_SECONDS:
        gone = None
    can_be_claimed = have_both_moved(match) and match.control.days is None
    return SeatView(
        side=match.rules.sides[seat],
        id=player.id if player else None,
        name=player.name if player else None,
        rating=str(player.rating) if player and player.rating else None,
        is_bot=player is not None and player.is_bot,
        is_to_move=seat in match.to_move,
        left=match.clocks.left_at(seat, now),
        runs_from=match.clocks.since[seat],
        falls_at=match.deadline_of(seat),
        lag=match.clocks.lag[seat],
        gone_since=gone,
        claim_at=gone + CLAIM_SECONDS if gone is not None and can_be_claimed else None,
    )


def _result(match: Match[Any, Any]) -> ResultView | None:
    ended = match.result
    return None if ended is None else ResultView(ended.winner, ended.how, ended.words)


def _may(match: Match[Any, Any], seat: int, presence: Presence, now: float) -> tuple[str, ...]:
    gone_since = presence.gone_since[1 - seat]
    commands: dict[str, Command] = {
        "draw": Propose("draw"),
        "takeback": Propose("takeback"),
        "resign": Resign(),
        "abort": Abort(),
        "more-time": GiveTime(),
        "claim-win": Claim("win", gone_since),
        "claim-draw": Claim("draw", gone_since),
        "rematch": Propose("rematch"),
    }
    return tuple(
        name for name, command in commands.items() if _is_allowed(match, seat, command, now)
    )


def _is_allowed(match: Match[Any, Any], seat: int, command: Command, now: float) -> bool:
    try:
        return bool(decide(match, seat, command, now)) or _would_agree(match, seat, command)
    except Refused:
        return False


def _would_agree(match: Match[Any, Any], seat: int, command: Command) -> bool:
    return isinstance(command, Propose) and match.offer == Offer(command.what, 1 - seat)
