"""The threads that wait for the disk, so that the loop never does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

THREADS: Final = 3  # beside the journal's own


T = TypeVar("T")


class Syncer:
    """The threads that wait for the disk.

    Attributes:
        failed: Called, on any thread, with whatever error disk work ends in.
    """

    def __init__(self) -> None:
        self.failed: Callable[[Exception], object] = _ignore
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sync")
        self._urgent = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._under_way = 0

    @property
    def is_idle(self) -> bool:
        """Whether no disk work is under way."""
        return not self._under_way

    def run(
        self,
        work: Callable[[], None],
        done: Callable[[Exception | None], object],
        *,
        is_urgent: bool = False,
    ) -> None:
        """Do `work` on a thread, then call `done` on the loop, with its error if it had one.

        Args:
            is_urgent: Don't let it wait for what isn't. What is urgent keeps its order.
        """
        loop = asyncio.get_running_loop()
        self._under_way += 1

        def finish(error: Exception | None) -> None:
            self._under_way -= 1
            done(error)

        def job() -> None:
            loop.call_soon_threadsafe(finish, self.attempt(work))

        (self._urgent if is_urgent else self._pool).submit(job)

    def attempt(self, work: Callable[[], None]) -> Exception | None:
        """Do `work` on this thread, and return its error if it had one."""
        try:
            work()
        except Exception as error:  # whatever it is, the loop has to hear of it
            self.failed(error)
            return error
        return None

    async def result_of(self, work: Callable[[], T]) -> T:
        """Do `work` on a thread, and return what it returns. That goes on even if nobody waits."""
        done: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        results: list[T] = []

        def finish(error: Exception | None) -> None:
            if not done.done():
                done.set_result(error)

        self.run(lambda: results.append(work()), finish)
        if (error := await done) is not None:
            raise error
        return results[0]

    async def prepare(self, work: Callable[[], T]) -> T:
        """Do `work` on a thread before anything else is done, and return what it returns."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def shut_down(self) -> None:
        """End the threads, after the work that they have been given."""
        self._pool.shutdown()
        self._urgent.shutdown()


def _ignore(_: Exception) -> None:
    """Nobody needs to hear of it, besides whoever asked for the work."""
