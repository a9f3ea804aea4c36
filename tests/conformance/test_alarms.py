"""Section D of the conformance list: alarms."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import timedelta
from inspect import isawaitable
from itertools import pairwise
from typing import Any, ClassVar, Final, NamedTuple

import pytest

from runtime import AlarmInvocation, DurableObject, DurableObjectState, errors
from runtime.testing import Point, TestRuntime, key_of
from tests.conftest import StartRuntime

LEFT_OUT: Final[dict[str, str]] = {
    "D26": "facets aren't asked for: no ctx.facets in api.md",
}

RETRY_SECONDS: Final = (2, 4, 8, 16, 32, 64)
JITTER: Final = 1.25

Work = Callable[[DurableObjectState], Any]


class Run(NamedTuple):
    """One run of an alarm's handler."""

    when: float
    scheduled: float
    retry_count: int
    is_retry: bool
    name: str | None  # of the object


class Bell(DurableObject[Any]):
    """Rings, and does what the tests want done, when it rings and in calls."""

    works: ClassVar[list[Work]]
    plan: ClassVar[Work]
    runs: ClassVar[list[Run]]
    seen: ClassVar[list[Any]]

    async def do(self, number: int) -> Any:
        return await done(Bell.works[number](self.ctx))

    async def keep(self) -> None:
        await self.ctx.storage.put("kept", True)

    async def set(self, when: float) -> None:
        await self.ctx.storage.set_alarm(when)

    async def get(self) -> float | None:
        return await self.ctx.storage.get_alarm()

    async def unset(self) -> None:
        await self.ctx.storage.delete_alarm()

    async def alarm(self, invocation: AlarmInvocation) -> None:
        now = asyncio.get_running_loop().time()  # the loop of object code goes by the test's clock
        scheduled, retry_count = invocation.scheduled_time, invocation.retry_count
        Bell.runs.append(
            Run(now, scheduled, retry_count, invocation.is_retry, self.ctx.id.name),
        )
        await done(Bell.plan(self.ctx))


async def done(result: Any) -> Any:
    return await result if isawaitable(result) else result


def inside(bell: Any, work: Work) -> Any:
    """Have an object do `work`, in a call of its own."""
    Bell.works.append(work)
    return bell.do(len(Bell.works) - 1)


# What a handler may do.


def nothing(_: DurableObjectState) -> None:
    """End well."""


def fail(_: DurableObjectState) -> None:
    raise ValueError("not this time")


def abort(ctx: DurableObjectState) -> None:
    ctx.abort("in the middle of it")


async def look(ctx: DurableObjectState) -> None:
    """Note what the handler sees of its alarm."""
    Bell.seen.append(await ctx.storage.get_alarm())


def once(work: Work) -> Work:
    """Do `work` in the next run, and nothing in those after it."""

    def do(ctx: DurableObjectState) -> Any:
        Bell.plan = nothing
        return work(ctx)

    return do


@pytest.fixture(autouse=True)
def fresh_bell() -> None:
    """Put back what the tests' class shares among its objects."""
    Bell.works, Bell.runs, Bell.seen = [], [], []
    Bell.plan = nothing


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with bells."""
    started: TestRuntime[Any] = await start_runtime(bells=Bell)
    return started


@pytest.fixture
def bell(runtime: TestRuntime[Any]) -> Any:
    """One of them."""
    return runtime.env.bells.get_by_name("a")


@pytest.fixture
async def awake_runtime(start_awake_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with bells that stay in memory."""
    started: TestRuntime[Any] = await start_awake_runtime(bells=Bell)
    return started


@pytest.fixture
def awake_bell(awake_runtime: TestRuntime[Any]) -> Any:
    """One of those."""
    return awake_runtime.env.bells.get_by_name("a")


@pytest.fixture
def now(runtime: TestRuntime[Any]) -> float:
    """The time at which the test begins."""
    return runtime.clock.time()


def times() -> list[tuple[float, float]]:
    """When the alarm has run, and what for."""
    return [(run.when, run.scheduled) for run in Bell.runs]


# Setting, running, unsetting.


async def test_d01_an_alarm_runs_at_its_time_and_doesnt_show_while_it_does(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    Bell.plan = look
    await bell.set(now + 50)
    shown = await bell.get()

    await runtime.clock.advance(49.9)
    early = list(Bell.runs)
    await runtime.clock.advance(10)

    assert (shown, early) == (now + 50, [])
    assert Bell.runs == [Run(now + 50, now + 50, 0, False, "a")]
    assert Bell.seen == [None]
    assert await bell.get() is None


async def test_d02_an_alarm_that_was_deleted_never_runs(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    await bell.set(now + 50)
    await bell.unset()

    await runtime.clock.advance(100)

    assert Bell.runs == []


@pytest.mark.parametrize("sets_first", [False, True])
async def test_d02_deleting_the_alarm_in_its_handler_deletes_one_that_was_set_there(
    runtime: TestRuntime[Any], bell: Any, now: float, sets_first: bool
) -> None:
    async def delete(ctx: DurableObjectState) -> None:
        if sets_first:
            await ctx.storage.set_alarm(timedelta(seconds=10))
        await ctx.storage.delete_alarm()
        assert await ctx.storage.get_alarm() is None

    Bell.plan = delete
    await bell.set(now + 50)

    await runtime.clock.advance(1000)

    assert times() == [(now + 50, now + 50)]


@pytest.mark.parametrize("name", ["a", None])
async def test_d04_the_name_is_known_when_an_alarm_runs_and_an_unnamed_object_has_none(
    runtime: TestRuntime[Any], now: float, name: str | None
) -> None:
    bells = runtime.env.bells
    bell = bells.get(bells.new_unique_id()) if name is None else bells.get_by_name(name)
    await bell.set(now + 50)

    await runtime.restart()
    await runtime.clock.advance(50)

    assert [run.name for run in Bell.runs] == [name]


async def test_d05_delete_all_deletes_the_alarm_too(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    """As the original does since its flag for that became the default."""
    await bell.set(now + 50)

    await inside(bell, lambda ctx: ctx.storage.delete_all())
    shown = await bell.get()
    await runtime.clock.advance(100)

    assert (shown, Bell.runs) == (None, [])


async def test_d06_an_alarm_of_next_year_survives_a_restart(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    due = now + 365 * 24 * 3600
    await bell.set(due)

    await runtime.restart()
    shown = await bell.get()
    await runtime.clock.advance(timedelta(days=366))

    assert shown == due
    assert (runtime.config.data / "catalog.sqlite").is_file()
    assert times() == [(due, due)]


async def test_d10_an_alarm_whose_handler_writes_nothing_is_gone(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    await bell.set(now + 50)
    await runtime.clock.advance(50)

    shown = await bell.get()
    await runtime.restart()
    await runtime.clock.advance(1000)

    assert shown is None
    assert len(Bell.runs) == 1


async def test_d10_an_alarm_that_its_handler_sets_anew_is_kept(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    Bell.plan = once(lambda ctx: ctx.storage.set_alarm(now + 70))
    await bell.set(now + 50)
    await runtime.clock.advance(50)

    shown = await bell.get()
    await runtime.restart()
    await runtime.clock.advance(1000)

    assert shown == now + 70
    assert times() == [(now + 50, now + 50), (now + 70, now + 70)]


async def test_d10_an_alarm_whose_handler_fails_is_kept(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    Bell.plan = once(fail)
    await bell.set(now + 50)
    await runtime.clock.advance(50)

    shown = await bell.get()
    await runtime.restart()
    await runtime.clock.advance(1000)

    assert shown == now + 50
    assert [(run.scheduled, run.is_retry) for run in Bell.runs] == [
        (now + 50, False),
        (now + 50, True),
    ]


@pytest.mark.parametrize(
    ("when", "lasts"),
    [
        (-1000, 0),
        (50, 0),
        (60, 0),
        (60, 20),
        (90, 20),
    ],
)
async def test_d09_whatever_time_a_handler_sets_its_alarm_for_it_runs_after_the_present_run(
    runtime: TestRuntime[Any], bell: Any, now: float, when: float, lasts: float
) -> None:
    async def set_and_last(ctx: DurableObjectState) -> None:
        await ctx.storage.set_alarm(now + when)
        if lasts:
            await asyncio.sleep(lasts)

    Bell.plan = once(set_and_last)
    await bell.set(now + 50)

    await runtime.clock.advance(1000)

    again = now + max(50, when)  # what is past counts as now
    assert times() == [(now + 50, now + 50), (max(now + 50 + lasts, again), again)]


@pytest.mark.parametrize("when", [15, 70])
async def test_d09_an_alarm_that_is_being_moved_when_it_is_due_runs_at_its_new_time_only(
    runtime: TestRuntime[Any], bell: Any, now: float, when: float
) -> None:
    """No event begins while something is uncommitted, so the old time is over by then."""

    async def move(ctx: DurableObjectState) -> None:
        async def closure(txn: Any) -> None:
            await txn.set_alarm(now + when)
            await asyncio.sleep(20)

        await ctx.storage.transaction(closure)

    await bell.set(now + 10)
    moving = inside(bell, move)
    await runtime.clock.advance(1000)
    await moving

    assert times() == [(now + max(20, when), now + when)]


async def test_d14_rolling_back_brings_back_the_alarm_that_was_set_before(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    async def move_and_roll_back(ctx: DurableObjectState) -> None:
        async def inner(txn: Any) -> None:
            await txn.delete_alarm()
            assert await txn.get_alarm() is None
            txn.rollback()

        async def outer(txn: Any) -> None:
            await txn.set_alarm(now + 70)
            await ctx.storage.transaction(inner)
            assert await txn.get_alarm() == now + 70
            txn.rollback()

        await ctx.storage.transaction(outer)

    await bell.set(now + 50)
    await inside(bell, move_and_roll_back)
    shown = await bell.get()
    await runtime.clock.advance(1000)

    assert shown == now + 50
    assert times() == [(now + 50, now + 50)]


@pytest.mark.parametrize(
    ("keeps_outer", "keeps_inner", "runs_again_at"),
    [(False, True, None), (True, False, 70), (True, True, 80)],
)
async def test_d14_rolling_back_in_the_handler_brings_back_what_was_set_there_before(
    runtime: TestRuntime[Any],
    bell: Any,
    now: float,
    keeps_outer: bool,
    keeps_inner: bool,
    runs_again_at: float | None,
) -> None:
    async def set_and_roll_back(ctx: DurableObjectState) -> None:
        async def inner(txn: Any) -> None:
            await txn.set_alarm(now + 80)
            if not keeps_inner:
                txn.rollback()

        async def outer(txn: Any) -> None:
            await txn.set_alarm(now + 70)
            await ctx.storage.transaction(inner)
            if not keeps_outer:
                txn.rollback()

        await ctx.storage.transaction(outer)
        Bell.seen.append(await ctx.storage.get_alarm())

    Bell.plan = once(set_and_roll_back)
    await bell.set(now + 50)
    await runtime.clock.advance(1000)

    again = [] if runs_again_at is None else [now + runs_again_at]
    assert Bell.seen == [None if runs_again_at is None else now + runs_again_at]
    assert [run.scheduled for run in Bell.runs] == [now + 50, *again]
    assert await bell.get() is None


@pytest.mark.parametrize("before", [0, 1000, 10**9])
async def test_d22_a_time_that_is_past_counts_as_now(
    runtime: TestRuntime[Any], bell: Any, now: float, before: float
) -> None:
    async def set_and_get(ctx: DurableObjectState) -> float | None:
        await ctx.storage.set_alarm(now - before)
        return await ctx.storage.get_alarm()

    shown = await inside(bell, set_and_get)
    await runtime.settle()

    assert shown == now
    assert times() == [(now, now)]


@pytest.mark.parametrize("when", [0, -1, -1000.5])
async def test_d22_a_time_before_1970_is_refused(bell: Any, when: float) -> None:
    with pytest.raises(
        TypeError, match=r"^set_alarm\(\) cannot be called with an alarm time <= 0$"
    ):
        await inside(bell, lambda ctx: ctx.storage.set_alarm(when))

    assert await bell.get() is None


class Deaf(DurableObject[Any]):
    """Has no handler for alarms."""

    async def set(self) -> None:
        await self.ctx.storage.set_alarm(timedelta(seconds=10))

    async def unset(self) -> None:
        await self.ctx.storage.delete_alarm()

    async def get(self) -> float | None:
        return await self.ctx.storage.get_alarm()


class DeafFromBirth(Deaf):
    """Sets an alarm in its constructor all the same."""

    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        with suppress(StopIteration):  # it never waits, and a constructor can't await it
            ctx.storage.set_alarm(timedelta(seconds=10)).send(None)


async def test_d22_a_class_without_a_handler_can_unset_alarms_and_set_none(
    start_runtime: StartRuntime,
) -> None:
    runtime = await start_runtime(deaf=Deaf)
    deaf = runtime.env.deaf.get_by_name("a")

    with pytest.raises(
        TypeError,
        match=r"^Your Durable Object class must have an alarm\(\) handler in order to call "
        r"set_alarm\(\)$",
    ):
        await deaf.set()
    await deaf.unset()

    assert await deaf.get() is None


async def test_d22_a_constructor_may_set_an_alarm_that_nobody_handles(
    start_awake_runtime: StartRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = await start_awake_runtime(deaf=DeafFromBirth)
    deaf = runtime.env.deaf.get_by_name("a")
    due = runtime.clock.time() + 10

    shown = await deaf.get()
    await runtime.clock.advance(10)

    assert shown == due
    assert "Attempted to run a scheduled alarm without a handler" in caplog.text
    assert await deaf.get() is None


async def test_d24_tests_can_run_an_alarm_that_is_set(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    await bell.set(now + 1000)

    ran = [await runtime.run_durable_object_alarm(bell) for _ in range(2)]

    assert ran == [True, False]
    assert times() == [(now, now + 1000)]


async def test_d25_an_object_that_an_alarm_wakes_is_prepared_first(
    start_runtime: StartRuntime,
) -> None:
    log: list[str] = []

    class Sleeper(DurableObject[Any]):
        def __init__(self, ctx: DurableObjectState, env: Any) -> None:
            super().__init__(ctx, env)
            ctx.block_concurrency_while(self._prepare)

        async def _prepare(self) -> None:
            await asyncio.sleep(0)
            log.append("prepared")

        async def sleep(self) -> None:
            await self.ctx.storage.set_alarm(timedelta(seconds=50))

        async def alarm(self, invocation: AlarmInvocation) -> None:
            log.append("rung")

    runtime = await start_runtime(sleepers=Sleeper)
    await runtime.env.sleepers.get_by_name("a").sleep()
    await runtime.restart()
    log.clear()

    await runtime.clock.advance(50)

    assert log == ["prepared", "rung"]


# The object, and the node's queue of all alarms.


@pytest.mark.parametrize(
    ("is_set_for", "is_queued_for", "runs_at"),
    [(None, 50, None), (70, 50, 70), (30, 50, 50)],
    ids=["unset", "later", "overdue"],
)
async def test_d08_an_alarm_that_the_queue_has_wrong_goes_by_the_object(
    runtime: TestRuntime[Any],
    bell: Any,
    now: float,
    is_set_for: float | None,
    is_queued_for: float,
    runs_at: float | None,
) -> None:
    """As after somebody has put back an older file of the queue, or set the machine's clock."""
    await bell.keep()
    if is_set_for is not None:
        await bell.set(now + is_set_for)
    await runtime.settle()
    runtime._catalog.note(key_of(bell), "a", {None: now + is_queued_for})
    await runtime.restart()
    assert [due for *_, due in await runtime._catalog.alarms()] == [now + is_queued_for]

    await runtime.clock.advance(is_queued_for)
    queued = [due for *_, due in await runtime._catalog.alarms()]
    await runtime.clock.advance(1000)

    expected = [] if runs_at is None or is_set_for is None else [(now + runs_at, now + is_set_for)]
    assert times() == expected
    assert queued == [now + 70] * (is_set_for == 70)
    assert await runtime._catalog.alarms() == []


@pytest.mark.parametrize("new", [30, 90], ids=["earlier", "later"])
@pytest.mark.parametrize(
    ("point", "is_moved"), [("before_commit", False), ("after_commit", False), ("after_sync", True)]
)
async def test_d12_an_alarm_that_is_being_moved_in_a_crash_is_neither_lost_nor_late(
    runtime: TestRuntime[Any], bell: Any, now: float, new: float, point: Point, is_moved: bool
) -> None:
    """Here the journal is what makes both safe; the queue's file follows in its own time."""
    await bell.set(now + 60)
    await runtime.settle()

    crash = runtime.crash_at(point)
    with pytest.raises(errors.ObjectReset, match="the process died"):
        await bell.set(now + new)
    await crash
    await runtime.clock.advance(1000)

    due = now + (new if is_moved else 60)
    assert times() == [(due, due)]


@pytest.mark.parametrize("new", [30, 90], ids=["earlier", "later"])
async def test_d12_an_alarm_whose_moving_the_disk_refuses_stays_where_it_was(
    runtime: TestRuntime[Any], bell: Any, now: float, new: float
) -> None:
    await bell.set(now + 60)

    runtime.disk.fail()
    with pytest.raises(errors.ObjectReset, match="the disk refused"):
        await bell.set(now + new)
    runtime.disk.mend()
    await runtime.clock.advance(1000)

    assert times() == [(now + 60, now + 60)]


async def test_d13_an_alarm_that_is_moved_many_times_at_once_is_queued_once(
    awake_runtime: TestRuntime[Any], awake_bell: Any
) -> None:
    start = awake_runtime.clock.time()

    async def move(ctx: DurableObjectState) -> None:
        for seconds in range(100):
            await ctx.storage.set_alarm(start + 50 + seconds)

    await awake_bell.set(start + 50)
    await awake_runtime.settle()
    queued, commits = len(awake_runtime.clock.due), await awake_runtime.commit_count(awake_bell)

    await inside(awake_bell, move)
    await awake_runtime.settle()

    assert len(awake_runtime.clock.due) < queued + 10
    assert await awake_runtime.commit_count(awake_bell) == commits + 1
    await awake_runtime.clock.advance(1000)
    assert times() == [(start + 149, start + 149)]


# Failures.


def waits_of(runs: Sequence[Run]) -> list[float]:
    return [later.when - earlier.when for earlier, later in pairwise(runs)]


def assert_doubled(waits: list[float], *, count: int) -> None:
    """Check the waits before so many retries: doubled each time, and up to a quarter more."""
    assert len(waits) == count
    for least, wait in zip(RETRY_SECONDS, waits, strict=False):
        assert least <= round(wait, 6) <= least * JITTER


async def test_d20_a_failing_alarm_is_run_seven_times_with_doubled_waits(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    Bell.plan = fail
    await bell.set(now + 50)

    await runtime.clock.advance(timedelta(days=1))

    assert [(run.retry_count, run.is_retry) for run in Bell.runs] == [
        (count, count > 0) for count in range(7)
    ]
    assert {run.scheduled for run in Bell.runs} == {now + 50}
    assert Bell.runs[0].when == now + 50
    assert_doubled(waits_of(Bell.runs), count=6)
    assert await bell.get() is None


async def test_d20_waits_go_on_where_they_were_after_a_restart(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    Bell.plan = fail
    await bell.set(now + 50)

    for _ in range(4):
        await runtime.clock.advance(20)
        await runtime.restart()
    await runtime.clock.advance(timedelta(days=1))

    assert [run.retry_count for run in Bell.runs] == list(range(7))
    assert_doubled(waits_of(Bell.runs), count=6)


async def test_d21_an_alarm_set_by_a_handler_that_fails_takes_the_place_of_the_retry(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    async def set_and_fail(ctx: DurableObjectState) -> None:
        await ctx.storage.set_alarm(now + 500)
        raise ValueError("after setting it anew")

    Bell.plan = once(set_and_fail)
    await bell.set(now + 50)

    await runtime.clock.advance(1000)

    assert Bell.runs == [
        Run(now + 50, now + 50, 0, False, "a"),
        Run(now + 500, now + 500, 0, False, "a"),
    ]


async def fail_for_good(runtime: TestRuntime[Any], bell: Any) -> None:
    """Have the bell's alarm fail seven times."""
    Bell.plan = fail
    await bell.set(runtime.clock.time())
    await runtime.clock.advance(timedelta(days=1))
    assert len(Bell.runs) == 7


def stored_alarms(runtime: TestRuntime[Any], bell: Any) -> list[Any]:
    """Return what the file of an object that is asleep says of its alarms."""
    path = runtime.config.data / "objects" / "Bell" / f"{bell.id}.sqlite"
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT * FROM _cf_ALARM").fetchall()


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="api.md: an alarm that fails seven times isn't forgotten, but kept with its last error",
)
async def test_d16_an_alarm_that_is_given_up_is_cleared(
    runtime: TestRuntime[Any], bell: Any
) -> None:
    await bell.keep()
    await fail_for_good(runtime, bell)
    assert await bell.get() is None
    await runtime.evict_durable_object(bell)

    cleared = stored_alarms(runtime, bell) == []

    assert cleared


async def test_d16_an_alarm_that_is_given_up_is_not_run_after_a_restart(
    runtime: TestRuntime[Any], bell: Any
) -> None:
    await fail_for_good(runtime, bell)

    await runtime.restart()
    await runtime.crash()
    await runtime.clock.advance(timedelta(days=1))

    assert len(Bell.runs) == 7
    assert await bell.get() is None


async def test_d16_giving_up_an_alarm_leaves_one_that_was_set_in_its_last_run(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    async def set_in_the_last_run(ctx: DurableObjectState) -> None:
        if Bell.runs[-1].retry_count == 6:
            Bell.plan = nothing
            await ctx.storage.set_alarm(now + 3600)
        raise ValueError("not this time")

    Bell.plan = set_in_the_last_run
    await bell.set(now)
    await runtime.clock.advance(timedelta(minutes=30))
    shown = await bell.get()
    await runtime.clock.advance(timedelta(days=1))

    assert shown == now + 3600
    assert len(Bell.runs) == 8
    assert Bell.runs[-1] == Run(now + 3600, now + 3600, 0, False, "a")


async def test_d16_failures_that_arent_the_handlers_own_never_make_an_alarm_be_given_up(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    Bell.plan = abort
    await bell.set(now + 50)
    await runtime.clock.advance(timedelta(seconds=110 * 1024 * JITTER))
    Bell.plan = nothing
    shown = await bell.get()
    failed = len(Bell.runs)
    await runtime.clock.advance(1024 * JITTER)

    assert failed >= 100
    assert {(run.scheduled, run.retry_count) for run in Bell.runs} == {(now + 50, 0)}
    assert shown == now + 50
    assert len(Bell.runs) == failed + 1
    assert await bell.get() is None


async def test_d17_a_handler_that_aborts_may_say_that_its_alarm_is_not_to_be_retried(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    def give_up(ctx: Any) -> None:
        ctx.abort("for good", retry_alarm=False)

    Bell.plan = give_up
    await bell.set(now + 50)

    await runtime.clock.advance(timedelta(days=1))

    assert len(Bell.runs) == 1
    assert await bell.get() is None


async def test_d18_an_alarm_set_when_another_was_given_up_is_kept_over_a_restart(
    runtime: TestRuntime[Any], bell: Any
) -> None:
    await fail_for_good(runtime, bell)
    Bell.plan = nothing
    due = runtime.clock.time() + 50
    await bell.set(due)

    await runtime.restart()
    shown = await bell.get()
    await runtime.clock.advance(1000)

    assert shown == due
    assert Bell.runs[7:] == [Run(due, due, 0, False, "a")]


# Limits and errors that the list doesn't name.


async def test_limit_of_retries_counts_what_is_the_handlers_own_fault_only(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    """And its waits begin anew after other failures."""
    plans = [abort, abort, abort, *[fail] * 100]

    def next_plan(ctx: DurableObjectState) -> None:
        plans.pop(0)(ctx)

    Bell.plan = next_plan
    await bell.set(now + 50)
    await runtime.clock.advance(timedelta(days=1))

    assert [run.retry_count for run in Bell.runs] == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]
    assert_doubled(waits_of(Bell.runs)[:3], count=3)
    assert_doubled(waits_of(Bell.runs)[3:], count=6)


async def test_error_of_the_disk_makes_an_alarm_run_again_with_doubled_waits(
    runtime: TestRuntime[Any], bell: Any, now: float
) -> None:
    async def write(ctx: DurableObjectState) -> None:
        await ctx.storage.put("runs", len(Bell.runs))
        if len(Bell.runs) == 4:
            runtime.disk.mend()

    Bell.plan = write
    await bell.set(now + 50)
    runtime.disk.fail()
    await runtime.clock.advance(1000)

    assert [(run.scheduled, run.retry_count) for run in Bell.runs] == [(now + 50, 0)] * 4
    assert await inside(bell, lambda ctx: ctx.storage.get("runs")) == 4
    assert await bell.get() is None
    assert_doubled(waits_of(Bell.runs), count=3)
