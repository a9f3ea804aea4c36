"""A world of its own for each test, with doors into its objects.

Nothing here is a fake: the objects, their SQLite and their gates are the real ones. Only the
time is the test's, and the WebSockets have no network between their ends.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal, TypeVar, get_args, overload

from runtime import events
from runtime.activation import Activation
from runtime.alarms import Ringing
from runtime.catalog import Key
from runtime.connection import SERVICE_RESTART
from runtime.errors import DurableObjectError, ObjectReset
from runtime.ids import ObjectId
from runtime.loopback import ClientSocket, connect
from runtime.mortal import MortalRuntime
from runtime.namespace import DurableObjectNamespace
from runtime.object import DurableObjectState
from runtime.runtime import EnvT, key_of
from runtime.tasks import as_async

Sockets = Literal["hibernate", "close"]

_EVICTED: Final = "Durable Object connection closed because the object was evicted."
_RESET: Final = "Durable Object connection closed because the object was reset."

T = TypeVar("T")


class TestRuntime(MortalRuntime[EnvT]):
    """A runtime in a folder of its own that is gone afterwards, with a clock that stands still.

    It is started by ``async with``, with the arguments of `MortalRuntime`. Other than a
    `Runtime` it lets tests look into objects, and take away what these may rely on.
    """

    __test__ = False  # pytest takes it for a test otherwise
    _is_to_be_empty = False

    # Looking into objects.

    @overload
    async def run_in_durable_object(
        self, stub: Any, callback: Callable[[Any, DurableObjectState], Awaitable[T]]
    ) -> T: ...
    @overload
    async def run_in_durable_object(
        self, stub: Any, callback: Callable[[Any, DurableObjectState], T]
    ) -> T: ...
    async def run_in_durable_object(
        self, stub: Any, callback: Callable[[Any, DurableObjectState], Any]
    ) -> Any:
        """Run `callback` with the instance and its ``ctx``, as code of the object.

        Returns:
            What it returns (awaited, if it is ``async``), not copied.
        """
        life = await self._wake(stub)
        task = life.run(as_async(callback, life.instance, life.ctx), "run_in_durable_object")
        return await asyncio.shield(task)

    async def run_durable_object_alarm(self, stub: Any, *, name: str | None = None) -> bool:
        """Run an alarm now, whenever it is set for. Returns whether there was one."""
        life = await self._wake(stub)
        when = await life.run(as_async(life.alarms.get, name), "get_alarm")
        if when is not None:
            await events.ring(life, name, math.inf)
            await self.settle()
        return when is not None

    async def duplicate_alarm(self, stub: Any, *, name: str | None = None) -> bool:
        """Run an alarm twice: as if the process had died before its first end was noted.

        What the first run writes stays, as at-least-once delivery allows. The second is the
        alarm's own, and a retry to nobody's knowledge: it gets the same invocation. There is none
        if the first has set the alarm anew, which takes its place in the same commit.

        Returns:
            Whether there was one.

        Raises:
            Exception: Whatever the first run fails with. It is tried again later, as any alarm.
        """
        life = await self._wake(stub)

        async def once() -> tuple[bool, Ringing | None]:
            if life.alarms.get(name) is None:
                return False, None
            ringing = life.alarms.ring(name, math.inf)
            assert ringing is not None, "it is due"
            has_ended = False
            try:
                await as_async(life.instance.alarm, ringing.invocation)
                has_ended = True
            finally:
                if not has_ended and life.failure is None:
                    life.alarms.fail(ringing, repr(sys.exception()), self.clock.time())
            if life.alarms.get(name) is None:
                return True, ringing
            life.alarms.succeed(ringing)  # what is set now is another
            return True, None

        is_set, again = await asyncio.shield(life.run(once(), "alarm"))
        if again is not None:
            await events.ring(life, name, math.inf)
        await self.settle()
        return bool(is_set)

    async def list_durable_object_ids(
        self, namespace: DurableObjectNamespace[Any]
    ) -> list[ObjectId]:
        """Return the ids of all objects that have storage.

        Raises:
            TypeError: If that is no namespace.
            ValueError: If it is one of another runtime.
        """
        if not isinstance(namespace, DurableObjectNamespace):
            raise TypeError(f"expected a namespace, such as rt.env.rooms, not {namespace!r}")
        self._check_ours(namespace, namespace)
        await self.settle()
        return [id async for id in namespace.list(limit=sys.maxsize)]

    async def commit_count(self, stub: Any) -> int:
        """Return how many transactions an object has committed in this life."""
        return (await self._wake(stub)).disk.commit_count

    # Taking things away.

    async def evict_durable_object(self, stub: Any, *, web_sockets: Sockets = "hibernate") -> None:
        """Take an object's memory.

        Args:
            web_sockets: What becomes of its sockets: ``"hibernate"``, they stay open; or
                ``"close"``, they are closed with 1012, and the object doesn't hear of it.

        Raises:
            DurableObjectError: If it isn't in memory, or something of it is under way.
        """
        key = self._key(stub)
        _check_sockets(web_sockets)
        await self.settle()
        life = self.host.life_of(key)
        if life is None:
            raise DurableObjectError("Cannot evict Durable Object: it is not currently running.")
        if life.failure is not None or not life.is_quiet:
            raise DurableObjectError("Cannot evict Durable Object: it still has work under way.")
        self._evict(life, web_sockets)
        await self.settle()

    async def evict_all_durable_objects(self, *, web_sockets: Sockets = "hibernate") -> None:
        """Take the memory of all objects that nothing of is under way.

        The original's ``evictAllDurableObjects``. Objects that are busy stay as they are.

        Args:
            web_sockets: What becomes of their sockets, as for `evict_durable_object`.
        """
        _check_sockets(web_sockets)
        await self.settle()
        for life in self.host.lives():
            if life.failure is None and life.is_quiet:
                self._evict(life, web_sockets)
        await self.settle()

    def _evict(self, life: Activation, web_sockets: Sockets) -> None:
        self.host.evict(life)
        if web_sockets == "close":
            life.sockets.disconnect(SERVICE_RESTART, _EVICTED)

    async def abort_durable_object(self, stub: Any) -> None:
        """Take an object's memory and its sockets, and whatever isn't committed."""
        key = self._key(stub)
        await self.settle()
        if (life := self.host.life_of(key)) is not None:
            _abort(life)
        await self.settle()

    async def abort_all_durable_objects(self) -> None:
        """Take the memory of all objects, their sockets, and whatever isn't committed."""
        await self.settle()
        for life in self.host.lives():
            _abort(life)
        await self.settle()

    async def reset(self) -> None:
        """Take everything: all objects with their sockets, what they have stored, their alarms.

        The clock and the disk stay as they are, and stubs stay good. No object's code runs: it
        does for classes whose objects can't be made any more, and on a disk that is full. It is
        quicker than another `TestRuntime`, for tests that share one.
        """
        await self._wait_for_disk()
        await self.abort_all_durable_objects()
        self.host.disconnect(_RESET)
        self._is_to_be_empty = True
        await self.crash()

    async def _open(self) -> None:
        if self._is_to_be_empty:
            self._is_to_be_empty = False
            self._empty_folder()
        await super()._open()

    # WebSockets.

    async def connect(
        self,
        stub: Any,
        url: str = "/",
        *,
        headers: Mapping[str, str] | None = None,
    ) -> ClientSocket:
        """Open a WebSocket to an object, and return the client's end.

        Raises:
            HandshakeRefused: If the object answers anything but 101.
        """
        self._key(stub)
        return await connect(stub, url, headers, self.settle)

    async def _wake(self, stub: Any) -> Activation:
        """Return the object's activation, in which no code of it is running."""
        key = self._key(stub)
        while True:
            await self.clock.stand_still()
            await self._enter()
            found: asyncio.Future[Activation] = asyncio.get_running_loop().create_future()
            self.host.wake(key, stub.id, found.set_result, found.set_exception)
            life = await found
            await self._enter()  # its constructor may go on in a critical section
            if not life.is_over:  # by something else that the test has set going
                return life

    def _key(self, stub: Any) -> Key:
        """Return what the host knows an object by.

        Raises:
            TypeError: If that is no stub of an object.
            ValueError: If it is one of another runtime, whose object would be taken for ours.
        """
        key = key_of(stub)
        self._check_ours(stub, stub._namespace)
        return key

    def _check_ours(self, what: object, namespace: DurableObjectNamespace[Any]) -> None:
        if all(namespace.code is not ours.code for ours in self.namespaces.values()):
            raise ValueError(f"{what!r} is of another runtime, and that has its own helpers")


def _check_sockets(web_sockets: str) -> None:
    if web_sockets not in get_args(Sockets):
        raise ValueError(f'web_sockets is "hibernate" or "close", not {web_sockets!r}')


def _abort(life: Activation) -> None:
    life.break_off(ObjectReset("abort_durable_object()", durable_object_id=life.id.hex))
