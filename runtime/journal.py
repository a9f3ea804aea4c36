"""One log for a whole node: what all objects commit becomes durable here, together (I10).

While one sync runs, whatever is committed meanwhile gathers; the next sync is for all of that. So
a thousand objects that write at once share a sync, and the disk's speed bounds no single object.
The databases themselves are in no hurry: a segment of the journal is dropped once everything it
speaks of is durable in them as well.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, cast

from runtime.clock import Clock, Timer
from runtime.pins import unless_pinned
from runtime.records import Entry, Header, encode
from runtime.segments import (
    Index,
    erase,
    make_folder,
    path_of_segment,
    sync_folder,
    write_all,
)
from runtime.syncer import Syncer

MAX_RECORD_BYTES: Final = 8 * 1024 * 1024  # of what one sync makes durable
SEGMENTS: Final = 16  # more of them, and the databases in the oldest one are to be settled

STUCK_SECONDS: Final = 30.0  # for which the disk may leave everybody waiting, as in the original

Done = Callable[[], object]
Lost = Callable[[OSError], object]


class MayComeBack(OSError):
    """A refusal of what can't be taken back either: a crash might still make it durable."""


class _Waiting(NamedTuple):
    entry: Entry
    done: Done
    lost: Lost
    late: Done | None


@dataclass(slots=True)
class _Segment:
    number: int
    unsettled: set[str] = field(default_factory=set)
    """The databases that don't durably hold yet all that it says of them."""
    folders: set[str] = field(default_factory=set)
    """Where they are."""


class Journal:
    """The log of a running node. It begins empty: recovery has taken in the one before.

    Invariants:
        - At most one sync is under way: a record is written when the one before is durable.
        - Entries become durable in the order in which they came; if one is lost, so are those
          behind it.
        - A segment is there for as long as a database needs it, or a backup.

    Args:
        folder: Where its segments go.
        objects: The folder that entries' paths begin at.
        syncer: The threads that wait for the disk.
        clock: What tells that the disk is stuck.
        max_bytes: Of what waits to become durable; more than that, and it `is_full`.
        segment_bytes: After so much the next segment is begun.
        crowded: Called when there are so many segments that `surplus` databases should be settled.
    """

    def __init__(
        self,
        folder: Path,
        objects: Path,
        syncer: Syncer,
        *,
        clock: Clock,
        max_bytes: int,
        segment_bytes: int,
        crowded: Callable[[], object],
    ) -> None:
        self._syncer = syncer
        self._clock = clock
        self._watch: Timer | None = None
        self._crowded = crowded
        self._max_bytes = max_bytes
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._is_busy = False
        self._is_closed = False
        self.most_segments = SEGMENTS
        """How many there are before the databases in the oldest one are to be settled."""
        self._segments: deque[_Segment] = deque()
        self._writer = _Writer(folder, objects, segment_bytes)

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the disk that no more work should be taken on."""
        return self._bytes > self._max_bytes

    @property
    def is_filling(self) -> bool:
        """Whether it is half full: what can be put off should be."""
        return 2 * self._bytes > self._max_bytes

    @property
    def waiting_bytes(self) -> int:
        """How much waits to become durable."""
        return self._bytes

    @property
    def segments(self) -> int:
        """How many segments there are."""
        return len(self._segments)

    def append(self, entry: Entry, done: Done, lost: Lost, late: Done | None = None) -> None:
        """Make an entry durable.

        Args:
            done: Called when it is.
            lost: Called instead, with the reason, if the disk refuses.
            late: Called before that, if the disk has been stuck for 30 seconds. Perhaps more
                than once.
        """
        self._waiting.append(_Waiting(entry, done, lost, late))
        self._bytes += entry.size
        if not self._is_busy:
            self._start()

    @property
    def position(self) -> int:
        """The segment that the next entry goes to, or a later one."""
        return self._writer.number

    def settled(self, path: str, *, before: int | None = None) -> None:
        """Hear that a database durably holds what was appended for it.

        Args:
            before: Only what was appended to segments before this one; None for everything.
        """
        for segment in self._segments:
            if before is None or segment.number < before:
                segment.unsettled.discard(path)

    def surplus(self) -> Collection[str]:
        """Return the databases that are to be settled because there are too many segments."""
        # Those that only a pin keeps don't count.
        needed = list(itertools.dropwhile(lambda each: not each.unsettled, self._segments))
        return tuple(needed[0].unsettled) if len(needed) > self.most_segments else ()

    def erase_if_settled(self) -> None:
        """Delete it, with nothing under way, unless it is needed.

        Recovery needs it if a database isn't settled, a backup while it holds a pin.
        """
        with unless_pinned(self._writer.folder.parent) as may_delete:
            if may_delete and not any(segment.unsettled for segment in self._segments):
                self._writer.close()
                self._writer.sync_folders(_folders(self._segments))
                erase(self._writer.folder)

    def close(self) -> None:
        """End it. What waits is never heard of again."""
        self._is_closed = True
        if self._watch is not None:
            self._watch.cancel()
        self._waiting.clear()
        self._writer.close()

    def _start(self) -> None:
        self._is_busy = True
        batch, size = [self._waiting.popleft()], 0
        while self._waiting and size < MAX_RECORD_BYTES:
            batch.append(self._waiting.popleft())
            size += batch[-1].entry.size
        done_with = list(itertools.takewhile(lambda each: not each.unsettled, self._segments))
        kept = self._segments[len(done_with)].number if len(done_with) < len(self._segments) else 0
        entries = [waiting.entry for waiting in batch]
        write = partial(self._writer.write, entries, kept, _folders(done_with))
        self._look_after(batch)
        self._syncer.run(write, partial(self._finish, batch), is_urgent=True)

    def _look_after(self, batch: list[_Waiting]) -> None:
        self._watch = self._clock.call_later(STUCK_SECONDS, partial(self._is_stuck, batch))

    def _is_stuck(self, batch: list[_Waiting]) -> None:
        self._look_after(batch)  # again, for what is appended meanwhile
        _call_all([each.late for each in (*batch, *self._waiting) if each.late is not None])

    def _finish(self, batch: list[_Waiting], error: Exception | None) -> None:
        self._is_busy = False
        if self._is_closed:
            return
        assert self._watch is not None, "a sync was begun"
        self._watch.cancel()
        if error is None:
            self._file(batch)
        else:
            batch += self._waiting
            self._waiting.clear()
        self._bytes -= sum(waiting.entry.size for waiting in batch)
        if self._waiting:  # first, so that the disk has work while the objects go on
            self._start()
        refusal = error if error is None or isinstance(error, OSError) else OSError(str(error))
        _call_all([w.done if refusal is None else partial(w.lost, refusal) for w in batch])

    def _file(self, batch: list[_Waiting]) -> None:
        writer = self._writer
        is_new = not self._segments or self._segments[-1].number != writer.number
        if is_new:
            self._segments.append(_Segment(writer.number))
        while self._segments[0].number < writer.oldest:
            self._segments.popleft()
        segment = self._segments[-1]
        for waiting in batch:
            segment.unsettled.add(waiting.entry.path)
            segment.folders.add(os.path.dirname(waiting.entry.path))
        if is_new and len(self._segments) > self.most_segments:
            self._crowded()


class _Writer:
    """The files of a journal, on the thread that waits for them: one call at a time."""

    def __init__(self, folder: Path, objects: Path, segment_bytes: int) -> None:
        self.folder = folder
        self.number = 0
        """Of the segment that is being written."""
        self.oldest = 1
        """Of those that are left."""
        self._objects = objects
        self._segment_bytes = segment_bytes
        self._descriptor: int | None = None
        self._is_indexed = False  # whether it is durable that the file is there
        self._size = 0
        self._sequence = 1

    def write(self, entries: Sequence[Entry], kept: int, folders: Collection[str]) -> None:
        """Make a record of `entries`, and make it durable.

        Args:
            kept: The oldest segment that a database needs; 0 if none does.
            folders: Where the databases are that the segments before it speak of.
        """
        if self._descriptor is None or self._size >= self._segment_bytes:
            self.sync_folders(folders)
            self._begin_segment()
        if not self._is_indexed:
            self._write_index(kept)
        assert self._descriptor is not None, "a segment has been begun"
        record = encode(self._sequence, entries)
        is_whole = False
        try:
            write_all(self._descriptor, record, self._size)
            is_whole = True
            os.fdatasync(self._descriptor)
        except OSError as error:
            if not self._give_up_segment() and is_whole:
                raise MayComeBack(*error.args) from error
            raise
        self._size += len(record)
        self._sequence += 1

    def sync_folders(self, folders: Collection[str]) -> None:
        """Make it durable that the files in these folders exist."""
        for folder in folders:
            sync_folder(self._objects / folder)
        sync_folder(self._objects)  # which the folders themselves are in

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _begin_segment(self) -> None:
        if not self.number:
            make_folder(self.folder)
        number = self.number + 1
        header = Header(number, self._sequence, previous_end=self._size).encode()
        path = path_of_segment(self.folder, number)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            write_all(descriptor, header, 0)
            os.fsync(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        self.close()
        # From here on its number is taken: the index may name it even if writing that fails.
        self._descriptor, self._size, self.number = descriptor, len(header), number
        self._is_indexed = False

    def _write_index(self, kept: int) -> None:
        """Make it durable that the segment is there, before anything in it counts."""
        with unless_pinned(self.folder.parent) as may_delete:
            oldest = (kept or self.number) if may_delete else self.oldest
            Index(oldest, self.number).write(self.folder)
            self._is_indexed = True
            while self.oldest < oldest:
                path_of_segment(self.folder, self.oldest).unlink(missing_ok=True)
                self.oldest += 1

    def _give_up_segment(self) -> bool:
        # The next segment will say where this one ends. Until then a crash might bring back what
        # was given up here, so it is cut off, durably, if the disk allows that.
        descriptor = cast(int, self._descriptor)
        try:
            os.ftruncate(descriptor, self._size)
            os.fsync(descriptor)
        except OSError:
            return False
        finally:
            self.close()
        return True


def _call_all(calls: Sequence[Done]) -> None:
    for number, call in enumerate(calls):
        try:
            call()
        except BaseException:  # it is raised, but the others hear of it too
            _call_all(calls[number + 1 :])
            raise


def _folders(segments: Iterable[_Segment]) -> frozenset[str]:
    return frozenset().union(*(segment.folders for segment in segments))
