"""Taking objects out of memory: when they have been idle, and when they are broken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextvars import Context
from functools import partial
from typing import Any, Final, Protocol

from runtime import events
from runtime.activation import Activation
from runtime.awake import causes
from runtime.catalog import Catalog, Key
from runtime.clock import Clock, Timer
from runtime.errors import ObjectReset, ShuttingDown
from runtime.health import is_of_the_disk
from runtime.histories import Histories
from runtime.journal import Journal
from runtime.persistence import Persistence
from runtime.records import SUFFIX, Entry, Kind
from runtime.resident import Event, Refuse, Resident, Waiting
from runtime.restoring import RETRY_SECONDS
from runtime.syncer import Syncer
from runtime.tasks import ObjectTask, spawn_outside

STOPPING: Final = "this server is stopping"
DISK_SECONDS: Final = 1.0  # until an object is looked at again that only the disk keeps here
LEAVE_SECONDS: Final = 0.25  # until it is looked again whether an object can leave its old code
ASK_SECONDS: Final = 1.0  # until an object that broke twice is asked again for its alarms

_REPLACED: Final = "Durable Object reset because its code was updated."

log = logging.getLogger("runtime")


class House(Protocol):
    """The host, as far as evictions concern it."""

    clock: Clock
    syncer: Syncer
    journal: Journal
    histories: Histories
    is_draining: bool

    def resident_of(self, life: Activation) -> Resident:
        """Return whose activation that is."""

    def admit(self, resident: Resident, event: Event, refuse: Refuse) -> None:
        """Have an object handle an event."""

    def forget_if_idle(self, resident: Resident) -> None:
        """Let go of an object that is asleep and has no socket."""


class Evictions:
    """Evicts the objects of one host.

    Invariants:
        - No object has a next life before its last one's database is closed (I1).
        - The journal forgets what a database holds once the catalog knows of its alarms (I7).
    """

    def __init__(
        self, house: House, catalog: Catalog, idle_seconds: float, drain_seconds: float
    ) -> None:
        self._house = house
        self._catalog = catalog
        self._idle_seconds = idle_seconds
        self._drain_seconds = drain_seconds
        # The objects that are asked for their alarms, and when that is to be tried again.
        self._untold: dict[Key, Timer | None] = {}
        self._closing: dict[asyncio.Task[None], Persistence] = {}
        self._loop = asyncio.get_running_loop()

    def watch(self, life: Activation, seconds: float | None = None) -> None:
        """Look after some time whether an object has been idle."""
        after = self._idle_seconds if seconds is None else seconds
        life.watch = self._house.clock.call_later(after, partial(self._evict_if_idle, life))

    def evict(self, resident: Resident) -> None:
        """Evict an object now. Only while it is quiet."""
        life, resident.life = resident.life, None
        assert life is not None, "nothing to evict"
        if life.guard is not None:
            life.guard.leave()
        is_empty = life.disk.has_become_empty()
        resident.is_closing = True
        disk = life.hibernate()
        closing = spawn_outside(self._close(resident, disk, is_empty=is_empty))
        self._closing[closing] = disk
        closing.add_done_callback(self._closing.pop)

    def renew(self, residents: Iterable[Resident]) -> None:
        """Have objects leave memory, because their classes were replaced. Their sockets stay.

        Those that are quiet go at once, and the others as soon as they are. One that is still busy
        after `drain_seconds` is reset: what it has sent leaves, and events that haven't begun are
        for its next life.
        """
        now = self._house.clock.time()
        for resident in list(residents):
            life = resident.life
            if life is None or life.failure is not None or life.replaced_at is not None:
                continue
            life.replaced_at = now
            if life.watch is not None:
                life.watch.cancel()
            self._leave(life, now + self._drain_seconds)

    def make_way(self, life: Activation) -> bool:
        """Evict an object whose class was replaced, if nothing of it is under way."""
        can_go = life.failure is None and life.is_quiet
        if can_go:
            self.evict(self._house.resident_of(life))
        return can_go

    def clear(self, resident: Resident, *, is_told: bool) -> None:
        """Make room for the next life of an object that broke.

        Args:
            is_told: Whether the node knows its alarms; else it is asked for them.
        """
        resident.broke()
        if not is_told:
            self._ask(resident)
        if resident.waiting:  # in a turn of its own: this may be inside a step
            resident.is_closing = True
            self._loop.call_soon(self._reopen, resident, context=Context())
        self._house.forget_if_idle(resident)

    async def settle(self, name: str, *, before: int | None = None) -> None:
        """Have the journal forget what a database holds."""
        if key_of(name) not in self._untold and await self._catalog.try_flush():
            self._house.journal.settled(name, before=before)

    def told(self, key: Key) -> None:
        """Hear that the node knows all alarms of an object."""
        self._untold.pop(key, None)

    def _ask(self, resident: Resident) -> None:
        if resident.key not in self._untold:
            self._untold[resident.key] = None
            resident.waiting.appendleft(Waiting(_tell_alarms, ignore))
        elif self._untold[resident.key] is None:
            # The life that was asked has broken too, perhaps over the schema that it had to write
            # first. Whatever else wakes the object may do so meanwhile.
            again = partial(self._ask_again, resident)
            self._untold[resident.key] = self._house.clock.call_later(ASK_SECONDS, again)

    def _ask_again(self, resident: Resident) -> None:
        if not self._house.is_draining:
            self._untold[resident.key] = None
            self._house.admit(resident, _tell_alarms, ignore)

    def _evict_if_idle(self, life: Activation) -> None:
        remaining = self._idle_seconds - (self._house.clock.time() - life.quiet_since)
        if life.is_quiet and remaining <= 0 and not life.lent:
            self.evict(self._house.resident_of(life))
            return
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s stays in memory: %s", life, "; ".join(causes(life, self._idle_seconds)))
        if life.tasks or life.lent:  # it can't have been idle before that
            self.watch(life)
        else:
            self.watch(life, max(remaining, DISK_SECONDS))

    def _leave(self, life: Activation, until: float) -> None:
        if life.is_over or self._house.is_draining or self.make_way(life):
            return
        if (remaining := until - self._house.clock.time()) > 0:
            again = partial(self._leave, life, until)
            life.watch = self._house.clock.call_later(min(remaining, LEAVE_SECONDS), again)
        else:
            # No step is taken any more, and so nothing is sent behind what has yet to leave.
            replace = partial(self._loop.call_soon, self._replace, life, context=Context())
            life.input.start_section(lambda _: life.output.send(replace))

    def _replace(self, life: Activation) -> None:
        if life.is_over or self.make_way(life):
            return
        why = "; ".join(causes(life, self._idle_seconds))
        log.warning("%s was reset, because its code was replaced: %s", life, why)
        resident = self._house.resident_of(life)
        for task in life.input.waiting:
            if isinstance(task, ObjectTask) and task.again is not None and not task.has_started:
                events.take_back(life, task, task.again[0])
                resident.wait(*task.again)
        reset = ObjectReset(_REPLACED, durable_object_id=life.id.hex)
        reset.retryable = True
        life.break_off(reset, keeps_sockets=True)

    def bury(self) -> None:
        """Close the databases that were being closed when the process died, as they are."""
        for closing, disk in list(self._closing.items()):
            closing.cancel()
            disk.abandon()

    async def _close(self, resident: Resident, disk: Persistence, *, is_empty: bool) -> None:
        name, stamp = name_of(resident.key), self._house.histories.stamps.next()
        if is_empty and await self._is_durable(Entry(Kind.REMOVED, name, stamp=stamp)):
            # An object exists as long as it has something stored. The journal says now that it
            # doesn't, and would take what a next life writes for a part of nothing: so there is
            # none before it is gone.
            is_gone = await self._on_thread(disk.remove)
            while not is_gone and not self._house.is_draining:  # or the next start removes it
                await self._pause(resident)
                is_gone = await self._on_thread(disk.remove)
            if is_gone:
                self._catalog.forget(resident.key)
                await self.settle(name)
        elif await self._on_thread(disk.close):
            await self.settle(name)
        self._reopen(resident)

    async def _pause(self, resident: Resident) -> None:
        over: asyncio.Future[None] = self._loop.create_future()
        self._house.clock.call_later(RETRY_SECONDS, partial(over.set_result, None))
        resident.waits_for_disk = True
        await over
        resident.waits_for_disk = False

    def _reopen(self, resident: Resident) -> None:
        resident.is_closing = False
        while resident.waiting and not resident.is_closing:
            if resident.life is not None and resident.life.failure is not None:
                return  # one of them broke it: those behind are for the life after
            waiting = resident.next()
            if self._house.is_draining:
                waiting.refuse(ShuttingDown(STOPPING, durable_object_id=resident.key.hex))
            else:
                self._house.admit(resident, waiting.event, waiting.refuse)
        self._house.forget_if_idle(resident)

    async def _on_thread(self, work: Callable[[], None]) -> bool:
        done: asyncio.Future[Exception | None] = self._loop.create_future()
        self._house.syncer.run(work, partial(_set, done))
        if (error := await done) is not None and not is_of_the_disk(error):
            log.error("closing a database failed; it is repaired when it is next opened: %s", error)
        return error is None

    async def _is_durable(self, entry: Entry) -> bool:
        is_durable: asyncio.Future[bool] = self._loop.create_future()
        durable, lost = (partial(_set, is_durable, outcome) for outcome in (True, False))
        self._house.journal.append(entry, durable, lambda _: lost())
        return await is_durable


def _set(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():  # whoever waits may have died
        future.set_result(result)


def _tell_alarms(life: Activation) -> None:
    life.disk.tell_alarms()


def name_of(key: Key) -> str:
    """Return where an object's database is, as the journal calls it."""
    return f"{key.directory}/{key.hex}{SUFFIX}"


def key_of(name: str) -> Key:
    """Return whose database it is."""
    directory, _, file = name.partition("/")
    return Key(directory, file.removesuffix(SUFFIX))


def ignore(_: Exception) -> None:
    """Hear that the object couldn't be started, which whoever calls it next hears too."""
