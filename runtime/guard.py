"""The guard tells authors, in development, of three mistakes that hide while nobody is in a hurry.

- **A lost update**: an event reads something, waits, and overwrites it, although another event has
  changed it meanwhile. Keys are watched one by one, SQL by the columns and rows of tables. What
  comes out of an expression (``count(*)``, ``n + 1``) isn't, and neither are attributes of the
  instance: that would take a hook into every access to them.
- **A lost attribute**: an event changes an attribute of the instance and stores nothing, and the
  object leaves memory. Plain values are watched, and containers of them; a name that begins with
  an underscore says that it is a cache. What an event has read from the storage isn't lost.
- **A slow critical section**: one that keeps everything else of its object waiting for seconds.

It keeps quiet in doubt. Each warning comes once for the lines it names.
"""

from __future__ import annotations

import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from runtime.races import Knowledge, Race
from runtime.sections import LIMIT_SECONDS
from runtime.tasks import ObjectTask, as_async, current
from runtime.waits import name_of_event, place_of, reason, running_at, waiting_at
from runtime.witness import KV, Witness

if TYPE_CHECKING:
    from runtime.activation import Activation

SLOW_SECONDS: Final = 5.0  # that a critical section may take
MAX_READ: Final = 5000  # values that an event is known to have read
MAX_LEAVES: Final = 1000  # plain values in an attribute that is watched

ALARM: Final = "_cf_ALARM"
_UNWATCHED: Final = object()  # stands for what isn't plain, or is too much
_MISSING: Final = object()

_LOST_UPDATE: Final = (
    "%s lost an update of %s: %s read it at %s and overwrote it at %s, but meanwhile another "
    "event, %s, had changed it at %s, and that change is gone. Read and write it in one "
    "ctx.storage.transaction() or block_concurrency_while(), or read it again after the await%s."
)
_IN_SQL: Final = ", or do it in one SQL statement, such as SET n = n + 1"
_LOST_ATTRIBUTE: Final = (
    "%s lost self.%s when it left memory, as every object does that is idle for a while: %s, at "
    "%s, changed it and stored nothing. Put it into ctx.storage, and load it in the constructor; "
    "or call it self._%s, if it is a cache that may be lost."
)
_SLOW_SECTION: Final = (
    "%s has been in %s, begun at %s, for %.0f seconds: %s. Everything else of the object waits "
    "until it ends, and after %.0f seconds the object is reset. Wait for the outside world before "
    "it, or after it."
)

T = TypeVar("T")

log = logging.getLogger("runtime.guard")


@dataclass(eq=False, slots=True)
class _Event:
    """Something that happened to the object, with all tasks that it has started."""

    knowledge: Knowledge
    place: str | None
    """Where its method is."""
    is_construction: bool
    has_stored: bool = False
    read: set[object] = field(default_factory=set)
    """Plain values, from the storage."""

    def can_be_repeated(self, value: object) -> bool:
        """Whether the next life can come to a value of an attribute as this event did."""
        has_read = bool(self.read) and self.read.issuperset(_leaves(value))
        return self.is_construction or self.has_stored or has_read


_event: ContextVar[_Event | None] = ContextVar("event of an object", default=None)


class Guard:
    """Watches one life of one object. A `Scene` to the witness of its database."""

    def __init__(self, life: Activation, told: set[tuple[str, ...]]) -> None:
        """Args:
        told: What the log of this node has been told, by the lines that were named.
        """
        self._life = life
        self._told = told
        self._step = 0
        self._event = _Event(Knowledge("nobody"), None, is_construction=True)
        self._sockets = 0
        # Its plain attributes: as constructed, as of now, and who has changed those not stored.
        self._first: dict[str, object] = {}
        self._latest: dict[str, object] = {}
        self._unsaved: dict[str, _Event] = {}
        database = life.disk.database
        self._witness = database.witness = Witness(self, database.run)

    # Called by the object's activation.

    def begin_step(self) -> None:
        """A step of the object's code begins."""
        self._look_back()
        self._step += 1
        event = _event.get()
        if event is None:
            event = self._new_event()
            _event.set(event)
        self._event = event

    def watched(self, work: Callable[[], Awaitable[T]], name: str) -> Callable[[], Awaitable[T]]:
        """Return what does the work of a critical section, and is told of if it takes long."""
        began = self.place()

        async def watched() -> T:
            task = current.get()
            assert task is not None, "a section is a task"
            slow = partial(self._is_slow, task, name, began)
            timer = self._life.clock.call_later(SLOW_SECONDS, slow)
            try:
                result: T = await as_async(work)
                return result
            finally:
                timer.cancel()

        return watched

    def leave(self) -> None:
        """The object leaves memory, whole and with nothing under way."""
        self._look_back()
        attached = set[object]()
        for ws in self._life.sockets.all() if self._unsaved else ():
            attached.update(_leaves(frozen(ws.deserialize_attachment())))
        for name, event in self._unsaved.items():
            value = self._latest.get(name, _MISSING)
            if value is _MISSING or _are_same(value, self._first.get(name, _MISSING)):
                continue
            if event.place is None or (attached and attached.issuperset(_leaves(value))):
                continue
            if self._is_news(f"{self._life.code.cls.__qualname__}.{name}", event.place):
                method = name_of_event(event.knowledge.name)
                log.warning(_LOST_ATTRIBUTE, self._life, name, method, event.place, name)

    # What the witness needs: `witness.Scene`.

    @property
    def knowledge(self) -> Knowledge:
        return self._event.knowledge

    @property
    def step(self) -> int:
        return self._step

    def place(self) -> str:
        event, task = self._event, current.get()
        running = None if task is None else running_at(task)
        return running or event.place or name_of_event(event.knowledge.name)

    def read(self, values: Iterable[object]) -> None:
        known = self._event.read
        for value in values:
            if len(known) < MAX_READ:
                known.update(_leaves(frozen(value)))

    def stored(self, table: str, *, is_new: bool) -> None:
        is_over = table == ALARM and not is_new and self._event.knowledge.name == "alarm"
        if not is_over:  # which is the runtime's to note
            self._event.has_stored = True
            self._unsaved.clear()

    def raced(self, race: Race, place: str) -> None:
        table, key, column = race.cell
        lost, remedy = f"{table}.{column}", _IN_SQL
        if table == KV:
            lost, remedy = f"the key {key!r}", ""
        if self._is_news(race.read.place, place):
            reader, writer = (name_of_event(by.name) for by in (self.knowledge, race.other.by))
            where = (reader, race.read.place, place, writer, race.other.place)
            log.warning(_LOST_UPDATE, self._life, lost, *where, remedy)

    def _new_event(self) -> _Event:
        task, life = current.get(), self._life
        assert task is not None, "a step is a task's"
        if len(life.tasks) == 1:  # nobody else is under way who may have read something
            self._witness.races.clear()
        name = task.get_name()
        method = getattr(life.code.cls, name, None)
        code = getattr(inspect.unwrap(method), "__code__", None) if callable(method) else None
        place = None if code is None else place_of(code, code.co_firstlineno)
        return _Event(Knowledge(name), place, is_construction=life.instance is None)

    def _look_back(self) -> None:
        """Look at what the last step has changed."""
        instance, event = self._life.instance, self._event
        if instance is None:
            return
        if len(self._life.sockets) != self._sockets:  # they survive, with what is told by them
            self._sockets = len(self._life.sockets)
            event.has_stored = True
        latest, self._latest = self._latest, {}
        for name, held in vars(instance).items():
            if name.startswith("_"):
                continue
            value, before = frozen(held), latest.get(name, _MISSING)
            self._latest[name] = value
            if _are_same(value, before):
                continue
            if event.is_construction:
                self._first[name] = value
            if _UNWATCHED in (value, before) or event.can_be_repeated(value):
                self._unsaved.pop(name, None)
            else:
                self._unsaved[name] = event

    def _is_slow(self, task: ObjectTask, name: str, began: str) -> None:
        if self._is_news(name, began, waiting_at(task) or ""):
            why = reason(task, "another critical section")
            log.warning(_SLOW_SECTION, self._life, name, began, SLOW_SECONDS, why, LIMIT_SECONDS)

    def _is_news(self, *lines: str) -> bool:
        is_news = lines not in self._told
        self._told.add(lines)
        return is_news


def frozen(value: object) -> object:
    """Return an unchangeable copy of a plain value, to be compared later.

    Numbers, text, bytes and None are plain, and lists, sets and dicts of what is plain, up to a
    thousand in all. Everything else is one and the same.
    """
    left = MAX_LEAVES

    def copy(value: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise OverflowError
        match value:
            case None | int() | float() | str() | bytes():
                return value
            case list() | tuple() | deque():
                return tuple(map(copy, value))
            case set() | frozenset():
                return frozenset(map(copy, value))
            case dict():
                return frozenset((copy(key), copy(item)) for key, item in value.items())
        raise TypeError

    try:
        return copy(value)
    except (OverflowError, TypeError, RecursionError):
        return _UNWATCHED


def _leaves(value: object) -> Iterator[object]:
    """Yield the plain values in what is frozen."""
    if isinstance(value, tuple | frozenset):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _are_same(one: object, other: object) -> bool:
    return one is other or one == other  # what isn't a number isn't like itself
