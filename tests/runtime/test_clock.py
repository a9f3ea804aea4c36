"""The queue of what is due, the machine's clock, and the one that tests move."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.clock import DueQueue, ManualClock, SystemClock, moment
from runtime.testing import TestRuntime

SOON = 0.01  # seconds; what the tests of the machine's clock really wait for
PATIENCE = 30.0

bounded = settings(max_examples=40, derandomize=True, database=None, deadline=None)


class World:
    """What a clock moves along with it: it settles by doing what is left to do."""

    def __init__(self) -> None:
        self.left: list[Callable[[], object]] = []

    async def settle(self) -> None:
        while self.left:
            await asyncio.sleep(0)
            self.left.pop(0)()


class Machine:
    """The machine's time, as the `time` module shows it, in the hand of the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr("runtime.clock.time", machine)
    monkeypatch.setattr("runtime.clock.RECHECK_SECONDS", SOON)
    return machine


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def clock(world: World) -> ManualClock:
    return ManualClock(world.settle, start=1000.0)


# The queue.


@bounded
@given(st.lists(st.integers(0, 9)))
def test_what_is_due_comes_out_by_time_and_then_in_the_order_it_was_set(times: list[int]) -> None:
    queue, rung = DueQueue(), list[tuple[int, int]]()
    for number, when in enumerate(times):
        queue.add(when, partial(rung.append, (when, number)))

    while (timer := queue.pop_due(9)) is not None:
        timer.ring()

    assert rung == sorted((when, number) for number, when in enumerate(times))


def test_what_isnt_due_yet_stays() -> None:
    queue = DueQueue()
    timer = queue.add(5.0, list)

    assert queue.pop_due(4.9) is None
    assert queue.earliest() == 5.0
    assert queue.pop_due(5.0) is timer
    assert queue.earliest() is None


def test_what_was_cancelled_never_comes_out() -> None:
    queue = DueQueue()
    first, second = queue.add(1.0, list), queue.add(2.0, list)

    first.cancel()

    assert queue.earliest() == 2.0
    assert queue.pop_due(9.0) is second
    assert queue.pop_due(9.0) is None


def test_a_timer_rings_once() -> None:
    rung: list[str] = []
    timer = DueQueue().add(1.0, lambda: rung.append("!"))

    timer.ring()
    timer.ring()
    timer.cancel()

    assert rung == ["!"]


# The machine's clock.


async def test_system_clock_shows_the_machines_time() -> None:
    before = time.time()

    shown = SystemClock().time()

    assert before <= shown <= time.time()


async def test_system_clock_rings_in_the_order_of_time_and_never_early() -> None:
    clock, rung, done = SystemClock(), list[tuple[int, float]](), asyncio.Event()
    start = clock.time()

    def note(number: int) -> None:
        rung.append((number, clock.time()))

    for number in (3, 1, 2):
        late = start + number * SOON
        clock.call_at(late, partial(note, number))
    clock.call_at(start + 4 * SOON, done.set)
    await asyncio.wait_for(done.wait(), PATIENCE)

    assert [number for number, _ in rung] == [1, 2, 3]
    assert all(at >= start + number * SOON for number, at in rung)


async def test_system_clock_does_what_is_overdue_soon_but_not_at_once() -> None:
    clock, rung = SystemClock(), asyncio.Event()

    clock.call_at(clock.time() - 1000, rung.set)

    assert not rung.is_set()
    await asyncio.wait_for(rung.wait(), PATIENCE)


@pytest.mark.parametrize("set_timer", [SystemClock.call_at, SystemClock.call_later])
async def test_system_clock_forgets_what_is_cancelled(
    set_timer: Callable[..., object],
) -> None:
    clock, rung, done = SystemClock(), list[str](), asyncio.Event()
    base = clock.time() if set_timer is SystemClock.call_at else 0.0
    timer = set_timer(clock, base + SOON, lambda: rung.append("!"))
    clock.call_later(2 * SOON, done.set)

    timer.cancel()  # type: ignore[attr-defined]  # both return a Timer
    await asyncio.wait_for(done.wait(), PATIENCE)

    assert rung == []


async def test_system_clock_rings_a_nearer_timer_that_was_set_later_first() -> None:
    clock, rung = SystemClock(), asyncio.Event()
    far = clock.call_later(1000, list)
    further = clock.call_at(clock.time() + 1000, list)

    clock.call_at(clock.time() + SOON, rung.set)

    await asyncio.wait_for(rung.wait(), PATIENCE)
    assert far.callback is not None
    assert further.callback is not None


async def test_system_clock_lets_others_run_between_timers_that_set_timers_for_now() -> None:
    clock, log, done = SystemClock(), list[str](), asyncio.Event()

    def ring() -> None:
        log.append("ring")
        if log.count("ring") < 3:
            clock.call_at(clock.time(), ring)
            asyncio.get_running_loop().call_soon(log.append, "other")
        else:
            done.set()

    clock.call_at(clock.time(), ring)
    await asyncio.wait_for(done.wait(), PATIENCE)

    assert log == ["ring", "other", "ring", "other", "ring"]


async def test_system_clock_goes_on_after_a_callback_that_fails() -> None:
    clock, rung = SystemClock(), asyncio.Event()
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))

    def fail() -> None:
        raise ValueError("why")

    clock.call_at(clock.time() + SOON, fail)
    clock.call_at(clock.time() + 2 * SOON, rung.set)

    await asyncio.wait_for(rung.wait(), 20 * SOON)
    assert len(failures) == 1


async def test_system_clock_notices_when_the_machines_clock_is_set_forward(
    machine: Machine,
) -> None:
    clock, rung = SystemClock(), asyncio.Event()
    clock.call_at(machine.now + 3600, rung.set)

    machine.now += 3600

    await asyncio.wait_for(rung.wait(), PATIENCE)


async def test_system_clock_counts_a_span_even_if_the_machines_clock_is_set_back(
    machine: Machine,
) -> None:
    clock, rung = SystemClock(), asyncio.Event()
    clock.call_later(SOON, rung.set)

    machine.now -= 3600

    await asyncio.wait_for(rung.wait(), PATIENCE)


async def test_system_clock_that_was_set_back_rings_when_it_shows_the_date_and_not_before(
    machine: Machine,
) -> None:
    clock, rung, looked = SystemClock(), asyncio.Event(), asyncio.Event()
    clock.call_at(machine.now + SOON, rung.set)

    machine.now -= 3600
    clock.call_later(5 * SOON, looked.set)
    await asyncio.wait_for(looked.wait(), PATIENCE)
    early = rung.is_set()
    machine.now += 3600 + SOON

    await asyncio.wait_for(rung.wait(), PATIENCE)
    assert not early


# The clock of tests.


async def test_manual_clock_stands_still(clock: ManualClock) -> None:
    assert (clock.time(), clock.time()) == (1000.0, 1000.0)


def test_manual_clock_starts_at_the_machines_time(world: World) -> None:
    before = time.time()

    assert before <= ManualClock(world.settle).time() <= time.time()


@pytest.mark.parametrize("span", [90, 90.0, timedelta(minutes=1, seconds=30)])
async def test_manual_clock_moves_as_far_as_it_is_told(
    clock: ManualClock, span: float | timedelta
) -> None:
    await clock.advance(span)

    assert clock.time() == 1090.0


async def test_manual_clock_rings_everything_on_the_way_each_at_its_own_time(
    clock: ManualClock,
) -> None:
    rung: list[tuple[str, float]] = []

    def note(name: str) -> None:
        rung.append((name, clock.time()))

    for name, when in (("c", 1030.0), ("a", 1010.0), ("b", 1010.0), ("never", 1060.1)):
        clock.call_at(when, partial(note, name))
    clock.call_later(20, partial(note, "later"))

    await clock.advance(60)

    assert rung == [("a", 1010.0), ("b", 1010.0), ("later", 1020.0), ("c", 1030.0)]
    assert clock.time() == 1060.0


async def test_manual_clock_rings_what_is_set_while_it_moves(clock: ManualClock) -> None:
    rung: list[float] = []

    def again() -> None:
        rung.append(clock.time())
        clock.call_later(10, again)

    clock.call_later(10, again)
    await clock.advance(35)

    assert rung == [1010.0, 1020.0, 1030.0]


async def test_manual_clock_forgets_what_is_cancelled_on_the_way(clock: ManualClock) -> None:
    rung: list[str] = []
    second = clock.call_later(20, lambda: rung.append("second"))
    clock.call_later(10, second.cancel)

    await clock.advance(60)

    assert rung == []


async def test_manual_clock_does_what_is_overdue_without_being_moved(clock: ManualClock) -> None:
    rung: list[float] = []

    clock.call_at(500.0, lambda: rung.append(clock.time()))
    assert rung == []
    await asyncio.sleep(0)

    assert rung == [1000.0]


async def test_manual_clock_moved_by_nothing_does_what_is_due_now(clock: ManualClock) -> None:
    rung: list[str] = []
    clock.call_at(1000.0, lambda: rung.append("!"))

    await clock.advance(0)

    assert rung == ["!"]


async def test_manual_clock_waits_for_the_consequences_of_each_ring(
    clock: ManualClock, world: World
) -> None:
    """What the first ring causes happens before the second, although it takes the loop."""
    log: list[tuple[str, float]] = []

    def note(what: str) -> None:
        log.append((what, clock.time()))

    clock.call_later(10, lambda: world.left.append(lambda: note("consequence")))
    clock.call_later(20, lambda: note("second"))
    await clock.advance(30)

    assert log == [("consequence", 1010.0), ("second", 1020.0)]


async def test_manual_clock_reaches_what_a_consequence_has_set(
    clock: ManualClock, world: World
) -> None:
    rung: list[float] = []
    clock.call_later(
        10,
        lambda: world.left.append(lambda: clock.call_later(5, lambda: rung.append(clock.time()))),
    )

    await clock.advance(30)

    assert rung == [1015.0]


async def test_manual_clock_lets_the_world_settle_before_it_moves(
    clock: ManualClock, world: World
) -> None:
    log: list[tuple[str, float]] = []
    world.left.append(lambda: log.append(("left over", clock.time())))
    clock.call_later(10, lambda: log.append(("rung", clock.time())))

    await clock.advance(20)

    assert log == [("left over", 1000.0), ("rung", 1010.0)]


async def test_manual_clock_moves_while_the_loop_turns_if_nobody_awaits_it(
    clock: ManualClock,
) -> None:
    clock.advance(40)

    assert (clock.time(), clock.is_moving) == (1000.0, True)
    await clock.stand_still()
    assert (clock.time(), clock.is_moving) == (1040.0, False)


async def test_manual_clock_makes_one_move_after_the_other(
    clock: ManualClock, world: World
) -> None:
    log: list[tuple[str, float]] = []
    clock.call_later(5, lambda: world.left.append(lambda: log.append(("first", clock.time()))))
    clock.call_later(15, lambda: log.append(("second", clock.time())))

    await asyncio.gather(clock.advance(10), clock.advance(10))

    assert log == [("first", 1005.0), ("second", 1015.0)]
    assert clock.time() == 1020.0


async def test_manual_clock_calls_back_when_all_moves_are_done(clock: ManualClock) -> None:
    log: list[tuple[str, float]] = []
    clock.advance(10)
    clock.when_still(lambda: log.append(("first", clock.time())))
    clock.advance(10)
    clock.when_still(lambda: log.append(("second", clock.time())))

    await clock.stand_still()

    assert log == [("first", 1020.0), ("second", 1020.0)]


async def test_manual_clock_stands_still_at_once_if_it_isnt_moving(clock: ManualClock) -> None:
    await clock.stand_still()

    assert not clock.is_moving


async def test_manual_clock_shows_the_error_of_a_callback_and_can_be_moved_on(
    clock: ManualClock,
) -> None:
    def fail() -> None:
        raise ValueError("why")

    clock.call_later(10, fail)

    with pytest.raises(ValueError, match="why"):
        await clock.advance(20)
    await clock.advance(20)

    assert not clock.is_moving


@pytest.mark.parametrize("turns", [0, 1])
async def test_a_move_that_is_cancelled_keeps_nobody_waiting(
    clock: ManualClock, world: World, turns: int
) -> None:
    called: list[str] = []
    world.left += [list] * 3
    move = asyncio.ensure_future(clock.advance(20))
    clock.when_still(lambda: called.append("!"))
    for _ in range(turns):
        await asyncio.sleep(0)

    move.cancel()
    await clock.stand_still()

    assert (called, clock.is_moving, clock.time()) == (["!"], False, 1000.0)
    await clock.advance(20)
    assert clock.time() == 1020.0


async def test_a_move_that_fails_keeps_nobody_waiting(clock: ManualClock) -> None:
    def fail() -> None:
        raise ValueError("why")

    called: list[str] = []
    clock.call_later(10, fail)
    move = clock.advance(20)
    clock.when_still(lambda: called.append("!"))

    with pytest.raises(ValueError, match="why"):
        await move
    assert called == ["!"]


async def test_a_task_that_was_begun_before_a_move_comes_before_it(clock: ManualClock) -> None:
    async def look() -> bool:
        return clock.is_moving

    before = asyncio.create_task(look())
    clock.advance(10)
    after = asyncio.create_task(look())

    assert (await before, await after, clock.is_moving) == (False, True, True)
    await clock.stand_still()


async def test_manual_clock_cant_be_moved_back(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match=r"^time passes, so -1 s can't be meant$"):
        clock.advance(-1)

    assert clock.time() == 1000.0


# Moments.


@pytest.mark.parametrize(
    ("when", "seconds"),
    [
        (5, 5.0),
        (5.5, 5.5),
        (timedelta(minutes=1), 1060.0),
        (timedelta(seconds=-1), 999.0),
        (datetime(1970, 1, 1, 0, 1, tzinfo=UTC), 60.0),
        (datetime(1970, 1, 1, 0, 1, tzinfo=timezone(timedelta(hours=1))), -3540.0),
    ],
)
def test_a_moment_is_counted_in_seconds_since_the_epoch(
    when: float | datetime | timedelta, seconds: float
) -> None:
    shown = moment(when, 1000.0)

    assert (shown, type(shown)) == (seconds, float)


def test_a_datetime_without_a_time_zone_is_no_moment() -> None:
    with pytest.raises(TypeError, match=r"has no time zone; use datetime\.now\(UTC\) or similar$"):
        moment(datetime(2030, 1, 1), 0.0)


@pytest.mark.parametrize("when", [None, True, "12:00", b"5", [], math.nan])
def test_what_is_no_time_is_refused(when: object) -> None:
    with pytest.raises(TypeError, match="expected seconds, an aware datetime or a timedelta"):
        moment(when, 0.0)  # type: ignore[arg-type]  # that is the point


# What a test's clock shows first.


@pytest.mark.parametrize("start", [60.0, datetime(1970, 1, 1, 0, 1, tzinfo=UTC)])
async def test_a_runtime_may_start_at_any_moment(start: float | datetime) -> None:
    async with TestRuntime(bindings={}, start=start) as runtime:
        assert runtime.clock.time() == 60.0


@pytest.mark.parametrize("start", [datetime(1970, 1, 1), "1970"])
def test_a_runtime_cant_start_at_what_is_no_moment(start: Any) -> None:
    with pytest.raises(TypeError, match=r"aware datetime|no time zone"):
        TestRuntime(bindings={}, start=start)
