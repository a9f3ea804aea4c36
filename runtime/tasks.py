"""Object code that runs: a task whose every step passes its object's input gate.

asyncio lets a third party bring its own task, by way of ``_enter_task`` and ``_leave_task``
(Python documentation, "Extending asyncio"). Ours differs from ``asyncio.Task`` in three
things, and this file is about nothing else:

- Before every step, whatever it awaited, it asks the input gate (I2).
- What a step wrote is committed when the step ends, before anybody hears of it (I4).
- Its first step may run at once, in the caller's turn of the loop. Code that never waits then
  costs no turn of the loop at all.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, Protocol

from runtime.clock import Clock
from runtime.gates import InputGate

TaskFactory = Callable[..., "asyncio.Future[Any]"]


class Aborted(BaseException):
    """Ends the step that has reset its own object. No ``except Exception`` stops it."""


class Owner(Protocol):
    """The object whose code a task runs."""

    @property
    def clock(self) -> Clock: ...

    def begun(self, task: ObjectTask) -> None:
        """A task that had to wait for its first step takes it now."""

    def enter(self) -> None:
        """A step begins."""

    def leave(self) -> None:
        """The step has ended: commit what it wrote. If that fails, drop all its tasks."""

    def spawn(self, coroutine: Coroutine[Any, Any, Any], context: Context) -> ObjectTask:
        """Start a task on behalf of the one that `context` belongs to, in the loop's next turn."""

    def release_call(self, call: Callable[[], object]) -> None:
        """Let a call to another object leave, once what was written so far is durable."""

    def retire(self, task: ObjectTask) -> None:
        """The task has ended."""


current: ContextVar[ObjectTask | None] = ContextVar("current object task", default=None)
"""The object task whose code is running, or which started the code that is running."""


log = logging.getLogger("runtime")

TASK: Final = "a task"
"""The name of a task that object code has started, unless it gives another."""

_FINISHED: Final = Context()


class ObjectTask(asyncio.Future[Any]):
    """Runs one coroutine of an object, step by step.

    It can be awaited, cancelled and waited for like an ``asyncio.Task``, and asyncio shows it
    as the current task, so ``asyncio.timeout`` and task groups work inside object code.

    Invariants:
        - At most one step of an object runs at a time, and none while its gate is shut.
        - A task that was dropped takes no further step.

    Attributes:
        since: When it first had to wait for something, if it has.
        origin: The name of the event that it goes back to, if another task has started it.
        again: The event, and what refuses it, for the next life if it doesn't begin in this one.
    """

    since: float | None = None
    origin: str | None = None
    again: tuple[Any, Any] | None = None

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        *,
        owner: Owner,
        gate: InputGate,
        context: Context,
        name: str,
        on_done: Callable[[ObjectTask], object] | None = None,
    ) -> None:
        """Args:
        coroutine: What to run. The first step is up to the caller: see `start`.
        gate: The gate that the task is born in.
        context: The context variables that its code sees. The task changes them.
        on_done: Called in the turn in which the task ends, before its ordinary callbacks.
        """
        super().__init__(loop=asyncio.get_running_loop())
        self.owner = owner
        self.gate = gate
        self._coroutine = coroutine
        self._name = name
        self._on_done = on_done
        self._context = context
        self._cancel_requests = 0
        # What to throw at the next step: the failure of what was awaited.
        self._pending: BaseException | None = None
        # These two names are asyncio's own, because libraries such as anyio look at them.
        self._must_cancel = False
        self._cancel_message: Any = None
        self._fut_waiter: asyncio.Future[Any] | None = None
        self.has_started = False

    # Called by the runtime.

    def start(self) -> None:
        """Take the first step now if the gate is open, otherwise in its turn."""
        if self.gate.admit(self):
            self._context.run(self._step)
        else:
            self.since = self.owner.clock.time()

    def step(self) -> None:
        """Run up to the next ``await``. The gate has been passed."""
        if not self.done():
            if not self.has_started:
                self.owner.begun(self)
            self._context.run(self._step)

    def withdraw(self) -> None:
        """Take it back before its first step. Nothing of it runs, and `on_done` isn't called."""
        assert not self.has_started, "it may have done something"
        self.gate.withdraw(self)
        self._on_done = None
        context = self._context
        self._finish(None, asyncio.CancelledError())
        self._close(context)

    @property
    def awaited(self) -> asyncio.Future[Any] | None:
        """What has to be done before it goes on; None if it needs only its turn."""
        return self._fut_waiter

    def drop(self, reason: Exception) -> None:
        """End it where it stands. Its ``finally`` blocks run, and nothing else of it."""
        if self.done():
            return
        if self._fut_waiter is not None:
            self._fut_waiter.remove_done_callback(self._wake)
            self._fut_waiter = None
        context = self._context
        self._finish(None, reason)
        self._close(context)

    # What asyncio and other libraries expect of a task.

    def cancel(self, msg: Any | None = None) -> bool:
        if self.done():
            return False
        self._cancel_requests += 1
        if self._fut_waiter is None or not self._fut_waiter.cancel(msg):
            self._must_cancel, self._cancel_message = True, msg
        return True

    def cancelling(self) -> int:
        return self._cancel_requests

    def uncancel(self) -> int:
        self._cancel_requests = max(0, self._cancel_requests - 1)
        return self._cancel_requests

    def get_coro(self) -> Coroutine[Any, Any, Any]:
        return self._coroutine

    def get_context(self) -> Context:
        return self._context

    def get_name(self) -> str:
        return self._name

    def set_name(self, value: object) -> None:
        self._name = str(value)

    # One step. Everything below runs inside the task's own context.

    def _wake(self, awaited: asyncio.Future[Any]) -> None:
        self._fut_waiter = None
        try:
            awaited.result()
        except BaseException as error:  # thrown into the coroutine, a cancellation as well
            self._pending = error
        if self.gate.admit(self, awaited):  # I2
            self._step()

    def _go_on(self) -> None:
        if self.gate.admit(self):  # I2
            self._step()

    def _step(self) -> None:
        if self.done():
            return
        if not self.has_started:
            self.has_started = True
            current.set(self)
        # A first step may run inside somebody else's task; asyncio wants one at a time.
        loop = self.get_loop()
        outer = asyncio.current_task(loop)
        if outer is not None:
            _leave_task(loop, outer)
        _enter_task(loop, self)  # type: ignore[arg-type]  # typeshed wants an asyncio.Task
        try:
            self._advance()
        finally:
            _leave_task(loop, self)  # type: ignore[arg-type]
            if outer is not None:
                _enter_task(loop, outer)

    def _advance(self) -> None:
        awaited = result = failure = None
        has_ended = True
        self.owner.enter()
        try:
            if self._pending is None and not self._must_cancel:
                awaited = self._coroutine.send(None)
            else:
                awaited = self._coroutine.throw(self._take_pending())
            has_ended = False
        except StopIteration as stop:
            result = stop.value
        except BaseException as error:  # the boundary of object code: it goes to whoever waits
            failure = error
        self.owner.leave()  # I4
        if self.done():  # dropped in the middle of its own step, or by the end of it
            self._close(copy_context())
        elif has_ended:
            self._finish(result, failure)
        else:
            self._wait_for(awaited)
        if isinstance(failure, KeyboardInterrupt | SystemExit):
            raise failure
        failure = None  # it holds this frame, which would hold it

    def _take_pending(self) -> BaseException:
        error, self._pending = self._pending, None
        if error is None or (self._must_cancel and not isinstance(error, asyncio.CancelledError)):
            message, self._cancel_message = self._cancel_message, None
            error = asyncio.CancelledError() if message is None else asyncio.CancelledError(message)
        self._must_cancel = False
        return error

    def _wait_for(self, awaited: Any) -> None:
        loop = self.get_loop()
        if awaited is None:  # asyncio.sleep(0)
            loop.call_soon(self._go_on, context=self._context)
        elif getattr(awaited, "_asyncio_future_blocking", False) and awaited.get_loop() is loop:
            awaited._asyncio_future_blocking = False
            awaited.add_done_callback(self._wake, context=self._context)
            self._fut_waiter = awaited
            if self.since is None:
                self.since = self.owner.clock.time()
            if self._must_cancel and awaited.cancel(self._cancel_message):
                self._must_cancel = False
        else:
            self._pending = RuntimeError(f"{self._name} awaited {awaited!r}, not of its event loop")
            loop.call_soon(self._go_on, context=self._context)

    def _finish(self, result: Any, error: BaseException | None) -> None:
        if error is None:
            self.set_result(result)
        elif isinstance(error, asyncio.CancelledError):
            super().cancel(*error.args[:1])
        else:
            self.set_exception(error)
        # It holds this task, by way of `current`: a cycle for every call would be costly to find.
        self._context = _FINISHED
        self.owner.retire(self)
        on_done, self._on_done = self._on_done, None
        if on_done is not None:
            on_done(self)

    def _close(self, context: Context) -> None:
        if getattr(self._coroutine, "cr_running", False):
            return  # it dropped itself; closed as soon as its step has ended
        try:  # as its own code, or its calls would leave at once; a copy can be entered always
            context.copy().run(self._coroutine.close)
        except Exception as error:  # its ``finally`` blocks failed, and nobody waits for them
            if getattr(error, "durable_object_reset", False):
                return  # they have found out that their object is no more
            message = f"{self._name} failed while it was dropped"
            self.get_loop().call_exception_handler({"message": message, "exception": error})


async def as_async(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function that may be ``async`` or not."""
    result = function(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result


def error_of(task: asyncio.Future[Any]) -> BaseException | None:
    """Return what a task has failed with, a cancellation included."""
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def log_failure(owner: object, what: str, task: asyncio.Future[Any]) -> None:
    """Say that a task has failed whose error nobody waits for. A reset speaks for itself."""
    error = error_of(task)
    if error is not None and not getattr(error, "durable_object_reset", False):
        log.error("%s of %s failed", what, owner, exc_info=error)


def spawn_outside(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Start a plain task that belongs to no object, whoever asks for it."""
    return asyncio.get_running_loop().create_task(coroutine, context=Context())


def task_factory(inner: TaskFactory | None) -> TaskFactory:
    """Return a loop's task factory that makes tasks started by object code object tasks.

    So ``asyncio.create_task``, ``gather`` and task groups inside an object keep to its gate.

    Args:
        inner: The factory that was set before; None for asyncio's own. It makes all others.
    """
    create = inner or _plain_task

    def factory(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Future[Any]:
        context: Context | None = options.get("context")
        task = current.get() if context is None else context.get(current)
        if task is None:
            return create(loop, coroutine, **options)
        return task.owner.spawn(coroutine, copy_context() if context is None else context)

    return factory


def _plain_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    return asyncio.Task(coroutine, loop=loop, **options)
