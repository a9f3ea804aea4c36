"""What the runtime itself notes about an object, in the object's own database."""

from __future__ import annotations

from typing import Final, cast

from runtime.errors import StorageError
from runtime.sql import Database
from runtime.tables import METADATA, OWN_SCHEMA, RuntimeTable

_COLUMNS: Final = "(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
_NAME: Final = "name"
_ID: Final = "id"
_RESTORE: Final = "restore"


class Metadata:
    """Notes about one object, which commit and roll back with whatever else is written."""

    def __init__(self, database: Database) -> None:
        self._table = RuntimeTable(database, METADATA, _COLUMNS)
        self._path = database.path
        self.is_kept = False
        """Whether the database says whose it is."""
        self.is_named = False
        """Whether it says what the id was made from."""
        self.has_own_schema = False
        """Whether it says that tables without rows are worth keeping."""
        self.restore_to: int | None = None
        """The stamp of the moment that the next life is to begin with."""

    def recall(self, hex: str | None = None) -> str | None:
        """Return the name that the object's id was made from, which the id doesn't lead back to.

        Args:
            hex: The id that the database should be of.

        Raises:
            StorageError: If it is that of another object.
        """
        rows = self._table.read(f"SELECT key, value FROM {METADATA}")
        notes = dict(cast(list[tuple[str, str]], rows))
        self.is_kept, self.is_named = _ID in notes, _NAME in notes
        self.has_own_schema = OWN_SCHEMA in notes
        self.restore_to = int(notes[_RESTORE]) if _RESTORE in notes else None
        if hex is not None and notes.get(_ID, hex) != hex:
            raise StorageError(
                f"{self._path.name} is the database of another object, {notes[_ID]}: it was put "
                "in the place of this one's. Stop the server, and copy the .sqlite and the "
                ".history of this object from a backup"
            )
        return notes.get(_NAME)

    def keep(self, hex: str, name: str | None) -> None:
        """Note whose database it is."""
        self._put(_ID, hex)
        if name is not None:
            self._put(_NAME, name)
        self.is_kept, self.is_named = True, name is not None

    def lacks_id(self, name: str | None) -> bool:
        """Whether it doesn't say yet whose it is, or not by which name that is known now."""
        return not self.is_kept or (name is not None and not self.is_named)

    def lacks_schema(self, database: Database) -> bool:
        """Whether it doesn't say yet that there are tables worth keeping."""
        return database.has_own_schema and not self.has_own_schema

    def note_own_schema(self) -> None:
        """Note that the object's code has made or changed tables, its migrations aside."""
        self._put(OWN_SCHEMA, "yes")
        self.has_own_schema = True

    def forget(self) -> None:
        """Hear that the database was emptied, notes and all."""
        self.is_kept = self.is_named = self.has_own_schema = False

    def plan_restoration(self, stamp: int) -> None:
        """Have the next life begin with what the database was at `stamp`."""
        self._put(_RESTORE, str(stamp))

    def cancel_restoration(self) -> None:
        """Forget about that."""
        self._table.write(f"DELETE FROM {METADATA} WHERE key = ?", _RESTORE)
        self.restore_to = None

    def _put(self, key: str, value: str) -> None:
        self._table.write(f"INSERT OR REPLACE INTO {METADATA} VALUES (?, ?)", key, value)
