"""What may be done in a match: `decide` says what a command causes, or which rule forbids it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, assert_never

from apps.game.domain.match import (
    Declined,
    Ended,
    Events,
    Match,
    Moved,
    Offer,
    Offered,
    OfferKind,
    Phase,
    Player,
    Rematched,
    Seated,
    TakenBack,
    TimeGiven,
    evolve,
)
from apps.game.domain.refusals import Refused
from apps.game.domain.rules import IllegalMove, replay, try_move
from apps.game.domain.timeouts import CLAIM_SECONDS, out_of_time

MORE_TIME_SECONDS: Final = 15.0
MOST_GIVEN_SECONDS: Final = 3 * 3600.0  # that a clock may show after somebody was given more

# Commands. Times are the server's.


@dataclass(frozen=True, slots=True)
class Play:
    """Move, in the position that a match stood at when its `ply` was this."""

    ply: int
    move: str
    took: float | None = None
    """Seconds that it took by the player's own clock."""


@dataclass(frozen=True, slots=True)
class Propose:
    """Offer something, or accept what the other has offered of the same kind."""

    what: OfferKind


@dataclass(frozen=True, slots=True)
class Accept:
    """Accept what the other has offered, if that is still open."""

    what: OfferKind


@dataclass(frozen=True, slots=True)
class Decline:
    """Turn an offer down, or take one's own back."""

    what: OfferKind


@dataclass(frozen=True, slots=True)
class Resign:
    """Lose, once both have moved."""


@dataclass(frozen=True, slots=True)
class Abort:
    """Leave before both have moved. It counts for nobody."""


@dataclass(frozen=True, slots=True)
class GiveTime:
    """Give the opponent more."""


@dataclass(frozen=True, slots=True)
class Claim:
    """End a match that the opponent has left, once both have moved."""

    result: Literal["win", "draw"]
    gone_since: float | None
    """Since when the opponent hasn't been there."""


Command = Play | Propose | Accept | Decline | Resign | Abort | GiveTime | Claim
Action = Literal["resign", "abort", "more-time", "claim-win", "claim-draw"]
"""What can be done that is neither a move nor an offer."""


Answer = Literal["accept", "decline"]


def answer_for(what: OfferKind, answer: Answer | None) -> Command:
    """Return the command that offers something, or answers an offer."""
    match answer:
        case None:
            return Propose(what)
        case "accept":
            return Accept(what)
        case "decline":
            return Decline(what)


def command_for(action: Action, opponent_gone_since: float | None) -> Command:
    """Return the command for an action."""
    match action:
        case "resign":
            return Resign()
        case "abort":
            return Abort()
        case "more-time":
            return GiveTime()
        case "claim-win":
            return Claim("win", opponent_gone_since)
        case "claim-draw":
            return Claim("draw", opponent_gone_since)


def seat_player(match: Match[Any, Any], player: Player, now: float) -> Events:
    """Return what it causes that somebody takes the free seat; nothing if they sit there already.

    Raises:
        Refused: If they can't.
    """
    if match.seat_of(player.id) is not None:
        if match.phase is Phase.WAITING:
            raise Refused("already-seated", "you have a seat here: send the link to somebody else")
        return ()
    if match.result is not None:
        raise Refused("match-over", "the match is over")
    if None not in match.players:
        raise Refused("seat-taken", "both seats are taken; you can watch")
    return (Seated(now, match.players.index(None), player),)


def decide(match: Match[Any, Any], seat: int | None, command: Command, now: float) -> Events:
    """Return what a command of a seat causes; nothing if that has happened already.

    Whoever calls it has let time pass until `now`: see `timeouts`.

    Raises:
        Refused: If a rule forbids it. Nothing has changed.
    """
    if seat is None:
        raise Refused("not-a-player", "you are watching; only the two players can do that")
    match command:
        case Play():
            return _play(match, seat, command, now)
        case Accept(what):
            if match.offer != Offer(what, 1 - seat):
                raise Refused("no-such-offer", f"no {what} is offered any more")
            return decide(match, seat, Propose(what), now)
        case Propose("rematch"):
            return _rematch(match, seat, now)
        case Propose(what):
            return _propose(match, seat, what, now)
        case Decline(what):
            if match.offer is None or match.offer.what != what:
                raise Refused("no-such-offer", f"no {what} is offered any more")
            return (Declined(now, seat, what),)
        case Resign():
            _must_have_begun(match)
            side = match.rules.sides[seat]
            return (Ended(now, 1 - seat, "resigned", f"{side} resigned"),)
        case Abort():
            return _abort(match, seat, now)
        case GiveTime():
            return _give_time(match, seat, now)
        case Claim(result, gone_since):
            return _claim(match, seat, result, gone_since, now)
        case _:
            assert_never(command)


def agree_rematch(match: Match[Any, Any], following: str, now: float) -> Events:
    """Return what it causes that they play again in another match."""
    return () if match.next is not None else (Rematched(now, following),)


def have_both_moved(match: Match[Any, Any]) -> bool:
    """Whether it counts. Before, either may call it off, and nobody can lose it."""
    return match.has_moved(0) and match.has_moved(1)


def _must_be_on(match: Match[Any, Any]) -> None:
    match match.phase:
        case Phase.WAITING:
            raise Refused("not-begun", "the match hasn't begun: nobody sits opposite you yet")
        case Phase.FINISHED:
            assert match.result is not None
            is_late = match.result.how == "time"
            words = f"the match is over: {match.result.words}"
            raise Refused("time-is-up" if is_late else "match-over", words)


def _must_have_begun(match: Match[Any, Any]) -> None:
    _must_be_on(match)
    if not have_both_moved(match):
        raise Refused("not-begun", "not both have moved yet: you can call it off")


def _play(match: Match[Any, Any], seat: int, command: Play, now: float) -> Events:
    sent = (seat, command.ply, command.move)
    if any((turn.seat, turn.named, turn.move) == sent for turn in match.turns):
        return ()  # again, because the answer was lost
    _must_be_on(match)
    if not _is_on_time(match, seat, command.ply):
        what = "is taken" if command.ply < match.ply else "hasn't come"
        raise Refused("wrong-ply", f"move {command.ply} {what}: it is move {match.ply} now")
    if seat not in match.to_move:
        raise Refused("not-your-turn", "it is not your turn")
    try:
        caused = try_move(match.rules, match.position, seat, command.move)
    except IllegalMove as refusal:
        raise Refused("illegal-move", str(refusal)) from refusal
    lag = match.clocks.lag_of(seat, now, command.took)
    if not match.is_free(seat) and match.clocks.is_late(seat, now, lag):
        return (out_of_time(match, seat, now),)  # it was waited for only as it might have been lag
    named = None if command.ply == match.ply else command.ply
    moved: Moved[Any] = Moved(now, seat, command.move, caused, lag, named)
    after = evolve(match, moved)
    outcome = match.rules.outcome(after.position)
    if outcome is None:
        return (moved,)
    return moved, Ended(now, outcome.winner, "rules", outcome.reason)


def _is_on_time(match: Match[Any, Any], seat: int, ply: int) -> bool:
    """Whether nothing has happened since a ply that its player has to know of.

    Where both may move at once, the other's move meanwhile is no reason to refuse one.
    """
    since = [turn for turn in match.turns if turn.ply >= ply]
    moved = sum(len(turn.events) for turn in since)
    if ply + moved != match.ply:
        return False  # it never was that, or something was taken back since
    if not since:
        return True
    if any(turn.seat == seat for turn in since):
        return False
    before = replay(match.rules, match.events_of_game(match.length - moved))
    return seat in match.rules.to_move(before)


def _propose(match: Match[Any, Any], seat: int, what: OfferKind, now: float) -> Events:
    if what == "draw":
        _must_have_begun(match)  # a match that nobody has played says nothing of their strength
    _must_be_on(match)
    if what == "takeback":
        length = _length_before(match, match.offer.seat if match.offer else seat)
    if match.offer == Offer(what, seat):
        return ()
    if match.offer == Offer(what, 1 - seat):
        if what == "draw":
            return (Ended(now, None, "agreed", "draw by agreement"),)
        return (TakenBack(now, length),)
    _must_be_free(match, Offer(what, seat))
    return (Offered(now, seat, what),)


def _must_be_free(match: Match[Any, Any], offer: Offer) -> None:
    if match.offer is not None:
        whose = "yours" if match.offer.seat == offer.seat else "your opponent's"
        raise Refused("offer-pending", f"{whose} is open: a {match.offer.what}")
    if offer in match.declined:
        raise Refused("offer-declined", f"the {offer.what} was declined; ask again after a move")


def _length_before(match: Match[Any, Any], seat: int) -> int:
    """Return how many of the game's events there were before a seat's last move."""
    rules, position = match.rules, match.position
    if any(rules.view(position, viewer) != position for viewer in (0, 1)):
        raise Refused("cannot-unsee", "what was seen can't be unseen: no move is taken back here")
    mine = [number for number, turn in enumerate(match.turns) if turn.seat == seat]
    if not mine:
        raise Refused("nothing-to-take-back", "there is no move to take back")
    return sum(len(turn.events) for turn in match.turns[: mine[-1]])


def _rematch(match: Match[Any, Any], seat: int, now: float) -> Events:
    if match.result is None or None in match.players:
        raise Refused("not-over", "a rematch comes after a match between two")
    if match.next is not None:
        raise Refused("already-rematched", "the rematch has begun")
    if match.offer is not None and match.offer.what == "rematch":
        return ()  # asked for already; if by the other, whoever calls sees that they agree
    if Offer("rematch", seat) in match.declined:
        raise Refused("offer-declined", "your opponent doesn't want a rematch")
    return (Offered(now, seat, "rematch"),)


def _abort(match: Match[Any, Any], seat: int, now: float) -> Events:
    if match.phase is Phase.WAITING:
        return (Ended(now, None, "aborted", "the invitation was withdrawn"),)
    _must_be_on(match)
    if have_both_moved(match):
        raise Refused("already-moved", "both have moved: you can resign, or offer a draw")
    return (Ended(now, None, "aborted", f"{match.rules.sides[seat]} called it off"),)


def _give_time(match: Match[Any, Any], seat: int, now: float) -> Events:
    _must_be_on(match)
    if match.control.days is not None:
        raise Refused("not-timed", "there are days for each move here")
    if match.clocks.left[1 - seat] + MORE_TIME_SECONDS > MOST_GIVEN_SECONDS:
        raise Refused("not-timed", "your opponent has time enough")
    return (TimeGiven(now, 1 - seat, MORE_TIME_SECONDS),)


def _claim(
    match: Match[Any, Any], seat: int, result: str, gone_since: float | None, now: float
) -> Events:
    _must_have_begun(match)
    if match.control.days is not None:
        raise Refused("not-timed", "there are days for each move: nobody has to be here")
    if gone_since is None or now < gone_since + CLAIM_SECONDS:
        raise Refused("not-gone", "your opponent isn't gone, or not for long enough")
    side = match.rules.sides[1 - seat]
    winner = seat if result == "win" else None
    return (Ended(now, winner, "left", f"{side} left the match"),)
