"""A bot: an object that plays as anybody else does, through the methods of the match."""

from __future__ import annotations

import secrets
from datetime import timedelta
from random import Random
from typing import Final

from apps.game.domain.games import GAMES
from apps.game.domain.match import Player
from apps.game.domain.players import choose
from apps.game.domain.refusals import Refused
from apps.game.objects.env import Env
from runtime import AlarmInvocation, DurableObject

BOT_NAME: Final = "Dormouse"
THINK_SECONDS: Final = 0.4  # who answers at once isn't seen to move
ACCEPTS: Final = frozenset({"takeback", "rematch"})  # of what it is offered
_SECRET: Final = "secret"


class Bot(DurableObject[Env]):
    """The bot of one match, and named as that is.

    It is nudged whenever there is something for it to do, and does it in an alarm, which is run
    again if the process dies meanwhile. What it does there depends on the match alone and on a
    secret that stays the same, so doing it twice is harmless.
    """

    async def nudge(self) -> None:
        """Look at the match soon."""
        await self.ctx.storage.set_alarm(timedelta(seconds=THINK_SECONDS))

    async def alarm(self, invocation: AlarmInvocation) -> None:
        """Look at the match, and answer or move."""
        id = str(self.ctx.id.name)
        match, me = self.env.matches.get_by_name(id), bot_id(id)
        sight = await match.sight(me)
        try:
            if sight.offer is not None and sight.offer.seat != sight.seat:
                is_fine = sight.offer.what in ACCEPTS
                await match.offer(me, sight.offer.what, "accept" if is_fine else "decline")
            elif sight.seat in sight.to_move:
                random = Random(f"{self._secret()} {sight.ply}")
                move = choose(GAMES[sight.game], sight.position, sight.seat, random)
                await match.move(me, sight.ply, move)
        except Refused:
            return  # something has happened meanwhile, of which it is told as well

    def _secret(self) -> str:
        """Return what its choices are drawn by: from the match's id anybody could work out where
        its ships are."""
        kv = self.ctx.storage.kv
        if kv.get(_SECRET) is None:
            kv.put(_SECRET, secrets.token_hex(16))
        return str(kv.get(_SECRET))


def bot_id(match: str) -> str:
    """Return what a match knows its bot by. No guest has such an id."""
    return f"bot of {match}"


def bot_of(match: str) -> Player:
    """Return a match's bot, as it sits there."""
    return Player(bot_id(match), BOT_NAME, is_bot=True)
