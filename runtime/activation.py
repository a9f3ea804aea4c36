"""One live object: made by its first event, driven step by step, gone when it has been idle.

An activation ties together what the other files are about: the instance and its tasks, the two
gates, the storage and its commits, the sockets. It doesn't outlive a failure: once something is
lost it is dropped with all its memory, and the next event makes another (I5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from inspect import iscoroutinefunction as is_async
from pathlib import Path
from threading import get_ident
from typing import Any, Final, NoReturn, TypeVar

from runtime.clock import Clock, Timer
from runtime.connection import SERVICE_RESTART
from runtime.construction import Construction
from runtime.errors import ObjectReset, OutsideObject, StorageError
from runtime.gates import Call, InputGate, OutputGate
from runtime.ids import ObjectId
from runtime.inbox import Inbox
from runtime.namespace import DurableObjectNamespace, Reply
from runtime.node import Node
from runtime.object import DurableObjectState, handlers_of
from runtime.persistence import Alarms, Persistence
from runtime.restoring import RETRY_SECONDS
from runtime.schema import migrate
from runtime.sections import CriticalSections
from runtime.sockets import SocketSet
from runtime.storage import Storage
from runtime.tasks import TASK, Aborted, ObjectTask, current, log_failure
from runtime.wire import Lease, copied_error

_GONE: Final = "The object has left memory meanwhile."
_RESET: Final = "Durable Object connection closed because the object was reset."

T = TypeVar("T")


class Activation:
    """One life of one object.

    Invariants:
        - No event runs before the constructor has returned.
        - After it broke nothing of it runs, and nothing leaves that was held back.
    """

    held: dict[Lease, None] | None = None  # what it has been given by reference, in order

    def __init__(
        self,
        id: ObjectId,
        namespace: DurableObjectNamespace[Any],
        path: Path,
        node: Node,
        sockets: SocketSet,
        inbox: Inbox,
    ) -> None:
        self.id, self.namespace, self.sockets, self.inbox = id, namespace, sockets, inbox
        self.code = namespace.code  # for life, even if the namespace gets another
        self.failure: Exception | None = None
        """Why it is broken; None while it isn't."""
        self.is_over = self._is_left = self._is_stepping = False
        self.replaced_at: float | None = None
        """When its class was replaced by another version, which the next life is of."""
        self.watch: Timer | None = None
        """When the node looks whether it can be evicted."""
        self.node, self.quiet_since = node, node.clock.time()
        self._loop, self._thread, self._context = asyncio.get_running_loop(), get_ident(), Context()
        gates = self.input, self.output = InputGate(self._loop.call_soon), OutputGate()
        self.tasks: dict[ObjectTask, None] = {}
        """Those that are under way or waiting, in order: so they fail in order too."""
        self.lent: set[Lease] = set()  # to others, who have references to what is its own
        self.owed: dict[Reply, None] = {}
        """Replies that fail if it breaks."""
        self.instance: Any = None
        self.ctx: DurableObjectState
        self.handlers = handlers_of(self.code.cls)
        self.coroutines = {name for name, call in self.handlers.items() if is_async(call)}
        self.disk = Persistence(
            self, path, node.journal, node.syncer, gates, node.histories, vfs=node.vfs
        )
        self.disk.database.statement_seconds = node.statement_seconds
        self.alarms = self.disk.alarms
        self._storage = Storage(self.disk.database, self.alarms, self.disk.bookmarks(), self)
        sockets.outlet, sockets.check = self.output, self.check
        self._sections, self.guard = CriticalSections(self, self.input), node.guard_of(self)

    def __str__(self) -> str:
        return f"{self.code.cls.__name__} {self.id}"

    # Its life.

    def start(self, env: Any) -> None:
        """Bring the schema up to date and make the instance, ahead of any event."""
        Construction(self, self.disk, self._storage, env).start(self.input)
        if self.failure is None:
            self.node.woke(self)

    @property
    def is_quiet(self) -> bool:
        """Whether it could be evicted now, and nobody would notice (I6)."""
        is_busy = self.disk.is_busy or self.disk.is_to_checkpoint
        return not self.tasks and self.output.is_open and not is_busy

    def hibernate(self) -> Persistence:
        """Drop the memory; sockets stay. Returns what is to be closed or removed, on any thread."""
        assert self.is_quiet, "something would be lost"
        assert self.failure is None, "what was lost would be kept"
        self._end()
        self.instance = None
        self.sockets.sleep()
        self.disk.hand_over()
        return self.disk

    def break_off(self, error: BaseException, *, keeps_sockets: bool = False) -> None:
        """Drop the memory, the sockets, and whatever isn't committed. Callers get `error`."""
        if self.failure is not None:
            return
        ours = isinstance(error, ObjectReset | OSError)
        failure = copied_error(error, self.id.hex, remote=not ours, traceback=self.node.debug)
        failure.__dict__["durable_object_reset"] = True
        self.failure = failure
        self._end()
        self.output.shatter()
        for task in tuple(self.tasks):
            self.inbox.take(task)
            task.drop(failure)
        owed, self.owed = self.owed, {}
        for reply in owed:
            reply.fail(copied_error(failure, self.id.hex))
        self.sockets.sleep()
        if not keeps_sockets:
            self.sockets.disconnect(SERVICE_RESTART, _RESET)
        self.freed()

    def _end(self) -> None:
        self.is_over = True
        if self.watch is not None:
            self.watch.cancel()
        for lease in tuple(self.held or ()):
            lease.drop()

    def abandon(self) -> None:
        """Close the database as it is, for good, as when the process dies."""
        self._is_left = True
        self.disk.abandon()

    def checkpoint(self) -> None:
        """Bring all that is in the WAL into the database, so that the journal may forget it."""
        self.disk.checkpoint()

    # What events need.

    def run(
        self,
        work: Coroutine[Any, Any, Any],
        name: str,
        *,
        gate: InputGate | None = None,
        on_done: Callable[[ObjectTask], object] | None = None,
    ) -> ObjectTask:
        """Run object code for an event: its first step at once, if the gate is open."""
        task = self.new_task(work, name, gate or self.input, self._context.copy(), on_done)
        task.start()
        return task

    def owe(self, reply: Reply) -> None:
        """Take on a reply that is to be settled, and fails if the object breaks before."""
        if self.failure is None:
            self.owed[reply] = None
        else:
            reply.fail(copied_error(self.failure, self.id.hex))

    def settle(self, reply: Reply, result: Any, error: BaseException | None) -> None:
        """Answer, as soon as everything written up to now is durable (I3)."""
        if self.failure is not None:
            return  # all that was owed has failed with that
        deadlock = self._deadlock("the answer to a callback")
        error = deadlock if error is None else error  # an error may be false, as a list may
        out = None if error is None else copied_error(error, self.id.hex, traceback=self.node.debug)
        if self.output.is_open or deadlock is not None:
            self.pay(reply, result, out)
        else:
            self.output.send(partial(self.pay, reply, result, out))

    def pay(self, reply: Reply, result: Any, error: Exception | None) -> None:
        """Answer at once: what is said reveals nothing that was written."""
        self.owed.pop(reply, None)
        if error is None:
            reply.answer(result)
        else:
            reply.fail(error)

    def new_task(
        self,
        work: Coroutine[Any, Any, Any],
        name: str,
        gate: InputGate,
        context: Context,
        on_done: Callable[[ObjectTask], object] | None = None,
    ) -> ObjectTask:
        """Return a task of the object that hasn't taken its first step."""
        task = ObjectTask(work, owner=self, gate=gate, context=context, name=name, on_done=on_done)
        self.tasks[task] = None
        return task

    @property
    def clock(self) -> Clock:
        return self.node.clock

    # What its tasks need: `tasks.Owner`.

    def begun(self, task: ObjectTask) -> None:
        self.inbox.take(task)
        if self.sockets.paused:
            self.sockets.events.eased()

    def enter(self) -> None:
        self._is_stepping = self.node.is_stepping = True
        self.node.steps += 1
        if self.guard is not None:
            self.guard.begin_step()

    def leave(self) -> None:
        try:
            if self.failure is None:
                self.disk.end_step()
        finally:
            self._is_stepping = self.node.is_stepping = False
        if self.failure is None:
            self.disk.checkpoint_if_due()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], context: Context) -> ObjectTask:
        parent = context.get(current)
        gate = parent.gate if parent else self.input
        task = self.new_task(coroutine, TASK, gate, context.copy())
        task.origin = (parent.origin or parent.get_name()) if parent else None
        if self.is_over:
            task.drop(self.failure or ObjectReset(_GONE, durable_object_id=self.id.hex))
        else:
            self._loop.call_soon(task.start)
        return task

    def retire(self, task: ObjectTask) -> None:
        self.tasks.pop(task, None)
        if not self.tasks:
            self.quiet_since = self.clock.time()
        if self.sockets.paused:
            self.sockets.events.eased()

    def release_call(self, call: Callable[[], object]) -> None:
        self._send("a call to another object", self.output.send, call)

    def _send(self, what: str, send: Callable[[Call], object], message: Call) -> None:
        self.check()
        if (deadlock := self._deadlock(what)) is not None:
            raise deadlock
        send(message)

    def _deadlock(self, what: str) -> StorageError | None:
        if self.disk.is_unfinished():
            return StorageError(
                f"{what} inside transaction() would wait for what was written there, and the "
                "transaction for that: do it before the first write, or after the transaction"
            )
        return None

    # What its disk needs: `persistence.Keeper`.

    def freed(self) -> None:
        """Leave the database to the next life, if this one is broken."""
        if self.failure is None or self._is_left:
            return
        if self.node.is_draining:
            self.disk.give_up()
        if self.disk.is_busy:
            return
        self.disk.abandon()
        try:
            self.disk.undo_lost()
        except OSError as error:  # it can't be used until then
            self.node.syncer.failed(error)
            self.clock.call_later(RETRY_SECONDS, self.freed)
        else:
            self._is_left = True  # I1: the next life's database is not ours to close
            self.node.broke(self, is_told=self.disk.tell_rest())

    def settled(self, before: int) -> None:
        self.node.settled(self, before=before)

    def alarms_set(self, alarms: Alarms) -> None:
        self.node.alarms_set(self, alarms)

    def stored(self, alarms: Alarms) -> None:
        self.node.stored(self, alarms)

    # What the storage and ``ctx`` need.

    def check(self) -> None:
        if self.failure is not None:
            raise copied_error(self.failure, self.id.hex)
        if not self._is_stepping or get_ident() != self._thread:
            raise OutsideObject(
                f"what belongs to a {self.code.cls.__name__} can only be used by its own code "
                "while it runs: in a handler, or a task that one has started",
                durable_object_id=self.id.hex,
            )

    def has_alarm_handler(self) -> bool:
        return "alarm" in self.handlers or self.instance is None

    def emptied(self) -> None:
        self.disk.metadata.forget()
        self.alarms.changed = True
        migrate(self.disk.database, self._storage.sql, self.code.cls)
        # What was deleted mustn't stay in the log and the history for long.
        self.disk.hasten_checkpoint()

    def durable(self) -> Awaitable[None]:
        self.disk.commit()
        durable = Reply()
        durable.asked = "the disk, in sync()"
        self._send("sync()", self.disk.when_durable, partial(durable.answer, None))
        return durable

    def block(self, callback: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        return self._sections.start(callback, failed=self.break_off)

    def exclusively(self, work: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        return self._sections.start(work, failed=None)

    def keep_awake_for(self, work: Awaitable[object]) -> None:
        async def wait() -> None:
            await work

        task = self.spawn(wait(), copy_context())
        task.set_name("wait_until")
        task.add_done_callback(partial(log_failure, self, "wait_until()"))

    def abort(self, reason: str | None, *, retry_alarm: bool) -> NoReturn:
        said = reason or "Application called abort() to reset Durable Object."
        if not retry_alarm:
            self.disk.give_up_alarms(f"ObjectReset: {said}")
        self.break_off(ObjectReset(said, durable_object_id=self.id.hex))
        raise Aborted
