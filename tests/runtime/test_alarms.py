"""One object's alarms: set, run, failed, tried again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.alarms import FIRST_RETRY_SECONDS, JITTER, MAX_RETRIES, AlarmTable, Ringing
from runtime.sql import Database
from tests.runtime.databases import Ledger

NAMES = (None, "reminder")


@pytest.fixture
def alarms(database: Database) -> AlarmTable:
    return AlarmTable(database)


def ring(alarms: AlarmTable, now: float, name: str | None = None) -> Ringing:
    """Begin a run that must be due."""
    ringing = alarms.ring(name, now)
    assert ringing is not None, "the alarm isn't due"
    return ringing


# Setting.


def test_there_is_no_alarm_at_first(alarms: AlarmTable, commits: Ledger) -> None:
    assert (alarms.get(None), alarms.all(), alarms.due()) == (None, {}, {})
    assert alarms.ring(None, 1e12) is None
    assert (alarms.changed, commits.heard.count("begun")) == (False, 0)


@pytest.mark.parametrize("name", NAMES)
def test_an_alarm_that_was_set_shows(alarms: AlarmTable, name: str | None) -> None:
    alarms.set(name, 100.5)

    assert alarms.get(name) == 100.5
    assert alarms.all() == alarms.due() == {name: 100.5}
    assert alarms.changed


def test_setting_an_alarm_replaces_the_one_of_its_name(alarms: AlarmTable) -> None:
    alarms.set(None, 100.0)
    alarms.set("reminder", 200.0)

    alarms.set(None, 50.0)
    alarms.set("reminder", 300.0)

    assert alarms.all() == {None: 50.0, "reminder": 300.0}


@pytest.mark.parametrize("name", NAMES)
def test_a_deleted_alarm_is_gone(alarms: AlarmTable, name: str | None) -> None:
    alarms.set(None, 100.0)
    alarms.set("reminder", 200.0)

    alarms.delete(name)

    assert name not in alarms.all()
    assert len(alarms.due()) == 1


def test_setting_an_alarm_for_the_same_time_again_is_no_write(
    alarms: AlarmTable, database: Database, commits: Ledger
) -> None:
    alarms.set(None, 100.0)
    database.commit()

    alarms.set(None, 100.0)

    assert commits.heard == ["begun", "committed"]
    assert alarms.all() == {None: 100.0}


def test_deleting_no_alarm_is_no_write(alarms: AlarmTable, commits: Ledger) -> None:
    alarms.delete(None)
    alarms.delete("reminder")

    assert (alarms.changed, commits.heard.count("begun")) == (False, 0)


def test_an_alarm_is_rolled_back_with_the_writes_beside_it(
    alarms: AlarmTable, database: Database
) -> None:
    alarms.set(None, 100.0)
    database.commit()
    alarms.set(None, 200.0)
    alarms.set("reminder", 300.0)

    database.rollback()

    assert alarms.all() == {None: 100.0}


def test_an_alarm_whose_table_was_rolled_back_can_be_set_again(
    alarms: AlarmTable, database: Database
) -> None:
    alarms.set(None, 100.0)
    database.rollback()
    assert alarms.all() == {}

    alarms.set(None, 200.0)

    assert alarms.get(None) == 200.0


def test_alarms_are_found_again_by_the_next_life(alarms: AlarmTable, database: Database) -> None:
    alarms.set("reminder", 100.0)
    database.commit()
    database.close(checkpoint=True)

    assert AlarmTable(database).due() == {"reminder": 100.0}


# Running.


def test_an_alarm_isnt_run_before_its_time(alarms: AlarmTable) -> None:
    alarms.set(None, 100.0)

    assert alarms.ring(None, 99.999) is None
    assert alarms.get(None) == 100.0


@pytest.mark.parametrize("name", NAMES)
def test_an_alarm_that_runs_says_what_it_was_set_for(alarms: AlarmTable, name: str | None) -> None:
    alarms.set(name, 100.0)

    invocation = ring(alarms, 150.0, name).invocation

    assert (invocation.scheduled_time, invocation.name) == (100.0, name)
    assert (invocation.retry_count, invocation.is_retry) == (0, False)


def test_an_alarm_that_runs_doesnt_show_but_is_still_due(alarms: AlarmTable) -> None:
    """Were it forgotten when it begins, a crash in its middle would lose it (I7)."""
    alarms.set(None, 100.0)
    alarms.set("reminder", 200.0)

    ring(alarms, 100.0)

    assert alarms.all() == {"reminder": 200.0}
    assert alarms.due() == {None: 100.0, "reminder": 200.0}


def test_an_alarm_that_has_run_is_gone(alarms: AlarmTable, database: Database) -> None:
    alarms.set(None, 100.0)
    alarms.set("reminder", 100.0)

    alarms.succeed(ring(alarms, 100.0))
    database.commit()

    assert alarms.all() == alarms.due() == {"reminder": 100.0}
    assert alarms.ring(None, 1e12) is None


@pytest.mark.parametrize("when", [50.0, 100.0, 500.0])
def test_an_alarm_that_is_set_anew_while_it_runs_shows_and_stays(
    alarms: AlarmTable, when: float
) -> None:
    alarms.set(None, 100.0)
    running = ring(alarms, 100.0)

    alarms.set(None, when)
    assert alarms.get(None) == when
    alarms.succeed(running)

    assert alarms.all() == alarms.due() == {None: when}


def test_an_alarm_that_is_set_anew_and_rolled_back_while_it_runs_is_gone_afterwards(
    alarms: AlarmTable, database: Database
) -> None:
    alarms.set(None, 100.0)
    database.commit()
    running = ring(alarms, 100.0)
    alarms.set(None, 500.0)

    database.rollback()
    assert alarms.get(None) is None
    alarms.succeed(running)

    assert alarms.due() == {}


def test_deleting_an_alarm_while_it_runs_changes_nothing(
    alarms: AlarmTable, commits: Ledger
) -> None:
    alarms.set(None, 100.0)
    running = ring(alarms, 100.0)

    alarms.delete(None)
    assert alarms.due() == {None: 100.0}
    alarms.fail(running, "why", 100.0)

    assert alarms.get(None) == 100.0


def test_deleting_an_alarm_that_was_set_anew_while_it_runs_deletes_the_new_one(
    alarms: AlarmTable,
) -> None:
    alarms.set(None, 100.0)
    running = ring(alarms, 100.0)
    alarms.set(None, 500.0)

    alarms.delete(None)
    alarms.succeed(running)

    assert alarms.all() == alarms.due() == {}


def test_two_alarms_may_run_at_the_same_time(alarms: AlarmTable) -> None:
    alarms.set(None, 100.0)
    alarms.set("reminder", 100.0)

    first, second = ring(alarms, 100.0), ring(alarms, 100.0, "reminder")
    assert alarms.all() == {}
    alarms.succeed(first)
    alarms.fail(second, "why", 100.0)

    assert alarms.all() == {"reminder": 100.0}


# Failing.


def test_an_alarm_that_failed_shows_its_time_again_and_is_due_later(alarms: AlarmTable) -> None:
    alarms.set(None, 100.0)

    alarms.fail(ring(alarms, 100.0), "ValueError: why", 150.0)

    assert alarms.get(None) == 100.0
    assert 152.0 <= alarms.due()[None] <= 152.5
    assert alarms.ring(None, 151.9) is None


def test_an_alarm_is_tried_seven_times_with_doubled_delays(alarms: AlarmTable) -> None:
    alarms.set(None, 100.0)
    now, counts, delays = 100.0, [], []

    while (running := alarms.ring(None, now)) is not None:
        counts.append((running.invocation.retry_count, running.invocation.is_retry))
        alarms.fail(running, "why", now)
        due = alarms.due().get(None, now)
        delays.append(due - now)
        now = due

    assert counts == [(number, number > 0) for number in range(MAX_RETRIES + 1)]
    *pauses, after_the_last = delays
    for number, pause in enumerate(pauses):
        assert 2.0 * 2**number <= pause <= 2.0 * 2**number * 1.25
    assert after_the_last == 0


def test_delays_are_spread_over_the_jitter_and_no_further(
    alarms: AlarmTable, database: Database
) -> None:
    delays = []
    for _ in range(100):
        alarms.set(None, 0.0)
        alarms.fail(ring(alarms, 0.0), "why", 0.0)
        delays.append(alarms.due()[None])

    assert min(delays) >= FIRST_RETRY_SECONDS
    assert max(delays) <= FIRST_RETRY_SECONDS * (1 + JITTER)
    assert max(delays) - min(delays) > FIRST_RETRY_SECONDS * JITTER / 2


def exhaust(alarms: AlarmTable) -> None:
    """Let the alarm fail for good."""
    alarms.set(None, 100.0)
    for number in range(MAX_RETRIES + 1):
        alarms.fail(ring(alarms, 1e12), f"failure {number}", 100.0)


def test_an_alarm_that_failed_for_good_is_kept_with_its_last_error_and_no_longer_shows(
    alarms: AlarmTable, database: Database
) -> None:
    exhaust(alarms)

    assert (alarms.get(None), alarms.all(), alarms.due()) == (None, {}, {})
    assert alarms.ring(None, 1e12) is None
    assert database.run("SELECT retries, failure FROM _cf_ALARM") == [(7, "failure 6")]


def test_an_alarm_that_failed_for_good_can_be_set_again_from_the_start(
    alarms: AlarmTable,
) -> None:
    exhaust(alarms)

    alarms.set(None, 200.0)

    assert alarms.all() == {None: 200.0}
    assert ring(alarms, 200.0).invocation.retry_count == 0


def test_an_alarm_that_is_set_anew_and_then_fails_is_run_at_its_new_time_without_a_retry(
    alarms: AlarmTable,
) -> None:
    alarms.set(None, 100.0)
    running = ring(alarms, 100.0)
    alarms.set(None, 500.0)

    alarms.fail(running, "why", 100.0)

    assert alarms.all() == alarms.due() == {None: 500.0}
    assert not ring(alarms, 500.0).invocation.is_retry


def test_deleting_an_alarm_that_waits_for_its_next_try_cancels_the_try(alarms: AlarmTable) -> None:
    alarms.set(None, 100.0)
    alarms.fail(ring(alarms, 100.0), "why", 100.0)

    alarms.delete(None)

    assert alarms.all() == alarms.due() == {}


def test_setting_an_alarm_that_waits_for_its_next_try_forgets_its_failures(
    alarms: AlarmTable,
) -> None:
    alarms.set(None, 100.0)
    alarms.fail(ring(alarms, 100.0), "why", 100.0)

    alarms.set(None, 100.0)

    assert alarms.due() == {None: 100.0}
    assert not ring(alarms, 100.0).invocation.is_retry


def test_a_retry_keeps_the_time_that_the_alarm_was_set_for(alarms: AlarmTable) -> None:
    alarms.set(None, 100.0)
    alarms.fail(ring(alarms, 100.0), "why", 300.0)

    assert ring(alarms, 310.0).invocation.scheduled_time == 100.0


def test_a_run_that_was_rolled_back_can_be_run_again(
    alarms: AlarmTable, database: Database
) -> None:
    """A commit that fails takes the alarm's end back with all else that its run has written."""
    alarms.set(None, 100.0)
    database.commit()
    alarms.succeed(ring(alarms, 100.0))

    database.rollback()

    assert alarms.all() == {None: 100.0}
    assert not ring(alarms, 100.0).invocation.is_retry


@pytest.mark.parametrize(
    "act",
    [
        lambda alarms: alarms.set(None, 200.0),
        lambda alarms: alarms.delete(None),
        lambda alarms: alarms.succeed(ring(alarms, 100.0)),
        lambda alarms: alarms.fail(ring(alarms, 100.0), "why", 100.0),
    ],
    ids=["set", "delete", "succeed", "fail"],
)
def test_every_change_is_announced(alarms: AlarmTable, act: Callable[[AlarmTable], object]) -> None:
    alarms.set(None, 100.0)
    alarms.changed = False

    act(alarms)

    assert alarms.changed
