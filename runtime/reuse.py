"""A task that is used again: what is done most often, and whose end nobody waits for.

A message on a socket is handled by a coroutine that mostly ends in its first step. To make a
task for it, finish it and forget it takes as long as the rest of what the runtime does for a
message. So the task of one handler becomes the task of the next, of whichever object, unless
anybody could find out.
"""

from __future__ import annotations

from collections.abc import Coroutine
from contextvars import Context
from sys import getrefcount
from typing import Any, Final, Protocol

from runtime.gates import InputGate
from runtime.tasks import ObjectTask, Owner, log_failure


def _references_to_mine() -> int:
    """Return what ``getrefcount`` says of an object that only the asking function knows of."""
    mine = object()
    return getrefcount(mine)


_ONLY_MINE: Final = _references_to_mine()  # not the same in every version of Python
_NOWHERE: Final = Context()


class Employer(Owner, Protocol):
    """An object whose handlers are run."""

    input: InputGate
    tasks: dict[ObjectTask, None]


class HandlerTask(ObjectTask):
    """Runs a handler whose end nobody waits for. If it fails, that is logged.

    Attributes:
        rests: Whether its handler has ended and nobody was told: it may be used again.
    """

    rests = False
    _may_rest = True

    def renew(self, owner: Employer, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Become the task of another handler, as if it were new."""
        self.owner, self.gate, self._coroutine, self._name = owner, owner.input, work, name
        self._context = Context()
        self.rests = self.has_started = False

    def rest_no_more(self) -> None:
        """Take it that somebody may look at it from now on. If its handler has ended, so it has."""
        self._may_rest = False
        if self.rests:
            self.rests = False
            self._finish(None, None)

    def _finish(self, result: Any, error: BaseException | None) -> None:
        if error is None and self._may_rest and not (self._cancel_requests or self._callbacks):
            self.rests = True
            self._context = _NOWHERE  # it holds this task, by way of `current`
            self.owner.retire(self)
        else:
            super()._finish(result, error)


class Handlers:
    """Runs handlers, each in a task of its own for all that anybody can see.

    Invariants:
        - A task is used again only if its handler ended in its first step, and nothing but this
          knows of it any more: no code, no context, no callback.
    """

    def __init__(self) -> None:
        self._spare: HandlerTask | None = None

    def run(self, owner: Employer, work: Coroutine[Any, Any, Any], name: str) -> ObjectTask:
        """Run a handler of an object: its first step at once, if the gate is open."""
        task, self._spare = self._spare, None
        if task is None:
            task = HandlerTask(
                work, owner=owner, gate=owner.input, context=Context(), name=name, on_done=_log
            )
        else:
            task.renew(owner, work, name)
        owner.tasks[task] = None
        task.start()
        if task.rests and getrefcount(task) == _ONLY_MINE:
            self._spare = task
        else:
            task.rest_no_more()
        return task


def _log(task: ObjectTask) -> None:
    log_failure(task.owner, task.get_name(), task)
