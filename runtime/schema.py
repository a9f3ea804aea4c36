"""The versions of an object's schema, and how it gets to the newest.

Objects sleep for as long as they like, so each migrates by itself when it wakes, through every
step it has missed. The version is SQLite's ``user_version``: it commits and rolls back with the
step it counts.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from typing import TypeAlias, cast

from runtime.errors import StorageError
from runtime.object import DurableObject
from runtime.sql import Database
from runtime.statements import SqlStorage

Step: TypeAlias = str | Callable[[SqlStorage], None]


def migrate(database: Database, sql: SqlStorage, cls: type[DurableObject[object]]) -> None:
    """Run the steps of ``cls.migrations`` that this database hasn't seen, each committed alone.

    Their statements may take as long as they need.

    Raises:
        StorageError: If a step fails, or the database was migrated by newer code than this.
            The steps before it stand, and the next life tries again.
    """
    steps = cls.migrations
    if not (steps or database.exists()):
        return
    version = cast(int, database.run("PRAGMA user_version")[0][0])
    if version > len(steps):
        raise StorageError(
            f"{cls.__name__}: this object's schema has version {version}, made by newer code; "
            f"this code knows {len(steps)}"
        )
    limit, database.statement_seconds = database.statement_seconds, None  # an index takes its time
    has_own_schema = database.has_own_schema
    try:
        for number, step in enumerate(steps[version:], version + 1):
            _take(database, sql, step, number, cls.__name__)
    finally:
        database.statement_seconds = limit
        database.has_own_schema = has_own_schema  # what migrations make, they make again


def _take(database: Database, sql: SqlStorage, step: Step, number: int, name: str) -> None:
    database.enter()
    try:
        _run(step, sql)
        database.write(f"PRAGMA user_version = {number}")
    except Exception as error:
        database.leave(keep=False)
        raise StorageError(f"{name}: migration {number} failed: {error}") from error
    database.leave(keep=True)
    database.commit()


def _run(step: Step, sql: SqlStorage) -> None:
    if isinstance(step, str):
        sql.exec(step)
        return
    rest: object = step(sql)
    if isinstance(rest, Coroutine | Generator):
        rest.close()  # it hasn't begun, and Python is to say nothing of it
    if isinstance(rest, Awaitable | Generator | AsyncGenerator):
        raise TypeError(f"it can't be async, nor a generator: {rest!r} was left to be run")
