"""The schemas, oldest step first. A step that objects have taken is never changed."""

from __future__ import annotations

from typing import Final

from runtime.patterns.feed import Feed
from runtime.patterns.idempotency import Idempotency
from runtime.patterns.letterbox import Letterbox
from runtime.patterns.outbox import Outbox

SEATS: Final = """
    CREATE TABLE seats (
        number INTEGER PRIMARY KEY,
        hold INTEGER,
        is_sold INTEGER NOT NULL DEFAULT 0,
        version INTEGER NOT NULL DEFAULT 0
    )
"""

EVENT: Final = (
    # At first all seats cost the same.
    f"""
    CREATE TABLE house (
        slug TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        rows INTEGER NOT NULL,
        seats_per_row INTEGER NOT NULL,
        price INTEGER NOT NULL,
        owner_id TEXT NOT NULL,
        owner TEXT NOT NULL,
        starts_at REAL NOT NULL,
        is_open INTEGER NOT NULL DEFAULT 1,
        per_person INTEGER NOT NULL DEFAULT 0,
        per_second INTEGER NOT NULL DEFAULT 0,
        section_rows INTEGER NOT NULL DEFAULT 0
    );
    {SEATS};
    CREATE TABLE holds (
        number INTEGER PRIMARY KEY,
        token TEXT NOT NULL,
        owner_id TEXT NOT NULL,
        owner TEXT NOT NULL,
        seats TEXT NOT NULL,
        cents TEXT NOT NULL,
        expires_at REAL NOT NULL,
        state TEXT NOT NULL,
        due REAL,
        is_extended INTEGER NOT NULL DEFAULT 0,
        discount INTEGER NOT NULL DEFAULT 0,
        voucher TEXT NOT NULL DEFAULT '',
        share TEXT NOT NULL DEFAULT '',
        tries INTEGER NOT NULL DEFAULT 0,
        key TEXT NOT NULL DEFAULT '',
        asked INTEGER NOT NULL DEFAULT 0,
        paid_at REAL NOT NULL DEFAULT 0,
        refund INTEGER NOT NULL DEFAULT 0,
        is_offer INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX holds_due ON holds (due) WHERE due IS NOT NULL;
    CREATE INDEX holds_owner ON holds (owner_id);
    CREATE TABLE waiting (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        person_id TEXT NOT NULL UNIQUE,
        person TEXT NOT NULL,
        count INTEGER NOT NULL,
        offer INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        at REAL NOT NULL DEFAULT (unixepoch('subsec')),
        who TEXT NOT NULL,
        what TEXT NOT NULL
    )
    """,
    Outbox.schema(),
    Idempotency.schema(),
    Feed.schema(),
    # Then rows had prices of their own. An event that has slept since wakes up with one tier,
    # which says of all rows what its price was.
    """
    CREATE TABLE tiers (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        first_row INTEGER NOT NULL,
        last_row INTEGER NOT NULL,
        cents INTEGER NOT NULL
    );
    INSERT INTO tiers (name, first_row, last_row, cents)
        SELECT 'Standard', 0, rows - 1, price FROM house;
    ALTER TABLE house DROP COLUMN price
    """,
    # And vouchers came.
    """
    CREATE TABLE vouchers (
        code TEXT PRIMARY KEY,
        percent INTEGER NOT NULL,
        uses INTEGER NOT NULL,
        used INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID
    """,
)

SECTION: Final = (
    f"{SEATS}; CREATE TABLE over (hold INTEGER PRIMARY KEY)",
    Letterbox.schema(),
    Feed.schema(),
)

ORDER: Final = (
    """
    CREATE TABLE orders (
        id TEXT PRIMARY KEY,
        sale TEXT NOT NULL,
        way TEXT NOT NULL,
        payment TEXT NOT NULL,
        refusal TEXT NOT NULL DEFAULT ''
    );
    CREATE TABLE course (
        number INTEGER PRIMARY KEY,
        at REAL NOT NULL DEFAULT (unixepoch('subsec')),
        way TEXT NOT NULL
    )
    """,
    Outbox.schema(),
)

CUSTOMER: Final = (
    """
    CREATE TABLE visited (number INTEGER PRIMARY KEY, slug TEXT NOT NULL UNIQUE);
    CREATE TABLE events (slug TEXT PRIMARY KEY, at REAL NOT NULL DEFAULT (unixepoch('subsec')))
    """,
    Letterbox.schema(),
)

PAYMENTS: Final = (
    """
    CREATE TABLE charges (
        id TEXT PRIMARY KEY,
        amount INTEGER NOT NULL,
        state TEXT NOT NULL,
        card TEXT NOT NULL,
        refunded INTEGER NOT NULL DEFAULT 0,
        due REAL
    );
    CREATE INDEX charges_due ON charges (due) WHERE due IS NOT NULL;
    CREATE TABLE refunds (key TEXT PRIMARY KEY, charge TEXT NOT NULL, amount INTEGER NOT NULL)
    """,
    Outbox.schema(),
)

CATALOGUE: Final = (
    """
    CREATE TABLE listings (
        slug TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        starts_at REAL NOT NULL,
        from_cents INTEGER NOT NULL,
        free INTEGER NOT NULL,
        capacity INTEGER NOT NULL,
        is_open INTEGER NOT NULL,
        version INTEGER NOT NULL
    );
    CREATE INDEX listings_starts_at ON listings (starts_at)
    """,
)

QUEUE: Final = (
    """
    CREATE TABLE queue (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        person_id TEXT NOT NULL UNIQUE,
        until REAL
    );
    CREATE INDEX queue_until ON queue (until, number);
    CREATE TABLE pace (one INTEGER PRIMARY KEY CHECK (one = 1), last REAL NOT NULL)
    """,
)
