"""Keeping the write-ahead log of a busy object short."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Final

from runtime.gates import InputGate
from runtime.sql import Database
from runtime.syncer import Syncer

PAGES: Final = 1000  # of WAL, 4 MiB: as SQLite's own default
NEVER: Final = sys.maxsize

log = logging.getLogger("runtime")


class Checkpoints:
    """Brings an object's WAL into its database when it has grown.

    That waits for the disk, so it is done on a thread, in a critical section of the object:
    the object is held back meanwhile, and nobody else.
    """

    def __init__(
        self, database: Database, syncer: Syncer, gate: InputGate, done: Callable[[], object]
    ) -> None:
        """Args:
        done: Called when a checkpoint is over, and the database is free again.
        """
        self.is_running = False
        self._database = database
        self._syncer = syncer
        self._gate = gate
        self._done = done
        self._due_at = PAGES

    def start_if_due(self) -> None:
        """Start a checkpoint, in its turn, if the WAL is long enough."""
        if self._database.wal_pages >= self._due_at:
            self._due_at = NEVER
            self._gate.start_section(self._start)

    def _start(self, section: InputGate) -> None:
        if not self._database.is_open:  # the object broke while this waited for its turn
            return
        self.is_running = True
        self._syncer.run(self._database.checkpoint, lambda error: self._finish(section, error))

    def _finish(self, section: InputGate, error: Exception | None) -> None:
        self.is_running = False
        self._due_at = PAGES
        if error is not None:  # nothing is lost: the WAL grows, and a later commit tries again
            self._due_at += self._database.wal_pages
            log.warning("a checkpoint of %s failed: %s", self._database.path.name, error)
        self._done()
        section.finish()
