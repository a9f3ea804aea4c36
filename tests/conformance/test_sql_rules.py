"""Section A of the conformance list, second half: what SQL may do, and its limits."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import Any, Final

import pytest

from runtime import DurableObjectState, SqlStorage, errors
from tests.conformance.test_sql import Console, console

__all__ = ["console"]

NOT_AUTHORIZED: Final = "not authorized: SQLITE_AUTH"
TOO_BIG: Final = "string or blob too big: SQLITE_TOOBIG"
MEBIBYTE: Final = 1024 * 1024


def repeated(part: str, times: int, separator: str = ", ") -> str:
    return separator.join([part] * times)


def table_of(columns: int) -> str:
    names = ", ".join(f"c{number}" for number in range(columns))
    return f"CREATE TABLE t ({names})"


# Names.


@pytest.mark.parametrize("name", ["_CF_test", "_Cf_test", "_cF_test", "_cf_test"])
@pytest.mark.parametrize("kind", ["TABLE {} (a)", "VIRTUAL TABLE {} USING fts5(a)"])
async def test_a24_the_runtimes_names_cant_be_taken(console: Console, name: str, kind: str) -> None:
    assert await console.refusal(f"CREATE {kind.format(name)}") == NOT_AUTHORIZED


async def test_a24_other_names_of_full_text_tables_are_free(console: Console) -> None:
    await console.run("CREATE VIRTUAL TABLE my_fts USING fts5(a)")
    await console.run("DROP TABLE my_fts")

    assert await console.run("SELECT * FROM sqlite_schema WHERE name LIKE 'my_fts%'") == []


async def test_a25_no_table_can_be_renamed_to_one_of_the_runtimes(console: Console) -> None:
    assert await console.refusal("ALTER TABLE loans RENAME TO _cf_x") == NOT_AUTHORIZED

    await console.run("ALTER TABLE loans RENAME TO borrowings")
    assert await console.run("SELECT * FROM borrowings") == []


# Pragmas.


@pytest.mark.parametrize(
    "pragma",
    ["hard_heap_limit = 1024", "max_page_count = 65536", "data_version = 5", "page_size = 8192"],
)
async def test_a26_what_the_runtime_rests_on_cant_be_set(console: Console, pragma: str) -> None:
    assert await console.refusal(f"PRAGMA {pragma}") == NOT_AUTHORIZED


async def test_a26_the_version_of_the_data_can_be_read(console: Console) -> None:
    assert await console.run("PRAGMA data_version") == [{"data_version": 2}]


@pytest.mark.parametrize("argument", ["", "(1)", "(100)", "(readers)"])
async def test_a28_the_database_can_be_checked(console: Console, argument: str) -> None:
    assert await console.run(f"PRAGMA quick_check{argument}") == [{"quick_check": "ok"}]


async def test_a28_tables_of_the_runtime_cant_be_checked(console: Console) -> None:
    await console.inside(lambda ctx: ctx.storage.put("a", 1))  # so there is such a table

    assert await console.refusal("PRAGMA quick_check(_cf_KV)") == NOT_AUTHORIZED


@pytest.mark.parametrize("mask", ["-1", "0x7fffffff"])
async def test_a29_optimising_can_be_tried(console: Console, mask: str) -> None:
    rows = await console.run(f"PRAGMA optimize({mask})")

    assert {"optimize": 'ANALYZE "main"."readers"'} in rows
    assert all(row["optimize"].startswith('ANALYZE "main".') for row in rows)


@pytest.mark.parametrize("statement", ["PRAGMA optimize", "PRAGMA optimize = 0x10002", "ANALYZE"])
async def test_a29_the_database_can_be_optimised(console: Console, statement: str) -> None:
    assert await console.run(statement) == []


@pytest.mark.parametrize(
    ("value", "stands_for"),
    [
        ("true", 1),
        ("false", 0),
        ("on", 1),
        ("off", 0),
        ("yes", 1),
        ("no", 0),
        ("1", 1),
        ("0", 0),
        ("tRuE", 1),
        ("NO", 0),
        ("'true'", 1),
        ('"yes"', 1),
        ('"0"', 0),
        ("  true    ", 1),
    ],
)
async def test_a38_a_switch_can_be_set_in_many_words(
    console: Console, value: str, stands_for: int
) -> None:
    def turn(sql: SqlStorage) -> Any:
        sql.exec(f"PRAGMA defer_foreign_keys = {1 - stands_for}")
        sql.exec(f"PRAGMA defer_foreign_keys = {value};")
        return sql.exec("PRAGMA defer_foreign_keys").one()

    assert await console.use(turn) == {"defer_foreign_keys": stands_for}


@pytest.mark.parametrize(
    ("value", "reason"),
    [("abcd", NOT_AUTHORIZED), ('"foo"', NOT_AUTHORIZED), ("'yes", "unrecognized token")],
)
async def test_a38_a_switch_takes_nothing_else(console: Console, value: str, reason: str) -> None:
    assert reason in await console.refusal(f"PRAGMA defer_foreign_keys = {value};")


async def test_a44_checks_are_enforced_unless_they_are_turned_off(console: Console) -> None:
    def alter(sql: SqlStorage) -> None:
        sql.exec("CREATE TABLE altercolumns (meta TEXT)")
        sql.exec("ALTER TABLE altercolumns ADD COLUMN tobedeleted TEXT")
        sql.exec("ALTER TABLE altercolumns RENAME COLUMN meta TO metadata")
        sql.exec("ALTER TABLE altercolumns DROP COLUMN tobedeleted")
        add = "ALTER TABLE altercolumns ADD COLUMN"
        sql.exec(f"{add} checked TEXT CHECK (checked IN ('A', 'B'))")

        sql.exec("INSERT INTO altercolumns (checked) VALUES ('A')")
        with pytest.raises(
            errors.SqlError, match=r"^CHECK constraint failed: checked IN \('A', 'B'\)"
        ):
            sql.exec("INSERT INTO altercolumns (checked) VALUES ('C')")
        with pytest.raises(errors.SqlError, match="CHECK constraint failed"):
            sql.exec(f"{add} second TEXT CHECK (second IS NOT NULL)")

        sql.exec("PRAGMA ignore_check_constraints = ON")
        sql.exec("INSERT INTO altercolumns (checked) VALUES ('C')")
        sql.exec(f"{add} second TEXT CHECK (second IS NOT NULL)")
        assert sql.exec("SELECT * FROM altercolumns").to_array() == [
            {"metadata": None, "checked": "A", "second": None},
            {"metadata": None, "checked": "C", "second": None},
        ]

        sql.exec("PRAGMA ignore_check_constraints = OFF")  # looks at nothing that is there
        with pytest.raises(errors.SqlError, match="CHECK constraint failed"):
            sql.exec(f"{add} third TEXT DEFAULT 'E' CHECK (third IN ('E', 'F'))")
        assert sql.exec("PRAGMA quick_check").to_array() == [
            {"quick_check": "CHECK constraint failed in altercolumns"},
            {"quick_check": "CHECK constraint failed in altercolumns"},
        ]

    await console.use(alter)


async def test_a46_foreign_keys_can_be_turned_off_outside_a_transaction(console: Console) -> None:
    async def orphan(ctx: DurableObjectState) -> None:
        sql = ctx.storage.sql

        async def turn_off() -> None:
            sql.exec("PRAGMA foreign_keys = OFF")

        def create() -> None:
            sql.exec("CREATE TABLE A (id INTEGER PRIMARY KEY, b INTEGER REFERENCES B (id))")
            sql.exec("INSERT INTO A VALUES (1, 1); CREATE TABLE B (id INTEGER PRIMARY KEY)")

        await ctx.block_concurrency_while(turn_off)
        ctx.storage.transaction_sync(create)

        assert sql.exec("PRAGMA foreign_keys").one() == {"foreign_keys": 0}
        assert sql.exec("PRAGMA foreign_key_check").to_array() == [
            {"table": "A", "rowid": 1, "parent": "B", "fkid": 0}
        ]
        sql.exec("INSERT INTO B VALUES (1)")
        assert sql.exec("PRAGMA foreign_key_check").to_array() == []

    await console.inside(orphan)


async def test_a46_foreign_keys_cant_be_turned_off_inside_a_transaction(console: Console) -> None:
    def write_first(sql: SqlStorage) -> Any:
        sql.exec("INSERT INTO readers VALUES (1, 'Ada')")
        sql.exec("PRAGMA foreign_keys = OFF")
        return sql.exec("PRAGMA foreign_keys").one()

    assert await console.use(write_first) == {"foreign_keys": 1}


# Functions, transactions, other databases.


async def test_a30_the_version_of_sqlite_isnt_told(console: Console) -> None:
    refusal = await console.refusal("SELECT sqlite_version()")

    assert refusal.startswith("not authorized to use function: sqlite_version")


async def test_a33_five_queries_can_be_united_and_six_cant(console: Console) -> None:
    five, six = (
        " UNION ALL ".join(f"SELECT {number} AS n" for number in range(count)) for count in (5, 6)
    )

    assert [row["n"] for row in await console.run(five)] == [0, 1, 2, 3, 4]
    assert await console.refusal(six) == "too many terms in compound SELECT: SQLITE_ERROR"


@pytest.mark.parametrize("statement", ["BEGIN TRANSACTION", "SAVEPOINT foo"])
async def test_a34_who_wants_a_transaction_is_told_how(console: Console, statement: str) -> None:
    assert await console.refusal(statement) == (
        "To execute a transaction, please use the ctx.storage.transaction() or "
        "ctx.storage.transaction_sync() APIs instead of the SQL BEGIN TRANSACTION or SAVEPOINT "
        "statements. The Python API is safer because it will automatically roll back on "
        "exceptions, and because it interacts correctly with Durable Objects' automatic atomic "
        "write coalescing."
    )


async def test_a45_there_are_no_temporary_tables(console: Console) -> None:
    statement = "CREATE TEMP TABLE tempy AS SELECT * FROM sqlite_master"

    assert await console.refusal(statement) == NOT_AUTHORIZED


@pytest.mark.xfail(
    strict=True,
    reason="architecture.md: SQL runs on apsw's own SQLite, which is built without "
    "SQLITE_ENABLE_UPDATE_DELETE_LIMIT",
)
async def test_a60_the_rows_that_are_deleted_can_be_limited(console: Console) -> None:
    await console.run("INSERT INTO readers VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e')")

    await console.run("DELETE FROM readers LIMIT 2")

    assert await console.run("SELECT count(*) AS n FROM readers") == [{"n": 3}]


# Full text and R*Trees.

ARTICLES: Final = """
    CREATE TABLE articles (id INTEGER PRIMARY KEY, title TEXT, body TEXT);
    CREATE VIRTUAL TABLE found USING FtS5(id, title, body, tokenize = porter);
    CREATE TRIGGER found_insert AFTER INSERT ON articles BEGIN
        INSERT INTO found (id, title, body) VALUES (new.id, new.title, new.body);
    END;
    CREATE TRIGGER found_update AFTER UPDATE ON articles BEGIN
        UPDATE found SET title = new.title, body = new.body WHERE id = old.id;
    END;
    CREATE TRIGGER found_delete AFTER DELETE ON articles BEGIN
        DELETE FROM found WHERE id = old.id;
    END;
    INSERT INTO articles (title, body) VALUES
        ('Part 1', 'These are the contents of part 1 (of 2).'),
        ('Part 2', 'This is the content of part 2 (of 2).');
"""


async def found(console: Console, word: str) -> list[int]:
    query = "SELECT id FROM found WHERE found MATCH ? ORDER BY rank"
    return [row["id"] for row in await console.run(query, word)]


async def test_a36_full_text_is_found_by_stem_and_ranked(console: Console) -> None:
    await console.run(ARTICLES)

    assert sorted(await found(console, "content")) == [1, 2]
    assert sorted(await found(console, "contents")) == [1, 2]
    assert await found(console, "2") == [2, 1]

    rows = await console.run(
        "SELECT id, bm25(found) AS score, highlight(found, 2, '<b>', '</b>') AS marked, "
        "snippet(found, 2, '<b>', '</b>', '...', 4) AS part "
        "FROM found WHERE found MATCH '2' ORDER BY rank"
    )
    best, other = rows
    assert best.pop("score") < other.pop("score") < 0
    assert best == {
        "id": 2,
        "marked": "This is the content of part <b>2</b> (of <b>2</b>).",
        "part": "...part <b>2</b> (of <b>2</b>).",
    }
    assert other == {
        "id": 1,
        "marked": "These are the contents of part 1 (of <b>2</b>).",
        "part": "...part 1 (of <b>2</b>).",
    }


async def test_a37_triggers_keep_full_text_up_to_date(console: Console) -> None:
    await console.run(ARTICLES)

    await console.run("UPDATE articles SET body = 'A summary.' WHERE id = 1")
    assert await found(console, "summary") == [1]
    assert await found(console, "content") == [2]

    await console.run("DELETE FROM articles WHERE id = 2")
    assert await found(console, "content") == []


async def test_a58_an_r_tree_can_be_asked_what_lies_where(console: Console) -> None:
    await console.run("CREATE VIRTUAL TABLE places USING rtree(id, west, east, south, north)")
    await console.run("INSERT INTO places VALUES (1, 0, 10, 0, 10), (2, 20, 30, 20, 30)")

    rows = await console.run("SELECT id FROM places WHERE west <= 25 AND east >= 25")

    assert rows == [{"id": 2}]


# Limits.


@pytest.mark.parametrize(
    ("query", "bindings", "reason"),
    [
        (f"SELECT {repeated('?', 101)}", range(101), "too many SQL variables"),
        ("SELECT ?101", range(101), "variable number must be between ?1 and ?100"),
        ("SELECT 'a' LIKE ?", ["%" * 51], "LIKE or GLOB pattern too complex"),
        ("SELECT 'a' LIKE ?", ["é" * 26], "LIKE or GLOB pattern too complex"),  # 52 bytes
        ("SELECT 'a' GLOB ?", ["*" * 51], "LIKE or GLOB pattern too complex"),
        (table_of(101), [], "too many columns on t"),
        (f"SELECT {repeated('1', 101)}", [], "too many columns in result set"),
        ("SELECT 1".ljust(100_001), [], "SQLITE_TOOBIG"),
    ],
    ids="bound numbered like like-in-bytes glob table result text".split(),
)
async def test_a56_what_is_beyond_a_limit_is_refused_and_nothing_else_happens(
    console: Console, query: str, bindings: Any, reason: str
) -> None:
    def exceed(sql: SqlStorage) -> None:
        sql.exec("INSERT INTO readers VALUES (1, 'before')")
        with pytest.raises(errors.SqlError, match=re.escape(reason)):
            sql.exec(query, *bindings)
        sql.exec("INSERT INTO readers VALUES (2, 'after')")

    await console.use(exceed)

    rows = await console.run("SELECT name FROM readers")
    assert [row["name"] for row in rows] == ["before", "after"]


@pytest.mark.parametrize(
    ("query", "bindings"),
    [
        (f"SELECT {repeated('?', 100)}", range(100)),
        ("SELECT 'a' LIKE ?", ["é" * 25]),
        ("SELECT 'a' GLOB ?", ["*" * 50]),
        (table_of(100), []),
        ("SELECT 1".ljust(100_000), []),
    ],
    ids="bound like-in-bytes glob table text".split(),
)
async def test_a56_what_is_just_within_a_limit_is_fine(
    console: Console, query: str, bindings: Any
) -> None:
    await console.run(query, *bindings)


async def test_limit_of_columns_holds_for_one_that_is_added_too(console: Console) -> None:
    await console.run(table_of(100))

    assert "too many columns on" in await console.refusal("ALTER TABLE t ADD COLUMN c100")


async def test_limit_of_sql_is_100_000_bytes_not_characters(console: Console) -> None:
    query = f"SELECT '{'é' * 49_995}'"  # 9 bytes around twice as many
    assert len(query.encode()) == 99_999

    await console.run(query)

    assert "SQLITE_TOOBIG" in await console.refusal(f"{query}  ")


async def test_limit_of_sql_holds_for_all_statements_together(console: Console) -> None:
    statement = "INSERT INTO readers (name) VALUES ('Ada');"

    refusal = await console.refusal(repeated(statement, 2500, " "))

    assert "SQLITE_TOOBIG" in refusal
    assert await console.run("SELECT count(*) AS n FROM readers") == [{"n": 0}]


@pytest.mark.parametrize("level", ["NOT ", "1 + "])
async def test_limit_of_the_depth_of_an_expression_is_100(console: Console, level: str) -> None:
    await console.run(f"SELECT {level * 99} 1")

    assert await console.refusal(f"SELECT {level * 100} 1") == (
        "Expression tree is too large (maximum depth 100): SQLITE_ERROR"
    )


async def test_limit_of_a_functions_arguments_is_127(console: Console) -> None:
    """The original's documentation says 32; what it enforces is this."""
    assert await console.run(f"SELECT max({repeated('1', 127)}) AS n") == [{"n": 1}]

    refusal = await console.refusal(f"SELECT max({repeated('1', 128)})")
    assert refusal.startswith("too many arguments on function max")


@pytest.mark.parametrize("operator", ["UNION", "UNION ALL", "INTERSECT", "EXCEPT"])
async def test_limit_of_compound_queries_holds_for_every_operator(
    console: Console, operator: str
) -> None:
    await console.run(repeated("SELECT 1", 5, f" {operator} "))

    refusal = await console.refusal(repeated("SELECT 1", 6, f" {operator} "))
    assert refusal == "too many terms in compound SELECT: SQLITE_ERROR"


async def test_limit_of_compound_queries_doesnt_hold_for_rows_of_values(console: Console) -> None:
    await console.run(f"INSERT INTO readers (id) VALUES {repeated('(NULL)', 500)}")

    assert await console.run("SELECT count(*) AS n FROM readers") == [{"n": 500}]


@pytest.mark.parametrize(("depth", "is_fine"), [(10, True), (11, False)])
async def test_limit_of_triggers_that_set_off_triggers_is_10(
    console: Console, depth: int, is_fine: bool
) -> None:
    """SQLite leaves the rows of the statement that goes too deep, so a transaction undoes them."""
    refused = pytest.raises(errors.SqlError, match=r"^triggers nested too deep: SQLITE_ERROR$")

    def descend(ctx: DurableObjectState) -> int:
        sql = ctx.storage.sql
        sql.exec("PRAGMA recursive_triggers = ON; CREATE TABLE steps (n INTEGER)")
        sql.exec(
            "CREATE TRIGGER step AFTER INSERT ON steps WHEN new.n > 0 "
            "BEGIN INSERT INTO steps VALUES (new.n - 1); END"
        )
        with nullcontext() if is_fine else refused:
            ctx.storage.transaction_sync(
                lambda: sql.exec("INSERT INTO steps VALUES (?)", depth - 1)
            )
        return len(sql.exec("SELECT n FROM steps").to_array())

    assert await console.inside(descend) == (depth if is_fine else 0)


async def test_limit_of_a_value_is_4_mebibytes(console: Console) -> None:
    """The original's documentation says 2 MB; what it enforces is this."""
    await console.run("CREATE TABLE files (data BLOB)")

    for data in (b"x" * (4 * MEBIBYTE - 100), "x" * (4 * MEBIBYTE - 100)):
        await console.run("INSERT INTO files VALUES (?)", data)
    assert await console.refusal("SELECT ?", b"x" * (4 * MEBIBYTE + 1)) == TOO_BIG
    assert await console.refusal("SELECT ?", "x" * (4 * MEBIBYTE + 1)) == TOO_BIG
    assert await console.refusal(f"SELECT zeroblob({4 * MEBIBYTE + 1})") == TOO_BIG

    assert await console.run("SELECT count(*) AS n FROM files") == [{"n": 2}]


async def test_limit_of_a_row_is_4_mebibytes(console: Console) -> None:
    await console.run("CREATE TABLE files (one BLOB, two BLOB)")
    half = b"x" * (2 * MEBIBYTE)

    await console.run("INSERT INTO files VALUES (?, ?)", half, half[:-100])
    assert await console.refusal("INSERT INTO files VALUES (?, ?)", half, half) == TOO_BIG

    assert await console.run("SELECT count(*) AS n FROM files") == [{"n": 1}]


async def test_limit_of_a_compiled_statement_is_25_000_steps(console: Console) -> None:
    """SQLite calls it a lack of memory; the object and what it wrote before survive it."""

    def exceed(sql: SqlStorage) -> None:
        sql.exec("INSERT INTO readers VALUES (1, 'before')")
        with pytest.raises(errors.SqlError, match=r"^out of memory: SQLITE_NOMEM$"):
            sql.exec(f"INSERT INTO readers VALUES {repeated('(NULL, 1)', 9000)}")
        sql.exec("INSERT INTO readers VALUES (2, 'after')")

    await console.use(exceed)

    assert await console.run("SELECT count(*) AS n FROM readers") == [{"n": 2}]


@pytest.mark.parametrize("statement", ["ATTACH ':memory:' AS other", "DETACH other"])
async def test_limit_of_attached_databases_is_none(console: Console, statement: str) -> None:
    assert await console.refusal(statement) == NOT_AUTHORIZED
