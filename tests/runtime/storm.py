"""What a storm is made of: scripts, an object that carries them out, and a model of what they do.

A *script* is a tuple of operations, each of which is a tuple too and begins with its name, such
as ``("put", "a", 1, "sync")``. `Scribe` carries it out with what the runtime offers, and `Run` on
plain values, where a commit is an entry in a list. What isn't certain (how far a process has come
before it died) is a set of possible worlds, of which each look at the real one leaves those that
fit.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import product
from typing import Any, Final, NamedTuple, TypeAlias

from runtime import AlarmInvocation, DurableObject, Request, Response, WebSocket, errors
from runtime import WebSocketRequestResponsePair as Pair

FIRST_RETRY: Final = 2.0  # seconds; twice as long for each further one
MOST_RETRIES: Final = 6
RESTARTED: Final = 1012
AS_TOLD: Final = "as told"
UNDONE: Final = "undone"
AT: Final = "at "  # what keys begin with that say when an alarm was set for
PING: Final = "ping"
PONG: Final = "pong"

Script: TypeAlias = tuple[Any, ...]

ALARMS: Final[Mapping[str | None, Script]] = {
    None: (),
    "pauses": (("put", "paused", "once", ""), ("pause",), ("put", "paused", "twice", "")),
    "tells": (("broadcast", "rang", None),),
    "again": (("set alarm", "again", 3000, ""),),
    "drops": (("drop alarm", "drops"), ("set alarm", "later", 70, "")),
    "later": (("transaction", (("note", "later"), ("pause",), ("put", "later", 2, "")), "kept"),),
    "undoes": (("transaction", (("set alarm", "later", 30, ""), ("pause",)), "raised"),),
    "empties": (("delete all",),),
    "stumbles": (),
    "hopeless": (),
}
"""What an alarm does when it rings, beside making a note, by its name."""
FAILURES: Final = {"stumbles": 2, "hopeless": 99}
"""How often it fails."""
MESSAGES: Final[Mapping[str, Script]] = {
    "note": (("note", "heard"), ("reply", "noted")),
    "early": (("reply", "soon noted"), ("note", "heard")),
    "all": (("note", "heard"), ("reply", "told"), ("broadcast", "heard", None)),
    "both": (
        ("transaction", (("note", "heard"), ("reply", "ok"), ("pause",), ("note", "too")), "kept"),
        ("reply", ""),
    ),
    "undo": (("transaction", (("note", "heard"), ("reply", "undone"), ("pause",)), "raised"),),
    "raise": (("note", "heard"), ("reply", "failed"), ("raise",)),
    "bye": (("note", "heard"), ("reply", "bye"), ("close", 4000)),
    "abort": (("note", "heard"), ("sync",), ("reply", "reset"), ("abort",)),
}
"""What a message makes the object do."""


def ringing(name: str | None, retries: int) -> Script:
    """Return what an alarm does."""
    failure = (("raise",),) if retries < FAILURES.get(name or "", 0) else ()
    return (("note", f"{name} rang, {retries}"), *ALARMS[name], *failure)


def ended(number: int, code: int, *, is_clean: bool) -> Script:
    """Return what the end of a socket makes the object do."""
    parting = () if code == 4000 else (("broadcast", f"{number} left", None),)
    return (("note", f"{number} left, {code} {is_clean}"), *parting)


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

    async def look(self) -> dict[str, Any]:
        """Return all there is to see."""
        sql, alarms = self.ctx.storage.sql, await self.ctx.storage.list_alarms()
        keys = await self.ctx.storage.list()
        tables = sql.exec("SELECT name FROM sqlite_schema WHERE name LIKE 'extra%'")
        assert sql.exec("PRAGMA quick_check").one() == {"quick_check": "ok"}
        assert {name: await self.ctx.storage.get_alarm(name=name) for name in alarms} == alarms
        assert {name: keys.get(f"{AT}{name}") for name in alarms} == alarms
        return {
            "keys": {key: value for key, value in keys.items() if not key.startswith(AT)},
            "rows": {row["number"]: row["text"] for row in sql.exec("SELECT * FROM lines")},
            "notes": [row["text"] for row in sql.exec("SELECT text FROM notes ORDER BY text")],
            "tables": {row["name"] for row in tables},
            "alarms": alarms,
            "sockets": [self._seen(ws) for ws in self.ctx.get_web_sockets()],
        }

    async def fetch(self, request: Request) -> Response:
        ws, number = request.web_socket, int(request.headers["number"])
        assert ws is not None
        self.ctx.accept_web_socket(ws, request.headers["tags"].split())
        ws.serialize_attachment([number, 0, None])
        self.ctx.set_web_socket_auto_response(Pair(PING, PONG))
        await self._all((("note", f"{number} came"),), self.ctx.storage)
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        await self._all(MESSAGES[str(message)], self.ctx.storage, ws)

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        number = self._seen(ws)[0]
        await self._all(ended(number, code, is_clean=was_clean), self.ctx.storage, ws)

    async def alarm(self, invocation: AlarmInvocation) -> None:
        name = invocation.name
        assert self.ctx.storage.kv.get(f"{AT}{name}") == invocation.scheduled_time
        assert await self.ctx.storage.get_alarm(name=name) is None, "it doesn't show while it runs"
        await self._all(ringing(name, invocation.retry_count), self.ctx.storage)

    def _seen(self, ws: WebSocket) -> tuple[Any, ...]:
        return (*ws.deserialize_attachment(), *self.ctx.get_tags(ws))

    async def _all(self, script: Script, store: Any, ws: Any = None) -> list[Any]:
        return [await self._do(op, store, ws) for op in script]

    async def _do(self, op: Script, store: Any, ws: Any) -> Any:
        """Do it.

        Args:
            store: The storage, or the transaction that this is a part of.
            ws: The socket whose message this is.
        """
        match op:
            case ("put", key, value, "" | "unconfirmed" as how):
                await store.put(key, value, allow_unconfirmed=how == "unconfirmed")
            case ("delete", key, "" | "unconfirmed" as how):
                return await store.delete(key, allow_unconfirmed=how == "unconfirmed")
            case ("set alarm", name, seconds, how):
                how_sure = {"allow_unconfirmed": how == "unconfirmed"}
                await store.set_alarm(timedelta(seconds=seconds), name=name, **how_sure)
                await store.put(f"{AT}{name}", await store.get_alarm(name=name), **how_sure)
            case ("drop alarm", name):
                await store.delete_alarm(name=name)
            case ("delete all",):
                await store.delete_all()
            case ("broadcast", text, tag):
                return self.ctx.broadcast(text, tag=tag)
            case ("attach", number, value):
                for other in chosen(self.ctx.get_web_sockets(), number):
                    other.serialize_attachment([*other.deserialize_attachment()[:2], value])
                    other.send("you have something")
            case ("reply", text):
                number, count, value = ws.deserialize_attachment()
                ws.serialize_attachment([number, count + 1, value])
                ws.send(f"{count + 1} {text}")
            case ("close", code):
                ws.close(code)
            case ("pause",):
                await asyncio.sleep(0)
            case ("sync",):
                await self.ctx.storage.sync()
            case ("transaction", script, end):
                return await self._in_transaction(script, end, ws)
            case ("block", script):
                work = partial(self._all, script, self.ctx.storage, ws)
                return await self.ctx.block_concurrency_while(work)
            case ("call", name, script):
                try:
                    return await self.env.scribes.get_by_name(name).carry_out(script)
                except (ValueError, errors.ObjectReset) as error:
                    return type(error).__name__
            case ("abort",):
                self.ctx.abort(AS_TOLD)
            case _:
                return self._do_at_once(op)
        return None

    def _do_at_once(self, op: Script) -> Any:
        """Do what takes no ``await``."""
        kv, sql = self.ctx.storage.kv, self.ctx.storage.sql
        match op:
            case ("put", key, value, _):
                kv.put(key, value)
            case ("delete", key, _):
                return kv.delete(key)
            case ("get", key):
                return kv.get(key)
            case ("insert", row, text):
                try:
                    sql.exec("INSERT INTO lines VALUES (?, ?)", row, text)
                except errors.SqlError as error:
                    return error.code
            case ("update", row, text):
                query = "UPDATE lines SET text = ? WHERE number = ?"
                return sql.exec(query, text, row).rows_written
            case ("note", text):
                sql.exec("INSERT INTO notes VALUES (?)", text)
            case ("make table", table):  # that no migration knows
                sql.exec(f"CREATE TABLE IF NOT EXISTS extra_{table} (text)")
            case ("transaction sync", script, end):
                return self._in_transaction_sync(script, end)
            case ("raise",):
                raise ValueError(AS_TOLD)
            case _:
                raise AssertionError(op)
        return None

    async def _in_transaction(self, script: Script, end: str, ws: Any) -> Any:
        async def closure(txn: Any) -> list[Any] | str:
            results = await self._all(script, txn, ws)
            if end == "raised":
                raise LookupError(AS_TOLD)
            if end == "rolled back":
                txn.rollback()
            return results if end == "kept" else UNDONE

        try:
            return await self.ctx.storage.transaction(closure)
        except LookupError:
            return UNDONE

    def _in_transaction_sync(self, script: Script, end: str) -> Any:
        def closure() -> list[Any]:
            results = [self._do_at_once(op) for op in script]
            if end != "kept":
                raise LookupError(AS_TOLD)
            return results

        try:
            return self.ctx.storage.transaction_sync(closure)
        except LookupError:
            return UNDONE


def chosen(sockets: list[Any], number: int) -> list[Any]:
    """Return one of some sockets, or none if none is open."""
    are_open = [ws for ws in sockets if getattr(ws, "ready_state", "open") == "open"]
    return [are_open[number % len(are_open)]] if are_open else []


# The model.


class Alarm(NamedTuple):
    """An alarm that is set."""

    scheduled: float
    due: float
    retries: int = 0


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
        """Return a copy that can be changed."""
        parts = ("keys", "rows", "notes", "tables", "alarms", "marks")
        return replace(self, **{part: getattr(self, part).copy() for part in parts})

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

    @property
    def ready_state(self) -> str:
        return "open" if self.is_open else "closing"


Needs: TypeAlias = dict[str, int]
"""Which commit of each object must be durable before something may be seen."""


class Commit(NamedTuple):
    """A commit, and what had to be durable before, since its object had heard of it."""

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

    def __init__(self, name: str, memory: Memory, sockets: list[Socket] | None = None) -> None:
        self.name = name
        self.memory = memory.copy()
        self.sockets = [replace(socket) for socket in sockets or ()]
        self.commits = [Commit(memory, {})]
        self.floor = self.life = self.under_way = self.nesting = 0
        self.is_broken = self._has_written = self._must_be_seen = False
        self.running: dict[str | None, Alarm] = {}
        self._held: list[Said] = []
        self._knows: Needs = {}

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

    def write(self, how: str = "") -> Memory:
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

    def in_transaction(self, work: Callable[[], list[Any]], end: str) -> list[Any] | str:
        """Do something, and undo what it has written if that isn't to be kept."""
        before = self.memory.copy(), self._has_written, self._must_be_seen
        self.nesting += 1
        results = work()
        self.nesting -= 1
        if end == "kept":
            return results
        self.memory, self._has_written, self._must_be_seen = before
        return UNDONE

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

    def __init__(self, world: World, now: float, *, is_evicting: bool) -> None:
        self.now = now
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
                memory.marks[bookmark] = replace(memory.copy(), marks={}, undos=())

    def connect(self, who: str, socket: Socket) -> None:
        """Open a socket."""
        with self._event(who) as actor:
            actor.sockets.append(socket)
            self._all((("note", f"{socket.number} came"),), actor)

    def say(self, who: str, number: int, message: str) -> None:
        """Have a client send something, and what that makes the object do."""
        actor = self.actors[who]
        socket = next((each for each in actor.sockets if each.number == number), None)
        if socket is None:
            return
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
        socket = next(each for each in actor.sockets if each.number == number)
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

    def ring(self, who: str, name: str | None) -> None:
        """Run an alarm."""
        with self._event(who) as actor:
            alarm = actor.memory.alarms[name]
            actor.running[name] = alarm
            outcome: Alarm | None = None
            try:
                self._all(ringing(name, alarm.retries), actor)
            except Told:
                if alarm.retries < MOST_RETRIES:
                    due = self.now + FIRST_RETRY * 2**alarm.retries
                    outcome = Alarm(alarm.scheduled, due, alarm.retries + 1)
            actor.running.pop(name)
            if actor.memory.alarms.get(name) is alarm:
                memory = actor.write()
                del memory.alarms[name]
                if outcome is not None:
                    memory.alarms[name] = outcome

    def ring_due(self, until: float) -> None:
        """Run all alarms that are due, and what these make due."""
        while due := self.due(until):
            moment, who, name = due[0]
            self.now = max(self.now, moment)
            self.ring(who, name)
        self.now = until

    def due(self, until: float) -> list[tuple[float, str, str | None]]:
        """Return which alarms are due, the earliest first."""
        alarms = [
            (alarm.due, who, name)
            for who, actor in self.actors.items()
            for name, alarm in actor.memory.alarms.items()
            if alarm.due <= until
        ]
        return sorted(alarms, key=lambda each: (each[0], each[1], each[2] or ""))

    # What may be left of it.

    def cuts(self, seen: Needs) -> Iterator[tuple[World, list[Said]]]:
        """Yield the worlds that a process may leave that dies in this run, and what was heard.

        Args:
            seen: What must be durable, since somebody has seen it.
        """
        names = list(self.actors)
        for numbers in product(*(range(len(actor.commits)) for actor in self.actors.values())):
            cut = dict(zip(names, numbers, strict=True))
            kept = {name: self.actors[name].commits[number] for name, number in cut.items()}
            if all(_within(needs, cut) for needs in (seen, *(c.needs for c in kept.values()))):
                said = [s for s in self.said if s.needs is not None and _within(s.needs, cut)]
                yield _reborn({name: commit.memory for name, commit in kept.items()}), said

    def cuts_of_alarms(self, until: float) -> Iterator[tuple[World, list[Said], float]]:
        """Yield the same if it dies while alarms ring, and when that is."""
        memories = {name: actor.memory for name, actor in self.actors.items()}
        due = self.due(until)
        for moment, who, name in due:
            if max(moment, self.now) > max(due[0][0], self.now):
                break
            after = Run(self.actors, max(moment, self.now), is_evicting=self._is_evicting)
            yield _reborn(memories), self.said, after.now
            after.ring(who, name)
            for number, commit in enumerate(after.actors[who].commits[1:], 1):
                heard = [s for s in after.said if s.needs and s.needs[who] <= number]
                yield _reborn(memories | {who: commit.memory}), self.said + heard, after.now
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

    def _do(self, op: Script, actor: Actor, socket: Socket | None) -> Any:
        memory = actor.memory
        match op:
            case ("put", key, value, how):
                actor.write(how).keys[key] = value
            case ("delete", key, how):
                if key not in memory.keys:
                    return False
                del actor.write(how).keys[key]
                return True
            case ("get", key):
                return memory.keys.get(key)
            case ("insert", row, _) if row in memory.rows:
                return "SQLITE_CONSTRAINT"
            case ("insert", row, text):
                actor.write().rows[row] = text
            case ("update", row, text):
                if row not in memory.rows:
                    return 0
                actor.write().rows[row] = text
                return 1
            case ("note", text):
                insort(actor.write().notes, text)
            case ("make table", table):
                if f"extra_{table}" not in memory.tables:
                    actor.write().tables.add(f"extra_{table}")
            case ("set alarm", name, seconds, how):
                alarm, new = memory.alarms.get(name), Alarm(*[self.now + seconds] * 2)
                if alarm != new or alarm is actor.running.get(name):
                    memory.alarms[name] = new
                actor.write(how)
            case ("drop alarm", name):
                alarm = memory.alarms.get(name)
                if alarm is not None and alarm is not actor.running.get(name):
                    del actor.write().alarms[name]
            case ("delete all",):
                actor.wipe()
            case ("broadcast", text, tag):
                among = [s for s in actor.sockets if s.is_open and (tag is None or tag in s.tags)]
                for each in among:
                    self._send(actor, each, text)
                return len(among)
            case ("attach", number, value):
                for each in chosen(actor.sockets[::-1], number):
                    each.value = value
                    self._send(actor, each, "you have something")
            case ("reply", text):
                assert socket is not None
                socket.count += 1
                self._send(actor, socket, f"{socket.count} {text}")
            case ("close", _):
                assert socket is not None
                socket.is_open = False
            case ("pause",) | ("sync",):
                actor.commit()
            case ("transaction", script, end):
                actor.commit()
                result = actor.in_transaction(partial(self._all, script, actor, socket), end)
                actor.commit()
                return result
            case ("transaction sync", script, end):
                return actor.in_transaction(partial(self._all, script, actor, socket), end)
            case ("block", script):
                actor.commit()
                result = self._all(script, actor, socket)
                actor.commit()
                return result
            case ("call", other, script):
                return self._call(actor, other, script)
            case ("raise",):
                raise Told
            case ("abort",):
                self.abort(actor.name)
                raise Reset
            case _:
                raise AssertionError(op)
        return None

    def _call(self, actor: Actor, other: str, script: Script) -> Any:
        actor.commit()
        life, callee = actor.life, self.actors[other]
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

    def _send(self, actor: Actor, socket: Socket, text: str) -> None:
        said = Said(socket.number, text)
        self.said.append(said)
        actor.say(said)


def reborn(world: World) -> World:
    """Return the world after its process has ended."""
    return _reborn({name: actor.memory for name, actor in world.items()})


def _reborn(memories: Mapping[str, Memory]) -> World:
    return {name: Actor(name, memory.next_life()) for name, memory in memories.items()}


def _within(needs: Needs, cut: Needs) -> bool:
    return all(commit <= cut[name] for name, commit in needs.items())


def difference(actor: Actor, sight: Mapping[str, Any]) -> str | None:
    """Say what is wrong with what was seen of an object; None if nothing is."""
    memory = actor.memory
    expected = {
        "keys": memory.keys,
        "rows": memory.rows,
        "notes": sorted(memory.notes),
        "tables": memory.tables,
        "alarms": {name: alarm.scheduled for name, alarm in memory.alarms.items()},
        "sockets": [(s.number, s.count, s.value, *s.tags) for s in reversed(actor.sockets)],
    }
    wrong = [what for what, value in expected.items() if sight[what] != value]
    told = [f"{what} of {actor.name}: {sight[what]!r}, not {expected[what]!r}" for what in wrong]
    return "\n".join(told) or None
