"""What becomes of a database's transactions, and who must wait to hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from runtime import wal
from runtime.errors import ObjectReset, SqlError
from runtime.gates import Lock, OutputGate
from runtime.histories import Histories, Span
from runtime.journal import Journal, MayComeBack
from runtime.records import Entry, Kind

_TOO_LATE: Final = (
    "Durable Object storage operation exceeded timeout which caused object to be reset."
)


class Commits(Protocol):
    """Whoever must know what becomes of a database's transactions."""

    def begun(self) -> None:
        """A transaction is about to write for the first time. May raise to refuse it."""

    def confirmed(self) -> None:
        """From now on it holds something that messages have to wait for."""

    def unconfirmed(self) -> None:
        """No more: that was rolled back, and the rest needn't be waited for."""

    def committed(self, wal_pages: int) -> None:
        """It is in the WAL, which is so long now: written, and not yet durable."""

    def wiped(self, wal_pages: int) -> None:
        """The same, outside of any transaction, and the database is empty now."""

    def undone(self) -> None:
        """It was rolled back: nothing of it remains."""

    def lost(self, error: SqlError) -> None:
        """SQLite rolled it back by itself, over a full disk for instance."""


class Nobody:
    """Nobody has to hear of a database's transactions: it is no live object's."""

    def begun(self) -> None: ...
    def confirmed(self) -> None: ...
    def unconfirmed(self) -> None: ...
    def committed(self, wal_pages: int) -> None: ...
    def wiped(self, wal_pages: int) -> None: ...
    def undone(self) -> None: ...
    def lost(self, error: SqlError) -> None: ...


class GatedCommits:
    """Brings a database's commits to the journal, and ties them to its object's output gate (I3).

    A transaction locks the gate when it makes its first confirmed write, and its lock is released
    when it has become durable, or has turned out to be nothing.

    Args:
        path: The database.
        histories: What gives each commit its time, and remembers it if this life can't.
        lost: Called with the reason when a commit is lost. The object must break.
        idle: Called when no commit waits for the disk any more, whether durable or lost.
    """

    def __init__(
        self,
        path: Path,
        journal: Journal,
        output: OutputGate,
        histories: Histories,
        *,
        lost: Callable[[Exception], object],
        idle: Callable[[], object],
    ) -> None:
        self._path = path
        self.name = f"{path.parent.name}/{path.name}"
        """Where the database is, as the journal calls it."""
        self._journal = journal
        self._output = output
        self._stamps = histories.stamps
        self._lost = lost
        self._idle = idle
        self.spans = histories.take_over(path)
        """What is in the WAL, and not yet in the database's file."""
        self.has_wiped = False
        """Whether the database was emptied in this life."""
        self._tail = wal.Tail(path)
        self._lock: Lock | None = None
        self._under_way = 0
        # What is to be called when the latest commit is durable.
        self._after_latest: list[Callable[[], object]] = []
        self._unsettled: list[Callable[[], object]] = []
        self._durable_end: int | None = None
        self._unread = 0  # commits that couldn't be read back, all of them the last ones
        self.count = 0
        """How many transactions have committed."""

    @property
    def are_idle(self) -> bool:
        """Whether none of them waits for the disk."""
        return not self._under_way

    @property
    def have_lost(self) -> bool:
        """Whether one was lost."""
        return self._durable_end is not None or bool(self._unread)

    def begun(self) -> None:
        self._lock = Lock(self._output)

    def confirmed(self) -> None:
        assert self._lock is not None, "a transaction that hasn't begun"
        self._output.hold(self._lock)

    def unconfirmed(self) -> None:
        self.undone()
        self.begun()

    def wiped(self, wal_pages: int) -> None:
        self.has_wiped = True
        self.begun()
        self.confirmed()
        self.committed(wal_pages, Kind.WIPED)

    def committed(self, wal_pages: int, kind: Kind = Kind.COMMIT) -> None:
        lock, self._lock = self._lock, None
        assert lock is not None, "a transaction that hasn't begun"
        self.count += 1
        if self._unread:
            self._unread += 1
            return
        try:
            frames = self._tail.read(wal_pages)
        except OSError as error:  # it is in the WAL, and won't be in the journal
            self._unread = 1
            # Soon, since SQLite may be calling; the lock keeps everything back until then.
            asyncio.get_running_loop().call_soon(self._lost, _reset(error))
            return
        if not frames.content:  # it has changed nothing
            lock.release()
            return
        stamp = self._stamps.next()
        self.spans.append(Span(stamp, kind, frames.end))
        entry = Entry(kind, self.name, frames.page_size, frames.content, stamp)
        self._under_way += 1
        self._after_latest = []
        done = partial(self._durable, lock, self._after_latest)
        self._journal.append(entry, done, partial(self._refused, frames.begin), self._is_late)

    def undone(self) -> None:
        lock, self._lock = self._lock, None
        assert lock is not None, "a transaction that hasn't begun"
        lock.release()

    def lost(self, error: SqlError) -> None:
        self._lock = None
        self._lost(error)

    def when_durable(self, callback: Callable[[], object]) -> None:
        """Call back once all commits so far are durable: now, if they are; never, if one is lost.

        Unlike a message at the output gate, it waits for unconfirmed ones too, and not for a
        transaction that is still open.
        """
        if self._under_way:
            self._after_latest.append(callback)
        elif not self.have_lost:
            callback()

    def when_settled(self, durable: Callable[[], object], lost: Callable[[], object]) -> None:
        """Call `durable` once all commits so far are; or `lost` in `give_up`, if that is first."""

        def settle() -> None:
            self._unsettled.remove(lost)
            durable()

        self._unsettled.append(lost)
        self.when_durable(settle)

    def give_up(self) -> None:
        """Tell those that wait in `when_settled`: nothing more becomes durable in this life."""
        while self._unsettled:
            self._unsettled.pop(0)()

    def close(self) -> None:
        """Let go of the WAL."""
        self._tail.close()

    def undo_lost(self) -> None:
        """Take what was lost off the WAL. Only when the database is closed, and these are idle."""
        if self._durable_end is None and self._unread:
            self._durable_end = wal.begin_of_last(self._unread, self._path)
        if (end := self._durable_end) is not None:
            self.spans = [span for span in self.spans if span.end <= end]
            wal.cut(self._path, end)

    def _durable(self, lock: Lock, after: Sequence[Callable[[], object]]) -> None:
        self._under_way -= 1
        lock.release()
        for callback in after:
            if not self._output.is_broken:
                callback()
        if not self._under_way:
            self._idle()

    def _is_late(self) -> None:
        # It may still become durable; the next life waits for that.
        self._lost(ObjectReset(_TOO_LATE))

    def _refused(self, begin: int, error: OSError) -> None:
        self._under_way -= 1
        if self._durable_end is None:  # the first one: those behind it are lost as well
            self._durable_end = begin
        self._lost(_reset(error))
        if not self._under_way:
            self._idle()


def _reset(error: OSError) -> ObjectReset:
    why = error.strerror or error  # without the file's name: this goes to clients
    is_gone = not isinstance(error, MayComeBack)
    what = "undone" if is_gone else "undone unless the process ends by accident now"
    reset = ObjectReset(f"the disk refused what this object wrote last, which is {what}: {why}")
    reset.retryable = is_gone
    return reset
