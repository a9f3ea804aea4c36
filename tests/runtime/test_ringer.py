"""Which alarms are rung, when, and how many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from runtime.catalog import Key
from runtime.clock import ManualClock
from runtime.ringer import FIRST_RETRY_SECONDS, MAX_DOUBLINGS, MAX_RINGING, Ringer

ROOM = Key("Room", "aa")
OTHER = Key("Room", "bb")


async def settle() -> None:
    await asyncio.sleep(0)


class Bells:
    """A ringer, its clock, and what it has rung: whose alarm, its name, and when."""

    def __init__(self) -> None:
        self.clock = ManualClock(settle, start=0.0)
        self.rung: list[tuple[Key, str | None, float]] = []
        self.answer: Callable[[Key, str | None], object] = lambda key, name: None
        self.ringer = Ringer(self.clock, self._ring)

    def _ring(self, key: Key, name: str | None) -> None:
        self.rung.append((key, name, self.clock.time()))
        self.answer(key, name)

    @property
    def times(self) -> list[float]:
        return [when for *_, when in self.rung]


@pytest.fixture
async def bells() -> Bells:
    return Bells()


async def test_each_alarm_is_rung_at_its_time(bells: Bells) -> None:
    bells.ringer.set(ROOM, {None: 10.0, "reminder": 5.0})
    bells.ringer.set(OTHER, {None: 7.0})

    await bells.clock.advance(60)

    assert bells.rung == [(ROOM, "reminder", 5.0), (OTHER, None, 7.0), (ROOM, None, 10.0)]


async def test_an_overdue_alarm_is_rung_at_once(bells: Bells) -> None:
    await bells.clock.advance(100)

    bells.ringer.set(ROOM, {None: 5.0})
    await bells.clock.advance(0)

    assert bells.times == [100.0]


async def test_an_alarm_that_was_moved_is_rung_at_its_new_time_only(bells: Bells) -> None:
    bells.ringer.set(ROOM, {None: 10.0})
    bells.ringer.set(ROOM, {None: 20.0})
    bells.ringer.set(OTHER, {None: 40.0})
    bells.ringer.set(OTHER, {None: 30.0})

    await bells.clock.advance(60)

    assert bells.rung == [(ROOM, None, 20.0), (OTHER, None, 30.0)]


async def test_an_alarm_that_was_unset_isnt_rung_and_others_are(bells: Bells) -> None:
    bells.ringer.set(ROOM, {None: 10.0, "reminder": 20.0})
    bells.ringer.set(OTHER, {None: 10.0})

    bells.ringer.set(ROOM, {"reminder": 20.0})
    await bells.clock.advance(60)

    assert bells.rung == [(OTHER, None, 10.0), (ROOM, "reminder", 20.0)]


async def test_the_ringer_is_idle_when_nothing_is_rung(bells: Bells) -> None:
    bells.ringer.set(ROOM, {None: 10.0})
    assert bells.ringer.is_idle

    await bells.clock.advance(10)
    assert not bells.ringer.is_idle
    bells.ringer.set(ROOM, {})
    bells.ringer.rung(ROOM, None)

    assert bells.ringer.is_idle


# A bounded number at once.


async def test_a_bounded_number_of_alarms_is_rung_at_once(bells: Bells) -> None:
    for number in range(MAX_RINGING + 5):
        bells.ringer.set(Key("Room", f"{number:03}"), {None: 1.0})

    await bells.clock.advance(1)

    assert len(bells.rung) == MAX_RINGING
    assert not bells.ringer.is_idle


@pytest.mark.parametrize("over", [Ringer.rung, Ringer.failed])
async def test_the_next_alarm_is_rung_when_one_is_over(
    bells: Bells, over: Callable[[Ringer, Key, str | None], None]
) -> None:
    for number in range(MAX_RINGING + 2):
        bells.ringer.set(Key("Room", f"{number:03}"), {None: 1.0})
    await bells.clock.advance(1)

    over(bells.ringer, Key("Room", "005"), None)
    over(bells.ringer, Key("Room", "003"), None)

    last = [key.hex for key, *_ in bells.rung[MAX_RINGING:]]
    assert last == [f"{MAX_RINGING:03}", f"{MAX_RINGING + 1:03}"]


async def test_all_of_many_overdue_alarms_are_rung_in_the_end(bells: Bells) -> None:
    bells.answer = lambda key, name: asyncio.get_running_loop().call_soon(
        bells.ringer.rung, key, name
    )
    for number in range(3 * MAX_RINGING):
        bells.ringer.set(Key("Room", f"{number:03}"), {None: 1.0})

    await bells.clock.advance(1)
    while not bells.ringer.is_idle:
        await asyncio.sleep(0)

    assert len({key for key, *_ in bells.rung}) == len(bells.rung) == 3 * MAX_RINGING


async def test_alarms_that_are_over_at_once_dont_grow_the_stack(bells: Bells) -> None:
    bells.answer = bells.ringer.rung
    for number in range(1200):
        bells.ringer.set(Key("Room", f"{number:04}"), {None: 1.0})

    await bells.clock.advance(1)

    assert len(bells.rung) == 1200
    assert bells.ringer.is_idle


async def test_an_alarm_isnt_rung_again_while_it_runs(bells: Bells) -> None:
    bells.ringer.set(ROOM, {None: 1.0})
    await bells.clock.advance(1)

    bells.ringer.set(ROOM, {None: 2.0})
    await bells.clock.advance(10)

    assert bells.times == [1.0]


async def test_an_alarm_that_came_due_again_while_it_ran_is_rung_afterwards(bells: Bells) -> None:
    """The object tells how its alarms stand before its run is over."""
    bells.ringer.set(ROOM, {None: 1.0})
    await bells.clock.advance(1)
    bells.ringer.set(ROOM, {None: 2.0})
    await bells.clock.advance(10)

    bells.ringer.set(ROOM, {None: 2.0})
    bells.ringer.rung(ROOM, None)
    await bells.clock.advance(0)

    assert bells.times == [1.0, 11.0]


async def test_two_alarms_of_one_object_are_rung_side_by_side(bells: Bells) -> None:
    bells.ringer.set(ROOM, {None: 1.0, "reminder": 1.0})

    await bells.clock.advance(1)

    assert [name for _, name, _ in bells.rung] == [None, "reminder"]


# Failures.


async def test_an_alarm_that_couldnt_be_run_is_rung_again_with_doubled_delays(
    bells: Bells,
) -> None:
    bells.answer = bells.ringer.failed
    bells.ringer.set(ROOM, {None: 0.0})

    await bells.clock.advance(5000)

    delays = [later - earlier for earlier, later in zip(bells.times, bells.times[1:], strict=False)]
    doubled = [FIRST_RETRY_SECONDS * 2**number for number in range(MAX_DOUBLINGS + 1)]
    assert delays[: len(doubled)] == doubled
    assert set(delays[len(doubled) :]) == {doubled[-1]}


async def test_delays_start_anew_after_a_run(bells: Bells) -> None:
    bells.answer = bells.ringer.failed
    bells.ringer.set(ROOM, {None: 0.0})
    await bells.clock.advance(10)
    assert bells.times == [0.0, 2.0, 6.0]

    bells.answer = bells.ringer.rung
    await bells.clock.advance(10)
    bells.answer = bells.ringer.failed
    bells.ringer.set(ROOM, {None: 100.0})
    await bells.clock.advance(90)

    assert bells.times[3:] == [14.0, 100.0, 102.0, 106.0]


async def test_failures_of_one_alarm_dont_delay_another(bells: Bells) -> None:
    bells.answer = bells.ringer.failed
    bells.ringer.set(ROOM, {None: 0.0})
    await bells.clock.advance(5)

    bells.ringer.set(OTHER, {None: 5.0})
    await bells.clock.advance(2)

    assert [(key, when) for key, _, when in bells.rung[2:]] == [
        (OTHER, 5.0),
        (ROOM, 6.0),
        (OTHER, 7.0),
    ]


async def test_an_alarm_that_is_unset_while_it_waits_for_its_next_try_isnt_rung(
    bells: Bells,
) -> None:
    bells.answer = bells.ringer.failed
    bells.ringer.set(ROOM, {None: 0.0})
    await bells.clock.advance(1)

    bells.ringer.set(ROOM, {})
    await bells.clock.advance(60)

    assert bells.times == [0.0]


async def test_an_alarm_that_was_moved_while_it_failed_is_unset_for_good(bells: Bells) -> None:
    bells.ringer.set(ROOM, {None: 1.0})
    await bells.clock.advance(1)
    bells.ringer.set(ROOM, {None: 50.0})
    bells.ringer.failed(ROOM, None)

    bells.ringer.set(ROOM, {})
    await bells.clock.advance(60)

    assert bells.times == [1.0]


async def test_an_alarm_that_failed_once_and_was_unset_starts_anew(bells: Bells) -> None:
    bells.answer = bells.ringer.failed
    bells.ringer.set(ROOM, {None: 0.0})
    await bells.clock.advance(5)
    assert bells.times == [0.0, 2.0]

    bells.ringer.set(ROOM, {})
    bells.ringer.set(ROOM, {None: 100.0})
    await bells.clock.advance(98)

    assert bells.times[2:] == [100.0, 102.0]


# Stopping.


async def test_a_stopped_ringer_rings_no_more(bells: Bells) -> None:
    for number in range(MAX_RINGING + 5):
        bells.ringer.set(Key("Room", f"{number:03}"), {None: 1.0, "later": 10.0})
    await bells.clock.advance(1)
    rung = len(bells.rung)

    bells.ringer.stop()
    for key, name, _ in list(bells.rung):
        bells.ringer.failed(key, name)
    bells.ringer.set(ROOM, {None: 5.0})
    await bells.clock.advance(60)

    assert len(bells.rung) == rung
    assert bells.ringer.is_idle


async def test_an_alarm_that_is_set_anew_while_it_runs_is_rung_when_that_is_over(
    bells: Bells,
) -> None:
    bells.ringer.set(ROOM, {None: 1.0})
    await bells.clock.advance(1)

    bells.ringer.set(ROOM, {None: 2.0})
    await bells.clock.advance(5)
    assert bells.times == [1.0]

    bells.ringer.rung(ROOM, None)
    await bells.clock.advance(0)
    assert bells.times == [1.0, 6.0]


async def test_an_alarm_that_is_due_while_it_runs_and_then_unset_isnt_rung(bells: Bells) -> None:
    bells.ringer.set(ROOM, {None: 1.0})
    await bells.clock.advance(1)
    bells.ringer.set(ROOM, {None: 2.0})
    await bells.clock.advance(5)

    bells.ringer.set(ROOM, {})
    bells.ringer.rung(ROOM, None)
    await bells.clock.advance(60)

    assert bells.times == [1.0]
    assert bells.ringer.is_idle


async def test_a_failed_run_waits_though_the_object_says_that_it_is_overdue(bells: Bells) -> None:
    for _ in range(3):
        bells.ringer.set(ROOM, {None: 1.0})
        await bells.clock.advance(10)
        bells.ringer.set(ROOM, {})  # not durable, and so it is lost
        bells.ringer.failed(ROOM, None)

    bells.ringer.set(ROOM, {None: 1.0})
    await bells.clock.advance(FIRST_RETRY_SECONDS * 4 - 0.1)
    assert len(bells.rung) == 3

    await bells.clock.advance(0.1)
    assert len(bells.rung) == 4


async def test_after_a_failed_run_an_alarm_may_be_set_for_later(bells: Bells) -> None:
    bells.ringer.set(ROOM, {None: 1.0})
    await bells.clock.advance(1)
    bells.ringer.failed(ROOM, None)

    bells.ringer.set(ROOM, {None: 50.0})
    await bells.clock.advance(100)

    assert bells.times == [1.0, 50.0]
