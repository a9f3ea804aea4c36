"""``ctx.storage.sql``: how object code runs SQL, and reads what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from sqlite3 import complete_statement
from typing import Any, Final, Generic, TypeVar, cast, overload

from runtime.errors import SqlError
from runtime.regulator import LIMITS
from runtime.sql import WRONG_BINDINGS, Database, Row, SqlValue

MOST_BYTES: Final = LIMITS["SQLITE_LIMIT_SQL_LENGTH"]  # of all statements of one call together

R = TypeVar("R")


class SqlStorage:
    """The SQL side of an object's storage."""

    def __init__(self, database: Database, check: Callable[[], None]) -> None:
        self._database = database
        self._check = check

    @property
    def database_size(self) -> int:
        """The size of the object's database, in bytes; free pages don't count."""
        self._check()
        pages, free, page_bytes = (
            cast(int, self._database.run(f"PRAGMA {name}")[0][0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * page_bytes

    @overload
    def exec(self, query: str, *bindings: SqlValue) -> SqlCursor[dict[str, Any]]: ...
    @overload
    def exec(self, query: str, *bindings: SqlValue, row: Callable[..., R]) -> SqlCursor[R]: ...
    def exec(
        self, query: str, *bindings: SqlValue, row: Callable[..., Any] = dict
    ) -> SqlCursor[Any]:
        """Run SQL on the object's own database, at once.

        Writes join the implicit transaction, which commits when the object next yields to the
        loop, together with every other write since it last did. Nothing leaves the object
        before that commit is durable.

        Args:
            query: One or more statements; only the last may have ``?`` placeholders.
            *bindings: One value for each ``?``, in order. Values never go into the text.
            row: Makes a row of its columns, given as keywords: ``dict``, a dataclass, a model.

        Returns:
            A cursor over the last statement's rows. Consume it before the next ``await``:
            later writes may change what it sees.

        Raises:
            SqlError: If SQLite, or the rules around it, refuse. Earlier writes stand.
            TypeError: If a binding isn't None, a number, text or bytes. Nothing was written.
            ObjectReset: If the object is broken already, or is now, over a full disk for
                instance. All writes since the last commit are gone.
        """
        self._check()
        if ";" in query:
            if len(query.encode()) > MOST_BYTES:  # as SQLite has it for a single one
                raise SqlError("query string is too large", code="SQLITE_TOOBIG")
            *before, query = _statements(query)
            for statement in before:
                self._execute_before_others(statement)
        rows, columns, written = self._database.execute(query, bindings)
        return SqlCursor(rows, columns, written, row)

    def _execute_before_others(self, statement: str) -> None:
        try:
            self._database.execute(statement, ())
        except SqlError as error:
            if str(error) == WRONG_BINDINGS:
                raise SqlError(
                    "When executing multiple SQL statements in a single call, only the last "
                    "statement can have parameters."
                ) from error
            raise


class SqlCursor(Iterator[R], Generic[R]):
    """The rows of one statement, read as they are asked for.

    Attributes:
        column_names: One for each column, duplicates included; empty without a result.
        rows_read: Rows taken from SQLite so far. The cursor is one row ahead of its reader.
        rows_written: Rows inserted, changed or deleted; those of triggers count, those of
            indexes don't (SQLite itself keeps no count of them).
    """

    __slots__ = ("_ahead", "_build", "_rows", "column_names", "rows_read", "rows_written")

    def __init__(
        self, rows: Iterator[Row], columns: tuple[str, ...], written: int, build: Callable[..., R]
    ) -> None:
        self.column_names = list(columns)
        self.rows_read = 0
        self.rows_written = written
        self._rows = rows
        self._build = build
        self._ahead = self._take()

    def __next__(self) -> R:
        row = dict(zip(self.column_names, self._pop(), strict=True))
        return cast(R, row) if self._build is dict else self._build(**row)

    def next(self) -> R | None:
        """Return the next row, or None after the last one."""
        return next(iter(self), None)

    def to_array(self) -> list[R]:
        """Return the rows that are left."""
        return list(self)

    def one(self) -> R:
        """Return the only row.

        Raises:
            SqlError: If there is none, or more than one. The cursor is finished either way.
        """
        row = self.next()
        if row is None:
            raise SqlError("Expected exactly one result from SQL query, but got no results.")
        if self._ahead is not None:
            self._rows, self._ahead = iter(()), None
            raise SqlError("Expected exactly one result from SQL query, but got multiple results.")
        return row

    def raw(self) -> Iterator[Row]:
        """Iterate over the rows that are left as tuples. It shares this cursor's position."""
        while self._ahead is not None:
            yield self._pop()

    def _pop(self) -> Row:
        row = self._ahead
        if row is None:
            raise StopIteration
        self._ahead = self._take()
        return row

    def _take(self) -> Row | None:
        row = next(self._rows, None)
        if row is not None:
            self.rows_read += 1
        return row


def _statements(query: str) -> list[str]:
    """Split `query` after each statement. A string or a trigger may have semicolons inside."""
    parts = []
    start = 0
    end = query.find(";")
    while end >= 0:
        if complete_statement(query[start : end + 1]):
            parts.append(query[start : end + 1])
            start = end + 1
        end = query.find(";", end + 1)
    if start < len(query) and (not parts or query[start:].strip()):
        parts.append(query[start:])
    return parts
