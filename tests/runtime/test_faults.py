"""What a test can let go wrong: a process that dies at a chosen point, a disk that is bad."""

from __future__ import annotations

import asyncio
import gc
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime import AlarmInvocation, DurableObject, Request, Response, Runtime, errors
from runtime.testing import POINTS, Point, TestRuntime
from tests.conftest import StartRuntime


class Room(DurableObject[Any]):
    migrations = ("CREATE TABLE notes (text TEXT)",)

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        if request.url.endswith("/slow"):
            await asyncio.sleep(60)
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols()

    async def note(self, text: str) -> None:
        self.ctx.storage.sql.exec("INSERT INTO notes VALUES (?)", text)
        self.ctx.broadcast(text)

    async def notes(self) -> list[str]:
        return [row["text"] for row in self.ctx.storage.sql.exec("SELECT text FROM notes")]

    async def ring_in(self, seconds: float) -> None:
        await self.ctx.storage.set_alarm(timedelta(seconds=seconds))

    async def alarm(self, invocation: AlarmInvocation) -> None:
        self.ctx.storage.sql.exec("INSERT INTO notes VALUES ('rang')")

    async def note_elsewhere_later(self, text: str) -> None:
        self.ctx.wait_until(self._note_elsewhere(text))

    async def _note_elsewhere(self, text: str) -> None:
        await asyncio.sleep(10)
        self.ctx.storage.sql.exec("INSERT INTO notes VALUES (?)", text)
        for number in range(3):  # each waits for the disk before it leaves
            await self.env.rooms.get_by_name("other").note(f"{text} {number}")

    async def sleep(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "woke"

    async def give_up_after(self, seconds: float) -> str:
        try:
            async with asyncio.timeout(seconds):
                await asyncio.Event().wait()
        except TimeoutError:
            return "gave up"
        return "unreachable"


class Busy(DurableObject[Any]):
    """Is never done, or has threads do something."""

    turns = 0

    async def spin(self) -> None:
        self.ctx.wait_until(self._spin())

    async def _spin(self) -> None:
        while True:
            Busy.turns += 1
            await asyncio.sleep(0)

    async def ring(self) -> None:
        await self.ctx.storage.set_alarm(timedelta(0))

    async def alarm(self, invocation: AlarmInvocation) -> None:
        Busy.turns += 1
        await self.ring()


KEPT: dict[Point, list[str]] = {
    "before_commit": ["before"],
    "after_commit": ["before"],
    "after_sync": ["before", "now"],
}


@pytest.mark.parametrize("point", KEPT)
async def test_a_process_dies_at_a_point_of_a_writes_way(
    start_runtime: StartRuntime, point: Point
) -> None:
    rt = await start_runtime(rooms=Room)
    room = rt.env.rooms.get_by_name("a")
    await room.note("before")

    crash = rt.crash_at(point)
    with pytest.raises(errors.ObjectReset):
        await room.note("now")
    await crash

    assert await room.notes() == KEPT[point]


async def test_a_process_dies_while_some_have_got_a_message(
    start_awake_runtime: StartRuntime,
) -> None:
    rt = await start_awake_runtime(rooms=Room)
    room = rt.env.rooms.get_by_name("a")
    clients = [await rt.connect(room) for _ in range(4)]

    crash = rt.crash_at("during_broadcast")
    await room.note("hello")
    await crash

    assert sorted(list(client.received) for client in clients) == [[], [], ["hello"], ["hello"]]
    assert all(client.closed is not None for client in clients)
    assert await room.notes() == ["hello"]  # durable before it was visible


async def test_an_alarm_whose_process_dies_runs_again(start_runtime: StartRuntime) -> None:
    rt = await start_runtime(rooms=Room)
    room = rt.env.rooms.get_by_name("a")
    await room.ring_in(10)

    crash = rt.crash_at("during_alarm")
    await rt.clock.advance(10)
    await crash
    await rt.settle()

    assert await room.notes() == ["rang"]


async def test_a_point_is_passed_once(start_runtime: StartRuntime) -> None:
    rt = await start_runtime(rooms=Room)
    room = rt.env.rooms.get_by_name("a")
    crash = rt.crash_at("before_commit")
    with pytest.raises(errors.ObjectReset):
        await room.note("lost")
    await crash

    await room.note("kept")

    assert await room.notes() == ["kept"]


async def test_an_unknown_point_is_refused(start_runtime: StartRuntime) -> None:
    rt = await start_runtime(rooms=Room)

    with pytest.raises(ValueError, match="there is no point 'at noon'; choose one of before_com"):
        rt.crash_at("at noon")  # type: ignore[arg-type,unused-ignore]
    assert set(KEPT) < set(POINTS)


async def test_an_alarm_can_come_twice(start_runtime: StartRuntime) -> None:
    rt = await start_runtime(rooms=Room)
    room = rt.env.rooms.get_by_name("a")
    await room.ring_in(3600)

    assert await rt.duplicate_alarm(room)
    assert await room.notes() == ["rang", "rang"]
    assert not await rt.duplicate_alarm(room)


@pytest.mark.parametrize("what", ["fill", "fail"])
async def test_a_disk_that_refuses_loses_what_was_not_acknowledged(
    start_runtime: StartRuntime, what: str
) -> None:
    rt = await start_runtime(rooms=Room)
    room = rt.env.rooms.get_by_name("a")
    await room.note("before")

    getattr(rt.disk, what)()
    with pytest.raises(errors.DurableObjectError) as refused:
        await room.note("lost")
    rt.disk.mend()
    await rt.settle()

    assert refused.value.retryable
    assert await room.notes() == ["before"]


async def test_what_is_written_on_a_slow_disk_is_shown_when_it_is_durable(
    start_awake_runtime: StartRuntime,
) -> None:
    rt = await start_awake_runtime(rooms=Room)
    room = rt.env.rooms.get_by_name("a")
    client = await rt.connect(room)
    await rt.settle()

    rt.disk.slow(2.0)
    noted = asyncio.ensure_future(room.note("hello"))
    await rt.clock.advance(1.9)
    assert (list(client.received), noted.done()) == ([], False)
    await rt.clock.advance(0.2)

    assert list(client.received) == ["hello"]
    await noted


async def test_object_code_sleeps_by_the_tests_clock(start_runtime: StartRuntime) -> None:
    rt: TestRuntime[Any] = await start_runtime(rooms=Room)
    room = rt.env.rooms.get_by_name("a")
    asleep = asyncio.ensure_future(room.sleep(3600))
    impatient = asyncio.ensure_future(room.give_up_after(60))

    await rt.clock.advance(59)
    assert (asleep.done(), impatient.done()) == (False, False)
    await rt.clock.advance(1)
    assert await impatient == "gave up"
    await rt.clock.advance(3540)

    assert await asleep == "woke"


async def test_of_two_worlds_on_a_loop_each_sleeps_by_its_own_clock(
    start_awake_runtime: StartRuntime,
) -> None:
    one, two = await start_awake_runtime(rooms=Room), await start_awake_runtime(rooms=Room)
    first, second = (
        asyncio.ensure_future(rt.env.rooms.get_by_name("a").sleep(60)) for rt in (one, two)
    )

    await one.clock.advance(60)
    assert (first.done(), second.done()) == (True, False)
    await two.clock.advance(60)
    assert await second == "woke"


async def test_a_loop_is_left_as_it_was_found() -> None:
    loop = asyncio.get_running_loop()
    before = dict(vars(loop))
    async with TestRuntime(bindings={"rooms": Room}):
        assert vars(loop).keys() > before.keys()

    assert vars(loop).keys() == before.keys()


async def test_looking_into_an_object_that_is_reset_meanwhile_finds_the_next_life(
    start_awake_runtime: StartRuntime,
) -> None:
    rt = await start_awake_runtime(rooms=Room)
    room = rt.env.rooms.get_by_name("a")
    looking = asyncio.ensure_future(rt.run_in_durable_object(room, lambda obj, ctx: ctx.id.name))
    await rt.settle()
    await rt.abort_durable_object(room)

    assert await looking == "a"


async def test_whoever_settles_waits_until_an_object_that_is_looked_into_is_at_it(
    start_awake_runtime: StartRuntime,
) -> None:
    rt = await start_awake_runtime(rooms=Room)
    room = rt.env.rooms.get_by_name("a")
    looking = asyncio.ensure_future(rt.run_in_durable_object(room, lambda obj, _: obj.sleep(60)))

    await rt.settle()
    await rt.clock.advance(60)

    assert await looking == "woke"


async def test_a_process_that_dies_while_it_closes_an_object_leaves_it_for_the_next(
    start_awake_runtime: StartRuntime,
) -> None:
    rt = await start_awake_runtime(rooms=Room)
    room = rt.env.rooms.get_by_name("a")
    assert await room.notes() == []
    rt.disk.slow(5)
    await rt.evict_durable_object(room)  # nothing is stored in it
    waiting = asyncio.ensure_future(room.notes())
    await rt.settle()
    assert not waiting.done()

    await rt.crash()

    with pytest.raises(errors.ShuttingDown):
        await waiting
    rt.disk.mend()
    await room.note("after")
    assert await room.notes() == ["after"]


async def test_an_eviction_waits_for_a_slow_disk_by_the_clock(
    start_awake_runtime: StartRuntime,
) -> None:
    rt = await start_awake_runtime(rooms=Room)
    room = rt.env.rooms.get_by_name("a")
    assert await room.notes() == []
    rt.disk.slow(5)

    await rt.evict_durable_object(room)
    waiting = asyncio.ensure_future(room.notes())
    await rt.clock.advance(4.9)
    assert not waiting.done()

    rt.disk.mend()
    await rt.clock.advance(0.2)
    assert await waiting == []


async def test_a_process_that_cant_start_again_says_why_and_lets_go_of_its_folder(
    folder: Path,
) -> None:
    with pytest.raises(errors.DataFolderRefused, match="is damaged"):
        async with TestRuntime(bindings={"rooms": Room}, data=folder) as rt:
            await rt.env.rooms.get_by_name("a").note("now")
            (folder / "journal" / "index").write_text("nonsense")
            await rt.crash()

    Runtime.check_folder(rt.config)


async def test_whoever_waits_for_a_process_that_cant_start_again_is_told(folder: Path) -> None:
    async with TestRuntime(bindings={"rooms": Room}, data=folder) as rt:
        room = rt.env.rooms.get_by_name("a")
        await room.note("before")
        crash = rt.crash_at("after_sync")
        (folder / "journal" / "index").write_text("nonsense")

        with pytest.raises(errors.ObjectReset):
            await room.note("now")
        held_back = room.notes()

        with pytest.raises(errors.DataFolderRefused, match="is damaged"):
            await crash
        for call in (held_back, room.notes()):
            with pytest.raises(errors.ShuttingDown, match="couldn't start again"):
                await call


def test_a_runtime_that_cant_be_made_leaves_nothing_behind() -> None:
    with pytest.raises(TypeError):
        TestRuntime(bindings={"rooms": object})

    gc.collect()  # a folder that it had forgotten would be a warning here


async def test_a_disk_that_is_bad_in_the_end_keeps_no_test_from_ending() -> None:
    async with TestRuntime(bindings={"rooms": Room}) as rt:
        rt.disk.slow(20)
        noting = asyncio.ensure_future(rt.env.rooms.get_by_name("a").note("late"))
        await rt.settle()
        rt.disk.fill()

    await noting


async def test_what_an_object_asks_of_another_happens_while_the_clock_moves(
    start_runtime: StartRuntime,
) -> None:
    rt = await start_runtime(rooms=Room)
    room = rt.env.rooms.get_by_name("a")
    await room.note_elsewhere_later("late")

    await rt.clock.advance(10)

    assert await rt.env.rooms.get_by_name("other").notes() == ["late 0", "late 1", "late 2"]


async def test_what_was_never_durable_in_a_new_folder_leaves_no_trace(
    start_awake_runtime: StartRuntime,
) -> None:
    class Clock(DurableObject[Any]):  # without tables of its own: this is its first commit
        async def set(self) -> None:
            await self.ctx.storage.set_alarm(timedelta(seconds=60))

        async def get(self) -> float | None:
            return await self.ctx.storage.get_alarm()

        async def alarm(self, invocation: AlarmInvocation) -> None:
            pytest.fail("it was never set")

    rt = await start_awake_runtime(clocks=Clock)
    clock = rt.env.clocks.get_by_name("a")
    crash = rt.crash_at("after_commit")
    with pytest.raises(errors.ObjectReset):
        await clock.set()
    await crash

    await rt.clock.advance(60)
    assert await clock.get() is None
    assert await rt.list_durable_object_ids(rt.env.clocks) == []


async def test_a_process_that_dies_with_its_disk_looks_after_it_no_more(
    start_runtime: StartRuntime,
) -> None:
    rt = await start_runtime(rooms=Room)
    room = rt.env.rooms.get_by_name("a")
    await room.note("before")
    rt.disk.fill()
    with pytest.raises(errors.ObjectReset):
        await room.note("lost")

    await rt.crash()
    rt.disk.mend()
    await rt.clock.advance(60)

    assert await room.notes() == ["before"]


async def test_work_that_never_ends_keeps_no_test_from_ending(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with asyncio.timeout(10):
        async with TestRuntime(bindings={"rooms": Room}) as rt:
            waiting = asyncio.ensure_future(rt.env.rooms.get_by_name("a").sleep(3600))
            await rt.settle()

    assert "has work under way at the end of the test: sleep() has been running" in caplog.text
    with pytest.raises(errors.ObjectReset):
        await waiting


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what turns in circles found out after some turns."""
    monkeypatch.setattr("runtime.settling.RESTLESS_SECONDS", 0)
    monkeypatch.setattr("runtime.settling.RESTLESS_TURNS", 200)
    monkeypatch.setattr("runtime.settling.THREAD_SECONDS", 0.01)
    monkeypatch.setattr("runtime.mortal.PATIENCE_SECONDS", 0.01)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("ring", "Busy a, which writes again and again: does its alarm set itself for now"),
        ("spin", r"Busy a, .* started by spin\(\) has been running"),
    ],
)
async def test_what_turns_in_circles_is_named(method: str, why: str) -> None:
    async with asyncio.timeout(10), TestRuntime(bindings={"busy": Busy}) as rt:
        await getattr(rt.env.busy.get_by_name("a"), method)()

        with pytest.raises(RuntimeError, match=f"something never comes to rest: {why}"):
            await rt.settle()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("method", ["ring", "spin"])
async def test_what_turns_in_circles_in_the_end_is_stopped_and_all_is_closed(method: str) -> None:
    loop = asyncio.get_running_loop()
    before = set(vars(loop))

    with pytest.raises(RuntimeError, match="something never comes to rest: Busy a"):
        async with asyncio.timeout(10), TestRuntime(bindings={"busy": Busy}) as rt:
            await getattr(rt.env.busy.get_by_name("a"), method)()

    assert set(vars(loop)) == before
    assert not rt.config.data.exists()
    turns = Busy.turns
    for _ in range(10):
        await asyncio.sleep(0)
    assert Busy.turns == turns


async def test_time_waits_for_threads_of_object_code() -> None:
    async with TestRuntime(bindings={"busy": Busy}) as rt:
        busy, event = rt.env.busy.get_by_name("a"), threading.Event()
        working = asyncio.create_task(
            rt.run_in_durable_object(busy, lambda obj, ctx: asyncio.to_thread(event.wait))
        )
        asyncio.get_running_loop().call_later(0.005, event.set)  # long after all else is at rest

        await rt.clock.advance(60)

        assert working.done()
        assert await working


@pytest.mark.usefixtures("impatient")
async def test_time_doesnt_wait_for_ever_for_a_thread(caplog: pytest.LogCaptureFixture) -> None:
    async with TestRuntime(bindings={"busy": Busy}) as rt:
        busy, event = rt.env.busy.get_by_name("a"), threading.Event()
        waiting = asyncio.create_task(
            rt.run_in_durable_object(busy, lambda obj, ctx: asyncio.to_thread(event.wait))
        )

        for _ in range(2):
            await rt.clock.advance(60)

        assert caplog.text.count("it isn't waited for any more") == 1
        event.set()
        assert await waiting


async def test_object_code_cant_wait_until_it_is_done_itself() -> None:
    async with TestRuntime(bindings={"busy": Busy}) as rt:
        busy = rt.env.busy.get_by_name("a")

        with pytest.raises(RuntimeError, match="it happens itself"):
            await rt.run_in_durable_object(busy, lambda obj, ctx: rt.settle())


async def test_what_was_held_back_while_the_clock_moved_happens_though_that_was_cancelled() -> None:
    async with asyncio.timeout(10), TestRuntime(bindings={"rooms": Room}) as rt:
        room = rt.env.rooms.get_by_name("a")
        move = asyncio.ensure_future(rt.clock.advance(60))
        notes = room.notes()

        move.cancel()

        assert await notes == []


async def test_what_was_begun_before_the_clock_moves_sees_it_move() -> None:
    async with asyncio.timeout(10), TestRuntime(bindings={"rooms": Room}) as rt:
        room = rt.env.rooms.get_by_name("a")
        begun = [
            asyncio.create_task(rt.connect(room, "/slow")),
            asyncio.create_task(rt.run_in_durable_object(room, lambda obj, ctx: obj.sleep(60))),
        ]

        await rt.clock.advance(60)

        assert all(task.done() for task in begun)


async def test_a_point_that_the_process_never_comes_to_fails_the_test() -> None:
    with pytest.raises(AssertionError, match=r"crash_at\('during_alarm'\): .* hasn't come there"):
        async with TestRuntime(bindings={"rooms": Room}) as rt:
            rt.crash_at("during_alarm")
            await rt.env.rooms.get_by_name("a").note("no alarm")


async def test_a_process_dies_at_one_point_at_a_time() -> None:
    async with TestRuntime(bindings={"rooms": Room}) as rt:
        crash = rt.crash_at("after_commit")
        with pytest.raises(RuntimeError, match="to die at 'after_commit'"):
            rt.crash_at("after_sync")
        with pytest.raises(errors.ObjectReset):
            await rt.env.rooms.get_by_name("a").note("lost")
        await crash


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), timedelta(seconds=-1)])
async def test_time_passes(seconds: Any) -> None:
    async with TestRuntime(bindings={"rooms": Room}) as rt:
        for use in (rt.clock.advance, rt.disk.slow):
            with pytest.raises(ValueError, match=r"^time passes, so .* can't be meant$"):
                use(seconds)
