"""Old messages: a hundred in a compressed row, so that what is used all the time stays small.

Every write to a table touches pages that belong to it, and a commit is as large as the pages that
it touches. So the newest messages have a table to themselves; an alarm takes the oldest from it.
Whatever was possible with them still is.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

from apps.chat.domain import Message
from apps.chat.store.rows import COLUMNS, message_of, row_of
from runtime import SqlStorage

HOT = 1_000  # messages that have rows of their own, at least
CHUNK = 100  # messages in one row of the archive


def is_due(sql: SqlStorage) -> bool:
    """Whether there are so many messages that some are to be archived."""
    first, last = (
        sql.exec(f"SELECT {end}(seq) AS seq FROM messages").one()["seq"] for end in ("min", "max")
    )
    return last is not None and last - first + 1 >= HOT + CHUNK


def archive_oldest(sql: SqlStorage) -> None:
    """Move the oldest messages to the archive, in one commit."""
    oldest = sql.exec(f"SELECT {COLUMNS} FROM messages ORDER BY seq LIMIT ?", CHUNK).to_array()
    _write(sql, oldest)
    last = oldest[-1]["seq"]
    sql.exec("DELETE FROM messages WHERE seq <= ?", last)
    sql.exec("DELETE FROM mentioned WHERE seq <= ?", last)


def newest_first(sql: SqlStorage, before: int) -> Iterator[Message]:
    """Yield archived messages before `before`, the newest first."""
    while chunk := _chunk_with(sql, before - 1):
        yield from (message for message in reversed(chunk) if message.seq < before)
        before = chunk[0].seq


def oldest_first(sql: SqlStorage, after: int) -> Iterator[Message]:
    """Yield archived messages after `after`, the oldest first."""
    while (chunk := _chunk_with(sql, after + 1)) and chunk[-1].seq > after:
        yield from (message for message in chunk if message.seq > after)
        after = chunk[-1].seq


def find(sql: SqlStorage, seq: int) -> Message | None:
    """Return an archived message."""
    return next((message for message in _chunk_with(sql, seq) if message.seq == seq), None)


def save(sql: SqlStorage, message: Message) -> None:
    """Replace an archived message."""
    rows = _rows_with(sql, message.seq)
    _write(sql, [row_of(message) if row["seq"] == message.seq else row for row in rows])


def _chunk_with(sql: SqlStorage, seq: int) -> list[Message]:
    return [message_of(**row) for row in _rows_with(sql, seq)]


def _rows_with(sql: SqlStorage, seq: int) -> list[dict[str, Any]]:
    found = sql.exec(
        "SELECT messages FROM archive WHERE first <= ? ORDER BY first DESC LIMIT 1", seq
    ).next()
    return [] if found is None else _unpacked(found["messages"])


def _write(sql: SqlStorage, rows: list[dict[str, Any]]) -> None:
    packed = zlib.compress(json.dumps(rows).encode())
    sql.exec("REPLACE INTO archive (first, messages) VALUES (?, ?)", rows[0]["seq"], packed)


def _unpacked(packed: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(zlib.decompress(packed))
    return rows
