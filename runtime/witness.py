"""What an object's code reads and writes in its database, cell by cell: for development.

SQLite says what a statement is about when it compiles it, by the authorizer; which columns its
results come from; and which rows are changed, from what to what. Nobody asks in production.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, cast

from runtime.races import ABSENT, Cell, Column, Knowledge, Race, Races, Read, digest

Row: TypeAlias = tuple[Any, ...]
Origin: TypeAlias = tuple[str | None, str | None]  # the table and the column of a result

KV: Final = "_cf_KV"
VALUE: Final = "value"

MAX_STATEMENTS: Final = 1000  # whose meaning is kept; SQLite's own cache keeps fewer
MAX_ROWS: Final = 200  # of what one statement changes that are looked at


class Scene(Protocol):
    """What is going on while the witness looks."""

    @property
    def knowledge(self) -> Knowledge:
        """What the event has read whose step runs."""

    @property
    def step(self) -> int:
        """The number of that step."""

    def place(self) -> str:
        """Return where the object's own code is."""

    def read(self, values: Iterable[object]) -> None:
        """The event has read this."""

    def stored(self, table: str, *, is_new: bool) -> None:
        """The event has changed a row of a table, or added it."""

    def raced(self, race: Race, place: str) -> None:
        """The event has overwritten, at `place`, what it hasn't seen."""


class Change(NamedTuple):
    """A row that is changed. What is added has nothing old, what is deleted nothing new."""

    table: str
    rowid: int
    old: Row | None
    new: Row | None
    is_direct: bool
    """Whether by a statement itself, and not by a trigger."""


@dataclass(eq=False, slots=True)
class _Statement:
    """What a statement does, by SQLite's authorizer."""

    reads: set[Column] = field(default_factory=set)
    updates: set[Column] = field(default_factory=set)
    inserts: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    """Tables, by triggers as well."""
    is_of_schema: bool = False

    def overwrites(self, change: Change, column: str) -> bool:
        """Whether it puts something in place of what a column held."""
        if change.old is not None and change.new is not None:
            return (change.table, column) in self.updates
        return change.table in self.inserts  # a row that is replaced is deleted, and inserted


class _Table(NamedTuple):
    columns: tuple[str, ...]
    key: tuple[int, ...]
    """Which of them tell its rows apart; none if the rows have numbers."""


_NOTHING: Final = _Statement()
# Putting and deleting are as one here: to delete a key is to overwrite it.
_PUT: Final = _Statement(updates={(KV, VALUE)}, inserts={KV})
_KEYS: Final = _Table(("key", VALUE), (0,))


class Witness:
    """Sees what is read and written in one object's database, and who is overwritten."""

    def __init__(self, scene: Scene, run: Callable[..., Sequence[Row]]) -> None:
        """Args:
        run: Runs a statement of the runtime's own.
        """
        self.races = Races()
        self._scene = scene
        self._run = run
        self._statements: OrderedDict[str, _Statement] = OrderedDict()
        self._tables: dict[str, _Table] = {}
        # The statement that ran last, where that was, and how many rows it has changed.
        self._statement, self._place, self._rows = _NOTHING, "", 0

    # Called by the database.

    def compiles(self, statement: str, action: str, table: str | None, column: str | None) -> None:
        """A statement of the object's does this, among other things.

        Nothing is said of one that comes from SQLite's cache: it was compiled before.
        """
        meaning = self._statements.get(statement)
        if meaning is None:
            meaning = self._statements[statement] = _Statement()
            if len(self._statements) > MAX_STATEMENTS:
                self._statements.popitem(last=False)
        table = table or ""
        if action in ("UPDATE", "INSERT", "DELETE"):
            meaning.changes.add(table)
        match action:
            case "READ":
                meaning.reads.add((table, column or ""))
            case "UPDATE":
                meaning.updates.add((table, column or ""))
            case "INSERT":
                meaning.inserts.add(table)
            case "ALTER_TABLE" | "CREATE_TABLE" | "DROP_TABLE":
                meaning.is_of_schema = True

    def runs(self, statement: str, origins: Sequence[Origin]) -> Callable[[object, Row], Row]:
        """A statement of the object's begins.

        Returns:
            What is to be called with each of its rows, as the second argument, and returns it.
        """
        scene = self._scene
        if self._statement.is_of_schema:
            self._tables.clear()
        self._statement = self._statements.get(statement, _NOTHING)
        self._place, self._rows = scene.place(), 0
        if self._statement is not _NOTHING:
            self._statements.move_to_end(statement)
        for table in self._statement.changes - set(self._tables):  # while SQLite can be asked
            self._tables[table] = self._table(table)
        for column in self._statement.reads - set(origins):  # SET n = n + 1, for instance
            scene.knowledge.unclear[column] = scene.step
        reads = [Read(scene.step, self._place, {ABSENT}) for _ in origins]
        for origin, read in zip(origins, reads, strict=True):
            if None not in origin:
                scene.knowledge.reads(cast(Column, origin), read)

        def take(_: object, row: Row) -> Row:
            # It has more columns if it was compiled anew, which happens after it has begun.
            for read, value in zip(reads, row, strict=False):
                read.step = scene.step  # a row may be asked for long after the others
                read.values.discard(ABSENT)
                read.add(value)
            scene.read(row)
            return row

        return take

    @property
    def has_room(self) -> bool:
        """Whether it looks at more rows that the object's statement changes."""
        return self._rows < MAX_ROWS

    def changed(self, change: Change) -> None:
        """A row is being changed."""
        self._scene.stored(change.table, is_new=change.old is None)
        if change.table == KV:
            self._look_at(change, _KEYS, _PUT, self._scene.place())
        elif change.table in self._tables:
            self._rows += 1
            self._look_at(change, self._tables[change.table], self._statement, self._place)

    def wiped(self) -> None:
        """The database was emptied."""
        self._tables.clear()
        self._scene.stored("", is_new=True)

    # Called by the rest of the storage.

    def looked_up(self, found: Mapping[str, object]) -> None:
        """The object has read the values of keys; what is missing is whatever stands for it."""
        scene, place = self._scene, self._scene.place()
        for key in found:
            scene.knowledge.knows((KV, key, VALUE), Read(scene.step, place))
        scene.read(found.values())

    def _table(self, name: str) -> _Table:
        info = self._run("SELECT name, pk FROM pragma_table_xinfo(?) ORDER BY cid", name)
        ((has_no_numbers,),) = self._run(
            "SELECT max(wr) FROM pragma_table_list WHERE schema = 'main' AND name = ?", name
        )
        key = tuple(index for index, (_, pk) in enumerate(info) if pk) if has_no_numbers else ()
        return _Table(tuple(column for column, _ in info), key)

    def _look_at(self, change: Change, table: _Table, statement: _Statement, place: str) -> None:
        knowledge, races = self._scene.knowledge, self.races
        cells = list(_cells(change, table))
        # If it looks at something that others have changed there, it goes by how that is now.
        is_aware = any(
            (cell[0], cell[2]) in statement.reads and races.is_contested(knowledge, cell)
            for cell, _, _ in cells
        )
        for cell, old, _ in cells:
            if change.is_direct and not is_aware and statement.overwrites(change, cell[2]):
                race = races.race(knowledge, cell, old)
                if race is not None:
                    self._scene.raced(race, place)
        for cell, old, new in cells:
            races.wrote(knowledge, cell, old, new, self._scene.step, place)


def _cells(change: Change, table: _Table) -> Iterator[tuple[Cell, Hashable, Hashable]]:
    """Yield each cell of a row, with what it held and what it holds."""
    row = change.new if change.old is None else change.old
    if row is None or len(row) != len(table.columns):
        return  # the table has become another since
    key: Hashable = change.rowid
    if table.key:
        key = row[table.key[0]] if len(table.key) == 1 else tuple(row[at] for at in table.key)
    for index, column in enumerate(table.columns):
        old, new = (
            ABSENT if values is None else digest(values[index])
            for values in (change.old, change.new)
        )
        yield (change.table, key, column), old, new
