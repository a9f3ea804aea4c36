"""Clocks of a match: right through sleep, restarts and crashes, and never early."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.game.app import APP
from apps.game.domain.clock import DAY, MAX_LAG, RETURN_SECONDS, Control
from apps.game.domain.match import FIRST_MOVE_SECONDS, OPEN_SECONDS
from apps.game.objects import pulse
from apps.game.objects.pulse import COARSE, FINE
from runtime.testing import TestRuntime
from tests.apps.game.conftest import Table, pushed

MINUTE = Control(60.0, 2.0)


def left(view: Any) -> tuple[float, float]:
    """Return what both have left, to a hundredth."""
    return round(view.seats[0].left, 2), round(view.seats[1].left, 2)


async def test_each_pays_for_their_own_time_but_not_for_the_first_move(table: Table) -> None:
    await table.open(control=MINUTE)

    await table.play("1", "2", seconds=20)
    await table.play("1", seconds=7)
    await table.play("2", seconds=9.5)
    await table.runtime.clock.advance(3)

    assert left(await table.look()) == (62 + 2 - 7 - 3, 62 + 2 - 9.5)


async def test_a_flag_falls_at_its_time_and_not_before(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(control=MINUTE)
    view = await table.play("1", "2")
    window = await table.enter()
    falls_at = view.seats[0].falls_at
    assert falls_at is not None

    await runtime.clock.advance(falls_at - runtime.clock.time() - 0.01)
    before = await table.look()
    pushed(window)
    await runtime.clock.advance(0.02)

    assert before.phase == "playing"
    assert len(pushed(window, "red ran out of time")) == 1
    ended = (await table.match.log(""))[-1]
    assert ended.at == pytest.approx(falls_at, abs=0.002)
    late = await table.refused(table.match.move("ada", 2, "1"))
    assert (late.rule, late.view.result.winner) == ("time-is-up", 1)


async def test_a_move_that_beats_the_alarm_but_not_the_clock_is_too_late(table: Table) -> None:
    await table.open(control=MINUTE)
    await table.play("1", "2")
    await table.runtime.run_in_durable_object(
        table.match, lambda _, ctx: ctx.storage.delete_alarm(name="clock")
    )
    await table.runtime.clock.advance(100)

    with pytest.raises(Exception, match="ran out of time"):
        await table.match.move("ada", 2, "1")

    assert (await table.look()).phase == "finished"


async def test_who_doesnt_begin_has_the_match_called_off(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(control=MINUTE)
    await table.play("1")

    await runtime.clock.advance(FIRST_MOVE_SECONDS - 1)
    before = await table.look()
    await runtime.clock.advance(2)

    view = await table.look()
    assert before.phase == "playing"
    assert view.result is not None
    assert (view.result.winner, view.result.how) == (None, "aborted")
    assert view.result.words == "yellow didn't begin"


async def test_a_match_that_nobody_comes_to_is_over_after_a_while(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(is_joined=False)

    await runtime.clock.advance(OPEN_SECONDS - 1)
    before = await table.look()
    await runtime.clock.advance(2)

    assert before.phase == "waiting"
    assert (await table.look()).phase == "finished"


async def test_a_match_of_days_sleeps_for_a_week_and_wakes_by_its_alarm(
    start_awake_runtime: Any,
) -> None:
    runtime = await start_awake_runtime(**APP.bindings)
    table = Table(runtime)
    await table.open(control=Control(0.0, days=7))
    await table.play("1", "2")

    await runtime.clock.advance(7 * DAY - 1)
    before = await table.look()
    await runtime.clock.advance(2)

    assert left(before) == (1.0, 7 * DAY)
    view = await table.look()
    assert view.result is not None
    assert (view.result.winner, view.result.how) == (1, "time")


# What was under way.


async def test_time_on_the_way_is_given_back_within_bounds(table: Table) -> None:
    await table.open(control=MINUTE)
    await table.play("1", "2")

    async def move_after(seconds: float, took: float | None) -> float:
        view = await table.look()
        await table.runtime.clock.advance(seconds)
        who, ply = ("ada", "bob")[view.to_move[0]], view.ply
        before = view.seats[view.to_move[0]].left
        after = await table.match.move(who, ply, "34"[view.to_move[0]], took)
        return float(round(before + 2 - after.seats[view.to_move[0]].left, 2))

    assert await move_after(3.0, 2.8) == 2.8  # 0.2 s on the way
    assert await move_after(3.0, None) == 3.0
    assert await move_after(3.0, 0.0) == 3.0 - MAX_LAG  # a clock that lies
    assert await move_after(3.0, 99.0) == 3.0
    assert (await table.look()).seats[0].lag == MAX_LAG


async def test_a_clock_that_always_lies_gains_little(table: Table) -> None:
    await table.open(control=MINUTE)
    await table.play("1", "2")
    start = (await table.look()).seats[0].left
    for turn in range(8):
        await table.runtime.clock.advance(2)
        ply = 2 + 2 * turn
        view = await table.match.move("ada", ply, str(3 + turn % 5), 0.0)
        if view.phase == "finished":
            break
        await table.match.move("bob", ply + 1, str(7 - turn % 5))

    moves = sum(turn.seat == 0 for turn in view.turns) - 1
    gained = view.seats[0].left - start  # the increment makes up for the two seconds
    assert moves >= 3
    assert gained <= 1.0 + 0.1 * moves + 0.01


@pytest.mark.parametrize(("took", "how"), [(61.5, None), (None, "time"), (62.1, "time")])
async def test_a_move_after_the_time_is_up_counts_only_if_it_was_under_way(
    table: Table, took: float | None, how: str | None
) -> None:
    await table.open(control=MINUTE)
    await table.play("1", "2")
    await table.runtime.clock.advance(2.0)
    await table.match.move("ada", 2, "1", 1.6)  # so that 0.4 s more are waited for the next
    await table.play("2")
    spare = (await table.look()).seats[0].left - 62
    await table.runtime.clock.advance(62.3 + spare)

    view = await table.match.move("ada", 4, "3", None if took is None else took + spare)

    assert (view.result.how if view.result else None) == how


# The server was away.


async def test_after_a_restart_the_pause_is_given_back(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(control=MINUTE)
    await table.play("1", "2")
    await table.play("1", seconds=5)
    await runtime.clock.advance(10)
    before = left(await table.look())

    await runtime.restart(after=timedelta(minutes=10))

    view = await table.look()
    assert view.phase == "playing"
    assert left(view)[0] == before[0] == 59.0
    given = left(view)[1] - before[1]
    assert 0 <= given <= RETURN_SECONDS + FINE  # it isn't known exactly when the server died
    assert "paused" in [entry.kind for entry in await table.match.log("")]
    await runtime.clock.advance(200)
    assert (await table.look()).phase == "finished"


async def test_however_often_the_server_restarts_a_clock_stands_for_no_longer(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(control=MINUTE)
    await table.play("1", "2")
    for _ in range(4):
        await runtime.restart(after=timedelta(seconds=20))
        view = await table.look()

    assert view.seats[0].runs_from is not None
    assert 0 < view.seats[0].runs_from - view.now <= RETURN_SECONDS
    assert left(view) == (62.0, 62.0)


async def test_a_flag_that_would_have_fallen_meanwhile_doesnt(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(control=MINUTE)
    view = await table.play("1", "2")
    await runtime.clock.advance(59)

    await runtime.restart(after=timedelta(hours=3))
    await runtime.clock.advance(RETURN_SECONDS - 0.1)

    view = await table.look()
    assert (view.phase, view.ply) == ("playing", 2)
    await table.match.move("ada", 2, "1")
    await runtime.clock.advance(200)
    ended = await table.look()
    assert ended.result is not None
    assert ended.result.words == "yellow ran out of time"


async def test_a_restart_that_is_over_in_no_time_is_noticed_too(
    start_awake_runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = await start_awake_runtime(**APP.bindings)
    table = Table(runtime)
    await table.open(control=MINUTE)
    await table.play("1", "2")
    await runtime.clock.advance(61.9)

    monkeypatch.setattr(pulse, "_PROCESS", "another process")
    await runtime.restart(after=timedelta(seconds=0.2))

    assert (await table.look()).phase == "playing"
    await runtime.clock.advance(RETURN_SECONDS - 0.5)
    assert (await table.look()).phase == "playing"


async def test_many_restarts_give_back_each_pause_once(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(control=MINUTE)
    await table.play("1", "2")
    for _ in range(3):
        await runtime.clock.advance(5)
        await runtime.restart(after=timedelta(minutes=5))
        await table.look()
    await runtime.clock.advance(RETURN_SECONDS)

    view = await table.look()
    pauses = [entry for entry in await table.match.log("") if entry.kind == "paused"]

    assert len(pauses) == 3
    assert 62 - 3 * 5 <= left(view)[0] <= 62.0


async def test_a_crash_takes_back_no_move_and_no_time(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(control=MINUTE)
    await table.play("1", "2")
    await table.play("3", seconds=7)
    before = await table.look()

    await runtime.crash()

    after = await table.look()
    assert after.turns == before.turns
    assert left(after) == left(before)


async def test_sleep_isnt_a_pause(start_awake_runtime: Any) -> None:
    runtime = await start_awake_runtime(**APP.bindings)
    table = Table(runtime)
    await table.open(control=Control(120.0))
    await table.play("1", "2")

    await runtime.clock.advance(100)  # it has left memory after ten of them

    assert left(await table.look()) == (20.0, 120.0)
    await runtime.clock.advance(21)
    assert (await table.look()).phase == "finished"


async def test_in_a_match_of_days_a_pause_is_given_back_too(start_awake_runtime: Any) -> None:
    runtime = await start_awake_runtime(**APP.bindings)
    table = Table(runtime)
    await table.open(control=Control(0.0, days=1))
    await table.play("1", "2")
    await runtime.clock.advance(DAY - 2 * COARSE)

    await runtime.restart(after=timedelta(days=2))

    view = await table.look()
    assert view.phase == "playing"
    assert 2 * COARSE <= view.seats[0].left <= 3 * COARSE + RETURN_SECONDS


async def test_the_pulse_beats_no_longer_than_somebody_plays(
    start_awake_runtime: Any,
) -> None:
    runtime = await start_awake_runtime(**APP.bindings)
    table = Table(runtime)
    await table.open(control=MINUTE)
    await table.play("1", "2", "1", "2", "1", "2", "1")

    await runtime.clock.advance(3600)

    beats = runtime.env.pulses.get_by_name(str(FINE))
    due = await runtime.run_in_durable_object(beats, lambda _, ctx: ctx.storage.list_alarms())
    assert due == {}
