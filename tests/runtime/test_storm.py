"""Everything at once: whatever happens, objects have what a plain model has.

`STORM` in the environment sets how many courses of events are tried, and lets them be new ones each
time: see ``--hypothesis-seed`` of pytest too.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, NamedTuple, TypeAlias, cast

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
from tests.runtime.storm import (
    ALARMS,
    MESSAGES,
    PING,
    RESTARTED,
    Actor,
    Memory,
    Needs,
    Reset,
    Run,
    Said,
    Scribe,
    Script,
    Socket,
    Told,
    World,
    difference,
    reborn,
)

BUDGET: Final = int(os.environ.get("STORM", "0"))
STEPS: Final = int(os.environ.get("STORM_STEPS", "30"))
REAL_SECONDS: Final = 30.0  # that a step may take
NAMES: Final = ("a", "b")
START: Final = 1_900_000_000.0  # what the clock shows first
LEFT_BEHIND: Final = (
    "Task was destroyed but it is pending!",
    "Reply exception was never retrieved",
)
"""What asyncio says of objects and processes that have ended meanwhile."""
TOO_LATE: Final = "cannot schedule new futures after shutdown"
"""What it gets who goes on after that."""

lasting = settings(
    max_examples=BUDGET or 12,
    stateful_step_count=STEPS,
    derandomize=not BUDGET,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

# Scripts.

Some: TypeAlias = st.SearchStrategy[Any]


def either(*choices: Some) -> Some:
    """Choose evenly. `st.one_of` would choose evenly among what the choices are made of."""
    return st.integers(0, len(choices) - 1).flatmap(choices.__getitem__)


def op(name: str, *parts: Some) -> Some:
    return st.tuples(st.just(name), *parts)


def scripts(*choices: Some, most: int = 4) -> Some:
    return st.lists(either(*choices), max_size=most).map(tuple)


def ending(script: Some, end: Some) -> Some:
    return st.tuples(script, end).map(lambda both: both[0] + both[1])


keys = st.sampled_from("abc")
values = st.sampled_from([0, "one", [1, {"two": (3, None)}], b"\0four", "large" * 9000])
rows = st.integers(1, 3)
texts = st.sampled_from(["", "é", "long" * 9])
names = either(st.none(), st.sampled_from(["stumbles", "tells"]), st.sampled_from(list(ALARMS)))
tags = st.sampled_from(["red", "blue"])
how = st.sampled_from(["", "", "unconfirmed"])
ends = st.sampled_from(["kept", "kept", "raised", "rolled back"])

set_alarm = op("set alarm", names, st.integers(1, 90), how)
sync_keys = either(
    op("put", keys, values, st.just("sync")), op("delete", keys, st.just("sync")), op("get", keys)
)
lines = either(op("insert", rows, texts), op("update", rows, texts), op("note", texts))
nested_sync = op("transaction sync", scripts(sync_keys, lines), ends)
plain = either(
    sync_keys,
    either(op("put", keys, values, how), op("delete", keys, how)),
    lines,
    either(set_alarm, set_alarm, op("drop alarm", names)),
    either(op("broadcast", texts, either(st.none(), tags)), op("attach", st.integers(0, 3), texts)),
    either(
        op("transaction sync", scripts(sync_keys, lines, nested_sync), ends),
        op("make table", st.sampled_from("xy")),
    ),
)
pause = st.just(("pause",))
nested = op("transaction", scripts(plain, plain, pause), ends)
transactions = op("transaction", scripts(plain, plain, pause, nested), ends)
blocks = op("block", scripts(plain, plain, pause, transactions))
rare = either(transactions, blocks, st.just(("delete all",)))
happy = st.sampled_from([(), (), (("raise",),)])
any_end = st.sampled_from([(), (), (("raise",),), (("abort",),)])

single = ending(scripts(plain, plain, rare), happy)
"""What is done before anything else of the object is."""
waits = st.sampled_from([("pause",), ("sync",)])
others = st.sampled_from(NAMES)
back = ending(scripts(plain, plain, waits), any_end)
called = ending(scripts(plain, plain, waits, transactions, op("call", others, back)), any_end)
calls = op("call", others, called)
any_script = ending(scripts(plain, plain, plain, rare, waits, calls, calls, most=6), any_end)


class Ask(NamedTuple):
    """Have an object carry something out."""

    who: str
    script: Script


class Say(NamedTuple):
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
told = st.just((("broadcast", "told", None),))
telling = ending(scripts(lines), st.tuples(op("call", others, told)))
alone = st.builds(lambda who, script: [Ask(who, script)], objects, either(any_script, telling))
deeds: Some = either(
    st.lists(asks, min_size=1, max_size=3),
    st.lists(either(asks, says), max_size=4),
    alone,
    st.builds(lambda client, message: [Say(client, message)], clients, st.sampled_from(loners)),
)
turns = st.integers(0, 12)
spans = either(st.integers(0, 100), st.sampled_from([3, 11, 1000]))
COMMITTING: Final[tuple[Point, ...]] = ("before_commit", "after_commit", "after_sync")

Outcome: TypeAlias = tuple[str, Any] | None
"""What came of a deed: what it returned, or which error it raised. None for messages."""
REFUSED: Final = ("raised", "ShuttingDown, retryable")
"""What comes of a call that hasn't begun: nothing."""


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


def step(**drawn: Some) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Any]:
    """Make a rule of an ``async`` method: something happens, and then that."""

    def decorate(method: Callable[..., Coroutine[Any, Any, None]]) -> Any:
        def do(self: Storm, first: list[Deed], **choices: Any) -> None:
            self.run(self.do(first))
            self.run(method(self, **choices))

        do.__name__ = method.__name__
        return cast(Any, rule)(first=deeds, **drawn)(do)

    return decorate


class Storm(RuleBasedStateMachine):
    """Lets everything happen to two objects, and compares.

    Attributes:
        worlds: What may be the case.
        clients: Those whose sockets are open, by their numbers.
    """

    rt: TestRuntime[Any]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(debug=False, loop_factory=asyncio.new_event_loop)
        self.worlds: list[World] = [{name: Actor(name, Memory()) for name in NAMES}]
        self.clients: dict[int, Client] = {}
        self.numbers = itertools.count(1)
        self.mishaps: list[str] = []
        self.is_evicting = self.has_begun = self.has_failed = False
        self.steps = 0
        self.since = START

    @initialize(
        is_evicting=st.booleans(),
        segment_bytes=st.sampled_from([16_000_000, 20_000, 1]),
        segments=st.sampled_from([16, 1]),
    )
    def begin(self, is_evicting: bool, segment_bytes: int, segments: int) -> None:
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
            self.rt.host.journal.most_segments = segments
            self.has_begun = True

        self.run(start())

    def teardown(self) -> None:
        try:
            if self.has_begun:
                self.run(self.finish())
        finally:
            self.runner.close()

    async def finish(self) -> None:
        """Look once more, before and after a stop, and close."""
        if not self.has_failed:
            await self.compare()
            await self.stop_and_start(1)
            await self.compare()
        try:
            await self.rt.__aexit__()
        except Exception:
            if not self.has_failed:
                raise

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do a step, in limited time."""

        async def in_time() -> None:
            await asyncio.wait_for(work, REAL_SECONDS)
            assert not self.mishaps

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
            self.mishaps.append(repr(mishap))

    # Rules.

    @step()
    async def all_goes_well(self) -> None:
        pass

    async def do(self, deeds: list[Deed]) -> None:
        await self.have_listeners()
        replies = await asyncio.gather(*self.begin_deeds(deeds))
        await self.rt.settle()
        await self.judge(
            self.exactly(lambda run: [self.foretell(deed, run) for deed in deeds], replies)
        )

    @step(who=objects, tags=st.lists(st.lists(tags, unique=True), max_size=3))
    async def clients_come(self, who: str, tags: list[list[str]]) -> None:
        for each in tags:
            await self.open_socket(who, tuple(each))

    @step(index=clients, vanishes=st.booleans())
    async def a_client_goes(self, index: int, vanishes: bool) -> None:
        if (client := self.client(index)) is None:
            return
        number = next(number for number, each in self.clients.items() if each is client)
        code = 1006 if vanishes else 1000
        await (client.socket.vanish() if vanishes else client.socket.leave(code))
        await self.judge(
            self.exactly(lambda run: run.end(client.who, number, code, is_clean=not vanishes))
        )

    @step(seconds=spans)
    async def time_passes(self, seconds: int) -> None:
        await self.advance(seconds)

    @step(who=objects, alarm=names)
    async def an_alarm_rings_early(self, who: str, alarm: str | None) -> None:
        was_set = await self.rt.run_durable_object_alarm(self.stub(who), name=alarm)
        await self.rt.settle()

        def happen(run: Run) -> bool:
            if self.is_evicting:
                run.actors[who].begin_life()
            is_set = alarm in run.actors[who].memory.alarms
            if is_set:
                run.ring(who, alarm)
            return is_set

        await self.judge(self.exactly(happen, was_set))

    @step(who=objects)
    async def an_object_is_evicted(self, who: str) -> None:
        try:
            await self.rt.evict_durable_object(self.stub(who))
        except errors.DurableObjectError as error:
            assert "it is not currently running" in str(error)  # noqa: PT017
        await self.judge(self.exactly(lambda run: run.actors[who].begin_life()))

    @step(who=objects)
    async def an_object_is_reset(self, who: str) -> None:
        await self.rt.abort_durable_object(self.stub(who))
        # What isn't in memory has nothing to lose, not even its sockets.
        is_gone = all(c.socket.closed for c in self.clients.values() if c.who == who)
        await self.judge(self.exactly(lambda run: run.abort(who) if is_gone else None))

    @step(deeds=deeds, turns=either(turns, st.none()))
    async def the_process_dies(self, deeds: list[Deed], turns: int | None) -> None:
        await self.have_listeners()
        if turns is None:  # not before all has happened that may without the disk
            self.rt.disk.slow(1)
        asked = self.begin_deeds(deeds)
        await (self.rt.settle() if turns is None else self.turn(turns))
        self.rt.disk.mend()
        await self.rt.crash()
        replies = await asyncio.gather(*asked)
        await self.rt.settle()
        await self.judge(self.after_death(deeds, replies))

    @step(deeds=deeds, point=st.sampled_from(["during_broadcast", *COMMITTING]))
    async def the_process_dies_at(self, deeds: list[Deed], point: Point) -> None:
        await self.have_listeners()
        last = Ask("a", (("note", "the last"),))
        if point == "during_broadcast":
            where = [client.who for client in self.clients.values()]
            crowd = next((who for who in NAMES if where.count(who) > 1), None)
            if crowd is None or "abort" in repr(deeds):
                return
            last = Ask(crowd, (("broadcast", "the last", None),))
        crash = self.rt.crash_at(point)
        replies = await asyncio.gather(*self.begin_deeds(deeds))
        await self.rt.settle()
        if self.rt.is_to_crash:
            deeds = [*deeds, last]
            replies.append(await self.do_deed(last))
        await crash
        await self.rt.settle()
        await self.judge(self.after_death(deeds, replies))

    @step(seconds=spans, point=st.sampled_from(["during_alarm", *COMMITTING]))
    async def the_process_dies_while_alarms_ring(self, seconds: int, point: Point) -> None:
        for world in self.worlds:  # "empties" commits in a way of its own
            if all(name == "empties" for _, _, name in self.course(world).due(self.now + seconds)):
                return
        crash = self.rt.crash_at(point)
        await self.rt.clock.advance(seconds)
        await crash
        await self.rt.settle()
        await self.judge(self.after_death_while_ringing())

    @step(who=objects, turns=turns)
    async def the_process_dies_while_evicting(self, who: str, turns: int) -> None:
        evicting = asyncio.ensure_future(outcome(self.rt.evict_durable_object(self.stub(who))))
        await self.turn(turns)
        await self.rt.crash()
        await evicting
        await self.rt.settle()
        await self.judge(self.after_death([], []))

    @step(seconds=spans)
    async def the_process_ends(self, seconds: int) -> None:
        await self.stop_and_start(seconds)

    @step(who=objects)
    async def somebody_marks(self, who: str) -> None:
        mark = await self.stub(who).mark()
        await self.rt.settle()
        await self.judge(self.exactly(lambda run: run.mark(who, mark)))

    @step(
        who=objects,
        which=st.integers(0, 9),
        script=scripts(plain, rare, waits),
        end=st.sampled_from(["evict", "abort", "crash", "restart"]),
        turns=either(st.none(), turns),
    )
    async def somebody_goes_back(
        self, who: str, which: int, script: Script, end: str, turns: int | None
    ) -> None:
        known = sorted(set.intersection(*(set(w[who].memory.marks) for w in self.worlds)))
        if not known:
            return
        mark, stub = known[which % len(known)], self.stub(who)
        reply = await stub.go_back(mark, script)
        match end:
            case "evict":
                await self.rt.evict_durable_object(stub)
            case "abort":
                await self.rt.abort_durable_object(stub)
            case "crash":
                await self.rt.crash()
            case "restart":
                await self.rt.restart()
        if turns is not None:  # and the process dies while it goes back
            waking = asyncio.ensure_future(outcome(stub.carry_out(())))
            await self.turn(turns)
            await self.rt.crash()
            await waking
        await stub.carry_out(())  # begins its next life
        await self.rt.settle()
        dies = end in ("crash", "restart") or turns is not None
        await self.judge(self.after_return(who, mark, script, reply, dies=dies, end=end))
        await self.compare()

    # How the rules are carried out.

    @property
    def now(self) -> float:
        return self.rt.clock.time()

    def stub(self, who: str) -> Any:
        return self.rt.env.scribes.get_by_name(who)

    def client(self, index: int) -> Client | None:
        known = list(self.clients.values())
        return known[index % len(known)] if known else None

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

    def foretell(self, deed: Deed, run: Run) -> Outcome:
        """Have a deed done in the model."""
        if isinstance(deed, Ask):
            try:
                return "returned", run.carry_out(deed.who, deed.script)
            except Told:
                return "raised", "ValueError"
            except Reset:
                return "raised", "ObjectReset"
        client = self.client(deed.client)
        for number, each in self.clients.items():
            if each is client:
                run.say(each.who, number, deed.message)
        return None

    async def turn(self, turns: int) -> None:
        """Let the loop run for a while."""
        for _ in range(turns):
            await asyncio.sleep(0)

    async def open_socket(self, who: str, tags: tuple[str, ...] = ()) -> None:
        number = next(self.numbers)
        headers = {"number": str(number), "tags": " ".join(tags)}
        client = await self.rt.connect(self.stub(who), headers=headers)
        await self.rt.settle()
        self.clients[number] = Client(who, client)
        await self.judge(self.exactly(lambda run: run.connect(who, Socket(number, tags))))

    async def have_listeners(self) -> None:
        """See to it that somebody hears what is said."""
        for who in NAMES:
            if not any(client.who == who for client in self.clients.values()):
                await self.open_socket(who)

    async def advance(self, seconds: float) -> None:
        await self.rt.clock.advance(seconds)
        await self.rt.settle()
        await self.judge(self.exactly(lambda run: None))

    async def stop_and_start(self, seconds: float) -> None:
        await self.rt.restart(after=timedelta(seconds=seconds))
        closed = dict.fromkeys(self.clients, RESTARTED)
        self.since = self.now
        await self.judge(
            Candidate(self.rest(reborn(world)).actors, [], closed, set()) for world in self.worlds
        )

    async def compare(self) -> None:
        """Compare all there is to see."""
        seen = {who: await self.stub(who).look() for who in NAMES}
        await self.rt.settle()
        listed = await self.rt.list_durable_object_ids(self.rt.env.scribes)
        stored = {who for who in NAMES if not self.worlds[0][who].memory.is_empty}
        assert {id.name for id in listed} >= stored
        faults = [[difference(w[who], seen[who]) for who in NAMES] for w in self.worlds]
        kept = [w for w, fault in zip(self.worlds, faults, strict=True) if not any(fault)]
        assert kept, "\n".join(sorted({each for fault in faults for each in fault if each}))
        self.worlds = distinct(kept)

    # What the model thinks of it.

    def course(self, world: World) -> Run:
        """Return a course of events, since what was judged last."""
        return Run(world, self.since, is_evicting=self.is_evicting)

    def rest(self, world: World, since: float | None = None) -> Run:
        """Return one in which all has rung that is due by now."""
        run = Run(world, self.since if since is None else since, is_evicting=self.is_evicting)
        run.ring_due(self.now)
        return run

    def exactly(self, happen: Callable[[Run], Any], reply: Any = None) -> Iterator[Candidate]:
        """Return what comes of something when nothing is in the way.

        Args:
            happen: Does it in the model.
            reply: What came of it.
        """
        for world in self.worlds:
            run = self.course(world)
            answer = happen(run)
            run.ring_due(self.now)
            fault = None if reply is None or answer == reply else f"{reply}, not {answer}"
            broken = {name for name, actor in run.actors.items() if actor.is_broken}
            yield Candidate(run.actors, run.said, run.closed, broken, fault)

    def after_death(self, deeds: list[Deed], replies: list[Outcome]) -> Iterator[Candidate]:
        """Return what may be left of some deeds, begun at once, if the process dies."""
        for world, count in itertools.product(self.worlds, range(len(deeds) + 1)):
            # What comes later than `count`, the next process hears.
            run = self.course(world)
            seen: Needs = {}
            fault = None
            for deed, reply in zip(deeds[:count], replies[:count], strict=True):
                if reply == REFUSED:
                    continue
                answer = self.foretell(deed, run)
                if isinstance(deed, Ask) and is_answer(reply):
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
            for cut, said, moment in self.course(world).cuts_of_alarms(self.now):
                yield Candidate(self.rest(cut, moment).actors, said, {}, set(NAMES))

    def after_return(
        self, who: str, mark: str, script: Script, reply: list[Any], *, dies: bool, end: str
    ) -> Iterator[Candidate]:
        """Return what is there when an object has gone back."""
        for world in self.worlds:
            run = self.course(world)
            answer = run.go_back(who, mark, script, reply[0])
            fault = None if answer == reply else f"{reply}, not {answer}"
            broken = set()
            if dies:
                run.actors, broken = reborn(run.actors), set(NAMES)
            elif end == "abort":
                run.abort(who)
                broken = {who}
            else:
                run.actors[who].begin_life()
            run.ring_due(self.now)
            yield Candidate(run.actors, run.said, run.closed, broken, fault)

    async def judge(self, candidates: Iterable[Candidate]) -> None:
        """Leave the worlds that fit what was heard."""
        for client in self.clients.values():
            client.heard += map(str, client.socket.received)
            client.socket.received.clear()
        kept, faults = [], []
        for candidate in candidates:
            fault = candidate.fault or self.misheard(candidate)
            if fault is None:
                kept.append(candidate.world)
            else:
                faults.append(fault)
        assert kept, "\n".join(dict.fromkeys(faults))
        self.worlds = distinct(kept)
        self.clients = {n: c for n, c in self.clients.items() if c.socket.closed is None}
        for client in self.clients.values():
            client.heard.clear()
        self.since = self.now
        self.steps += 1
        if len(self.worlds) > 1 or self.steps % 2:  # what is looked at doesn't sleep
            await self.compare()

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
            if is_open != (code is None) or code != candidate.closed.get(number, code):
                told = candidate.closed.get(number, "open" if is_open else "any code")
                return f"socket {number} was closed with {code}, not {told}"
        return None


async def outcome(asked: Awaitable[Any]) -> Outcome:
    """Return what comes of a call."""
    try:
        return "returned", await asked
    except (ValueError, errors.DurableObjectError) as error:
        may_repeat = ", retryable" if getattr(error, "retryable", False) else ""
        return "raised", type(error).__name__ + may_repeat


def distinct(worlds: Iterable[World]) -> list[World]:
    """Return each world once."""
    found: list[World] = []
    for world in worlds:
        content = [(actor.memory, actor.sockets) for actor in world.values()]
        if content not in [[(a.memory, a.sockets) for a in each.values()] for each in found]:
            found.append(world)
    return found


def is_answer(reply: Outcome) -> bool:
    """Whether an object has answered, be it with an error of its own."""
    return reply is not None and (reply[0] == "returned" or reply[1] == "ValueError")


def test_objects_have_what_a_plain_model_has(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.CRITICAL, logger="runtime")  # much is refused here, on purpose
    monkeypatch.setattr("runtime.alarms.JITTER", 0)
    run_state_machine_as_test(Storm, settings=lasting)


# What storms have found.


async def test_an_alarm_that_a_test_runs_is_run_once_though_its_handler_waits(
    start_awake_runtime: StartRuntime,
) -> None:
    rt = await start_awake_runtime(scribes=Scribe)
    scribe = rt.env.scribes.get_by_name("a")
    await scribe.carry_out((("set alarm", "pauses", 60, ""),))

    await rt.run_durable_object_alarm(scribe, name="pauses")

    assert (await scribe.look())["notes"] == ["pauses rang, 0"]


async def test_an_object_that_resets_itself_between_a_section_and_a_checkpoint_leaves_no_error(
    start_awake_runtime: StartRuntime,
) -> None:
    mishaps: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, mishap: mishaps.append(mishap))
    rt = await start_awake_runtime(scribes=Scribe)
    script = (("delete all",), ("block", (("sync",),)), ("abort",))

    with pytest.raises(errors.ObjectReset):
        await rt.env.scribes.get_by_name("a").carry_out(script)
    await rt.settle()

    assert mishaps == []


async def test_a_bookmark_stays_before_what_is_written_two_crashes_later(
    start_awake_runtime: StartRuntime,
) -> None:
    """The clock stands still, as it seems to do when a machine's is set back."""
    rt = await start_awake_runtime(scribes=Scribe)
    scribe = rt.env.scribes.get_by_name("a")
    await scribe.carry_out((("note", "before"),))
    await rt.crash()
    for _ in range(9):
        mark = await scribe.mark()
    await rt.crash()
    await scribe.carry_out((("note", "later"),))

    await scribe.go_back(mark, ())
    await rt.evict_durable_object(scribe)

    assert (await scribe.look())["notes"] == ["before"]
