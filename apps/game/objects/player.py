"""A player: their matches, and how strong they are. Matches tell it by letter, exactly once."""

from __future__ import annotations

from typing import Final

from apps.game.domain.lobby import Profile, Record
from apps.game.domain.rating import Rating
from apps.game.objects.env import Env
from apps.game.store import player as store
from runtime import DurableObject
from runtime.patterns.letterbox import Letterbox
from runtime.patterns.rate_limit import RateLimit

SCORES: Final = {"won": 1.0, "drawn": 0.5, "lost": 0.0}
OPENS_PER_SECOND: Final = 0.1  # matches that somebody may open
OPENS_AT_ONCE: Final = 10.0


class Player(DurableObject[Env]):
    """One person, by the id of the guest."""

    migrations = store.MIGRATIONS

    async def may_open(self) -> float:
        """Take it that they open a match: 0 if they may, else after how many seconds they may."""
        limit = RateLimit(self.ctx, per_second=OPENS_PER_SECOND, burst=OPENS_AT_ONCE)
        return limit.take()

    async def rating(self, game: str) -> Rating:
        """Return how strong they are in a game."""
        return store.ratings(self.ctx.storage.sql).get(game, Rating())

    async def profile(self) -> Profile:
        """Return their ratings and their last matches."""
        sql = self.ctx.storage.sql
        return Profile(store.ratings(sql), tuple(store.history(sql)))

    async def note(self, letter: str, record: Record) -> None:
        """Hear of a match that they play, or have played. The same letter again does nothing."""
        if not Letterbox(self.ctx).take(letter):
            return
        sql = self.ctx.storage.sql
        store.note(sql, record)
        score = SCORES.get(record.score or "")
        if score is not None and record.opponent_rating is not None:
            before = store.ratings(sql).get(record.game, Rating())
            store.rate(sql, record.game, before.after((record.opponent_rating, score)))
