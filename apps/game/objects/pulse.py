"""The pulse: what knows whether the server was alive all the time.

A clock that goes by the server's time must know when there was no server. Nothing that is asleep
can tell, and nothing that wakes up can say since when it should have been awake. So one object
signs, now and then, that the process lives; whoever finds the signature of another process, or one
that is too old, knows that nobody could have moved since.
"""

from __future__ import annotations

import secrets
from typing import Final

from apps.game.objects.env import Env
from apps.game.store import now
from apps.game.store import pulse as store
from apps.game.store.pulse import Beat
from runtime import AlarmInvocation, DurableObject

FINE: Final = 2  # seconds between two beats, for matches of minutes
COARSE: Final = 3600  # for matches of days
LATE: Final = 1.5  # beats that may be missing without meaning anything

# A restart may be over before a beat is late. Another process is another one all the same.
_PROCESS: Final = secrets.token_hex(8)


class Pulse(DurableObject[Env]):
    """Beats as long as somebody's clock is running. Its name is how many seconds lie between
    two beats."""

    migrations = store.MIGRATIONS

    async def watch(self, until: float) -> None:
        """Have it beat until a moment, at least."""
        sql = self.ctx.storage.sql
        self._look()
        last = store.last_beat(sql)
        wanted = max(until, last.beats_until if last else 0.0)
        store.note_beat(sql, Beat(_PROCESS, now(sql), wanted))
        await self._wind()

    async def outages(self, since: float) -> list[tuple[float, float]]:
        """Return when the server wasn't alive, of what has ended after `since`: begins and ends."""
        self._look()
        return store.outages_after(self.ctx.storage.sql, since)

    async def alarm(self, invocation: AlarmInvocation) -> None:
        """Beat."""
        sql = self.ctx.storage.sql
        self._look()
        last = store.last_beat(sql)
        if last is not None and last.beat_at < last.beats_until:
            store.note_beat(sql, Beat(_PROCESS, now(sql), last.beats_until))
            await self._wind()

    def _look(self) -> None:
        """Note that the server wasn't alive, if it wasn't."""
        sql = self.ctx.storage.sql
        last = store.last_beat(sql)
        if last is None or last.beat_at >= last.beats_until:
            return  # nobody has wanted to know
        moment = now(sql)
        is_late = moment - last.beat_at > LATE * self._seconds
        if is_late or last.process != _PROCESS:
            store.note_outage(sql, last.beat_at, moment)
            store.note_beat(sql, Beat(_PROCESS, moment, last.beats_until))

    async def _wind(self) -> None:
        await self.ctx.storage.set_alarm(now(self.ctx.storage.sql) + self._seconds)

    @property
    def _seconds(self) -> float:
        return float(self.ctx.id.name or FINE)
