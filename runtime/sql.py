"""One object's SQLite database: its statements, its transactions, and when they commit.

Everything here is synchronous and runs on the event loop: with the page cache warm, a statement
costs microseconds, and a thread to await would cost more. The database is in WAL mode, and a
commit goes to the page cache only; making it durable is somebody else's work, told through
`Commits`. The only file that imports apsw (I11).
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

import apsw

from runtime import regulator
from runtime.clock import Clock
from runtime.commits import Commits
from runtime.errors import SqlError

SqlValue: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = tuple[SqlValue, ...]

WRONG_BINDINGS: Final = "Wrong number of parameter bindings for SQL query."

_ACTIONS: Final = {
    code: name.removeprefix("SQLITE_")
    for code, name in apsw.mapping_authorizer_function.items()
    if isinstance(code, int) and isinstance(name, str)
}
_OF_THE_DISK: Final = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN")
_EPOCH: Final = 210_866_760_000_000  # 1970 as a Julian day number, in milliseconds
_CONSTRAINTS_VIOLATED: Final = (
    "Durable Object was reset and rolled back to its last known good state because the "
    "application left the database in a state where constraints were violated: "
)
# apsw keys its statement cache by these flags too: object code never gets a statement that was
# compiled with the runtime's rights.
_OURS: Final = apsw.SQLITE_PREPARE_PERSISTENT
_FAILURES: Final = (apsw.Error, OverflowError, ValueError)  # the last for half a character in text


class Database:
    """A SQLite file that is opened by the first statement and commits when told to.

    Invariants:
        - Object code never ends a transaction, and never runs a statement outside of one
          that writes: the first write begins it, `commit` ends it.
        - `Commits` hears of every transaction that writes: once when it begins, once how it ends.
    """

    def __init__(self, path: Path, commits: Commits, *, vfs: str | None = None) -> None:
        self.path = path
        self.wal_pages = 0
        """How long the WAL is."""
        self._commits = commits
        self._vfs = vfs
        self._connection: apsw.Connection | None = None
        self._trusted = self._refused_transaction = False
        self.is_writing = False
        """Whether a transaction with at least one write is open."""
        # The open `enter` levels: the savepoint of each, or None if it spans the transaction.
        self._levels: list[str | None] = []
        self._numbers = itertools.count()
        self._cursors: weakref.WeakSet[apsw.Cursor] = weakref.WeakSet()
        self._statement = ""  # the object's latest, and what it turned out to be
        self._columns: tuple[str, ...] = ()
        self._reads_only = True

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def exists(self) -> bool:
        """Whether there is anything to open; what was never written to has no file."""
        return self.is_open or self.path.exists()

    @property
    def in_transaction(self) -> bool:
        """Whether an explicit transaction is open: a step's end must not commit."""
        return bool(self._levels)

    # Statements.

    def execute(
        self, statement: str, bindings: tuple[SqlValue, ...]
    ) -> tuple[Iterator[Row], tuple[str, ...], int]:
        """Run one statement of the object's code, under the rules for it.

        Returns:
            Its rows, their columns, and how many rows it changed. It has run up to its first
            row if it only reads, and to its end if it writes.
        """
        connection = self._connection or self._open()
        self._statement, self._refused_transaction = statement, False
        cursor = connection.cursor()
        cursor.exec_trace = self._about_to_run
        before = connection.total_changes()
        try:
            cursor.execute(statement, bindings)
            with suppress(apsw.ExecutionCompleteError):  # there is no row
                # Once more: a statement from the cache is compiled anew if the schema changed.
                self._columns = tuple([column[0] for column in cursor.description])
            if self._reads_only:
                self._cursors.add(cursor)
                return self._rows(cursor), self._columns, 0
            # A write that isn't run to its end would keep the transaction from committing.
            rows = cursor.fetchall()
        except _FAILURES as error:
            cursor.close(force=True)
            raise self._failure(error) from error
        return iter(rows), self._columns, connection.total_changes() - before

    def _rows(self, cursor: apsw.Cursor) -> Iterator[Row]:
        try:
            yield from cursor
        except _FAILURES as error:
            raise self._failure(error) from error

    def run(self, statement: str, *bindings: SqlValue) -> list[Row]:
        """Run one statement of the runtime's own, under no rules, and return its rows."""
        connection = self._connection or self._open()
        self._trusted = True
        try:
            return connection.execute(statement, bindings, prepare_flags=_OURS).fetchall()
        except _FAILURES as error:
            raise self._failure(error) from error
        finally:
            self._trusted = False

    def write(self, statement: str, *bindings: SqlValue) -> list[Row]:
        """Like `run`, for a statement that writes: it begins the transaction."""
        self._begin()
        return self.run(statement, *bindings)

    # Transactions.

    def commit(self) -> None:
        """Commit what has been written. Nothing happens if nothing has.

        Raises:
            SqlError: If constraints are violated, or the disk refuses. All of it was undone.
        """
        if self._connection is None or not self._connection.in_transaction:
            return
        try:
            self.run("COMMIT")
        except SqlError as error:
            if self.is_writing:  # else it is lost already, and `Commits` knows
                self.rollback()
            if error.code == "SQLITE_CONSTRAINT":
                raise SqlError(_CONSTRAINTS_VIOLATED + str(error)) from error
            raise
        if self.is_writing:
            self.is_writing = False
            self._commits.committed(self.wal_pages)

    def rollback(self) -> None:
        """Undo everything since the last commit."""
        if self._connection is not None and self._connection.in_transaction:
            self.run("ROLLBACK")
        if self.is_writing:
            self.is_writing = False
            self._commits.undone()

    def enter(self) -> None:
        """Open a transaction, inside the one that is open if there is one."""
        savepoint = None
        if self._connection is not None and self._connection.in_transaction:
            savepoint = f"_cf_savepoint_{next(self._numbers) % 100}"
            self.run(f"SAVEPOINT {savepoint}")
        self._levels.append(savepoint)

    def leave(self, *, keep: bool) -> None:
        """End the innermost transaction. The outermost one is then still to be committed."""
        savepoint = self._levels.pop()
        if savepoint is None:
            if not keep:
                self.rollback()
        elif self._connection is not None and self._connection.in_transaction:
            if not keep:
                self.run(f"ROLLBACK TO {savepoint}")
            self.run(f"RELEASE {savepoint}")

    def wipe(self) -> None:
        """Empty the database, tables and all, in one commit of its own."""
        assert not self._levels, "a transaction is open"
        connection = self._connection or self._open()
        self.rollback()
        for cursor in list(self._cursors):  # VACUUM refuses while anything is being read
            cursor.close()
        connection.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 1)
        attached = connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 1)  # VACUUM attaches a scratch file
        try:
            self.run("VACUUM")  # the one write that can't run inside a transaction
        finally:
            connection.limit(apsw.SQLITE_LIMIT_ATTACHED, attached)
            connection.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 0)

    # The file.

    def checkpoint(self) -> None:
        """Bring the WAL into the database, durably. On a thread: it waits for the disk.

        Raises:
            SqlError: If the disk refuses, or a cursor is still reading. Nothing is lost.
        """
        self.run("PRAGMA synchronous = FULL")
        try:
            _, logged, moved = self.run("PRAGMA wal_checkpoint(PASSIVE)")[0]
        finally:
            self.run("PRAGMA synchronous = OFF")
        if moved != logged:
            raise SqlError("a cursor is still reading")
        self.wal_pages = 0

    def close(self, *, checkpoint: bool) -> None:
        """Close the file, on any thread. What isn't committed is undone.

        Args:
            checkpoint: Bring the WAL into the database, durably, and delete it; else it stays.
        """
        connection, self._connection = self._connection, None
        self.is_writing = False
        self._levels.clear()
        if connection is None:
            return
        connection.authorizer = None
        connection.set_wal_hook(None)
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if checkpoint:
            connection.execute("PRAGMA synchronous = FULL")
        else:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.close(force=True)

    def _open(self) -> apsw.Connection:
        connection = None
        try:
            connection = apsw.Connection(str(self.path), vfs=self._vfs)
            # Nobody else opens it, the data folder's lock sees to that: no locks, half the time.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            # In this order, or else changing the mode syncs.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = WAL")
        except apsw.Error as error:
            if connection is not None:  # or its locks would stay
                connection.close(force=True)
            raise self._failure(error) from error
        connection.wal_autocheckpoint(0)
        connection.set_wal_hook(self._wrote_wal)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1)
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        for name, value in regulator.LIMITS.items():
            connection.limit(getattr(apsw, name), value)
        connection.authorizer = self._authorize
        self._connection = connection
        return connection

    def _begin(self) -> None:
        if self.is_writing:
            return
        self._commits.begun()
        try:
            if not (self._connection or self._open()).in_transaction:
                self.run("BEGIN")
        except SqlError:
            self._commits.undone()
            raise
        self.is_writing = True

    # Called by SQLite.

    def _about_to_run(self, cursor: apsw.Cursor, _: str, __: object) -> bool:
        if not cursor.has_vdbe:  # nothing but blanks and comments
            raise SqlError("SQL code did not contain a statement.")
        self._reads_only = cursor.is_readonly
        if not self._reads_only:
            self._begin()
        self._columns = tuple([column[0] for column in cursor.get_description()])
        return True

    def _wrote_wal(self, _: apsw.Connection, __: str, pages: int) -> int:
        self.wal_pages = pages
        if not self.is_writing:  # something SQLite commits by itself, such as PRAGMA optimize
            self._commits.begun()
            self._commits.committed(self.wal_pages)
        return apsw.SQLITE_OK

    def _authorize(
        self,
        action: int,
        first: str | None,
        second: str | None,
        database: str | None,
        _trigger: str | None,
    ) -> int:
        if self._trusted:
            return apsw.SQLITE_OK
        name = _ACTIONS[action]
        if regulator.is_transaction_control(name):
            self._refused_transaction = True
            return apsw.SQLITE_DENY
        if name == "ALTER_TABLE" and regulator.renames_to_reserved(self._statement):
            return apsw.SQLITE_DENY
        is_allowed = regulator.allows(name, first, second, database)
        return apsw.SQLITE_OK if is_allowed else apsw.SQLITE_DENY

    def _failure(self, error: Exception) -> SqlError:
        if isinstance(error, OverflowError):
            return SqlError("an integer is larger than SQLite's 64 bits")
        if isinstance(error, apsw.BindingsError):
            return SqlError(WRONG_BINDINGS)
        is_refused, self._refused_transaction = self._refused_transaction, False
        if is_refused:
            return SqlError(regulator.USE_TRANSACTION)
        result = getattr(error, "result", None)
        if result is None:
            return SqlError(str(error))
        offset = getattr(error, "error_offset", -1)
        message = str(error) if offset < 0 else f"{error} at offset {offset}"
        failure = SqlError(message, code=str(apsw.mapping_result_codes[result & 0xFF]))
        failure.retryable = failure.code in _OF_THE_DISK
        if self.is_writing and self._connection and not self._connection.in_transaction:
            self.is_writing = False
            self._levels = [None for _ in self._levels]
            self._commits.lost(failure)
        return failure


class ClockVFS(apsw.VFS):
    """SQLite's door to the machine, with the time, in ``unixepoch()`` for instance, from `clock`.

    Pass its `name` to `Database`; it is good for as long as it is kept.
    """

    _numbers = itertools.count()

    def __init__(self, clock: Clock) -> None:
        self.name = f"clock-{next(self._numbers)}"
        self._clock = clock
        super().__init__(self.name, "")

    def xCurrentTimeInt64(self) -> int:
        return round(self._clock.time() * 1000) + _EPOCH
