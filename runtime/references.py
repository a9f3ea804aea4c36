"""What crosses by reference: functions, and the methods of an `RpcTarget`.

The receiver gets a **handle**. Calling it is an event of the object that the original belongs to:
it passes that object's gates, inside the critical section that it was sent from if there was one.

A handle stands on a **lease**, which ends once: that of an argument when the call is answered, any
other when it is disposed of, when nothing refers to the handle any more, or with the life of the
object that holds it; code outside of all objects has none. Until then, the original's object stays
in memory. To pass a handle on makes another. After a target's last its own ``dispose()`` runs.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any, Final, NoReturn, Self, cast
from weakref import WeakValueDictionary

from runtime import wire
from runtime.activation import Activation
from runtime.errors import DurableObjectError, HandleEnded, ObjectReset, OutsideObject, Overloaded
from runtime.events import queue, refusal
from runtime.gates import InputGate
from runtime.methods import Arguments, Method, Plain, methods_of
from runtime.namespace import NoSuchMethod, Reply
from runtime.object import RpcTarget
from runtime.tasks import ObjectTask, as_async, current, error_of, log_failure, spawn_outside
from runtime.wire import copied_error, size_of

_GONE: Final = "The execution context which hosts this callback is no longer running."
_OUTSIDE: Final = "code outside of all objects"
_DISPOSED: Final = "being disposed"
_RETURNED: Final = "the call that it came with had been answered: keep a dup() of it"
_LEFT: Final = "the object that held it had left memory"

_RESERVED: Final = frozenset({"dup", "dispose"})


def refer(value: Any) -> Lease | None:
    """Return a lease of a function or an `RpcTarget`, or another one for a handle; else None.

    Raises:
        HandleEnded: If the handle has ended.
        OutsideObject: If it is another object's.
    """
    if isinstance(value, _Handle):
        return value._lease.another()
    if not (isinstance(value, RpcTarget) or inspect.isfunction(value) or inspect.ismethod(value)):
        return None
    task = current.get()
    return Lease(_original(value, _running()), task.gate if task else None)


def _running() -> Activation | None:
    """Return whose code is running; None for that of no object."""
    task = current.get()
    return None if task is None else cast(Activation, task.owner)


class _Original:
    """What was sent, and where it lives.

    Invariants:
        - `uses` is the number of its leases that haven't ended, and of its calls that run.
        - The hook of a target runs once each time that there are none left.
    """

    def __init__(self, value: Any, life: Activation | None) -> None:
        self.value = value
        self.life = life  # whose code it is; None for that of no object
        kind: type = type(value)
        self.methods = _methods_of(kind) if isinstance(value, RpcTarget) else None
        """Those of a target that can be called; None for a function."""
        self.name: str = getattr(value if self.methods is None else kind, "__name__", "a callback")
        self.hook = None if self.methods is None else getattr(value, "dispose", None)
        self.loop = asyncio.get_running_loop()
        self.uses = 0
        self.lent = set[Lease]() if life is None else life.lent
        self._is_leaving = False

    def release(self, gate: InputGate | None) -> None:
        """Count one less."""
        self.uses -= 1
        if self.hook and not (self.uses or self._is_leaving):
            self._is_leaving = True
            # In a turn of its own: this may be inside a step.
            self.loop.call_soon(self._dispose, self.hook, gate, context=Context())

    def _dispose(self, hook: Callable[[], object], gate: InputGate | None) -> None:
        self._is_leaving = False
        if self.uses or (self.life and self.life.is_over):
            return  # it was sent again meanwhile, or is gone
        done = partial(log_failure, self.life or _OUTSIDE, f"{self.name}.dispose()")
        if self.life is None:
            spawn_outside(as_async(hook)).add_done_callback(done)
        else:
            self.life.run(as_async(hook), "dispose", gate=gate, on_done=done)


def _methods_of(cls: type) -> dict[str, Method]:
    return methods_of(cls, reserved=_RESERVED, taken=frozenset())


_with_hooks: Final = WeakValueDictionary[tuple[int, int], _Original]()


def _original(value: Any, life: Activation | None) -> _Original:
    original = _Original(value, life)
    key = (id(value), id(life or original.loop))  # no other's, while an original is known by it
    return original if original.hook is None else _with_hooks.setdefault(key, original)


class Lease:
    """The right of one holder to use an original: what a handle stands on.

    Invariants:
        - The original counts it until it has ended, and that may be seen (I3).
        - One that an object holds for longer than a call is in the object's `held`.
    """

    def __init__(self, original: _Original, gate: InputGate | None) -> None:
        self.original = original
        self.gate = gate  # which its calls pass: where the original was sent from
        self.ended: str | None = None  # after what it can't be used any more
        self._holder: Activation | None = None
        self._is_counted = True
        original.uses += 1
        original.lent.add(self)

    def handle(self) -> FunctionReference | TargetReference:
        """Return what its holder uses. To be called once."""
        return (FunctionReference if self.original.methods is None else TargetReference)(self)

    def another(self) -> Lease:
        """Return another lease of the same, if this one may be used."""
        self.check()
        return Lease(self.original, self.gate)

    def check(self) -> None:
        """Raise what `refer` does, unless the code that is running may use it."""
        if self.ended is not None:
            raise HandleEnded(f"The reference to {self.original.name} was used after {self.ended}.")
        holder = self._holder
        if holder is not None and _running() is not holder:
            raise OutsideObject(
                f"the reference to {self.original.name} can only be used by the code of the "
                "object that has received it",
                durable_object_id=holder.id.hex,
            )

    def lend_to(self, holder: Activation) -> None:
        self._holder = holder

    def give_to(self, holder: Activation | None) -> None:
        self._holder = holder
        if holder is self.original.life:
            self.original.lent.discard(self)  # or it would keep itself in memory
        if holder is not None and holder.is_over:
            self.drop()
        elif holder is not None:
            holder.held = holder.held or {}
            holder.held[self] = None

    def dispose(self) -> None:
        """End, as soon as everything is durable that its holder has written (I3)."""
        if self.ended is not None:
            return
        self.ended = _DISPOSED
        if self._holder is None or self._holder.is_over:
            self._let_go()
        else:
            self._holder.output.send(self._let_go)

    def returned(self) -> None:
        self.ended = self.ended or _RETURNED
        self._let_go()

    def drop(self) -> None:
        self.ended = self.ended or _LEFT
        self._let_go()

    def _let_go(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self.original.lent.discard(self)
            if self._holder is not None and self._holder.held:
                self._holder.held.pop(self, None)
            self.original.release(self.gate)


class _Handle:
    """What functions and targets have in common, at their receivers'."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    def __repr__(self) -> str:
        return f"<reference to {self._lease.original.name}>"

    def dup(self) -> Self:
        """Return another handle, which ends by itself.

        Raises:
            HandleEnded: If this one has ended.
            OutsideObject: If this one is another object's.
        """
        lease = self._lease.another()
        lease.give_to(_running())
        return type(self)(lease)

    def dispose(self) -> None:
        """End it, if it hasn't ended. Calls that are under way go on."""
        self._lease.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.dispose()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} can't be copied; dup() makes another")

    def __del__(self) -> None:
        lease = self._lease
        if lease.ended is None:  # on whichever thread; if the loop is closed, all has ended
            with suppress(RuntimeError):
                lease.original.loop.call_soon_threadsafe(lease.dispose)


class FunctionReference(_Handle):
    """A handle of a function, of another object or of code outside of all objects."""

    def __call__(self, *args: Any, **kwargs: Any) -> Reply:
        original = self._lease.original
        call = _Call(self._lease, original.name, original.value, Plain(original.name))
        return call.send(args, kwargs)


class TargetReference(_Handle):
    """A handle of an `RpcTarget`: its public methods can be called."""

    def __getattr__(self, name: str) -> Callable[..., Reply]:
        if name.startswith("__"):
            raise AttributeError(name)
        if (method := (self._lease.original.methods or {}).get(name)) is None:
            return NoSuchMethod(name, _RESERVED)
        return partial(self._call, name, method)

    def _call(self, name: str, method: Method, /, *args: Any, **kwargs: Any) -> Reply:
        function = getattr(self._lease.original.value, name)
        return _Call(self._lease, name, function, method).send(args, kwargs)


class _Call:
    """One call of an original."""

    def __init__(self, lease: Lease, name: str, function: Any, method: Method | Plain) -> None:
        self._lease, self._name, self._function, self._method = lease, name, function, method
        self._reply, self._caller = Reply(), _running()
        self._arguments: Arguments

    def send(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Reply:
        """Make it, unless it can't be made so."""
        reply = self._reply
        try:
            self._lease.check()
            self._arguments = self._method.accept(args, kwargs, refer, reply)
        except (TypeError, ValueError, DurableObjectError) as error:
            reply.fail(error)
            return reply
        # In a turn and a context of its own: no object's code runs inside a step of another's.
        begin = partial(reply.get_loop().call_soon, self._run, context=Context())
        if self._caller is None:
            begin()
        else:
            reply.asked = f"{self._name}(), which it was given"
            self._caller.release_call(begin)  # I3
        return reply

    def _run(self) -> None:
        life = self._lease.original.life
        if life is None:
            self._run_outside()
        elif life.is_over:
            self._reply.fail(ObjectReset(_GONE, durable_object_id=life.id.hex))
        # What a critical section waits for is part of it, however much waits for its end.
        elif self._lease.gate is life.input and (why := refusal(life)) is not None:
            self._reply.fail(Overloaded(why, durable_object_id=life.id.hex))
        else:
            self._run_in(life)

    def _run_in(self, life: Activation) -> None:
        for lease in self._reply.lent:
            lease.lend_to(life)

        def done(task: ObjectTask) -> None:
            life.settle(self._reply, *self._outcome(task))

        args, kwargs = self._arguments
        work = as_async(self._function, *args, **kwargs)
        task = life.run(work, self._name, gate=self._lease.gate, on_done=done)
        self._hold_during(task)
        if not task.has_started:
            queue(life, self._reply, task, sum(map(size_of, (*args, *kwargs.values()))))
        if not self._reply.done():
            life.owe(self._reply)

    def _run_outside(self) -> None:
        def done(task: asyncio.Task[Any]) -> None:
            result, error = self._outcome(task)
            if error is None:
                self._reply.answer(result)
            else:
                debug = self._caller is not None and self._caller.node.debug
                self._reply.fail(copied_error(error, None, traceback=debug))

        args, kwargs = self._arguments
        task = spawn_outside(as_async(self._function, *args, **kwargs))
        task.add_done_callback(done)
        self._hold_during(task)

    def _hold_during(self, task: asyncio.Future[Any]) -> None:
        original, gate = self._lease.original, self._lease.gate
        if original.hook:
            original.uses += 1
            task.add_done_callback(lambda _: original.release(gate))

    def _outcome(self, task: asyncio.Future[Any]) -> tuple[Any, BaseException | None]:
        if (error := error_of(task)) is not None:
            return None, error
        try:
            return self._method.answer(task.result(), refer, self), None
        except Exception as unfit:  # of whatever kind, its caller must not wait for ever
            return None, unfit

    def take(self, lease: wire.Lease) -> None:
        """Hear of what crosses with the answer."""
        lease.give_to(self._caller)
