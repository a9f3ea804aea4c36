"""The waiting room of a hot sale: it lets in so many a second, in the order in which they came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from apps.booking import store
from apps.booking.domain import admission
from apps.booking.domain.refusals import TooSoon
from apps.booking.objects.env import Env
from apps.booking.store import schema
from runtime import AlarmInvocation, DurableObject, DurableObjectState

ADMIT: Final = "admit"


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody is in the queue."""

    is_in: bool
    before: int = 0
    """How many come before them."""
    seconds: float = 0.0
    """For how long they will wait, about; or how long they may stay, once they are in."""


class Queue(DurableObject[Env]):
    """The waiting room of one event.

    A place belongs to a person, not to a connection. So reloading the page, opening a hundred of
    them or coming back after an hour changes nothing: it isn't even a write.
    """

    migrations = schema.QUEUE

    def __init__(self, ctx: DurableObjectState, env: Env) -> None:
        super().__init__(ctx, env)
        self._sql = ctx.storage.sql

    async def be(self, per_second: int) -> None:
        """Let in so many a second from now on; 0 lets everybody in."""
        self.ctx.storage.kv.put("per_second", per_second)
        await self._admit(self._now())

    async def join(self, person_id: str) -> Place:
        """Put somebody at the end, if they have no place, and return where they are.

        Raises:
            TooSoon: If so many wait that it makes no sense.
        """
        if not self._per_second:
            return Place(is_in=True)  # and nobody stands in a queue that there isn't
        now = self._now()
        self._sql.exec("DELETE FROM queue WHERE person_id = ? AND until <= ?", person_id, now)
        if self._entry(person_id) is None:
            if self._length() >= admission.MAX_QUEUE:
                raise TooSoon("too many wait already; please come back later", 60)
            self._sql.exec("INSERT INTO queue (person_id) VALUES (?)", person_id)
        await self._admit(now)
        return self._place(person_id, now)

    async def place(self, person_id: str) -> Place | None:
        """Return where somebody is; None if they haven't come, or their time is over."""
        now = self._now()
        await self._admit(now)
        entry = self._entry(person_id)
        is_over = entry is None or (entry[1] is not None and entry[1] <= now)
        return None if is_over else self._place(person_id, now)

    async def must_be_in(self, person_id: str, per_second: int) -> None:
        """Let only those pass who were let in.

        Args:
            per_second: As the event has it. It may have died before it could tell.

        Raises:
            TooSoon: For everybody else, with when to try again.
        """
        if per_second != self._per_second:
            await self.be(per_second)
        place = await self.join(person_id)
        if not place.is_in:
            wait = max(1, round(place.seconds))
            people = "1 person is" if place.before == 1 else f"{place.before} people are"
            raise TooSoon(f"{people} before you; please wait", wait)

    async def alarm(self, invocation: AlarmInvocation) -> None:
        """Let the next ones in."""
        await self._admit(max(self._now(), invocation.scheduled_time))

    async def _admit(self, now: float) -> None:
        if not self._per_second or not self._is_waited():
            return
        row = self._sql.exec("SELECT last FROM pace").next()
        last = float(row["last"]) if row else now - 1.0
        if count := admission.may_enter(self._per_second, last, now):
            entered = self._sql.exec(
                """
                UPDATE queue SET until = ? WHERE number IN (
                    SELECT number FROM queue WHERE until IS NULL ORDER BY number LIMIT ?)
                """,
                now + admission.PASS_SECONDS,
                count,
            ).rows_written
            last = admission.last_after(self._per_second, last, now, entered)
            self._sql.exec("INSERT OR REPLACE INTO pace VALUES (1, ?)", last)
            self._sql.exec("DELETE FROM queue WHERE until <= ?", now)
        if self._is_waited():
            await self.ctx.storage.set_alarm(last + max(1 / self._per_second, 0.25), name=ADMIT)

    def _place(self, person_id: str, now: float) -> Place:
        entry = self._entry(person_id)
        if not self._per_second or entry is None:
            return Place(is_in=True)
        number, until = entry
        if until is not None:
            return Place(is_in=True, seconds=until - now)
        row = self._sql.exec(
            "SELECT count(*) AS n FROM queue WHERE until IS NULL AND number < ?", number
        ).one()
        before = int(row["n"])
        return Place(False, before, admission.wait_seconds(self._per_second, before))

    def _entry(self, person_id: str) -> tuple[int, float | None] | None:
        row = self._sql.exec(
            "SELECT number, until FROM queue WHERE person_id = ?", person_id
        ).next()
        return None if row is None else (int(row["number"]), row["until"])

    def _is_waited(self) -> bool:
        return self._sql.exec("SELECT 1 FROM queue WHERE until IS NULL LIMIT 1").next() is not None

    def _length(self) -> int:
        return int(self._sql.exec("SELECT count(*) AS n FROM queue WHERE until IS NULL").one()["n"])

    @property
    def _per_second(self) -> int:
        return int(self.ctx.storage.kv.get("per_second", 0))

    def _now(self) -> float:
        return store.now(self._sql)
