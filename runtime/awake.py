"""Why an object stays in memory, said in sentences for people.

It is all read off the object as it stands, so it costs nothing until somebody asks.

The original lets go of an object whose timer, call or `wait_until` has been pending for 15 minutes.
Here it stays for as long as it has work: to drop that half done would be noticed (I6).
"""

from __future__ import annotations

from collections.abc import Iterator

from runtime.activation import Activation
from runtime.sections import SECTION
from runtime.waits import name_of, reason


def causes(life: Activation, idle_seconds: float) -> list[str]:
    """Return what keeps an object in memory: a sentence for each cause, and never none.

    Of an object that nothing keeps it says when it leaves, after `idle_seconds` without work.
    """
    now = life.clock.time()
    if life.failure is not None:
        return [f"it was reset, and waits for the disk to let go of its database: {life.failure}"]
    if life.is_quiet and not life.lent:
        idle = now - life.quiet_since
        return [f"idle for {_span(idle)}; it leaves memory in {_span(idle_seconds - idle)}"]
    return [*_of_tasks(life, now), *_of_disk(life), *_of_references(life)]


def _of_tasks(life: Activation, now: float) -> Iterator[str]:
    holder = _holder(life)
    alike: dict[tuple[str, str, str], list[float]] = {}
    for task in life.tasks:
        does = "running" if task.has_started else "waiting to begin"
        what = (name_of(task), does, reason(task, holder))
        alike.setdefault(what, []).append(now if task.since is None else task.since)
    for (name, does, why), since in sorted(alike.items(), key=lambda one: (min(one[1]), one[0])):
        span = _span(now - min(since))
        if (times := len(since)) == 1:
            yield f"{name} has been {does} for {span}: {why}"
        else:
            yield f"{name} has been {does} {times} times, for up to {span}: {why}"


def _holder(life: Activation) -> str:
    """Return what holds tasks back, if the gate is shut."""
    if any(task.get_name() == SECTION for task in life.tasks):
        return SECTION
    return "a checkpoint" if life.disk.is_to_checkpoint else "the way back to an earlier moment"


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


def _of_references(life: Activation) -> Iterator[str]:
    if count := len(life.lent):
        what = "a reference" if count == 1 else f"{count} references"
        yield f"somebody holds {what} to functions or targets of its"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{max(seconds, 0.0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
