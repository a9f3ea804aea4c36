"""The lobby: who waits for anyone to play with. One object pairs them, each once."""

from __future__ import annotations

from apps.game.domain.lobby import MOST_OPEN, RESERVED_SECONDS, Challenge
from apps.game.domain.refusals import Refused
from apps.game.objects.env import Env
from apps.game.store import lobby as store
from runtime import AlarmInvocation, DurableObject, errors

errors.register(Refused)


class Lobby(DurableObject[Env]):
    """Open challenges, and seats that are kept for a while for whoever was paired."""

    migrations = store.MIGRATIONS

    async def post(self, challenge: Challenge) -> str | None:
        """Wait for anyone; or return the match of somebody who waits for just that already.

        That one's seat is kept for a while, and nobody else is sent there meanwhile.

        Raises:
            Refused: If somebody waits in too many matches at once.
        """
        sql = self.ctx.storage.sql
        store.forget_old(sql)
        if (found := store.fitting(sql, challenge)) is not None:
            store.reserve(sql, found, challenge.player.id, RESERVED_SECONDS)
            await self._wind()
            return found
        if store.count_of(sql, challenge.player.id) >= MOST_OPEN:
            raise Refused("too-many-open", f"you wait for {MOST_OPEN} opponents already")
        store.post(sql, challenge)
        return None

    async def close(self, match: str) -> None:
        """Forget a challenge: somebody has come, or nobody will. A second time does nothing."""
        store.remove(self.ctx.storage.sql, match)

    async def challenges(self) -> list[Challenge]:
        """Return who waits, the longest first."""
        store.forget_old(self.ctx.storage.sql)
        return store.open_challenges(self.ctx.storage.sql)

    async def alarm(self, invocation: AlarmInvocation) -> None:
        """Give back the seats of those who haven't come."""
        store.release(self.ctx.storage.sql, invocation.scheduled_time)
        await self._wind()

    async def _wind(self) -> None:
        if (moment := store.next_release(self.ctx.storage.sql)) is not None:
            await self.ctx.storage.set_alarm(moment)
