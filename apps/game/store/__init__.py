"""The SQL of each kind of object, and the time, which goes by SQL's clock."""

from __future__ import annotations

from runtime import SqlStorage


def now(sql: SqlStorage) -> float:
    """Return the time, in seconds since the epoch."""
    return float(sql.exec("SELECT unixepoch('subsec') AS now").one()["now"])
