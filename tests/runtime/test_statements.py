"""`ctx.storage.sql`: queries, and the cursors that read their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from runtime.errors import ObjectReset, SqlError
from runtime.sql import Database
from runtime.statements import SqlStorage

THREE = "SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 'three'"


@dataclass(frozen=True)
class Seat:
    name: str
    row: int


class Place(BaseModel):
    name: str
    row: int


@pytest.fixture
def sql(database: Database) -> SqlStorage:
    sql = SqlStorage(database, lambda: None)
    sql.exec("CREATE TABLE seats (name TEXT, row INTEGER)")
    return sql


# Queries.


@pytest.mark.parametrize(
    ("query", "bindings", "row"),
    [
        ("SELECT 123", (), {"123": 123}),
        ("SELECT 'hello'", (), {"'hello'": "hello"}),
        ("SELECT ?", (456,), {"?": 456}),
        ("SELECT ? + ?", (123, 456), {"? + ?": 579}),
        ("SELECT :a AS a, @b AS b", (1, 2), {"a": 1, "b": 2}),
        ("SELECT sum(value) FROM json_each('[1,2,3]')", (), {"sum(value)": 6}),
    ],
)
def test_columns_have_the_names_that_sqlite_gives_them(
    sql: SqlStorage, query: str, bindings: tuple[Any, ...], row: dict[str, Any]
) -> None:
    assert sql.exec(query, *bindings).one() == row


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (None, None),
        (5, 5),
        (2**62, 2**62),
        (1.5, 1.5),
        (float("inf"), float("inf")),
        ("é😀\0x", "é😀\0x"),
        (b"\0\xff", b"\0\xff"),
        (b"", b""),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abc")[1:], b"bc"),
        (True, 1),
    ],
)
def test_values_come_back_as_they_were_bound(sql: SqlStorage, value: Any, read: Any) -> None:
    ((back,),) = sql.exec("SELECT ?", value).raw()

    assert (back, type(back)) == (read, type(read))


def test_a_bound_buffer_is_copied_at_once(sql: SqlStorage) -> None:
    buffer = bytearray(b"before")
    both: tuple[Any, Any] = (buffer, buffer)
    cursor = sql.exec("SELECT ? AS bytes UNION ALL SELECT ?", *both)

    buffer[:] = b"after!"

    assert cursor.to_array() == [{"bytes": b"before"}, {"bytes": b"before"}]


def test_of_several_statements_all_run_and_the_last_one_answers(sql: SqlStorage) -> None:
    cursor = sql.exec(
        "INSERT INTO seats VALUES ('A1', 1); INSERT INTO seats VALUES ('B1', 2); "
        "SELECT name FROM seats WHERE row = ?;  \t\n\r\v\f",
        2,
    )

    assert cursor.to_array() == [{"name": "B1"}]
    assert sql.exec("SELECT 1; SELECT 2;").to_array() == [{"2": 2}]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT 1; SELECT ';' AS a", [(";",)]),
        ("SELECT ';' AS a; SELECT \"name\" FROM seats;", []),
        ('CREATE TABLE "a;b" ([c;d], `e;f`); SELECT count(*) FROM "a;b"', [(0,)]),
        ("SELECT 1 -- not; here\n; SELECT 2", [(2,)]),
        ("SELECT 1 /* nor; here */; SELECT 2", [(2,)]),
        ("SELECT 'it''s; one'; SELECT 2", [(2,)]),
        (
            "CREATE TRIGGER t AFTER INSERT ON seats WHEN new.row = 1 BEGIN "
            "UPDATE seats SET row = 5; UPDATE seats SET row = row + 1; END; "
            "INSERT INTO seats VALUES ('A1', 1); SELECT row FROM seats",
            [(6,)],
        ),
    ],
)
def test_a_semicolon_ends_a_statement_only_where_one_can_end(
    sql: SqlStorage, query: str, rows: list[Any]
) -> None:
    assert list(sql.exec(query).raw()) == rows


def test_only_the_last_of_several_statements_may_have_parameters(sql: SqlStorage) -> None:
    with pytest.raises(SqlError) as caught:
        sql.exec("INSERT INTO seats VALUES ('A1', ?); SELECT ?", 1, 2)

    assert str(caught.value) == (
        "When executing multiple SQL statements in a single call, only the last statement can "
        "have parameters."
    )


def test_a_statement_that_fails_leaves_the_ones_before_it(sql: SqlStorage) -> None:
    with pytest.raises(SqlError, match="no such table: nowhere"):
        sql.exec("INSERT INTO seats VALUES ('A1', 1); DELETE FROM nowhere; DELETE FROM seats")

    assert sql.exec("SELECT count(*) AS n FROM seats").one() == {"n": 1}


@pytest.mark.parametrize("query", ["", " \n", ";", "-- nothing", "/* nothing */", "SELECT 1; -- x"])
def test_a_query_has_to_contain_a_statement(sql: SqlStorage, query: str) -> None:
    with pytest.raises(SqlError, match=r"^SQL code did not contain a statement\.$"):
        sql.exec(query)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT * bunk;", 'near "bunk": syntax error at offset 9: SQLITE_ERROR'),
        ("INSER INTO seats VALUES (1)", 'near "INSER": syntax error at offset 0: SQLITE_ERROR'),
        ("SELECT ;", 'near ";": syntax error at offset 7: SQLITE_ERROR'),
        ("SELECT -;", 'near ";": syntax error at offset 8: SQLITE_ERROR'),
        ("SELECT * FROM nowhere", "no such table: nowhere: SQLITE_ERROR"),
        ("INSERT INTO seats (rowid) VALUES ('x')", "datatype mismatch: SQLITE_MISMATCH"),
    ],
)
def test_an_error_says_what_where_and_why(sql: SqlStorage, query: str, reason: str) -> None:
    with pytest.raises(SqlError) as caught:
        sql.exec(query)

    assert str(caught.value) == reason


def test_a_query_is_checked_before_it_runs(database: Database, sql: SqlStorage) -> None:
    def refuse() -> None:
        raise ObjectReset("broken")

    broken = SqlStorage(database, refuse)

    with pytest.raises(ObjectReset):
        broken.exec("INSERT INTO seats VALUES ('A1', 1)")
    with pytest.raises(ObjectReset):
        _ = broken.database_size
    assert sql.exec("SELECT * FROM seats").to_array() == []


def test_a_write_happens_even_if_nobody_looks_at_the_cursor(sql: SqlStorage) -> None:
    sql.exec("INSERT INTO seats VALUES ('A1', 1) RETURNING name")

    assert sql.exec("SELECT name FROM seats").one() == {"name": "A1"}


def test_the_size_of_the_database_grows_with_its_tables(sql: SqlStorage) -> None:
    before = sql.database_size

    sql.exec("CREATE TABLE more (a)")
    assert sql.database_size == before + 4096
    sql.exec("DROP TABLE more")

    assert sql.database_size == before


def test_a_query_that_was_cached_sees_a_column_that_was_added_later(sql: SqlStorage) -> None:
    sql.exec("INSERT INTO seats VALUES ('A1', 1)")
    assert sql.exec("SELECT * FROM seats").one() == {"name": "A1", "row": 1}

    sql.exec("ALTER TABLE seats ADD COLUMN price DEFAULT 5")

    assert sql.exec("SELECT * FROM seats").one() == {"name": "A1", "row": 1, "price": 5}


# Reading rows.


def test_a_cursor_is_iterated_in_order_once(sql: SqlStorage) -> None:
    cursor = sql.exec(THREE)

    assert list(cursor) == [{"n": 1}, {"n": 2}, {"n": "three"}]
    assert list(cursor) == []


def test_next_answers_none_after_the_last_row(sql: SqlStorage) -> None:
    cursor = sql.exec(THREE)

    rows = [cursor.next() for _ in range(5)]

    assert rows == [{"n": 1}, {"n": 2}, {"n": "three"}, None, None]


def test_to_array_returns_the_rows_that_are_left(sql: SqlStorage) -> None:
    cursor = sql.exec(THREE)
    cursor.next()

    assert cursor.to_array() == [{"n": 2}, {"n": "three"}]
    assert cursor.to_array() == []


def test_raw_shares_the_position_of_the_cursor(sql: SqlStorage) -> None:
    cursor = sql.exec(THREE)
    raw = cursor.raw()

    assert [next(raw), cursor.next(), next(raw), next(raw, None)] == [
        (1,),
        {"n": 2},
        ("three",),
        None,
    ]


def test_one_returns_the_only_row_and_finishes_the_cursor(sql: SqlStorage) -> None:
    cursor = sql.exec("SELECT 5 AS n")

    assert cursor.one() == {"n": 5}
    assert list(cursor) == []


@pytest.mark.parametrize(
    ("query", "found"), [(THREE, "multiple results"), ("SELECT 1 WHERE 0", "no results")]
)
def test_one_refuses_any_other_number_of_rows_and_finishes_the_cursor(
    sql: SqlStorage, query: str, found: str
) -> None:
    cursor = sql.exec(query)

    with pytest.raises(
        SqlError, match=rf"^Expected exactly one result from SQL query, but got {found}\.$"
    ):
        cursor.one()
    assert list(cursor) == []
    assert cursor.next() is None


def test_one_counts_the_rows_that_are_left(sql: SqlStorage) -> None:
    cursor = sql.exec("SELECT 1 AS n UNION ALL SELECT 2")
    cursor.next()

    assert cursor.one() == {"n": 2}


def test_of_columns_of_the_same_name_the_last_counts_except_in_raw(sql: SqlStorage) -> None:
    query = "SELECT 1 AS a, 2 AS b, 3 AS a"

    cursor = sql.exec(query)

    assert cursor.column_names == ["a", "b", "a"]
    assert cursor.one() == {"a": 3, "b": 2}
    assert cursor.column_names == ["a", "b", "a"]
    assert list(sql.exec(query).raw()) == [(1, 2, 3)]


@pytest.mark.parametrize(
    "statement",
    ["UPDATE seats SET row = 1", "INSERT INTO seats VALUES ('A1', 1)", "CREATE TABLE t (a)"],
)
def test_a_statement_without_a_result_has_no_columns_and_no_rows(
    sql: SqlStorage, statement: str
) -> None:
    cursor = sql.exec(statement)

    assert (cursor.column_names, cursor.to_array()) == ([], [])


@pytest.mark.parametrize("kind", [Seat, Place])
def test_a_row_can_be_made_into_something_else(sql: SqlStorage, kind: type[Any]) -> None:
    sql.exec("INSERT INTO seats VALUES ('A1', 1), ('B1', 2)")

    rows = sql.exec("SELECT * FROM seats ORDER BY row", row=kind)

    assert rows.next() == kind(name="A1", row=1)
    assert rows.one() == kind(name="B1", row=2)


def test_a_row_that_cant_be_made_is_passed_over(sql: SqlStorage) -> None:
    sql.exec("INSERT INTO seats VALUES (NULL, 1), ('B1', 2)")
    cursor = sql.exec("SELECT * FROM seats ORDER BY row", row=Place)

    with pytest.raises(ValidationError):
        cursor.next()

    assert cursor.next() == Place(name="B1", row=2)


def test_a_cursor_reads_while_its_object_writes(sql: SqlStorage) -> None:
    sql.exec("INSERT INTO seats VALUES ('A1', 1), ('B1', 2)")

    for seat in sql.exec("SELECT * FROM seats ORDER BY row", row=Seat):
        sql.exec("UPDATE seats SET name = lower(name) WHERE name = ?", seat.name)

    assert [name for (name,) in sql.exec("SELECT name FROM seats").raw()] == ["a1", "b1"]


def test_a_cursor_survives_the_storage_that_it_came_from(database: Database) -> None:
    cursor = SqlStorage(database, lambda: None).exec(THREE)

    assert len(cursor.to_array()) == 3


# Counting.


def test_the_cursor_is_one_row_ahead_of_its_reader(sql: SqlStorage) -> None:
    cursor = sql.exec(THREE)

    read = [cursor.rows_read]
    while cursor.next() is not None:
        read.append(cursor.rows_read)

    assert read == [1, 2, 3, 3]


def test_a_cursor_without_rows_has_read_none(sql: SqlStorage) -> None:
    assert sql.exec("SELECT 1 WHERE 0").rows_read == 0


@pytest.mark.parametrize(
    ("statement", "written"),
    [
        ("SELECT * FROM seats", 0),
        ("INSERT INTO seats VALUES ('C1', 3)", 1),
        ("INSERT INTO seats SELECT name, row + 10 FROM seats", 2),
        ("UPDATE seats SET row = 5", 2),
        ("UPDATE seats SET row = 5 WHERE row = 99", 0),
        ("DELETE FROM seats", 2),
        ("DELETE FROM seats WHERE row = 1 RETURNING name", 1),
        ("CREATE TABLE t (a)", 0),
    ],
)
def test_written_rows_are_counted(sql: SqlStorage, statement: str, written: int) -> None:
    sql.exec("INSERT INTO seats VALUES ('A1', 1), ('B1', 2)")

    assert sql.exec(statement).rows_written == written


def test_rows_that_a_trigger_writes_are_counted(sql: SqlStorage) -> None:
    sql.exec("CREATE TABLE log (name)")
    sql.exec(
        "CREATE TRIGGER note AFTER INSERT ON seats BEGIN INSERT INTO log VALUES (new.name); END"
    )

    assert sql.exec("INSERT INTO seats VALUES ('A1', 1), ('B1', 2)").rows_written == 4


def test_each_cursor_counts_for_itself(sql: SqlStorage) -> None:
    sql.exec("INSERT INTO seats VALUES ('A1', 1)")

    first, second = sql.exec(THREE), sql.exec(THREE)
    second.to_array()

    assert (first.rows_read, second.rows_read) == (1, 3)


# Full text.


def test_full_text_finds_stems_ranks_and_marks(sql: SqlStorage) -> None:
    sql.exec("CREATE VIRTUAL TABLE docs USING fts5(title, body, tokenize = 'porter')")
    sql.exec("INSERT INTO docs VALUES ('a', 'content here'), ('b', 'contents, contents!')")

    rows = sql.exec(
        "SELECT title, highlight(docs, 1, '<b>', '</b>') AS marked, "
        "snippet(docs, 1, '<b>', '</b>', '...', 1) AS part "
        "FROM docs WHERE docs MATCH 'content' ORDER BY bm25(docs)"
    ).to_array()

    assert rows == [
        {"title": "b", "marked": "<b>contents</b>, <b>contents</b>!", "part": "<b>contents</b>..."},
        {"title": "a", "marked": "<b>content</b> here", "part": "<b>content</b>..."},
    ]
