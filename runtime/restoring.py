"""Bringing an object's database back to what it was: point-in-time recovery.

What it was then becomes one more commit: it goes to the journal and into the history as any other
does, so a crash can't leave it half done, and it can itself be undone.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from runtime import wal
from runtime.clock import Clock
from runtime.commits import Nobody
from runtime.differences import Commit, write
from runtime.errors import StorageError
from runtime.histories import Histories
from runtime.history import History, Retention
from runtime.journal import Journal
from runtime.metadata import Metadata
from runtime.records import Entry, Kind
from runtime.sql import Database
from runtime.syncer import Syncer

RETRY_SECONDS: Final = 1.0  # after which a disk that refused is asked again
_DRAFT: Final = ".restoring"
_CHUNK: Final = 256  # pages that are compared at once


class Restoration(NamedTuple):
    """The commit that makes a database what it has been before."""

    page_size: int
    frames: bytes


class Restorer:
    """Restores one database, on threads, while its object is held back."""

    def __init__(
        self,
        database: Path,
        name: str,
        journal: Journal,
        syncer: Syncer,
        histories: Histories,
        clock: Clock,
    ) -> None:
        """Args:
        name: Where the database is, as the journal calls it.
        """
        self.is_busy = False
        self._database = database
        self._name = name
        self._journal = journal
        self._syncer = syncer
        self._histories = histories
        self._clock = clock
        self._has_given_up = False
        self._retry: asyncio.Future[None] | None = None

    async def restore(self, until: int, hex: str, name: str | None) -> None:
        """Make the database, which is closed, what it was after all commits up to `until`.

        Args:
            hex: The object's id.
            name: The object's name.

        Raises:
            StorageError: If that isn't possible. Nothing was changed.
            OSError: If the disk refuses. Nothing was changed.
        """
        restoration = await self._syncer.result_of(
            partial(prepare, self._database, until, hex, name)
        )
        stamp = self._histories.stamps.next()
        page_size, frames = restoration
        await self._journalled(Entry(Kind.RESTORED, self._name, page_size, frames, stamp))
        retention = self._histories.retention
        while not self._has_given_up:  # or a start will do it: there is no way back any more
            try:
                await self._syncer.result_of(
                    lambda: carry_out(self._database, restoration, stamp, retention)
                )
            except OSError:
                self._retry = asyncio.get_running_loop().create_future()
                self._clock.call_later(RETRY_SECONDS, self._try_again)
                await self._retry
            else:
                return

    def give_up(self) -> None:
        """Don't wait for a disk that refuses."""
        self._has_given_up = True
        self._try_again()

    def _try_again(self) -> None:
        if self._retry is not None and not self._retry.done():
            self._retry.set_result(None)

    async def _journalled(self, entry: Entry) -> None:
        durable = asyncio.get_running_loop().create_future()
        self._journal.append(entry, partial(durable.set_result, None), durable.set_exception)
        await durable


def prepare(database: Path, until: int, hex: str, name: str | None) -> Restoration:
    """Return what makes a database what it was after all commits up to `until`.

    Only while nobody has it open, and its file has all that its history has. Nothing of it is
    changed.

    Raises:
        StorageError: If the history doesn't reach back so far, or what it leads to is damaged.
    """
    draft = database.with_suffix(_DRAFT)
    try:
        earlier = History(database).rewind(until)
        shutil.copyfile(database, draft)
        write(draft, earlier.page_size, earlier.pages, earlier.size)
        _mend(draft, hex, name)
        size = draft.stat().st_size // earlier.page_size
        images = dict(_differing(draft, database, earlier.page_size))
        return Restoration(earlier.page_size, wal.frames(images, size))
    finally:
        draft.unlink(missing_ok=True)
        wal.path_of(draft).unlink(missing_ok=True)


def carry_out(database: Path, restoration: Restoration, stamp: int, retention: Retention) -> None:
    """Do it, durably. Only when it is durable in the journal."""
    commit = Commit.of(stamp, Kind.RESTORED, restoration.frames, restoration.page_size)
    History(database).add(restoration.page_size, [commit], retention)
    write(database, restoration.page_size, commit.pages, commit.size)


def _mend(draft: Path, hex: str, name: str | None) -> None:
    """Take the request to restore it off what was restored, and see whether it is whole."""
    database = Database(draft, Nobody())
    try:
        metadata = Metadata(database)
        metadata.keep(hex, name)
        metadata.cancel_restoration()
        database.commit()
        if database.run("PRAGMA quick_check") != [("ok",)]:
            raise StorageError("what its history leads back to is damaged")
    finally:
        database.close(checkpoint=True)


def _differing(one: Path, other: Path, page_size: int) -> Iterator[tuple[int, bytes]]:
    """Return the pages of a file that another doesn't have so, with their numbers."""
    with one.open("rb") as file, other.open("rb") as compared:
        number = 1
        while pages := file.read(_CHUNK * page_size):
            others = compared.read(len(pages))
            for begin in range(0, len(pages), page_size) if pages != others else ():
                page = pages[begin : begin + page_size]
                if page != others[begin : begin + page_size]:
                    yield number + begin // page_size, page
            number += _CHUNK
