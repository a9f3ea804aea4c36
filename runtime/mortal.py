"""A runtime whose time, disk and death are somebody else's to decide. For tests.

It dies as a process does, with nothing finished, written or said, and the next one finds on the
disk what the first has left there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from contextvars import Context
from datetime import datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Final, Self, cast

from runtime.awake import causes
from runtime.catalog import Catalog
from runtime.clock import ManualClock
from runtime.config import RuntimeConfig
from runtime.errors import ShuttingDown
from runtime.faults import Disk, Faults, FaultyHost, FaultySyncer, Point
from runtime.histories import Histories
from runtime.namespace import Call
from runtime.prompt import PromptConnection
from runtime.runtime import EnvT, Runtime
from runtime.settling import ROUNDS, Restless, rest
from runtime.tasks import spawn_outside
from runtime.virtual import OBJECT_TIMERS

# A disk that syncs in no time, where the machine has one: tests wait for it, and need no more.
_MEMORY: Final = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

PATIENCE_SECONDS: Final = 0.5  # of the machine's, for handlers that are under way in the end

log = logging.getLogger("runtime")


class MortalRuntime(Runtime[EnvT]):
    """A runtime in a folder of its own that is gone afterwards, with a clock that stands still.

    Args:
        bindings: As for `Runtime`.
        env: As for `Runtime`.
        evicting: Evict an object before each of its events. Nobody may notice (I6).
        data: Keep everything in this folder, and leave it there.
        start: What the clock shows first, in seconds since the epoch or as an aware datetime;
            by default the time.
        config: Further settings, by name. In a folder of its own it goes by no class migrations
            but those that are given here: no class has ever been called otherwise there.

    Attributes:
        clock: Its time: ``await rt.clock.advance(60)`` rings alarms, ends time limits, evicts
            what has been idle, and wakes object code from ``asyncio.sleep``, all in order.
        disk: Its disk, which can be full, broken or slow.
    """

    clock: ManualClock
    disk: Disk
    host: FaultyHost
    _syncer: FaultySyncer
    _open_catalog = staticmethod(partial(Catalog.open, connect=PromptConnection))

    def __init__(
        self,
        *,
        bindings: Mapping[str, type],
        env: Callable[..., EnvT] = SimpleNamespace,  # type: ignore[assignment]  # the default EnvT
        evicting: bool = False,
        data: Path | None = None,
        start: float | datetime | None = None,
        **config: Any,
    ) -> None:
        self.clock = ManualClock(self.come_to_rest, start)
        self._folder = None if data else TemporaryDirectory(prefix="dormouse-", dir=_MEMORY)
        folder = data or Path(cast(TemporaryDirectory[str], self._folder).name)
        self._evicting = evicting
        self._faults = Faults(self.clock, self.die, self._die_soon)
        self.disk = Disk(self._faults)
        self._crash: asyncio.Future[None] | None = None
        self._crashed: list[asyncio.Future[None]] = []
        self._reopening: asyncio.Task[None] | None = None
        self._held_back: list[Call] = []
        self._entering = 0  # how many look into objects, and will have code of them run
        self._is_down = False  # it couldn't start
        self._is_restless = False  # it has been waited for in vain
        try:
            settings = _settings(folder, config if data else {"migrations": (), **config})
            super().__init__(settings, bindings=bindings, env=env, clock=self.clock)
        except BaseException:
            self._clean_up()
            raise

    async def __aenter__(self) -> Self:
        try:
            await super().__aenter__()
        except BaseException:
            self._clean_up()
            raise
        self._leave_timers = OBJECT_TIMERS.begin()
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._reopening is not None:
            await asyncio.wait([self._reopening])
        missed, self._faults.point = self._faults.point, None
        self.disk.mend()
        async with AsyncExitStack() as end:  # from the last to the first, whatever fails
            end.callback(self._clean_up)
            if self._is_down:
                end.callback(self._give_back)
                end.callback(self._leave_timers)
            else:
                end.push_async_callback(super().__aexit__, *error)
                end.callback(self._leave_timers)
                end.push_async_callback(self.host.drain, PATIENCE_SECONDS)
                if not self._is_restless:
                    await self._wait_for_disk()
                    await self._hurry()
        if missed is not None and error[0] is None:
            raise AssertionError(f"crash_at({missed!r}): the process hasn't come there")

    async def _wait_for_disk(self) -> None:
        """Move the clock until nothing waits for a slow disk."""
        while self._syncer.delayed and self.clock.skip():
            await self.come_to_rest()

    async def _hurry(self) -> None:
        """Don't wait long for what can't go on, because the clock stands still now."""
        await self.come_to_rest()
        for life in self.host.lives():
            if life.tasks:
                because = "; ".join(causes(life, self.config.idle_seconds))
                log.warning("%s has work under way at the end of the test: %s", life, because)
            elif life.is_quiet and life.failure is None and not len(life.sockets):
                self.host.evict(life)
        await self._rest(1)  # which hears when that is done; `drain` looks now and then

    def _empty_folder(self) -> None:
        """Remove what was stored. While no process has it open."""
        data = self.config.data
        for part in ("objects", "journal"):
            shutil.rmtree(data / part, ignore_errors=True)
        for file in data.glob("catalog.sqlite*"):
            file.unlink()

    def _clean_up(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def _make_host(self, histories: Histories) -> FaultyHost:
        vfs = None if self._vfs is None else self._vfs.name
        return FaultyHost(
            self.config,
            self.clock,
            self._catalog,
            histories,
            self._faults,
            vfs=vfs,
            syncer=self._syncer,
            evicting=self._evicting,
            hold_back=self._hold_back,
        )

    def _make_syncer(self) -> FaultySyncer:
        return FaultySyncer(self._faults)

    # Dying.

    async def crash(self) -> None:
        """End the process, as ``kill -9`` does, and start another on the same folder.

        Callers get an error, clients lose their connections without a close frame, and what
        was written is as the disk has it. Stubs stay good.

        Raises:
            DataFolderRefused: If it can't start again. Calls fail with `ShuttingDown` then.
        """
        self.die()
        assert self._reopening is not None, "it has just died"
        await asyncio.shield(self._reopening)
        await self.settle()

    def crash_at(self, point: Point) -> asyncio.Future[None]:
        """End the process the next time that it comes to `point`; another starts at once.

        ::

            crash = rt.crash_at("after_commit")
            with pytest.raises(errors.ObjectReset):
                await room.post("hello")
            await crash

        Args:
            point: One of `POINTS`. ``runtime.faults`` says what each means.

        Returns:
            What is done once the process has died there, and the next one has started; with
            the error, if it can't.

        Raises:
            ValueError: If there is no such point.
            RuntimeError: If another one is waited for.
            AssertionError: At the end of the ``async with`` block, if it hasn't come there.
        """
        self._faults.arm(point)
        self._crash = asyncio.get_running_loop().create_future()
        return self._crash

    @property
    def is_to_crash(self) -> bool:
        """Whether the process is to die at a point that it hasn't come to."""
        return self._faults.point is not None

    def die(self) -> None:
        """End the process now; another starts by itself, which `crash` waits for."""
        self.env  # noqa: B018  # raises, if it hasn't begun
        self.host.die()
        if self._crash is not None and not self.is_to_crash:  # it has come to the point
            self._crashed.append(self._crash)
            self._crash = None
        if self._reopening is None:
            self._reopening = spawn_outside(self._reopen())

    def _die_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self.die, context=Context())

    async def _reopen(self) -> None:
        self._disk.close()
        await self._catalog.abandon()
        self._let_go()
        self.host.bury()
        failure = None
        try:
            await self._open()
        except Exception as error:
            failure = error
            self.host.die()
            raise
        finally:
            self._reopening = None
            held_back, self._held_back = self._held_back, []
            for call in held_back:
                self.host.route(call)
            crashed, self._crashed = self._crashed, []
            for crash in crashed:
                if not crash.done():
                    _end(crash, failure)

    async def _open(self) -> None:
        self._is_down = True
        await super()._open()
        self._is_down = False

    def _hold_back(self, call: Call) -> None:
        if self._reopening is not None:
            self._held_back.append(call)
        elif self.host.is_dead:
            call.reply.fail(ShuttingDown("the process couldn't start again"))
        else:
            self.host.route(call)

    async def restart(self, *, after: timedelta = timedelta(0)) -> None:
        """Stop properly, and start again on the same folder `after` some time. Stubs stay good.

        What waits for a slow disk has its time. Work that is under way otherwise is cut off.
        """
        await self._wait_for_disk()
        stopped = self.host
        await stopped.drain(PATIENCE_SECONDS)
        await self._close()
        await self.clock.advance(after)
        await self._open()
        stopped.is_dead = True  # what still comes to it is for the next one
        await self.settle()

    # Time.

    async def settle(self) -> None:
        """Return once nothing more happens by itself: commits durable, handlers done or waiting.

        What object code has threads do is waited for too, for up to 5 seconds of the machine's. A
        handler that waits for something else outside, the network or a process, counts as waiting.

        Raises:
            RuntimeError: If that is never so: something has been turning in circles for 10 seconds,
                such as an alarm that sets itself for now. Or if it is awaited by object code.
        """
        await self.clock.stand_still()
        await self.come_to_rest()

    async def come_to_rest(self) -> None:
        """Return once nothing more happens before the clock moves, and the process lives. Unlike
        `settle` it doesn't wait for moves of the clock that are under way."""
        await self._come_to_rest()
        while self._entering:
            await self._come_to_rest()

    async def _enter(self) -> None:
        """As `come_to_rest`, for whoever has something happen then, which others are to wait for.

        It must be begun before anything else is awaited.
        """
        self._entering += 1
        try:
            await self._come_to_rest()
        finally:
            self._entering -= 1

    async def _come_to_rest(self) -> None:
        await self._rest()
        while self._reopening is not None:
            await asyncio.shield(self._reopening)
            await self._rest()

    async def _rest(self, rounds: int = ROUNDS) -> None:
        try:
            await rest(lambda: self.host, self.clock, self.config.idle_seconds, rounds)
        except Restless:
            self._is_restless = True
            raise


def _end(waiting: asyncio.Future[None], failure: Exception | None) -> None:
    if failure is None:
        waiting.set_result(None)
    else:
        waiting.set_exception(failure)


def _settings(data: Path, config: dict[str, Any]) -> RuntimeConfig:
    if config.keys() - {"migrations"} or config.get("migrations"):
        return RuntimeConfig(data=data, **{"debug": True, **config})
    names = (name for name in os.environ if name.upper().startswith("RUNTIME_"))
    environment = tuple((name, os.environ[name]) for name in names)
    return _read_settings(environment, Path.cwd()).model_copy(update={"data": data, **config})


@lru_cache(maxsize=8)
def _read_settings(_environment: tuple[tuple[str, str], ...], _folder: Path) -> RuntimeConfig:
    """Read pyproject.toml and the environment, once for all tests: it takes a millisecond."""
    return RuntimeConfig(debug=True)
