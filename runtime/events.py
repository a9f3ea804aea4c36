"""What can happen to a live object: a call, an alarm, a message, a socket's failure and end.

Each turns into one task of the object, which is returned, and says what becomes of its result. The
input gate decides when it runs; the output gate when its answer leaves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from copy import copy
from functools import partial
from typing import Any, Final

from runtime.activation import Activation
from runtime.connection import TRY_AGAIN_LATER
from runtime.errors import ObjectReset, Overloaded
from runtime.fetch import SWITCHING_PROTOCOLS, Request, Response
from runtime.inbox import MAX_TASKS, TOO_LONG, TOO_MANY, TOO_MUCH
from runtime.messages import Message
from runtime.methods import Method, no_such_method
from runtime.namespace import FETCH, Call, LendingReply, Reply
from runtime.sockets import WebSocket
from runtime.tasks import ObjectTask, as_async, error_of, log_failure
from runtime.wire import size_of

ALARM_SECONDS: Final = 15 * 60  # for one run of an alarm, as in the original

_NO_ALARM_HANDLER: Final = (
    "Attempted to run a scheduled alarm without a handler, did you remember to define an alarm() "
    "method? %s"
)
_ALARM_TOO_LONG: Final = "Alarm exceeded its allowed execution time"
_EVENT_TOO_LONG: Final = "Actor exceeded event execution time and was disconnected."

log = logging.getLogger("runtime")


def call(life: Activation, call: Call) -> ObjectTask | None:
    """Call a method, or `fetch`, and answer its caller."""
    if (why := refusal(life)) is not None:
        call.reply.fail(Overloaded(why, durable_object_id=life.id.hex))
        return None
    if isinstance(call.reply, LendingReply):
        for lease in call.reply.lent:
            lease.lend_to(life)
    method = None
    if call.name == FETCH:
        work = _fetch(life, *call.args)
    else:
        method = life.code.methods.get(call.name)
        if method is None:  # the caller goes by another version of the class
            call.reply.fail(no_such_method(call.name))
            return None
        work = _work(life, call.name, method.is_async, call.args, call.kwargs)
    task = life.run(work, call.name, on_done=partial(_answer, life, call, method))
    if not task.has_started:
        queue(life, call.reply, task, _size_of_call(call))
    if not call.reply.done():
        life.owe(call.reply)
    return task


def ring(life: Activation, name: str | None, until: float | None = None) -> ObjectTask:
    """Run an alarm, if it is due by the object's own account.

    Args:
        until: By when, in seconds since the epoch; by now, if it isn't given.
    """
    work = _alarm(life, name, until)
    task = life.run(work, "alarm", on_done=partial(log_failure, life, "alarm"))
    # It fails then, and is tried again.
    timer = life.clock.call_later(ALARM_SECONDS, partial(task.cancel, _ALARM_TOO_LONG))
    task.add_done_callback(lambda _: timer.cancel())
    return task


def receive(life: Activation, ws: WebSocket, message: Message) -> ObjectTask | None:
    """Deliver a socket's message."""
    if (why := refusal(life)) is not None:
        ws.drop(TRY_AGAIN_LATER, why)
        return None
    task = _handle(life, "web_socket_message", ws, message)
    is_waiting = task is not None and not task.has_started
    if task is not None and is_waiting and not life.inbox.add(task, len(message)):
        task.withdraw()
        ws.drop(TRY_AGAIN_LATER, TOO_MUCH)
    return task


def fail(life: Activation, ws: WebSocket, error: Exception) -> ObjectTask | None:
    """Deliver what a socket's peer has done wrong. Its end is delivered after that."""
    return _handle(life, "web_socket_error", ws, error)


def lose(
    life: Activation, ws: WebSocket, code: int, reason: str, was_clean: bool
) -> ObjectTask | None:
    """Deliver the end of a socket. The object lets go of it once its handler has begun."""
    task = _handle(life, "web_socket_close", ws, code, reason, was_clean)
    if task is None or task.has_started:
        life.sockets.remove(ws)
        return task

    def over(_: object) -> None:
        if task.has_started:  # or it was taken back, for the next life
            life.sockets.remove(ws)

    task.add_done_callback(over)
    return task


def take_back(life: Activation, task: ObjectTask, event: Callable[[Activation], object]) -> None:
    """Undo that an event was delivered, as long as its task hasn't begun. Nobody is told."""
    life.inbox.take(task)
    task.withdraw()
    if isinstance(event, partial) and "call" in event.keywords:
        life.owed.pop(event.keywords["call"].reply, None)


def weigh(event: Callable[[Activation], object]) -> tuple[int, bool]:
    """Return the size of the data that an event brings, and whether somebody awaits its answer.

    For those that have to wait; to find out takes as long as copying the data.
    """
    brings = event.keywords if isinstance(event, partial) else {}
    if "call" in brings:
        return _size_of_call(brings["call"]), True
    return len(brings.get("message", ())), False


def refusal(life: Activation) -> str | None:
    """Say why nothing more is taken on, if it isn't."""
    if len(life.tasks) >= MAX_TASKS:
        return TOO_MANY
    return TOO_MUCH if life.node.journal.is_full else None


def queue(life: Activation, reply: Reply, task: ObjectTask, size: int) -> None:
    """Have a call wait that can't begin yet. Its caller hears if it is too much, or too long."""

    def refuse(why: str) -> None:
        task.withdraw()
        life.pay(reply, None, Overloaded(why, durable_object_id=life.id.hex))

    if not life.inbox.add(task, size, partial(refuse, TOO_LONG)):
        refuse(TOO_MUCH)


def _size_of_call(call: Call) -> int:
    if call.name == FETCH:
        return len(call.args[0].body)
    return sum(map(size_of, (*call.args, *call.kwargs.values())))


def _work(
    life: Activation, method: str, is_async: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Coroutine[Any, Any, Any]:
    """Return a method's coroutine, of which nothing has run yet."""
    # The instance may not have been made yet, or have an attribute in place of the method.
    if is_async and life.instance is not None and method not in vars(life.instance):
        try:
            work: Coroutine[Any, Any, Any] = getattr(life.instance, method)(*args, **kwargs)
        except TypeError:  # of arguments that don't fit: its caller hears of it, in its turn
            pass
        else:
            return work
    return _in_turn(life, method, args, kwargs)


async def _in_turn(
    life: Activation, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    function = getattr(life.instance, method)
    if not callable(function):
        kind = type(life.instance).__name__
        raise TypeError(f"an attribute of this {kind} has taken the place of its {method}()")
    return await as_async(function, *args, **kwargs)


async def _fetch(life: Activation, request: Request) -> Response:
    if "fetch" not in life.handlers:
        raise TypeError("Handler does not export a fetch() function.")
    ws = request.web_socket
    is_accepted = False
    try:
        response = await as_async(life.instance.fetch, request)
        if not isinstance(response, Response):
            raise TypeError(f"fetch() must return a Response, not {response!r}")
        is_accepted = response.status == SWITCHING_PROTOCOLS
        if is_accepted and (ws is None or ws.ready_state == "connecting"):
            raise TypeError("fetch() answered 101, but has accepted no WebSocket")
    finally:
        if ws is not None and not is_accepted:
            ws.forget()
    return copy(response)  # I9


def _answer(life: Activation, call: Call, method: Method | None, task: ObjectTask) -> None:
    result, error = None, error_of(task)
    if error is None:
        result = task.result()
        if method is not None:
            try:
                result = method.answer(result, life.namespace.router.refer, call)
            except Exception as unfit:  # of whatever kind, its caller must not wait for ever
                error = unfit
    life.settle(call.reply, result, error)


async def _alarm(life: Activation, name: str | None, until: float | None) -> None:
    clock = life.clock
    ringing = life.alarms.ring(name, clock.time() if until is None else until)
    if ringing is None:
        # The node's queue was early, or somebody has set the machine's clock back meanwhile. The
        # entry that has rung is gone, so the queue has to hear again how the alarms stand (I7).
        life.alarms.changed = True
        return
    if "alarm" not in life.handlers:
        log.warning(_NO_ALARM_HANDLER, life)
        life.alarms.succeed(ringing)
        return
    try:
        await as_async(life.instance.alarm, ringing.invocation)
    except (Exception, asyncio.CancelledError) as error:  # it is tried again
        log.warning("alarm of %s failed", life, exc_info=error)
        if life.failure is not None:
            return  # the next life finds it as it was
        life.alarms.fail(ringing, f"{type(error).__name__}: {error}", clock.time())
    else:
        life.alarms.succeed(ringing)


def _handle(life: Activation, handler: str, *args: Any) -> ObjectTask | None:
    if handler not in life.handlers:
        return None
    work = _work(life, handler, handler in life.coroutines, args, {})
    if life.sockets.event_timeout is None:
        return life.node.handlers.run(life, work, handler)
    task = life.run(work, handler, on_done=partial(log_failure, life, handler))
    if not task.done():
        reset = partial(life.break_off, ObjectReset(_EVENT_TOO_LONG))
        timer = life.clock.call_later(life.sockets.event_timeout, reset)
        task.add_done_callback(lambda _: timer.cancel())
    return task
