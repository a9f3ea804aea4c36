"""One object's SQLite database: its file and its statements.

Everything here is synchronous and runs on the event loop: with the page cache warm, a statement
costs microseconds, and a thread to await would cost more; one that takes seconds is interrupted.
The database is in WAL mode, and a commit goes to the page cache only. The only file that imports
apsw (I11).
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

import apsw

from runtime import regulator, wal
from runtime.atomicity import Transactional
from runtime.clock import Clock, monotonic
from runtime.commits import Commits
from runtime.errors import SqlError
from runtime.witness import Change, Witness

SqlValue: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = tuple[SqlValue, ...]

_PAGE_BYTES: Final = 4096  # SQLite's own
WRONG_BINDINGS: Final = "Wrong number of parameter bindings for SQL query."

_ACTIONS: Final = {
    code: name.removeprefix("SQLITE_")
    for code, name in apsw.mapping_authorizer_function.items()
    if isinstance(code, int) and isinstance(name, str)
}
_EPOCH: Final = 210_866_760_000_000  # 1970 as a Julian day number, in milliseconds
_STEPS: Final = 10_000  # of SQLite's virtual machine, after which it asks about the time
# apsw keys its statement cache by these flags too: object code never gets a statement that was
# compiled with the runtime's rights.
_OURS: Final = apsw.SQLITE_PREPARE_PERSISTENT
_FAILURES: Final = (apsw.Error, OverflowError, ValueError)  # the last for half a character in text


class Database(Transactional):
    """A SQLite file that is opened by the first statement and commits when told to."""

    def __init__(self, path: Path, commits: Commits, *, vfs: str | None = None) -> None:
        super().__init__(commits)
        self.path = path
        self.had_rows = False
        """Whether something was stored in this life, since the last `wipe`."""
        self.has_own_schema = False
        """Whether the object's code has made or changed tables, its migrations aside."""
        self.wal_pages = 0
        """How long the WAL is."""
        self.statement_seconds: float | None = None
        """How long a statement of the object's code may run; None for as long as it takes."""
        self.running_since: float | None = None
        """When it was noticed that the latest statement takes long; None if it wasn't, and again
        when the step has ended: who reads row by row doesn't use up the time between the rows."""
        self.refused: Callable[[SqlError], object] | None = None
        """Called, on any thread, with what the disk is to blame for."""
        self.witness: Witness | None = None
        """Who sees what the object's code does here, in development; set before it is opened."""
        self._vfs = vfs
        self._connection: apsw.Connection | None = None
        self._trusted = self._refused_transaction = self._is_wiping = False
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

    # Statements.

    def execute(
        self, statement: str, bindings: tuple[SqlValue, ...]
    ) -> tuple[Iterator[Row], tuple[str, ...], int]:
        """Run one statement of the object's code, under the rules for it.

        Returns:
            Its rows, their columns, and how many rows it changed. It has run up to its first
            row if it only reads, and to its end if it writes.

        Raises:
            SqlError: If it is refused, fails, or takes too long. If SQLite has rolled back the
                transaction for that, `Commits` has heard of the loss.
        """
        connection = self._connection or self._open()
        self._statement, self._refused_transaction = statement, False
        self.running_since = None
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
        changes = connection.total_changes() - before
        self.had_rows = self.had_rows or bool(changes)
        return iter(rows), self._columns, changes

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

    def _has_begun(self) -> bool:
        return self._connection is not None and self._connection.in_transaction

    def wipe(self) -> None:
        """Empty the database, tables and all, in one commit of its own."""
        assert not self.in_transaction, "it can't be part of a transaction"
        connection = self._connection or self._open()
        self.rollback()
        for cursor in list(self._cursors):  # VACUUM refuses while anything is being read
            cursor.close()
        connection.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 1)
        attached = connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 1)  # VACUUM attaches a scratch file
        self._is_wiping = True
        try:
            self.run("VACUUM")  # the one write that can't run inside a transaction
        except SqlError as error:
            self._commits.lost(error)  # what this step wrote before is undone already
            raise
        finally:
            self._is_wiping = self.had_rows = self.has_own_schema = False
            connection.limit(apsw.SQLITE_LIMIT_ATTACHED, attached)
            connection.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 0)
        if self.witness is not None:
            self.witness.wiped()

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
        self._forget()
        if connection is None:
            return
        connection.authorizer = None
        connection.set_wal_hook(None)
        connection.set_progress_handler(None)
        if self.witness is not None:
            connection.preupdate_hook(None)
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if checkpoint:
            connection.execute("PRAGMA synchronous = FULL")
            try:  # closing does it as well, and keeps to itself why it can't
                connection.execute("PRAGMA wal_checkpoint")
            except apsw.Error as error:
                self._failure(error)
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
            connection.execute(f"PRAGMA max_page_count = {regulator.MOST_BYTES // _PAGE_BYTES}")
        except apsw.Error as error:
            if connection is not None:  # or its locks would stay
                connection.close(force=True)
            raise self._failure(error) from error
        connection.wal_autocheckpoint(0)
        connection.set_wal_hook(self._wrote_wal)
        connection.set_progress_handler(self._is_too_late, _STEPS)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1)
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        for name, value in regulator.LIMITS.items():
            connection.limit(getattr(apsw, name), value)
        connection.authorizer = self._authorize
        if self.witness is not None:
            connection.preupdate_hook(self._about_to_change)
        self._connection = connection
        return connection

    # Called by SQLite.

    def _about_to_run(self, cursor: apsw.Cursor, _: str, __: object) -> bool:
        if not cursor.has_vdbe:  # nothing but blanks and comments
            raise SqlError("SQL code did not contain a statement.")
        self._reads_only = cursor.is_readonly
        if not self._reads_only:
            self._begin()
        self._columns = tuple([column[0] for column in cursor.get_description()])
        if self.witness is not None:
            origins = [(column[3], column[4]) for column in cursor.description_full]
            cursor.row_trace = self.witness.runs(self._statement, origins)
        return True

    def _about_to_change(self, update: apsw.PreUpdate) -> None:
        assert self.witness is not None, "nobody else asks for this"
        if not (self._trusted or self.witness.has_room):
            return
        with suppress(apsw.RangeError):  # it has columns that are computed
            row = (update.table_name, update.rowid, update.old, update.new)
            self.witness.changed(Change(*row, is_direct=update.depth == 0))

    def _wrote_wal(self, _: apsw.Connection, __: str, pages: int) -> int:
        self.wal_pages = pages
        if self._is_wiping:
            self._commits.wiped(pages)
        elif not self.is_writing:  # something SQLite commits by itself, such as PRAGMA optimize
            self._commits.begun()
            self._commits.confirmed()
            self._commits.committed(self.wal_pages)
        return apsw.SQLITE_OK

    def _is_too_late(self) -> bool:
        if self._trusted or self.statement_seconds is None:
            return False
        now = monotonic()
        if self.running_since is None:
            self.running_since = now
        return now - self.running_since > self.statement_seconds

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
        if self.witness is not None:
            self.witness.compiles(self._statement, name, first, second)
        if regulator.is_transaction_control(name):
            self._refused_transaction = True
            return apsw.SQLITE_DENY
        self.has_own_schema = self.has_own_schema or regulator.changes_schema(name)
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
        if isinstance(error, apsw.InterruptError):
            limit = f"{self.statement_seconds} seconds"
            failure.args = (
                f"{failure}. A statement may run for {limit} (RuntimeConfig.statement_seconds)",
            )
        if failure.code == "SQLITE_FULL" and self._is_as_large_as_may_be():
            failure.retryable = False
        if failure.retryable and self.refused is not None:
            self.refused(failure)
        self._look_for_loss(failure)
        return failure

    def _is_as_large_as_may_be(self) -> bool:
        # Not asked of SQLite: after what has just failed, a question would hold its locks.
        # About: what didn't fit is only in memory, and the log may have a page twice.
        files = (self.path, wal.path_of(self.path))
        size = sum(file.stat().st_size for file in files if file.exists())
        return size > 0.9 * regulator.MOST_BYTES


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
