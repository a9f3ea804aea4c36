"""A loop that says when it is at rest, for runs in which time moves only then.

It is at rest when it would wait, for a timer or a socket; for a thread it does wait. What it asks
its selector tells that, with no need to look again and again whether anything has happened.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any, Final

MOST_TURNS: Final = 1_000_000  # until it is at rest; after that somebody turns in circles


class RestingLoop(asyncio.SelectorEventLoop):
    """A loop for those who use no sockets: these are looked at when it is at rest only."""

    def __init__(self) -> None:
        self._turns = 0
        self._in_threads = 0
        self._waiting: asyncio.Future[None] | None = None
        super().__init__(_Selector(self._turn))

    async def rest(self) -> None:
        """Return when nothing more happens by itself.

        Raises:
            RuntimeError: If that never happens.
        """
        self._turns, self._waiting = 0, self.create_future()
        await self._waiting

    def run_in_executor(self, *what: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        self._in_threads += 1
        future = super().run_in_executor(*what)
        future.add_done_callback(self._thread_is_done)
        return future

    def _thread_is_done(self, _: object) -> None:
        self._in_threads -= 1

    def _turn(self, is_at_rest: bool) -> bool:
        """Begin a turn. Returns whether there is something to do in it."""
        if is_at_rest and self._in_threads:
            return False
        self._turns += 1
        waiting = self._waiting
        if waiting is None or not (is_at_rest or self._turns > MOST_TURNS):
            return not is_at_rest
        self._waiting = None
        if waiting.done():  # whoever waited was cancelled
            return not is_at_rest
        if is_at_rest:
            waiting.set_result(None)
        else:
            waiting.set_exception(RuntimeError("something never comes to rest"))
        return True


class _Selector(selectors.DefaultSelector):
    """Is asked once in each turn, and told to wait only if there is nothing to do.

    Args:
        turn: Called in each turn with whether that is so. Returns whether there is something now.
    """

    def __init__(self, turn: Callable[[bool], bool]) -> None:
        super().__init__()
        self._turn = turn

    def select(self, timeout: float | None = None) -> list[Any]:
        return [] if self._turn(timeout != 0) else super().select(timeout)
