"""Keeping the write-ahead log of a busy object short."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

from runtime.gates import Call, InputGate
from runtime.health import is_of_the_disk
from runtime.sql import Database
from runtime.syncer import Syncer

PAGES: Final = 1000  # of WAL, 4 MiB: as SQLite's own default
NEVER: Final = sys.maxsize

log = logging.getLogger("runtime")


class Checkpoints:
    """Brings an object's WAL into its database when it has grown, or when the journal asks for it.

    That waits for the disk, so it is done on a thread, in a critical section of the object, once
    everything in the WAL is durable in the journal: the object is held back meanwhile, and nobody
    else. Were a page in the database that the journal doesn't have, recovery couldn't mend it.
    """

    def __init__(
        self,
        database: Database,
        work: Callable[[], None],
        syncer: Syncer,
        gate: InputGate,
        when_durable: Callable[[Call], object],
        done: Callable[[bool], object],
    ) -> None:
        """Args:
        work: The checkpoint itself, on a thread.
        when_durable: Calls a function once all commits up to now are durable.
        done: Called when a checkpoint is over, and the database is free again, with whether
            it holds everything now.
        """
        self.is_running = False
        self._database = database
        self._work = work
        self._syncer = syncer
        self._gate = gate
        self._when_durable = when_durable
        self._done = done
        self._pages = self._due_at = PAGES
        self._is_over = False

    @property
    def is_wanted(self) -> bool:
        """Whether one is under way, or waits for its turn."""
        return self._due_at == NEVER

    def limit(self, pages: int) -> None:
        """Let the WAL get longer than `pages` before it is brought into the database."""
        if self._due_at == self._pages:
            self._due_at = pages
        self._pages = pages

    def start_if_due(self) -> None:
        """Start a checkpoint, in its turn, if the WAL is long enough."""
        if self._database.wal_pages >= self._due_at:
            self.start()

    def hasten(self) -> None:
        """Have the next one due, if it isn't under way, however short the WAL is."""
        if self._due_at != NEVER:
            self._due_at = 0

    def start(self) -> None:
        """Start a checkpoint, in its turn. Not inside a step: that may use the database."""
        if self.is_wanted:
            return
        self._due_at = NEVER
        self._gate.start_section(lambda section: self._when_durable(partial(self._start, section)))

    def stop(self) -> None:
        """Begin none any more, not even one that waits for its turn."""
        self._is_over = True

    def _start(self, section: InputGate) -> None:
        if self._is_over:
            return
        if not self._database.is_open:  # there is none
            self._due_at = self._pages
            self._done(True)
            section.finish()
            return
        self.is_running = True
        self._syncer.run(self._work, partial(self._finish, section))

    def _finish(self, section: InputGate, error: Exception | None) -> None:
        self.is_running = False
        self._due_at = self._pages
        if error is not None:  # nothing is lost: the WAL grows, and a later commit tries again
            self._due_at += self._database.wal_pages
            if not is_of_the_disk(error):
                log.warning("a checkpoint of %s failed: %s", self._database.path.name, error)
        self._done(error is None)
        section.finish()
