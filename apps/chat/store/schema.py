"""The tables of a room, in the order in which they came to be."""

from __future__ import annotations

from runtime.patterns.feed import Feed
from runtime.patterns.outbox import Outbox

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE messages (
        seq INTEGER PRIMARY KEY,
        client_id TEXT NOT NULL,
        author_id TEXT NOT NULL,
        author TEXT NOT NULL,
        text TEXT NOT NULL,
        posted_at REAL NOT NULL DEFAULT (unixepoch('subsec')),
        UNIQUE (author_id, client_id)
    )
    """,
    Feed.schema(),
    # What was sent is known for ever, though messages move to the archive.
    """
    CREATE TABLE sent (
        author_id TEXT NOT NULL,
        client_id TEXT NOT NULL,
        seq INTEGER NOT NULL,
        digest TEXT,
        PRIMARY KEY (author_id, client_id)
    ) WITHOUT ROWID;
    INSERT INTO sent SELECT author_id, client_id, seq, NULL FROM messages;
    ALTER TABLE messages RENAME TO messages_before;
    CREATE TABLE messages (
        seq INTEGER PRIMARY KEY,
        client_id TEXT NOT NULL,
        author_id TEXT NOT NULL,
        author TEXT NOT NULL,
        text TEXT NOT NULL,
        posted_at REAL NOT NULL DEFAULT (unixepoch('subsec')),
        kind TEXT NOT NULL DEFAULT 'say',
        revision INTEGER NOT NULL DEFAULT 0,
        edited_at REAL,
        deleted_by TEXT NOT NULL DEFAULT 'null',
        mentions TEXT NOT NULL DEFAULT '[]',
        reactions TEXT NOT NULL DEFAULT '{}'
    );
    INSERT INTO messages (seq, client_id, author_id, author, text, posted_at)
        SELECT seq, client_id, author_id, author, text, posted_at FROM messages_before;
    DROP TABLE messages_before;
    CREATE TABLE archive (first INTEGER PRIMARY KEY, messages BLOB NOT NULL);
    CREATE TABLE pins (seq INTEGER PRIMARY KEY);
    CREATE TABLE room (
        one INTEGER PRIMARY KEY DEFAULT 1 CHECK (one = 1),
        creator_id TEXT,
        title TEXT NOT NULL DEFAULT '',
        slow_seconds INTEGER NOT NULL DEFAULT 0,
        told TEXT NOT NULL DEFAULT ''
    );
    INSERT INTO room (creator_id) SELECT author_id FROM messages WHERE seq = 1;
    CREATE TABLE members (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        seen_at REAL NOT NULL,
        read_up_to INTEGER NOT NULL,
        shown_up_to INTEGER NOT NULL,
        told_unread INTEGER NOT NULL DEFAULT -1,
        told_mentions INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE INDEX members_seen ON members (seen_at);
    CREATE TABLE mentioned (
        person_id TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (person_id, seq)
    ) WITHOUT ROWID;
    CREATE TABLE sanctions (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        muted_until REAL,
        is_banned INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        at REAL NOT NULL DEFAULT (unixepoch('subsec')),
        by_id TEXT NOT NULL,
        by_name TEXT NOT NULL,
        action TEXT NOT NULL,
        whom_id TEXT,
        whom_name TEXT,
        detail TEXT NOT NULL
    )
    """,
    Outbox.schema(),
)
