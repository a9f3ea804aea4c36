"""Which seats are free: the table that decides, and its free seats as bits."""

from __future__ import annotations

from collections.abc import Sequence

from apps.booking.domain.sale import FREE, HELD, SOLD
from runtime import DurableObjectState

_STATE = f"CASE WHEN hold IS NULL THEN '{FREE}' WHEN is_sold THEN '{SOLD}' ELSE '{HELD}' END"


class SeatTable:
    """The seats of an event or of a section.

    Invariants:
        - A seat has one row, and so one hold at most. Nothing but `take` gives it one, and only
          if it has none.
        - What is in memory is what was read, and changes with the table in the same step. It
          goes with the object if that step is lost.

    Args:
        first: The number of the first seat.
        width: How many seats a row has.
    """

    def __init__(self, ctx: DurableObjectState, *, first: int, width: int) -> None:
        self._ctx = ctx
        self._sql = ctx.storage.sql
        self._first = first
        self._width = width
        self._free: list[int] | None = None
        self._version: int | None = None

    @property
    def first_row(self) -> int:
        """The number of the row of the first seat."""
        return self._first // self._width

    def fill(self, count: int) -> None:
        """Make the seats. To make them again does nothing."""
        self._sql.exec(
            """
            WITH RECURSIVE numbers (n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM numbers
                WHERE n + 1 < ?1 + ?2)
            INSERT OR IGNORE INTO seats (number) SELECT n FROM numbers
            """,
            self._first,
            count,
        )
        self.forget()

    def forget(self) -> None:
        """Read the table anew, because somebody else has changed it."""
        self._free = self._version = None

    @property
    def free(self) -> list[int]:
        """The free seats of each row, as bits."""
        if self._free is None:
            taken = self._sql.exec("SELECT number, hold IS NULL FROM seats ORDER BY number").raw()
            rows: list[int] = []
            for number, is_free in taken:
                row, place = divmod(int(str(number)) - self._first, self._width)
                if row == len(rows):
                    rows.append(0)
                rows[row] |= (1 << place) if is_free else 0
            self._free = rows
        return self._free

    def are_free(self, seats: Sequence[int]) -> bool:
        """Whether all of them are."""
        rows = self.free
        places = (divmod(seat - self._first, self._width) for seat in seats)
        return all(rows[row] >> place & 1 for row, place in places)

    def take(self, hold: int, seats: Sequence[int]) -> None:
        """Give free seats to a hold; see `are_free`."""
        changed = self._change("hold = ?1", "hold IS NULL", seats, hold)
        if len(changed) != len(seats):
            self._ctx.abort("seats that were free in memory weren't in the table")
        self._mark(changed, is_free=False)

    def sell(self, hold: int, seats: Sequence[int]) -> None:
        """Note that a hold's seats are paid."""
        self._change("is_sold = 1", "hold = ?1", seats, hold)

    def move(self, hold: int, to: int, seats: Sequence[int]) -> None:
        """Give seats of a hold to another one."""
        self._change("hold = ?2", "hold = ?1", seats, hold, to)

    def give_back(self, hold: int, seats: Sequence[int]) -> None:
        """Make a hold's seats free; those that aren't its own any more stay as they are."""
        changed = self._change("hold = NULL, is_sold = 0", "hold = ?1", seats, hold)
        self._mark(changed, is_free=True)

    def of(self, hold: int) -> tuple[int, ...]:
        """Return the seats of a hold."""
        rows = self._sql.exec("SELECT number FROM seats WHERE hold = ? ORDER BY number", hold)
        return tuple(int(row["number"]) for row in rows)

    def states(self) -> str:
        """Return a letter for each seat."""
        query = f"SELECT {_STATE} FROM seats ORDER BY number"
        return "".join(str(state) for (state,) in self._sql.exec(query).raw())

    def changed_since(self, version: int) -> dict[int, str]:
        """Return which seats have changed since, and what they are now."""
        rows = self._sql.exec(f"SELECT number, {_STATE} FROM seats WHERE version > ?", version)
        return {int(str(number)): str(state) for number, state in rows.raw()}

    @property
    def version(self) -> int:
        """How many changes there were."""
        if self._version is None:
            row = self._sql.exec("SELECT coalesce(max(version), 0) AS version FROM seats").one()
            self._version = int(row["version"])
        return self._version

    def _change(
        self, what: str, condition: str, seats: Sequence[int], hold: int, to: int | None = None
    ) -> list[int]:
        self._version = version = self.version + 1
        marks = ", ".join("?" * len(seats))
        changed = self._sql.exec(
            f"UPDATE seats SET {what}, version = ?3 WHERE {condition} AND number IN ({marks}) "
            "RETURNING number",
            hold,
            to,
            version,
            *seats,
        )
        return [int(row["number"]) for row in changed]

    def _mark(self, seats: Sequence[int], *, is_free: bool) -> None:
        rows = self._free
        if rows is None:
            return  # they are read when somebody asks
        for seat in seats:
            row, place = divmod(seat - self._first, self._width)
            rows[row] = rows[row] | 1 << place if is_free else rows[row] & ~(1 << place)
