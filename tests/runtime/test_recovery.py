"""What is there after a crash, whatever the disk has kept of what was never synced."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runtime import journal as journal_module
from runtime import recovery
from runtime.alarms import AlarmTable
from runtime.clock import ManualClock, SystemClock
from runtime.commits import GatedCommits
from runtime.differences import write
from runtime.errors import DataFolderRefused, StorageError
from runtime.gates import OutputGate
from runtime.histories import Histories
from runtime.history import History, Retention
from runtime.journal import Journal
from runtime.metadata import Metadata
from runtime.records import Entry, Header, Kind
from runtime.recovery import Recovered, recover
from runtime.segments import Index, erase, path_of_segment
from runtime.sql import Database
from runtime.stamps import Stamps
from runtime.syncer import Syncer
from runtime.wal import path_of
from tests.runtime.disk import turns

PAGE = 4096
RETENTION = Retention(10**15, 10**9)
HEXES = ["aa" * 32, "bb" * 32, "cc" * 32]


class HeldSyncer(Syncer):
    """Does its work when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[Callable[[], None], Callable[[Exception | None], object]]] = []

    def run(
        self,
        work: Callable[[], None],
        done: Callable[[Exception | None], object],
        *,
        is_urgent: bool = False,
    ) -> None:
        self.held.append((work, done))

    def go_on(self) -> None:
        """Do the oldest piece of work."""
        if self.held:
            work, done = self.held.pop(0)
            work()
            done(None)


class Thing:
    """An object's database, and what was acknowledged of what was written to it."""

    def __init__(self, path: Path, journal: Journal, histories: Histories) -> None:
        self.name = f"{path.parent.name}/{path.name}"
        self.path = path
        self.histories = histories
        output = OutputGate()
        self._send = output.send
        self.commits = GatedCommits(
            path, journal, output, histories, lost=_must_not, idle=lambda: None
        )
        self.database = Database(path, self.commits)
        self.written = 0
        self.acknowledged = self.settled = 0
        self.stamps = [0]
        """When each was written."""
        self.base: bytes | None = None
        """The file as it was last synced."""

    def write(self, rng: random.Random) -> None:
        if not self.written:
            self.database.write("CREATE TABLE log (n, filling)")
        if rng.random() < 0.2:
            self.database.write("UPDATE log SET filling = zeroblob(?)", rng.randrange(2000))
        self.written += 1
        filling = bytes(rng.randrange(20, 6000))
        self.database.write("INSERT INTO log VALUES (?, ?)", self.written, filling)
        self.database.commit()
        self.stamps.append(self.histories.stamps.last)
        self.stamps[0] = self.stamps[1] - 1
        self._send(partial(setattr, self, "acknowledged", self.written))

    def settle(self, journal: Journal) -> None:
        self.histories.keep(self.path, self.commits.spans)
        self.database.checkpoint()
        self.commits.spans = []
        journal.settled(self.name)
        self.settled = self.written
        self.base = self.path.read_bytes()


def _must_not(error: Exception) -> None:
    raise AssertionError("nothing is lost here") from error


class Node:
    """A node whose power is going to be cut."""

    def __init__(
        self,
        data: Path,
        rng: random.Random,
        *,
        careless: bool = False,
        forgetful: bool = False,
    ) -> None:
        """Args:
        careless: Bring pages into a database before the journal has them.
        forgetful: Bring pages into a database before its history has what they were.
        """
        self.data, self.rng = data, rng
        self.careless, self.forgetful = careless, forgetful
        objects = data / "objects"
        (objects / "Room").mkdir(parents=True)
        self.syncer = HeldSyncer()
        self.journal = Journal(
            data / "journal",
            objects,
            self.syncer,
            clock=ManualClock(turns),
            max_bytes=10**9,
            segment_bytes=60_000,
            crowded=lambda: None,
        )
        self.histories = Histories(Stamps(SystemClock()), RETENTION)
        self.things = [
            Thing(objects / "Room" / f"{hex}.sqlite", self.journal, self.histories) for hex in HEXES
        ]

    def work(self, steps: int) -> None:
        for _ in range(steps):
            thing = self.rng.choice(self.things)
            match self.rng.randrange(8):
                case 0 | 1:
                    self.syncer.go_on()
                case 2 if thing.written and thing.commits.are_idle:
                    thing.settle(self.journal)
                case _:
                    thing.write(self.rng)

    def cut_power(self, folder: Path) -> Path:
        """Return what a disk may hold: what was synced, and anything of the rest."""
        (folder / "objects" / "Room").mkdir(parents=True)
        self._cut_journal(folder / "journal")
        for thing in self.things:
            path = folder / "objects" / thing.name
            if image := self._torn(thing):
                path.write_bytes(image)
            if past := self._torn_history(thing):
                History(path).path.write_bytes(past)
            log = path_of(thing.path)
            if log.exists() and image and self.rng.random() < 0.7:
                content = log.read_bytes()
                path_of(path).write_bytes(content[: self.rng.randrange(len(content) + 1)])
        return folder

    def _cut_journal(self, copy: Path) -> None:
        number, size = self.journal._writer.number, self.journal._writer._size
        if self.syncer.held and self.rng.random() < 0.7:  # it was just being written
            self.syncer.held[0][0]()
        if (self.data / "journal").exists():
            shutil.copytree(self.data / "journal", copy)
        for path in copy.glob("*.journal"):
            if int(path.stem) == number:
                content = path.read_bytes()
                path.write_bytes(content[: self.rng.randrange(size, len(content) + 1)])

    def _torn(self, thing: Thing) -> bytes:
        image = bytearray(thing.base or b"")
        # A checkpoint that was under way has written some pages of what the journal has.
        copy = self.data / "copy.sqlite"
        may_begin = thing.written and (thing.commits.are_idle or self.careless)
        if may_begin and self.rng.random() < 0.5:
            if not self.forgetful:
                self.histories.keep(thing.path, thing.commits.spans)
            shutil.copyfile(thing.path, copy)
            shutil.copyfile(path_of(thing.path), path_of(copy))
            with closing(sqlite3.connect(copy)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            newer = copy.read_bytes()
            for begin in range(0, len(newer), PAGE):
                if self.rng.random() < 0.5:
                    image.extend(bytes(max(0, begin + PAGE - len(image))))
                    image[begin : begin + PAGE] = newer[begin : begin + PAGE]
        return bytes(image)

    def _torn_history(self, thing: Thing) -> bytes:
        history = History(thing.path).path
        before = history.stat().st_size if history.exists() else 0
        may_begin = thing.commits.are_idle and not self.forgetful
        if may_begin and self.rng.random() < 0.5:  # it was just being written
            self.histories.keep(thing.path, thing.commits.spans)
        if not history.exists():
            return b""
        content = history.read_bytes()
        return content[: self.rng.randrange(before, len(content) + 1)]

    def stop(self) -> None:
        self.syncer.shut_down()
        self.journal.close()
        for thing in self.things:
            thing.database.close(checkpoint=False)
            thing.commits.close()


def rows(database: Path) -> list[int]:
    """What a database holds, its write-ahead log left aside."""
    assert not path_of(database).exists()
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if not connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            return []
        return [n for (n,) in connection.execute("SELECT n FROM log ORDER BY n")]


def rows_at(database: Path, stamp: int) -> list[int]:
    """What it held at a time, by its history."""
    earlier = History(database).rewind(stamp)
    copy = database.with_name("earlier.sqlite")
    shutil.copyfile(database, copy)
    write(copy, earlier.page_size, earlier.pages, earlier.size)
    return rows(copy)


def survives(folder: Path, seed: int, **flaws: bool) -> None:
    """Cut a node's power, and look whether everything is there that it had acknowledged."""
    rng = random.Random(seed)
    node = Node(folder / "before", rng, **flaws)
    node.work(rng.randrange(5, 80))
    acknowledged = [thing.acknowledged for thing in node.things]
    after = node.cut_power(folder / "after")
    node.stop()

    recover(after / "journal", after / "objects", RETENTION)

    for thing, least in zip(node.things, acknowledged, strict=True):
        path = after / "objects" / thing.name
        found = rows(path) if path.exists() else []
        assert found == list(range(1, len(found) + 1))
        assert least <= len(found) <= thing.written
        for number in {thing.settled, *rng.sample(found, min(2, len(found)))} if found else ():
            assert rows_at(path, thing.stamps[number]) == list(range(1, number + 1))


@pytest.mark.parametrize("seed", range(60))
def test_what_was_acknowledged_survives_a_power_cut(folder: Path, seed: int) -> None:
    survives(folder, seed)


def acknowledge_early(monkeypatch: pytest.MonkeyPatch) -> None:
    really = Journal.append

    def append(self: Journal, entry: Any, done: Callable[[], object], *others: Any) -> None:
        done()
        really(self, entry, lambda: None, *others)

    monkeypatch.setattr(Journal, "append", append)


def replay_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    really = recovery._entries
    monkeypatch.setattr(recovery, "_entries", lambda folder: really(folder)[::-1])


def drop_segments_early(monkeypatch: pytest.MonkeyPatch) -> None:
    really = journal_module._Writer.write
    monkeypatch.setattr(
        journal_module._Writer,
        "write",
        lambda self, entries, _, folders: really(self, entries, 0, folders),
    )


@pytest.mark.parametrize(
    "sabotage", [acknowledge_early, replay_backwards, drop_segments_early, "careless", "forgetful"]
)
def test_a_journal_that_lies_is_found_out(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    sabotage: Callable[[pytest.MonkeyPatch], None] | str,
) -> None:
    """Without this the test above would prove nothing."""
    flaws = {sabotage: True} if isinstance(sabotage, str) else {}
    if not isinstance(sabotage, str):
        sabotage(monkeypatch)

    def is_found_out(seed: int) -> bool:
        try:
            survives(folder / str(seed), seed, **flaws)
        except (AssertionError, sqlite3.DatabaseError, DataFolderRefused, StorageError):
            return True
        return False

    assert any(is_found_out(seed) for seed in range(60))


@pytest.fixture
def node(folder: Path) -> Iterator[Node]:
    """A node, of which the test says when its disk goes on."""
    node = Node(folder / "data", random.Random(1))
    yield node
    node.stop()


def crashed(node: Node) -> tuple[Path, Path]:
    """The journal and the objects of the node, had it been killed now."""
    copy = node.data.with_name("copy")
    shutil.copytree(node.data, copy)
    return copy / "journal", copy / "objects"


def durable(node: Node) -> None:
    while node.syncer.held:
        node.syncer.go_on()


def test_the_objects_in_the_journal_say_their_names_and_alarms(node: Node) -> None:
    thing, other, _ = node.things
    Metadata(thing.database).keep(HEXES[0], "gala")
    AlarmTable(thing.database).set(None, 100.0)
    AlarmTable(thing.database).set("reminder", 200.0)
    thing.write(node.rng)
    other.write(node.rng)
    durable(node)

    assert recover(*crashed(node), RETENTION) == [
        Recovered("Room", HEXES[0], True, "gala", {None: 100.0, "reminder": 200.0}),
        Recovered("Room", HEXES[1], True, None, {}),
    ]


def test_recovering_again_finds_nothing_to_do(node: Node) -> None:
    node.things[0].write(node.rng)
    durable(node)
    journal, objects = crashed(node)

    first = recover(journal, objects, RETENTION)

    assert recover(journal, objects, RETENTION) == first, (
        "until the catalog knows, it is told again"
    )
    erase(journal)
    assert recover(journal, objects, RETENTION) == []
    assert list(journal.iterdir()) == []
    assert rows(objects / node.things[0].name) == [1]


def test_an_object_whose_first_commit_never_became_durable_isnt_there(node: Node) -> None:
    node.things[0].write(node.rng)
    durable(node)
    node.things[1].write(node.rng)
    journal, objects = crashed(node)

    assert recover(journal, objects, RETENTION)[1] == Recovered("Room", HEXES[1], False)

    assert {path.stem for path in objects.glob("Room/*")} == {HEXES[0]}


@pytest.mark.parametrize("is_made_again", [False, True])
def test_a_database_that_was_being_removed_is(node: Node, is_made_again: bool) -> None:
    thing = node.things[0]
    thing.write(node.rng)
    durable(node)
    journal, objects = crashed(node)
    removed = Entry(Kind.REMOVED, thing.name)
    node.journal.append(removed, lambda: None, _must_not)
    durable(node)
    if is_made_again:
        thing.database.wipe()
        thing.written = 0
        thing.write(node.rng)
        durable(node)
    shutil.rmtree(journal)
    shutil.copytree(node.data / "journal", journal)

    assert [found.exists for found in recover(journal, objects, RETENTION)] == [is_made_again]

    assert (objects / thing.name).exists() == is_made_again


def test_a_database_that_is_missing_is_told_of(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    missing = node.things[0]
    for _ in range(5):
        missing.write(random.Random(2))
    durable(node)
    missing.settle(node.journal)
    shutil.copytree(node.data / "journal", node.data / "old")
    missing.write(random.Random(2))
    durable(node)
    journal, objects = crashed(node)
    (objects / missing.name).unlink()
    cut = path_of_segment(journal, 1)  # as if the first commits had been in a segment before
    first = path_of_segment(node.data / "old", 1).stat().st_size
    whole = cut.read_bytes()
    header = Header(1, node.journal._writer._sequence - 1, 0).encode()
    cut.write_bytes(header + whole[first:])

    found = {recovered.hex: recovered.exists for recovered in recover(journal, objects, RETENTION)}

    assert found == {HEXES[0]: False}
    assert "is missing, and the journal has only the end" in caplog.text


def test_a_missing_segment_is_refused_and_nothing_changed(node: Node) -> None:
    for _ in range(60):
        node.things[0].write(node.rng)
        durable(node)
    journal, objects = crashed(node)
    before = (objects / node.things[0].name).read_bytes()
    assert Index.read(journal) == Index(1, node.journal.position)

    for number in (1, node.journal.position - 1, node.journal.position):
        path = path_of_segment(journal, number)
        path.rename(journal / "aside")
        with pytest.raises(DataFolderRefused, match=f"lacks {path.name}"):
            recover(journal, objects, RETENTION)
        (journal / "aside").rename(path)

    assert (objects / node.things[0].name).read_bytes() == before
    recover(journal, objects, RETENTION)
    assert rows(objects / node.things[0].name) == list(range(1, 61))


def test_a_segment_that_was_being_made_is_no_damage(node: Node) -> None:
    node.things[0].write(node.rng)
    durable(node)
    journal, objects = crashed(node)
    path_of_segment(journal, 2).write_bytes(b"Dorm")

    recover(journal, objects, RETENTION)

    assert rows(objects / node.things[0].name) == [1]


def test_a_journal_that_is_being_erased_is_void(node: Node) -> None:
    """Its last segments alone would take the databases back to what they were."""
    for _ in range(60):
        node.things[0].write(node.rng)
        durable(node)
    journal, objects = crashed(node)
    recover(journal, objects, RETENTION)
    erase(journal)
    newest = node.journal.position
    shutil.copy(path_of_segment(node.data / "journal", 1), journal)
    Index(newest + 1, newest).write(journal)

    assert recover(journal, objects, RETENTION) == []

    assert rows(objects / node.things[0].name) == list(range(1, 61))


def test_a_damaged_database_keeps_no_other_from_being_recovered(node: Node) -> None:
    for thing in node.things[:2]:
        thing.write(node.rng)
    durable(node)
    node.things[0].settle(node.journal)
    journal, objects = crashed(node)
    (objects / node.things[0].name).write_bytes(b"damaged" * PAGE)
    shutil.rmtree(journal)
    journal.mkdir()
    path_of(objects / node.things[0].name).touch()

    assert [found.hex for found in recover(journal, objects, RETENTION)] == [HEXES[1]]


def test_without_objects_there_is_nothing_to_do(folder: Path) -> None:
    (folder / "objects" / "Room").mkdir(parents=True)

    assert recover(folder / "journal", folder / "objects", RETENTION) == []
