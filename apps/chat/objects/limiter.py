"""How much one person, or one address, may do: an object for each."""

from __future__ import annotations

from datetime import timedelta

from apps.chat.domain import LIMITS
from runtime import AlarmInvocation, DurableObject
from runtime.patterns.rate_limit import RateLimit

FORGOTTEN_AFTER = timedelta(minutes=10)  # by then every bucket is full again


class RateLimiter(DurableObject[object]):
    """Token buckets over all rooms, which no restart fills.

    Its name says whose: ``person:…`` or ``address:…``. It is gone ten minutes after its last use.
    """

    migrations = tuple(RateLimit.schema(what) for what in LIMITS)
    _is_wound = False  # whether the alarm is known to be set: it is asked for at every message

    async def take(self, what: str) -> float:
        """Take a token for one of `LIMITS`.

        Returns:
            0 if it was there. Else after how many seconds there will be one.
        """
        limit = LIMITS[what]
        bucket = RateLimit(self.ctx, per_second=limit.per_second, burst=limit.burst, name=what)
        if not self._is_wound and await self.ctx.storage.get_alarm() is None:
            await self.ctx.storage.set_alarm(FORGOTTEN_AFTER)
        self._is_wound = True
        return bucket.take()

    async def alarm(self, invocation: AlarmInvocation) -> None:
        """Leave nothing behind, unless it was used a moment ago."""
        if any(self._was_used(what) for what in LIMITS):
            await self.ctx.storage.set_alarm(FORGOTTEN_AFTER)
        else:
            self._is_wound = False
            await self.ctx.storage.delete_all()

    def _was_used(self, what: str) -> bool:
        recent = f"SELECT 1 FROM {what} WHERE at > unixepoch('subsec') - ?"
        seconds = FORGOTTEN_AFTER.total_seconds()
        return self.ctx.storage.sql.exec(recent, seconds).next() is not None
