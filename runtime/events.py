"""What can happen to a live object: a call, an alarm, a message on a socket, a socket's end.

Each turns into one task of the object, and says what becomes of the task's result. The input
gate decides when it runs; the output gate when its answer leaves.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any, Final

from runtime.activation import Activation
from runtime.errors import ObjectReset, Overloaded
from runtime.fetch import SWITCHING_PROTOCOLS, Request, Response
from runtime.methods import Method
from runtime.namespace import FETCH, Call
from runtime.sockets import Message, WebSocket
from runtime.tasks import ObjectTask, as_async, error_of, log_failure

MAX_TASKS: Final = 4096  # of one object, under way or waiting
ALARM_SECONDS: Final = 15 * 60  # for one run of an alarm, as in the original
TRY_AGAIN_LATER: Final = 1013  # the close code for what is too much

OVERLOADED: Final = "Durable Object is overloaded. Too many requests queued."
_NO_ALARM_HANDLER: Final = (
    "Attempted to run a scheduled alarm without a handler, did you remember to define an alarm() "
    "method? %s"
)
_ALARM_TOO_LONG: Final = "Alarm exceeded its allowed execution time"
_EVENT_TOO_LONG: Final = "Actor exceeded event execution time and was disconnected."

log = logging.getLogger("runtime")


def call(life: Activation, call: Call) -> None:
    """Call a method, or `fetch`, and answer its caller."""
    if _is_too_much(life):
        call.reply.fail(Overloaded(OVERLOADED, durable_object_id=life.id.hex))
        return
    method = None
    if call.name == FETCH:
        work = _fetch(life, *call.args)
    else:
        method = life.namespace.methods[call.name]
        if method.is_async and life.instance is not None:
            work = getattr(life.instance, call.name)(*call.args, **call.kwargs)
        else:
            work = _in_turn(life, call.name, *call.args, **call.kwargs)
    life.run(work, call.name, on_done=partial(_answer, life, call, method))
    if not call.reply.done():
        life.owe(call.reply)


def ring(life: Activation, name: str | None) -> ObjectTask:
    """Run an alarm, if it is due by the object's own account."""
    task = life.run(_alarm(life, name), "alarm", on_done=partial(log_failure, life, "alarm"))
    # It fails then, and is tried again.
    timer = life.clock.call_later(ALARM_SECONDS, partial(task.cancel, _ALARM_TOO_LONG))
    task.add_done_callback(lambda _: timer.cancel())
    return task


def receive(life: Activation, ws: WebSocket, message: Message) -> None:
    """Deliver a socket's message."""
    if _is_too_much(life):
        ws.drop(TRY_AGAIN_LATER, OVERLOADED)
        return
    _handle(life, "web_socket_message", ws, message)


def lose(life: Activation, ws: WebSocket, code: int, reason: str, was_clean: bool) -> None:
    """Deliver the end of a socket. The object lets go of it once its handler has begun."""
    task = _handle(life, "web_socket_close", ws, code, reason, was_clean)
    if task is None or task.has_started:
        life.sockets.remove(ws)
    else:
        task.add_done_callback(lambda _: life.sockets.remove(ws))


def _is_too_much(life: Activation) -> bool:
    return life.load >= MAX_TASKS or life.node.journal.is_full


async def _in_turn(life: Activation, method: str, *args: Any, **kwargs: Any) -> Any:
    # Asked for when it runs: the instance may not have been made before.
    return await as_async(getattr(life.instance, method), *args, **kwargs)


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
    return response


def _answer(life: Activation, call: Call, method: Method | None, task: ObjectTask) -> None:
    result, error = None, error_of(task)
    if error is None:
        result = task.result()
        if method is not None:
            try:
                result = method.answer(result, life.namespace.router.refer)
            except Exception as unfit:  # of whatever kind, its caller must not wait for ever
                error = unfit
    life.settle(call.reply, result, error)


async def _alarm(life: Activation, name: str | None) -> None:
    clock = life.clock
    ringing = life.alarms.ring(name, clock.time())
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
    work = _in_turn(life, handler, *args)
    task = life.run(work, handler, on_done=partial(log_failure, life, handler))
    if life.sockets.event_timeout is not None and not task.done():
        reset = partial(life.break_off, ObjectReset(_EVENT_TOO_LONG))
        timer = life.clock.call_later(life.sockets.event_timeout, reset)
        task.add_done_callback(lambda _: timer.cancel())
    return task
