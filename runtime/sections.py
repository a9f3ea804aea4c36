"""Critical sections: work during which nothing else of its object runs (I2).

``block_concurrency_while`` and ``transaction`` are both made of this. They differ in what a
failure means: it resets the object, or it is the caller's to handle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from runtime.clock import Clock
from runtime.errors import ObjectReset
from runtime.gates import InputGate
from runtime.tasks import ObjectTask, as_async, current, error_of

if TYPE_CHECKING:
    from runtime.guard import Guard

SECTION: Final = "a critical section"
"""The name of a task that is one."""

LIMIT_SECONDS: Final = 30.0  # for which everything else of an object may be held back

_TOO_LONG: Final = (
    "A call to block_concurrency_while() in a Durable Object waited for too long. The call was "
    "canceled and the Durable Object was reset."
)

T = TypeVar("T")


class Keeper(Protocol):
    """The object's activation."""

    failure: Exception | None
    guard: Guard | None

    @property
    def clock(self) -> Clock: ...

    def new_task(
        self,
        work: Coroutine[Any, Any, Any],
        name: str,
        gate: InputGate,
        context: Context,
        on_done: Callable[[ObjectTask], object] | None = None,
    ) -> ObjectTask: ...

    def break_off(self, error: BaseException) -> None: ...


class Outcome(asyncio.Future[T]):
    """What becomes of a critical section."""


class CriticalSections:
    """The critical sections of one object."""

    def __init__(self, keeper: Keeper, gate: InputGate) -> None:
        self._keeper = keeper
        self._gate = gate

    def start(
        self, work: Callable[[], Awaitable[T]], *, failed: Callable[[BaseException], object] | None
    ) -> Awaitable[T]:
        """Run `work` in its turn, with everything else of the object held back.

        Args:
            failed: What an error of `work` is told to. Without it, whoever awaits gets the
                error, and whoever gives up awaiting cancels the work.

        Raises:
            RuntimeError: If sections are nested more than 64 deep. Nothing happened.
        """
        if self._keeper.guard is not None:
            name = "transaction()" if failed is None else "block_concurrency_while()"
            work = self._keeper.guard.watched(work, name)
        context = copy_context()
        parent = context.get(current)
        outcome = Outcome[T](loop=asyncio.get_running_loop())
        gate = parent.gate if parent else self._gate
        gate.start_section(partial(self._begin, work, failed, context, outcome))
        return outcome

    def _begin(
        self,
        work: Callable[[], Awaitable[T]],
        failed: Callable[[BaseException], object] | None,
        context: Context,
        outcome: Outcome[T],
        section: InputGate,
    ) -> None:
        if self._keeper.failure is not None:
            return  # it broke while this one waited for its turn (I5)

        def done(task: ObjectTask) -> None:
            timer.cancel()
            error = error_of(task)
            if error is not None and failed is not None:
                failed(error)
            if self._keeper.failure is None:
                section.finish(outcome, partial(_copy_outcome, task, outcome))

        timer = self._keeper.clock.call_later(LIMIT_SECONDS, self._took_too_long)
        task = self._keeper.new_task(as_async(work), SECTION, section, context, done)
        if failed is None:
            outcome.add_done_callback(lambda _: outcome.cancelled() and task.cancel())
        task.get_loop().call_soon(task.start)

    def _took_too_long(self) -> None:
        error = ObjectReset(_TOO_LONG)
        error.overloaded = True
        self._keeper.break_off(error)


def _copy_outcome(task: asyncio.Future[T], outcome: Outcome[T]) -> None:
    if outcome.done():
        return
    error = error_of(task)
    if error is None:
        outcome.set_result(task.result())
    elif isinstance(error, asyncio.CancelledError):
        outcome.cancel()
    else:
        outcome.set_exception(error)
