"""What a node knows of all its objects, asleep or awake: that they exist, and when to wake them.

A database of its own, through aiosqlite, because nothing waits for it in the hot path: changes
are gathered and written together. It may lag behind the objects' own databases and never leads
them, so after a crash the objects that were awake are asked again (`Host.open`).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, Self

import aiosqlite

from runtime.classes import Plan
from runtime.errors import DataFolderRefused, SqlError
from runtime.tasks import spawn_outside

VERSION: Final = 1  # of what follows; 0 was the same, and didn't say so
_SCHEMA: Final = f"""
    BEGIN;
    CREATE TABLE IF NOT EXISTS classes (name TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS migrations (position INTEGER PRIMARY KEY, tag TEXT NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS objects (
        directory TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT,
        PRIMARY KEY (directory, id)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS alarms (
        directory TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        due REAL NOT NULL,
        PRIMARY KEY (directory, id, name)
    ) WITHOUT ROWID;
    PRAGMA user_version = {VERSION};
    COMMIT;
"""
_THE_ONE: Final = ""  # in the table, the alarm that has no name
_ROWS_AT_ONCE: Final = 64  # of a cursor that is read bit by bit, which none is

CatalogError = aiosqlite.Error
"""What the catalog's methods raise when it can't be read or written."""

log = logging.getLogger("runtime")

Alarms = Mapping[str | None, float]
"""When each of an object's alarms is due; the one without a name under None."""


class Key(NamedTuple):
    """Which object, as the catalog keeps it."""

    directory: str
    """Where the objects of its class and jurisdiction are kept."""
    hex: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What has changed about an object. `alarms` is None if the object is gone."""

    name: str | None
    alarms: Alarms | None


class Connection(Protocol):
    """What the catalog needs of a connection, as aiosqlite has it."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Awaitable[object]: ...
    def executemany(self, sql: str, parameters: Any, /) -> Awaitable[object]: ...
    def execute_fetchall(self, sql: str, parameters: Any = ..., /) -> Awaitable[Iterable[Any]]: ...
    def commit(self) -> Awaitable[None]: ...
    def rollback(self) -> Awaitable[None]: ...
    def close(self) -> Awaitable[None]: ...


Connect = Callable[[Callable[[], sqlite3.Connection], int], Awaitable[Connection]]
"""Makes a connection of what opens its file, and of how many rows it reads at once."""


class Catalog:
    """The node's own database.

    Invariants:
        - Changes of one object are written in the order in which they were noted.
        - `flush` returns once everything noted before is durable.

    Attributes:
        failed: Called when the disk has refused a write, with the error, and with what to call
            for another try. Without it, and after other errors, the next change tries again.
    """

    def __init__(self, connection: Connection) -> None:
        self.failed: Callable[[SqlError, Callable[[], object]], object] = _ignore
        self._connection = connection
        self._changes: dict[Key, Entry] = {}
        self._stamp: int | None = None  # what is to be kept of it, if that is another
        self._writing = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path, connect: Connect = aiosqlite.Connection) -> Self:
        """Open the catalog. Make it if there is none, and bring an older one up to date.

        Args:
            connect: What makes its connection; with a thread of its own by default.

        Raises:
            DataFolderRefused: If it can't be opened, or is one of a newer version.
        """
        failures: list[Exception] = []
        try:
            connection = await connect(partial(_open, path, failures), _ROWS_AT_ONCE)
            for failure in failures:
                await connection.close()  # which waits for its thread, unlike an error in there
                raise failure
        except CatalogError as error:
            raise DataFolderRefused(
                f"the catalog {path} can't be opened: {error}. Restore a backup of the data folder"
            ) from error
        return cls(connection)

    async def close(self) -> None:
        """Write what is left, and close."""
        try:
            await self.flush()
            if self._writer is not None:
                await self._writer
        finally:
            await self._connection.close()

    async def abandon(self) -> None:
        """Close without writing what is left, as when the process dies."""
        self._changes.clear()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        async with self._writing:
            await self._connection.close()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being written. What can't be written waits for another try."""
        has_given_up = self._writer is None or self._writer.done()
        return not self._writing.locked() and (has_given_up or not self._changes)

    def note(self, key: Key, name: str | None, alarms: Alarms) -> None:
        """Note that an object has storage, and all its alarms."""
        self._change(key, Entry(name, dict(alarms)))

    def forget(self, key: Key) -> None:
        """Note that an object has no storage any more."""
        self._change(key, Entry(None, None))

    async def flush(self) -> None:
        """Write what has been noted. That goes on even if the caller stops waiting for it."""
        await asyncio.shield(spawn_outside(self._flush()))

    async def _flush(self) -> None:
        async with self._writing:
            if not self._changes and self._stamp is None:
                return
            changes, self._changes = self._changes, {}
            stamp, self._stamp = self._stamp, None
            try:
                await self._write(changes, stamp)
                await self._connection.commit()
            except CatalogError:
                self._changes = {**changes, **self._changes}
                self._stamp = stamp if self._stamp is None else self._stamp
                await self._connection.rollback()
                raise

    async def try_flush(self) -> bool:
        """Write what has been noted, and return whether that was possible."""
        try:
            await self.flush()
        except (CatalogError, ValueError) as error:  # the latter if it is closed
            failure = _failure(error)
            if failure.retryable:
                self.failed(failure, self._write_soon)
            else:  # nothing is lost; the next change tries again
                log.exception("the catalog can't be written")
            return False
        return True

    async def class_keys(self) -> dict[str, str]:
        """Return the key under which each class's objects are kept."""
        rows = await self._connection.execute_fetchall("SELECT name, key FROM classes")
        return {name: key for name, key in rows}

    async def migration_tags(self) -> list[str]:
        """Return the tags of the class migrations that have been applied, in order."""
        rows = await self._connection.execute_fetchall(
            "SELECT tag FROM migrations ORDER BY position"
        )
        return [tag for (tag,) in rows]

    async def carry_out(self, plan: Plan) -> None:
        """Take over a plan for the classes. The deleted ones' files must be gone already."""
        async with self._writing:
            await self._connection.execute("DELETE FROM classes")
            await self._connection.executemany(
                "INSERT INTO classes (name, key) VALUES (?, ?)", list(plan.keys.items())
            )
            await self._each(
                "INSERT INTO migrations (tag) VALUES (?)", [(tag,) for tag in plan.new_tags]
            )
            for key in plan.deleted_keys:
                for table in ("objects", "alarms"):
                    await self._connection.execute(
                        f"DELETE FROM {table} "
                        "WHERE directory = ?1 OR instr(directory, ?1 || '@') = 1",
                        (key,),
                    )
            await self._connection.commit()

    async def latest_stamp(self) -> int:
        """Return the latest time that a commit had when the node last stopped; 0 at first."""
        rows = await self._connection.execute_fetchall(
            "SELECT value FROM marks WHERE name = 'stamp'"
        )
        return next((int(stamp) for (stamp,) in rows), 0)

    def keep_stamp(self, stamp: int) -> None:
        """Note that time, for the next `flush`. At the latest when the journal is erased."""
        self._stamp = stamp

    async def alarms(self) -> list[tuple[Key, str | None, str | None, float]]:
        """Return all alarms: whose, that object's name, the alarm's name, and when it is due."""
        rows = await self._connection.execute_fetchall(
            "SELECT directory, id, objects.name, alarms.name, due "
            "FROM alarms LEFT JOIN objects USING (directory, id)"
        )
        return [
            (Key(directory, hex), name, alarm or None, due)
            for directory, hex, name, alarm, due in rows
        ]

    async def ids(
        self, directory: str, *, prefix: str | None, after: str | None, limit: int
    ) -> list[tuple[str, str | None]]:
        """Return ids and names, in the order of the ids.

        Raises:
            ValueError: If `limit` is negative.
            SqlError: If the catalog can't be read, or what was noted can't be written.
        """
        if limit < 0:  # which SQLite takes for no limit at all
            raise ValueError(f"List limit must not be negative, but is {limit}.")
        try:
            await self.flush()
            rows = await self._connection.execute_fetchall(
                "SELECT id, name FROM objects WHERE directory = ? AND id > ? "
                "AND (? IS NULL OR substr(name, 1, length(?)) = ?) ORDER BY id LIMIT ?",
                (directory, after or "", prefix, prefix, prefix, limit),
            )
        except CatalogError as error:
            raise _failure(error) from error
        return [(id, name) for id, name in rows]

    def _change(self, key: Key, entry: Entry) -> None:
        self._changes.pop(key, None)
        self._changes[key] = entry
        self._write_soon()

    def _write_soon(self) -> None:
        if self._writer is None or self._writer.done():
            self._writer = spawn_outside(self._write_behind())

    async def _write_behind(self) -> None:
        while self._changes and await self.try_flush():
            pass

    async def _write(self, changes: Mapping[Key, Entry], stamp: int | None) -> None:
        there = {key: entry for key, entry in changes.items() if entry.alarms is not None}
        await self._each("DELETE FROM alarms WHERE directory = ? AND id = ?", changes)
        await self._each(
            "DELETE FROM objects WHERE directory = ? AND id = ?", changes.keys() - there.keys()
        )
        await self._each(
            "INSERT INTO objects (directory, id, name) VALUES (?, ?, ?) "
            "ON CONFLICT (directory, id) DO UPDATE SET name = coalesce(excluded.name, name)",
            [(*key, entry.name) for key, entry in there.items()],
        )
        await self._each(
            "INSERT INTO alarms (directory, id, name, due) VALUES (?, ?, ?, ?)",
            [
                (*key, alarm or _THE_ONE, due)
                for key, entry in there.items()
                for alarm, due in (entry.alarms or {}).items()
            ],
        )
        if stamp is not None:
            await self._connection.execute(
                "INSERT OR REPLACE INTO marks (name, value) VALUES ('stamp', ?)", (stamp,)
            )

    async def _each(self, statement: str, rows: Collection[tuple[Any, ...]]) -> None:
        if rows:  # one visit to the thread for all of them, and none for nothing
            await self._connection.executemany(statement, rows)


def _open(path: Path, failures: list[Exception]) -> sqlite3.Connection:
    """Open the file as the catalog needs it, all at once, on the catalog's thread."""
    connection = sqlite3.connect(path)
    try:
        _bring_up_to_date(connection, path)
    except (CatalogError, DataFolderRefused) as error:
        failures.append(error)
    return connection


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Make what isn't there. A file of a newer version isn't touched."""
    [(version,)] = connection.execute("PRAGMA user_version")
    if version > VERSION:
        raise DataFolderRefused(
            f"the catalog {path} was written by a newer version; use that one, or a backup"
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if version < VERSION:
        connection.executescript(_SCHEMA)


def _failure(error: Exception) -> SqlError:
    code = getattr(error, "sqlite_errorname", None)
    return SqlError(f"the catalog can't be used: {error}", code=code)


def _ignore(_: SqlError, __: Callable[[], object]) -> None:
    """Nobody knows when to try again."""
