"""The doors that tests need: a world of its own for each, a clock to move, memory to take away.

Nothing here is a fake: the objects, their SQLite and their gates are the real ones. Only the
time is the test's, and the WebSockets have no network between their ends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Final, Self, TypeVar, cast, overload

from runtime import events
from runtime.activation import Activation
from runtime.clock import ManualClock
from runtime.config import RuntimeConfig
from runtime.errors import DurableObjectError, ObjectReset
from runtime.fetch import SWITCHING_PROTOCOLS, Request
from runtime.histories import Histories
from runtime.host import Host
from runtime.ids import ObjectId
from runtime.loopback import ClientSocket, HandshakeRefused, SocketClosed
from runtime.namespace import Call, DurableObjectNamespace
from runtime.object import DurableObjectState
from runtime.resident import Event, Refuse, Resident
from runtime.runtime import EnvT, Runtime, key_of
from runtime.sockets import WebSocket
from runtime.syncer import Syncer
from runtime.tasks import as_async, current

__all__ = ["ClientSocket", "HandshakeRefused", "SocketClosed", "TestRuntime", "key_of"]

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
    """

    __test__ = False  # pytest takes it for a test otherwise

    clock: ManualClock

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
        settings = RuntimeConfig(data=folder, debug=True, **config)
        super().__init__(settings, bindings=bindings, env=env, clock=self.clock)

    async def __aenter__(self) -> Self:
        try:
            return await super().__aenter__()
        except BaseException:
            self._clean_up()
            raise

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        self._clean_up()

    def _clean_up(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def _make_host(self, histories: Histories) -> Host:
        return _TestHost(self, Syncer(), histories, evicting=self._evicting)

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
        self.host.die()
        await self._catalog.abandon()
        self._let_go()
        await self._open()
        await self.settle()

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
        await self.settle()
        found: asyncio.Future[Activation] = asyncio.get_running_loop().create_future()
        self.host.wake(key_of(stub), stub.id, found.set_result, found.set_exception)
        life = await found
        await self.settle()  # its constructor may go on in a critical section
        return life


class _TestHost(Host):
    """A host that keeps calls back while the clock moves, and may evict before each event."""

    def __init__(
        self, runtime: TestRuntime[Any], syncer: Syncer, histories: Histories, *, evicting: bool
    ) -> None:
        vfs = runtime._vfs
        name = None if vfs is None else vfs.name
        super().__init__(
            runtime.config, runtime.clock, runtime._catalog, syncer, histories, vfs=name
        )
        self._test_clock = runtime.clock
        self._evicting = evicting

    def route(self, call: Call) -> None:
        if current.get() is None and self._test_clock.is_moving:
            self._test_clock.when_still(partial(super().route, call))
        else:
            super().route(call)

    def deliver(self, resident: Resident, event: Event, refuse: Refuse) -> None:
        life = resident.life
        can_go = life is not None and life.is_quiet and life.failure is None
        if self._evicting and can_go and not self.is_stepping:
            self.evict(cast(Activation, life))
        super().deliver(resident, event, refuse)
