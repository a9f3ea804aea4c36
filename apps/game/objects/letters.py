"""What others are to hear of a match: its players, the lobby, and its bot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from pydantic import TypeAdapter

from apps.game.domain.lobby import Record, Score
from apps.game.domain.match import Ended, Event, Match, Phase, Seated
from apps.game.objects.env import LOBBY, Env
from runtime.patterns.outbox import Letter

_TO_PLAYER: Final = "player "
_TO_LOBBY: Final = "lobby"
_TO_BOT: Final = "bot"

_record = TypeAdapter(Record)


def letters(
    id: str, match: Match[Any, Any], events: Sequence[Event[Any]]
) -> Iterator[tuple[str, Any]]:
    """Yield whom to write to about what has just happened, and what."""
    if any(isinstance(event, Seated | Ended) for event in events):
        if match.opened.opponent == "anyone" and match.phase is not Phase.WAITING:
            yield _TO_LOBBY, id
        # Whoever waits for a friend finds the way back to the link among their matches.
        if match.opened.opponent == "link" or match.began_at is not None:
            yield from _to_players(id, match)
    for seat, player in enumerate(match.players):
        is_asked = match.offer is not None and match.offer.seat != seat
        if player is not None and player.is_bot and (seat in match.to_move or is_asked):
            yield _TO_BOT, id


async def deliver(env: Env, letter: Letter) -> None:
    """Take a letter to whom it is for. It may be taken there twice."""
    if letter.to == _TO_LOBBY:
        await env.lobby.get_by_name(LOBBY).close(letter.body)
    elif letter.to == _TO_BOT:
        await env.bots.get_by_name(letter.body).nudge()
    else:
        player = env.players.get_by_name(letter.to.removeprefix(_TO_PLAYER))
        await player.note(letter.id, _record.validate_python(letter.body))


def _to_players(id: str, match: Match[Any, Any]) -> Iterator[tuple[str, Any]]:
    for seat, player in enumerate(match.players):
        opponent = match.players[1 - seat]
        if player is None or player.is_bot:
            continue
        record = Record(
            match=id,
            game=match.opened.game,
            seat=seat,
            opponent=opponent.name if opponent is not None else "",
            opponent_rating=opponent.rating if opponent and match.is_rated else None,
            began_at=match.began_at or match.opened.at,
            ended_at=match.result.at if match.result else None,
            score=_score(match.result, seat) if match.result else None,
            words=match.result.words if match.result else "",
        )
        yield f"{_TO_PLAYER}{player.id}", asdict(record)


def _score(result: Ended, seat: int) -> Score:
    if result.how == "aborted":
        return "aborted"
    if result.winner is None:
        return "drawn"
    return "won" if result.winner == seat else "lost"
