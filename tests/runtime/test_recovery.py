"""What is found after a process was killed, by way of a process that is killed."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

import runtime
from runtime.recovery import Recovered, recover

AWAKE = "aa" * 32
UNNAMED = "bb" * 32
ASLEEP = "cc" * 32
FAILED = "dd" * 32

FRAME_BYTES = 24 + 4096  # of a WAL, for each page that a commit has changed

VICTIM = f"""
import sys
from pathlib import Path
from runtime.alarms import MAX_RETRIES, AlarmTable
from runtime.schema import ObjectName
from runtime.sql import Database

class Unheard:
    def begun(self): pass
    def committed(self): pass
    def undone(self): pass

def start(directory, hex):
    folder = Path(sys.argv[1], directory)
    folder.mkdir(exist_ok=True)
    database = Database(folder / f"{{hex}}.sqlite", Unheard())
    database.write("CREATE TABLE log (n)")
    for n in range(3):
        database.write("INSERT INTO log VALUES (?)", n)
        database.commit()
    return database

awake = start("Room", {AWAKE!r})
ObjectName(awake).keep("gala")
AlarmTable(awake).set(None, 100.0)
AlarmTable(awake).set("reminder", 200.0)
awake.commit()
awake.write("INSERT INTO log VALUES (99)")

unnamed = start("Room@eu", {UNNAMED!r})

start("Room", {ASLEEP!r}).close(checkpoint=True)

failed = start("Room", {FAILED!r})
alarms = AlarmTable(failed)
for name in ("for good", "once"):
    alarms.set(name, 100.0)
alarms.fail(alarms.ring("once", 100.0), "why", 100.0)
for _ in range(MAX_RETRIES + 1):
    alarms.fail(alarms.ring("for good", 1e12), "why", 100.0)
failed.commit()

print("ready", flush=True)
sys.stdin.read()
"""

RESCUER = """
import os, sys
from pathlib import Path
from runtime.recovery import recover

recover(Path(sys.argv[1]))
os.write(1, b"recovered")
"""


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(runtime.__file__).parents[1])},
    )


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The objects of a process that was killed in the middle of its work."""
    objects = tmp_path_factory.mktemp("killed")
    with start([sys.executable, "-c", VICTIM, str(objects)]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
    return objects


@pytest.fixture
def objects(killed: Path, folder: Path) -> Path:
    """The same, to be recovered by one test."""
    return Path(shutil.copytree(killed, folder / "objects"))


def found(objects: Path) -> dict[str, Recovered]:
    return {recovered.hex: recovered for recovered in recover(objects)}


def rows(database: Path) -> list[int]:
    """What the database file itself holds, its WAL left aside."""
    copy = database.with_name("copy")
    shutil.copyfile(database, copy)
    with closing(sqlite3.connect(copy)) as connection:
        return [n for (n,) in connection.execute("SELECT n FROM log ORDER BY n")]


def test_the_objects_that_were_awake_are_found_and_no_others(objects: Path) -> None:
    assert set(found(objects)) == {AWAKE, UNNAMED, FAILED}


def test_an_object_that_was_awake_says_its_name_and_its_alarms(objects: Path) -> None:
    recovered = found(objects)

    assert recovered[AWAKE] == Recovered("Room", AWAKE, "gala", {None: 100.0, "reminder": 200.0})
    assert recovered[UNNAMED] == Recovered("Room@eu", UNNAMED, None, {})


def test_an_alarm_that_waits_for_its_next_try_is_found_and_one_that_failed_for_good_isnt(
    objects: Path,
) -> None:
    alarms = found(objects)[FAILED].alarms

    assert list(alarms) == ["once"]
    assert 102.0 <= alarms["once"] <= 102.5


def test_what_was_committed_is_in_the_database_itself_afterwards_and_nothing_else(
    objects: Path,
) -> None:
    database = objects / "Room" / f"{AWAKE}.sqlite"
    assert Path(f"{database}-wal").stat().st_size > 0

    recover(objects)

    assert rows(database) == [0, 1, 2]
    assert list(objects.glob("*/*-wal")) == []


def test_recovering_again_finds_nothing_to_do(objects: Path) -> None:
    recover(objects)

    assert recover(objects) == []
    assert rows(objects / "Room" / f"{AWAKE}.sqlite") == [0, 1, 2]


@pytest.mark.parametrize("exists", [True, False])
def test_without_objects_there_is_nothing_to_do(folder: Path, exists: bool) -> None:
    if exists:
        (folder / "objects" / "Room").mkdir(parents=True)

    assert recover(folder / "objects") == []


@pytest.mark.parametrize(
    ("missing_bytes", "left"), [(1, [0, 1]), (FRAME_BYTES, [0, 1]), (FRAME_BYTES + 1, [0])]
)
def test_a_torn_commit_is_lost_and_none_before_it(
    objects: Path, missing_bytes: int, left: list[int]
) -> None:
    wal = objects / "Room@eu" / f"{UNNAMED}.sqlite-wal"
    os.truncate(wal, wal.stat().st_size - missing_bytes)

    assert UNNAMED in found(objects)

    assert rows(objects / "Room@eu" / f"{UNNAMED}.sqlite") == left


def test_garbage_after_the_last_commit_does_no_harm(objects: Path) -> None:
    wal = objects / "Room@eu" / f"{UNNAMED}.sqlite-wal"
    with wal.open("ab") as end:
        end.write(os.urandom(3000))

    assert UNNAMED in found(objects)

    assert rows(objects / "Room@eu" / f"{UNNAMED}.sqlite") == [0, 1, 2]


def test_an_empty_wal_is_no_reason_to_lose_the_database(objects: Path) -> None:
    database = objects / "Room" / f"{ASLEEP}.sqlite"
    Path(f"{database}-wal").touch()

    assert found(objects)[ASLEEP] == Recovered("Room", ASLEEP, None, {})

    assert rows(database) == [0, 1, 2]


def test_a_wal_whose_database_was_just_deleted_makes_no_object(objects: Path) -> None:
    """Deleting takes the database first; what was killed then has nothing stored any more."""
    (objects / "Room" / f"{AWAKE}.sqlite").unlink()

    assert AWAKE not in found(objects)

    assert list((objects / "Room").glob(f"{AWAKE}*")) == []


def test_a_damaged_database_keeps_no_other_from_being_recovered(objects: Path) -> None:
    damaged = objects / "Room" / f"{FAILED}.sqlite"
    damaged.write_bytes(b"damaged" * 4096)
    Path(f"{damaged}-wal").write_bytes(b"damaged" * 4096)

    assert {AWAKE, UNNAMED} <= set(found(objects))

    assert rows(objects / "Room" / f"{AWAKE}.sqlite") == [0, 1, 2]


def test_many_objects_are_recovered(killed: Path, folder: Path) -> None:
    room = folder / "objects" / "Room"
    room.mkdir(parents=True)
    for number in range(40):
        for suffix in ("", "-wal"):
            source = killed / "Room" / f"{AWAKE}.sqlite{suffix}"
            shutil.copyfile(source, room / f"{number:064x}.sqlite{suffix}")

    recovered = found(folder / "objects")

    assert sorted(recovered) == [f"{number:064x}" for number in range(40)]
    assert {found.name for found in recovered.values()} == {"gala"}


def test_the_kernel_sees_each_database_synced_before_recovery_is_over(
    objects: Path, folder: Path
) -> None:
    strace = shutil.which("strace")
    traced = [strace or "", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", f"{folder}/trace"]
    if strace is None or subprocess.run([*traced, "true"], capture_output=True).returncode:
        pytest.skip("strace isn't there, or may not trace")

    with start([*traced, sys.executable, "-c", RESCUER, str(objects)]) as process:
        assert process.communicate()[0] == "recovered"

    synced = re.findall(r"fdatasync\(.*/(\w+)\.sqlite>", (folder / "trace").read_text())
    assert set(synced) == {AWAKE, UNNAMED, FAILED}
