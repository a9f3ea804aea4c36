"""Requests that are carried out once, however often they are sent: Stripe's ``Idempotency-Key``.

A client that hears no answer sends its request again, and can't know whether the first one was
carried out. So it gives each wish a key, and whoever carries it out keeps the answer under that:
the same key again gets the same answer. (Stripe API reference, "Idempotent requests".)
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from runtime import DurableObjectState, errors

MAX_KEY: Final = 255  # characters
FORGOTTEN_AT_ONCE: Final = 10  # keys whose time is over, at each new one


@errors.register
class KeyReused(ValueError):
    """A key was sent with other parameters than before, or can't be one."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What has become of a request."""

    answer: Any
    """As `finish` was given it; None while there is none."""
    is_finished: bool


class Idempotency:
    """The requests that an object has begun to carry out, by key.

    Invariants:
        - A key stands for one request. With other parameters it is refused, and nothing changes.
        - Whatever was refused before `begin` isn't kept: the same key may be sent again.
        - What has begun is kept in the same commit as its first effect, for at least
          `kept_seconds` after that.

    Args:
        ctx: The object's. Its migrations must include `schema`.
        name: Of the table, an identifier.
        kept_seconds: How long.
    """

    def __init__(
        self,
        ctx: DurableObjectState,
        *,
        name: str = "idempotency",
        kept_seconds: float = 24 * 3600.0,
    ) -> None:
        self._ctx = ctx
        self._table = _table(name)
        self._kept_seconds = kept_seconds

    @staticmethod
    def schema(name: str = "idempotency") -> str:
        """Return the migration that makes the table."""
        return (
            f"CREATE TABLE {_table(name)} (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, "
            "parameters BLOB NOT NULL, at REAL NOT NULL DEFAULT (unixepoch('subsec')), "
            "answer TEXT)"
        )

    def find(self, key: str, parameters: Any, *, of: str = "") -> Saved | None:
        """Return what has become of a request; None if it is new.

        Args:
            key: Chosen by the client, 1 to 255 characters.
            parameters: What is asked for, as JSON can say it.
            of: Whose key it is. Two people may choose the same.

        Raises:
            KeyReused: If the key was sent with other parameters, or is no key.
        """
        if not 1 <= len(key) <= MAX_KEY:
            raise KeyReused(f"an idempotency key has 1 to {MAX_KEY} characters")
        row = self._ctx.storage.sql.exec(
            f"SELECT parameters, answer FROM {self._table} WHERE key = ?", _key(of, key)
        ).next()
        if row is None:
            return None
        if bytes(row["parameters"]) != _digest(parameters):
            raise KeyReused("this idempotency key was used for something else")
        answer = row["answer"]
        return Saved(None if answer is None else json.loads(answer), answer is not None)

    def begin(self, key: str, parameters: Any, *, of: str = "") -> None:
        """Note that a request is being carried out, beside the first thing that it writes."""
        sql = self._ctx.storage.sql
        sql.exec(
            f"INSERT INTO {self._table} (key, parameters) VALUES (?, ?)",
            _key(of, key),
            _digest(parameters),
        )
        # In the order in which they came, so the first are the oldest. And how many isn't bound,
        # because SQLite plans anew whenever a LIMIT that is a parameter is bound.
        sql.exec(
            f"DELETE FROM {self._table} WHERE at < unixepoch('subsec') - ? AND number IN "
            f"(SELECT number FROM {self._table} ORDER BY number LIMIT {FORGOTTEN_AT_ONCE})",
            self._kept_seconds,
        )

    def finish(self, key: str, answer: Any, *, of: str = "") -> None:
        """Keep the answer, as JSON can say it, beside the last thing that is written.

        Raises:
            TypeError: If JSON can't say it. Nothing was written.
        """
        self._ctx.storage.sql.exec(
            f"UPDATE {self._table} SET answer = ? WHERE key = ?", json.dumps(answer), _key(of, key)
        )


def _key(of: str, key: str) -> str:
    return f"{len(of)}:{of}{key}"  # so that no two pairs look alike


def _digest(parameters: Any) -> bytes:
    text = json.dumps(parameters, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def _table(name: str) -> str:
    if not (name.isascii() and name.isidentifier()):
        raise ValueError(f"a table's name is an identifier, not {name!r}")
    return f'"{name}"'
