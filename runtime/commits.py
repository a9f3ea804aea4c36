"""What becomes of a database's transactions, and who must wait to hear of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from runtime.errors import SqlError
from runtime.gates import Lock, OutputGate
from runtime.syncer import SyncedFile


class Commits(Protocol):
    """Whoever must know what becomes of a database's transactions."""

    def begun(self) -> None:
        """A transaction is about to write for the first time. May raise to refuse it."""

    def committed(self) -> None:
        """It is in the WAL: written, and not yet durable."""

    def undone(self) -> None:
        """It was rolled back: nothing of it remains."""

    def lost(self, error: SqlError) -> None:
        """SQLite rolled it back by itself, over a full disk for instance."""


class GatedCommits:
    """Ties a database's transactions to its object's output gate (I3).

    A transaction locks the gate when it begins to write, and its lock is released when it has
    become durable, or has turned out to be nothing.
    """

    def __init__(
        self,
        output: OutputGate,
        file: SyncedFile,
        lost: Callable[[Exception], object],
    ) -> None:
        self._output = output
        self._file = file
        self._lost = lost
        self._lock: Lock | None = None
        self.count = 0
        """How many transactions have committed."""

    def begun(self) -> None:
        self._lock = self._output.lock()

    def committed(self) -> None:
        lock, self._lock = self._lock, None
        assert lock is not None, "a transaction that hasn't begun"
        self.count += 1
        self._file.sync(lock.release)

    def undone(self) -> None:
        lock, self._lock = self._lock, None
        assert lock is not None, "a transaction that hasn't begun"
        lock.release()

    def lost(self, error: SqlError) -> None:
        self._lock = None
        self._lost(error)
