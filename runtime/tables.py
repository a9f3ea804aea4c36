"""What tables there are in an object's database: the runtime's own, beside the object's."""

from __future__ import annotations

from typing import Final

from runtime.errors import SqlError
from runtime.sql import Database, Row, SqlValue

METADATA: Final = "_cf_METADATA"  # the runtime's notes about the object, which are no content
OWN_SCHEMA: Final = "schema"  # the note that is there if the tables themselves are content


class RuntimeTable:
    """A table of the runtime's own in an object's database, made when it is first written to.

    Whether it is there can't be remembered: a rollback may have taken it away again.
    """

    def __init__(self, database: Database, name: str, columns: str) -> None:
        self._database = database
        self._create = f"CREATE TABLE {name} {columns}"
        self._missing = f"no such table: {name}"
        self._is_content = name != METADATA

    def read(self, statement: str, *bindings: SqlValue) -> list[Row]:
        """Return a statement's rows; none if there is no table yet."""
        if not self._database.exists():
            return []
        try:
            return self._database.run(statement, *bindings)
        except SqlError as error:
            if str(error).startswith(self._missing):
                return []
            raise

    def write(self, statement: str, *bindings: SqlValue) -> list[Row]:
        """Run a statement that writes, and return its rows."""
        self._database.had_rows = self._database.had_rows or self._is_content
        try:
            return self._database.write(statement, *bindings)
        except SqlError as error:
            if not str(error).startswith(self._missing):
                raise
        self._database.write(self._create)
        return self._database.write(statement, *bindings)


def is_empty(database: Database) -> bool:
    """Whether no table has a row, and there is none that only migrations would make again.

    The runtime's own notes about the object don't count.
    """
    tables = database.run(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' "
        "AND type IN ('table', 'virtual') AND name != 'sqlite_schema'"
    )
    try:
        return not any(database.run(_a_row_of(str(name))) for (name,) in tables)
    except SqlError:  # what can't be read isn't known to be empty
        return False


def _a_row_of(table: str) -> str:
    quoted = table.replace('"', '""')  # SQL has no placeholder for a table's name
    which = f"WHERE key = '{OWN_SCHEMA}'" if table == METADATA else "LIMIT 1"
    return f'SELECT 1 FROM "{quoted}" {which}'
