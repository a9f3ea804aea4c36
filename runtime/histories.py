"""What the histories of all objects of a node share, and how commits come into them."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from runtime import wal
from runtime.differences import Commit
from runtime.history import History, Retention
from runtime.records import Kind
from runtime.stamps import Stamps


class Span(NamedTuple):
    """A commit in a database's write-ahead log."""

    stamp: int
    kind: Kind
    end: int
    """Where it ends in the log, in bytes. It begins where the one before ends."""


class Histories:
    """Brings commits from objects' write-ahead logs into their histories.

    Args:
        stamps: Gives each commit its time.
        retention: How much of the past is kept.
    """

    def __init__(self, stamps: Stamps, retention: Retention) -> None:
        self.stamps = stamps
        self.retention = retention
        # Of objects that have no life now, and a log that wasn't brought into their databases.
        self._left: dict[Path, list[Span]] = {}

    def take_over(self, database: Path) -> list[Span]:
        """Return what a former life has left in a database's log."""
        return self._left.pop(database, [])

    def leave(self, database: Path, spans: list[Span]) -> None:
        """Leave to the next life what is in a database's log."""
        if spans:
            self._left[database] = spans
        else:
            self._left.pop(database, None)

    def keep(self, database: Path, spans: Sequence[Span]) -> None:
        """Take in a log, before it is brought into its database. On a thread.

        Raises:
            OSError: If the disk refuses. Nothing was added.
        """
        if not spans:
            return
        with wal.path_of(database).open("rb") as file:
            # Its pages are looked at in place, and let go of when the last one is.
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        page_size, begin = wal.page_size(content), wal.HEADER_SIZE
        commits = []
        for span in spans:
            frames = content[begin : span.end]
            commits.append(Commit.of(span.stamp, span.kind, frames, page_size))
            assert commits[-1].size, "a span ends with a commit"
            begin = span.end
        History(database).add(page_size, commits, self.retention)
