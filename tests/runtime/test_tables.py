"""The runtime's own tables, and what counts as nothing stored."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import SqlError
from runtime.sql import Database
from runtime.tables import RuntimeTable, is_empty
from tests.runtime.databases import Ledger, execute

# The runtime's own tables.


@pytest.fixture
def table(database: Database) -> RuntimeTable:
    return RuntimeTable(database, "_cf_KV", "(key TEXT PRIMARY KEY)")


def test_a_table_that_isnt_there_has_no_rows(table: RuntimeTable, commits: Ledger) -> None:
    assert table.read("SELECT key FROM _cf_KV") == []
    assert commits.heard == []


def test_a_table_is_made_by_the_first_write(
    table: RuntimeTable, database: Database, commits: Ledger
) -> None:
    table.write("INSERT INTO _cf_KV VALUES ('a')")
    table.write("INSERT INTO _cf_KV VALUES ('b')")
    database.commit()

    assert table.read("SELECT key FROM _cf_KV") == [("a",), ("b",)]
    assert commits.heard == ["begun", "committed"]


def test_a_table_that_a_rollback_has_taken_away_is_made_again(
    table: RuntimeTable, database: Database
) -> None:
    table.write("INSERT INTO _cf_KV VALUES ('a')")
    database.rollback()
    assert table.read("SELECT key FROM _cf_KV") == []

    table.write("INSERT INTO _cf_KV VALUES ('b')")

    assert table.read("SELECT key FROM _cf_KV") == [("b",)]


def test_a_table_that_isnt_there_has_no_rows_after_a_refused_transaction_either(
    table: RuntimeTable, database: Database
) -> None:
    with pytest.raises(SqlError):
        execute(database, "BEGIN")

    assert table.read("SELECT key FROM _cf_KV") == []


@pytest.mark.parametrize("use", [RuntimeTable.read, RuntimeTable.write])
def test_other_errors_of_a_table_are_told(table: RuntimeTable, use: Any) -> None:
    table.write("INSERT INTO _cf_KV VALUES ('a')")

    with pytest.raises(SqlError, match="no such column: missing"):
        use(table, "DELETE FROM _cf_KV WHERE missing = 1")


# What is in it.


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ("SELECT 1", True),
        ("CREATE TABLE t (a)", True),
        ("CREATE TABLE t (a); INSERT INTO t VALUES (NULL)", False),
        ("CREATE TABLE t (a); INSERT INTO t VALUES (1); DELETE FROM t", True),
        ('CREATE TABLE "a ""b"" \'c\'" (a)', True),
        ('CREATE TABLE "a ""b""" (a); INSERT INTO "a ""b""" VALUES (1)', False),
        ("CREATE TABLE t (a PRIMARY KEY) WITHOUT ROWID; INSERT INTO t VALUES (1)", False),
        ("CREATE VIEW v AS SELECT 1", True),
        ("CREATE VIRTUAL TABLE f USING fts5(a)", True),
        ("CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f VALUES ('x')", False),
        ("CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f VALUES ('x'); DELETE FROM f", True),
        ("CREATE VIRTUAL TABLE f USING fts5(a, content='')", True),
        (
            "CREATE VIRTUAL TABLE f USING fts5(a, content=''); "
            "INSERT INTO f (rowid, a) VALUES (1, 'x')",
            False,
        ),
        ("CREATE VIRTUAL TABLE r USING rtree(id, a, b)", True),
        ("CREATE VIRTUAL TABLE r USING rtree(id, a, b); INSERT INTO r VALUES (1, 2, 3)", False),
        ("CREATE TABLE t (n INTEGER PRIMARY KEY AUTOINCREMENT)", True),
    ],
)
def test_a_database_is_empty_if_no_table_has_a_row(
    database: Database, statements: str, expected: bool
) -> None:
    for statement in statements.split("; "):
        execute(database, statement)

    assert is_empty(database) is expected


def test_a_database_that_remembers_numbers_it_must_not_give_again_isnt_empty(
    database: Database,
) -> None:
    execute(database, "CREATE TABLE t (n INTEGER PRIMARY KEY AUTOINCREMENT)")
    execute(database, "INSERT INTO t DEFAULT VALUES")
    execute(database, "DELETE FROM t")

    assert not is_empty(database)


@pytest.mark.parametrize(
    ("table", "expected"), [("_cf_KV", False), ("_cf_ALARM", False), ("_cf_METADATA", True)]
)
def test_keys_and_alarms_count_as_content_and_the_objects_name_doesnt(
    database: Database, table: str, expected: bool
) -> None:
    database.write(f"CREATE TABLE {table} (key)")
    assert is_empty(database)

    database.write(f"INSERT INTO {table} VALUES ('name')")

    assert is_empty(database) is expected


def test_a_database_whose_tables_are_noted_as_the_objects_own_isnt_empty(
    database: Database,
) -> None:
    database.write("CREATE TABLE _cf_METADATA (key, value)")

    database.write("INSERT INTO _cf_METADATA VALUES ('schema', 'yes')")

    assert not is_empty(database)


@pytest.mark.parametrize(
    "statements",
    [
        "CREATE VIRTUAL TABLE f USING fts5(a); "
        "CREATE VIRTUAL TABLE words USING fts5vocab('f', 'row'); DROP TABLE f",
        "CREATE VIRTUAL TABLE f USING fts5(a, content='gone')",
        "CREATE VIRTUAL TABLE f USING fts5(a, content='', columnsize=0)",
    ],
)
def test_a_table_that_cant_be_read_doesnt_keep_anybody_from_asking(
    database: Database, statements: str
) -> None:
    """It is asked when the object is to be evicted, and an error there leaves it half closed."""
    for statement in statements.split("; "):
        execute(database, statement)

    assert is_empty(database) in (True, False)
