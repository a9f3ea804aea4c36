"""What crosses by reference: functions, and the methods of an `RpcTarget`.

The receiver gets a stand-in. Calling it is an event of the object that the original belongs to:
it passes that object's gates, inside the critical section that it was sent from if there was one.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from runtime.activation import Activation
from runtime.errors import ObjectReset
from runtime.gates import InputGate
from runtime.methods import methods_of
from runtime.namespace import Reply
from runtime.object import RpcTarget
from runtime.tasks import ObjectTask, as_async, current, error_of, spawn_outside
from runtime.wire import Refer, copied

_GONE = "The execution context which hosts this callback is no longer running."
_RESERVED = frozenset({"dup"})


def refer(value: Any) -> FunctionReference | TargetReference | None:
    """Return a stand-in for a function or an `RpcTarget`; None for anything else."""
    task = current.get()
    home = _Home(task.owner, task.gate) if task and isinstance(task.owner, Activation) else None
    if isinstance(value, RpcTarget):
        return TargetReference(value, home)
    if inspect.isfunction(value) or inspect.ismethod(value):
        return FunctionReference(value, home)
    return None


class _Home:
    """Where the original lives, and the gate that it was sent from."""

    def __init__(self, life: Activation, gate: InputGate) -> None:
        self.life = life
        self.gate = gate


class FunctionReference:
    """Stands for a function of another object, or of code outside of all objects."""

    crosses_by_reference = True

    def __init__(self, function: Callable[..., Any], home: _Home | None) -> None:
        self._function = function
        self._home = home

    def __call__(self, *args: Any, **kwargs: Any) -> Reply:
        name = getattr(self._function, "__name__", "a function")
        args = copied(args, f"an argument of {name}()", refer)
        kwargs = copied(kwargs, f"an argument of {name}()", refer)
        return _call(self._home, self._function, args, kwargs)


class TargetReference:
    """Stands for an `RpcTarget`: its public methods can be called."""

    crosses_by_reference = True

    def __init__(self, target: RpcTarget, home: _Home | None) -> None:
        self._target = target
        self._home = home
        self._methods = methods_of(type(target), reserved=_RESERVED)

    def __getattr__(self, name: str) -> Callable[..., Reply]:
        if name.startswith("__"):
            raise AttributeError(name)
        return partial(self._call, name)

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Reply:
        method = self._methods.get(name)
        if method is None:
            reply = Reply()
            reply.fail(TypeError(f'The RPC receiver does not implement the method "{name}".'))
            return reply
        args, kwargs = method.accept(args, kwargs, refer)
        return _call(self._home, getattr(self._target, name), args, kwargs)


def _call(
    home: _Home | None, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Reply:
    reply = Reply()
    if home is None:
        start = partial(_run_outside, function, args, kwargs, reply)
    else:
        start = partial(_run_at_home, home, function, args, kwargs, reply)
    caller = current.get()
    if caller is None:
        reply.get_loop().call_soon(start)
    else:  # in a turn of its own: no object's code runs inside a step of another's
        reply.asked = f"{getattr(function, '__name__', 'a callback')}(), which it was given"
        caller.owner.release_call(partial(reply.get_loop().call_soon, start))
    return reply


def _run_at_home(
    home: _Home,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    reply: Reply,
) -> None:
    if home.life.is_over:
        reply.fail(ObjectReset(_GONE, durable_object_id=home.life.id.hex))
        return

    def done(task: ObjectTask) -> None:
        result, error = _outcome(task, refer)
        home.life.settle(reply, result, error)

    name = getattr(function, "__name__", "a callback")
    home.life.run(as_async(function, *args, **kwargs), name, gate=home.gate, on_done=done)
    if not reply.done():
        home.life.owe(reply)


def _run_outside(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], reply: Reply
) -> None:
    def done(task: asyncio.Task[Any]) -> None:
        result, error = _outcome(task, None)
        if error is None:
            reply.answer(result)
        else:
            reply.fail(error)

    spawn_outside(as_async(function, *args, **kwargs)).add_done_callback(done)


def _outcome(task: asyncio.Future[Any], refer: Refer | None) -> tuple[Any, BaseException | None]:
    error = error_of(task)
    if error is not None:
        return None, error
    try:
        return copied(task.result(), "the result of a callback", refer), None
    except Exception as unfit:  # of whatever kind, its caller must not wait for ever
        return None, unfit
