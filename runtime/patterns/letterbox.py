"""What an object has been told, so that a letter that comes again does nothing.

Whoever sends a letter until it is answered sends it twice if the answer is lost. Its receiver notes
its id in one commit with what it does about it: the idempotent receiver (Hohpe and Woolf,
"Enterprise Integration Patterns", 2003).
"""

from __future__ import annotations

from runtime import DurableObjectState


class Letterbox:
    """What an object has been told, so that what comes again does nothing.

    Args:
        ctx: The object's. Its migrations must include `schema`.
        name: Of the table, an identifier.
        remembered: How many letters it knows. One that comes again after so many others counts
            as new.
    """

    def __init__(
        self, ctx: DurableObjectState, *, name: str = "letterbox", remembered: int = 10_000
    ) -> None:
        self._ctx = ctx
        self._table = _table(name)
        self._remembered = remembered

    @staticmethod
    def schema(name: str = "letterbox") -> str:
        """Return the migration that makes the table."""
        return (
            f"CREATE TABLE {_table(name)} (number INTEGER PRIMARY KEY AUTOINCREMENT, "
            "id TEXT NOT NULL UNIQUE)"
        )

    def take(self, id: str) -> bool:
        """Whether a letter is new; it is known then, together with what is written beside this."""
        sql = self._ctx.storage.sql
        if sql.exec(f"SELECT 1 FROM {self._table} WHERE id = ?", id).next() is not None:
            return False
        new = sql.exec(f"INSERT INTO {self._table} (id) VALUES (?) RETURNING number", id).one()
        if (forgotten := new["number"] - self._remembered) > 0:
            sql.exec(f"DELETE FROM {self._table} WHERE number <= ?", forgotten)
        return True


def _table(name: str) -> str:
    if not (name.isascii() and name.isidentifier()):
        raise ValueError(f"a table's name is an identifier, not {name!r}")
    return f'"{name}"'
