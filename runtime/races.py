"""Lost updates: an event overwrites what another has changed since it was read.

Pure: it is told step by step what events read and write, in *cells*: one column of one row. Which
row a value came from isn't known of SQL's results, so what is read there is a column's values, and
counts for the rows that held one of them. Of a key it is known.

It keeps quiet in doubt. A race is only what is certain: this event has read what the cell held
before, somebody else has put there what it holds now, and this event hasn't seen that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Column: TypeAlias = tuple[str, str]  # of a table
Cell: TypeAlias = tuple[str, Hashable, str]  # a table, a row's key, a column

ABSENT: Final = object()  # what a cell holds whose row isn't there

# What a life keeps at most. Beyond that the oldest is forgotten, and so are races about it.
MAX_WRITES: Final = 10_000
MAX_CELLS: Final = 2000  # that one event knows of
MAX_READS: Final = 20  # of one column by one event
MAX_VALUES: Final = 1000  # of one read

_LONGEST: Final = 64  # what is longer is kept as a hash


@dataclass(eq=False, slots=True)
class Read:
    """A place in the code that has read something, and when."""

    step: int
    place: str
    values: set[Hashable] = field(default_factory=set)

    def add(self, value: object) -> None:
        """Take note of a value that was read."""
        if len(self.values) < MAX_VALUES:
            self.values.add(digest(value))


@dataclass(eq=False, slots=True)
class Knowledge:
    """What one event has read."""

    name: str
    """Of the event."""
    cells: dict[Cell, Read] = field(default_factory=dict)
    columns: dict[Column, deque[Read]] = field(default_factory=dict)
    unclear: dict[Column, int] = field(default_factory=dict)
    """The last step that has read a column, and can't be said to have seen a value of it."""

    def knows(self, cell: Cell, read: Read) -> None:
        """Take note that a cell was read."""
        self.cells.pop(cell, None)
        self.cells[cell] = read
        if len(self.cells) > MAX_CELLS:
            del self.cells[next(iter(self.cells))]

    def reads(self, column: Column, read: Read) -> None:
        """Take note that values of a column are being read."""
        self.columns.setdefault(column, deque(maxlen=MAX_READS)).append(read)


@dataclass(frozen=True, slots=True)
class Write:
    """A change of a cell."""

    by: Knowledge
    step: int
    place: str | None
    old: Hashable
    new: Hashable


@dataclass(frozen=True, slots=True)
class Race:
    """What an event has overwritten without having seen it."""

    cell: Cell
    read: Read
    other: Write


class Races:
    """What the events of one object have written, as far as somebody may have read it before."""

    def __init__(self) -> None:
        self._writes: dict[Cell, list[Write]] = {}
        self._count = 0

    def clear(self) -> None:
        """Forget everything: no event is under way that has read something."""
        self._writes.clear()
        self._count = 0

    def is_contested(self, by: Knowledge, cell: Cell) -> bool:
        """Whether another event has changed a cell, of a row that there was and is."""
        return any(
            write.by is not by and write.old is not ABSENT and write.new is not ABSENT
            for write in self._writes.get(cell, ())
        )

    def race(self, by: Knowledge, cell: Cell, held: Hashable) -> Race | None:
        """Return what is lost if an event overwrites a cell now.

        Args:
            held: What the cell holds.
        """
        others = [write for write in self._writes.get(cell, ()) if write.by is not by]
        if not others or others[-1].new != held:
            return None  # or it was rolled back since
        stale = None
        for read in _reads_of(by, cell):
            unseen = [write for write in others if write.step > read.step]
            if not unseen and _has_seen(by, cell, read, held):
                return None
            if unseen and unseen[0].old != held and _has_seen(by, cell, read, unseen[0].old):
                stale = Race(cell, read, unseen[-1])
        table, _, column = cell
        if by.unclear.get((table, column), 0) > others[-1].step:
            return None
        return stale

    def wrote(
        self, by: Knowledge, cell: Cell, old: Hashable, new: Hashable, step: int, place: str | None
    ) -> None:
        """Take note that an event has changed a cell."""
        for read in _reads_of(by, cell):  # whoever has written knows what is there
            if _has_seen(by, cell, read, old):
                by.knows(cell, Read(step, read.place))
        if old == new:
            return
        if self._count >= MAX_WRITES:
            self.clear()
        self._writes.setdefault(cell, []).append(Write(by, step, place, old, new))
        self._count += 1


def digest(value: object) -> Hashable:
    """Return what stands for a value when it is compared with others."""
    if isinstance(value, str | bytes) and len(value) > _LONGEST:
        return (type(value), len(value), hash(value))
    assert isinstance(value, Hashable), "a value of SQLite's"
    return value


def _reads_of(by: Knowledge, cell: Cell) -> list[Read]:
    table, _, column = cell
    known = by.cells.get(cell)
    return [*by.columns.get((table, column), ()), *([] if known is None else [known])]


def _has_seen(by: Knowledge, cell: Cell, read: Read, value: Hashable) -> bool:
    return by.cells.get(cell) is read or value in read.values
