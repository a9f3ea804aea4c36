"""What an object has on disk: its database, and how that gets there and becomes known."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from runtime import wal
from runtime.alarms import AlarmTable
from runtime.checkpoints import Checkpoints
from runtime.commits import GatedCommits
from runtime.errors import SqlError
from runtime.gates import InputGate, OutputGate
from runtime.ids import ObjectId
from runtime.journal import Journal
from runtime.schema import ObjectName
from runtime.sql import Database
from runtime.syncer import Syncer
from runtime.tables import is_empty

Alarms = dict[str | None, float]
"""When the unnamed one, if it is set, and each named one is due."""


class Keeper(Protocol):
    """The object's activation."""

    id: ObjectId

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
        *,
        vfs: str | None,
    ) -> None:
        gate, self._output = gates
        self._keeper = keeper
        self._journal = journal
        self._commits = GatedCommits(
            path, journal, self._output, lost=keeper.break_off, idle=keeper.freed
        )
        self.database = Database(path, self._commits, vfs=vfs)
        self.database.refused = syncer.failed
        self.alarms = AlarmTable(self.database)
        self.name = ObjectName(self.database)
        self._checkpoints = Checkpoints(
            self.database, syncer, gate, self._commits.when_durable, self._checkpointed
        )
        self._is_on_record = False
        self._untold: Alarms | None = None
        self._position = 0

    @property
    def commit_count(self) -> int:
        """How many transactions have been committed in this life."""
        return self._commits.count

    @property
    def is_busy(self) -> bool:
        """Whether the disk has something to do for it."""
        return self._checkpoints.is_running or not self._commits.are_idle

    def has_become_empty(self) -> bool:
        """Whether it was written to in this life, and holds nothing any more, or still."""
        return bool(self._commits.count) and is_empty(self.database)

    def is_unfinished(self) -> bool:
        """Whether an explicit transaction is open that messages have to wait for."""
        return self.database.in_transaction and self.database.is_confirmed

    def when_durable(self, callback: Callable[[], object]) -> None:
        """Call back once all commits so far are durable, and never if one is lost."""
        self._commits.when_durable(callback)

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
        if not (self.alarms.changed or (self._commits.count and not self._is_on_record)):
            return
        if self._commits.count:
            self._commit()  # the name, of an object that has written in transactions only
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
        if self._commits.have_lost or self.alarms.changed:
            return False
        if self._untold is not None:
            self._keeper.stored(self._untold)
        return True

    def _tell(self, alarms: Alarms) -> None:
        if self._untold is alarms:
            self._untold = None
        self._keeper.stored(alarms)

    def keep_name(self) -> None:
        """Write the object's name with whatever else is being written."""
        if self._keeper.id.name is not None and not self.name.is_kept:
            with self.database.unconfirmed():  # the rest says whether it is to be waited for
                self.name.keep(self._keeper.id.name)

    def checkpoint_if_due(self) -> None:
        """Shorten the WAL, if it is long."""
        self._checkpoints.start_if_due()

    def checkpoint(self) -> None:
        """Bring all that is in the WAL into the database, so that the journal may forget it."""
        self._position = self._journal.position
        self._checkpoints.start()

    def hand_over(self) -> Callable[..., None]:
        """End it with nothing lost. What is left to do, on any thread, is `Database.close`.

        What is returned raises an OSError if not everything has come into the database's file:
        the next life goes on with the WAL.
        """
        self._commits.close()
        return self._close

    def abandon(self) -> None:
        """Close the database as it is."""
        self.database.close(checkpoint=False)
        self._commits.close()

    def undo_lost(self) -> None:
        """Take away what the disk has refused. Only after `abandon`, and while it isn't busy."""
        self._commits.undo_lost()

    def _close(self, *, checkpoint: bool) -> None:
        path = self.database.path
        self.database.close(checkpoint=checkpoint)
        if checkpoint and wal.path_of(path).exists():  # SQLite tells nobody
            raise OSError(f"{path.name} hasn't taken in all of its log")

    def _commit(self) -> None:
        try:
            self.keep_name()
            self.database.commit()
        except SqlError as error:
            self._keeper.break_off(error)

    def _checkpointed(self, has_worked: bool) -> None:
        if has_worked:
            self._keeper.settled(self._position)
        self._keeper.freed()
