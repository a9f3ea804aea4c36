"""The objects' SQL: schemas, and functions that return domain values. One noun, one file."""

from __future__ import annotations

from runtime import SqlStorage


def now(sql: SqlStorage) -> float:
    """Return the time, in seconds since the epoch, which goes by SQL's clock."""
    return float(sql.exec("SELECT unixepoch('subsec') AS now").one()["now"])
