"""Where an object's code has come to, and what it waits for, said in words for people.

It is all read off the code as it stands: what runs by its stack, what waits by following its
coroutines. So it costs nothing until somebody asks.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any, Final, NamedTuple

from runtime.namespace import Reply
from runtime.object import HANDLERS
from runtime.sections import SECTION, Outcome
from runtime.tasks import TASK, ObjectTask

_SLEEP: Final = asyncio.sleep.__code__
_OURS: Final = f"{Path(__file__).parent}/"
_LIBRARIES: Final = tuple(
    f"{sysconfig.get_path(name)}/" for name in ("stdlib", "purelib", "platlib")
)


class _Frame(NamedTuple):
    """Where one of a task's coroutines has come to."""

    code: CodeType
    line: int
    delay: float | None
    """For how long it sleeps, if it is `asyncio.sleep`."""

    @property
    def is_ours(self) -> bool:
        return self.code.co_filename.startswith(_OURS)


@lru_cache(maxsize=1024)
def is_own(file: str) -> bool:
    """Whether it is the object's own code, and not that of a library or of the runtime."""
    return not file.startswith((_OURS, *_LIBRARIES))


def place_of(code: CodeType, line: int) -> str:
    """Return a file and a line as people read them, from the current folder on."""
    return f"{_shortened(code.co_filename)}:{line}"


@lru_cache(maxsize=256)
def _shortened(file: str) -> Path:
    path, here = Path(file), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def running_at(task: ObjectTask) -> str | None:
    """Return where the object's own code is in a step that runs now; None if it isn't in any."""
    outermost = getattr(task.get_coro(), "cr_frame", None)
    frame = sys._getframe(1)
    while frame is not None and not is_own(frame.f_code.co_filename):
        if frame is outermost or frame.f_back is None:
            return None  # what comes before isn't this task's
        frame = frame.f_back
    return place_of(frame.f_code, frame.f_lineno)


def name_of(task: ObjectTask) -> str:
    """Return what a task is called, with the event that it goes back to."""
    name = task.get_name()
    if task.origin is None:
        return name_of_event(name)
    called = TASK if name == TASK else f"the task {name!r}"
    return f"{called} started by {name_of_event(task.origin)}"


def name_of_event(name: str) -> str:
    """Return what an event is called: a method by its name, with brackets."""
    is_method = name.isidentifier() and name not in HANDLERS
    return f"{name}()" if is_method else name


def reason(task: ObjectTask, holder: str) -> str:
    """Return what a task waits for, and where.

    Args:
        holder: What holds it back, if it is nothing but its gate.
    """
    frames = list(_frames(task.get_coro())) if task.has_started else []
    own = _innermost(frames)
    where = "" if own is None else f", at {place_of(own.code, own.line)}"
    if task.awaited is None:
        turn = "it goes on at once" if task.gate.is_open else f"{holder} holds it back"
        return turn + where
    return _awaited(task.awaited, frames, own) + where


def waiting_at(task: ObjectTask) -> str | None:
    """Return where the object's own code is in a task that has begun and waits."""
    own = _innermost(list(_frames(task.get_coro())))
    return None if own is None else place_of(own.code, own.line)


def _innermost(frames: list[_Frame]) -> _Frame | None:
    return next((frame for frame in reversed(frames) if is_own(frame.code.co_filename)), None)


def _awaited(awaited: asyncio.Future[Any], frames: list[_Frame], own: _Frame | None) -> str:
    if isinstance(awaited, Reply) and awaited.asked is not None:
        if isinstance(awaited.asked, str):
            return f"it waits for {awaited.asked}"
        stub, method = awaited.asked
        return f"it waits for an answer to {method}() from {stub!r}"
    if isinstance(awaited, Outcome):
        return f"it waits for {SECTION}"
    if isinstance(awaited, ObjectTask):
        return f"it waits for {name_of(awaited)}"
    if frames and frames[-1].delay is not None:
        return f"it waits for a timer, asyncio.sleep({frames[-1].delay})"
    called = (
        frames[frames.index(own) + 1 :] if own else [each for each in frames if not each.is_ours]
    )
    if called:
        return f"it waits in {called[0].code.co_qualname}()"
    return "it waits for something"


def _frames(coroutine: Any) -> Iterator[_Frame]:
    """Yield where a coroutine has come to, and those that it awaits, outermost first."""
    while True:
        if inspect.iscoroutine(coroutine):
            frame, inner = coroutine.cr_frame, coroutine.cr_await
        elif inspect.isgenerator(coroutine):
            frame, inner = coroutine.gi_frame, coroutine.gi_yieldfrom
        else:
            return
        if frame is None:
            return
        delay = frame.f_locals["delay"] if frame.f_code is _SLEEP else None
        yield _Frame(frame.f_code, frame.f_lineno, delay)
        coroutine = inner
