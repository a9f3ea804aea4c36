"""The transactions of one database: begun by its first write, ended by `commit` or `rollback`.

Transactions may be open inside it, each to be kept or undone by itself. What is committed isn't
durable yet: making it so is somebody else's work, told through `Commits`. Messages wait for that,
unless the transaction consists of unconfirmed writes.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from runtime.commits import Commits
from runtime.errors import SqlError

_CONSTRAINTS_VIOLATED: Final = (
    "Durable Object was reset and rolled back to its last known good state because the "
    "application left the database in a state where constraints were violated: "
)


class Transactional(ABC):
    """A database, as far as its transactions go.

    Invariants:
        - Object code never ends a transaction, and never runs a statement outside of one
          that writes: the first write begins it, `commit` ends it.
        - `Commits` hears of every transaction that writes: once when it begins, once how it ends.
    """

    wal_pages: int

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._numbers = itertools.count()
        self.is_writing = False
        """Whether a transaction with at least one write is open."""
        # What `enter` has opened: the savepoint of each, or None if it spans the transaction.
        self._levels: list[str | None] = []
        # Whether there are confirmed writes: outside of these, and inside each.
        self._confirmed = [False]
        self._confirms = True

    @abstractmethod
    def run(self, statement: str) -> object:
        """Run one statement of the runtime's own."""

    @abstractmethod
    def _has_begun(self) -> bool:
        """Whether SQLite is in a transaction."""

    @property
    def in_transaction(self) -> bool:
        """Whether an explicit transaction is open: a step's end must not commit."""
        return bool(self._levels)

    @property
    def is_confirmed(self) -> bool:
        """Whether messages wait for what is being written."""
        return any(self._confirmed)

    def confirm(self) -> None:
        """Let messages wait for what is being written."""
        if self.is_writing:
            is_known, self._confirmed[-1] = self.is_confirmed, True
            if not is_known:
                self._commits.confirmed()

    @contextmanager
    def unconfirmed(self) -> Iterator[None]:
        """Let no message wait for what is written inside the block, if nothing else makes it."""
        confirms, self._confirms = self._confirms, False
        try:
            yield
        finally:
            self._confirms = confirms

    def commit(self) -> None:
        """Commit what has been written. Nothing happens if nothing has.

        Raises:
            SqlError: If constraints are violated, or the disk refuses. All of it was undone.
        """
        if not self._has_begun():
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
            self._end()
            self._commits.committed(self.wal_pages)

    def rollback(self) -> None:
        """Undo everything since the last commit."""
        if self._has_begun():
            self.run("ROLLBACK")
        if self.is_writing:
            self._end()
            self._commits.undone()

    def enter(self) -> None:
        """Open a transaction, inside the one that is open if there is one."""
        savepoint = None
        if self._has_begun():
            savepoint = f"_cf_savepoint_{next(self._numbers) % 100}"
            self.run(f"SAVEPOINT {savepoint}")
        self._levels.append(savepoint)
        self._confirmed.append(False)

    def leave(self, *, keep: bool) -> None:
        """End the innermost transaction. The outermost one is then still to be committed."""
        if not self._levels:
            return  # it was lost, the object broke over that, and has closed the database
        savepoint, was_confirmed = self._levels.pop(), self._confirmed.pop()
        if savepoint is None:
            if not keep:
                self.rollback()
        elif self._has_begun():
            if not keep:
                self.run(f"ROLLBACK TO {savepoint}")
            self.run(f"RELEASE {savepoint}")
        if not was_confirmed or not self.is_writing:
            return
        if keep:
            self._confirmed[-1] = True
        elif not self.is_confirmed:
            self._commits.unconfirmed()

    def _begin(self) -> None:
        """Prepare for a write."""
        if not self.is_writing:
            self._commits.begun()
            try:
                if not self._has_begun():
                    self.run("BEGIN")
            except SqlError:
                self._commits.undone()
                raise
            self.is_writing = True
        if self._confirms and not self._confirmed[-1]:
            self.confirm()

    def _look_for_loss(self, failure: SqlError) -> None:
        """Break with the transaction if SQLite has rolled it back by itself."""
        if self.is_writing and not self._has_begun():
            self._levels = [None for _ in self._levels]
            self._end()
            self._commits.lost(failure)

    def _forget(self) -> None:
        """Take it that nothing is open."""
        self._levels.clear()
        self._confirmed = [False]
        self.is_writing = False

    def _end(self) -> None:
        self.is_writing = False
        self._confirmed = [False] * len(self._confirmed)
