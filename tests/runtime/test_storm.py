"""Everything at once: whatever happens, objects have what a plain model has.

`STORM` in the environment sets how many courses of events are tried, and lets them be new ones each
time: see ``--hypothesis-seed`` of pytest too.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast, get_args

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from runtime import errors
from runtime.testing import ClientSocket, Point, TestRuntime
from tests.conftest import StartRuntime
from tests.runtime import storm
from tests.runtime.storm import (
    ALARMS,
    MESSAGES,
    PING,
    RESTARTED,
    TAGS,
    VANISHED,
    Abort,
    Actor,
    Attach,
    Block,
    Broadcast,
    Call,
    Delete,
    DeleteAll,
    DeleteMany,
    Drop,
    DropAlarm,
    Get,
    Grow,
    Insert,
    List,
    Make,
    Memory,
    Needs,
    Note,
    Pause,
    Put,
    PutMany,
    Raise,
    Remove,
    Reset,
    Run,
    Said,
    Scribe,
    Script,
    Send,
    SetAlarm,
    Sight,
    Socket,
    Span,
    Sync,
    Told,
    Transaction,
    TransactionSync,
    Update,
    World,
)

BUDGET: Final = int(os.environ.get("STORM", "0"))
STEPS: Final = int(os.environ.get("STORM_STEPS", "30"))
REAL_SECONDS: Final = 30.0  # that a step may take
NAMES: Final = ("a", "b")
START: Final = 1_900_000_000.0  # what the clock shows first
A_WHILE: Final = 1100.0  # seconds after which an alarm is tried again that the disk has refused
LEFT_BEHIND: Final = (
    "Task was destroyed but it is pending!",
    "Reply exception was never retrieved",
)
"""What asyncio says of objects and processes that have ended meanwhile."""
TOO_LATE: Final = "cannot schedule new futures after shutdown"
"""What it gets who goes on after that."""
STUCK: Final = 31.0  # seconds after which the disk counts as stuck

lasting = settings(
    max_examples=BUDGET or 25,
    stateful_step_count=STEPS,
    derandomize=not BUDGET,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

# Scripts.


def either(*choices: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Choose evenly. `st.one_of` would choose evenly among what the choices are made of."""
    return st.integers(0, len(choices) - 1).flatmap(choices.__getitem__)


def scripts(*choices: st.SearchStrategy[Any], most: int = 4) -> st.SearchStrategy[Script]:
    return st.lists(either(*choices), max_size=most).map(tuple)


def ending(script: st.SearchStrategy[Script], end: Any) -> st.SearchStrategy[Script]:
    return st.tuples(script, end).map(lambda both: both[0] + both[1])


keys = st.sampled_from("abc")
values = st.sampled_from([0, "one", [1, {"two": (3, None)}], b"\0four"])
rows = st.integers(1, 3)
texts = st.sampled_from(["", "é", "long" * 9])
tables = st.sampled_from("xy")
names = either(st.none(), st.sampled_from(["stumbles", "tells"]), st.sampled_from(list(ALARMS)))
delays = st.integers(1, 90)
tags = st.sampled_from([None, *TAGS])
positions = st.integers(0, 3)
awaited: Any = st.sampled_from(["confirmed", "confirmed", "unconfirmed"])
ends: Any = st.sampled_from(["kept", "kept", "raised", "rolled back"])
sync_ends: Any = st.sampled_from(["kept", "raised"])

sync_keys = either(
    st.builds(Put, keys, values, st.just("sync")),
    st.builds(Delete, keys, st.just("sync")),
    st.builds(Get, keys),
)
lines = either(
    st.builds(Insert, rows, texts),
    st.builds(Update, rows, texts),
    st.builds(Remove, rows),
    st.builds(Note, texts),
)
nested_sync = st.builds(TransactionSync, scripts(sync_keys, lines), sync_ends)
transactions_sync = st.builds(TransactionSync, scripts(sync_keys, lines, nested_sync), sync_ends)
async_keys = either(
    st.builds(Put, keys, values, awaited),
    st.builds(PutMany, st.lists(keys, min_size=1, max_size=3).map(tuple), values, awaited),
    st.builds(Grow, keys, st.sampled_from([1, 5, 40])),
    st.builds(Delete, keys, awaited),
    st.builds(DeleteMany, st.lists(keys, max_size=3).map(tuple)),
    st.builds(List),
)
schema = either(st.builds(Make, tables), st.builds(Drop, tables))
alarms = either(
    st.builds(SetAlarm, names, delays, awaited),
    st.builds(SetAlarm, names, delays),
    st.builds(DropAlarm, names),
)
sockets = either(
    st.builds(Broadcast, texts, tags),
    st.builds(Send, positions, texts),
    st.builds(Attach, positions, values),
)
plain = either(sync_keys, async_keys, lines, alarms, sockets, either(transactions_sync, schema))
pauses = st.just(Pause())
nested = st.builds(Transaction, scripts(plain, plain, pauses), ends)
transactions = st.builds(Transaction, scripts(plain, plain, pauses, nested), ends)
blocks = st.builds(Block, scripts(plain, plain, pauses, transactions))
rare = either(transactions, blocks, st.just(DeleteAll()))
happy = st.sampled_from([(), (), (Raise(),)])
any_end = st.sampled_from([(), (), (Raise(),), (Abort(),)])

single = ending(scripts(plain, plain, rare), happy)
"""What is done before anything else of the object is."""
waits = st.sampled_from([Pause(), Sync()])
back = ending(scripts(plain, plain, waits), any_end)
calls_back = st.builds(Call, st.sampled_from(NAMES), back)
called = ending(scripts(plain, plain, waits, transactions, calls_back), any_end)
calls = st.builds(Call, st.sampled_from(NAMES), called)
any_script = ending(scripts(plain, plain, plain, rare, waits, calls, most=6), any_end)


@dataclass(frozen=True)
class Ask:
    """Have an object carry something out."""

    who: str
    script: Script


@dataclass(frozen=True)
class Say:
    """Have one of the clients send something; nothing if there is none."""

    client: int
    message: str


Deed: TypeAlias = Ask | Say

objects = st.sampled_from("aab")
clients = st.integers(0, 5)
loners: Final = ("abort", "bye", PING)
"""Messages that others, which come before they are handled, may overtake or be overtaken by."""
asks = st.builds(Ask, objects, single)
says = st.builds(Say, clients, st.sampled_from(sorted(MESSAGES.keys() - {*loners})))
deeds: st.SearchStrategy[list[Deed]] = either(
    st.lists(asks, min_size=1, max_size=3),
    st.lists(either(asks, says), max_size=4),
    st.builds(lambda who, script: [Ask(who, script)], objects, any_script),
)
turns = st.integers(0, 12)
spans = either(st.integers(0, 100), st.sampled_from([3, 11, 1000]))
COMMITTING: Final[tuple[Point, ...]] = ("before_commit", "after_commit", "after_sync")

Outcome: TypeAlias = tuple[str, Any] | None
"""What came of a deed: what it returned, or which error it raised. None for messages."""
RETURNED: Final = "returned"
RAISED: Final = "raised"
CUT_OFF: Final = (RAISED, "ObjectReset")
REFUSED_BY_DISK: Final = (RAISED, "ObjectReset, retryable")
REFUSED: Final = (RAISED, "ShuttingDown, retryable")
"""What comes of a call that hasn't begun: nothing."""


Ending: TypeAlias = Literal["evict", "abort", "crash", "restart"]
"""How a life ends."""


class Candidate(NamedTuple):
    """What the model thinks possible."""

    world: World
    said: list[Said]
    closed: dict[int, int]
    """The close codes of sockets; what isn't there may have any."""
    broken: set[str]
    """The objects that may not have sent all that they have said."""
    fault: str | None = None
    """Why it isn't."""


@dataclass
class Client:
    """A client's end of a socket."""

    who: str
    socket: ClientSocket
    heard: list[str] = field(default_factory=list)
    """What hasn't been judged."""


class Storm(RuleBasedStateMachine):
    """Lets everything happen to two objects, and compares.

    Attributes:
        worlds: What may be the case.
        clients: Those whose sockets are open, by their numbers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.worlds: list[World] = [storm.new_world(NAMES)]
        self.clients: dict[int, Client] = {}
        self.numbers = itertools.count(1)
        self.mishaps: list[dict[str, Any]] = []
        self.rt: TestRuntime[Any] | None = None
        self.steps = 0
        self.is_evicting = False
        self.has_failed = False
        self.since = START

    @initialize(is_evicting=st.booleans(), segment_bytes=st.sampled_from([16_000_000, 20_000, 1]))
    def begin(self, is_evicting: bool, segment_bytes: int) -> None:
        self.is_evicting = is_evicting
        rt: TestRuntime[Any] = TestRuntime(
            bindings={"scribes": Scribe},
            evicting=is_evicting,
            start=START,
            journal_segment_bytes=segment_bytes,
        )

        async def start() -> None:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, mishap: self.note(mishap))
            self.rt = await rt.__aenter__()

        self.run(start())

    def teardown(self) -> None:
        try:
            if self.rt is not None:
                self.run(self.finish())
        finally:
            self.runner.close()

    # Rules.

    @rule(deeds=deeds)
    def all_goes_well(self, deeds: list[Deed]) -> None:
        self.run(self.do(deeds))

    @rule(who=objects, script=any_script)
    def ask(self, who: str, script: Script) -> None:
        self.run(self.do([Ask(who, script)]))

    @rule(who=objects, tags=st.lists(st.lists(st.sampled_from(TAGS), unique=True), max_size=3))
    def clients_come(self, who: str, tags: list[list[str]]) -> None:
        for each in tags:
            self.run(self.open_socket(who, tuple(each)))

    @rule(deeds=st.lists(says, max_size=4))
    def clients_talk(self, deeds: list[Deed]) -> None:
        self.run(self.do(deeds))

    @rule(client=clients, message=st.sampled_from(loners))
    def a_client_talks(self, client: int, message: str) -> None:
        self.run(self.do([Say(client, message)]))

    @rule(client=clients, vanishes=st.booleans())
    def a_client_goes(self, client: int, vanishes: bool) -> None:
        self.run(self.leave(client, vanishes=vanishes))

    @rule(seconds=spans)
    def time_passes(self, seconds: int) -> None:
        self.run(self.advance(seconds))

    @rule(who=objects, alarm=names)
    def an_alarm_rings_early(self, who: str, alarm: str | None) -> None:
        self.run(self.ring(who, alarm))

    @rule(who=objects, alarm=st.sampled_from([None, "pauses", "tells", "drops", "later"]))
    def an_alarm_rings_twice(self, who: str, alarm: str | None) -> None:
        self.run(self.ring(who, alarm, is_duplicate=True))

    @rule(who=objects, how=st.sampled_from(["evict", "evict", "abort"]))
    def an_object_loses_its_memory(self, who: str, how: Literal["evict", "abort"]) -> None:
        self.run(self.take_memory(who, how))

    @rule(deeds=deeds, when=either(turns, st.sampled_from(["during_broadcast", *COMMITTING])))
    def the_process_dies(self, deeds: list[Deed], when: int | Point) -> None:
        if isinstance(when, int):
            self.run(self.die_after(when, deeds))
        else:
            self.run(self.die_at(when, deeds))

    @rule(seconds=spans, point=st.sampled_from(["during_alarm", *COMMITTING]))
    def the_process_dies_while_alarms_ring(self, seconds: int, point: Point) -> None:
        self.run(self.die_ringing(point, seconds))

    @rule(who=objects, how=either(turns, st.just("properly")), seconds=spans)
    def the_process_ends(self, who: str, how: int | Literal["properly"], seconds: int) -> None:
        if isinstance(how, int):
            self.run(self.die_evicting(who, how))
        else:
            self.run(self.stop_and_start(seconds))

    @rule(deeds=deeds, seconds=st.integers(0, 60), is_full=st.booleans())
    def the_disk_refuses(self, deeds: list[Deed], seconds: int, is_full: bool) -> None:
        self.run(self.write_in_vain(deeds, seconds, is_full=is_full))

    @rule(
        who=objects,
        script=ending(scripts(plain, transactions), happy),
        then=st.sampled_from(["wait", "crash", "abort", "get stuck"]),
    )
    def the_disk_is_slow(
        self, who: str, script: Script, then: Literal["wait", "crash", "abort", "get stuck"]
    ) -> None:
        self.run(self.write_slowly(Ask(who, script), then))

    @rule(who=objects)
    def mark(self, who: str) -> None:
        self.run(self.bookmark(who))

    @rule(
        who=objects,
        which=st.integers(0, 9),
        script=scripts(plain, rare, waits),
        how=st.sampled_from(get_args(Ending)),
        hindrance=either(st.none(), turns, st.just("the disk")),
    )
    def go_back(
        self,
        who: str,
        which: int,
        script: Script,
        how: Ending,
        hindrance: int | Literal["the disk"] | None,
    ) -> None:
        self.run(self.return_to(who, which, script, how, hindrance))

    @rule()
    def look(self) -> None:
        self.run(self.compare())

    # How the rules are carried out.

    def run(self, step: Coroutine[Any, Any, None]) -> None:
        """Do a step, in limited time."""

        async def in_time() -> None:
            await asyncio.wait_for(step, REAL_SECONDS)
            assert not self.mishaps, [repr(mishap) for mishap in self.mishaps]

        try:
            self.runner.run(in_time())
        except TimeoutError:
            self.has_failed = True
            pytest.fail("something never ends")
        except BaseException:
            self.has_failed = True
            raise

    def note(self, mishap: dict[str, Any]) -> None:
        """Hear of an error that nobody waits for."""
        is_too_late = str(mishap.get("exception")) == TOO_LATE
        if not is_too_late and mishap["message"] not in LEFT_BEHIND:
            self.mishaps.append(mishap)

    @property
    def world(self) -> TestRuntime[Any]:
        assert self.rt is not None
        return self.rt

    @property
    def now(self) -> float:
        return self.world.clock.time()

    def stub(self, who: str) -> Any:
        return self.world.env.scribes.get_by_name(who)

    async def finish(self) -> None:
        """Look once more, before and after a stop, and close."""
        rt = self.world
        rt.disk.mend()
        if not self.has_failed:
            await self.compare()
            await self.stop_and_start(1)
            await self.compare()
        try:
            await rt.__aexit__()
        except Exception:
            if not self.has_failed:
                raise

    def begin_deeds(self, deeds: Iterable[Deed]) -> list[asyncio.Future[Outcome]]:
        """Begin several at once; the first takes its first step first."""
        return [asyncio.ensure_future(self.do_deed(deed)) for deed in deeds]

    async def do_deed(self, deed: Deed) -> Outcome:
        if isinstance(deed, Ask):
            return await outcome(self.stub(deed.who).carry_out(deed.script))
        client = self.client(deed.client)
        if client is not None and client.socket.closed is None:
            await client.socket.send(deed.message)
        return None

    def client(self, number: int) -> Client | None:
        known = list(self.clients.values())
        return known[number % len(known)] if known else None

    def foretell(self, deed: Deed, run: Run) -> Outcome:
        """Have a deed done in the model."""
        match deed:
            case Ask(who, script):
                return foretold(lambda: run.carry_out(who, script))
            case Say(index, message):
                client = self.client(index)
                number = next((n for n, c in self.clients.items() if c is client), 0)
                if client is not None and run.is_open(client.who, number):
                    run.say(client.who, number, message)
                return None

    async def do(self, deeds: list[Deed]) -> None:
        """Do it all at once, with nothing in the way."""
        replies = await asyncio.gather(*self.begin_deeds(deeds))
        await self.world.settle()
        await self.judge(
            self.exactly(lambda run: [self.foretell(deed, run) for deed in deeds], replies)
        )

    async def open_socket(self, who: str, tags: tuple[str, ...]) -> None:
        number = next(self.numbers)
        headers = {"number": str(number), "tags": " ".join(tags)}
        client = await self.world.connect(self.stub(who), headers=headers)
        await self.world.settle()
        self.clients[number] = Client(who, client)
        await self.judge(self.exactly(lambda run: run.connect(who, Socket(number, tags))))

    async def leave(self, index: int, *, vanishes: bool) -> None:
        if not self.clients:
            return
        number = list(self.clients)[index % len(self.clients)]
        client, code = self.clients[number], VANISHED if vanishes else 1000
        await (client.socket.vanish() if vanishes else client.socket.leave(code))
        await self.judge(
            self.exactly(lambda run: run.end(client.who, number, code, is_clean=not vanishes))
        )

    async def advance(self, seconds: float) -> None:
        """Move the clock by so much, or a little more, to when it is sure what has rung."""
        span = self.certain(seconds)
        await self.world.clock.advance(span)
        await self.world.settle()
        await self.judge(self.exactly(lambda run: None))

    def certain(self, seconds: float) -> float:
        """Return a span, as short as this, after which it is sure which alarms have rung."""
        while True:
            until = self.now + seconds
            unsure: list[float] = []
            for world in self.worlds:
                run = Run(world, self.now, is_evicting=self.is_evicting)
                run.ring_due(until)
                due = [a.due for actor in run.actors.values() for a in actor.memory.alarms.values()]
                unsure += [span.hi for span in due if span.lo <= until < span.hi]
            if not unsure:
                return seconds
            seconds = max(unsure) - self.now + storm.SLACK

    async def ring(self, who: str, alarm: str | None, *, is_duplicate: bool = False) -> None:
        ring = self.world.duplicate_alarm if is_duplicate else self.world.run_durable_object_alarm
        try:
            was_set = await ring(self.stub(who), name=alarm)
        except errors.ObjectReset:
            was_set = True
        await self.world.settle()

        def happen(run: Run) -> bool:
            if self.is_evicting:
                run.actors[who].begin_life()
            if alarm not in run.actors[who].memory.alarms:
                return False
            now = Span(self.now, self.now)
            if is_duplicate:
                run.ring(who, alarm, now, is_duplicate=True)
            run.ring(who, alarm, now)
            return True

        await self.judge(self.exactly(happen, (RETURNED, was_set)))

    async def take_memory(self, who: str, how: Literal["evict", "abort"]) -> None:
        stub = self.stub(who)
        if how == "abort":
            await self.world.abort_durable_object(stub)
            # What isn't in memory has nothing to lose, not even its sockets.
            is_gone = all(c.socket.closed for c in self.clients.values() if c.who == who)
            await self.judge(self.exactly(lambda run: run.abort(who) if is_gone else None))
            return
        try:
            await self.world.evict_durable_object(stub)
        except errors.DurableObjectError as error:
            assert "it is not currently running" in str(error)  # noqa: PT017
        await self.judge(self.exactly(lambda run: run.actors[who].begin_life()))

    async def die_at(self, point: Point, deeds: list[Deed]) -> None:
        last = Ask("a", (Note("the last"),))
        if point == "during_broadcast":
            crowd = self.crowd()
            if crowd is None or any(map(aborts, deeds)):
                return
            last = Ask(crowd, (Broadcast("the last"),))
        crash = self.world.crash_at(point)
        replies = await asyncio.gather(*self.begin_deeds(deeds))
        await self.world.settle()
        if self.world.is_to_crash:
            deeds = [*deeds, last]
            replies.append(await self.do_deed(last))
        await crash
        await self.world.settle()
        await self.judge(self.after_death(deeds, replies))

    def crowd(self) -> str | None:
        """Return an object with several sockets."""
        where = [client.who for client in self.clients.values()]
        return next((who for who in NAMES if where.count(who) > 1), None)

    async def die_after(self, turns: int, deeds: list[Deed]) -> None:
        asked = self.begin_deeds(deeds)
        await self.turn(turns)
        await self.world.crash()
        replies = await asyncio.gather(*asked)
        await self.world.settle()
        await self.judge(self.after_death(deeds, replies))

    async def die_evicting(self, who: str, turns: int) -> None:
        evicting = asyncio.ensure_future(outcome(self.world.evict_durable_object(self.stub(who))))
        await self.turn(turns)
        await self.world.crash()
        await evicting
        await self.world.settle()
        await self.judge(self.after_death([], []))

    async def turn(self, turns: int) -> None:
        """Let the loop run for a while."""
        for _ in range(turns):
            await asyncio.sleep(0)

    async def die_ringing(self, point: Point, seconds: float) -> None:
        span = self.certain(seconds)
        if not all(map(partial(self.something_rings, self.now + span), self.worlds)):
            return
        crash = self.world.crash_at(point)
        await self.world.clock.advance(span)
        await crash
        await self.world.settle()
        await self.judge(self.after_death_while_ringing())

    def something_rings(self, until: float, world: World) -> bool:
        """Whether an alarm is going to ring that commits in the ordinary way."""
        return any(name != "empties" for _, name, _ in self.course(world).due(until))

    async def stop_and_start(self, seconds: float) -> None:
        await self.world.restart(after=timedelta(seconds=self.certain(seconds)))
        closed = dict.fromkeys(self.clients, RESTARTED)
        await self.judge(
            Candidate(self.later(storm.reborn(world)), [], closed, set()) for world in self.worlds
        )

    async def write_in_vain(self, deeds: list[Deed], seconds: int, *, is_full: bool) -> None:
        deeds = [deed for deed in deeds if not calls_others(deed)]
        disk = self.world.disk
        disk.fill() if is_full else disk.fail()
        replies, broken = [], []
        for deed in deeds:
            replies.append(await self.do_deed(deed))
            await self.world.settle()
            broken.append(self.broken())
        await self.world.clock.advance(seconds)
        disk.mend()
        await self.world.settle()
        await self.judge(self.in_vain(deeds, replies, broken))
        await self.advance(3)
        assert self.world.health.is_well

    def broken(self) -> set[str]:
        """Return the objects that have lost their sockets."""
        return {c.who for c in self.clients.values() if c.socket.closed is not None}

    async def write_slowly(
        self, deed: Ask, then: Literal["wait", "crash", "abort", "get stuck"]
    ) -> None:
        seconds = 40 if then == "get stuck" else 2
        if any(map(partial(self.has_other_work, deed, self.now + 6 * seconds), self.worlds)):
            return
        disk = self.world.disk
        disk.slow(seconds)
        (asked,) = self.begin_deeds([deed])
        await self.world.settle()
        self.nothing_is_seen_too_early(deed, is_answered=asked.done())
        if then == "crash":
            disk.mend()
            await self.world.crash()
        elif then == "abort":
            await self.world.abort_durable_object(self.stub(deed.who))
        elif then == "get stuck":
            await self.world.clock.advance(STUCK)
        else:
            await self.world.clock.advance(3 * seconds)
        reply = await asked
        disk.mend()
        await self.world.clock.advance(2 * seconds)
        await self.world.settle()
        if then == "crash":
            await self.judge(self.after_death([deed], [reply]))
        elif then == "wait":
            await self.judge(self.exactly(lambda run: [self.foretell(deed, run)], [reply]))
        else:
            await self.judge(self.cut_off(deed, reply, is_gone=then == "abort"))

    def has_other_work(self, deed: Ask, until: float, world: World) -> bool:
        """Whether alarms ring until then, or an object that is empty might be removed."""
        run = Run(world, self.now)
        self.foretell(deed, run)
        memories = [actor.memory for actors in (world, run.actors) for actor in actors.values()]
        alarms = [alarm for memory in memories for alarm in memory.alarms.values()]
        return any(m.is_empty for m in memories) or any(a.due.lo < until for a in alarms)

    def nothing_is_seen_too_early(self, deed: Ask, *, is_answered: bool) -> None:
        """See to it that nothing is heard of what isn't durable."""
        run = Run(self.worlds[0], self.now, is_evicting=self.is_evicting)
        self.foretell(deed, run)
        assert not (is_answered and run.actors[deed.who].floor)
        self.collect()
        for number, client in self.clients.items():
            early = [s.text for s in run.said if s.number == number and not any_of(s.needs)]
            assert client.heard == early[: len(client.heard)]

    async def bookmark(self, who: str) -> None:
        mark = await self.stub(who).mark()
        await self.world.settle()
        await self.judge(self.exactly(lambda run: run.mark(who, mark)))
        await self.advance(1)  # a process that dies and another one don't share a moment

    async def return_to(
        self,
        who: str,
        which: int,
        script: Script,
        how: Ending,
        hindrance: int | Literal["the disk"] | None,
    ) -> None:
        """Have an object's next life begin with what it was at a bookmark.

        Args:
            how: What ends this one.
            hindrance: What comes in between: a crash after some turns, or a disk that refuses.
        """
        marks = [set(world[who].memory.marks) for world in self.worlds]
        known = sorted(set.intersection(*marks))
        if not known:
            await self.bookmark(who)
            return
        mark, stub = known[which % len(known)], self.stub(who)
        reply = await stub.go_back(mark, script)
        match how:
            case "evict":
                await self.world.evict_durable_object(stub)
            case "abort":
                await self.world.abort_durable_object(stub)
            case "crash":
                await self.world.crash()
            case "restart":
                await self.world.restart()
        if hindrance == "the disk":
            self.world.disk.fill()
            if is_answer(await outcome(stub.carry_out(()))):  # there was no way back any more
                hindrance = None
            self.world.disk.mend()
        elif hindrance is not None:
            waking = asyncio.ensure_future(outcome(stub.carry_out(())))
            await self.turn(hindrance)
            await self.world.crash()
            await waking
        await stub.carry_out(())  # begins its next life
        await self.world.settle()
        await self.judge(self.after_return(who, mark, script, reply, how, hindrance))
        await self.compare()

    async def compare(self) -> None:
        """Compare all there is to see."""
        seen: dict[str, Sight] = {who: await self.stub(who).look() for who in NAMES}
        await self.world.settle()
        listed = {id.name for id in await self.world.list_durable_object_ids(self.scribes)}
        assert listed >= {who for who in NAMES if not self.worlds[0][who].memory.is_empty}
        faults = []
        kept = []
        for world in self.worlds:
            fault = [storm.difference(world[who], sight) for who, sight in seen.items()]
            if any(fault):
                faults += fault
                continue
            for who, sight in seen.items():
                storm.learn(world[who], sight)
            kept.append(world)
        assert kept, "\n".join(sorted({fault for fault in faults if fault}))
        self.worlds = storm.distinct(kept)

    @property
    def scribes(self) -> Any:
        return self.world.env.scribes

    # What the model thinks of it.

    def later(self, world: World) -> World:
        """Return a world in which all has rung that is due."""
        run = Run(world, self.now, is_evicting=self.is_evicting)
        run.ring_due(self.now)
        return run.actors

    def exactly(self, happen: Callable[[Run], Any], reply: Any = None) -> Iterator[Candidate]:
        """Return what comes of something when nothing is in the way.

        Args:
            happen: Does it in the model.
            reply: What came of it.
        """
        for world in self.worlds:
            run = self.course(world)
            answer = happen(run)
            if not isinstance(reply, list | None):
                answer = (RETURNED, answer)
            run.ring_due(self.now)
            fault = None if reply is None or answer == reply else f"{reply}, not {answer}"
            broken = {name for name, actor in run.actors.items() if actor.is_broken}
            yield Candidate(run.actors, run.said, run.closed, broken, fault)

    def after_death(self, deeds: list[Deed], replies: list[Outcome]) -> Iterator[Candidate]:
        """Return what may be left of some deeds, begun at once, if the process dies."""
        for world in self.worlds:
            for count in range(len(deeds) + 1):  # what comes later, the next process hears
                run = self.course(world)
                seen: Needs = {}
                fault = None
                for deed, reply in zip(deeds[:count], replies[:count], strict=True):
                    if reply == REFUSED:
                        continue
                    answer = self.foretell(deed, run)
                    if isinstance(deed, Ask) and reply is not None and is_answer(reply):
                        if answer != reply:
                            fault = f"{reply}, not {answer}"
                        for who, commit in run.actors[deed.who].needs.items():
                            seen[who] = max(commit, seen.get(who, 0))
                for cut, said in run.cuts(seen):
                    rest = self.course(cut)
                    for deed, reply in zip(deeds[count:], replies[count:], strict=True):
                        if isinstance(deed, Ask) and reply != REFUSED:
                            answer = self.foretell(deed, rest)
                            if answer != reply:
                                fault = fault or f"{reply}, not {answer}, in the next process"
                    rest.ring_due(self.now)
                    yield Candidate(rest.actors, said, {}, set(NAMES), fault)

    def after_death_while_ringing(self) -> Iterator[Candidate]:
        """Return what may be left if the process dies while alarms ring."""
        for world in self.worlds:
            for cut, said in self.course(world).cuts_of_alarms(self.now):
                rest = self.course(cut)
                rest.ring_due(self.now, is_late=True)
                yield Candidate(rest.actors, said, {}, set(NAMES))

    def in_vain(
        self, deeds: list[Deed], replies: list[Outcome], broken: list[set[str]]
    ) -> Iterator[Candidate]:
        """Return what is left of some deeds, one after another, if the disk refuses all writes.

        Args:
            broken: The objects that had lost their sockets after each.
        """
        for world in self.worlds:
            fault = None
            said: list[Said] = []
            memories = {name: actor.memory for name, actor in world.items()}
            for deed, reply, lost in zip(deeds, replies, broken, strict=True):
                run = self.course(world)
                answer = self.foretell(deed, run)
                said += [each for each in run.said if not any_of(each.needs)]
                if reply is None:
                    pass
                elif is_answer(reply):
                    if answer != reply or run.actors[cast(Ask, deed).who].floor:
                        fault = f"{reply}, not {answer}"
                elif reply not in (REFUSED_BY_DISK, answer):
                    fault = f"{reply}, not a reset"
                for name, actor in run.actors.items():
                    if actor.sockets and len(actor.commits) > 1 and name not in lost:
                        fault = f"{name} goes on with what the disk has refused"
                world = undone(run.actors, memories, lost)
            world = undone(world, memories, self.broken())
            for actor in world.values():
                actor.memory.alarms = {
                    alarm: replace(each, retry=Span(self.now, self.now + A_WHILE))
                    if each.due.lo <= self.now
                    else each
                    for alarm, each in actor.memory.alarms.items()
                }
            yield Candidate(world, said, {}, self.broken(), fault)

    def cut_off(self, deed: Ask, reply: Outcome, *, is_gone: bool) -> Iterator[Candidate]:
        """Return what is left of a deed whose object was reset before it was durable."""
        for world in self.worlds:
            run = self.course(world)
            answer = self.foretell(deed, run)
            if run.actors[deed.who].floor or reply == CUT_OFF:
                answer = CUT_OFF
            said = [each for each in run.said if not any_of(each.needs)]
            if is_gone or reply == CUT_OFF or len(run.actors[deed.who].commits) > 1:
                run.abort(deed.who)
            run.ring_due(self.now)
            fault = None if reply == answer else f"{reply}, not {answer}"
            yield Candidate(run.actors, said, run.closed, {deed.who}, fault)

    def after_return(
        self, who: str, mark: str, script: Script, reply: list[Any], how: Ending, hindrance: Any
    ) -> Iterator[Candidate]:
        """Return what is there when an object has gone back."""
        for world in self.worlds:
            run = self.course(world)
            answer = run.go_back(who, mark, script, reply[0])
            fault = None if answer == reply else f"{reply}, not {answer}"
            broken = set()
            if how in ("crash", "restart") or isinstance(hindrance, int):
                run.actors = storm.reborn(run.actors)
                broken = set(NAMES)
            elif how == "abort" or hindrance is not None:
                run.abort(who)
                broken = {who}
            else:
                run.actors[who].begin_life()
            run.ring_due(self.now)
            yield Candidate(run.actors, run.said, run.closed, broken, fault)

    def course(self, world: World) -> Run:
        """Return a course of events, since what was judged last."""
        return Run(world, self.since, is_evicting=self.is_evicting)

    async def judge(self, candidates: Iterable[Candidate]) -> None:
        """Leave the worlds that fit what was heard, and see to it that time makes them certain."""
        self.collect()
        kept, faults = [], []
        for candidate in candidates:
            fault = candidate.fault or self.misheard(candidate)
            if fault is None:
                kept.append(candidate.world)
            else:
                faults.append(fault)
        assert kept, "\n".join(dict.fromkeys(faults))
        self.worlds = storm.distinct(kept)
        self.clients = {n: c for n, c in self.clients.items() if c.socket.closed is None}
        for client in self.clients.values():
            client.heard.clear()
        self.since = self.now
        if self.certain(0):
            await self.advance(0)
        self.steps += 1
        if len(self.worlds) > 1 or self.steps % 2:  # what is looked at doesn't sleep
            await self.compare()

    def collect(self) -> None:
        for client in self.clients.values():
            while client.socket.received:
                client.heard.append(str(client.socket.received.popleft()))

    def misheard(self, candidate: Candidate) -> str | None:
        """Say what a client has heard, or hasn't, against what was foretold."""
        for number, client in self.clients.items():
            said = [each.text for each in candidate.said if each.number == number]
            if client.who in candidate.broken:
                said = said[: len(client.heard)]
            if client.heard != said:
                return f"client {number} has heard {client.heard}, not {said}"
            sockets = candidate.world[client.who].sockets
            is_open = any(socket.number == number for socket in sockets)
            code = None if client.socket.closed is None else client.socket.closed[0]
            if is_open != (code is None):
                return f"socket {number} was closed with {code}"
            if code != candidate.closed.get(number, code):
                return f"socket {number} was closed with {code}, not {candidate.closed[number]}"
        return None


async def outcome(asked: Awaitable[Any]) -> Outcome:
    """Return what comes of a call."""
    try:
        return RETURNED, await asked
    except (ValueError, errors.DurableObjectError) as error:
        may_repeat = ", retryable" if getattr(error, "retryable", False) else ""
        return RAISED, type(error).__name__ + may_repeat


def foretold(happen: Callable[[], Any]) -> Outcome:
    """Return what comes of it in the model."""
    try:
        return RETURNED, happen()
    except Told:
        return RAISED, "ValueError"
    except Reset:
        return RAISED, "ObjectReset"


def undone(world: World, memories: Mapping[str, Memory], broken: set[str]) -> World:
    """Return a world in which nothing was stored, and some objects have lost their sockets."""
    return {
        name: Actor(name, memories[name], () if name in broken else actor.sockets)
        for name, actor in world.items()
    }


def is_answer(reply: Outcome) -> bool:
    """Whether an object has answered, be it with an error of its own."""
    return reply is not None and (reply[0] == RETURNED or reply[1] == "ValueError")


def any_of(needs: Needs | None) -> bool:
    """Whether anything must be durable before that is seen."""
    return needs is None or any(needs.values())


def calls_others(deed: Deed) -> bool:
    return isinstance(deed, Ask) and any(isinstance(op, Call) for op in deed.script)


def aborts(deed: Deed) -> bool:
    return "Abort" in repr(deed)


def test_objects_have_what_a_plain_model_has(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="runtime")  # much is refused here, on purpose
    run_state_machine_as_test(Storm, settings=lasting)


# What storms have found.


async def test_an_alarm_that_a_test_runs_is_run_once_though_its_handler_waits(
    start_awake_runtime: StartRuntime,
) -> None:
    rt = await start_awake_runtime(scribes=Scribe)
    scribe = rt.env.scribes.get_by_name("a")
    await scribe.carry_out((SetAlarm("pauses", 60),))

    await rt.run_durable_object_alarm(scribe, name="pauses")

    assert (await scribe.look()).notes == ["pauses rang, 0"]


async def test_an_object_that_resets_itself_between_a_section_and_a_checkpoint_leaves_no_error(
    start_awake_runtime: StartRuntime,
) -> None:
    mishaps: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, mishap: mishaps.append(mishap))
    rt = await start_awake_runtime(scribes=Scribe)

    with pytest.raises(errors.ObjectReset):
        await rt.env.scribes.get_by_name("a").carry_out((DeleteAll(), Block((Sync(),)), Abort()))
    await rt.settle()

    assert mishaps == []


async def test_a_bookmark_stays_before_what_is_written_two_crashes_later(
    start_awake_runtime: StartRuntime,
) -> None:
    """The clock stands still, as it seems to do when a machine's is set back."""
    rt = await start_awake_runtime(scribes=Scribe)
    scribe = rt.env.scribes.get_by_name("a")
    await scribe.carry_out((Note("before"),))
    await rt.crash()
    for _ in range(9):
        mark = await scribe.mark()
    await rt.crash()
    await scribe.carry_out((Note("later"),))

    await scribe.go_back(mark, ())
    await rt.evict_durable_object(scribe)

    assert (await scribe.look()).notes == ["before"]
