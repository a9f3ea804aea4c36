"""The threads that wait for the disk, so that the loop never does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

THREADS: Final = 4  # one is the journal's; the others open, close and shorten databases


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
