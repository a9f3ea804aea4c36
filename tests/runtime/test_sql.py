"""One SQLite database: its transactions, its files, and who hears of them."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing, suppress
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.clock import ManualClock
from runtime.errors import ObjectReset, SqlError
from runtime.sql import ClockVFS, Database
from runtime.tables import is_empty
from tests.runtime.databases import Ledger, Watch, execute, upto, watch

__all__ = ["watch"]

bounded = settings(max_examples=40, derandomize=True, database=None, deadline=None)


@pytest.fixture
def log(database: Database, commits: Ledger) -> Database:
    """The same with an empty table, `log`, committed."""
    execute(database, "CREATE TABLE log (n INTEGER PRIMARY KEY, note TEXT)")
    database.commit()
    commits.heard.clear()
    return database


def add(database: Database, *numbers: int) -> None:
    for number in numbers:
        execute(database, "INSERT INTO log (n) VALUES (?)", number)


def numbers(database: Database) -> list[Any]:
    return [n for (n,) in database.run("SELECT n FROM log ORDER BY n")]


def numbers_on_disk(path: Path) -> list[Any]:
    """What the database file itself holds, its WAL left aside."""
    copy = path.with_name("copy.sqlite")
    copy.write_bytes(path.read_bytes())
    with closing(sqlite3.connect(copy)) as connection:
        return [n for (n,) in connection.execute("SELECT n FROM log ORDER BY n")]


# Opening.


def test_a_database_is_opened_by_its_first_statement(database: Database) -> None:
    assert not database.is_open
    assert not database.path.exists()

    assert execute(database, "SELECT 1") == [(1,)]

    assert database.is_open
    assert database.path.exists()


def test_a_database_is_in_wal_mode_and_syncs_nothing_by_itself(database: Database) -> None:
    assert database.run("PRAGMA journal_mode") == [("wal",)]
    assert database.run("PRAGMA synchronous") == [(0,)]
    assert database.run("PRAGMA wal_autocheckpoint") == [(0,)]


def test_a_file_that_is_no_database_is_refused_as_every_other_failure_is(
    database: Database,
) -> None:
    database.path.write_bytes(b"not a database at all" * 1000)

    with pytest.raises(SqlError, match="SQLITE_NOTADB"):
        execute(database, "SELECT 1 FROM sqlite_schema")


def test_a_file_that_cant_be_opened_is_refused_as_every_other_failure_is(
    folder: Path, commits: Ledger
) -> None:
    database = Database(folder / "nowhere" / "object.sqlite", commits)

    with pytest.raises(SqlError, match="SQLITE_CANTOPEN"):
        database.run("SELECT 1")


def test_a_database_that_couldnt_be_opened_can_be_when_its_file_is_whole_again(
    log: Database,
) -> None:
    add(log, 1)
    log.commit()
    log.close(checkpoint=True)
    whole = log.path.read_bytes()
    log.path.write_bytes(whole[:4096])

    with pytest.raises(SqlError, match="SQLITE_CORRUPT") as failure:
        numbers(log)
    log.path.write_bytes(whole)

    assert numbers(log) == [1], failure  # which keeps alive whatever it was raised from


# Transactions.


def test_reading_begins_no_transaction(log: Database, commits: Ledger) -> None:
    execute(log, "SELECT * FROM log")
    log.commit()

    assert (commits.heard, log.is_writing) == ([], False)


def test_the_first_write_begins_a_transaction_that_commit_ends(
    log: Database, commits: Ledger
) -> None:
    add(log, 1, 2)
    execute(log, "UPDATE log SET note = 'x'")
    assert (commits.heard, log.is_writing) == (["begun"], True)

    log.commit()

    assert (commits.heard, log.is_writing) == (["begun", "committed"], False)


def test_a_write_that_changes_nothing_is_a_transaction_too(log: Database, commits: Ledger) -> None:
    execute(log, "DELETE FROM log WHERE n = 5")
    log.commit()

    assert commits.heard == ["begun", "committed"]


def test_committing_twice_is_committing_once(log: Database, commits: Ledger) -> None:
    add(log, 1)

    log.commit()
    log.commit()

    assert commits.heard == ["begun", "committed"]


def test_rollback_undoes_everything_since_the_last_commit(log: Database, commits: Ledger) -> None:
    add(log, 1)
    log.commit()
    add(log, 2, 3)
    execute(log, "DROP TABLE log")

    log.rollback()
    log.rollback()

    assert numbers(log) == [1]
    assert commits.heard == ["begun", "committed", "begun", "undone"]


def test_the_runtimes_own_writes_are_part_of_the_transaction(
    log: Database, commits: Ledger
) -> None:
    log.write("INSERT INTO log (n) VALUES (?)", 1)
    add(log, 2)

    log.rollback()

    assert numbers(log) == []
    assert commits.heard == ["begun", "undone"]


def test_a_statement_that_fails_leaves_the_writes_before_it(log: Database, commits: Ledger) -> None:
    add(log, 1)

    with pytest.raises(SqlError, match=r"^UNIQUE constraint failed: log\.n: SQLITE_CONSTRAINT$"):
        add(log, 1)
    log.commit()

    assert numbers(log) == [1]
    assert commits.heard == ["begun", "committed"]


def test_a_transaction_that_may_not_begin_writes_nothing(log: Database, commits: Ledger) -> None:
    commits.refusal = ObjectReset("broken")

    with pytest.raises(ObjectReset, match="broken"):
        add(log, 1)
    assert (numbers(log), log.is_writing) == ([], False)
    commits.refusal = None
    add(log, 2)
    log.commit()

    assert numbers(log) == [2]
    assert commits.heard == ["begun", "committed"]


def test_a_constraint_that_is_violated_at_the_end_undoes_the_transaction(
    log: Database, commits: Ledger
) -> None:
    execute(log, "CREATE TABLE part (log INTEGER REFERENCES log (n) DEFERRABLE INITIALLY DEFERRED)")
    log.commit()
    add(log, 1)
    execute(log, "INSERT INTO part VALUES (5)")

    with pytest.raises(SqlError) as caught:
        log.commit()

    assert str(caught.value) == (
        "Durable Object was reset and rolled back to its last known good state because the "
        "application left the database in a state where constraints were violated: "
        "FOREIGN KEY constraint failed: SQLITE_CONSTRAINT"
    )
    assert numbers(log) == []
    assert commits.heard[2:] == ["begun", "undone"]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT OR ROLLBACK INTO log (n) VALUES (1)",
        "INSERT INTO log (n) VALUES (-1)",
    ],
)
def test_a_transaction_that_sqlite_rolls_back_by_itself_is_lost(
    log: Database, commits: Ledger, statement: str
) -> None:
    execute(
        log,
        "CREATE TRIGGER positive BEFORE INSERT ON log WHEN new.n < 0 "
        "BEGIN SELECT RAISE(ROLLBACK, 'negative'); END",
    )
    log.commit()
    commits.heard.clear()
    add(log, 1)

    with pytest.raises(SqlError) as caught:
        execute(log, statement)

    assert (commits.heard, commits.losses) == (["begun", "lost"], [caught.value])
    assert (log.is_writing, numbers(log)) == (False, [])


def test_a_full_disk_loses_the_transaction_and_nothing_before_it(
    log: Database, commits: Ledger
) -> None:
    add(log, 1)
    log.commit()
    log.run("PRAGMA max_page_count = 4")
    add(log, 2)

    with pytest.raises(SqlError, match=r"^database or disk is full: SQLITE_FULL$"):
        execute(log, "INSERT INTO log (note) VALUES (zeroblob(100000))")
    log.commit()

    assert commits.heard == ["begun", "committed", "begun", "lost"]
    assert [error.code for error in commits.losses] == ["SQLITE_FULL"]
    assert numbers(log) == [1]


@pytest.mark.parametrize("keep", [True, False])
def test_what_was_open_when_the_disk_was_full_ends_quietly(
    log: Database, commits: Ledger, keep: bool
) -> None:
    log.run("PRAGMA max_page_count = 4")
    log.enter()
    add(log, 1)
    log.enter()
    with pytest.raises(SqlError):
        execute(log, "INSERT INTO log (note) VALUES (zeroblob(100000))")

    log.leave(keep=keep)
    log.leave(keep=keep)
    log.commit()

    assert (commits.heard, log.in_transaction) == (["begun", "lost"], False)


def test_what_sqlite_commits_by_itself_is_heard_of(log: Database, commits: Ledger) -> None:
    execute(log, "CREATE INDEX notes ON log (note)")
    add(log, 1, 2, 3)
    log.commit()
    commits.heard.clear()

    execute(log, "PRAGMA optimize(0x10002)")

    assert log.run("SELECT count(*) FROM sqlite_stat1") == [(1,)], "it has written something"
    assert commits.heard == ["begun", "committed"]


# Statements.


def test_a_statement_tells_its_columns_and_how_many_rows_it_changed(log: Database) -> None:
    add(log, 1, 2, 3)

    rows, columns, changed = log.execute("UPDATE log SET note = 'x' WHERE n > 1 RETURNING n", ())

    assert (sorted(rows), columns, changed) == ([(2,), (3,)], ("n",), 2)
    assert log.execute("SELECT n, n AS n FROM log", ())[1:] == (("n", "n"), 0)
    assert log.execute("DELETE FROM log", ())[1:] == ((), 3)


def test_a_write_runs_to_its_end_even_if_nobody_reads_what_it_returns(log: Database) -> None:
    rows, _, _ = log.execute("INSERT INTO log (n) VALUES (1), (2), (3) RETURNING n", ())

    assert next(rows) == (1,)
    log.commit()

    assert numbers(log) == [1, 2, 3]
    assert list(rows) == [(2,), (3,)]


def test_a_reader_goes_on_across_commits(log: Database) -> None:
    add(log, 1, 2, 3)
    log.commit()
    rows, _, _ = log.execute("SELECT n FROM log ORDER BY n", ())
    assert next(rows) == (1,)

    add(log, 0)
    log.commit()
    add(log, 9)
    log.commit()

    assert list(rows)[:2] == [(2,), (3,)]
    assert numbers(log) == [0, 1, 2, 3, 9]


def test_two_readers_of_the_same_text_dont_disturb_each_other(log: Database) -> None:
    add(log, 1, 2)

    first = log.execute("SELECT n FROM log ORDER BY n", ())[0]
    second = log.execute("SELECT n FROM log ORDER BY n", ())[0]

    assert [next(first), next(second), next(second), next(first)] == [(1,), (1,), (2,), (2,)]


def test_a_reader_whose_table_a_rollback_has_changed_fails_as_statements_do(log: Database) -> None:
    add(log, 1, 2)
    log.commit()
    execute(log, "CREATE TABLE other (n)")
    rows, _, _ = log.execute("SELECT n FROM log", ())

    log.rollback()

    with pytest.raises(SqlError, match="SQLITE_ABORT"):
        list(rows)


def test_an_error_in_a_later_row_is_an_sql_error(log: Database) -> None:
    add(log, 1, 2)
    rows, _, _ = log.execute("SELECT abs(iif(n = 2, -9223372036854775808, n)) FROM log", ())

    assert next(rows) == (1,)
    with pytest.raises(SqlError, match="integer overflow"):
        next(rows)


def test_an_error_says_where_it_is(database: Database) -> None:
    with pytest.raises(SqlError) as caught:
        execute(database, "SELECT * bunk")

    assert str(caught.value) == 'near "bunk": syntax error at offset 9: SQLITE_ERROR'
    assert caught.value.code == "SQLITE_ERROR"


@pytest.mark.parametrize("bindings", [(), (1, 2)])
def test_the_wrong_number_of_bindings_is_refused(log: Database, bindings: tuple[Any, ...]) -> None:
    with pytest.raises(SqlError, match=r"^Wrong number of parameter bindings for SQL query\.$"):
        execute(log, "INSERT INTO log (n) VALUES (?)", *bindings)

    assert numbers(log) == []


@pytest.mark.parametrize("binding", [object(), [1], {"a": 1}, 1j])
def test_a_binding_that_sqlite_has_no_type_for_is_refused(
    log: Database, commits: Ledger, binding: Any
) -> None:
    with pytest.raises(TypeError):
        execute(log, "INSERT INTO log (n) VALUES (?)", binding)

    assert (numbers(log), commits.heard) == ([], [])


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_of_more_than_64_bits_is_refused(
    log: Database, commits: Ledger, number: int
) -> None:
    with pytest.raises(SqlError, match=r"^an integer is larger than SQLite's 64 bits$"):
        execute(log, "INSERT INTO log (n) VALUES (?)", number)

    assert (numbers(log), commits.heard) == ([], [])


@pytest.mark.parametrize(
    ("statement", "bindings"),
    [
        ("SELECT CAST(x'ff' AS TEXT)", ()),
        ("SELECT ?", ("\ud800",)),
        ("SELECT '\ud800'", ()),
        ("SELECT 1\0", ()),
    ],
)
def test_text_that_isnt_text_is_refused_as_every_other_failure_is(
    log: Database, statement: str, bindings: tuple[Any, ...]
) -> None:
    with pytest.raises(SqlError):
        execute(log, statement, *bindings)


def test_a_write_whose_result_cant_be_read_doesnt_keep_the_rest_from_committing(
    log: Database, commits: Ledger
) -> None:
    """The error, while somebody holds it, holds the statement."""
    add(log, 1)

    with pytest.raises(Exception) as held:  # noqa: PT011  # another test says which
        execute(log, "INSERT INTO log (note) VALUES (CAST(x'ff' AS TEXT)) RETURNING note")
    log.commit()

    assert held is not None
    assert commits.heard == ["begun", "committed"]
    assert numbers(log)[:1] == [1]


def test_a_refused_transaction_doesnt_colour_later_errors(database: Database) -> None:
    with pytest.raises(SqlError, match="To execute a transaction"):
        execute(database, "BEGIN")

    with pytest.raises(SqlError, match="no such table: missing"):
        database.run("SELECT * FROM missing")


def test_object_code_gets_no_statement_that_was_compiled_with_the_runtimes_rights(
    database: Database,
) -> None:
    database.write("CREATE TABLE _cf_KV (key TEXT)")
    for _ in range(3):
        assert database.run("SELECT key FROM _cf_KV") == []

    with pytest.raises(SqlError, match="prohibited"):
        execute(database, "SELECT key FROM _cf_KV")

    assert database.run("SELECT key FROM _cf_KV") == []


def test_a_cached_statement_sees_a_column_that_was_added_later(log: Database) -> None:
    add(log, 1)
    assert execute(log, "SELECT * FROM log") == [(1, None)]

    execute(log, "ALTER TABLE log ADD COLUMN extra DEFAULT 5")

    rows, columns, _ = log.execute("SELECT * FROM log", ())
    assert (list(rows), columns) == ([(1, None, 5)], ("n", "note", "extra"))


# Statements that take too long.


@pytest.mark.parametrize("query", [f"SELECT count(*) FROM ({upto(inf)})", upto(inf)])
def test_reading_too_long_is_interrupted_and_loses_nothing(
    log: Database, commits: Ledger, query: str
) -> None:
    log.statement_seconds = 0.01
    add(log, 1)

    with pytest.raises(SqlError) as caught:
        execute(log, query)
    add(log, 2)
    log.commit()

    assert str(caught.value) == (
        "interrupted: SQLITE_INTERRUPT. A statement may run for 0.01 seconds "
        "(RuntimeConfig.statement_seconds)"
    )
    assert (caught.value.code, caught.value.retryable) == ("SQLITE_INTERRUPT", False)
    assert (numbers(log), commits.heard) == ([1, 2], ["begun", "committed"])


def test_writing_too_long_is_interrupted_and_loses_the_transaction(
    log: Database, commits: Ledger
) -> None:
    log.statement_seconds = 0.01
    add(log, 1)

    with pytest.raises(SqlError, match=r"^interrupted: SQLITE_INTERRUPT"):
        execute(log, f"INSERT INTO log (note) {upto(inf)}")

    assert (numbers(log), commits.heard) == ([], ["begun", "lost"])


def test_a_statement_isnt_blamed_for_the_time_that_others_took(log: Database, watch: Watch) -> None:
    log.statement_seconds = 5
    for _ in range(3):
        watch.seconds += 4
        execute(log, f"SELECT count(*) FROM ({upto(10_000)})")


def test_the_runtimes_own_statements_may_take_their_time(log: Database, watch: Watch) -> None:
    log.statement_seconds = 5
    watch.pace = 3600

    assert log.run(f"SELECT count(*) FROM ({upto(100_000)})") == [(100_000,)]


# Transactions within transactions.


def test_an_inner_transaction_that_is_left_undone_takes_back_only_its_own(
    log: Database, commits: Ledger
) -> None:
    log.enter()
    add(log, 1)
    log.enter()
    add(log, 2)
    log.leave(keep=False)
    add(log, 3)
    log.leave(keep=True)
    log.commit()

    assert numbers(log) == [1, 3]
    assert commits.heard == ["begun", "committed"]


def test_an_outer_transaction_that_is_left_undone_takes_back_all_of_it(
    log: Database, commits: Ledger
) -> None:
    log.enter()
    log.enter()
    add(log, 1)
    log.leave(keep=True)
    add(log, 2)
    log.leave(keep=False)
    log.commit()

    assert numbers(log) == []
    assert commits.heard == ["begun", "undone"]


def test_a_transaction_that_writes_nothing_isnt_heard_of(log: Database, commits: Ledger) -> None:
    for keep in (True, False):
        log.enter()
        assert log.in_transaction
        log.leave(keep=keep)
    log.commit()

    assert (commits.heard, log.in_transaction) == ([], False)


def test_a_transaction_inside_what_was_written_before_takes_back_only_its_own(
    log: Database,
) -> None:
    add(log, 1)
    log.enter()
    add(log, 2)
    log.leave(keep=False)
    log.commit()

    assert numbers(log) == [1]


def test_transactions_may_be_nested_deeper_than_their_savepoints_have_names(
    log: Database,
) -> None:
    add(log, 0)
    for number in range(1, 121):
        log.enter()
        add(log, number)

    for number in range(120, 0, -1):
        log.leave(keep=number != 60)
    log.commit()

    assert numbers(log) == list(range(60))


STEPS = st.lists(
    st.sampled_from(["write", "enter", "keep", "undo", "commit", "rollback"]), max_size=25
)


@bounded
@given(STEPS)
def test_any_sequence_of_transactions_leaves_what_a_simple_model_says(steps: list[str]) -> None:
    with TemporaryDirectory() as folder:
        commits = Ledger()
        database = Database(Path(folder) / "object.sqlite", commits)
        execute(database, "CREATE TABLE log (n INTEGER PRIMARY KEY)")
        database.commit()
        stack: list[list[int]] = [[]]  # what each open level would be left with
        kept: list[int] = []
        for number, step in enumerate(steps):
            if step == "write":
                add(database, number)
                stack[-1] = [*stack[-1], number]
            elif step == "enter":
                database.enter()
                stack.append(stack[-1])
            elif step in ("keep", "undo") and len(stack) > 1:
                database.leave(keep=step == "keep")
                innermost = stack.pop()
                stack[-1] = innermost if step == "keep" else stack[-1]
            elif step == "commit" and len(stack) == 1:
                database.commit()
                kept = stack[-1]
            elif step == "rollback" and len(stack) == 1:
                database.rollback()
                stack[-1] = kept

        assert numbers(database) == stack[-1]
        begun, ended = commits.heard[::2], commits.heard[1::2]
        assert set(begun) <= {"begun"}
        assert set(ended) <= {"committed", "undone"}
        database.close(checkpoint=False)


# Wiping.


def test_wipe_leaves_an_empty_database_in_one_commit(log: Database, commits: Ledger) -> None:
    add(log, 1)
    execute(log, "CREATE INDEX notes ON log (note)")
    execute(log, "CREATE VIRTUAL TABLE f USING fts5(a)")
    log.write("PRAGMA user_version = 7")
    log.commit()
    commits.heard.clear()

    log.wipe()

    assert log.run("SELECT * FROM sqlite_schema") == []
    assert log.run("PRAGMA user_version") == [(0,)]
    assert commits.heard == ["begun", "committed"]


def test_wipe_forgets_what_was_being_written(log: Database, commits: Ledger) -> None:
    add(log, 1)

    log.wipe()

    assert commits.heard == ["begun", "undone", "begun", "committed"]
    assert log.run("SELECT * FROM sqlite_schema") == []


def test_wipe_ends_readers(log: Database) -> None:
    add(log, 1, 2)
    log.commit()
    rows, _, _ = log.execute("SELECT n FROM log", ())
    assert next(rows) == (1,)

    log.wipe()

    with pytest.raises(SqlError):
        next(rows)


def test_a_wiped_database_can_be_used_and_reopened(log: Database, commits: Ledger) -> None:
    add(log, 1)
    log.commit()
    log.wipe()

    execute(log, "CREATE TABLE log (n INTEGER PRIMARY KEY)")
    add(log, 5)
    log.commit()
    log.close(checkpoint=False)

    assert numbers(log) == [5]
    assert log.run("PRAGMA journal_mode") == [("wal",)]
    assert execute(log, "PRAGMA foreign_keys") == [(1,)]


def test_a_database_that_was_never_used_can_be_wiped(database: Database) -> None:
    database.wipe()

    assert is_empty(database)


def test_object_code_still_cant_attach_anything_after_a_wipe(log: Database) -> None:
    log.wipe()

    with pytest.raises(SqlError, match="not authorized"):
        execute(log, "ATTACH ':memory:' AS other")


# The files.


def test_a_commit_is_in_the_wal_and_not_in_the_file(log: Database) -> None:
    log.checkpoint()
    add(log, 1)
    log.commit()

    assert numbers_on_disk(log.path) == []
    assert log.wal_pages > 0


def test_a_checkpoint_brings_the_wal_into_the_file(log: Database) -> None:
    add(log, 1)
    log.commit()

    log.checkpoint()

    assert numbers_on_disk(log.path) == [1]
    assert log.run("PRAGMA synchronous") == [(0,)]


def test_a_checkpoint_lets_the_wal_start_from_its_beginning(log: Database) -> None:
    wal = Path(f"{log.path}-wal")
    for number in range(20):
        add(log, number)
        log.commit()
    size, pages = wal.stat().st_size, log.wal_pages

    log.checkpoint()
    add(log, 100)
    log.commit()

    assert wal.stat().st_size == size
    assert log.wal_pages < pages


def test_after_a_checkpoint_nothing_calls_for_another(log: Database) -> None:
    """Whoever looks at the WAL's length after each step would checkpoint after each step."""
    add(log, 1)
    log.commit()
    assert log.wal_pages > 0

    log.checkpoint()

    assert log.wal_pages == 0


def test_a_checkpoint_that_fails_leaves_commits_as_fast_as_before(log: Database) -> None:
    add(log, 1, 2)
    log.commit()
    rows, _, _ = log.execute("SELECT n FROM log", ())
    assert next(rows) == (1,), "a reader is in the way"

    with suppress(Exception):
        log.checkpoint()

    assert log.run("PRAGMA synchronous") == [(0,)]


def test_a_closed_database_without_checkpoint_leaves_its_wal_to_the_next(
    log: Database, commits: Ledger
) -> None:
    log.checkpoint()
    add(log, 1)
    log.commit()

    log.close(checkpoint=False)

    assert Path(f"{log.path}-wal").stat().st_size > 0
    assert numbers_on_disk(log.path) == []
    assert numbers(Database(log.path, commits)) == [1]


def test_a_closed_database_with_checkpoint_leaves_one_file(log: Database) -> None:
    add(log, 1)
    log.commit()

    log.close(checkpoint=True)

    assert [path.name for path in log.path.parent.iterdir()] == [log.path.name]
    assert numbers_on_disk(log.path) == [1]


@pytest.mark.parametrize("checkpoint", [True, False])
def test_what_isnt_committed_is_undone_by_closing(log: Database, checkpoint: bool) -> None:
    add(log, 1)
    log.commit()
    add(log, 2)

    log.close(checkpoint=checkpoint)

    assert numbers(log) == [1]


@pytest.mark.parametrize("checkpoint", [True, False])
def test_what_is_written_after_closing_and_reopening_is_a_transaction_again(
    log: Database, commits: Ledger, checkpoint: bool
) -> None:
    add(log, 1)
    with suppress(Exception):  # another test is about that
        log.close(checkpoint=checkpoint)
    commits.heard.clear()

    add(log, 2)
    log.rollback()

    assert numbers(log) == []
    assert commits.heard[-2:] == ["begun", "undone"]


@pytest.mark.parametrize("checkpoint", [True, False])
def test_closing_ends_readers(log: Database, checkpoint: bool) -> None:
    add(log, 1, 2)
    log.commit()
    rows, _, _ = log.execute("SELECT n FROM log", ())
    assert next(rows) == (1,)

    log.close(checkpoint=checkpoint)

    with pytest.raises(SqlError):
        next(rows)


def test_closing_twice_or_before_opening_does_nothing(database: Database) -> None:
    database.close(checkpoint=True)
    assert not database.path.exists()

    database.run("SELECT 1")
    database.close(checkpoint=True)
    database.close(checkpoint=True)

    assert not database.is_open


@pytest.mark.parametrize("checkpoint", [True, False])
def test_a_database_can_be_closed_on_another_thread(log: Database, checkpoint: bool) -> None:
    add(log, 1)
    log.commit()

    thread = threading.Thread(target=log.close, kwargs={"checkpoint": checkpoint})
    thread.start()
    thread.join()

    assert not log.is_open
    assert numbers(log) == [1]


def test_a_checkpoint_can_be_made_on_another_thread(log: Database) -> None:
    add(log, 1)
    log.commit()

    thread = threading.Thread(target=log.checkpoint)
    thread.start()
    thread.join()

    assert numbers_on_disk(log.path) == [1]


# The time.


async def test_sql_takes_the_time_from_the_clock(folder: Path, commits: Ledger) -> None:
    clock = ManualClock(nothing_more, start=1_000_000_000.5)
    vfs = ClockVFS(clock)
    database = Database(folder / "object.sqlite", commits, vfs=vfs.name)
    ask = "SELECT unixepoch(), CURRENT_TIMESTAMP, strftime('%f')"
    assert execute(database, ask) == [(1_000_000_000, "2001-09-09 01:46:40", "40.500")]

    await clock.advance(3600)

    assert execute(database, ask) == [(1_000_003_600, "2001-09-09 02:46:40", "40.500")]
    database.close(checkpoint=True)


def test_each_clock_has_a_door_of_its_own(folder: Path, commits: Ledger) -> None:
    doors = [ClockVFS(ManualClock(nothing_more, start=start)) for start in (60.0, 120.0)]

    shown = []
    for door in doors:
        database = Database(folder / f"{door.name}.sqlite", commits, vfs=door.name)
        shown += execute(database, "SELECT unixepoch()")
        database.close(checkpoint=False)

    assert shown == [(60,), (120,)]


async def nothing_more() -> None:
    await asyncio.sleep(0)
