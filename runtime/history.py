"""An object's history: the way back from its database to what that was before.

For each commit it says how the pages differ from what they had been: one or two hundred bytes for
a page of an ordinary commit. Going back is applying the differences to the database, the newest
first, so it costs what has happened since. And since each database has a file of its own for it,
forgetting the past is deleting a file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from runtime.blocks import (
    HEAD_SIZE,
    Block,
    Damaged,
    FileHead,
    backwards,
    content_of,
    encode,
    newest_block,
    read_block,
)
from runtime.differences import Buffer, Commit, Pages, undo, way_back
from runtime.errors import StorageError
from runtime.records import Kind
from runtime.segments import sync_folder, write_all

SUFFIX: Final = ".history"
BLOCK_BYTES: Final = 8 * 1024 * 1024  # of differences that are packed together, and unpacked
SLACK: Final = 0.1  # of the time it is kept for: how much later than need be it is shortened
KEPT: Final = 0.75  # of the size it may have: what is left when it is shortened


log = logging.getLogger("runtime")


class Retention(NamedTuple):
    """How much history is kept: what is older than both allow may go."""

    microseconds: int
    """0 to keep none."""
    max_bytes: int


class Earlier(NamedTuple):
    """What a database was."""

    size: int
    """In pages."""
    page_size: int
    pages: dict[int, bytes]
    """Those that differ from what they are now, by their numbers."""


class History:
    """The history of one database. For threads: it waits for the disk.

    Invariants:
        - What the database's file has, the history has: it is added here first, durably, or else
          nobody would know any more what the pages were before.
        - Its commits are in the order of their stamps, each once.
    """

    def __init__(self, database: Path) -> None:
        self.path = database.with_suffix(SUFFIX)
        self._database = database

    def exists(self) -> bool:
        """Whether anything is known of the past."""
        try:
            return self.path.stat().st_size > 0  # else it was just being begun
        except FileNotFoundError:
            return False

    def reach(self) -> int | None:
        """Return the earliest stamp that it leads back to; None if there is no history."""
        if not self.exists():
            return None
        with _opened(self.path, os.O_RDONLY) as file:
            return FileHead.read(file, self.path).reach

    def add(
        self,
        page_size: int,
        commits: Sequence[Commit],
        retention: Retention,
        *,
        is_recovery: bool = False,
    ) -> None:
        """Take in commits, before the database's file does. Those that it has already are skipped.

        Args:
            commits: All that the file may not have yet, in order.
            is_recovery: Whether the file may have any of them, or parts, if this hasn't.

        Raises:
            OSError: If the disk refuses. Nothing was added.
        """
        known = self._last(commits)
        wiped = [commit.stamp for commit in commits if commit.kind is Kind.WIPED]
        if wiped and wiped[-1] > known:
            self.forget()
            known = wiped[-1]
            commits = [commit for commit in commits if commit.stamp >= known]
        if not retention.microseconds:
            self.forget()  # else it would have a gap
        elif commits and commits[-1].stamp > known:
            with Pages(self._database, page_size) as pages:
                reach = known
                if not known and pages.size <= 1:  # the first page alone is an empty database
                    reach = commits[0].stamp - 1
                elif not known:
                    reach = known = commits[-1 if is_recovery else 0].stamp
                blocks = b"".join(_blocks(pages, commits, known))
            self._append(FileHead(page_size, reach), blocks)
            self._shorten(commits[-1].stamp, retention)

    def forget(self) -> None:
        """Delete it, durably."""
        self._draft.unlink(missing_ok=True)
        if self.path.exists():
            self.path.unlink()
            sync_folder(self.path.parent)

    def restoration_after(self, stamp: int) -> int | None:
        """Return the stamp of the first commit after `stamp` that has restored the database."""
        found = None
        with _opened(self.path, os.O_RDONLY) as file:
            for block in backwards(file, self.path):
                if block.last <= stamp:
                    break
                if block.kind is Kind.RESTORED:
                    found = block.first
        return found

    def rewind(self, until: int) -> Earlier:
        """Return what the database was after all commits up to `until`.

        Only while its file has all that the history has.

        Raises:
            StorageError: If the history doesn't reach back so far, or doesn't fit the database.
        """
        if not self.exists():
            raise StorageError("there is no history any more")
        with _opened(self.path, os.O_RDONLY) as file:
            head = FileHead.read(file, self.path)
            if until < head.reach:
                raise StorageError("the history doesn't reach back so far any more")
            with Pages(self._database, head.page_size) as pages:
                for block in backwards(file, self.path):
                    if block.last <= until:
                        break
                    undo(content_of(file, block, self.path), pages, until)
                images = {
                    number: bytes(image)
                    for number, image in pages.changed.items()
                    if number <= pages.size
                }
                return Earlier(pages.size, head.page_size, images)

    @property
    def _draft(self) -> Path:
        return self.path.with_name(f"{self.path.name}.new")

    def _last(self, commits: Sequence[Commit]) -> int:
        """The stamp of the newest commit in it; 0 if there is none.

        Args:
            commits: Those that are to be added: what was torn off when they were added before is
                among them. What else can't be read is damage.
        """
        if not self.exists():
            return 0
        try:
            with _opened(self.path, os.O_RDWR) as file:
                head = FileHead.read(file, self.path)
                newest, torn = newest_block(file)
        except Damaged as damage:
            found = damage
        else:
            if torn is None or not commits or torn.last >= commits[0].stamp:
                return head.reach if newest is None else newest.last
            found = Damaged(self.path, torn.begin)
        log.warning("%s; it can't be used, and begins anew", found)
        self.forget()
        return 0

    def _append(self, head: FileHead, blocks: bytes) -> None:
        is_new = not self.exists()
        with _opened(self.path, os.O_RDWR | os.O_CREAT) as file:
            end = os.fstat(file).st_size
            try:
                write_all(file, blocks if end else head.encode() + blocks, end)
                os.fdatasync(file)
            except OSError:
                with suppress(OSError):  # else what is torn is cut off when more is added
                    os.ftruncate(file, end)
                raise
        if is_new:
            sync_folder(self.path.parent)

    def _shorten(self, now: int, retention: Retention) -> None:
        """Cut off the beginning if it is too long, or reaches back too far."""
        oldest, slack = now - retention.microseconds, int(SLACK * retention.microseconds)
        with _opened(self.path, os.O_RDONLY) as file:
            head, end = FileHead.read(file, self.path), os.fstat(file).st_size
            block: Block | None = read_block(file, HEAD_SIZE, end)
            is_too_old = block is not None and block.last < oldest - slack
            if not is_too_old and end <= retention.max_bytes:
                return
            most = end if is_too_old else int(KEPT * retention.max_bytes)
            begin, reach = HEAD_SIZE, head.reach
            while block is not None and (block.last < oldest or end - begin > most):
                begin, reach = block.end, block.last
                block = read_block(file, begin, end)
            rest = os.pread(file, end - begin, begin)
        content = head._replace(reach=reach).encode() + rest
        try:
            with _opened(self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as shorter:
                write_all(shorter, content, 0)
                os.fsync(shorter)
        except OSError as error:  # it stays as long as it is until there is room for that
            self._draft.unlink(missing_ok=True)
            log.warning("the history %s can't be shortened: %s", self.path.name, error)
            return
        self._draft.replace(self.path)
        sync_folder(self.path.parent)


def _blocks(pages: Pages, commits: Sequence[Commit], known: int) -> Iterator[bytes]:
    """Pack the way back from each of `commits`. Those up to `known` are in the history."""
    stamps: list[int] = []
    parts: list[Buffer] = []
    size = 0
    for commit in commits:
        if commit.stamp > known:
            is_restoration = commit.kind is Kind.RESTORED
            if stamps and (is_restoration or size > BLOCK_BYTES):
                yield encode(Kind.COMMIT, stamps, parts)
                stamps, parts, size = [], [], 0
            stamps.append(commit.stamp)
            added = way_back(pages, commit)
            parts += added
            size += sum(map(len, added))
            if is_restoration:
                yield encode(Kind.RESTORED, stamps, parts)
                stamps, parts, size = [], [], 0
        pages.put(commit)
    if stamps:
        yield encode(Kind.COMMIT, stamps, parts)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags, 0o600)
    try:
        yield file
    finally:
        os.close(file)
