"""What a learner has seen."""

from __future__ import annotations

from typing import Final

from runtime import DurableObject
from runtime.patterns.rate_limit import RateLimit

MOST_LINES: Final = 100  # of one step that are kept
MOST_LENGTH: Final = 300  # characters of a line
PER_SECOND: Final = 3.0  # actions of one learner
AT_ONCE: Final = 20


class Learner(DurableObject[object]):
    """One person's log of what happened on each step's bench, and which steps are done."""

    migrations = (
        "CREATE TABLE lines (n INTEGER PRIMARY KEY, step TEXT NOT NULL, line TEXT NOT NULL)",
        "CREATE INDEX lines_by_step ON lines (step, n)",
        "CREATE TABLE done (step TEXT PRIMARY KEY)",
        RateLimit.schema(),
    )

    async def take_turn(self) -> float:
        """Let somebody act: 0, or in how many seconds they may."""
        return RateLimit(self.ctx, per_second=PER_SECOND, burst=AT_ONCE).take()

    async def note(self, step: str, line: str) -> list[str]:
        """Write what has happened, and return the step's lines, oldest first."""
        sql = self.ctx.storage.sql
        sql.exec("INSERT INTO lines (step, line) VALUES (?, ?)", step, line[:MOST_LENGTH])
        sql.exec(
            "DELETE FROM lines WHERE step = ?1 AND n <= "
            "(SELECT n FROM lines WHERE step = ?1 ORDER BY n DESC LIMIT 1 OFFSET ?2)",
            step,
            MOST_LINES,
        )
        return self._lines(step)

    async def lines(self, step: str) -> list[str]:
        """Return what has happened in a step, oldest first."""
        return self._lines(step)

    async def finish(self, step: str) -> None:
        """Note that a step's goal was met."""
        self.ctx.storage.sql.exec("INSERT OR IGNORE INTO done VALUES (?)", step)

    async def done(self) -> set[str]:
        """Return the steps whose goals were met."""
        return {row["step"] for row in self.ctx.storage.sql.exec("SELECT step FROM done")}

    def _lines(self, step: str) -> list[str]:
        rows = self.ctx.storage.sql.exec("SELECT line FROM lines WHERE step = ? ORDER BY n", step)
        return [row["line"] for row in rows]
