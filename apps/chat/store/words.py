"""The full-text index of a room's messages. Whoever searches pays for it, not whoever speaks.

Messages are put in when somebody searches, and before they are archived. The index isn't among the
migrations, because making one writes rows, and a room where nobody has spoken has none.
"""

from __future__ import annotations

from apps.chat.domain import Message
from apps.chat.store.messages import find, last_seq
from apps.chat.store.rows import pinned
from runtime import SqlStorage


def catch_up(sql: SqlStorage) -> None:
    """Put into the index what has been said since the last time."""
    sql.exec(
        "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 "
        "(text, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2')"
    )
    sql.exec(
        "INSERT INTO words (rowid, text) SELECT seq, text FROM messages WHERE text != '' "
        "AND seq > (SELECT coalesce(max(rowid), 0) FROM words)"
    )


def replace(sql: SqlStorage, message: Message) -> None:
    """Have the index find a message by what it says now, and not by what it said before."""
    if not _is_known(sql, message.seq):
        return  # it is put in as it is by then
    sql.exec("DELETE FROM words WHERE rowid = ?", message.seq)
    if message.text:
        sql.exec("INSERT INTO words (rowid, text) VALUES (?, ?)", message.seq, message.text)


def search(sql: SqlStorage, expression: str, limit: int) -> list[Message]:
    """Return the newest `limit` messages that fit, newest first."""
    if last_seq(sql) == 0:
        return []
    catch_up(sql)
    rows = sql.exec(
        "SELECT rowid AS seq FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?",
        expression,
        limit,
    ).to_array()
    found = [message for row in rows if (message := find(sql, row["seq"])) is not None]
    return pinned(sql, found)


def _is_known(sql: SqlStorage, seq: int) -> bool:
    if sql.exec("SELECT name FROM sqlite_schema WHERE name = 'words'").next() is None:
        return False
    return sql.exec("SELECT rowid FROM words WHERE rowid = ?", seq).next() is not None
