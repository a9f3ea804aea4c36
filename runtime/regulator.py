"""What SQL an object's code may run: the original's rules, enforced by SQLite's authorizer.

The rules keep apart what belongs to the object (its tables, indexes, triggers, views) and what
belongs to the runtime: tables named ``_cf_…``, transactions, other files, settings that durability
rests on. They protect from mistakes; objects of one process trust each other.

Actions and limits go by SQLite's names for them. Pure: nothing here touches a database.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

RESERVED: Final = "_cf_"

USE_TRANSACTION: Final = (
    "To execute a transaction, please use the ctx.storage.transaction() or "
    "ctx.storage.transaction_sync() APIs instead of the SQL BEGIN TRANSACTION or SAVEPOINT "
    "statements. The Python API is safer because it will automatically roll back on exceptions, "
    "and because it interacts correctly with Durable Objects' automatic atomic write coalescing."
)

LIMITS: Final = {
    "SQLITE_LIMIT_LENGTH": 4 * 1024 * 1024,
    "SQLITE_LIMIT_SQL_LENGTH": 100_000,
    "SQLITE_LIMIT_COLUMN": 100,
    "SQLITE_LIMIT_EXPR_DEPTH": 100,
    "SQLITE_LIMIT_COMPOUND_SELECT": 5,
    "SQLITE_LIMIT_VDBE_OP": 25_000,
    "SQLITE_LIMIT_FUNCTION_ARG": 127,
    "SQLITE_LIMIT_ATTACHED": 0,
    "SQLITE_LIMIT_LIKE_PATTERN_LENGTH": 50,
    "SQLITE_LIMIT_VARIABLE_NUMBER": 100,
    "SQLITE_LIMIT_TRIGGER_DEPTH": 10,
}

MOST_BYTES: Final = 10 * 10**9  # of a database; beyond them a write finds it full

_FUNCTIONS: Final = frozenset(
    # scalar
    "abs changes char coalesce concat concat_ws format glob hex if ifnull iif instr "
    "last_insert_rowid length like likelihood likely lower ltrim max min nullif octet_length "
    "printf quote random randomblob replace round rtrim sign soundex substr substring "
    "total_changes trim typeof unhex unicode unistr unlikely upper zeroblob "
    # date and time
    "date time datetime julianday unixepoch strftime timediff "
    "current_date current_time current_timestamp "
    # aggregate and window
    "avg count group_concat string_agg sum total row_number rank dense_rank percent_rank "
    "cume_dist ntile lag lead first_value last_value nth_value "
    # mathematical
    "acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log "
    "log10 log2 mod pi pow power radians sin sinh sqrt tan tanh trunc "
    # JSON
    "-> ->> json json_array json_array_insert json_array_length json_each json_error_position "
    "json_extract json_group_array json_group_object json_insert json_object json_patch "
    "json_pretty json_quote json_remove json_replace json_set json_tree json_type json_valid "
    "jsonb jsonb_array jsonb_array_insert jsonb_each jsonb_extract jsonb_group_array "
    "jsonb_group_object jsonb_insert jsonb_object jsonb_patch jsonb_remove jsonb_replace "
    "jsonb_set jsonb_tree "
    # full text and R*Tree
    "match highlight bm25 snippet rtreecheck "
    # what ALTER TABLE calls by itself; SQLite lets nobody else call them
    "sqlite_rename_table sqlite_rename_column sqlite_rename_quotefix sqlite_rename_test "
    "sqlite_drop_column sqlite_fail".split()
)

_MODULES: Final = frozenset(
    "fts5 fts5vocab rtree rtree_i32 json_each json_tree jsonb_each jsonb_tree".split()
)

_BOOLEAN_PRAGMAS: Final = frozenset(
    "case_sensitive_like foreign_keys defer_foreign_keys ignore_check_constraints "
    "legacy_alter_table recursive_triggers reverse_unordered_selects".split()
)
_BOOLEANS: Final = frozenset("true false on off yes no 1 0".split())
_READABLE_PRAGMAS: Final = frozenset("data_version page_size table_list".split())
# The argument, if there is one, is a number or the name of a table or an index.
_NAMING_PRAGMAS: Final = frozenset(
    "foreign_key_check foreign_key_list index_info index_list index_xinfo quick_check "
    "optimize table_info table_xinfo".split()
)

# For each action: which of its two arguments name something that may be reserved.
_NAMING: Final = {
    "CREATE_INDEX": (0, 1),
    "CREATE_TABLE": (0,),
    "CREATE_TRIGGER": (0, 1),
    "CREATE_VIEW": (0,),
    "DROP_INDEX": (0, 1),
    "DROP_TABLE": (0,),
    "DROP_TRIGGER": (0, 1),
    "DROP_VIEW": (0,),
    "DROP_VTABLE": (0,),
    "DELETE": (0,),
    "INSERT": (0,),
    "READ": (0,),
    "UPDATE": (0,),
    "REINDEX": (0,),
    "ANALYZE": (),  # of everything, so of the runtime's tables too
    "SELECT": (),
    "RECURSIVE": (),
}

# The authorizer isn't told what a table is renamed to.
_BLANK = r"(?>\s|--[^\n]*|/\*.*?\*/)"
_NAME = r"(?>\w+|\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|`(?:[^`]|``)*`|\[[^]]*])"
_RENAME_TO_RESERVED = re.compile(
    rf"{_BLANK}*ALTER{_BLANK}+TABLE{_BLANK}*(?:{_NAME}{_BLANK}*\.{_BLANK}*)?{_NAME}{_BLANK}*"
    rf"RENAME{_BLANK}+TO{_BLANK}*[\"'`[]?{RESERVED}",
    re.IGNORECASE | re.DOTALL,
)


def is_reserved(name: str | None) -> bool:
    """Whether `name` belongs to the runtime."""
    return name is not None and name[:4].lower() == RESERVED


def renames_to_reserved(statement: str) -> bool:
    """Whether an ALTER TABLE would give a table one of the runtime's names."""
    return _RENAME_TO_RESERVED.match(statement) is not None


def is_transaction_control(action: str) -> bool:
    """Whether this is BEGIN, COMMIT, ROLLBACK, SAVEPOINT or RELEASE."""
    return action in ("TRANSACTION", "SAVEPOINT")


def changes_schema(action: str) -> bool:
    """Whether this makes, changes or drops a table, an index, a trigger or a view."""
    return action.startswith(("CREATE_", "ALTER_", "DROP_"))


@lru_cache(1024)  # SQLite asks about each column of each statement, whenever it compiles one
def allows(action: str, first: str | None, second: str | None, database: str | None) -> bool:
    """Whether object code may do this: an authorizer action of SQLite, with its arguments."""
    if action == "ALTER_TABLE":  # its fourth argument isn't the database, as elsewhere
        return not is_reserved(second)
    if database not in (None, "main"):
        # ALTER TABLE looks there by itself; there is nothing else, as TEMP is refused.
        return first == "sqlite_temp_master" and action in ("READ", "UPDATE")
    if action == "FUNCTION":
        return second is not None and second.lower() in _FUNCTIONS
    if action == "PRAGMA":
        return first is not None and _allows_pragma(first.lower(), second)
    if action == "CREATE_VTABLE":
        return not is_reserved(first) and second is not None and second.lower() in _MODULES
    if action not in _NAMING:
        return False
    if first == "dbstat":  # a table there always is: it tells about the runtime's too
        return False
    names = (first, second)
    return not any(is_reserved(names[position]) for position in _NAMING[action])


def _allows_pragma(name: str, argument: str | None) -> bool:
    if name in _READABLE_PRAGMAS:
        return argument is None
    if name in _BOOLEAN_PRAGMAS:
        return argument is None or argument.strip("'\"").lower() in _BOOLEANS
    return name in _NAMING_PRAGMAS and not is_reserved(argument)
