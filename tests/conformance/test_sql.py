"""Section A of the conformance list, first half: statements, their rows, and what is counted.

The rules for statements and their limits are in `test_sql_rules`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from runtime import DurableObject, DurableObjectState, SqlStorage, errors
from runtime.testing import TestRuntime
from tests.conftest import StartRuntime

LEFT_OUT: Final[dict[str, str]] = {
    "A10": "ingest() is experimental in the original, and not in api.md",
    "A57": "every class has SQL: api.md knows new_sqlite_classes only, nothing is without",
}

THREE: Final = "SELECT 1 AS n UNION ALL SELECT 'two' UNION ALL SELECT 3"


class Library(DurableObject[Any]):
    """Lends books to readers; a loan needs its reader, at the latest when it commits."""

    migrations = (
        "CREATE TABLE readers (id INTEGER PRIMARY KEY, name TEXT)",
        "CREATE TABLE loans (id INTEGER PRIMARY KEY, reader INTEGER REFERENCES readers (id))",
    )

    async def lend(self, reader: int, *, register: bool) -> str:
        """Note a loan, and after it the reader if `register`."""
        sql = self.ctx.storage.sql

        def lend() -> str:
            sql.exec("PRAGMA defer_foreign_keys = ON")
            sql.exec("INSERT INTO loans (reader) VALUES (?)", reader)
            if register:
                sql.exec("INSERT INTO readers VALUES (?, 'Ada')", reader)
            return "lent"

        return self.ctx.storage.transaction_sync(lend)

    async def loans(self) -> list[int]:
        return [row["reader"] for row in self.ctx.storage.sql.exec("SELECT reader FROM loans")]


class Console:
    """Runs SQL in one object, each time as an event of its own."""

    def __init__(self, runtime: TestRuntime[Any], stub: Any) -> None:
        self.runtime = runtime
        self.stub = stub

    async def inside(self, work: Callable[[DurableObjectState], Any]) -> Any:
        """Run `work` as code of the object."""
        return await self.runtime.run_in_durable_object(self.stub, lambda _, ctx: work(ctx))

    async def use(self, work: Callable[[SqlStorage], Any]) -> Any:
        """Run `work` with the object's SQL."""
        return await self.inside(lambda ctx: work(ctx.storage.sql))

    async def run(self, query: str, *bindings: Any) -> list[dict[str, Any]]:
        """Return the rows of a query."""
        rows: list[dict[str, Any]]
        rows = await self.use(lambda sql: sql.exec(query, *bindings).to_array())
        return rows

    async def written(self, query: str, *bindings: Any) -> int:
        """Return how many rows a statement says it has written."""
        return int(await self.use(lambda sql: sql.exec(query, *bindings).rows_written))

    async def refusal(self, query: str, *bindings: Any) -> str:
        """Return with what words a query is refused."""
        with pytest.raises(errors.SqlError) as caught:
            await self.run(query, *bindings)
        assert not caught.value.durable_object_reset
        return str(caught.value)


@pytest.fixture
async def console(start_runtime: StartRuntime) -> Console:
    """A console on an object of a runtime of its own."""
    runtime = await start_runtime(libraries=Library)
    console = Console(runtime, runtime.env.libraries.get_by_name("a"))
    # Or else a test's own tables would be gone while they have no rows: see the last test.
    await console.inside(lambda ctx: ctx.storage.put("kept", True))
    return console


# Rows and their cursors.


async def test_a01_a_number_is_a_row_of_one_column(console: Console) -> None:
    assert await console.run("SELECT 123") == [{"123": 123}]
    assert await console.use(lambda sql: list(sql.exec("SELECT 123").raw())) == [(123,)]


async def test_a02_a_text_names_its_column_with_its_quotes(console: Console) -> None:
    assert await console.run("SELECT 'hello'") == [{"'hello'": "hello"}]


async def test_a04_bindings_take_the_places_of_question_marks(console: Console) -> None:
    assert await console.run("SELECT ?", 456) == [{"?": 456}]
    assert await console.run("SELECT ? + ?", 123, 456) == [{"? + ?": 579}]


async def test_a05_rows_come_in_order(console: Console) -> None:
    query = "SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3"

    rows = await console.use(lambda sql: list(sql.exec(query)))

    assert rows == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_a06_next_answers_none_after_the_last_row(console: Console) -> None:
    def step(sql: SqlStorage) -> list[Any]:
        cursor = sql.exec(THREE)
        return [cursor.next() for _ in range(4)]

    assert await console.use(step) == [{"n": 1}, {"n": "two"}, {"n": 3}, None]


async def test_a08_one_returns_the_only_row_and_finishes_the_cursor(console: Console) -> None:
    def take(sql: SqlStorage) -> tuple[Any, ...]:
        cursor = sql.exec("SELECT 123 AS foo, 'abc' AS bar")
        return cursor.one(), list(cursor)

    assert await console.use(take) == ({"foo": 123, "bar": "abc"}, [])


@pytest.mark.parametrize(
    ("query", "found"), [(THREE, "multiple results"), ("SELECT * FROM readers", "no results")]
)
async def test_a09_one_refuses_any_other_number_of_rows(
    console: Console, query: str, found: str
) -> None:
    def take(sql: SqlStorage) -> None:
        cursor = sql.exec(query)
        with pytest.raises(
            errors.SqlError,
            match=rf"^Expected exactly one result from SQL query, but got {found}\.$",
        ):
            cursor.one()
        assert list(cursor) == []

    await console.use(take)


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("SELECT count(value) FROM (SELECT 1 AS value UNION ALL SELECT 2 UNION ALL SELECT 3)", 3),
        ("SELECT sum(value) FROM (SELECT 1 AS value UNION ALL SELECT 2 UNION ALL SELECT 3)", 6),
        ("SELECT cos(0)", 1),
        ("SELECT abs(-123)", 123),
    ],
)
async def test_a14_aggregates_and_mathematics_are_there(
    console: Console, query: str, value: int
) -> None:
    (row,) = await console.run(query)

    assert list(row.values()) == [value]


async def test_a32_the_current_date_and_time_are_the_runtimes(console: Console) -> None:
    now = datetime.fromtimestamp(console.runtime.clock.time(), UTC)

    (row,) = await console.run("SELECT current_date, current_time, current_timestamp")

    assert row == {
        "current_date": f"{now:%Y-%m-%d}",
        "current_time": f"{now:%H:%M:%S}",
        "current_timestamp": f"{now:%Y-%m-%d %H:%M:%S}",
    }


async def test_a40_of_columns_of_the_same_name_the_last_counts_except_in_raw(
    console: Console,
) -> None:
    def join(sql: SqlStorage) -> None:
        sql.exec("CREATE TABLE abc (a, b, c); INSERT INTO abc VALUES (1, 2, 3), (4, 5, 6)")
        sql.exec("CREATE TABLE cde (c, d, e); INSERT INTO cde VALUES (7, 8, 9), (1, 2, 3)")
        names = ["a", "b", "c", "c", "d", "e"]

        rows = sql.exec("SELECT * FROM abc, cde").to_array()
        cursor = sql.exec("SELECT * FROM abc, cde")

        assert [len(row) for row in rows] == [5, 5, 5, 5]
        assert [row["c"] for row in rows] == [7, 1, 7, 1]
        assert cursor.column_names == names
        assert list(cursor.raw()) == [
            (1, 2, 3, 7, 8, 9),
            (1, 2, 3, 1, 2, 3),
            (4, 5, 6, 7, 8, 9),
            (4, 5, 6, 1, 2, 3),
        ]
        assert cursor.column_names == names
        assert sql.exec("UPDATE abc SET a = 1 WHERE b = 99").column_names == []

    await console.use(join)


async def test_a41_bytes_and_nothing_can_be_bound_and_read(console: Console) -> None:
    await console.run("CREATE TABLE files (id INTEGER PRIMARY KEY, data BLOB)")
    data = bytes(range(12))

    await console.run(
        "INSERT INTO files (data) VALUES (?), (zeroblob(10)), (NULL), (?)", data, None
    )

    rows = await console.run("SELECT data FROM files ORDER BY id")
    assert [row["data"] for row in rows] == [data, bytes(10), None, None]


async def test_a42_a_bound_buffer_may_be_changed_before_its_row_is_read(console: Console) -> None:
    def bind(sql: SqlStorage) -> None:
        buffer = bytearray(b"abcdefgh")
        with memoryview(buffer) as whole, whole[2:6] as part:
            bound: tuple[Any, Any] = (buffer, part)
            cursor = sql.exec("SELECT ? AS bytes UNION ALL SELECT ?", *bound)

        buffer[:] = b"x"  # shorter than both

        assert cursor.to_array() == [{"bytes": b"abcdefgh"}, {"bytes": b"cdef"}]

    await console.use(bind)


async def test_a48_a_statement_from_the_cache_heeds_a_new_column(console: Console) -> None:
    def alter(sql: SqlStorage) -> None:
        sql.exec("CREATE TABLE t (a INTEGER)")
        sql.exec("INSERT INTO t VALUES (?)", 1)
        assert sql.exec("SELECT * FROM t").to_array() == [{"a": 1}]

        sql.exec("ALTER TABLE t ADD COLUMN b INTEGER")

        assert sql.exec("SELECT * FROM t").to_array() == [{"a": 1, "b": None}]
        for number in (2, 3):
            sql.exec("INSERT INTO t VALUES (?, ?)", number, number)
        assert list(sql.exec("SELECT * FROM t").raw()) == [(1, None), (2, 2), (3, 3)]
        with pytest.raises(errors.SqlError, match="has 2 columns but 1 values"):
            sql.exec("INSERT INTO t VALUES (?)", 1)

    await console.use(alter)


# Several statements, and errors.


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT * bunk;", 'near "bunk": syntax error at offset 9'),
        ("INSER INTO xyz VALUES ('a'),('b');", 'near "INSER": syntax error at offset 0'),
        ("INSERT INTO xyz VALUES ('a')('b');", 'near "(": syntax error at offset 28'),
    ],
)
async def test_a12_a_statement_that_is_wrong_is_refused_with_the_place(
    console: Console, query: str, reason: str
) -> None:
    """Through `exec`: there is no `ingest`."""
    assert await console.refusal(query) == f"{reason}: SQLITE_ERROR"


async def test_a13_many_rows_in_many_statements_arrive_whole(console: Console) -> None:
    """Through `exec`: there is no `ingest`, so no chunks either."""
    endings = ["🐭", "🦀", "🐌", "🐝", "🦉", "🔥🐉🔥"]
    statements = []
    for start in "abcdef":
        rows = ", ".join(f"('{start}: {end}')" for end in endings)
        statements.append(f"INSERT INTO lines VALUES {rows};")
    await console.run("CREATE TABLE lines (text TEXT)")

    await console.run(" ".join(statements))

    assert await console.run("SELECT count(*) AS n FROM lines") == [{"n": 36}]
    last = await console.run("SELECT text FROM lines WHERE text LIKE 'f%' ORDER BY rowid")
    assert [row["text"] for row in last] == [f"f: {end}" for end in endings]
    assert [await console.written(statement) for statement in statements] == [6] * 6


@pytest.mark.parametrize(("query", "offset"), [("SELECT ;", 7), ("SELECT -;", 8)])
async def test_a16_a_syntax_error_says_where(console: Console, query: str, offset: int) -> None:
    assert f"syntax error at offset {offset}" in await console.refusal(query)


async def test_a17_an_error_ends_with_its_code(console: Console) -> None:
    refusal = await console.refusal("INSERT INTO readers (rowid, name) VALUES ('yes', 'no')")

    assert refusal == "datatype mismatch: SQLITE_MISMATCH"


@pytest.mark.parametrize("bindings", [(), (1, 2)])
async def test_a18_there_are_as_many_bindings_as_places(
    console: Console, bindings: tuple[int, ...]
) -> None:
    refusal = await console.refusal("SELECT ?", *bindings)

    assert refusal == "Wrong number of parameter bindings for SQL query."


@pytest.mark.parametrize("blank", [" ", "\t", "\n", "\r", "\v", "\f", "\r\n"])
async def test_a20_blanks_may_follow_the_last_semicolon(console: Console, blank: str) -> None:
    assert await console.run(f"SELECT 1;{blank}") == [{"1": 1}]


async def test_a21_of_several_statements_the_last_one_answers(console: Console) -> None:
    assert await console.run("SELECT 1; SELECT 2;") == [{"2": 2}]


async def test_a22_of_several_statements_only_the_last_one_has_parameters(
    console: Console,
) -> None:
    assert await console.run("SELECT 1; SELECT ? AS n", 2) == [{"n": 2}]

    for query in ("SELECT ?; SELECT ?", "SELECT ?; SELECT 2"):
        assert await console.refusal(query, 1) == (
            "When executing multiple SQL statements in a single call, only the last statement "
            "can have parameters."
        )


async def test_a54_several_statements_run_as_one_after_a_pragma_that_recompiles_all(
    console: Console,
) -> None:
    def create(sql: SqlStorage) -> list[Any]:
        sql.exec("PRAGMA case_sensitive_like = TRUE")
        return sql.exec(
            """
            CREATE TABLE items (i INTEGER, s TEXT);
            CREATE INDEX items_by_s ON items (s);
            INSERT INTO items VALUES (123, "abc");
            INSERT INTO items VALUES (456, "def");
            SELECT i FROM items WHERE s = "abc";
            """
        ).to_array()

    assert await console.use(create) == [{"i": 123}]
    assert await console.run("SELECT count(*) AS n FROM items") == [{"n": 2}]


# What is counted.


async def test_a49_each_cursor_counts_the_rows_it_has_read_and_written(console: Console) -> None:
    def count(sql: SqlStorage) -> None:
        sql.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, value TEXT)")
        insert = "INSERT INTO t VALUES (?, ?)"

        first, second = sql.exec(insert, 1, "a"), sql.exec(insert, 2, "b")
        scan = sql.exec("SELECT * FROM t")
        scan.to_array()

        assert (first.rows_written, second.rows_written) == (1, 1)
        assert (scan.rows_read, scan.rows_written) == (2, 0)

    await console.use(count)


async def test_a49_a_cursor_is_one_row_ahead_of_its_reader(console: Console) -> None:
    def read(sql: SqlStorage) -> list[int]:
        cursor = sql.exec("SELECT value FROM json_each('[1,2,3,4,5,6,7,8,9,10]')")
        return [cursor.rows_read for _ in cursor] + [cursor.rows_read]

    assert await console.use(read) == [2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10]


async def test_a49_cursors_inside_each_other_count_for_themselves(console: Console) -> None:
    def join(sql: SqlStorage) -> None:
        sql.exec("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)")
        pairs, read = [], []

        rows = sql.exec("SELECT a FROM t")
        for row in rows:
            others = sql.exec("SELECT a FROM t")
            pairs += [(row["a"], other["a"]) for other in others]
            read.append(others.rows_read)

        assert pairs == [(1, 1), (1, 2), (2, 1), (2, 2)]
        assert (rows.rows_read, read) == (2, [2, 2])

    await console.use(join)


async def test_a49_the_list_after_in_isnt_counted(console: Console) -> None:
    def look(sql: SqlStorage) -> tuple[int, int]:
        sql.exec("CREATE TABLE t (a); INSERT INTO t VALUES (1), (4)")
        cursor = sql.exec("SELECT * FROM t WHERE a IN (1, 2, 3, 4, 5, 6)")
        cursor.to_array()
        return cursor.rows_read, cursor.rows_written

    assert await console.use(look) == (2, 0)


@pytest.mark.parametrize(
    ("statement", "written"),
    [
        ("INSERT INTO readers VALUES (2, 'Ben')", 1),
        ("INSERT INTO readers VALUES (2, 'Ben'), (3, 'Cleo')", 2),
        ("INSERT INTO loans (id) SELECT value FROM json_each('[1, 3, 5]')", 3),
        ("UPDATE readers SET name = 'Bea'", 1),
        ("DELETE FROM readers WHERE id = 1", 1),
        ("DELETE FROM readers WHERE id = 99", 0),
    ],
)
async def test_a50_written_rows_are_counted(console: Console, statement: str, written: int) -> None:
    await console.run("INSERT INTO readers VALUES (1, 'Ada')")

    assert await console.written(statement) == written


async def test_a50_a_row_of_many_pages_is_one_row(console: Console) -> None:
    def insert(sql: SqlStorage) -> tuple[int, int]:
        sql.exec("CREATE TABLE t (text TEXT)")
        written = sql.exec("INSERT INTO t VALUES (?)", "A" * 100_000).rows_written
        cursor = sql.exec("SELECT * FROM t")
        cursor.one()
        return written, cursor.rows_read

    assert await console.use(insert) == (1, 1)


async def test_a50_rows_that_a_trigger_writes_are_counted(console: Console) -> None:
    await console.run("CREATE TABLE t (id); CREATE TABLE log (id, verb)")
    for verb, row in (("INSERT", "new"), ("DELETE", "old")):
        await console.run(
            f"CREATE TRIGGER log_{verb} AFTER {verb} ON t "
            f"BEGIN INSERT INTO log VALUES ({row}.id, '{verb}'); END"
        )

    assert await console.written("INSERT INTO t VALUES (1)") == 2
    assert await console.written("INSERT INTO t VALUES (2), (3)") == 4
    assert await console.written("DELETE FROM t") == 6


@pytest.mark.xfail(
    strict=True,
    reason="SQLite has no count of index rows; the original patches it. `SqlCursor` says so",
)
async def test_a50_an_index_is_an_extra_write(console: Console) -> None:
    await console.run("CREATE TABLE t (a, b); CREATE INDEX t_by_a ON t (a)")

    assert await console.written("INSERT INTO t VALUES (1, 2)") == 2


@pytest.mark.xfail(
    strict=True,
    reason="SQLite has no count of rows looked at; the original patches it. `SqlCursor` says so",
)
async def test_a50_rows_that_a_query_only_looks_at_are_read(console: Console) -> None:
    def look(sql: SqlStorage) -> int:
        sql.exec("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)")
        cursor = sql.exec("SELECT * FROM t WHERE a = 2")
        cursor.one()
        return cursor.rows_read

    assert await console.use(look) == 3


# Constraints at the end of a transaction.


async def test_a52_a_child_may_come_before_its_parent_in_a_transaction(console: Console) -> None:
    with pytest.raises(
        errors.SqlError, match=r"^FOREIGN KEY constraint failed: SQLITE_CONSTRAINT$"
    ):
        await console.run("INSERT INTO loans (reader) VALUES (1)")

    assert await console.stub.lend(1, register=True) == "lent"
    assert await console.stub.loans() == [1]


async def test_a53_a_child_that_stays_without_a_parent_resets_the_object(console: Console) -> None:
    await console.stub.lend(1, register=True)

    with pytest.raises(errors.SqlError) as caught:
        await console.stub.lend(2, register=False)

    assert str(caught.value) == (
        "Durable Object was reset and rolled back to its last known good state because the "
        "application left the database in a state where constraints were violated: FOREIGN KEY "
        "constraint failed: SQLITE_CONSTRAINT"
    )
    assert caught.value.durable_object_reset
    new_stub = console.runtime.env.libraries.get(console.stub.id)
    assert await new_stub.loans() == [1]


@pytest.mark.xfail(
    strict=True,
    reason="api.md, difference 4: a stub names an object, and its next call reaches the new life",
)
async def test_a53_the_stub_of_an_object_that_was_reset_goes_on_failing(console: Console) -> None:
    with pytest.raises(errors.SqlError, match="constraints were violated"):
        await console.stub.lend(2, register=False)

    with pytest.raises(errors.SqlError, match="constraints were violated"):
        await console.stub.loans()


# Tables that have no rows.


async def test_a_table_without_rows_is_still_there_after_an_eviction(
    start_awake_runtime: StartRuntime,
) -> None:
    runtime = await start_awake_runtime(objects=DurableObject)
    console = Console(runtime, runtime.env.objects.get_by_name("a"))
    await console.run("CREATE TABLE t (a)")

    await runtime.evict_durable_object(console.stub)

    assert await console.run("SELECT * FROM t") == []


async def test_a_table_without_rows_is_still_there_after_a_crash(
    start_awake_runtime: StartRuntime,
) -> None:
    runtime = await start_awake_runtime(objects=DurableObject)
    console = Console(runtime, runtime.env.objects.get_by_name("a"))
    await console.run("CREATE TABLE t (a)")

    await runtime.crash()

    assert await console.run("SELECT * FROM t") == []


async def test_tables_made_by_migrations_alone_are_nothing_stored(
    start_awake_runtime: StartRuntime,
) -> None:
    class Shelf(DurableObject[object]):
        migrations = ("CREATE TABLE books (title TEXT)",)

        async def look(self) -> int:
            return len(self.ctx.storage.sql.exec("SELECT title FROM books").to_array())

    runtime = await start_awake_runtime(shelves=Shelf)
    shelf = runtime.env.shelves.get_by_name("a")
    assert await shelf.look() == 0

    await runtime.evict_durable_object(shelf)

    assert await runtime.list_durable_object_ids(runtime.env.shelves) == []
