"""All objects of one process: started on demand, woken by alarms, evicted, drained.

The host keeps one `Resident` for each object that is awake or has sockets, and nothing for the
rest: an object asleep costs a file on disk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextvars import Context
from functools import partial
from pathlib import Path
from typing import Any

from runtime import events, references
from runtime.activation import Activation
from runtime.catalog import Catalog, Key
from runtime.clock import Clock
from runtime.config import RuntimeConfig
from runtime.connection import Traffic
from runtime.draining import drain
from runtime.errors import ObjectReset, ShuttingDown
from runtime.evictions import STOPPING, Evictions, ignore, key_of, name_of
from runtime.guard import Guard
from runtime.histories import Histories
from runtime.ids import IdScheme, ObjectId
from runtime.journal import Journal
from runtime.namespace import Call, DurableObjectNamespace
from runtime.persistence import Alarms
from runtime.pump import Pump
from runtime.resident import Event, Refuse, Resident
from runtime.reuse import Handlers
from runtime.ringer import Ringer
from runtime.syncer import Syncer
from runtime.tasks import spawn_outside
from runtime.wire import copied_error


class Host:
    """Runs objects. A `Router` to stubs, a `Node` to activations.

    Invariants:
        - No object's code runs inside a step of another's (or of its own).
        - Events of one object are delivered in the order in which they came.
    """

    def __init__(
        self,
        config: RuntimeConfig,
        clock: Clock,
        catalog: Catalog,
        syncer: Syncer,
        histories: Histories,
        *,
        vfs: str | None = None,
    ) -> None:
        self.clock = clock
        self.syncer = syncer
        self.journal = Journal(
            config.data / "journal",
            config.data / "objects",
            syncer,
            clock=clock,
            max_bytes=config.journal_max_bytes,
            segment_bytes=config.journal_segment_bytes,
            crowded=self._make_room,
        )
        self.histories = histories
        self.debug = config.debug
        self._told: set[tuple[str, ...]] = set()  # what guards have said, by the lines named
        self.statement_seconds = config.statement_seconds
        self.is_stepping = False
        self.steps = 0
        self.handlers = Handlers()
        self._config = config
        self._catalog = catalog
        self.vfs = vfs
        self._env: Any = None
        self._namespaces: dict[str, DurableObjectNamespace[Any]] = {}
        self._residents: dict[Key, Resident] = {}
        self._evictions = Evictions(self, catalog, config.idle_seconds, config.drain_seconds)
        self._ringer = Ringer(clock, self._ring)
        self._inbox: deque[tuple[Resident, Event, Refuse]] = deque()
        # What is put off so belongs to no object, and doesn't hold the task that it was put off by.
        self.soon = partial(asyncio.get_running_loop().call_soon, context=Context())
        self.traffic = Traffic(Pump(self.soon))
        self.is_draining = False
        self.is_dead = False

    # Starting and stopping.

    def bind(self, namespaces: Mapping[str, DurableObjectNamespace[Any]], env: Any) -> None:
        """Say which classes there are, and what their objects get as ``env``."""
        self._env = env
        for namespace in namespaces.values():
            self._namespaces[namespace.scheme.directory] = namespace
            self.folder(namespace.scheme.directory).mkdir(parents=True, exist_ok=True)

    async def start(self) -> None:
        """Take over all alarms. Those that are overdue ring at once."""
        by_object: dict[Key, dict[str | None, float]] = {}
        for key, _, alarm, due in await self._catalog.alarms():
            if self._namespace(key.directory) is not None:
                by_object.setdefault(key, {})[alarm] = due
        for key, alarms in by_object.items():
            self._ringer.set(key, alarms)

    async def drain(self, seconds: float | None = None) -> None:
        """Stop: no new events, handlers under way get their time, then everything is closed.

        Args:
            seconds: How much; as configured, if it isn't given.
        """
        patience = self._config.drain_seconds if seconds is None else seconds
        self.is_draining = True
        self._ringer.stop()
        await drain(self, self._residents, self._evictions, patience)

    def die(self) -> None:
        """End as a killed process does: nothing is finished, written, or said. For tests."""
        self.is_dead = self.is_draining = True
        self._ringer.stop()
        for resident in list(self._residents.values()):
            resident.sockets.hang_up()
            if (life := resident.life) is not None:
                life.break_off(ObjectReset("the process died"))
            while resident.waiting:
                resident.next().refuse(ShuttingDown("the process died"))

    def bury(self) -> None:
        """Let go of the files that were open when it died. Once nothing uses them. For tests."""
        for life in self.lives():
            life.abandon()
        self._evictions.bury()

    @property
    def is_at_rest(self) -> bool:
        """Whether the runtime itself has nothing under way; a handler may be waiting."""
        return (
            not self._inbox
            and self.syncer.is_idle
            and self.traffic.pump.is_idle
            and self._catalog.is_idle
            and not any(r.is_closing and not r.waits_for_disk for r in self._residents.values())
        )

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is under way: no handler either."""
        lives = (resident.life for resident in self._residents.values())
        return self.is_at_rest and all(life is None or life.is_quiet for life in lives)

    # What stubs need: `namespace.Router`.

    def route(self, call: Call) -> None:
        if self.is_draining and not call.is_from_object:
            call.reply.fail(ShuttingDown(STOPPING, durable_object_id=call.target.hex))
            return
        resident = self._resident(Key(call.directory, call.target.hex), call.target)
        self.deliver(resident, partial(events.call, call=call), call.reply.fail)

    def refer(self, value: Any) -> Any:
        return references.refer(value)

    async def list_ids(
        self, scheme: IdScheme, *, prefix: str | None, after: ObjectId | None, limit: int
    ) -> AsyncIterator[ObjectId]:
        for hex, name in await self._catalog.ids(
            scheme.directory, prefix=prefix, after=after.hex if after else None, limit=limit
        ):
            yield ObjectId(hex, name, scheme.jurisdiction)

    # Delivering.

    def deliver(self, resident: Resident, event: Event, refuse: Refuse) -> None:
        """Have an object handle an event, at once if that is possible.

        Args:
            refuse: Called instead, with the reason, if the object can't be started.
        """
        if self.is_stepping or self._inbox:
            # Inside a step, this one's or another's: after it, and in order.
            self._inbox.append((resident, event, refuse))
            self.soon(self._deliver_next)
        else:
            self.admit(resident, event, refuse)

    def handles(self, key: Key, handler: str) -> bool:
        """Whether an object's class has a handler; if not, it needn't be woken for it."""
        namespace = self._namespace(key.directory)
        return namespace is not None and hasattr(namespace.cls, handler)

    def _deliver_next(self) -> None:
        try:
            self.admit(*self._inbox[0])  # still the first in the queue: nobody overtakes it
        finally:
            self._inbox.popleft()

    def admit(self, resident: Resident, event: Event, refuse: Refuse) -> None:
        # Another one, if this was let go of while the event was in the queue (I1).
        resident = self._residents.setdefault(resident.key, resident)
        if resident.life is not None and resident.life.replaced_at is not None:
            self._evictions.make_way(resident.life)
        if resident.is_closing or (resident.life and resident.life.failure):
            resident.wait(event, refuse)  # for the next life
            return
        life = resident.life or self._wake(resident)
        if life.failure is not None:
            refuse(copied_error(life.failure, resident.id.hex))
        elif (task := event(life)) is not None and not task.has_started:
            task.again = (event, refuse)

    def _wake(self, resident: Resident) -> Activation:
        namespace = self._namespace(resident.key.directory)
        assert namespace is not None, "nobody has a stub of an unbound class"
        path = self._config.data / "objects" / name_of(resident.key)
        life = Activation(resident.id, namespace, path, self, resident.sockets, resident.inbox)
        resident.life = life
        # In a context of its own: the object sees nothing of whoever happens to wake it.
        Context().run(life.start, self._env)
        return life

    def _ring(self, key: Key, alarm: str | None) -> None:
        resident = self._resident(key, ObjectId(key.hex))

        def ring(life: Activation) -> None:
            task = events.ring(life, alarm)
            task.add_done_callback(lambda _: self._rung(life, key, alarm))

        self.deliver(resident, ring, lambda _: self._ringer.failed(key, alarm))

    def _rung(self, life: Activation, key: Key, alarm: str | None) -> None:
        if life.failure is None:
            over = (partial(over, key, alarm) for over in (self._ringer.rung, self._ringer.failed))
            life.disk.when_settled(*over)
        elif not self.is_dead:
            self._ringer.failed(key, alarm)

    # What activations need: `activation.Node`.

    def alarms_set(self, activation: Activation, alarms: Alarms) -> None:
        self._ringer.set(self.resident_of(activation).key, alarms)

    def stored(self, activation: Activation, alarms: Alarms) -> None:
        key = self.resident_of(activation).key
        self._catalog.note(key, activation.id.name, alarms)
        self._evictions.told(key)

    def settled(self, activation: Activation, *, before: int) -> None:
        name = name_of(self.resident_of(activation).key)
        spawn_outside(self._evictions.settle(name, before=before))

    def guard_of(self, activation: Activation) -> Guard | None:
        return Guard(activation, self._told) if self.debug else None

    def woke(self, activation: Activation) -> None:
        self._evictions.watch(activation)

    def broke(self, activation: Activation, *, is_told: bool) -> None:
        if not self.is_dead:
            self._evictions.clear(self.resident_of(activation), is_told=is_told)

    # Leaving memory.

    @property
    def resident_count(self) -> int:
        """How many objects are awake, or have sockets."""
        return len(self._residents)

    @property
    def socket_count(self) -> int:
        """How many sockets they have."""
        return sum(len(resident.sockets) for resident in self._residents.values())

    @property
    def alarm_counts(self) -> tuple[int, int]:
        """How many alarms are due and wait for others to end, and how many are being run."""
        return self._ringer.waiting, self._ringer.ringing

    def resident(self, key: Key) -> Resident | None:
        """Return what the process holds of an object, if it holds anything."""
        return self._residents.get(key)

    def life_of(self, key: Key) -> Activation | None:
        """Return an object's activation, if it is awake."""
        resident = self._residents.get(key)
        return None if resident is None else resident.life

    def lives(self) -> list[Activation]:
        """Return the activations of all objects that are awake."""
        return [resident.life for resident in self._residents.values() if resident.life is not None]

    def wake(self, key: Key, id: ObjectId, found: Event, refuse: Refuse) -> None:
        """Have an object awake, and call `found` with its activation."""
        self.deliver(self._resident(key, id), found, refuse)

    def evict(self, life: Activation) -> None:
        """Evict an object now. Only while it is quiet."""
        self._evictions.evict(self.resident_of(life))

    def renew(self) -> None:
        """Have all objects leave memory, because their classes are others now. Sockets stay."""
        self._evictions.renew(self._residents.values())

    def forget_if_idle(self, resident: Resident) -> None:
        """Let go of an object that is asleep and has no socket."""
        if resident.is_idle:
            self._residents.pop(resident.key, None)

    def _make_room(self) -> None:
        """Have the databases settled that keep the oldest segment of the journal from going."""
        if self.is_draining:
            return  # all of them are being settled
        for key in map(key_of, self.journal.surplus()):
            self.wake(key, ObjectId(key.hex), Activation.checkpoint, ignore)

    # Finding things.

    def folder(self, directory: str) -> Path:
        """Return where the objects of a class and jurisdiction are kept."""
        return self._config.data / "objects" / directory

    def _namespace(self, directory: str) -> DurableObjectNamespace[Any] | None:
        namespace = self._namespaces.get(directory)
        if namespace is None and "@" in directory:
            key, _, jurisdiction = directory.rpartition("@")
            if key in self._namespaces:
                namespace = self._namespaces[key].jurisdiction(jurisdiction)
                self._namespaces[directory] = namespace
                self.folder(directory).mkdir(parents=True, exist_ok=True)
        return namespace

    def _resident(self, key: Key, id: ObjectId) -> Resident:
        resident = self._residents.get(key)
        if resident is None:
            resident = self._residents[key] = Resident(self, key, id)
        elif resident.id.name is None:
            resident.id = id
        return resident

    def resident_of(self, activation: Activation) -> Resident:
        return self._residents[Key(activation.namespace.scheme.directory, activation.id.hex)]
