"""A test for each invariant of `runtime/README.md`, in that order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from runtime import (
    AlarmInvocation,
    DurableObject,
    DurableObjectNamespace,
    Request,
    Response,
    WebSocket,
    WebSocketRequestResponsePair,
    errors,
)
from runtime.catalog import Catalog
from runtime.testing import TestRuntime, key_of
from tests.conftest import StartRuntime
from tests.runtime.disk import StuckDisk, disk, turns

__all__ = ["disk"]


class Env:
    """What the objects of these tests can reach."""

    def __init__(self, **bindings: DurableObjectNamespace[Any]) -> None:
        self.notes: DurableObjectNamespace[Note] = bindings["notes"]


class Note(DurableObject[Env]):
    """Remembers lines, and lets tests hold it up."""

    migrations = ("CREATE TABLE lines (number INTEGER PRIMARY KEY, text TEXT NOT NULL)",)

    made: ClassVar[int] = 0
    gate: ClassVar[asyncio.Future[None]]
    ran: ClassVar[list[str]]

    def __init__(self, ctx: Any, env: Env) -> None:
        super().__init__(ctx, env)
        Note.made += 1
        self.calls = 0

    async def count(self) -> int:
        self.calls += 1
        return self.calls

    async def write(self, *lines: str) -> int:
        for line in lines:
            self.ctx.storage.sql.exec("INSERT INTO lines (text) VALUES (?)", line)
        return len(lines)

    async def lines(self) -> list[str]:
        rows = self.ctx.storage.sql.exec("SELECT text FROM lines ORDER BY number")
        return [row["text"] for row in rows]

    # Held up by the test.

    async def wait_outside(self, name: str) -> None:
        """Wait for something that isn't the runtime's: nobody's gate is shut."""
        await asyncio.shield(Note.gate)
        Note.ran.append(name)

    async def wait_in_a_child_task(self, name: str) -> None:
        await asyncio.gather(self.wait_outside(f"{name} 1"), self.wait_outside(f"{name} 2"))

    async def spin(self, name: str) -> None:
        while not Note.gate.done():
            await asyncio.sleep(0)
        Note.ran.append(name)

    async def block(self, until: str) -> None:
        async def section() -> None:
            while until not in Note.ran:
                await asyncio.sleep(0)
            Note.ran.append("end of section")

        await self.ctx.block_concurrency_while(section)

    # Telling others.

    async def write_then_call(self, other: str, line: str) -> int:
        self.ctx.storage.sql.exec("INSERT INTO lines (text) VALUES (?)", line)
        return await self.env.notes.get_by_name(other).write(f"{line}, told")

    async def write_then_send(self, line: str) -> None:
        self.ctx.storage.sql.exec("INSERT INTO lines (text) VALUES (?)", line)
        self.ctx.broadcast(line)

    # Breaking.

    async def write_then_abort(self, line: str) -> None:
        self.ctx.storage.sql.exec("INSERT INTO lines (text) VALUES (?)", line)
        self.ctx.abort("on purpose")

    async def fail_in_a_section(self) -> None:
        async def section() -> None:
            self.ctx.storage.sql.exec("INSERT INTO lines (text) VALUES ('lost')")
            raise ValueError("on purpose")

        await self.ctx.block_concurrency_while(section)

    # Alarms and sockets.

    async def wake_in(self, seconds: float) -> None:
        await self.ctx.storage.set_alarm(timedelta(seconds=seconds))

    async def alarm(self, invocation: AlarmInvocation) -> None:
        await self.write(f"rung for {invocation.scheduled_time:.0f}")

    async def fetch(self, request: Request) -> Response:
        ws = request.web_socket
        assert ws is not None
        if request.path == "/written":
            await self.write("handshake")
        self.ctx.accept_web_socket(ws, [request.headers.get("name", "nobody")])
        ws.serialize_attachment({"seen": 0})
        self.ctx.set_web_socket_auto_response(WebSocketRequestResponsePair("ping", "pong"))
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        seen = ws.deserialize_attachment()["seen"] + 1
        ws.serialize_attachment({"seen": seen})
        ws.send(f"{self.ctx.get_tags(ws)[0]} {seen}: {message!r}")


@pytest.fixture(autouse=True)
async def fresh_note() -> None:
    """Put back what the tests' class shares among its objects."""
    Note.made = 0
    Note.gate = asyncio.get_running_loop().create_future()
    Note.ran = []


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Env]:
    """A runtime with notes, twice: the second time they are evicted before each event."""
    started: TestRuntime[Env] = await start_runtime(Env, notes=Note)
    return started


@pytest.fixture
async def awake_runtime(start_awake_runtime: StartRuntime) -> TestRuntime[Env]:
    """A runtime with notes whose objects stay in memory for their ten seconds."""
    started: TestRuntime[Env] = await start_awake_runtime(Env, notes=Note)
    return started


# I1: one activation.


async def test_i1_calls_that_come_at_once_reach_one_instance(
    awake_runtime: TestRuntime[Env],
) -> None:
    note: Any = awake_runtime.env.notes.get_by_name("a")

    answers = await asyncio.gather(note.count(), note.count(), note.count())

    assert list(answers) == [1, 2, 3]
    assert Note.made == 1


async def test_i1_an_object_isnt_made_anew_before_its_last_life_is_over(
    awake_runtime: TestRuntime[Env], disk: StuckDisk
) -> None:
    note: Any = awake_runtime.env.notes.get_by_name("a")
    await note.write("first")
    await awake_runtime.settle()
    life = awake_runtime.host.life_of(key_of(note))
    assert life is not None

    awake_runtime.host.evict(life)
    waiting = note.lines()  # the thread that closes the database is still at it

    assert Note.made == 1
    assert await waiting == ["first"]
    assert Note.made == 2


# I2: one at a time.


@pytest.mark.parametrize("method", ["wait_outside", "wait_in_a_child_task", "spin"])
async def test_i2_nothing_of_an_object_goes_on_while_a_section_runs(
    awake_runtime: TestRuntime[Env], method: str
) -> None:
    note: Any = awake_runtime.env.notes.get_by_name("a")
    older: Callable[[str], Any] = getattr(note, method)
    under_way = older("older")
    section = note.block(until="go")
    newer = note.write("newer")

    Note.gate.set_result(None)
    await turns()
    ran_meanwhile = list(Note.ran)
    Note.ran.append("go")
    await asyncio.gather(under_way, section, newer)

    assert ran_meanwhile == []
    assert Note.ran[:2] == ["go", "end of section"]
    assert all(step.startswith("older") for step in Note.ran[2:])


# I3: durable before visible.


async def test_i3_an_answer_waits_for_the_disk(runtime: TestRuntime[Env], disk: StuckDisk) -> None:
    note: Any = runtime.env.notes.get_by_name("a")

    with disk.stuck():
        answer = note.write("x")
        await turns()
        early = answer.done()

    assert not early
    assert await answer == 1


async def test_i3_an_answer_that_only_reads_waits_for_what_it_has_read(
    awake_runtime: TestRuntime[Env], disk: StuckDisk
) -> None:
    note: Any = awake_runtime.env.notes.get_by_name("a")

    with disk.stuck():
        note.write("x")
        reading = note.lines()
        await turns()
        early = reading.done()

    assert not early
    assert await reading == ["x"]


async def test_i3_a_call_to_another_object_waits_for_the_disk(
    awake_runtime: TestRuntime[Env], disk: StuckDisk
) -> None:
    note: Any = awake_runtime.env.notes.get_by_name("a")
    await awake_runtime.env.notes.get_by_name("b").count()
    await note.count()
    await awake_runtime.settle()

    with disk.stuck():
        telling = note.write_then_call("b", "x")
        await turns()
        other = awake_runtime.host.life_of(key_of(awake_runtime.env.notes.get_by_name("b")))
        assert other is not None
        early = other.disk.commit_count

    assert early == 1, "only the schema"
    assert await telling == 1


async def test_i3_messages_wait_for_the_disk_and_keep_their_order(
    awake_runtime: TestRuntime[Env], disk: StuckDisk
) -> None:
    note: Any = awake_runtime.env.notes.get_by_name("a")
    ws = await awake_runtime.connect(note)
    await awake_runtime.settle()

    with disk.stuck():
        sending = asyncio.gather(note.write_then_send("1"), note.write_then_send("2"))
        await turns()
        early = list(ws.received)

    await sending
    assert early == []
    assert list(ws.received) == ["1", "2"]


async def test_i3_a_handshake_waits_for_the_disk(
    awake_runtime: TestRuntime[Env], disk: StuckDisk
) -> None:
    note: Any = awake_runtime.env.notes.get_by_name("a")
    await note.count()
    await awake_runtime.settle()

    with disk.stuck():
        opening = asyncio.ensure_future(awake_runtime.connect(note, "/written"))
        await turns()
        early = opening.done()

    assert not early
    assert (await opening).closed is None


# I4: atomic between awaits.


async def test_i4_what_is_written_without_yielding_is_one_commit(
    awake_runtime: TestRuntime[Env],
) -> None:
    note: Any = awake_runtime.env.notes.get_by_name("a")
    before = await awake_runtime.commit_count(note)

    await note.write("1", "2", "3")

    assert await awake_runtime.commit_count(note) == before + 1


async def test_i4_what_a_step_wrote_is_gone_when_the_step_aborts(
    runtime: TestRuntime[Env],
) -> None:
    note: Any = runtime.env.notes.get_by_name("a")
    await note.write("kept")

    with pytest.raises(errors.ObjectReset, match="on purpose"):
        await note.write_then_abort("lost")

    assert await note.lines() == ["kept"]


# I5: broken is final.


async def test_i5_a_failed_critical_section_takes_the_memory_with_it(
    awake_runtime: TestRuntime[Env],
) -> None:
    note: Any = awake_runtime.env.notes.get_by_name("a")
    await note.count()

    with pytest.raises(ValueError, match="on purpose") as failure:
        await note.fail_in_a_section()

    assert failure.value.durable_object_reset  # type: ignore[attr-defined]
    assert await note.count() == 1
    assert Note.made == 2


async def test_i5_everybody_who_waits_for_a_broken_object_hears_of_it(
    awake_runtime: TestRuntime[Env],
) -> None:
    note: Any = awake_runtime.env.notes.get_by_name("a")
    waiting = note.wait_outside("never")

    results = await asyncio.gather(
        waiting, note.fail_in_a_section(), note.count(), return_exceptions=True
    )

    assert [type(result) for result in results] == [ValueError] * 3
    assert Note.ran == []


# I6: memory is a cache.


async def test_i6_eviction_cant_be_observed(runtime: TestRuntime[Env]) -> None:
    note: Any = runtime.env.notes.get_by_name("a")
    ws = await runtime.connect(note, headers={"name": "ada"})

    await note.write("1")
    await ws.send("hello")
    await note.write("2")

    assert await note.lines() == ["1", "2"]
    assert await ws.receive() == "ada 1: 'hello'"


async def test_i6_an_object_leaves_memory_ten_seconds_after_its_last_work(
    awake_runtime: TestRuntime[Env],
) -> None:
    note: Any = awake_runtime.env.notes.get_by_name("a")
    await note.count()

    await awake_runtime.clock.advance(9.9)
    at_nine = await note.count()
    await awake_runtime.clock.advance(9.9)
    at_nineteen = await note.count()
    await awake_runtime.clock.advance(10)

    assert [at_nine, at_nineteen, await note.count()] == [2, 3, 1]


# I7: early, never late.


async def test_i7_an_alarm_rings_after_a_crash_that_came_before_the_catalog_knew_of_it(
    runtime: TestRuntime[Env], monkeypatch: pytest.MonkeyPatch
) -> None:
    note: Any = runtime.env.notes.get_by_name("a")
    due = runtime.clock.time() + 30
    asleep, flush = runtime._catalog, Catalog.flush

    async def flush_unless_asleep(catalog: Catalog) -> None:
        await (asyncio.Event().wait() if catalog is asleep else flush(catalog))

    monkeypatch.setattr(Catalog, "flush", flush_unless_asleep)
    await note.wake_in(30)
    await runtime.crash()
    await runtime.clock.advance(29)
    early = await note.lines()
    await runtime.clock.advance(1)

    assert early == []
    assert await note.lines() == [f"rung for {due:.0f}"]


async def test_i7_an_alarm_that_was_moved_rings_at_its_new_time_only(
    runtime: TestRuntime[Env],
) -> None:
    note: Any = runtime.env.notes.get_by_name("a")
    due = runtime.clock.time() + 60

    await note.wake_in(30)
    await note.wake_in(60)
    await runtime.crash()
    await runtime.clock.advance(120)

    assert await note.lines() == [f"rung for {due:.0f}"]


async def test_i7_an_overdue_alarm_rings_at_the_start(runtime: TestRuntime[Env]) -> None:
    note: Any = runtime.env.notes.get_by_name("a")
    due = runtime.clock.time() + 30
    await note.wake_in(30)
    await runtime.settle()

    await runtime.restart(after=timedelta(days=1))

    assert await note.lines() == [f"rung for {due:.0f}"]


# I8: sockets outlive objects.


async def test_i8_a_socket_keeps_all_it_has_across_eviction(
    awake_runtime: TestRuntime[Env],
) -> None:
    note: Any = awake_runtime.env.notes.get_by_name("a")
    ws = await awake_runtime.connect(note, headers={"name": "ada"})
    await ws.send("before")

    await awake_runtime.evict_durable_object(note)
    await ws.send("ping")
    made_for_the_ping = Note.made
    await ws.send("after")

    assert list(ws.received) == ["ada 1: 'before'", "pong", "ada 2: 'after'"]
    assert (made_for_the_ping, Note.made) == (1, 2)


# I9: values are copied.


class Keeper(DurableObject[object]):
    """Keeps what it is given, and gives what it keeps."""

    def __init__(self, ctx: Any, env: object) -> None:
        super().__init__(ctx, env)
        self.kept: list[Any] = []

    async def keep(self, value: Any) -> Any:  # unchecked, so that nothing but the wire copies
        self.kept.append(value)
        return self.kept


async def test_i9_neither_side_can_change_the_others_values(
    start_awake_runtime: StartRuntime,
) -> None:
    runtime = await start_awake_runtime(keepers=Keeper)
    keeper = runtime.env.keepers.get_by_name("a")
    value = [1]

    answer = keeper.keep(value)
    value.append(2)
    result = await answer
    result[0].append(3)

    assert await keeper.keep([4]) == [[1], [4]]


# I12: one clock.


async def test_i12_moving_the_clock_moves_the_time_in_sql(runtime: TestRuntime[Env]) -> None:
    note: Any = runtime.env.notes.get_by_name("a")

    def now(_: Note, ctx: Any) -> float:
        return float(ctx.storage.sql.exec("SELECT unixepoch('subsec') AS now").one()["now"])

    before = await runtime.run_in_durable_object(note, now)
    await runtime.clock.advance(timedelta(days=365))
    after = await runtime.run_in_durable_object(note, now)

    assert after - before == pytest.approx(365 * 86_400, abs=0.01)
