"""An object's name, and the steps that bring its schema up to date."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, ClassVar

import pytest

from runtime.errors import SqlError, StorageError
from runtime.object import DurableObject
from runtime.schema import migrate
from runtime.sql import Database
from runtime.statements import SqlStorage
from tests.runtime.databases import Ledger, Watch, execute, upto, watch

__all__ = ["watch"]

Step = str | Callable[[SqlStorage], object]

SEATS = "CREATE TABLE seats (name TEXT)"
ROWS = "ALTER TABLE seats ADD COLUMN row INTEGER"
BROKEN = "INSERT INTO seats VALUES ('A1', 1); INSERT INTO nowhere VALUES (1)"


def wake(database: Database, *steps: Step) -> None:
    """Begin a life of an object whose class knows these steps."""

    class Event(DurableObject[object]):
        migrations: ClassVar[Sequence[Any]] = steps

    migrate(database, SqlStorage(database, lambda: None), Event)


def version(database: Database) -> object:
    return database.run("PRAGMA user_version")[0][0]


def columns(database: Database) -> list[object]:
    return [name for (name,) in database.run("SELECT name FROM pragma_table_info('seats')")]


# Migrations.


def test_a_class_without_steps_doesnt_even_open_the_database(database: Database) -> None:
    wake(database)

    assert not database.is_open


def test_a_new_object_takes_every_step_in_order(database: Database) -> None:
    wake(database, SEATS, ROWS)

    assert columns(database) == ["name", "row"]
    assert version(database) == 2


def test_each_step_is_a_commit_of_its_own(database: Database, commits: Ledger) -> None:
    wake(database, SEATS, ROWS)

    assert commits.heard == ["begun", "committed"] * 2


def test_an_object_takes_only_the_steps_that_it_has_missed(
    database: Database, commits: Ledger
) -> None:
    wake(database, SEATS)
    database.close(checkpoint=True)
    commits.heard.clear()

    wake(database, SEATS, ROWS)
    wake(database, SEATS, ROWS)

    assert columns(database) == ["name", "row"]
    assert commits.heard == ["begun", "committed"]


def test_a_step_may_consist_of_several_statements(database: Database) -> None:
    wake(database, f"{SEATS}; {ROWS}; INSERT INTO seats VALUES ('A1', 1);\n")

    assert database.run("SELECT * FROM seats") == [("A1", 1)]
    assert version(database) == 1


def test_a_step_may_be_a_function_of_the_storage(database: Database) -> None:
    def number_rows(sql: SqlStorage) -> None:
        for number, seat in enumerate(sql.exec("SELECT name FROM seats").to_array()):
            sql.exec("UPDATE seats SET row = ? WHERE name = ?", number, seat["name"])

    wake(database, SEATS, "INSERT INTO seats VALUES ('A1'), ('B1')", ROWS, number_rows)

    assert database.run("SELECT * FROM seats") == [("A1", 0), ("B1", 1)]


def test_a_step_that_only_reads_is_counted_too(database: Database) -> None:
    wake(database, SEATS, "SELECT * FROM seats", ROWS)

    assert version(database) == 3


def test_a_step_may_drop_a_column(database: Database) -> None:
    wake(database, SEATS, ROWS, "ALTER TABLE seats DROP COLUMN name")

    assert columns(database) == ["row"]


def fail(sql: SqlStorage) -> None:
    sql.exec("DROP TABLE seats")
    raise ValueError("why")


async def later(sql: SqlStorage) -> None:
    sql.exec("DROP TABLE seats")


def iter_later(sql: SqlStorage) -> Iterator[object]:
    yield sql.exec("DROP TABLE seats")


async def stream_later(sql: SqlStorage) -> AsyncIterator[object]:
    yield sql.exec("DROP TABLE seats")


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (BROKEN, "no such table: nowhere"),
        (fail, "why"),
        ("BEGIN", "To execute a transaction"),
        ("", "SQL code did not contain a statement"),
        (lambda sql: later(sql), "it can't be async"),
        (lambda sql: iter_later(sql), "it can't be async, nor a generator"),
        (lambda sql: stream_later(sql), "it can't be async"),
    ],
)
def test_a_step_that_fails_is_undone_and_the_ones_before_it_stand(
    database: Database, commits: Ledger, step: Step, reason: str
) -> None:
    with pytest.raises(StorageError, match=rf"^Event: migration 3 failed: .*{reason}"):
        wake(database, SEATS, ROWS, step, "DROP TABLE seats")

    assert (columns(database), version(database)) == (["name", "row"], 2)
    assert database.run("SELECT * FROM seats") == []
    assert (database.is_writing, database.in_transaction) == (False, False)


def test_a_step_that_failed_is_tried_again_by_the_next_life(database: Database) -> None:
    with pytest.raises(StorageError):
        wake(database, SEATS, ROWS, BROKEN)

    wake(database, SEATS, ROWS, "INSERT INTO seats VALUES ('A1', 1)")

    assert (database.run("SELECT * FROM seats"), version(database)) == ([("A1", 1)], 3)


def test_a_step_that_leaves_constraints_violated_is_undone(database: Database) -> None:
    family = "CREATE TABLE a (n PRIMARY KEY); CREATE TABLE b (a REFERENCES a (n))"
    orphan = "PRAGMA defer_foreign_keys = ON; INSERT INTO b VALUES (5)"

    with pytest.raises(StorageError, match="FOREIGN KEY constraint failed"):
        wake(database, family, orphan)

    assert (database.run("SELECT * FROM b"), version(database)) == ([], 1)


@pytest.mark.parametrize("steps", [(SEATS,), ()])
def test_an_object_that_newer_code_has_migrated_is_refused(
    database: Database, steps: tuple[Step, ...]
) -> None:
    wake(database, SEATS, ROWS)

    with pytest.raises(StorageError, match="has version 2, made by newer code; this code knows"):
        wake(database, *steps)

    assert (columns(database), version(database)) == (["name", "row"], 2)


def test_a_wiped_object_takes_every_step_again(database: Database) -> None:
    wake(database, SEATS, ROWS)
    database.wipe()

    wake(database, SEATS, ROWS)

    assert (columns(database), version(database)) == (["name", "row"], 2)


def test_a_step_may_take_its_time(database: Database, watch: Watch) -> None:
    database.statement_seconds = 5
    watch.pace = 3600

    wake(database, SEATS, f"INSERT INTO seats {upto(100_000)}")

    assert database.run("SELECT count(*) FROM seats") == [(100_000,)]
    with pytest.raises(SqlError, match="SQLITE_INTERRUPT"):
        execute(database, f"SELECT count(*) FROM ({upto(100_000)})")


def test_a_full_disk_in_a_step_is_told(database: Database, commits: Ledger) -> None:
    wake(database, SEATS)
    database.run("PRAGMA max_page_count = 4")

    with pytest.raises(StorageError, match="migration 2 failed: database or disk is full"):
        wake(database, SEATS, "INSERT INTO seats VALUES (zeroblob(100000))")

    assert commits.heard[-1] == "lost"
    assert version(database) == 1
