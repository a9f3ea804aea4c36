"""Development: changed source files are taken over while sockets stay open.

The modules are imported afresh and make an application of their own, which uses the runtime that
runs already; that adopts the new classes. Requests under way end in the application that they began
in. It is all or nothing: if anything of it fails, the code of before goes on.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from watchfiles import Change, PythonFilter, awatch

from runtime.clock import monotonic
from runtime.errors import CodeRefused
from runtime.litestar import DurableObjectsPlugin
from runtime.tasks import log_failure

REQUEST_SECONDS: Final = 1.0  # for requests under way to end before the classes are replaced

_RUNTIME: Final = Path(__file__).parent
_PATHS: Final = (os.path.abspath, os.path.realpath)
_GOES_ON: Final = "; the code of before goes on"

log = logging.getLogger("runtime")


class Reloader:
    """An ASGI application that is always what the source files say.

    Files that change within 50 ms of each other are taken over together. Each time the log has a
    line, with the reason and its place if that failed.

    Args:
        factory: Makes the application, as ``package.module:function``. It is one of Litestar, with
            a `DurableObjectsPlugin`.
        folders: Where the Python files are that are watched, in folders below too. All modules
            from there are imported afresh when one has changed; not the runtime, nor ``__main__``.
        arguments: What the factory is called with, by name. It gets the same ones each time.
        watches: Whether changes are noticed; otherwise they are taken over by `reload` alone.

    Raises:
        Exception: Whatever the first import raises, or the factory.
    """

    def __init__(
        self,
        factory: str,
        *,
        folders: Collection[str | Path],
        arguments: Mapping[str, Any] | None = None,
        watches: bool = True,
    ) -> None:
        self._factory = factory
        self._folders = folders
        self._arguments = arguments or {}
        self._watches = watches
        self._sources = _Sources(folders)
        self._edition = self._make()
        self._retired: list[_Edition] = []
        self._turn = asyncio.Lock()
        self._door = asyncio.Event()
        self._door.set()
        self._stop = asyncio.Event()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._door.wait()
            await self._edition.serve(scope, receive, send)

    async def reload(self) -> None:
        """Take over the source files as they are now, and return when new requests go to them.

        Raises:
            CodeRefused: If that failed, with the reason. The code of before goes on.
            RuntimeError: If this application isn't being served.
        """
        async with self._turn:
            began = monotonic()
            if not self._edition.is_running:
                raise RuntimeError("nothing to reload: this application isn't being served")
            with self._sources.afresh(), self._explained():
                with _from_source():
                    edition = self._make()
                made, running = edition.plugin.runtime, self._edition.plugin.runtime
                edition.plugin.follow(self._edition.plugin)
                await edition.start()
                self._door.clear()
                try:
                    # What they give to objects is of the old classes, which the new don't know.
                    await self._edition.answers_are_out(REQUEST_SECONDS)
                    running.adopt(made)
                except BaseException:
                    await edition.end()
                    raise
                finally:
                    self._door.set()
            self._edition, before = edition, self._edition
            before.retire()
            self._retired = [each for each in (*self._retired, before) if each.is_running]
        took, count = (monotonic() - began) * 1000, len(self._sources.modules())
        log.info("reloaded %d module%s in %.0f ms", count, "s" * (count != 1), took)

    def _make(self) -> _Edition:
        module, _, function = self._factory.partition(":")
        make = getattr(importlib.import_module(module), function)
        return _Edition(make(**self._arguments))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except CodeRefused as refusal:
            raise CodeRefused(f"{refusal}{_GOES_ON}") from refusal
        except (Exception, SystemExit) as error:
            raise CodeRefused(f"{self._sources.explain(error)}{_GOES_ON}") from error

    # The lifespan, in which all the others' are.

    async def _live(self, receive: Any, send: Any) -> None:
        phase = "startup"
        try:
            await receive()
            await self._edition.start()
            watching = asyncio.create_task(self._watch())
            watching.add_done_callback(partial(log_failure, self, "the watching"))
            await send({"type": "lifespan.startup.complete"})
            phase = "shutdown"
            await receive()
            self._stop.set()
            await asyncio.wait([watching])
            await asyncio.gather(*(each.end() for each in self._retired), return_exceptions=True)
            await self._edition.end()
            await send({"type": "lifespan.shutdown.complete"})
        except BaseException:
            self._stop.set()
            await send({"type": f"lifespan.{phase}.failed", "message": traceback.format_exc()})
            raise

    async def _watch(self) -> None:
        if not self._watches:
            return
        try:
            async for changes in awatch(
                *self._folders, _RUNTIME, watch_filter=PythonFilter(), stop_event=self._stop
            ):
                await self._take_over({path for _, path in changes})
        except OSError as error:
            log.error("changed files aren't noticed any more, until a restart: %s", error)  # noqa: TRY400

    async def _take_over(self, paths: Iterable[str]) -> None:
        ours = set(filter(self._sources.have, paths))
        for path in sorted(set(paths) - ours):
            log.warning("%s has changed, which takes a restart", _shown(path))
        if ours:
            try:
                await self.reload()
            except CodeRefused as refusal:
                log.error("%s", refusal)  # noqa: TRY400  # it says where


class _Edition:
    """The application of one state of the code: from its start to the end of its last request."""

    def __init__(self, app: Any) -> None:
        self.plugin = DurableObjectsPlugin.of(app)
        self._app = app
        self._requests = 0
        # Those of HTTP among them; a WebSocket may go on for hours.
        self._unanswered = 0
        self._answered: asyncio.Event | None = None
        self._is_retired = False
        self._over = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether its lifespan has begun, and hasn't ended."""
        return self._life is not None and not self._life.done()

    async def start(self) -> None:
        """Begin its lifespan; its own task holds that, because it has to end where it began."""
        started = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live(started))
        try:
            await asyncio.wait([self._life, started], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._life.cancel()
            await asyncio.wait([self._life])
            raise
        if self._life.done():
            await self._life  # raises

    async def serve(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        is_request = scope["type"] == "http"
        self._requests += 1
        self._unanswered += is_request
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests -= 1
            self._unanswered -= is_request
            if not self._unanswered and self._answered is not None:
                self._answered.set()
            self._end_if_idle()

    async def answers_are_out(self, seconds: float) -> None:
        """Return once no request waits for its answer, or after some time."""
        if self._unanswered:
            self._answered = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._answered.wait(), seconds)

    def retire(self) -> None:
        """End it when its last request has ended."""
        assert self._life is not None, "nobody has started it"
        self._life.add_done_callback(partial(log_failure, "an application", "the end"))
        self._is_retired = True
        self._end_if_idle()

    async def end(self) -> None:
        """End its lifespan."""
        self._over.set()
        if self._life is not None:
            await self._life

    def _end_if_idle(self) -> None:
        if self._is_retired and not self._requests:
            self._over.set()

    async def _live(self, started: asyncio.Future[None]) -> None:
        async with self._app.lifespan():
            started.set_result(None)
            await self._over.wait()


class _Sources:
    """The modules that come from some folders."""

    def __init__(self, folders: Collection[str | Path]) -> None:
        # A module may have been found by way of a symbolic link.
        paths = {function(folder) for folder in folders for function in _PATHS}
        self._folders = tuple(f"{path}{os.sep}" for path in paths)
        self._filter = PythonFilter(ignore_paths=[f"{_RUNTIME}{os.sep}"])

    def have(self, path: str) -> bool:
        """Whether the file at `path` is, or was, such a module's."""
        main = getattr(sys.modules["__main__"], "__file__", None)
        is_inside = path.startswith(self._folders) and path != main
        return is_inside and self._filter(Change.modified, path)

    def modules(self) -> dict[str, ModuleType]:
        """Return those that have been imported, by name."""
        files = {
            name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())
        }
        return {name: sys.modules[name] for name, file in files.items() if file and self.have(file)}

    @contextmanager
    def afresh(self) -> Iterator[None]:
        """Import them anew inside the block, and take that back if it fails."""
        before = self.modules()
        attributes = _take_out(before)
        try:
            yield
        except BaseException:
            _take_out(self.modules())
            sys.modules.update(before)
            for parent, name, module in attributes:
                setattr(parent, name, module)
            raise

    def explain(self, error: BaseException) -> str:
        """Return an error in one line, with the place in these files that it comes from."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        text = f"{type(error).__name__}: {' '.join(said.split())}"
        if isinstance(error, SyntaxError) and error.filename:
            return f"{_shown(error.filename)}:{error.lineno}: {text}"
        frames = traceback.extract_tb(error.__traceback__)
        for frame in reversed(frames):
            if self.have(frame.filename):
                return f"{_shown(frame.filename)}:{frame.lineno}: {text}"
        return text


@contextmanager
def _from_source() -> Iterator[None]:
    """Import without compiled files: they tell an older source by its size, and its second."""
    prefix, writes_none = sys.pycache_prefix, sys.dont_write_bytecode
    sys.pycache_prefix, sys.dont_write_bytecode = f"{os.devnull}/none", True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.pycache_prefix, sys.dont_write_bytecode = prefix, writes_none


def _take_out(modules: Mapping[str, ModuleType]) -> list[tuple[ModuleType, str, ModuleType]]:
    """Make modules unknown, and return which others had them as attributes, under which names."""
    attributes = []
    for name, module in modules.items():
        del sys.modules[name]
        package, _, last = name.rpartition(".")
        parent = None if package in modules else sys.modules.get(package)
        # ``from package import module`` would find the old one there.
        if parent is not None and getattr(parent, last, None) is module:
            delattr(parent, last)
            attributes.append((parent, last, module))
    return attributes


def _shown(path: str) -> str:
    here = Path.cwd()
    return str(Path(path).relative_to(here) if Path(path).is_relative_to(here) else path)
