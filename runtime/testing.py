"""The doors that tests need: a world of its own for each, a clock to move, memory to take away.

Nothing here is a fake: the objects, their SQLite and their gates are the real ones. Only the
time is the test's, and the WebSockets have no network between their ends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Final, Self, TypeVar, cast, overload

from runtime import events
from runtime.activation import Activation
from runtime.clock import ManualClock
from runtime.config import RuntimeConfig
from runtime.errors import DurableObjectError, ObjectReset
from runtime.faults import POINTS, Disk, Faults, FaultyHost, Point
from runtime.fetch import SWITCHING_PROTOCOLS, Request
from runtime.histories import Histories
from runtime.host import Host
from runtime.ids import ObjectId
from runtime.loopback import ClientSocket, HandshakeRefused, SocketClosed
from runtime.namespace import Call, DurableObjectNamespace
from runtime.object import DurableObjectState
from runtime.runtime import EnvT, Runtime, key_of
from runtime.sockets import WebSocket
from runtime.tasks import as_async, spawn_outside
from runtime.virtual import VirtualTimers

__all__ = [
    "POINTS",
    "ClientSocket",
    "HandshakeRefused",
    "Point",
    "SocketClosed",
    "TestRuntime",
    "key_of",
]

# A disk that syncs in no time, where the machine has one: tests wait for it, and need no more.
_MEMORY: Final = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

ROUNDS: Final = 10  # of the loop in which nothing happens, until everything counts as settled

T = TypeVar("T")


class TestRuntime(Runtime[EnvT]):
    """A runtime in a folder of its own that is gone afterwards, with a clock that stands still.

    Args:
        bindings: As for `Runtime`.
        env: As for `Runtime`.
        evicting: Evict an object before each of its events. Nobody may notice (I6).
        data: Keep everything in this folder, and leave it there.
        config: Further settings, by name.

    Attributes:
        clock: Its time: ``await rt.clock.advance(60)`` rings alarms, ends time limits, evicts
            what has been idle, and wakes object code from ``asyncio.sleep``, all in order.
        disk: Its disk, which can be full, broken or slow.
    """

    __test__ = False  # pytest takes it for a test otherwise

    clock: ManualClock
    disk: Disk

    def __init__(
        self,
        *,
        bindings: Mapping[str, type],
        env: Callable[..., EnvT] = SimpleNamespace,  # type: ignore[assignment]  # the default EnvT
        evicting: bool = False,
        data: Path | None = None,
        **config: Any,
    ) -> None:
        self._folder = None if data else TemporaryDirectory(prefix="dormouse-", dir=_MEMORY)
        folder = data or Path(cast(TemporaryDirectory[str], self._folder).name)
        self.clock = ManualClock(self._come_to_rest)
        self._evicting = evicting
        self._faults = Faults(self.clock, self._die, self._die_soon)
        self.disk = Disk(self._faults)
        self._crash: asyncio.Future[None] | None = None
        self._reopening: asyncio.Task[None] | None = None
        self._held_back: list[Call] = []
        settings = RuntimeConfig(data=folder, debug=True, **config)
        super().__init__(settings, bindings=bindings, env=env, clock=self.clock)

    async def __aenter__(self) -> Self:
        try:
            await super().__aenter__()
        except BaseException:
            self._clean_up()
            raise
        self._timers = VirtualTimers(asyncio.get_running_loop(), self.clock)
        self._timers.install()
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._reopening is not None:
            await self._reopening
        self._timers.uninstall()
        try:
            await super().__aexit__(*error)
        finally:
            self._clean_up()

    def _clean_up(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def _make_host(self, histories: Histories) -> Host:
        vfs = None if self._vfs is None else self._vfs.name
        return FaultyHost(
            self.config,
            self.clock,
            self._catalog,
            histories,
            self._faults,
            vfs=vfs,
            evicting=self._evicting,
            hold_back=self._held_back.append,
        )

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
        is_set: bool = await life.run(as_async(life.alarms.hasten, name), "hasten")
        if is_set:
            await events.ring(life, name)
            await self.settle()
        return is_set

    async def duplicate_alarm(self, stub: Any, *, name: str | None = None) -> bool:
        """Run an alarm twice: as if the process had died before its first end was noted.

        What the first run writes stays, as at-least-once delivery allows. The second is the
        alarm's own, and a retry to nobody's knowledge: it gets the same invocation.

        Returns:
            Whether there was one.
        """
        life = await self._wake(stub)

        async def once() -> bool:
            if not life.alarms.hasten(name):
                return False
            ringing = life.alarms.ring(name, self.clock.time())
            assert ringing is not None, "it is due"
            await as_async(life.instance.alarm, ringing.invocation)
            return True

        if not await asyncio.shield(life.run(once(), "alarm")):
            return False
        await events.ring(life, name)
        await self.settle()
        return True

    async def list_durable_object_ids(
        self, namespace: DurableObjectNamespace[Any]
    ) -> list[ObjectId]:
        """Return the ids of all objects that have storage."""
        await self.settle()
        return [id async for id in namespace.list()]

    async def commit_count(self, stub: Any) -> int:
        """Return how many transactions an object has committed in this life."""
        return (await self._wake(stub)).disk.commit_count

    # Taking things away.

    async def evict_durable_object(self, stub: Any) -> None:
        """Take an object's memory; its sockets stay.

        Raises:
            DurableObjectError: If it isn't in memory, or something of it is under way.
        """
        await self.settle()
        life = self.host.life_of(key_of(stub))
        if life is None:
            raise DurableObjectError("Cannot evict Durable Object: it is not currently running.")
        if life.failure is not None or not life.is_quiet:
            raise DurableObjectError("Cannot evict Durable Object: it still has work under way.")
        self.host.evict(life)
        await self.settle()

    async def abort_durable_object(self, stub: Any) -> None:
        """Take an object's memory and its sockets, and whatever isn't committed."""
        await self.settle()
        if (life := self.host.life_of(key_of(stub))) is not None:
            life.break_off(ObjectReset("abort_durable_object()", durable_object_id=stub.id.hex))
        await self.settle()

    async def crash(self) -> None:
        """End the process, as ``kill -9`` does, and start another on the same folder.

        Callers get an error, clients lose their connections without a close frame, and what
        was written is as the disk has it. Stubs stay good.
        """
        self._die()
        assert self._reopening is not None, "it has just died"
        await self._reopening
        await self.settle()

    def crash_at(self, point: Point) -> asyncio.Future[None]:
        """End the process the next time that it comes to `point`; another starts at once.

        ::

            crash = rt.crash_at("after_commit")
            with pytest.raises(errors.ShuttingDown):
                await room.post("hello")
            await crash

        Args:
            point: One of `POINTS`. ``runtime.faults`` says what each means.

        Returns:
            What is done once the process has died there, and the next one has started.

        Raises:
            ValueError: If there is no such point.
        """
        self._faults.arm(point)
        self._crash = asyncio.get_running_loop().create_future()
        return self._crash

    def _die(self) -> None:
        self.host.die()
        if self._reopening is None:
            self._reopening = spawn_outside(self._reopen())

    def _die_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._die, context=Context())

    async def _reopen(self) -> None:
        try:
            await self._catalog.abandon()
            self._let_go()
            await self._open()
        finally:
            self._reopening = None
        for call in self._held_back:
            self.host.route(call)
        self._held_back.clear()
        if self._crash is not None and self._faults.point is None:
            self._crash.set_result(None)
            self._crash = None

    async def restart(self, *, after: timedelta = timedelta(0)) -> None:
        """Stop properly, and start again on the same folder `after` some time. Stubs stay good."""
        await self.host.drain()
        await self._close()
        await self.clock.advance(after)
        await self._open()
        await self.settle()

    # Time.

    async def settle(self) -> None:
        """Return once nothing more happens by itself: commits durable, handlers done or waiting."""
        await self.clock.stand_still()
        if self._reopening is not None and asyncio.current_task() is not self._reopening:
            await asyncio.shield(self._reopening)
        await self._come_to_rest()

    async def _come_to_rest(self) -> None:
        calm, steps = 0, -1
        while calm < ROUNDS:
            await asyncio.sleep(0)
            is_calm = self.host.is_at_rest and self.host.steps == steps
            calm = calm + 1 if is_calm else 0
            steps = self.host.steps

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
        client = ClientSocket(self.settle)
        absolute = url if "://" in url else f"ws://test{url}"
        server = client.server = WebSocket(client.wire, url=absolute)
        response = await stub.fetch(Request(absolute, headers=headers, web_socket=server))
        if response.status != SWITCHING_PROTOCOLS:
            raise HandshakeRefused(response)
        server.opened()
        return client

    async def _wake(self, stub: Any) -> Activation:
        """Return the object's activation, in which no code of it is running."""
        while True:
            await self.settle()
            found: asyncio.Future[Activation] = asyncio.get_running_loop().create_future()
            self.host.wake(key_of(stub), stub.id, found.set_result, found.set_exception)
            life = await found
            await self.settle()  # its constructor may go on in a critical section
            if not life.is_over:  # by something else that the test has set going
                return life
