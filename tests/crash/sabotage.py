"""Ways to break the runtime that ``kill -9`` must bring to light."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from runtime import recovery
from runtime.catalog import Catalog
from runtime.gates import OutputGate
from runtime.journal import Journal, _Writer


def _slow_down() -> None:
    """Have more wait for the disk, so that a lie comes out sooner."""
    write = _Writer.write

    def slow(self: _Writer, entries: Any, kept: int, folders: Any) -> None:
        time.sleep(0.01)
        write(self, entries, kept, folders)

    _Writer.write = slow  # type: ignore[method-assign]


def answer_before_writing() -> None:
    """Call a commit durable while it still waits for the journal."""
    _slow_down()
    append = Journal.append

    def early(self: Journal, entry: Any, done: Callable[[], object], *others: Any) -> None:
        done()
        append(self, entry, lambda: None, *others)

    Journal.append = early  # type: ignore[assignment, method-assign]


def never_lock() -> None:
    """Let everything out at once."""
    _slow_down()

    def send(self: OutputGate, message: Callable[[], object]) -> None:
        message()

    OutputGate.send = send  # type: ignore[method-assign]
    OutputGate.is_open = True  # type: ignore[assignment, method-assign]


def forget_the_journal() -> None:
    """Drop the write-ahead logs after a crash, and bring nothing back."""
    recovery._entries = lambda folder: []


def replay_backwards() -> None:
    """Let the oldest of all that the journal says of a page win."""
    entries = recovery._entries
    recovery._entries = lambda folder: entries(folder)[::-1]


def drop_segments_early() -> None:
    """Delete segments that databases still need."""
    write = _Writer.write

    def careless(self: _Writer, entries: Any, kept: int, folders: Any) -> None:
        write(self, entries, 0, folders)

    _Writer.write = careless  # type: ignore[method-assign]


def forget_alarms() -> None:
    """Don't tell the catalog of alarms."""
    note = Catalog.note

    def forgetful(self: Catalog, key: Any, name: Any, alarms: Any) -> None:
        note(self, key, name, {})

    Catalog.note = forgetful  # type: ignore[method-assign]


LIES: Final = {
    lie.__name__: lie
    for lie in (
        answer_before_writing,
        never_lock,
        forget_the_journal,
        replay_backwards,
        drop_segments_early,
        forget_alarms,
    )
}
