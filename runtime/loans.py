"""What a loop is lent while runtimes run on it, whichever of them ends first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from runtime.tasks import task_factory

Undo = Callable[[], object]


class Loan:
    """Something that a loop has from the first runtime on it until the last one has ended.

    Args:
        lend: Lends it, and returns what takes it back.
    """

    def __init__(self, lend: Callable[[asyncio.AbstractEventLoop], Undo]) -> None:
        self._lend = lend
        self._lent: dict[asyncio.AbstractEventLoop, tuple[int, Undo]] = {}

    def begin(self) -> Undo:
        """Lend it to the running loop. Returns what is to be called once, when one is done."""
        loop = asyncio.get_running_loop()
        count, undo = self._lent.get(loop) or (0, self._lend(loop))
        self._lent[loop] = count + 1, undo
        return partial(self._end, loop)

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        count, undo = self._lent.pop(loop)
        if count > 1:
            self._lent[loop] = count - 1, undo
        else:
            undo()


def _lend_tasks(loop: asyncio.AbstractEventLoop) -> Undo:
    inner = loop.get_task_factory()
    loop.set_task_factory(task_factory(inner))
    return partial(loop.set_task_factory, inner)


OBJECT_TASKS: Final = Loan(_lend_tasks)
"""That tasks which object code starts keep to its object's gate."""
