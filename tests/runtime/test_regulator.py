"""What SQL object code may run. Every rule is tried on a real database, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from runtime import regulator
from runtime.errors import SqlError
from runtime.sql import Database
from runtime.statements import SqlStorage
from tests.runtime.databases import Ledger

NOT_AUTHORIZED = r"(not authorized|is prohibited).*SQLITE_AUTH$"


@pytest.fixture
def database() -> Iterator[Database]:
    """Holds a table of the object's, `seats`, and one of the runtime's, `_cf_KV`."""
    database = Database(Path(":memory:"), Ledger())
    database.write("CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB)")
    database.write("INSERT INTO _cf_KV VALUES ('secret', x'00')")
    database.write("CREATE TABLE seats (name TEXT, row INTEGER)")
    yield database
    database.close(checkpoint=False)


@pytest.fixture
def sql(database: Database) -> SqlStorage:
    return SqlStorage(database, lambda: None)


def names(database: Database) -> set[str]:
    return {str(name) for (name,) in database.run("SELECT name FROM sqlite_schema")}


# Transactions.


@pytest.mark.parametrize(
    "statement",
    [
        "BEGIN",
        "BEGIN IMMEDIATE TRANSACTION",
        "COMMIT",
        "END",
        "ROLLBACK",
        "ROLLBACK TO here",
        "SAVEPOINT here",
        "RELEASE here",
    ],
)
def test_transactions_are_the_runtimes_business(sql: SqlStorage, statement: str) -> None:
    with pytest.raises(SqlError) as caught:
        sql.exec(statement)

    assert str(caught.value) == regulator.USE_TRANSACTION
    assert "ctx.storage.transaction_sync()" in regulator.USE_TRANSACTION


def test_a_refused_transaction_doesnt_end_the_one_that_is_open(
    database: Database, sql: SqlStorage
) -> None:
    sql.exec("INSERT INTO seats VALUES ('A1', 1)")

    with pytest.raises(SqlError):
        sql.exec("COMMIT")

    assert database.is_writing


# Reserved names.


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE _cf_test (a)",
        "CREATE TABLE _Cf_test (a)",
        'CREATE TABLE "_cF_test" (a)',
        "CREATE TABLE [_CF_] (a)",
        "CREATE TABLE _cf_test AS SELECT 1",
        "CREATE VIEW _cf_test AS SELECT 1",
        "CREATE INDEX _cf_test ON seats (row)",
        "CREATE TRIGGER _cf_test AFTER INSERT ON seats BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE _cf_test USING fts5(a)",
        "CREATE VIRTUAL TABLE '_CF_test' USING fts5(a)",
    ],
)
def test_nothing_may_be_created_under_a_reserved_name(sql: SqlStorage, statement: str) -> None:
    with pytest.raises(SqlError, match=NOT_AUTHORIZED):
        sql.exec(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM _cf_KV",
        "SELECT key FROM _CF_kv",
        "SELECT count(*) FROM _cf_KV",
        "SELECT rowid FROM main._cf_KV",
        "SELECT * FROM seats WHERE name IN (SELECT key FROM _cf_KV)",
        "WITH stolen AS (SELECT * FROM _cf_KV) SELECT * FROM stolen",
        "INSERT INTO _cf_KV VALUES ('a', 1)",
        "INSERT INTO seats SELECT key, 1 FROM _cf_KV",
        "REPLACE INTO _cf_KV VALUES ('secret', 1)",
        "UPDATE _cf_KV SET value = 1",
        "UPDATE seats SET name = (SELECT key FROM _cf_KV)",
        "DELETE FROM _cf_KV",
        "DROP TABLE _cf_KV",
        "ALTER TABLE _cf_KV RENAME TO mine",
        "ALTER TABLE _cf_KV RENAME COLUMN key TO k",
        "ALTER TABLE _cf_KV ADD COLUMN mine",
        "ALTER TABLE _cf_KV DROP COLUMN value",
        "CREATE INDEX mine ON _cf_KV (key)",
        "CREATE TRIGGER mine AFTER INSERT ON _cf_KV BEGIN SELECT 1; END",
        "PRAGMA table_info(_cf_KV)",
        "PRAGMA table_xinfo('_cf_KV')",
        "PRAGMA index_list(_cf_KV)",
        "PRAGMA foreign_key_list(_CF_KV)",
        "PRAGMA foreign_key_check(_cf_KV)",
        "PRAGMA quick_check(_cf_KV)",
        "SELECT * FROM pragma_table_info('_cf_KV')",
    ],
)
def test_a_table_of_the_runtimes_can_be_neither_read_nor_touched(
    database: Database, sql: SqlStorage, statement: str
) -> None:
    with pytest.raises(SqlError, match=NOT_AUTHORIZED):
        sql.exec(statement)

    assert database.run("SELECT * FROM _cf_KV") == [("secret", b"\0")]


@pytest.mark.parametrize(
    ("prepare", "use"),
    [
        ("CREATE VIEW v AS SELECT * FROM _cf_KV", "SELECT * FROM v"),
        (
            "CREATE TRIGGER t AFTER INSERT ON seats BEGIN DELETE FROM _cf_KV; END",
            "INSERT INTO seats VALUES ('A1', 1)",
        ),
        (
            "CREATE TRIGGER t AFTER INSERT ON seats BEGIN "
            "UPDATE seats SET name = (SELECT key FROM _cf_KV); END",
            "INSERT INTO seats VALUES ('A1', 1)",
        ),
        (
            "CREATE VIRTUAL TABLE f USING fts5(key, content='_cf_KV', content_rowid='rowid')",
            "SELECT * FROM f",
        ),
        (
            "CREATE VIRTUAL TABLE f USING fts5(key, content='_cf_KV', content_rowid='rowid')",
            "INSERT INTO f (f) VALUES ('rebuild')",
        ),
    ],
)
def test_a_table_of_the_runtimes_cant_be_reached_through_something_else(
    database: Database, sql: SqlStorage, prepare: str, use: str
) -> None:
    sql.exec(prepare)

    with pytest.raises(SqlError, match=NOT_AUTHORIZED):
        sql.exec(use).to_array()
    assert database.run("SELECT * FROM _cf_KV") == [("secret", b"\0")]


def test_a_virtual_table_may_not_bring_along_tables_of_reserved_names(
    database: Database, sql: SqlStorage
) -> None:
    """FTS5 keeps a table named `_cf` in `_cf_data` and others."""
    before = names(database)

    with pytest.raises(SqlError, match=NOT_AUTHORIZED):
        sql.exec('CREATE VIRTUAL TABLE "_cf" USING fts5(a)')

    assert names(database) == before


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE seats RENAME TO _cf_x",
        "alter table seats rename to _CF_x",
        'ALTER TABLE seats RENAME TO "_cf_x"',
        "ALTER TABLE seats RENAME TO [_cf_x]",
        "ALTER TABLE seats RENAME TO `_cf_x`",
        "ALTER TABLE seats RENAME TO '_cf_x'",
        "ALTER TABLE seats\nRENAME\tTO\n_cf_x",
        'ALTER TABLE seats RENAME TO"_cf_x"',
        "ALTER TABLE seats RENAME TO[_cf_x]",
        "ALTER TABLE seats RENAME/**/TO _cf_x",
        "ALTER TABLE seats RENAME TO/* */_cf_x",
        "ALTER TABLE seats RENAME -- so\n TO _cf_x",
    ],
)
def test_a_table_may_not_be_renamed_to_a_reserved_name(
    database: Database, sql: SqlStorage, statement: str
) -> None:
    with pytest.raises(SqlError, match=NOT_AUTHORIZED):
        sql.exec(statement)

    assert "seats" in names(database)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE seats RENAME TO places",
        "ALTER TABLE seats RENAME COLUMN name TO _cf_name",
        "ALTER TABLE seats ADD COLUMN price DEFAULT 5",
        "ALTER TABLE seats ADD COLUMN hint DEFAULT 'rename to _cf_x is refused'",
        "ALTER TABLE seats DROP COLUMN name",
    ],
)
def test_a_table_may_be_altered_otherwise(sql: SqlStorage, statement: str) -> None:
    sql.exec(statement)


@pytest.mark.parametrize("name", ["_cf", "cf_x", "x_cf_", "__cf_x", "_c_f"])
def test_names_that_only_look_like_it_arent_reserved(sql: SqlStorage, name: str) -> None:
    sql.exec(f'CREATE TABLE "{name}" (a); INSERT INTO "{name}" VALUES (1); DROP TABLE "{name}"')

    assert not regulator.is_reserved(name)


# Other databases.


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TEMP TABLE t (a)",
        "CREATE TABLE temp.t (a)",
        "CREATE TEMP VIEW v AS SELECT 1",
        "CREATE TEMP TRIGGER t AFTER INSERT ON seats BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE temp.f USING fts5(a)",
        "ATTACH ':memory:' AS other",
        "ATTACH 'other.sqlite' AS other",
        "DETACH main",
    ],
)
def test_there_is_no_database_but_the_objects_own(sql: SqlStorage, statement: str) -> None:
    with pytest.raises(SqlError, match=NOT_AUTHORIZED):
        sql.exec(statement)


@pytest.mark.parametrize("statement", ["VACUUM", "VACUUM INTO '{}'"])
def test_the_database_cant_be_copied(sql: SqlStorage, folder: Path, statement: str) -> None:
    with pytest.raises(SqlError):
        sql.exec(statement.format(folder / "copy.sqlite"))

    assert not (folder / "copy.sqlite").exists()


# Virtual tables.


@pytest.mark.parametrize(
    "module", ["fts5(a)", "FTS5(a)", "rtree(id, low, high)", "rtree_i32(id, low, high)"]
)
def test_full_text_and_r_trees_are_there(sql: SqlStorage, module: str) -> None:
    sql.exec(f"CREATE VIRTUAL TABLE v USING {module}")

    assert sql.exec("SELECT * FROM v").to_array() == []
    sql.exec("DROP TABLE v")


def test_the_words_of_a_full_text_table_can_be_listed(sql: SqlStorage) -> None:
    sql.exec("CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f VALUES ('to be or not to be')")
    sql.exec("CREATE VIRTUAL TABLE words USING fts5vocab('f', 'row')")

    rows = sql.exec("SELECT term, cnt FROM words ORDER BY term").raw()

    assert list(rows) == [("be", 2), ("not", 1), ("or", 1), ("to", 2)]


@pytest.mark.parametrize("module", ["fts3(a)", "fts4(a)", "geopoly(a)", "dbstat", "csv"])
def test_other_virtual_tables_are_refused(sql: SqlStorage, module: str) -> None:
    with pytest.raises(SqlError, match=rf"{NOT_AUTHORIZED}|no such module"):
        sql.exec(f"CREATE VIRTUAL TABLE v USING {module}")


@pytest.mark.parametrize("table", ["dbstat", "dbstat('main')"])
def test_virtual_tables_that_need_no_creating_are_refused_too(sql: SqlStorage, table: str) -> None:
    """It would tell the sizes of the runtime's tables."""
    with pytest.raises(SqlError, match=NOT_AUTHORIZED):
        sql.exec(f"SELECT name, pgsize FROM {table}").to_array()


@pytest.mark.parametrize("table", ["json_each", "json_tree", "jsonb_each", "jsonb_tree"])
def test_json_can_be_read_as_a_table(sql: SqlStorage, table: str) -> None:
    rows = sql.exec(f"SELECT value FROM {table}('[5]') WHERE type = 'integer'").raw()

    assert list(rows) == [(5,)]


# Functions.


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("abs(-123)", 123),
        ("ABS(-1)", 1),
        ("concat('a', 1)", "a1"),
        ("concat_ws('-', 1, 2)", "1-2"),
        ("coalesce(NULL, 5)", 5),
        ("iif(1, 'y', 'n')", "y"),
        ("if(0, 'y', 'n')", "n"),
        ("octet_length('é')", 2),
        ("hex(unhex('00ff'))", "00FF"),
        ("substring('abc', 2)", "bc"),
        ("typeof(randomblob(4))", "blob"),
        ("unistr('\\0041')", "A"),
        ("date('2030-01-02', '+1 day')", "2030-01-03"),
        ("unixepoch('1970-01-01 00:01:00')", 60),
        ("timediff('2030-01-02', '2030-01-01')", "+0000-00-01 00:00:00.000"),
        ("cos(0)", 1.0),
        ("pow(2, 3)", 8.0),
        ("json_extract('{\"a\": 5}', '$.a')", 5),
        ("'{\"a\": 5}' ->> 'a'", 5),
        ("json(jsonb('[1]'))", "[1]"),
        ("length(current_date)", 10),
        ("length(current_time)", 8),
        ("length(current_timestamp)", 19),
        ("(SELECT group_concat(value) FROM json_each('[1,2]'))", "1,2"),
        ("(SELECT string_agg(value, '+') FROM json_each('[1,2]'))", "1+2"),
        ("(SELECT total(value) FROM json_each('[1,2]'))", 3.0),
        ("(SELECT row_number() OVER () FROM json_each('[1]'))", 1),
        ("(SELECT json_group_array(value) FROM json_each('[1,2]'))", "[1,2]"),
    ],
)
def test_the_functions_of_the_original_are_there(
    sql: SqlStorage, expression: str, value: Any
) -> None:
    rows = sql.exec(f"SELECT {expression}").raw()

    assert list(rows) == [(value,)]


@pytest.mark.parametrize(
    "expression",
    [
        "sqlite_version()",
        "SQLITE_VERSION()",
        "sqlite_source_id()",
        "sqlite_compileoption_get(0)",
        "load_extension('x')",
        "sqlite_log(1, 'x')",
        "fts3_tokenizer('x')",
        "percentile(1, 50)",
        "geopoly_area('x')",
    ],
)
def test_other_functions_are_refused_by_name(sql: SqlStorage, expression: str) -> None:
    name = expression.partition("(")[0].lower()

    with pytest.raises(SqlError, match=rf"(?i)not authorized to use function: {name}"):
        sql.exec(f"SELECT {expression}")


def test_what_only_alter_table_may_call_is_refused_to_others(sql: SqlStorage) -> None:
    with pytest.raises(SqlError, match="sqlite_rename_table"):
        sql.exec("SELECT sqlite_rename_table('a','b','c','d','e','f',0)")


# Pragmas.


@pytest.mark.parametrize(
    "name",
    [
        "foreign_keys",
        "defer_foreign_keys",
        "ignore_check_constraints",
        "legacy_alter_table",
        "recursive_triggers",
        "reverse_unordered_selects",
    ],
)
def test_switches_can_be_set_and_read(database: Database, sql: SqlStorage, name: str) -> None:
    database.commit()  # one of them is deaf inside a transaction

    shown = []
    for value in ("ON", "OFF", "ON"):
        sql.exec(f"PRAGMA {name} = {value}")
        shown.append(sql.exec(f"PRAGMA {name}").one())

    assert shown == [{name: 1}, {name: 0}, {name: 1}]


@pytest.mark.parametrize(
    ("on", "off"), [("true", "false"), ("Yes", "nO"), ("1", "0"), ("'on'", '"OFF"')]
)
def test_switches_can_be_set_in_many_words(sql: SqlStorage, on: str, off: str) -> None:
    for written, stands_for in ((on, 1), (off, 0), (on, 1)):
        sql.exec(f"PRAGMA defer_foreign_keys = {written}")

        assert sql.exec("PRAGMA defer_foreign_keys").one() == {"defer_foreign_keys": stands_for}


def test_like_can_be_made_to_heed_the_case(sql: SqlStorage) -> None:
    assert list(sql.exec("SELECT 'a' LIKE 'A'").raw()) == [(1,)]

    sql.exec("PRAGMA case_sensitive_like = ON")

    assert list(sql.exec("SELECT 'a' LIKE 'A'").raw()) == [(0,)]


@pytest.mark.parametrize("value", ["abcd", '"foo"', "2", "-1", "''"])
def test_a_switch_takes_nothing_else(sql: SqlStorage, value: str) -> None:
    with pytest.raises(SqlError, match=NOT_AUTHORIZED):
        sql.exec(f"PRAGMA defer_foreign_keys = {value}")


def test_foreign_keys_are_enforced_from_the_start(sql: SqlStorage) -> None:
    assert sql.exec("PRAGMA foreign_keys").one() == {"foreign_keys": 1}


@pytest.mark.parametrize(
    "pragma",
    [
        "data_version",
        "page_size",
        "table_list",
        "table_info(seats)",
        "table_xinfo('seats')",
        "index_list(seats)",
        "index_info(i)",
        "index_xinfo(i)",
        "foreign_key_list(seats)",
        "foreign_key_check",
        "foreign_key_check(seats)",
        "quick_check",
        "quick_check(1)",
        "quick_check(seats)",
        "optimize",
        "optimize(-1)",
        "optimize = 0x10002",
    ],
)
def test_what_only_tells_something_can_be_asked(sql: SqlStorage, pragma: str) -> None:
    sql.exec("CREATE INDEX i ON seats (row)")

    sql.exec(f"PRAGMA {pragma}").to_array()


@pytest.mark.parametrize(
    "pragma",
    [
        "data_version = 5",
        "page_size = 8192",
        "table_list(seats)",
        "user_version",
        "user_version = 5",
        "journal_mode",
        "journal_mode = DELETE",
        "synchronous = FULL",
        "locking_mode = NORMAL",
        "max_page_count = 65536",
        "hard_heap_limit = 1024",
        "writable_schema = ON",
        "trusted_schema = OFF",
        "wal_checkpoint",
        "wal_autocheckpoint = 1",
        "encoding = 'UTF-16'",
        "query_only = ON",
        "integrity_check",
        "database_list",
        "function_list",
        "compile_options",
        "no_such_pragma",
    ],
)
def test_what_the_runtime_rests_on_can_be_neither_asked_nor_set(
    sql: SqlStorage, pragma: str
) -> None:
    with pytest.raises(SqlError, match=NOT_AUTHORIZED):
        sql.exec(f"PRAGMA {pragma}")


def test_a_pragma_can_be_asked_as_a_table(sql: SqlStorage) -> None:
    rows = sql.exec("SELECT name FROM pragma_table_info('seats')").raw()

    assert list(rows) == [("name",), ("row",)]
    with pytest.raises(SqlError, match=NOT_AUTHORIZED):
        sql.exec("SELECT * FROM pragma_journal_mode")


# The schema.


def test_the_schema_can_be_read_but_not_written(sql: SqlStorage) -> None:
    assert sql.exec("SELECT type FROM sqlite_schema WHERE name = 'seats'").one() == {
        "type": "table"
    }

    with pytest.raises(SqlError, match="may not be modified"):
        sql.exec("DELETE FROM sqlite_schema")


def test_statistics_can_be_gathered(sql: SqlStorage) -> None:
    sql.exec("CREATE INDEX i ON seats (row); INSERT INTO seats VALUES ('A1', 1); ANALYZE; REINDEX")

    rows = sql.exec("SELECT idx FROM sqlite_stat1 WHERE tbl = 'seats'").raw()

    assert list(rows) == [("i",)]


# Limits.


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (" UNION ALL ".join(["SELECT 1"] * 6), "too many terms in compound SELECT"),
        (f"SELECT 'a' LIKE '{'%' * 51}'", "LIKE or GLOB pattern too complex"),
        (f"CREATE TABLE t ({', '.join(f'c{n}' for n in range(101))})", "too many columns"),
        (f"SELECT {'NOT ' * 101}1", "Expression tree is too large"),
        (f"SELECT {', '.join('?' * 101)}", "too many SQL variables"),
        (f"SELECT '{'x' * 100_000}'", "too large|too big"),
        ("SELECT zeroblob(4194305)", "too big"),
        (f"SELECT max({', '.join(['1'] * 128)})", "too many arguments on function max"),
    ],
)
def test_what_is_beyond_a_limit_is_refused(sql: SqlStorage, statement: str, reason: str) -> None:
    with pytest.raises(SqlError, match=reason):
        sql.exec(statement).to_array()

    assert sql.exec("SELECT 1").one() == {"1": 1}


@pytest.mark.parametrize(
    "statement",
    [
        " UNION ALL ".join(["SELECT 1"] * 5),
        f"SELECT 'a' LIKE '{'%' * 50}'",
        f"CREATE TABLE t ({', '.join(f'c{n}' for n in range(100))})",
        "SELECT length(zeroblob(4194304))",
        f"SELECT max({', '.join(['1'] * 127)})",
    ],
)
def test_what_is_just_within_a_limit_is_fine(sql: SqlStorage, statement: str) -> None:
    sql.exec(statement).to_array()


@pytest.mark.parametrize(("start", "is_fine"), [(41, True), (40, False)])
def test_a_trigger_may_set_off_another_nine_times(
    sql: SqlStorage, start: int, is_fine: bool
) -> None:
    sql.exec("PRAGMA recursive_triggers = ON; CREATE TABLE t (n)")
    sql.exec(
        "CREATE TRIGGER again AFTER INSERT ON t WHEN new.n < 50 "
        "BEGIN INSERT INTO t VALUES (new.n + 1); END"
    )

    with nullcontext() if is_fine else pytest.raises(SqlError, match="nested too deep"):
        sql.exec("INSERT INTO t VALUES (?)", start)


# The rules themselves, where SQLite has no way to ask.


@pytest.mark.parametrize(
    ("action", "first", "second", "database", "allowed"),
    [
        ("READ", "sqlite_temp_master", "name", "temp", True),
        ("UPDATE", "sqlite_temp_master", "sql", "temp", True),
        ("INSERT", "sqlite_temp_master", None, "temp", False),
        ("READ", "seats", "name", "other", False),
        ("FUNCTION", None, None, None, False),
        ("PRAGMA", None, None, None, False),
        ("CREATE_VTABLE", "v", None, "main", False),
        ("SOMETHING_NEW", None, None, None, False),
    ],
)
def test_what_isnt_known_to_be_harmless_is_refused(
    action: str, first: str | None, second: str | None, database: str | None, allowed: bool
) -> None:
    assert regulator.allows(action, first, second, database) is allowed
