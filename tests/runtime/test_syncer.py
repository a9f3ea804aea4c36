"""When a commit counts as durable, and what it costs."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import runtime
from runtime.commits import GatedCommits
from runtime.errors import SqlError
from runtime.gates import OutputGate
from runtime.sql import Database
from runtime.syncer import THREADS, SyncedFile, Syncer
from tests.runtime.databases import Ledger

PATIENCE = 10.0

Work = Callable[[], None]
Report = Callable[[Exception | None], object]


class HeldSyncer(Syncer):
    """Does its work when the test says so, on the test's own thread."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[Work, Report]] = []

    def run(self, work: Work, done: Report) -> None:
        self.held.append((work, done))

    def go_on(self, error: Exception | None = None) -> None:
        """Do the oldest piece of work, or have it fail."""
        work, done = self.held.pop(0)
        if error is None:
            work()
        done(error)


class Disk:
    """The names of the files that were synced, and how, in order."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: list[tuple[str, str]] = []
        self._folder = folder
        for how in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, how, partial(self._sync, how, getattr(os, how)))

    def _sync(self, how: str, really: Callable[[int], None], descriptor: int) -> None:
        really(descriptor)
        inode = os.fstat(descriptor).st_ino
        paths = [self._folder, *self._folder.iterdir()]
        self.synced += [(how, path.name) for path in paths if path.stat().st_ino == inode]


@pytest.fixture
async def syncer() -> Syncer:
    return Syncer()


@pytest.fixture
def held() -> HeldSyncer:
    return HeldSyncer()


@pytest.fixture
def path(folder: Path) -> Iterator[Path]:
    """A database with a WAL beside it, which is what gets synced."""
    database = Database(folder / "object.sqlite", Ledger())
    database.write("CREATE TABLE log (n)")
    database.commit()
    yield database.path
    database.close(checkpoint=False)


@pytest.fixture
def failures() -> list[OSError]:
    return []


@pytest.fixture
def file(path: Path, held: HeldSyncer, failures: list[OSError]) -> Iterator[SyncedFile]:
    file = SyncedFile(path, held, failures.append)
    yield file
    file.close()


@pytest.fixture
def log() -> list[str]:
    return []


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


# The threads.


async def test_work_is_done_on_another_thread_and_reported_on_the_loops(syncer: Syncer) -> None:
    threads: list[int] = []
    reported: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def done(error: Exception | None) -> None:
        threads.append(threading.get_ident())
        reported.set_result(error)

    syncer.run(lambda: threads.append(threading.get_ident()), done)
    assert not syncer.is_idle
    assert await asyncio.wait_for(reported, PATIENCE) is None

    worker, reporter = threads
    assert worker != reporter == threading.get_ident()
    assert syncer.is_idle


async def test_work_that_fails_is_reported_with_its_error(syncer: Syncer) -> None:
    reported: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    error = ValueError("why")

    def fail() -> None:
        raise error

    syncer.run(fail, reported.set_result)

    assert await asyncio.wait_for(reported, PATIENCE) is error
    assert syncer.is_idle


async def test_several_pieces_of_work_are_done_at_the_same_time(syncer: Syncer) -> None:
    """They wait for each other, so one after the other they would never end."""
    meeting = threading.Barrier(THREADS, timeout=PATIENCE)
    reports: list[Exception | None] = []
    everybody = asyncio.Event()

    def done(error: Exception | None) -> None:
        reports.append(error)
        if len(reports) == THREADS:
            everybody.set()

    def meet() -> None:
        meeting.wait()

    for _ in range(THREADS):
        syncer.run(meet, done)
    await asyncio.wait_for(everybody.wait(), PATIENCE)

    assert reports == [None] * THREADS


async def test_shutting_down_ends_after_the_work_that_was_given(syncer: Syncer) -> None:
    done: list[int] = []
    for number in range(3 * THREADS):
        syncer.run(partial(done.append, number), lambda error: None)

    syncer.shut_down()

    assert sorted(done) == list(range(3 * THREADS))
    await asyncio.sleep(0)  # the reports are still under way
    assert syncer.is_idle


# One file.


def test_the_files_themselves_are_made_durable_first_and_then_only_the_wal(
    file: SyncedFile, held: HeldSyncer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its entry in the folder, or the header that names its WAL, a commit is lost."""
    disk = Disk(folder, monkeypatch)
    for _ in range(3):
        file.sync(list)
        held.go_on()

    first, later = disk.synced[:-2], disk.synced[-2:]
    assert sorted(first) == sorted(
        [("fsync", "object.sqlite-wal"), ("fsync", "object.sqlite"), ("fsync", folder.name)]
    )
    assert later == [("fdatasync", "object.sqlite-wal")] * 2


def test_nothing_is_durable_before_the_sync_has_returned(
    file: SyncedFile, held: HeldSyncer, log: list[str]
) -> None:
    file.sync(lambda: log.append("durable"))
    assert log == []

    held.go_on()

    assert log == ["durable"]


def test_one_sync_speaks_for_all_commits_that_came_before_it_began(
    file: SyncedFile, held: HeldSyncer, log: list[str]
) -> None:
    for name in "abcd":
        file.sync(partial(log.append, name))
    assert len(held.held) == 1, "at most one is under way"

    held.go_on()
    assert (log, len(held.held)) == (["a"], 1)
    held.go_on()

    assert (log, len(held.held)) == (["a", "b", "c", "d"], 0)


def test_a_commit_that_comes_while_a_sync_is_under_way_waits_for_the_next(
    file: SyncedFile, held: HeldSyncer, log: list[str]
) -> None:
    file.sync(partial(log.append, "early"))
    work, done = held.held.pop()

    work()
    file.sync(partial(log.append, "late"))
    done(None)

    assert (log, len(held.held)) == (["early"], 1)


def test_a_commit_that_comes_from_a_done_starts_no_second_sync_beside_the_first(
    file: SyncedFile, held: HeldSyncer, log: list[str]
) -> None:
    file.sync(list)
    for name in "ab":
        file.sync(partial(file.sync, partial(log.append, name)))
    held.go_on()

    held.go_on()
    assert len(held.held) == 1, "at most one is under way"
    while held.held:
        held.go_on()

    assert log == ["a", "b"]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("why")])
def test_a_sync_that_fails_is_told_once_and_nothing_counts_as_durable(
    file: SyncedFile,
    held: HeldSyncer,
    failures: list[OSError],
    log: list[str],
    error: Exception,
) -> None:
    file.sync(partial(log.append, "under way"))
    file.sync(partial(log.append, "waiting"))

    held.go_on(error)

    assert [type(failure) for failure in failures] == [OSError]
    assert str(error) in str(failures[0])
    assert (log, held.held) == ([], [])


def test_a_missing_wal_is_a_failure(
    folder: Path, held: HeldSyncer, failures: list[OSError], log: list[str]
) -> None:
    file = SyncedFile(folder / "nowhere.sqlite", held, failures.append)
    file.sync(partial(log.append, "durable"))
    work, done = held.held.pop()

    with pytest.raises(FileNotFoundError) as caught:
        work()
    done(caught.value)

    assert (failures, log) == ([caught.value], [])
    file.close()


def test_closing_lets_go_of_the_files(file: SyncedFile, held: HeldSyncer) -> None:
    before = open_files()
    file.sync(list)
    held.go_on()
    assert open_files() > before

    file.close()
    file.close()

    assert open_files() == before


def test_closing_during_a_sync_lets_go_of_the_files_when_it_has_returned(
    file: SyncedFile, held: HeldSyncer, failures: list[OSError], log: list[str]
) -> None:
    before = open_files()
    file.sync(partial(log.append, "under way"))
    file.sync(partial(log.append, "waiting"))

    file.close()
    held.go_on()

    assert (log, failures, held.held) == ([], [], [])
    assert open_files() == before


def test_a_file_that_was_closed_fails_no_more(
    file: SyncedFile, held: HeldSyncer, failures: list[OSError]
) -> None:
    file.sync(list)
    file.close()

    held.go_on(OSError(5, "Input/output error"))

    assert failures == []


# Transactions and the output gate.


class Bound:
    """A database's commits, tied to an output gate."""

    def __init__(self, path: Path) -> None:
        self.held = HeldSyncer()
        self.output = OutputGate()
        self.losses: list[Exception] = []
        self.sent: list[str] = []
        self.file = SyncedFile(path, self.held, self.losses.append)
        self.commits = GatedCommits(self.output, self.file, self.losses.append)

    def send(self, message: str) -> None:
        self.output.send(partial(self.sent.append, message))


@pytest.fixture
def bound(path: Path) -> Iterator[Bound]:
    bound = Bound(path)
    yield bound
    bound.file.close()


def test_a_message_waits_from_the_first_write_until_the_commit_is_durable(bound: Bound) -> None:
    bound.send("before")
    bound.commits.begun()
    bound.send("after the write")
    bound.commits.committed()
    bound.send("after the commit")
    assert bound.sent == ["before"]

    bound.held.go_on()

    assert bound.sent == ["before", "after the write", "after the commit"]
    assert bound.commits.count == 1


def test_a_message_waits_for_no_commit_after_it(bound: Bound) -> None:
    for name in ("first", "second"):
        bound.commits.begun()
        bound.commits.committed()
        bound.send(name)

    bound.held.go_on()
    assert bound.sent == ["first"]
    bound.held.go_on()

    assert bound.sent == ["first", "second"]


def test_a_transaction_that_was_undone_holds_nothing_back(bound: Bound) -> None:
    bound.commits.begun()
    bound.send("after the write")

    bound.commits.undone()

    assert bound.sent == ["after the write"]
    assert (bound.commits.count, bound.held.held) == (0, [])


def test_a_transaction_that_is_lost_lets_nothing_out_that_came_after_it(bound: Bound) -> None:
    error = SqlError("database or disk is full")
    bound.commits.begun()
    bound.send("after the write")

    bound.commits.lost(error)

    assert (bound.sent, bound.losses) == ([], [error])
    assert not bound.output.is_open


def test_a_sync_that_fails_lets_nothing_out(bound: Bound) -> None:
    bound.commits.begun()
    bound.commits.committed()
    bound.send("after the commit")

    bound.held.go_on(OSError(5, "Input/output error"))

    assert bound.sent == []
    assert len(bound.losses) == 1


@pytest.mark.parametrize("end", [GatedCommits.committed, GatedCommits.undone])
def test_what_has_not_begun_cant_end(bound: Bound, end: Callable[[GatedCommits], None]) -> None:
    with pytest.raises(AssertionError, match="a transaction that hasn't begun"):
        end(bound.commits)


# All of it, seen from below.

WRITER = """
import asyncio, os, sys
from pathlib import Path
from runtime.commits import GatedCommits
from runtime.gates import OutputGate
from runtime.sql import Database
from runtime.syncer import SyncedFile, Syncer
from tests.runtime.databases import Ledger

async def write(path):
    output = OutputGate()
    file = SyncedFile(path, Syncer(), print)
    database = Database(path, GatedCommits(output, file, print))
    for _ in range(2):
        database.write("CREATE TABLE IF NOT EXISTS log (n)")
        database.write("INSERT INTO log VALUES (1)")
        database.commit()
        os.write(1, b"committed")
        left = asyncio.Event()
        output.send(left.set)
        await left.wait()
        os.write(1, b"left")

asyncio.run(write(Path(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the kernel has seen of a process that writes twice to a new database."""
    folder = tmp_path_factory.mktemp("traced")
    strace = shutil.which("strace")
    traced = [strace or "", "-f", "-e", "trace=fsync,fdatasync,write", "-o", f"{folder}/trace"]
    if strace is None or subprocess.run([*traced, "true"], capture_output=True).returncode:
        pytest.skip("strace isn't there, or may not trace")
    subprocess.run(
        [*traced, sys.executable, "-c", WRITER, str(folder / "object.sqlite")],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(runtime.__file__).parents[1])},
    )
    # Of a sync that others interrupt, the line that says how it has ended.
    found = re.findall(
        r'"(committed|left)"|(f(?:data)?sync)\b.*= 0$', (folder / "trace").read_text(), re.MULTILINE
    )
    return [word or sync for word, sync in found]


def test_the_kernel_sees_a_sync_between_each_commit_and_its_message(calls: list[str]) -> None:
    since_the_first_commit = calls[calls.index("committed") :]

    assert since_the_first_commit == [
        *("committed", "fsync", "fsync", "fsync", "left"),
        *("committed", "fdatasync", "left"),
    ]


def test_the_loop_waits_for_no_disk_when_an_object_is_new(calls: list[str]) -> None:
    assert calls.index("committed") == 0
