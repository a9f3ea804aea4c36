"""Making commits durable: an ``fdatasync`` of the WAL they are in, on a thread (I10).

SQLite itself syncs nothing, except in a checkpoint. One sync covers every commit of an
object that came before it began, so an object that writes faster than its disk pays less for
each write, not more.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

THREADS: Final = 4  # file systems merge the syncs of several threads into one of the disk's

Done = Callable[[], object]
Failed = Callable[[OSError], object]


class Syncer:
    """The threads that wait for the disk."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sync")
        self._under_way = 0

    @property
    def is_idle(self) -> bool:
        """Whether no disk work is under way."""
        return not self._under_way

    def run(self, work: Callable[[], None], done: Callable[[Exception | None], object]) -> None:
        """Do `work` on a thread, then call `done` on the loop, with its error if it had one."""
        loop = asyncio.get_running_loop()
        self._under_way += 1

        def finish(error: Exception | None) -> None:
            self._under_way -= 1
            done(error)

        def job() -> None:
            error = None
            try:
                work()
            except Exception as raised:  # whatever it is, the loop has to hear of it
                error = raised
            loop.call_soon_threadsafe(finish, error)

        self._pool.submit(job)

    def shut_down(self) -> None:
        """End the threads, after the work that they have been given."""
        self._pool.shutdown()


class SyncedFile:
    """One database whose commits are to become durable.

    Invariants:
        - At most one sync is under way; it was started after every commit it speaks for.
        - The files themselves, not only their content, are durable before the first answer.
    """

    def __init__(self, path: Path, syncer: Syncer, failed: Failed) -> None:
        self._path = path
        self._syncer = syncer
        self._failed = failed
        self._waiting: list[Done] = []
        self._busy = False
        self._closed = False
        self._descriptors: list[int] = []

    def sync(self, done: Done) -> None:
        """Call `done` once everything committed up to now is durable."""
        self._waiting.append(done)
        if not self._busy:
            self._start()

    def close(self) -> None:
        """Let go of the files. Commits that aren't durable yet are never heard of again."""
        self._closed = True
        self._waiting.clear()
        if not self._busy:
            self._release()

    def _start(self) -> None:
        self._busy = True
        batch, self._waiting = self._waiting, []
        self._syncer.run(self._sync, lambda error: self._finish(batch, error))

    def _sync(self) -> None:
        if self._descriptors:
            os.fdatasync(self._descriptors[0])
            return
        # The database's own header says that there is a WAL; without it SQLite drops the WAL.
        for path in (Path(f"{self._path}-wal"), self._path, self._path.parent):
            self._descriptors.append(os.open(path, os.O_RDONLY))
            os.fsync(self._descriptors[-1])

    def _finish(self, batch: list[Done], error: Exception | None) -> None:
        self._busy = False
        if self._closed:
            self._release()
            return
        if error is not None:
            self._failed(error if isinstance(error, OSError) else OSError(str(error)))
            return
        for done in batch:
            done()
        if self._waiting and not self._busy:  # it is, if a `done` asked for another sync
            self._start()

    def _release(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
