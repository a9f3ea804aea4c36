"""A runtime: a data folder, the objects in it, and the names they are reached by."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Generic, Self

from typing_extensions import TypeVar

from runtime.awake import causes
from runtime.catalog import Catalog, CatalogError, Key
from runtime.classes import Plan, check_same, plan
from runtime.clock import Clock, SystemClock
from runtime.config import RuntimeConfig
from runtime.errors import CodeRefused
from runtime.folder import refusing, take
from runtime.glimpse import Glimpse, glimpse_of
from runtime.health import Disk, Health
from runtime.histories import Histories
from runtime.history import Retention
from runtime.host import Host
from runtime.ids import IdScheme
from runtime.loans import OBJECT_TASKS
from runtime.namespace import Code, DurableObjectNamespace, Stub, directory_of
from runtime.object import check_class
from runtime.pins import break_pins
from runtime.recovery import recover
from runtime.segments import begin_anew
from runtime.sql import ClockVFS
from runtime.stamps import FORGOTTEN, MICROSECONDS, Stamps
from runtime.syncer import Syncer
from runtime.wire import forget_classes

_CATALOG: Final = "catalog.sqlite"
EnvT = TypeVar("EnvT", default=Any)
CLOCK_TOLERANCE: Final = 2.0  # seconds
log = logging.getLogger("runtime")


class Runtime(Generic[EnvT]):
    """Runs the durable objects of one data folder, for as long as its ``async with`` block.

    Attributes:
        config: Its settings.
        bindings: The class of each namespace.
        namespaces: The namespace of each binding.
        host: What is in memory, inside the ``async with`` block.
    """

    _open_catalog = staticmethod(Catalog.open)

    def __init__(
        self,
        config: RuntimeConfig | None = None,
        *,
        bindings: Mapping[str, type],
        env: Callable[..., EnvT] = SimpleNamespace,  # type: ignore[assignment]  # the default EnvT
        clock: Clock | None = None,
    ) -> None:
        """Args:
        config: The settings; by default what the environment and pyproject.toml say.
        bindings: The class of each namespace, by the name that the application gives it.
        env: Called with a namespace for each binding, as keywords.
        clock: Where the time comes from; by default the machine.
        """
        self.config = config or RuntimeConfig()
        self.bindings = dict(bindings)
        for cls in self.bindings.values():
            check_class(cls)
        self.namespaces: dict[str, DurableObjectNamespace[Any]] = {}
        self._make_env = env
        self._clock = clock or SystemClock()
        # SQL takes the time from the machine, unless the clock is another.
        self._vfs = None if isinstance(self._clock, SystemClock) else ClockVFS(self._clock)
        self._env: EnvT | None = None
        self.host: Host

    @property
    def env(self) -> EnvT:
        """What ``env`` has made of the namespaces; every object gets it too.

        Raises:
            RuntimeError: Before the ``async with`` block.
        """
        if self._env is None:
            raise RuntimeError("this runtime hasn't been started: use `async with runtime:`")
        return self._env

    @property
    def health(self) -> Health:
        """How the runtime is now. It takes longer the more objects are in memory, by little.

        Raises:
            RuntimeError: Before the ``async with`` block.
        """
        self.env  # noqa: B018  # raises
        host, disk = self.host, self._disk
        waiting, ringing = host.alarm_counts
        return Health(
            is_well=disk.refused_since is None,
            refused_since=disk.refused_since,
            reason=disk.reason,
            uptime_seconds=self._clock.time() - self._opened_at,
            waiting_bytes=host.journal.waiting_bytes,
            segments=host.journal.segments,
            objects=host.resident_count,
            sockets=host.socket_count,
            sockets_too_slow=host.traffic.too_slow,
            alarms_waiting=waiting,
            alarms_ringing=ringing,
        )

    def why_awake(self, stub: Any) -> list[str]:
        """Say what keeps an object in memory: a sentence for each cause.

        A handler that runs, and what it waits for: a timer, another object, its turn; a task that
        it has left behind; the disk. If nothing does, when it leaves. The log says the same, at
        debug level, each time an object might have left and can't.

        Returns:
            None of them, if the object isn't in memory. Asking doesn't wake it.

        Raises:
            RuntimeError: Before the ``async with`` block.
            TypeError: If that is no stub of an object.
        """
        self.env  # noqa: B018  # raises
        life = self.host.life_of(key_of(stub))
        return [] if life is None else causes(life, self.config.idle_seconds)

    def glimpse(self, stub: Any) -> Glimpse:
        """Return how an object is at this moment. Asking doesn't wake it.

        Raises:
            RuntimeError: Before the ``async with`` block.
            TypeError: If that is no stub of an object.
        """
        self.env  # noqa: B018  # raises
        return glimpse_of(self.host.resident(key_of(stub)))

    def evict(self, stub: Any) -> bool:
        """Take an object out of memory now, if nothing keeps it there. Its sockets stay open.

        Nobody needs it, and nobody notices (I6): it is for showing that, in development.

        Returns:
            Whether it has gone; `why_awake` says what keeps it.

        Raises:
            RuntimeError: Before the ``async with`` block, or without the setting `debug`.
            TypeError: If that is no stub of an object.
        """
        self.env  # noqa: B018  # raises
        if not self.config.debug:
            raise RuntimeError("objects leave memory by themselves: evict() needs `debug`")
        life = self.host.life_of(key_of(stub))
        if can_go := life is not None and life.failure is None and life.is_quiet:
            self.host.evict(life)
        return can_go

    def adopt(self, successor: Runtime[EnvT]) -> None:
        """Go on with the classes and the ``env`` of another runtime, made from changed code.

        Stubs stay good, and no socket closes. Objects that are quiet leave memory and wake in the
        new code; the others as soon as they are quiet. One that is busy for `drain_seconds` more
        is reset, and its callers get an `ObjectReset` that is `retryable`.

        Args:
            successor: A runtime that hasn't been started, and isn't going to be.

        Raises:
            CodeRefused: If the bindings, the classes' names or the settings aren't the same.
            RuntimeError: Before the ``async with`` block.
            TypeError: If a class has an annotation that can't be resolved.
        """
        self.env  # noqa: B018  # raises
        check_same(self.bindings, successor.bindings)
        if successor.config != self.config:
            raise CodeRefused("the settings have changed, which takes a restart")
        codes = {binding: Code(cls) for binding, cls in successor.bindings.items()}
        env = successor._make_env(**self.namespaces)
        for binding, code in codes.items():  # what can fail has been done
            self.namespaces[binding].rebind(code)
        self.bindings, self._make_env, self._env = successor.bindings, successor._make_env, env
        self.host.bind(self.namespaces, env)
        self.host.renew()
        forget_classes()

    @staticmethod
    def check_folder(config: RuntimeConfig) -> None:
        """Raise `DataFolderRefused` if a runtime couldn't start on its data folder now."""
        os.close(take(config.data))

    async def __aenter__(self) -> Self:
        """Open the data folder, recover what a crash has left, and start the overdue alarms.

        Raises:
            DataFolderRefused: If the folder can't be made or written, or another process has it.
            MigrationRefused: If the configured class migrations contradict what is there.
            TypeError: If a bound class has an annotation that can't be resolved.
        """
        self._give_back = OBJECT_TASKS.begin()
        try:
            await self._open()
        except BaseException:
            self._give_back()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drain: running handlers get their time, and everything is closed."""
        await self.host.drain()
        await self._close()
        self._give_back()

    async def _open(self) -> None:
        async with AsyncExitStack() as failed:
            self._lock = take(self.config.data)
            failed.callback(os.close, self._lock)
            with refusing(self.config.data):
                starting = break_pins(self.config.data)
                failed.callback(os.close, starting)
                self._syncer = self._make_syncer()
                failed.callback(self._syncer.shut_down)
                keys, stamp = await self._open_folder(failed)
            histories = Histories(Stamps(self._clock, stamp), _retention(self.config))
            self.host = self._make_host(histories)
            if (ahead := stamp / MICROSECONDS - self._clock.time()) > CLOCK_TOLERANCE:
                log.warning(
                    "the clock of this machine was set back by %.0f s, or is wrong: the latest "
                    "commit here is that much ahead of it. Nothing is lost by it; alarms ring by "
                    "the clock, and bookmarks keep to the order of commits",
                    ahead,
                )
            self._disk = Disk(self.config.data, self._clock, self._syncer)
            self._catalog.failed = self._disk.refused
            self._opened_at = self._clock.time()
            self._bind(keys)
            await self.host.start()
            os.close(starting)
            failed.pop_all()

    async def _open_folder(self, failed: AsyncExitStack) -> tuple[dict[str, str], int]:
        objects = self.config.data / "objects"
        objects.mkdir(exist_ok=True)
        self._catalog = catalog = await self._open_catalog(self.config.data / _CATALOG)
        failed.push_async_callback(catalog.abandon)
        stamp, known, applied = await asyncio.gather(  # it is visited once for all three
            catalog.latest_stamp(), catalog.class_keys(), catalog.migration_tags()
        )
        journal = self.config.data / "journal"
        recovering = partial(recover, journal, objects, _retention(self.config))
        for found in await self._syncer.prepare(recovering):
            stamp = max(stamp, found.stamp)
            key = Key(found.directory, found.hex)
            if found.exists:
                self._catalog.note(key, found.name, found.alarms)
            else:
                self._catalog.forget(key)
        # Beyond what this start gives out ahead of its clock, for the next one to begin at.
        self._catalog.keep_stamp(stamp + FORGOTTEN)
        await self._catalog.flush()
        await self._syncer.prepare(partial(begin_anew, journal))
        return await self._class_keys(objects, known, applied), stamp

    async def _close(self) -> None:
        try:
            self._catalog.keep_stamp(self.host.histories.stamps.last)
            await self._catalog.close()
            self.host.journal.erase_if_settled()
        except (OSError, CatalogError) as error:
            # Nothing is lost: it is in the journal, which the next start takes in.
            log.warning("not everything could be tidied up at the end: %s", error)
        finally:
            self._disk.close()
            self._let_go()

    def _let_go(self) -> None:
        self._syncer.shut_down()
        self.host.journal.close()
        os.close(self._lock)

    def _make_host(self, histories: Histories) -> Host:
        vfs = None if self._vfs is None else self._vfs.name
        return Host(self.config, self._clock, self._catalog, self._syncer, histories, vfs=vfs)

    def _make_syncer(self) -> Syncer:
        return Syncer()

    def _bind(self, keys: Mapping[str, str]) -> None:
        for binding, cls in self.bindings.items():
            if binding in self.namespaces:  # stubs that somebody has stay good
                self.namespaces[binding].router = self.host
            else:
                scheme = IdScheme(keys[cls.__name__])
                namespace: DurableObjectNamespace[Any]
                namespace = DurableObjectNamespace(binding, cls, scheme, self.host)
                self.namespaces[binding] = namespace
        if self._env is None:
            self._env = self._make_env(**self.namespaces)
        self.host.bind(self.namespaces, self._env)

    async def _class_keys(
        self, objects: Path, known: dict[str, str], applied: list[str]
    ) -> dict[str, str]:
        bound = {cls.__name__ for cls in self.bindings.values()}
        changes = plan(known, applied, self.config.migrations, bound)
        for name in changes.keys.keys() - bound:
            log.warning(
                "class %s isn't bound, and its objects can't be reached; if it was renamed, add a "
                "migration with renamed_classes to [tool.runtime]",
                name,
            )
        if changes.deleted_keys:
            await self._syncer.prepare(partial(_delete, objects, changes.deleted_keys))
        if changes != Plan(known, (), ()):
            await self._catalog.carry_out(changes)
        return changes.keys


def key_of(stub: Any) -> Key:
    """Return what the host knows an object by.

    Raises:
        TypeError: If that is no stub of an object.
    """
    if not isinstance(stub, Stub):
        raise TypeError(f"expected a stub of a durable object, not {stub!r}")
    return Key(directory_of(stub), stub.id.hex)


def _retention(config: RuntimeConfig) -> Retention:
    days = timedelta(days=config.history_days)
    return Retention(int(days.total_seconds() * MICROSECONDS), config.history_max_bytes)


def _delete(objects: Path, keys: Sequence[str]) -> None:
    for key in keys:
        for folder in (objects / key, *objects.glob(f"{key}@*")):
            log.warning("deleting all objects in %s", folder.name)
            shutil.rmtree(folder, ignore_errors=True)
