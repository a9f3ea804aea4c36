"""How one life of an object begins: what is stored is looked at, and the instance is made.

No event runs before that is done. Where the object has asked to be brought back to an earlier
moment, that comes first.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from runtime.errors import ObjectReset, SqlError, StorageError
from runtime.gates import Call, InputGate
from runtime.object import DurableObjectState
from runtime.persistence import FROM_BACKUP, Persistence
from runtime.schema import migrate
from runtime.storage import Storage
from runtime.tasks import ObjectTask, error_of, spawn_outside

if TYPE_CHECKING:
    from runtime.activation import Activation

_DAMAGE: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class Construction:
    """Makes the instance of a life.

    Invariants:
        - What a constructor sends to sockets that are open already leaves once its critical
          sections have ended too, and never if one of them fails.
    """

    is_passable = False  # as an `Outlet`: what is sent meanwhile is kept

    def __init__(self, life: Activation, disk: Persistence, storage: Storage, env: Any) -> None:
        self._life = life
        self._disk = disk
        self._storage = storage
        self._env = env
        self._sent: list[Call] = []

    def start(self, gate: InputGate) -> None:
        """Do it now, if that is possible, with everything else of the object held back."""
        if len(self._life.sockets):
            self._life.sockets.outlet = self
        done = partial(self._done, gate)
        self._life.run(self._construct(), "the constructor", gate=gate, on_done=done)

    async def _construct(self) -> None:
        life, database = self._life, self._disk.database
        try:
            if (name := self._disk.recall()) is not None:
                # It may have been reached by its id, or woken by an alarm.
                life.id = replace(life.id, name=name)
            if self._disk.metadata.restore_to is not None:
                return  # and another try
            if name is None and life.code.cls.migrations:
                self._disk.keep_notes()  # in one commit with the schema
            migrate(database, self._storage.sql, life.code.cls)
            life.ctx = DurableObjectState(life.id, self._storage, life)
            life.instance = life.code.cls(life.ctx, self._env)
        except Exception as error:
            database.rollback()
            if isinstance(error, SqlError) and error.code in _DAMAGE:
                where = f"{database.path.parent.name}/{database.path.name}"
                raise StorageError(f"{where} is damaged: {error}. {FROM_BACKUP}") from error
            raise

    def _done(self, gate: InputGate, task: ObjectTask) -> None:
        if (error := error_of(task)) is not None:
            self._life.break_off(error)
        elif self._life.instance is None:
            self._disk.expect_restore()
            gate.start_section(lambda section: spawn_outside(self._restore(section)))
        elif self._life.sockets.outlet is self and gate.admit(self):
            self.step()

    # What holds back what is sent meanwhile: `connection.Outlet`, and `gates.Waiter`.

    def send(self, message: Call) -> None:
        """Keep a message."""
        self._sent.append(message)

    def step(self) -> None:
        """Let go what was kept: the object is made."""
        sent, self._sent = self._sent, []
        if self._life.failure is None:
            self._life.sockets.outlet = self._life.output
            for message in sent:
                self._life.output.send(message)

    async def _restore(self, section: InputGate) -> None:
        life = self._life
        try:
            await self._disk.restore()
        except StorageError as error:
            life.break_off(error)
        except OSError as error:
            reset = ObjectReset(f"the disk refused to restore this object: {error.strerror}")
            reset.retryable = True  # and without the file's name: it goes to clients
            life.break_off(reset)
        if life.failure is None:
            self.start(section)
            section.finish()
        life.freed()
