"""The stand-in provider's books."""

from __future__ import annotations

from apps.booking.domain.payment import Charge, ChargeState
from runtime import SqlStorage


def add(
    sql: SqlStorage, id: str, amount: int, card: str, state: ChargeState, due: float | None
) -> Charge:
    """Keep a charge."""
    sql.exec(
        "INSERT INTO charges (id, amount, state, card, due) VALUES (?, ?, ?, ?, ?)",
        id,
        amount,
        state,
        card,
        due,
    )
    return Charge(id, amount, state)


def find(sql: SqlStorage, id: str) -> Charge | None:
    """Return a charge by its id."""
    return sql.exec(
        "SELECT id, amount, state, refunded FROM charges WHERE id = ?", id, row=_charge
    ).next()


def all_charges(sql: SqlStorage) -> list[Charge]:
    """Return all charges."""
    query = "SELECT id, amount, state, refunded FROM charges ORDER BY id"
    return sql.exec(query, row=_charge).to_array()


def set_state(sql: SqlStorage, id: str, state: ChargeState) -> None:
    """Keep how a charge is now, for good."""
    sql.exec("UPDATE charges SET state = ?, due = NULL WHERE id = ?", state, id)


def due(sql: SqlStorage, now: float) -> list[tuple[str, str]]:
    """Return the ids and the cards of charges that are to be settled."""
    rows = sql.exec("SELECT id, card FROM charges WHERE due <= ? ORDER BY due LIMIT 100", now)
    return [(row["id"], row["card"]) for row in rows]


def next_due(sql: SqlStorage) -> float | None:
    """Return when the next one is."""
    due = sql.exec("SELECT min(due) AS due FROM charges WHERE due IS NOT NULL").one()["due"]
    return None if due is None else float(due)


def refund_of(sql: SqlStorage, key: str) -> int | None:
    """Return how much went back under a key; None if nothing has."""
    row = sql.exec("SELECT amount FROM refunds WHERE key = ?", key).next()
    return None if row is None else int(row["amount"])


def refund(sql: SqlStorage, id: str, amount: int, key: str) -> None:
    """Note that money went back."""
    sql.exec("INSERT INTO refunds (key, charge, amount) VALUES (?, ?, ?)", key, id, amount)
    sql.exec("UPDATE charges SET refunded = refunded + ? WHERE id = ?", amount, id)


def _charge(id: str, amount: int, state: str, refunded: int) -> Charge:
    return Charge(id, amount, ChargeState(state), refunded)
