"""What a power cut leaves: parts, of what wasn't durable only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.power import SECTOR, Appended, Changed, tear_logs, torn
from runtime.records import HEADER_SIZE
from runtime.segments import path_of_segment

OLD, NEW = b"o" * 3 * SECTOR, b"n" * 5 * SECTOR


def randoms() -> Iterator[Random]:
    """Return some seeds' numbers: what may be left is left by one of them."""
    return map(Random, range(300))


@given(st.binary(max_size=3000), st.binary(max_size=3000), st.randoms(use_true_random=False))
def test_each_sector_is_the_old_one_or_the_new_one(before: bytes, after: bytes, r: Random) -> None:
    left = torn(before, after, r)

    assert min(len(before), len(after)) <= len(left) <= max(len(before), len(after))
    old, new = (content[: len(left)].ljust(len(left), b"\0") for content in (before, after))
    for at in range(0, len(left), SECTOR):
        here = slice(at, at + SECTOR)
        assert left[here] in (old[here], new[here])


def test_everything_may_be_left_or_nothing_or_some_of_it() -> None:
    left = {torn(OLD, NEW, random) for random in randoms()}

    assert {OLD, NEW} < left


@pytest.mark.parametrize("is_new", [False, True])
def test_of_a_journal_what_was_durable_stays(tmp_path: Path, is_new: bool) -> None:
    path_of_segment(tmp_path, 1).write_bytes(OLD)
    path, durable = (
        (path_of_segment(tmp_path, 2), 0)
        if is_new
        else (
            path_of_segment(tmp_path, 1),
            len(OLD),
        )
    )
    lengths = set()
    for random in randoms():
        path.write_bytes(OLD[:durable])
        if is_new:
            path.unlink()
        writes = Appended(tmp_path)
        path.write_bytes(OLD[:durable] + NEW)
        writes.tear(random)
        left = path.read_bytes()
        lengths.add(len(left))

        assert left.startswith(NEW[:HEADER_SIZE] if is_new else OLD)
    assert len(lengths) > 2
    assert path_of_segment(tmp_path, 1).read_bytes().startswith(OLD)


def test_a_history_is_durable_before_its_database_is_touched(tmp_path: Path) -> None:
    (tmp_path / "Class").mkdir()
    database, history = (tmp_path / "Class" / f"a.{suffix}" for suffix in ("sqlite", "history"))
    seen = set()
    for random in randoms():
        database.write_bytes(OLD)
        history.write_bytes(b"h")
        writes = Changed(tmp_path)
        database.write_bytes(NEW)
        history.write_bytes(b"h" + NEW)
        writes.end()
        writes.tear(random)
        is_whole, is_touched = history.read_bytes() == b"h" + NEW, database.read_bytes() != OLD
        seen.add((is_whole, is_touched))

        assert is_whole or not is_touched
        assert history.read_bytes().startswith(b"h")
    assert seen == {(False, False), (True, False), (True, True)}


def test_what_is_deleted_may_still_be_there(tmp_path: Path) -> None:
    (tmp_path / "Class").mkdir()
    database = tmp_path / "Class" / "a.sqlite"
    found = set()
    for random in randoms():
        database.write_bytes(OLD)
        writes = Changed(tmp_path)
        database.unlink()
        writes.end()
        writes.tear(random)
        found.add(database.exists() and database.read_bytes() == OLD)

    assert found == {False, True}


def test_logs_are_left_in_part(tmp_path: Path) -> None:
    (tmp_path / "Class").mkdir()
    log = tmp_path / "Class" / "a.sqlite-wal"
    found = set()
    for random in randoms():
        log.write_bytes(NEW)
        tear_logs(tmp_path, random)
        found.add(log.read_bytes())

    assert {b"", NEW} < found
