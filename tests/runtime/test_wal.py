"""What commits add to SQLite's write-ahead log, read beside SQLite itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runtime import wal
from runtime.sql import Database
from tests.runtime.databases import Ledger, execute


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "a.sqlite"


@pytest.fixture
def opened(path: Path) -> Iterator[Database]:
    database = Database(path, Ledger())
    yield database
    database.close(checkpoint=False)


def commit(database: Database, tail: wal.Tail, *statements: str) -> wal.Frames:
    """Commit some statements, and return what that has added."""
    for statement in statements:
        execute(database, statement)
    database.commit()
    return tail.read(database.wal_pages)


def applied(image: bytearray, frames: wal.Frames) -> None:
    """Bring a database's file up to date."""
    for page in wal.pages(frames.content, frames.page_size):
        begin = (page.number - 1) * frames.page_size
        image.extend(bytes(max(0, begin + frames.page_size - len(image))))
        image[begin : begin + frames.page_size] = frames.content[
            page.start : page.start + frames.page_size
        ]
        if page.size_after:
            del image[page.size_after * frames.page_size :]


def rows(image: bytes, folder: Path) -> list[tuple[object, ...]]:
    copy = folder / "copy.sqlite"
    copy.write_bytes(image)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return connection.execute("SELECT * FROM t ORDER BY n").fetchall()


def test_the_frames_of_all_commits_are_the_database(
    opened: Database, path: Path, folder: Path
) -> None:
    tail, image = wal.Tail(path), bytearray()
    applied(image, commit(opened, tail, "CREATE TABLE t (n, text)"))
    for n in range(200):
        if n % 40 == 39:
            opened.checkpoint()
        applied(image, commit(opened, tail, f"INSERT INTO t VALUES ({n}, hex(randomblob(300)))"))
    applied(image, commit(opened, tail, "DELETE FROM t WHERE n % 2"))
    opened.wipe()
    applied(image, tail.read(opened.wal_pages))
    applied(image, commit(opened, tail, "CREATE TABLE t (n)", "INSERT INTO t VALUES (1)"))
    tail.close()

    assert rows(bytes(image), folder) == [(1,)]


def test_what_is_rolled_back_or_spilt_on_the_way_isnt_read(
    opened: Database, path: Path, folder: Path
) -> None:
    tail, image = wal.Tail(path), bytearray()
    applied(image, commit(opened, tail, "CREATE TABLE t (n, blob)"))
    execute(
        opened,
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT 2000) "
        "INSERT INTO t SELECT n, randomblob(3000) FROM c",
    )  # more than SQLite's cache
    opened.rollback()
    applied(image, commit(opened, tail, "INSERT INTO t VALUES (7, NULL)"))
    tail.close()

    assert rows(bytes(image), folder) == [(7, None)]


def test_a_commit_that_changes_nothing_adds_nothing(opened: Database, path: Path) -> None:
    tail = wal.Tail(path)
    commit(opened, tail, "CREATE TABLE t (n)")

    assert commit(opened, tail, "UPDATE t SET n = 1").content == b""
    tail.close()


def test_a_log_that_is_cut_ends_with_the_commit_before(opened: Database, path: Path) -> None:
    tail = wal.Tail(path)
    commit(opened, tail, "CREATE TABLE t (n)", "INSERT INTO t VALUES (1)")
    lost = commit(opened, tail, "INSERT INTO t VALUES (2)")
    commit(opened, tail, "INSERT INTO t VALUES (3)")
    tail.close()
    opened.close(checkpoint=False)

    wal.cut(path, lost.begin)

    assert execute(opened, "SELECT n FROM t") == [(1,)]


def test_a_log_that_is_cut_at_its_beginning_is_empty(opened: Database, path: Path) -> None:
    tail = wal.Tail(path)
    commit(opened, tail, "CREATE TABLE t (n)")
    opened.checkpoint()
    first = commit(opened, tail, "INSERT INTO t VALUES (2)")
    tail.close()
    opened.close(checkpoint=False)

    wal.cut(path, first.begin)

    assert execute(opened, "SELECT n FROM t") == []
