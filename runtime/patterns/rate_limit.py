"""How often something may be done: a token bucket for each key, which survives the object.

A bucket holds up to `burst` tokens, and gets `per_second` new ones; what is done takes one. So
somebody may be quick for a moment, and not for long. The bucket is a row: how many tokens it had,
and when. What it has now follows from that, so nothing has to be done while nobody asks.
"""

from __future__ import annotations

from typing import Final

from runtime import DurableObjectState

FORGOTTEN_AT_ONCE: Final = 10  # rows that say nothing any more, at each new one


class RateLimit:
    """A limit on what an object lets each key do.

    Invariants:
        - In any span of time a key is allowed at most `burst`, and `per_second` for each second
          of it.
        - What is refused takes nothing.
        - There is a row only for keys whose bucket isn't full.

    Args:
        ctx: The object's. Its migrations must include `schema`.
        per_second: How many tokens come in a second.
        burst: How many a bucket holds.
        name: Of the table, an identifier. An object may have several limits.
    """

    def __init__(
        self, ctx: DurableObjectState, *, per_second: float, burst: float, name: str = "rate_limit"
    ) -> None:
        if per_second <= 0 or burst <= 0:
            raise ValueError("a limit lets something through: per_second and burst are above 0")
        self._ctx = ctx
        self._per_second = per_second
        self._burst = burst
        self._table = _table(name)

    @staticmethod
    def schema(name: str = "rate_limit") -> str:
        """Return the migration that makes the table."""
        return (
            f"CREATE TABLE {_table(name)} "
            "(key TEXT PRIMARY KEY, tokens REAL NOT NULL, at REAL NOT NULL) WITHOUT ROWID; "
            f"CREATE INDEX {_table(name + '_at')} ON {_table(name)} (at)"
        )

    def take(self, key: str = "", cost: float = 1.0) -> float:
        """Take tokens, if there are enough.

        Args:
            key: Whose: a person, an address.
            cost: How many.

        Returns:
            0 if it is allowed. Else after how many seconds it would be; nothing was taken.

        Raises:
            ValueError: If it costs more than a bucket holds, and so can never be allowed.
        """
        if not 0 < cost <= self._burst:
            raise ValueError(f"it costs {cost:g}, and a bucket holds {self._burst:g}")
        sql = self._ctx.storage.sql
        row = sql.exec(
            "SELECT unixepoch('subsec') AS now, tokens, at "
            f"FROM (SELECT ? AS asked) LEFT JOIN {self._table} ON key = asked",
            key,
        ).one()
        now, is_new, tokens = float(row["now"]), row["at"] is None, self._burst
        if not is_new:  # a clock that was set back takes nothing away, and gives nothing
            passed = max(0.0, now - row["at"])
            tokens = min(self._burst, row["tokens"] + passed * self._per_second)
        if tokens < cost:
            return float((cost - tokens) / self._per_second)
        sql.exec(f"REPLACE INTO {self._table} VALUES (?, ?, ?)", key, tokens - cost, now)
        if is_new:
            self._forget(now - self._burst / self._per_second)
        return 0.0

    def _forget(self, full_since: float) -> None:
        # Whose last token was taken before that has a full bucket again.
        self._ctx.storage.sql.exec(
            f"DELETE FROM {self._table} WHERE key IN "
            f"(SELECT key FROM {self._table} WHERE at <= ? ORDER BY at LIMIT ?)",
            full_since,
            FORGOTTEN_AT_ONCE,
        )


def _table(name: str) -> str:
    if not (name.isascii() and name.isidentifier()):
        raise ValueError(f"a table's name is an identifier, not {name!r}")
    return f'"{name}"'
