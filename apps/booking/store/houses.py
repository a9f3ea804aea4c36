"""An event's facts, its prices and its vouchers."""

from __future__ import annotations

from typing import Any

from apps.booking.domain.house import House, Person, Tier
from runtime import SqlStorage


def create(sql: SqlStorage, house: House) -> None:
    """Keep a new event, with a row for each seat if it keeps its seats itself."""
    sql.exec(
        """
        INSERT INTO house (slug, title, rows, seats_per_row, owner_id, owner, starts_at,
            section_rows)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        """,
        house.slug,
        house.title,
        house.rows,
        house.seats_per_row,
        house.owner.id,
        house.owner.name,
        house.starts_at,
        house.section_rows,
    )
    change(sql, house)


def change(sql: SqlStorage, house: House) -> None:
    """Keep what may change of an event."""
    sql.exec(
        """
        UPDATE house SET title = ?, starts_at = ?, is_open = ?, per_person = ?, per_second = ?
        """,
        house.title,
        house.starts_at,
        house.is_open,
        house.per_person,
        house.per_second,
    )
    sql.exec("DELETE FROM tiers")
    for tier in house.tiers:
        sql.exec(
            "INSERT INTO tiers (name, first_row, last_row, cents) VALUES (?, ?, ?, ?)",
            tier.name,
            tier.first_row,
            tier.last_row,
            tier.cents,
        )


def find(sql: SqlStorage) -> House | None:
    """Return the event; None if there is none."""
    tiers = sql.exec(
        "SELECT name, first_row, last_row, cents FROM tiers ORDER BY number", row=Tier
    ).to_array()

    def house(owner_id: str, owner: str, is_open: int, **facts: Any) -> House:
        person = Person(owner_id, owner)
        return House(owner=person, is_open=bool(is_open), tiers=tuple(tiers), **facts)

    return sql.exec(
        """
        SELECT slug, title, rows, seats_per_row, owner_id, owner, starts_at, is_open, per_person,
            per_second, section_rows
        FROM house
        """,
        row=house,
    ).next()


def add_voucher(sql: SqlStorage, code: str, percent: int, uses: int) -> bool:
    """Keep a voucher. Returns whether there was none with that code."""
    added = sql.exec(
        "INSERT OR IGNORE INTO vouchers (code, percent, uses) VALUES (?, ?, ?)", code, percent, uses
    )
    return bool(added.rows_written)


def use_voucher(sql: SqlStorage, code: str) -> int | None:
    """Use a voucher once, and return how many per cent it gives; None if it can't be used."""
    row = sql.exec(
        "UPDATE vouchers SET used = used + 1 WHERE code = ? AND used < uses RETURNING percent", code
    ).next()
    return None if row is None else int(row["percent"])


def give_voucher_back(sql: SqlStorage, code: str) -> None:
    """Let a voucher be used once more."""
    sql.exec("UPDATE vouchers SET used = used - 1 WHERE code = ? AND used > 0", code)


def vouchers(sql: SqlStorage) -> list[dict[str, Any]]:
    """Return all vouchers, by their codes."""
    return sql.exec("SELECT code, percent, uses, used FROM vouchers ORDER BY code").to_array()
