"""What a storm is made of: scripts, an object that carries them out, and a model of what they do.

A *script* is a sequence of operations. `Scribe` carries it out with what the runtime offers, and
`Run` on plain values, where a commit is an entry in a list. What isn't certain (how far a process
has come before it died, when exactly an alarm is tried again) is a set of possible worlds, of which
each look at the real one leaves those that fit.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import product
from reprlib import Repr
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from runtime import (
    AlarmInvocation,
    DurableObject,
    Request,
    Response,
    WebSocket,
    WebSocketRequestResponsePair,
    errors,
)

How: TypeAlias = Literal["confirmed", "unconfirmed", "sync"]
End: TypeAlias = Literal["kept", "raised", "rolled back"]

FIRST_RETRY: Final = 2.0  # seconds; twice as long for each further one, and up to a quarter more
MOST_RETRIES: Final = 6
SOON: Final = 4.0  # seconds after which an alarm that has reset its object rings again
SLACK: Final = 0.001  # seconds that the arithmetic may be off
RESTARTED: Final = 1012
VANISHED: Final = 1006
AS_TOLD: Final = "as told"
UNDONE: Final = "undone"
AT: Final = "at "  # what keys begin with that say when an alarm was set for
STUMBLED: Final = "stumbled"


# What a script is made of.


@dataclass(frozen=True)
class Put:
    key: str
    value: Any
    how: How = "confirmed"


@dataclass(frozen=True)
class PutMany:
    keys: tuple[str, ...]
    value: Any
    how: How = "confirmed"


@dataclass(frozen=True)
class Grow:
    """Put so many KiB."""

    key: str
    size: int


@dataclass(frozen=True)
class Delete:
    key: str
    how: How = "confirmed"


@dataclass(frozen=True)
class DeleteMany:
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Get:
    key: str


@dataclass(frozen=True)
class List:
    pass


@dataclass(frozen=True)
class Insert:
    row: int
    text: str


@dataclass(frozen=True)
class Update:
    row: int
    text: str


@dataclass(frozen=True)
class Remove:
    row: int


@dataclass(frozen=True)
class Make:
    """Make a table that no migration knows."""

    table: str


@dataclass(frozen=True)
class Drop:
    table: str


@dataclass(frozen=True)
class Note:
    text: str


@dataclass(frozen=True)
class SetAlarm:
    name: str | None
    seconds: int
    how: How = "confirmed"


@dataclass(frozen=True)
class DropAlarm:
    name: str | None


@dataclass(frozen=True)
class DeleteAll:
    pass


@dataclass(frozen=True)
class Broadcast:
    text: str
    tag: str | None = None


@dataclass(frozen=True)
class Send:
    """Send to one of the sockets, counted from the newest; nothing if there is none."""

    socket: int
    text: str


@dataclass(frozen=True)
class Attach:
    socket: int
    value: Any


@dataclass(frozen=True)
class Reply:
    """Answer the socket whose message this is, with the number of its answers so far."""

    text: str


@dataclass(frozen=True)
class Close:
    """Close that socket."""

    code: int


@dataclass(frozen=True)
class Pause:
    """Let others run."""


@dataclass(frozen=True)
class Sync:
    pass


@dataclass(frozen=True)
class Transaction:
    script: Script
    end: End = "kept"


@dataclass(frozen=True)
class TransactionSync:
    script: Script
    end: End = "kept"


@dataclass(frozen=True)
class Block:
    """Run with everything else held back."""

    script: Script


@dataclass(frozen=True)
class Call:
    """Have another object carry something out."""

    other: str
    script: Script


@dataclass(frozen=True)
class Raise:
    pass


@dataclass(frozen=True)
class Abort:
    pass


@dataclass(frozen=True)
class Stumble:
    """Abort, the first time."""


AtOnce: TypeAlias = Put | Delete | Get | Insert | Update | Remove | Note | TransactionSync
"""What is done without any ``await``, and so may be in a `TransactionSync`."""

Op: TypeAlias = (
    AtOnce
    | PutMany
    | Grow
    | DeleteMany
    | List
    | Make
    | Drop
    | SetAlarm
    | DropAlarm
    | DeleteAll
    | Broadcast
    | Send
    | Attach
    | Reply
    | Close
    | Pause
    | Sync
    | Transaction
    | Block
    | Call
    | Raise
    | Abort
    | Stumble
)
Script: TypeAlias = tuple[Any, ...]
"""Of `Op`; a type checker can't follow it around."""

ALARMS: Final[Mapping[str | None, Script]] = {
    None: (),
    "pauses": (Put("paused", "once"), Pause(), Put("paused", "twice")),
    "tells": (Broadcast("rang"),),
    "again": (SetAlarm("again", 3000),),
    "drops": (DropAlarm("drops"), SetAlarm("later", 70)),
    "later": (Transaction((Put("later", 1), Pause(), Put("later", 2))),),
    "undoes": (Transaction((SetAlarm("later", 30), Pause()), "raised"),),
    "resets": (Stumble(),),
    "empties": (DeleteAll(),),
    "stumbles": (),
    "hopeless": (),
}
"""What an alarm does when it rings, beside making a note, by its name."""
FAILURES: Final = {"stumbles": 2, "hopeless": 99}
"""How often it fails."""


def ringing(name: str | None, retries: int) -> Script:
    """Return what an alarm does."""
    failure = (Raise(),) if retries < FAILURES.get(name or "", 0) else ()
    return (Note(f"{name} rang, {retries}"), *ALARMS[name], *failure)


MESSAGES: Final[Mapping[str, Script]] = {
    "note": (Note("heard"), Reply("noted")),
    "early": (Reply("soon noted"), Note("heard")),
    "all": (Note("heard"), Reply("told"), Broadcast("heard")),
    "both": (Transaction((Note("heard"), Reply("noted"), Pause(), Put("heard", 1))), Reply("")),
    "undo": (Transaction((Note("heard"), Reply("undone"), Pause()), "raised"),),
    "raise": (Note("heard"), Reply("failed"), Raise()),
    "bye": (Note("heard"), Reply("bye"), Close(4000)),
    "abort": (Note("heard"), Sync(), Reply("reset"), Abort()),
}
"""What a message makes the object do."""
PING: Final = "ping"
PONG: Final = "pong"


def ended(number: int, code: int, *, is_clean: bool) -> Script:
    """Return what the end of a socket makes the object do."""
    parting = () if code == 4000 else (Broadcast(f"{number} left"),)
    return (Note(f"{number} left, {code} {is_clean}"), *parting)


@dataclass(frozen=True)
class Sight:
    """All there is to see of an object."""

    keys: dict[str, Any]
    rows: dict[int, str]
    notes: list[str]
    tables: set[str]
    alarms: dict[str | None, float]
    set_for: dict[str | None, Any]
    sockets: list[tuple[int, int, Any, list[str]]]
    """Number, answers, attached value and tags of each, newest first."""
    tagged: dict[str, list[int]]


TAGS: Final = ("red", "blue")


# The object.


class Scribe(DurableObject[Any]):
    """Does what it is told."""

    migrations = (
        "CREATE TABLE lines (number INTEGER PRIMARY KEY, text TEXT NOT NULL)",
        "CREATE TABLE notes (text TEXT NOT NULL)",
    )

    async def carry_out(self, script: Any) -> list[Any]:
        return await self._all(script, self.ctx.storage)

    async def mark(self) -> str:
        return await self.ctx.storage.get_current_bookmark()

    async def go_back(self, bookmark: str, script: Any) -> list[Any]:
        undo = await self.ctx.storage.on_next_session_restore_bookmark(bookmark)
        return [undo, *await self._all(script, self.ctx.storage)]

    async def look(self) -> Sight:
        sql, alarms = self.ctx.storage.sql, await self.ctx.storage.list_alarms()
        keys = await self.ctx.storage.list()
        times = {name: keys.get(f"{AT}{name}") for name in alarms}
        tables = sql.exec("SELECT name FROM sqlite_schema WHERE name LIKE 'extra%'")
        assert sql.exec("PRAGMA quick_check").one() == {"quick_check": "ok"}
        assert {name: await self.ctx.storage.get_alarm(name=name) for name in alarms} == alarms
        return Sight(
            {key: value for key, value in keys.items() if not key.startswith(AT)},
            {row["number"]: row["text"] for row in sql.exec("SELECT * FROM lines")},
            [row["text"] for row in sql.exec("SELECT text FROM notes ORDER BY text")],
            {row["name"] for row in tables},
            alarms,
            times,
            [self._seen(ws) for ws in self.ctx.get_web_sockets()],
            {tag: [self._seen(ws)[0] for ws in self.ctx.get_web_sockets(tag)] for tag in TAGS},
        )

    async def fetch(self, request: Request) -> Response:
        ws, number = request.web_socket, int(request.headers["number"])
        assert ws is not None
        self.ctx.accept_web_socket(ws, request.headers["tags"].split())
        ws.serialize_attachment([number, 0, None])
        self.ctx.set_web_socket_auto_response(WebSocketRequestResponsePair(PING, PONG))
        await self._all((Note(f"{number} came"),), self.ctx.storage)
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        await self._all(MESSAGES[str(message)], self.ctx.storage, ws)

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        number = self._seen(ws)[0]
        await self._all(ended(number, code, is_clean=was_clean), self.ctx.storage, ws)

    async def alarm(self, invocation: AlarmInvocation) -> None:
        name, retries = invocation.name, invocation.retry_count
        assert self.ctx.storage.kv.get(f"{AT}{name}") == invocation.scheduled_time
        assert await self.ctx.storage.get_alarm(name=name) is None, "it doesn't show while it runs"
        await self._all(ringing(name, retries), self.ctx.storage)

    def _seen(self, ws: WebSocket) -> tuple[int, int, Any, list[str]]:
        number, count, value = ws.deserialize_attachment()
        return number, count, value, self.ctx.get_tags(ws)

    async def _all(self, script: Script, store: Any, ws: WebSocket | None = None) -> list[Any]:
        return [await self._do(op, store, ws) for op in script]

    async def _do(self, op: Op, store: Any, ws: WebSocket | None) -> Any:
        """Do it.

        Args:
            store: The storage, or the transaction that this is a part of.
        """
        match op:
            case Put(key, value, "confirmed" | "unconfirmed" as how):
                await store.put(key, value, allow_unconfirmed=how == "unconfirmed")
            case PutMany(keys, value, how):
                entries = dict.fromkeys(keys, value)
                await store.put_many(entries, allow_unconfirmed=how == "unconfirmed")
            case Grow(key, size):
                await store.put(key, large(size))
            case Delete(key, "confirmed" | "unconfirmed" as how):
                return await store.delete(key, allow_unconfirmed=how == "unconfirmed")
            case DeleteMany(keys):
                return await store.delete_many(keys)
            case Get(key):
                return await store.get(key)
            case List():
                return [key for key in await store.list() if not key.startswith(AT)]
            case Make(table):
                self.ctx.storage.sql.exec(f"CREATE TABLE IF NOT EXISTS extra_{table} (text)")
            case Drop(table):
                self.ctx.storage.sql.exec(f"DROP TABLE IF EXISTS extra_{table}")
            case SetAlarm(name, seconds, how):
                how_sure = {"allow_unconfirmed": how == "unconfirmed"}
                await store.set_alarm(timedelta(seconds=seconds), name=name, **how_sure)
                await store.put(f"{AT}{name}", await store.get_alarm(name=name), **how_sure)
            case DropAlarm(name):
                await store.delete_alarm(name=name)
            case DeleteAll():
                await store.delete_all()
            case Broadcast(text, tag):
                return self.ctx.broadcast(text, tag=tag)
            case Send(number, text):
                for other in self._chosen(number):
                    other.send(text)
            case Attach(number, value):
                for other in self._chosen(number):
                    other.serialize_attachment([*other.deserialize_attachment()[:2], value])
            case Reply(text):
                assert ws is not None
                number, count, value = ws.deserialize_attachment()
                ws.serialize_attachment([number, count + 1, value])
                ws.send(f"{count + 1} {text}")
            case Close(code):
                assert ws is not None
                ws.close(code)
            case Pause():
                await asyncio.sleep(0)
            case Sync():
                await self.ctx.storage.sync()
            case Transaction(script, end):
                return await self._in_transaction(script, end, ws)
            case Block(script):
                return await self.ctx.block_concurrency_while(
                    lambda: self._all(script, self.ctx.storage, ws)
                )
            case Call(other_name, script):
                try:
                    other_scribe = self.env.scribes.get_by_name(other_name)
                    return await other_scribe.carry_out(script)
                except (ValueError, errors.ObjectReset) as error:
                    return type(error).__name__
            case Raise():
                raise ValueError(AS_TOLD)
            case Abort():
                self.ctx.abort(AS_TOLD)
            case Stumble():
                if self.ctx.storage.kv.get(STUMBLED) is None:
                    self.ctx.storage.kv.put(STUMBLED, 1)
                    await self.ctx.storage.sync()
                    self.ctx.abort(AS_TOLD)
            case _:
                return self._do_at_once(op)
        return None

    async def _in_transaction(self, script: Script, end: End, ws: WebSocket | None) -> Any:
        async def closure(txn: Any) -> list[Any] | str:
            results = await self._all(script, txn, ws)
            if end == "raised":
                raise LookupError(AS_TOLD)
            if end == "rolled back":
                txn.rollback()
                return UNDONE
            return results

        try:
            return await self.ctx.storage.transaction(closure)
        except LookupError:
            return UNDONE

    def _do_at_once(self, op: Op) -> Any:
        kv, sql = self.ctx.storage.kv, self.ctx.storage.sql
        match op:
            case Put(key, value):
                kv.put(key, value)
            case Delete(key):
                return kv.delete(key)
            case Get(key):
                return kv.get(key)
            case Insert(row, text):
                try:
                    sql.exec("INSERT INTO lines VALUES (?, ?)", row, text)
                except errors.SqlError as error:
                    return error.code
            case Update(row, text):
                query = "UPDATE lines SET text = ? WHERE number = ?"
                return sql.exec(query, text, row).rows_written
            case Remove(row):
                return sql.exec("DELETE FROM lines WHERE number = ?", row).rows_written
            case Note(text):
                sql.exec("INSERT INTO notes VALUES (?)", text)
            case TransactionSync(script, end):
                return self._in_transaction_sync(script, end)
            case _:
                raise AssertionError(op)
        return None

    def _in_transaction_sync(self, script: Script, end: End) -> Any:
        def closure() -> list[Any]:
            results = [self._do_at_once(op) for op in script]
            if end == "raised":
                raise LookupError(AS_TOLD)
            return results

        try:
            return self.ctx.storage.transaction_sync(closure)
        except LookupError:
            return UNDONE

    def _chosen(self, number: int) -> list[WebSocket]:
        sockets = [ws for ws in self.ctx.get_web_sockets() if ws.ready_state == "open"]
        return [sockets[number % len(sockets)]] if sockets else []


def large(size: int) -> bytes:
    """Return so many KiB."""
    return bytes([size]) * 1024 * size


# The model.


class Span(NamedTuple):
    """When something happens: between two moments, in seconds since the epoch."""

    lo: float
    hi: float

    def later(self, least: float, most: float) -> Span:
        return Span(self.lo + least, self.hi + most)

    def holds(self, moment: float) -> bool:
        return self.lo <= moment <= self.hi


@dataclass(frozen=True)
class Alarm:
    """An alarm that is set."""

    scheduled: Span
    retries: int = 0
    retry: Span | None = None
    """When it is tried again."""

    @property
    def due(self) -> Span:
        return self.retry or self.scheduled


@dataclass
class Memory:
    """What an object has stored."""

    keys: dict[str, Any] = field(default_factory=dict)
    rows: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)
    alarms: dict[str | None, Alarm] = field(default_factory=dict)
    marks: dict[str, Memory] = field(default_factory=dict)
    """What each bookmark leads back to."""
    back_to: Memory | None = None
    """What the next life begins with."""
    undos: tuple[str, ...] = ()
    """Bookmarks of the moment before that."""

    def copy(self) -> Memory:
        return replace(
            self,
            keys=dict(self.keys),
            rows=dict(self.rows),
            notes=list(self.notes),
            tables=set(self.tables),
            alarms=dict(self.alarms),
            marks=dict(self.marks),
        )

    @property
    def is_empty(self) -> bool:
        return not (self.keys or self.rows or self.notes or self.tables or self.alarms)

    def next_life(self) -> Memory:
        """Return what the next life finds."""
        if self.back_to is None:
            # Of what has nothing stored the past may be gone too.
            return Memory() if self.is_empty else self
        before = replace(self.copy(), marks={}, back_to=None, undos=())
        marks = self.marks | dict.fromkeys(self.undos, before)
        return replace(self.back_to.copy(), marks=marks)


@dataclass
class Socket:
    """A socket, as its object sees it."""

    number: int
    tags: tuple[str, ...]
    count: int = 0
    value: Any = None
    is_open: bool = True


Needs: TypeAlias = dict[str, int]
"""Which commit of each object must be durable before something may be seen."""


class Commit(NamedTuple):
    memory: Memory
    needs: Needs


@dataclass
class Said:
    """A message to a client."""

    number: int
    text: str
    needs: Needs | None = None
    """None as long as it isn't known, and if it never leaves."""


class Told(Exception):
    """A script raises an error."""


class Reset(Exception):
    """The object of a script was reset."""


class Actor:
    """One object of the model.

    Attributes:
        memory: What it has stored, or is about to.
        sockets: Those that it has accepted, oldest first.
        commits: What it has committed in this run; the first entry is what it began with.
        floor: The latest of them that somebody may have seen.
        is_broken: Whether it has lost its memory and its sockets in this run.
    """

    def __init__(self, name: str, memory: Memory, sockets: Iterable[Socket] = ()) -> None:
        self.name = name
        self.memory = memory.copy()
        self.sockets = [replace(socket) for socket in sockets]
        self.commits = [Commit(memory, {})]
        self.floor = 0
        self.is_broken = False
        self.life = 0
        self.under_way = 0
        """How many events are."""
        self.nesting = 0
        """How many transactions are open."""
        self.running: dict[str | None, Alarm] = {}
        self._held: list[Said] = []
        """What waits for what is being written."""
        self._knows: Needs = {}
        self._has_written = self._must_be_seen = False

    @property
    def needs(self) -> Needs:
        """What must be durable before somebody hears of it."""
        return {**self._knows, self.name: self.floor}

    def hear_of(self, other: Actor) -> None:
        """Get to know something that another object has shown."""
        for name, commit in other.needs.items():
            self._knows[name] = max(commit, self._knows.get(name, 0))

    def say(self, said: Said) -> None:
        """Send a message, which waits for what was written before."""
        if self._must_be_seen:
            self._held.append(said)
        else:
            said.needs = self.needs

    def write(self, how: How = "confirmed") -> Memory:
        """Return the memory, to be changed."""
        self._has_written = True
        self._must_be_seen = self._must_be_seen or how != "unconfirmed"
        return self.memory

    def commit(self) -> None:
        """Commit what was written, unless a transaction is open."""
        if self.nesting:
            return
        if self._has_written and self.memory != self.commits[-1].memory:
            self.commits.append(Commit(self.memory.copy(), dict(self._knows)))
            if self._must_be_seen:
                self.floor = len(self.commits) - 1
        self._has_written = self._must_be_seen = False
        for said in self._held:
            said.needs = self.needs
        self._held.clear()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Undo what is written inside, if it fails."""
        before = self.memory.copy(), self._has_written, self._must_be_seen
        self.nesting += 1
        try:
            yield
        except LookupError:
            self.memory, self._has_written, self._must_be_seen = before
        self.nesting -= 1

    def wipe(self) -> None:
        """Forget everything."""
        self._has_written = self._must_be_seen = False
        self.commit()
        self.memory = Memory()
        self.write()
        self.commit()

    def begin_life(self) -> None:
        """Find what is stored."""
        is_restored = self.memory.back_to is not None
        self.memory = self.memory.next_life()
        if is_restored:
            self.write()
            self.commit()

    def abort(self) -> None:
        """Lose what isn't committed, and all sockets."""
        self.memory = self.commits[-1].memory.copy()
        self._has_written = self._must_be_seen = False
        self._held.clear()
        self.sockets.clear()
        self.running.clear()
        self.under_way = self.nesting = 0
        self.life += 1
        self.is_broken = True
        self.begin_life()


World: TypeAlias = dict[str, Actor]


class Run:
    """A course of events in the model, beginning with a world.

    Args:
        now: What the clock shows.
        is_evicting: Whether an object is evicted before each of its events.

    Attributes:
        actors: The objects. When all has gone well, they are the next world.
        said: All that was sent, in order.
        closed: The close code of each client that has lost its socket.
    """

    def __init__(self, world: World, now: float, *, is_evicting: bool = False) -> None:
        self.now = Span(now, now)
        self.actors = {
            name: Actor(name, actor.memory, actor.sockets) for name, actor in world.items()
        }
        self.said: list[Said] = []
        self.closed: dict[int, int] = {}
        self._is_evicting = is_evicting

    # Events.

    def carry_out(self, who: str, script: Script) -> list[Any]:
        """Call an object.

        Raises:
            Told: If that fails.
            Reset: If the object was reset.
        """
        with self._event(who) as actor:
            return self._all(script, actor)

    def go_back(self, who: str, bookmark: str, script: Script, undo: str) -> list[Any]:
        """Have an object's next life begin with an earlier moment."""
        with self._event(who) as actor:
            memory = actor.write()
            memory.back_to = memory.marks[bookmark]
            memory.undos = (*memory.undos, undo)
            actor.commit()
            return [undo, *self._all(script, actor)]

    def mark(self, who: str, bookmark: str) -> None:
        """Have an object name what it has stored now."""
        with self._event(who) as actor:
            memory = actor.memory
            if not memory.is_empty:  # else there may be no way back from the next life
                now = replace(memory.copy(), marks={}, undos=())
                memory.marks[bookmark] = now

    def connect(self, who: str, socket: Socket) -> None:
        """Open a socket."""
        with self._event(who) as actor:
            actor.sockets.append(socket)
            self._all((Note(f"{socket.number} came"),), actor)

    def is_open(self, who: str, number: int) -> bool:
        """Whether an object has an open socket of that number."""
        return any(socket.number == number for socket in self.actors[who].sockets)

    def say(self, who: str, number: int, message: str) -> None:
        """Have a client send something, and what that makes the object do."""
        actor = self.actors[who]
        socket = self._socket(actor, number)
        if message == PING:
            # Who is answered automatically hears nothing that was written, but in order.
            self.said.append(Said(number, PONG, {}))
            return
        try:
            with self._event(who):
                self._all(MESSAGES[message], actor, socket)
        except (Told, Reset):
            pass
        if message == "bye":
            self.end(who, number, 4000, is_clean=True)

    def end(self, who: str, number: int, code: int, *, is_clean: bool) -> None:
        """End a socket."""
        actor = self.actors[who]
        socket = self._socket(actor, number)
        socket.is_open = False
        self.closed[number] = code
        with self._event(who):
            self._all(ended(number, code, is_clean=is_clean), actor, socket)
        actor.sockets.remove(socket)

    def abort(self, who: str) -> None:
        """Reset an object."""
        actor = self.actors[who]
        self.closed.update((socket.number, RESTARTED) for socket in actor.sockets)
        actor.abort()

    def ring(self, who: str, name: str | None, at: Span, *, is_duplicate: bool = False) -> None:
        """Run an alarm.

        Args:
            is_duplicate: As if its end hadn't been noted.
        """
        self.now = at
        with self._event(who) as actor:
            alarm = actor.memory.alarms[name]
            actor.running[name] = alarm
            outcome: Alarm | None = None
            try:
                self._all(ringing(name, alarm.retries), actor)
            except Told:
                if alarm.retries < MOST_RETRIES:
                    delay = FIRST_RETRY * 2**alarm.retries
                    retry = at.later(delay - SLACK, 1.25 * delay + SLACK)
                    outcome = Alarm(alarm.scheduled, alarm.retries + 1, retry)
            except Reset:
                outcome = replace(alarm, retry=at.later(0, SOON))
            actor.running.pop(name, None)
            alarms = actor.memory.alarms
            if alarms.get(name) is alarm and not is_duplicate:
                memory = actor.write()
                del memory.alarms[name]
                if outcome is not None:
                    memory.alarms[name] = outcome

    def ring_due(self, until: float, *, is_late: bool = False) -> None:
        """Run all alarms that are due, and what these make due.

        Args:
            is_late: They may run at any time up to then.
        """
        since = self.now.lo
        while due := self.due(until):
            who, name, span = due[0]
            self.ring(who, name, _time_of(span, since, until, is_late=is_late))
        self.now = Span(until, until)

    def due(self, until: float) -> list[tuple[str, str | None, Span]]:
        """Return which alarms are surely due, the earliest first."""
        alarms = [
            (who, name, alarm.due)
            for who, actor in self.actors.items()
            for name, alarm in actor.memory.alarms.items()
            if alarm.due.hi <= until
        ]
        return sorted(alarms, key=lambda each: (each[2], each[0], each[1] or ""))

    # What may be left of it.

    def cuts(self, seen: Needs) -> Iterator[tuple[World, list[Said]]]:
        """Yield the worlds that a process may leave that dies in this run, and what was heard.

        Args:
            seen: What must be durable, since somebody has seen it.
        """
        names = list(self.actors)
        for numbers in product(*(range(len(actor.commits)) for actor in self.actors.values())):
            cut = dict(zip(names, numbers, strict=True))
            chosen = {name: self.actors[name].commits[number] for name, number in cut.items()}
            if all(_within(needs, cut) for needs in (seen, *(c.needs for c in chosen.values()))):
                said = [s for s in self.said if s.needs is not None and _within(s.needs, cut)]
                yield _reborn({name: commit.memory for name, commit in chosen.items()}), said

    def cuts_of_alarms(self, until: float) -> Iterator[tuple[World, list[Said]]]:
        """Yield the same if it dies while alarms ring."""
        memories = {name: actor.memory for name, actor in self.actors.items()}
        yield _reborn(memories), self.said
        due = self.due(until)
        for who, name, span in due:
            if span.lo > due[0][2].hi:
                break  # another one is surely earlier
            after = Run(self.actors, self.now.lo, is_evicting=self._is_evicting)
            after.ring(who, name, _time_of(span, self.now.lo, until, is_late=True))
            for number, commit in enumerate(after.actors[who].commits[1:-1], 1):
                heard = [s for s in after.said if s.needs and s.needs[who] <= number]
                yield _reborn(memories | {who: commit.memory}), self.said + heard
            after.said[:0] = self.said
            yield from after.cuts_of_alarms(until)

    # Operations.

    @contextmanager
    def _event(self, who: str) -> Iterator[Actor]:
        actor = self.actors[who]
        if self._is_evicting and not actor.under_way:
            actor.begin_life()
        actor.under_way += 1
        life = actor.life
        try:
            yield actor
        finally:
            if actor.life == life:
                actor.under_way -= 1
            actor.commit()

    def _all(self, script: Script, actor: Actor, socket: Socket | None = None) -> list[Any]:
        return [self._do(op, actor, socket) for op in script]

    def _do(self, op: Op, actor: Actor, socket: Socket | None) -> Any:
        memory = actor.memory
        match op:
            case Put(key, value, how):
                actor.write(how).keys[key] = value
            case PutMany(keys, value, how):
                actor.write(how).keys.update(dict.fromkeys(keys, value))
            case Grow(key, size):
                actor.write().keys[key] = large(size)
            case Delete(key, how):
                if key not in memory.keys:
                    return False
                del actor.write(how).keys[key]
                return True
            case DeleteMany(keys):
                return sum(self._do(Delete(key), actor, None) for key in set(keys))
            case Get(key):
                return memory.keys.get(key)
            case List():
                return sorted(memory.keys)
            case Insert(row, _) if row in memory.rows:
                return "SQLITE_CONSTRAINT"
            case Insert(row, text):
                actor.write().rows[row] = text
            case Update(row, text):
                if row not in memory.rows:
                    return 0
                actor.write().rows[row] = text
                return 1
            case Remove(row):
                return 0 if row not in memory.rows else len([actor.write().rows.pop(row)])
            case Make(table):
                if f"extra_{table}" not in memory.tables:
                    actor.write().tables.add(f"extra_{table}")
            case Drop(table):
                if f"extra_{table}" in memory.tables:
                    actor.write().tables.remove(f"extra_{table}")
            case Note(text):
                insort(actor.write().notes, text)
            case SetAlarm(name, seconds, how):
                scheduled = self.now.later(seconds, seconds)
                alarm = memory.alarms.get(name)
                is_same = alarm == Alarm(scheduled) and scheduled.lo == scheduled.hi
                if not is_same or alarm is actor.running.get(name):
                    memory.alarms[name] = Alarm(scheduled)
                actor.write(how)
            case DropAlarm(name):
                alarm = memory.alarms.get(name)
                if alarm is not None and alarm is not actor.running.get(name):
                    del actor.write().alarms[name]
            case DeleteAll():
                actor.wipe()
            case Broadcast(text, tag):
                among = [s for s in actor.sockets if s.is_open and (tag is None or tag in s.tags)]
                for each in among:
                    self._send(actor, each, text)
                return len(among)
            case Send(number, text):
                for each in _chosen(actor, number):
                    self._send(actor, each, text)
            case Attach(number, value):
                for each in _chosen(actor, number):
                    each.value = value
            case Reply(text):
                assert socket is not None
                socket.count += 1
                self._send(actor, socket, f"{socket.count} {text}")
            case Close():
                assert socket is not None
                socket.is_open = False
            case Pause() | Sync():
                actor.commit()
            case Transaction(script, end):
                actor.commit()
                result = self._in_transaction(script, end, actor, socket)
                actor.commit()
                return result
            case TransactionSync(script, end):
                return self._in_transaction(script, end, actor, socket)
            case Block(script):
                actor.commit()
                result = self._all(script, actor, socket)
                actor.commit()
                return result
            case Call(other, script):
                return self._call(actor, other, script)
            case Raise():
                raise Told
            case Abort():
                self._reset(actor)
            case Stumble():
                if STUMBLED not in memory.keys:
                    actor.write().keys[STUMBLED] = 1
                    actor.commit()
                    self._reset(actor)
        return None

    def _in_transaction(
        self, script: Script, end: End, actor: Actor, socket: Socket | None
    ) -> list[Any] | str:
        with actor.transaction():
            results = self._all(script, actor, socket)
            if end == "kept":
                return results
            raise LookupError
        return UNDONE

    def _call(self, actor: Actor, other: str, script: Script) -> Any:
        actor.commit()
        life = actor.life
        callee = self.actors[other]
        callee.hear_of(actor)
        result: Any
        try:
            result = self.carry_out(other, script)
        except Told:
            result = "ValueError"
        except Reset:
            result = "ObjectReset"
        if actor.life != life:
            raise Reset  # by what was called, in its turn
        actor.hear_of(callee)
        return result

    def _reset(self, actor: Actor) -> None:
        self.abort(actor.name)
        raise Reset

    def _send(self, actor: Actor, socket: Socket, text: str) -> None:
        said = Said(socket.number, text)
        self.said.append(said)
        actor.say(said)

    def _socket(self, actor: Actor, number: int) -> Socket:
        return next(socket for socket in actor.sockets if socket.number == number)


def new_world(names: Sequence[str]) -> World:
    """Return a world in which nothing has happened."""
    return {name: Actor(name, Memory()) for name in names}


def reborn(world: World) -> World:
    """Return the world after its process has ended."""
    return _reborn({name: actor.memory for name, actor in world.items()})


def _reborn(memories: Mapping[str, Memory]) -> World:
    return {name: Actor(name, memory.next_life()) for name, memory in memories.items()}


def distinct(worlds: Iterable[World]) -> list[World]:
    """Return each world once."""
    found: dict[int, tuple[Any, World]] = {}
    for world in worlds:
        content = [(actor.memory, actor.sockets) for actor in world.values()]
        if content not in [known for known, _ in found.values()]:
            found[len(found)] = content, world
    return [world for _, world in found.values()]


def _within(needs: Needs, cut: Needs) -> bool:
    return all(commit <= cut[name] for name, commit in needs.items())


def _time_of(span: Span, since: float, until: float, *, is_late: bool) -> Span:
    """Return when an alarm runs."""
    if is_late:
        return Span(max(span.lo, since), until)
    if span.hi <= since:  # it is overdue
        return Span(since, since)
    return span  # what is unsure may have been before


def _chosen(actor: Actor, number: int) -> list[Socket]:
    sockets = [socket for socket in reversed(actor.sockets) if socket.is_open]
    return [sockets[number % len(sockets)]] if sockets else []


_shown = Repr()
_shown.maxdict = _shown.maxlist = _shown.maxset = _shown.maxtuple = 99
shown: Final = _shown.repr
"""Shows a value, large ones in part."""


def difference(actor: Actor, sight: Sight) -> str | None:
    """Say what is wrong with what was seen of an object; None if nothing is."""
    memory = actor.memory
    sockets = [(s.number, s.count, s.value, list(s.tags)) for s in reversed(actor.sockets)]
    tagged = {tag: [s.number for s in actor.sockets if tag in s.tags] for tag in TAGS}
    expected = {
        "keys": memory.keys,
        "rows": memory.rows,
        "notes": sorted(memory.notes),
        "tables": memory.tables,
        "sockets": sockets,
        "tagged": tagged,
        "set_for": sight.alarms,
    }
    for what, value in expected.items():
        if getattr(sight, what) != value:
            return f"{what} of {actor.name}: {shown(getattr(sight, what))}, not {shown(value)}"
    times = {name: alarm.scheduled for name, alarm in memory.alarms.items()}
    if times.keys() != sight.alarms.keys() or not all(
        times[name].holds(time) for name, time in sight.alarms.items()
    ):
        return f"alarms of {actor.name}: {sight.alarms!r}, not {times!r}"
    return None


def learn(actor: Actor, sight: Sight) -> None:
    """Take over the times that the model couldn't know."""
    for name, time in sight.alarms.items():
        alarm = actor.memory.alarms[name]
        actor.memory.alarms[name] = replace(alarm, scheduled=Span(time, time))
