"""What an object has on disk: its database, and how that gets there and becomes known."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from runtime import wal
from runtime.alarms import AlarmTable
from runtime.bookmarks import Bookmarks
from runtime.checkpoints import Checkpoints
from runtime.clock import Clock
from runtime.commits import GatedCommits
from runtime.errors import SqlError, StorageError
from runtime.gates import InputGate, OutputGate
from runtime.histories import Histories
from runtime.history import History
from runtime.ids import ObjectId
from runtime.journal import Journal
from runtime.metadata import Metadata
from runtime.restoring import Restorer
from runtime.sql import Database
from runtime.syncer import Syncer
from runtime.tables import is_empty

FROM_BACKUP: Final = (
    "Stop the server, and copy the .sqlite and the .history of this object from a backup"
)

log = logging.getLogger("runtime")

Alarms = dict[str | None, float]
"""When the unnamed one, if it is set, and each named one is due."""


class Keeper(Protocol):
    """The object's activation."""

    id: ObjectId

    @property
    def clock(self) -> Clock:
        """What waiting goes by."""

    def break_off(self, error: BaseException) -> None:
        """A commit was lost: drop the object."""

    def freed(self) -> None:
        """The disk is done with the database."""

    def settled(self, before: int) -> None:
        """The database holds all that was written to segments of the journal `before`."""

    def alarms_set(self, alarms: Alarms) -> None:
        """Alarms were set or unset, which may not be durable yet."""

    def stored(self, alarms: Alarms) -> None:
        """The object has storage, durably, and these alarms."""


class Persistence:
    """One object's database in one life.

    Invariants:
        - What a step has written is committed when it ends, in one transaction (I4).
        - What a later life finds is durable: the database is closed once nothing of it waits for
          the disk, and what the disk has refused is taken away (I3).
    """

    def __init__(
        self,
        keeper: Keeper,
        path: Path,
        journal: Journal,
        syncer: Syncer,
        gates: tuple[InputGate, OutputGate],
        histories: Histories,
        *,
        vfs: str | None,
    ) -> None:
        gate, self._output = gates
        self._keeper = keeper
        self._journal = journal
        self._syncer = syncer
        self._histories = histories
        self._history = History(path)
        self._is_new = not path.exists() or not path.stat().st_size
        self._inode: int | None = None  # of the database's file, once it is known
        self.commits = GatedCommits(
            path, journal, self._output, histories, lost=keeper.break_off, idle=keeper.freed
        )
        self.database = Database(path, self.commits, vfs=vfs)
        self.database.refused = syncer.failed
        self.alarms = AlarmTable(self.database)
        self.metadata = Metadata(self.database)
        self._checkpoints = Checkpoints(
            self.database,
            self._checkpoint,
            syncer,
            gate,
            self.commits.when_durable,
            self._checkpointed,
        )
        self._restorer = Restorer(path, self.commits.name, journal, syncer, histories, keeper.clock)
        self._is_on_record = False
        self._untold: Alarms | None = None
        self._position = 0

    @property
    def commit_count(self) -> int:
        """How many transactions have been committed in this life."""
        return self.commits.count

    @property
    def is_busy(self) -> bool:
        """Whether the disk has something to do for it."""
        at_work = self._checkpoints.is_running or self._restorer.is_busy
        return at_work or not self.commits.are_idle

    @property
    def is_to_checkpoint(self) -> bool:
        """Whether a checkpoint is under way, or waits for its turn."""
        return self._checkpoints.is_wanted

    def has_become_empty(self) -> bool:
        """Whether it was written to in this life, and nothing is stored, nor was since it began.

        What was deleted row by row isn't nothing: somebody may want it back.
        """
        if not self.commits.count or self.database.had_rows or self.database.has_own_schema:
            return False
        has_past = not self.commits.has_wiped and self._history.exists()
        return not has_past and is_empty(self.database)

    def recall(self) -> str | None:
        """Return the object's name, if it is known.

        Raises:
            StorageError: If the database is gone, or another's.
        """
        if self._is_new and not self.database.is_open and self._history.exists():
            raise StorageError(
                f"{self.commits.name} is missing or empty: somebody has deleted it, or moved it "
                f"away. {FROM_BACKUP}; or delete its history as well, to begin anew"
            )
        name = self.metadata.recall(self._keeper.id.hex)
        self._inode = None if self._is_new else self.database.path.stat().st_ino
        return name

    def is_unfinished(self) -> bool:
        """Whether an explicit transaction is open that messages have to wait for."""
        return self.database.in_transaction and self.database.is_confirmed

    def when_durable(self, callback: Callable[[], object]) -> None:
        """Call back once all commits so far are durable, and never if one is lost."""
        self.commits.when_durable(callback)

    def when_settled(self, durable: Callable[[], object], lost: Callable[[], object]) -> None:
        """Call `durable` once all commits so far are, or `lost` when a broken life ends."""
        self.commits.when_settled(durable, lost)

    def commit(self) -> None:
        """Commit what was written, unless an explicit transaction is open. Breaks if that fails."""
        if self.database.is_writing and not self.database.in_transaction:
            self._commit()

    def end_step(self) -> None:
        """Commit what a step has written, and make known what the node has to know."""
        self.commit()  # I4
        self.database.running_since = None
        if self.database.in_transaction:
            return  # it may be undone, alarms and all
        is_untold = bool(self.commits.count) and not self._is_on_record
        if not (self.alarms.changed or is_untold or self.metadata.lacks_schema(self.database)):
            return
        if self.commits.count:
            self._commit()  # the notes, of an object that has written in transactions only
        if self.database.is_open:
            self._is_on_record = True
            self.tell_alarms()

    def tell_alarms(self) -> None:
        """Say which alarms are set: at once what is written, and once it is durable."""
        alarms, self.alarms.changed = self.alarms.due(), False
        self._untold = alarms
        self._keeper.alarms_set(alarms)
        self.when_durable(partial(self._tell, alarms))

    def tell_rest(self) -> bool:
        """Say what was held back when the object broke, with all commits durable or lost.

        Returns:
            Whether the node now knows all alarms; else the next life has to be asked.
        """
        self.commits.give_up()
        if self.commits.have_lost or self.alarms.changed:
            return False
        if self._untold is not None:
            self._keeper.stored(self._untold)
        return True

    def _tell(self, alarms: Alarms) -> None:
        if self._untold is alarms:
            self._untold = None
        self._keeper.stored(alarms)

    def keep_notes(self) -> None:
        """Write whose database it is, and the like, with whatever else is being written."""
        owner = self._keeper.id
        lacks_id = self.metadata.lacks_id(owner.name)
        lacks_schema = self.metadata.lacks_schema(self.database)
        if not (lacks_id or lacks_schema):
            return
        with self.database.unconfirmed():  # the rest says whether it is to be waited for
            if lacks_id:
                self.metadata.keep(owner.hex, owner.name)
            if lacks_schema:
                self.metadata.note_own_schema()

    def give_up_alarms(self, why: str) -> None:
        """Undo what isn't committed, and have no alarm tried again that is being run."""
        self.database.rollback()
        self.alarms.give_up(why)
        self._commit()

    def checkpoint_if_due(self) -> None:
        """Shorten the WAL, if it is long."""
        self._checkpoints.start_if_due()

    def hasten_checkpoint(self) -> None:
        """Shorten the WAL when this step has ended."""
        self._checkpoints.hasten()

    def checkpoint(self) -> None:
        """Bring all that is in the WAL into the database, so that the journal may forget it."""
        self._position = self._journal.position
        self._checkpoints.start()

    def hand_over(self) -> None:
        """Let go of it with nothing lost. `close` or `remove` is to follow."""
        self.commits.close()

    def close(self) -> None:
        """Bring everything into the database's file, and close it. On any thread.

        Raises:
            OSError: If the disk refuses. It is closed, and the next life goes on with the WAL.
            SqlError: The same.
        """
        path, was_open = self.database.path, self.database.is_open
        is_kept = False
        try:
            self._keep_history()
            is_kept = True
        finally:
            self.database.close(checkpoint=is_kept)
            if was_open and wal.path_of(path).exists():
                self._histories.leave(path, self.commits.spans)
                is_kept = False
        if not is_kept:
            raise OSError(f"{path.name} hasn't taken in all of its log")
        self.commits.spans = []

    def remove(self) -> None:
        """Delete the database, and its history. On any thread; only when the journal says so."""
        self.database.close(checkpoint=False)
        self._history.forget()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.database.path}{suffix}").unlink(missing_ok=True)

    def abandon(self) -> None:
        """Close the database as it is."""
        self._checkpoints.stop()
        self.database.close(checkpoint=False)
        self.commits.close()
        self._histories.leave(self.database.path, self.commits.spans)

    def undo_lost(self) -> None:
        """Take away what the disk has refused. Only after `abandon`, and while it isn't busy."""
        self.commits.undo_lost()
        self._histories.leave(self.database.path, self.commits.spans)

    def bookmarks(self) -> Bookmarks:
        """Return the moments that the object can go back to."""
        return Bookmarks(
            self._keeper.id.hex,
            self._history,
            self._histories,
            self.commits,
            self.metadata,
            is_new=self._is_new,
        )

    def expect_restore(self) -> None:
        """Keep the database for `restore`, which is going to be called in a later turn."""
        self._restorer.is_busy = True

    async def restore(self) -> None:
        """Make the database what it was, as the object has asked for, and give up if it can't be.

        Raises:
            OSError: If the disk refuses. Nothing was changed.
        """
        until, owner = self.metadata.restore_to, self._keeper.id
        assert until is not None, "nobody has asked for that"
        try:
            await self._syncer.result_of(self.close)
            self.commits.close()
            await self._restorer.restore(until, owner.hex, owner.name)
            self.alarms.changed = True
        except StorageError as error:
            if error.retryable:
                raise
            log.exception("%s can't be restored, and stays as it is", self.commits.name)
            self.metadata.cancel_restoration()
        finally:
            self._restorer.is_busy = False

    def give_up(self) -> None:
        """Restore it in the next life, if that is what keeps it busy."""
        self._restorer.give_up()

    def _checkpoint(self) -> None:
        """Bring the WAL into the history, and then into the database's file. On a thread."""
        self._keep_history()
        self.database.checkpoint()

    def _keep_history(self) -> None:
        path = self.database.path
        found = path.stat().st_ino if path.exists() else None
        if self.database.is_open and found != (self._inode or found):
            raise StorageError(f"{path.name} was deleted or replaced while it was in use")
        self._inode = found
        self._histories.keep(path, self.commits.spans)

    def _commit(self) -> None:
        try:
            self.keep_notes()
            self.database.commit()
        except SqlError as error:
            self._keeper.break_off(error)

    def _checkpointed(self, has_worked: bool) -> None:
        if has_worked:
            self.commits.spans = []
            self._keeper.settled(self._position)
        self._keeper.freed()
