"""Holds, and the orders that they become: one row for each, from the first moment on."""

from __future__ import annotations

import secrets
from dataclasses import fields, replace
from typing import Any

from apps.booking.domain.hold import Hold
from apps.booking.domain.house import Person
from apps.booking.domain.saga import IS_ORDER, KEEPS_SEATS, State
from runtime import SqlCursor, SqlStorage

FORGOTTEN_SECONDS = 24 * 3600.0  # after which seats that were let go are nobody's memory
AT_ONCE = 100  # holds that one alarm deals with

_COLUMNS = """
    number, token, owner_id, owner, seats, cents, expires_at, state, is_extended, discount,
    voucher, share, tries, key, asked, paid_at, refund, is_offer
"""
_COUNT = "iif(seats = '', 0, length(seats) - length(replace(seats, ',', '')) + 1)"
_KEEPING = ", ".join(f"'{state}'" for state in sorted(KEEPS_SEATS))
_CHANGING = {field.name for field in fields(Hold)} - {"number", "token", "owner"} | {"due"}


def add(
    sql: SqlStorage,
    owner: Person,
    seats: tuple[int, ...],
    cents: tuple[int, ...],
    *,
    expires_at: float,
    due: float,
    state: State = State.HELD,
    is_offer: bool = False,
    **more: Any,
) -> Hold:
    """Keep a hold, and return it with its number."""
    token = secrets.token_hex(6)
    row = sql.exec(
        """
        INSERT INTO holds (token, owner_id, owner, seats, cents, expires_at, state, due, is_offer)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number
        """,
        token,
        owner.id,
        owner.name,
        _listed(seats),
        _listed(cents),
        expires_at,
        state,
        due,
        is_offer,
    ).one()
    number = int(row["number"])
    hold = Hold(number, token, owner, seats, cents, expires_at, state, is_offer=is_offer)
    return change(sql, hold, **more) if more else hold


def change(sql: SqlStorage, hold: Hold, **changes: Any) -> Hold:
    """Keep what is new about a hold, and return it so.

    Args:
        changes: By the names of its fields; and ``due``, when it is to be looked at again.
    """
    assert changes.keys() <= _CHANGING, changes
    columns = ", ".join(f"{name} = ?" for name in changes)
    values = (_listed(value) if isinstance(value, tuple) else value for value in changes.values())
    sql.exec(f"UPDATE holds SET {columns} WHERE number = ?", *values, hold.number)
    known = {name: value for name, value in changes.items() if name != "due"}
    return replace(hold, **known)


def find(sql: SqlStorage, number: int) -> Hold | None:
    """Return a hold by its number."""
    return _select(sql, "number = ?", number).next()


def held_by(sql: SqlStorage, person_id: str) -> list[Hold]:
    """Return somebody's holds that aren't paid yet, oldest first."""
    where = f"owner_id = ? AND state IN ({_KEEPING}) AND state != 'confirmed' ORDER BY number"
    return _select(sql, where, person_id).to_array()


def counts_of(sql: SqlStorage, person_id: str) -> tuple[int, int]:
    """Return how many seats somebody holds, and how many they have bought."""
    counts = sql.exec(
        f"""
        SELECT
            coalesce(sum(iif(state = 'confirmed', 0, {_COUNT})), 0) AS held,
            coalesce(sum(iif(state = 'confirmed', {_COUNT}, 0)), 0) AS bought
        FROM holds WHERE owner_id = ? AND state IN ({_KEEPING})
        """,
        person_id,
    ).one()
    return int(counts["held"]), int(counts["bought"])


def is_first_payment(sql: SqlStorage, hold: Hold) -> bool:
    """Whether its owner has never tried to pay for anything else here."""
    return (
        sql.exec(
            "SELECT 1 FROM holds WHERE owner_id = ? AND tries > 0 AND number != ? LIMIT 1",
            hold.owner.id,
            hold.number,
        ).next()
        is None
    )


def orders_of(sql: SqlStorage, person_id: str, limit: int) -> list[Hold]:
    """Return what somebody has paid for, or may have, the newest first."""
    states = ", ".join(f"'{state}'" for state in sorted(IS_ORDER))
    where = f"owner_id = ? AND state IN ({states}) ORDER BY number DESC LIMIT ?"
    return _select(sql, where, person_id, limit).to_array()


def due(sql: SqlStorage, now: float) -> list[Hold]:
    """Return the holds that something is to be done about, the longest overdue first."""
    return _select(sql, "due <= ? ORDER BY due LIMIT ?", now, AT_ONCE).to_array()


def late(sql: SqlStorage, now: float) -> list[Hold]:
    """Return holds whose time is over, the longest overdue first; some of them if they are many."""
    return _select(sql, "due <= ? AND state = 'held' ORDER BY due LIMIT ?", now, AT_ONCE).to_array()


def next_due(sql: SqlStorage) -> float | None:
    """Return when the next one is."""
    row = sql.exec("SELECT min(due) AS due FROM holds WHERE due IS NOT NULL").one()
    return None if row["due"] is None else float(row["due"])


def orders(sql: SqlStorage, after: int, limit: int) -> list[Hold]:
    """Return what was paid, cancelled or not, oldest first."""
    where = "number > ? AND state IN ('confirmed', 'cancelled') ORDER BY number LIMIT ?"
    return _select(sql, where, after, limit).to_array()


def all_holds(sql: SqlStorage) -> list[Hold]:
    """Return everything that is remembered, for whoever checks the books."""
    return _select(sql, "1 ORDER BY number").to_array()


def unpaid(sql: SqlStorage, limit: int) -> list[Hold]:
    """Return what is held now, oldest first."""
    where = (
        f"state IN ({_KEEPING}) AND state != 'confirmed' AND due IS NOT NULL ORDER BY due LIMIT ?"
    )
    return _select(sql, where, limit).to_array()


def forget_old(sql: SqlStorage, now: float) -> None:
    """Forget holds that came to nothing a day ago. The last number is never given again."""
    sql.exec(
        """
        DELETE FROM holds WHERE number IN (
            SELECT number FROM holds WHERE state IN ('released', 'expired') AND expires_at < ?
            LIMIT ?
        ) AND number < (SELECT max(number) FROM holds)
        """,
        now - FORGOTTEN_SECONDS,
        AT_ONCE,
    )


def _select(sql: SqlStorage, where: str, *bindings: Any) -> SqlCursor[Hold]:
    return sql.exec(f"SELECT {_COLUMNS} FROM holds WHERE {where}", *bindings, row=_hold)


def _hold(owner_id: str, owner: str, seats: str, cents: str, state: str, **more: Any) -> Hold:
    more["is_extended"], more["is_offer"] = bool(more["is_extended"]), bool(more["is_offer"])
    return Hold(
        owner=Person(owner_id, owner),
        seats=_numbers(seats),
        cents=_numbers(cents),
        state=State(state),
        **more,
    )


def _listed(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(","))) if text else ()
