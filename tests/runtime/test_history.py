"""Whether one can go back to everything a database has been, and to nothing else."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runtime.differences import Commit, write
from runtime.errors import StorageError
from runtime.history import History, Retention
from runtime.records import Kind

PAGE = 512
FOR_EVER = Retention(10**15, 10**9)


@dataclass
class Book:
    """A database of pages, and all it has been."""

    path: Path
    pages: list[bytes] = field(default_factory=list)
    states: dict[int, list[bytes]] = field(default_factory=lambda: {0: []})
    """By the stamps after which it was so."""
    log: list[Commit] = field(default_factory=list)
    """What isn't in its file yet."""

    @property
    def history(self) -> History:
        return History(self.path)

    def commit(self, stamp: int, kind: Kind, size: int, changed: dict[int, bytes]) -> None:
        pages = self.pages[:size] + [bytes(PAGE)] * (size - len(self.pages))
        for number, page in changed.items():
            pages[number - 1] = page
        self.pages = pages
        if kind is Kind.WIPED:
            self.states.clear()
        self.states[stamp] = pages
        self.log.append(Commit(stamp, kind, size, dict(changed)))

    def keep(self, retention: Retention = FOR_EVER) -> None:
        self.history.add(PAGE, self.log, retention)

    def checkpoint(self) -> None:
        self.path.write_bytes(b"".join(self.pages))
        self.log.clear()

    def tear(self, rng: random.Random) -> None:
        """Begin a checkpoint, and don't end it."""
        for commit in self.log:
            some = {n: page for n, page in commit.pages.items() if rng.random() < 0.5}
            if some:
                before = self.path.stat().st_size // PAGE if self.path.exists() else 0
                write(self.path, PAGE, some, max(before, *some))

    def at(self, stamp: int) -> list[bytes]:
        earlier = self.history.rewind(stamp)
        now = dict(enumerate(self.pages, 1))
        return [
            earlier.pages.get(number, now.get(number, bytes(PAGE)))
            for number in range(1, earlier.size + 1)
        ]


@pytest.fixture
def book(folder: Path) -> Book:
    return Book(folder / "a.sqlite")


def fill(book: Book, stamps: range) -> None:
    """One commit for each stamp, of which one page changes a little."""
    for stamp in stamps:
        book.commit(stamp, Kind.COMMIT, 3, {stamp % 3 + 1: stamp.to_bytes(PAGE, "little")})
        book.keep()
        book.checkpoint()


@pytest.mark.parametrize("seed", range(60))
def test_it_leads_back_to_everything_that_was(book: Book, seed: int) -> None:
    rng, stamp = random.Random(seed), 0
    kinds = [Kind.COMMIT] * 8 + [Kind.RESTORED, Kind.WIPED]
    for _ in range(rng.randrange(1, 40)):
        stamp += rng.randrange(1, 5)
        kind, before = rng.choice(kinds), len(book.pages)
        grown = max(before, 1) + rng.choice([0, 0, 1, 2])
        size = grown if kind is Kind.COMMIT else rng.randrange(1, 6)
        numbers = {
            *range(before + 1, size + 1),
            *rng.sample(range(1, size + 1), rng.randint(1, size)),
        }
        if kind is Kind.WIPED:
            numbers = {*range(1, size + 1)}
        book.commit(stamp, kind, size, {number: rng.randbytes(PAGE) for number in numbers})
        if rng.random() < 0.3:
            book.keep()
            if rng.random() < 0.5:
                book.checkpoint()
            else:
                book.tear(rng)
    book.keep()
    book.checkpoint()

    reach = book.history.reach()
    for stamp, pages in book.states.items():
        if reach is not None and stamp >= reach:
            assert book.at(stamp) == pages
    assert (reach is None) == (len(book.states) == 1), "after a wipe there is nothing to go back to"


def test_an_ordinary_commit_takes_a_few_hundred_bytes(folder: Path) -> None:
    database, page = folder / "a.sqlite", bytearray(random.Random(1).randbytes(4096))
    for stamp in range(1, 101):
        page[stamp * 30 : stamp * 30 + 25] = b"a message that was written"[:25]
        history = History(database)
        history.add(4096, [Commit(stamp, Kind.COMMIT, 1, {1: bytes(page)})], FOR_EVER)
        write(database, 4096, {1: bytes(page)}, 1)

    assert history.path.stat().st_size < 100 * 200


def test_what_was_added_is_skipped(book: Book) -> None:
    book.commit(1, Kind.COMMIT, 1, {1: b"a" * PAGE})
    book.keep()
    size = book.history.path.stat().st_size
    book.keep()
    assert book.history.path.stat().st_size == size

    book.commit(2, Kind.COMMIT, 1, {1: b"b" * PAGE})
    book.keep()
    book.checkpoint()

    assert book.at(1) == [b"a" * PAGE]


def test_a_restoration_can_be_found(book: Book) -> None:
    fill(book, range(1, 4))
    book.commit(4, Kind.RESTORED, 1, {1: b"r" * PAGE})
    book.keep()
    book.checkpoint()
    fill(book, range(5, 8))
    book.commit(8, Kind.RESTORED, 1, {1: b"s" * PAGE})
    book.keep()

    found = [book.history.restoration_after(stamp) for stamp in (0, 3, 4, 7, 8)]

    assert found == [4, 4, 8, 8, None]


def test_a_wipe_deletes_what_was(book: Book) -> None:
    book.commit(1, Kind.COMMIT, 1, {1: b"secret".ljust(PAGE)})
    book.keep()
    book.checkpoint()
    book.commit(2, Kind.COMMIT, 1, {1: b"more".ljust(PAGE)})
    book.commit(3, Kind.WIPED, 1, {1: bytes(PAGE)})
    book.keep()

    assert not book.history.exists()
    book.commit(4, Kind.COMMIT, 1, {1: b"later".ljust(PAGE)})
    book.keep()
    book.checkpoint()
    assert book.history.reach() == 3
    assert book.at(3) == [bytes(PAGE)]
    with pytest.raises(StorageError, match="doesn't reach back so far"):
        book.at(2)


def test_a_history_that_begins_late_doesnt_reach_further(book: Book) -> None:
    book.path.write_bytes(bytes(3 * PAGE))
    book.pages = [bytes(PAGE)] * 3
    book.commit(70, Kind.COMMIT, 3, {2: b"b" * PAGE})
    book.keep()

    assert book.history.reach() == 70


@pytest.mark.parametrize("kept", [0, 1])
def test_without_retention_nothing_is_kept(book: Book, kept: int) -> None:
    if kept:
        fill(book, range(1, 3))
    book.commit(5, Kind.COMMIT, 1, {1: b"a" * PAGE})
    book.keep(Retention(0, 10**9))

    assert not book.history.exists()


def test_what_is_too_old_goes(book: Book) -> None:
    fill(book, range(1, 1000, 10))
    book.commit(1000, Kind.COMMIT, 3, {1: b"a" * PAGE})
    book.keep(Retention(100, 10**9))
    book.checkpoint()

    reach = book.history.reach()
    assert reach is not None
    assert 880 <= reach < 900
    assert book.at(901) == book.states[901]
    with pytest.raises(StorageError, match="doesn't reach back so far"):
        book.at(reach - 1)


def test_it_isnt_rewritten_for_every_commit_that_becomes_too_old(book: Book) -> None:
    fill(book, range(1, 1000, 10))
    rewritten = 0
    for stamp in range(1000, 1200):
        before = book.history.path.stat().st_ino
        book.commit(stamp, Kind.COMMIT, 3, {1: stamp.to_bytes(PAGE, "little")})
        book.keep(Retention(1000, 10**9))
        book.checkpoint()
        rewritten += book.history.path.stat().st_ino != before

    assert 1 <= rewritten <= 3


def test_it_stays_within_its_size(book: Book) -> None:
    most = 4000
    for stamp in range(1, 300):
        book.commit(stamp, Kind.COMMIT, 3, {stamp % 3 + 1: stamp.to_bytes(PAGE, "little")})
        book.keep(Retention(10**15, most))
        book.checkpoint()
        assert book.history.path.stat().st_size <= most

    assert book.at(298) == book.states[298]
    assert (book.history.reach() or 0) > 200


@pytest.mark.parametrize("cut", range(1, 90, 7))
def test_what_was_torn_is_cut_off(book: Book, cut: int) -> None:
    fill(book, range(1, 4))
    size = book.history.path.stat().st_size
    book.commit(4, Kind.COMMIT, 3, {1: b"t" * PAGE})
    book.keep()
    torn = book.history.path.stat().st_size
    os.truncate(book.history.path, max(size, torn - cut))

    book.commit(5, Kind.COMMIT, 3, {1: b"u" * PAGE})
    book.keep()
    book.checkpoint()

    for stamp in (1, 2, 3, 4, 5):
        assert book.at(stamp) == book.states[stamp]


def test_an_append_that_the_disk_refuses_leaves_nothing(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(book, range(1, 4))
    size = book.history.path.stat().st_size
    book.commit(4, Kind.COMMIT, 3, {1: b"t" * PAGE})

    def refuse(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", refuse)
        with pytest.raises(OSError, match="Input/output"):
            book.keep()

    assert book.history.path.stat().st_size == size
    book.keep()
    book.checkpoint()
    assert book.at(3) == book.states[3]


@pytest.mark.parametrize("damage", [b"", b"Dorm", b"x" * 40], ids=["empty", "cut", "other"])
def test_a_history_without_a_beginning_is_told_and_begins_anew(
    book: Book, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    fill(book, range(1, 4))
    book.history.path.write_bytes(damage)

    fill(book, range(4, 6))

    assert ("begins anew" in caplog.text) == bool(damage), "an empty one was just being begun"
    assert book.at(4) == book.states[4]
    assert book.history.reach() == 4


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_is_told(book: Book) -> None:
    fill(book, range(1, 6))
    whole = book.history.path.read_bytes()
    for at in range(28, len(whole)):  # behind the file's own beginning
        book.history.path.write_bytes(whole)
        flip(book.history.path, at)
        with pytest.raises(StorageError, match="is damaged"):
            book.at(0)


@pytest.mark.parametrize(
    "change",
    [lambda path: flip(path, PAGE + 100), lambda path: path.write_bytes(bytes(3 * PAGE))],
    ids=["a bit", "all"],
)
def test_a_database_that_something_else_has_changed_is_told(
    book: Book, change: Callable[[Path], None]
) -> None:
    fill(book, range(1, 6))
    change(book.path)

    with pytest.raises(StorageError, match="something else has changed its file"):
        book.history.rewind(1)


def test_a_newer_format_is_refused(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr("runtime.blocks.VERSION", 2)
        fill(book, range(1, 3))

    with pytest.raises(StorageError, match="newer version"):
        book.history.rewind(1)
    with pytest.raises(StorageError, match="newer version"):
        fill(book, range(3, 4))
    assert book.history.exists()


def test_after_a_crash_a_missing_history_promises_nothing_that_the_file_may_be_ahead_of(
    book: Book,
) -> None:
    book.path.write_bytes(bytes(3 * PAGE))
    book.pages = [bytes(PAGE)] * 3
    for stamp in (70, 71, 72):
        book.commit(stamp, Kind.COMMIT, 3, {2: bytes([stamp]) * PAGE})
    book.tear(random.Random(1))
    book.history.add(PAGE, book.log, FOR_EVER, is_recovery=True)
    book.checkpoint()

    assert book.history.reach() == 72
    fill(book, range(73, 75))
    assert book.at(73) == book.states[73]
    with pytest.raises(StorageError, match="doesn't reach back"):
        book.at(71)


def test_damage_at_the_end_isnt_taken_for_an_append_that_was_torn(
    book: Book, caplog: pytest.LogCaptureFixture
) -> None:
    """Cut off, its commits would be missing between the others, and nobody would know."""
    fill(book, range(1, 6))
    flip(book.history.path, book.history.path.stat().st_size - 10)

    fill(book, range(6, 8))

    assert "is damaged" in caplog.text
    assert book.at(6) == book.states[6]
    with pytest.raises(StorageError, match="doesn't reach back"):
        book.at(3)


def test_without_room_for_a_shorter_one_it_stays_long(
    book: Book, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill(book, range(1, 50))

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    book.commit(50, Kind.COMMIT, 3, {1: b"l" * PAGE})
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", refuse)
        book.keep(Retention(10**15, 1000))
    book.checkpoint()

    assert "can't be shortened" in caplog.text
    assert book.at(3) == book.states[3]
    assert not list(book.path.parent.glob("*.new"))


def test_deleting_it_deletes_what_was_to_take_its_place(book: Book) -> None:
    fill(book, range(1, 3))
    draft = book.history.path.with_name(f"{book.history.path.name}.new")
    draft.write_bytes(b"a secret")

    book.history.forget()

    assert not draft.exists()
