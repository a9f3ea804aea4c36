"""Why an object stays in memory, said in sentences for people.

It is all read off the object as it stands: what its tasks wait for is found by following their
coroutines. So it costs nothing until somebody asks.

The original lets go of an object whose timer, call or `wait_until` has been pending for 15 minutes.
Here it stays for as long as it has work: to drop that half done would be noticed (I6).
"""

from __future__ import annotations

import asyncio
import inspect
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any, Final, NamedTuple

from runtime.activation import Activation
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

    @property
    def is_own(self) -> bool:
        """Whether it is the object's own code, and not that of a library."""
        return not (self.is_ours or self.code.co_filename.startswith(_LIBRARIES))

    @property
    def place(self) -> str:
        return f"{_shortened(self.code.co_filename)}:{self.line}"


@lru_cache(maxsize=256)
def _shortened(file: str) -> Path:
    path, here = Path(file), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def causes(life: Activation, idle_seconds: float) -> list[str]:
    """Return what keeps an object in memory: a sentence for each cause, and never none.

    Of an object that nothing keeps it says when it leaves, after `idle_seconds` without work.
    """
    now = life.clock.time()
    if life.failure is not None:
        return [f"it was reset, and waits for the disk to let go of its database: {life.failure}"]
    if life.is_quiet:
        idle = now - life.quiet_since
        return [f"idle for {_span(idle)}; it leaves memory in {_span(idle_seconds - idle)}"]
    return [*_of_tasks(life, now), *_of_disk(life)]


def _of_tasks(life: Activation, now: float) -> Iterator[str]:
    holder = _holder(life)
    alike: dict[tuple[str, str, str], list[float]] = {}
    for task in life.tasks:
        does = "running" if task.has_started else "waiting to begin"
        what = (_name(task), does, _reason(task, holder))
        alike.setdefault(what, []).append(now if task.since is None else task.since)
    for (name, does, reason), since in sorted(alike.items(), key=lambda one: (min(one[1]), one[0])):
        span = _span(now - min(since))
        if (times := len(since)) == 1:
            yield f"{name} has been {does} for {span}: {reason}"
        else:
            yield f"{name} has been {does} {times} times, for up to {span}: {reason}"


def _name(task: ObjectTask) -> str:
    name = task.get_name()
    if task.origin is None:
        return _event(name)
    return f"{TASK if name == TASK else f'the task {name!r}'} started by {_event(task.origin)}"


def _event(name: str) -> str:
    is_method = name.isidentifier() and name not in HANDLERS
    return f"{name}()" if is_method else name


def _reason(task: ObjectTask, holder: str) -> str:
    frames = list(_frames(task.get_coro())) if task.has_started else []
    own = next((frame for frame in reversed(frames) if frame.is_own), None)
    where = "" if own is None else f", at {own.place}"
    if task.awaited is None:
        turn = "it goes on at once" if task.gate.is_open else f"{holder} holds it back"
        return turn + where
    return _awaited(task.awaited, frames, own) + where


def _holder(life: Activation) -> str:
    """Return what holds tasks back, if the gate is shut."""
    if any(task.get_name() == SECTION for task in life.tasks):
        return SECTION
    return "a checkpoint" if life.disk.is_to_checkpoint else "the way back to an earlier moment"


def _awaited(awaited: asyncio.Future[Any], frames: list[_Frame], own: _Frame | None) -> str:
    if isinstance(awaited, Reply) and awaited.asked is not None:
        if isinstance(awaited.asked, str):
            return f"it waits for {awaited.asked}"
        stub, method = awaited.asked
        return f"it waits for an answer to {method}() from {stub!r}"
    if isinstance(awaited, Outcome):
        return f"it waits for {SECTION}"
    if isinstance(awaited, ObjectTask):
        return f"it waits for {_name(awaited)}"
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


def _of_disk(life: Activation) -> Iterator[str]:
    disk = life.disk
    if disk.is_unfinished():
        yield "a transaction is open"
    elif life.instance is None and disk.is_busy:
        yield "it is being brought back to an earlier moment"
    elif not life.output.is_open or (disk.is_busy and not disk.is_to_checkpoint):
        yield "what it has written waits for the disk"
    if disk.is_to_checkpoint:
        yield "a checkpoint is under way, or waits for its turn"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{max(seconds, 0.0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
