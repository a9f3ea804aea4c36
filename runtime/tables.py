"""The runtime's own tables in an object's database, beside the object's."""

from __future__ import annotations

from runtime.errors import SqlError
from runtime.sql import Database, Row, SqlValue


class RuntimeTable:
    """A table of the runtime's own in an object's database, made when it is first written to.

    Whether it is there can't be remembered: a rollback may have taken it away again.
    """

    def __init__(self, database: Database, name: str, columns: str) -> None:
        self._database = database
        self._create = f"CREATE TABLE {name} {columns}"
        self._missing = f"no such table: {name}"

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
        try:
            return self._database.write(statement, *bindings)
        except SqlError as error:
            if not str(error).startswith(self._missing):
                raise
        self._database.write(self._create)
        return self._database.write(statement, *bindings)
