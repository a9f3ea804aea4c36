"""Which transactions messages have to wait for. How they nest and end is in test_sql.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.sql import Database
from tests.runtime.databases import Ledger, execute

bounded = settings(max_examples=100, derandomize=True, database=None, deadline=None)


@pytest.fixture
def table(database: Database) -> Database:
    """The database with a table, committed."""
    execute(database, "CREATE TABLE t (n)")
    database.commit()
    return database


def write(database: Database, *, confirmed: bool) -> None:
    if confirmed:
        database.write("INSERT INTO t VALUES (1)")
    else:
        with database.unconfirmed():
            database.write("INSERT INTO t VALUES (2)")


def test_a_write_is_waited_for(table: Database, commits: Ledger) -> None:
    execute(table, "INSERT INTO t VALUES (1)")

    assert (table.is_confirmed, commits.is_awaited) == (True, True)


def test_an_unconfirmed_write_isnt_waited_for(table: Database, commits: Ledger) -> None:
    write(table, confirmed=False)

    assert (table.is_confirmed, commits.is_awaited) == (False, False)
    assert (table.is_writing, commits.heard[-1]) == (True, "begun")


@pytest.mark.parametrize("first", [True, False])
def test_one_confirmed_write_is_enough(table: Database, commits: Ledger, first: bool) -> None:
    write(table, confirmed=first)
    write(table, confirmed=not first)
    write(table, confirmed=False)

    assert commits.is_awaited


def test_every_transaction_stands_for_itself(table: Database, commits: Ledger) -> None:
    write(table, confirmed=True)
    table.commit()

    write(table, confirmed=False)

    assert (table.is_confirmed, commits.is_awaited) == (False, False)


@pytest.mark.parametrize("keep", [True, False])
def test_a_confirmed_write_three_levels_deep_counts_if_it_is_kept(
    table: Database, commits: Ledger, keep: bool
) -> None:
    write(table, confirmed=False)
    for _ in range(3):
        table.enter()
    write(table, confirmed=True)
    inside = commits.is_awaited
    for _ in range(3):
        table.leave(keep=keep)

    assert (inside, commits.is_awaited) == (True, keep)
    write(table, confirmed=True)
    assert commits.is_awaited, "whatever was undone before"


def test_what_is_undone_inside_leaves_what_was_confirmed_outside(
    table: Database, commits: Ledger
) -> None:
    write(table, confirmed=True)
    table.enter()
    write(table, confirmed=True)
    table.leave(keep=False)

    assert commits.is_awaited


STEP = st.sampled_from(["write", "write unconfirmed", "enter", "keep", "undo"])


@bounded
@given(st.lists(STEP, max_size=20))
def test_any_transaction_is_waited_for_if_a_confirmed_write_is_left_in_it(steps: list[str]) -> None:
    commits = Ledger()
    database = Database(Path(":memory:"), commits)
    levels: list[list[int]] = [[]]
    database.write("CREATE TABLE t (n)")
    database.commit()

    for step in steps:
        match step:
            case "write":
                write(database, confirmed=True)
                levels[-1].append(1)
            case "write unconfirmed":
                write(database, confirmed=False)
                levels[-1].append(2)
            case "enter":
                database.enter()
                levels.append([])
            case "keep" | "undo" if len(levels) > 1:
                inner = levels.pop()
                database.leave(keep=step == "keep")
                if step == "keep":
                    levels[-1] += inner
        left = [n for (n,) in database.run("SELECT n FROM t")]
        assert left == [n for level in levels for n in level]
        assert database.is_confirmed == (1 in left)
        assert not database.is_writing or commits.is_awaited == (1 in left)

    database.close(checkpoint=False)
