"""Keys and values in an object's database: the synchronous side, ``ctx.storage.kv``.

One table, `_cf_KV`, made by the first `put`. Keys are ordered by their UTF-8 bytes, which is
the order of SQLite's text and of Unicode code points alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from runtime import packing
from runtime.errors import StorageError
from runtime.sql import Database, Row
from runtime.tables import RuntimeTable

_COLUMNS: Final = "(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
_GET: Final = "SELECT value FROM _cf_KV WHERE key = ?"
_PUT: Final = """
    INSERT INTO _cf_KV (key, value) VALUES (?, ?)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""
_DELETE: Final = "DELETE FROM _cf_KV WHERE key = ?"
_LAST_CODE_POINT: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)


class SyncKvStorage:
    """The object's keys and values. Values are copied in and out, as `packing.encode` allows."""

    def __init__(self, database: Database, check: Callable[[], None]) -> None:
        self._database = database
        self._table = RuntimeTable(database, "_cf_KV", _COLUMNS)
        self._check = check
        self._lists = 0

    def get(self, key: str, default: Any = None) -> Any:
        """Return a copy of the value under `key`, or `default`."""
        self._check()
        rows = self._table.read(_GET, _text(key))
        value = packing.decode(_blob(rows[0][0])) if rows else default
        if self._database.witness is not None:
            self._database.witness.looked_up({key: value})
        return value

    def put(self, key: str, value: Any) -> None:
        """Keep a copy of `value` under `key`.

        Raises:
            TypeError: If the key is no text, or the value is none that can be stored.
            SqlError: If key and value are larger than 4 MiB. Nothing was written.
        """
        self._check()
        self._table.write(_PUT, _text(key), packing.encode(value))

    def delete(self, key: str) -> bool:
        """Forget `key`, and return whether there was such a key."""
        self._check()
        if not self._table.read(_GET, _text(key)):
            return False  # and no write that somebody would have to wait for
        self._table.write(_DELETE, key)
        return True

    def list(
        self,
        *,
        start: str | None = None,
        start_after: str | None = None,
        end: str | None = None,
        prefix: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """Iterate over keys and values, in the order of the keys.

        Args:
            start: The lowest key, included.
            start_after: The same, not included. Not together with `start`.
            end: The highest key, not included.
            prefix: What all keys begin with.
            reverse: From the highest key to the lowest. Bounds keep their meaning.
            limit: How many at most, counted from where the listing begins.

        Raises:
            TypeError: If `limit` isn't positive, or `start` comes with `start_after`.
            StorageError: While iterating, once a newer list has been started.
        """
        self._check()
        low, high = _bounds(start, start_after, end, prefix)
        if limit is not None and (type(limit) is not int or limit <= 0):
            raise TypeError("List limit must be positive.")
        below = "" if high is None else "AND key < ?2"
        order = "DESC" if reverse else "ASC"
        rows = self._table.read(
            f"SELECT key, value FROM _cf_KV WHERE key >= ?1 {below} ORDER BY key {order} LIMIT ?3",
            low,
            high,
            -1 if limit is None else limit,
        )
        if self._database.witness is not None:
            found = {str(key): packing.decode(_blob(value)) for key, value in rows}
            self._database.witness.looked_up(found)
        self._lists += 1
        return self._decoded(rows, self._lists)

    def _decoded(self, rows: Iterable[Row], number: int) -> Iterator[tuple[str, Any]]:
        for key, value in rows:
            if self._lists != number:
                raise StorageError(
                    "kv.list() iterator was invalidated because a new call to kv.list() was "
                    "started. Only one kv.list() iterator can exist at a time."
                )
            yield str(key), packing.decode(_blob(value))


def _bounds(
    start: str | None, start_after: str | None, end: str | None, prefix: str | None
) -> tuple[str, str | None]:
    if start is not None and start_after is not None:
        raise TypeError("list() cannot be called with both start and start_after values.")
    low = _text("" if start is None else start)
    if start_after is not None:
        low = _text(start_after) + "\0"
    high = None if end is None else _text(end)
    if prefix is not None:
        low = max(low, _text(prefix))
        beyond = _after_prefix(prefix)
        high = beyond if high is None else high if beyond is None else min(high, beyond)
    return low, high


def _after_prefix(prefix: str) -> str | None:
    """The first key beyond all that begin with `prefix`; None if there is none."""
    stem = prefix.rstrip(chr(_LAST_CODE_POINT))
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)


def _text(key: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key is text, not {key!r}")
    return key


def _blob(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
