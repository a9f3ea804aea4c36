"""Which databases of a data folder at rest are damaged, missing, or another object's."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

from runtime.commits import Nobody
from runtime.copies import in_batches
from runtime.errors import StorageError
from runtime.history import SUFFIX as HISTORY
from runtime.history import History
from runtime.metadata import Metadata
from runtime.records import SUFFIX
from runtime.sql import Database
from runtime.tables import METADATA
from runtime.wal import path_of


def names_of_databases(objects: Path) -> list[str]:
    """Return ``<class>/<id>.sqlite`` of each database that is there, in order."""
    return sorted(_names(objects, SUFFIX))


def find_damage(objects: Path, names: list[str], heard: Callable[[int], object]) -> list[str]:
    """Look at all of each database, and return the names of those that can't be relied on.

    Args:
        objects: The folder in which each class has a folder of its own. Nothing in it is open.
        names: What `names_of_databases` has returned.
        heard: Called again and again with how many were looked at.

    Returns:
        Those that SQLite finds damage in, that say they are another object's, or that have
        nothing in them though they have a history; and, after these, those that aren't there
        though their histories are.
    """
    damaged: list[str] = []
    checked = 0
    for found in in_batches(partial(_is_sound, objects), names):
        batch = names[checked : checked + len(found)]
        damaged += [name for name, is_sound in zip(batch, found, strict=True) if not is_sound]
        checked += len(found)
        heard(checked)
    pasts = {name.removesuffix(HISTORY) + SUFFIX for name in _names(objects, HISTORY)}
    missing = sorted(pasts - set(names))
    return damaged + [name for name in missing if History(objects / name).exists()]


def is_sound_file(path: Path) -> bool:
    """Whether it is a database that SQLite finds no damage in. Nothing is written to its folder."""
    try:
        with closing(_immutable(path)) as connection:
            return _finds_no_damage(connection)
    except sqlite3.Error:
        return False


def uri_of(path: Path) -> str:
    """Return what SQLite calls a file."""
    return f"file:{quote(os.path.abspath(path))}"


def _names(objects: Path, suffix: str) -> list[str]:
    return [
        f"{folder.name}/{name}"
        for folder in objects.iterdir()
        for name in os.listdir(folder)
        if name.endswith(suffix)
    ]


def _is_sound(objects: Path, name: str) -> bool:
    path = objects / name
    if not path.stat().st_size:  # to SQLite that is a database
        return not History(path).exists()
    # The standard library's SQLite is twice as fast to begin with, and may know less.
    with suppress(sqlite3.Error), closing(_immutable(path)) as connection:
        if _finds_no_damage(connection):
            return _owner(connection) in (None, path.stem)
    database = Database(path, Nobody())
    is_sound = False
    with suppress(StorageError):
        is_whole = database.run("PRAGMA quick_check(1)") == [("ok",)]
        Metadata(database).recall(path.stem)
        is_sound = is_whole
    database.close(checkpoint=is_sound)
    path_of(path).unlink(missing_ok=True)
    return is_sound


def _immutable(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{uri_of(path)}?immutable=1", uri=True)


def _finds_no_damage(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)])


def _owner(connection: sqlite3.Connection) -> str | None:
    """Return the id of the object that the database says it is of, if it does."""
    found = "SELECT 1 FROM sqlite_schema WHERE name = ?"
    if connection.execute(found, (METADATA,)).fetchone() is None:
        return None
    row = connection.execute(f"SELECT value FROM {METADATA} WHERE key = 'id'").fetchone()
    return None if row is None else str(row[0])
