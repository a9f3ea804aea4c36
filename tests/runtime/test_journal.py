"""The journal on a real disk, which a test can hold back or break."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.clock import ManualClock
from runtime.journal import SEGMENTS, Journal, MayComeBack
from runtime.records import Entry, Kind, Segment
from runtime.segments import INDEX, Index
from runtime.syncer import Syncer
from tests.runtime.disk import StuckDisk, disk, turns

__all__ = ["disk"]

pytestmark = pytest.mark.usefixtures("debug_mode")

A, B = "Room/aa.sqlite", "Room/bb.sqlite"


class World:
    """A journal, and what became of what was appended to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "journal"
        (folder / "objects" / "Room").mkdir(parents=True)
        self.syncer = Syncer()
        self.heard: list[str] = []
        self.crowds = 0
        self.clock = ManualClock(turns)
        self.journal = Journal(
            self.folder,
            folder / "objects",
            self.syncer,
            clock=self.clock,
            max_bytes=10_000,
            segment_bytes=1_000,
            crowded=self._count,
        )

    def _count(self) -> None:
        self.crowds += 1

    def append(self, what: str, path: str = A, size: int = 0) -> None:
        entry = Entry(Kind.COMMIT, path, 4096, what.encode() + bytes(size))
        self.journal.append(
            entry,
            lambda: self.heard.append(f"{what} is durable"),
            lambda error: self.heard.append(f"{what} is lost: {os.strerror(error.errno or 0)}"),
            lambda: self.heard.append(f"{what} is late"),
        )

    async def rest(self) -> None:
        await turns(5)
        while not self.syncer.is_idle:
            await turns(1)

    async def fill(self, path: str = A, segments: int = 1) -> None:
        """Write until so many segments more have been begun."""
        goal = self.journal.position + segments
        while self.journal.position < goal:
            self.append("filling", path, size=400)
            await self.rest()

    def segments(self) -> list[int]:
        return sorted(int(path.stem) for path in self.folder.glob("*.journal"))

    def written(self) -> list[str]:
        """What recovery would find."""
        segments = [Segment(path) for path in sorted(self.folder.glob("*.journal"))]
        ends = [segment.header.previous_end for segment in segments[1:]]
        return [
            bytes(entry.content).rstrip(b"\0").decode()
            for segment, end in zip(segments, [*ends, None], strict=True)
            for entry in segment.entries(end)
        ]


@pytest.fixture
async def world(folder: Path) -> Any:
    world = World(folder)
    yield world
    world.syncer.shut_down()
    await turns(3)
    world.journal.close()


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, call: str, times: int = 1) -> Iterator[None]:
    """A disk whose next calls fail, after they have done their work."""
    really: Callable[..., Any] = getattr(os, call)
    left = [times]

    def fail(*args: Any) -> Any:
        result = really(*args)
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return result

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        yield


async def test_an_entry_is_durable_when_the_sync_has_returned(
    world: World, disk: StuckDisk
) -> None:
    with disk.stuck():
        world.append("first")
        await turns()
        assert world.heard == []

    await world.rest()
    assert world.heard == ["first is durable"]
    assert world.written() == ["first"]


async def test_what_gathers_during_a_sync_shares_the_next(
    world: World, disk: StuckDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.append("zero")
    await world.rest()
    syncs = 0
    really = os.fdatasync

    def count(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        really(descriptor)

    monkeypatch.setattr(os, "fdatasync", count)
    with disk.stuck():
        for number in range(50):
            world.append(str(number), A if number % 2 else B)
        await turns()

    await world.rest()
    assert syncs == 2
    assert world.heard[1:] == [f"{number} is durable" for number in range(50)]


@pytest.mark.parametrize("call", ["fdatasync", "pwrite"])
async def test_what_the_disk_refuses_is_lost_with_all_that_came_behind_it(
    world: World, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    world.append("before")
    await world.rest()

    with failing(monkeypatch, call):
        world.append("refused")
        world.append("behind it", B)
        await world.rest()
    world.append("after")
    await world.rest()

    why = "No space left on device"
    assert world.heard == [
        "before is durable",
        f"refused is lost: {why}",
        f"behind it is lost: {why}",
        "after is durable",
    ]
    assert world.written() == ["before", "after"]


@pytest.mark.parametrize("call", ["fsync", "pwrite"])
async def test_a_segment_that_cant_be_begun_is_begun_again(
    world: World, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    with failing(monkeypatch, call):
        world.append("refused")
        await world.rest()
    world.append("after")
    await world.rest()

    assert [heard.split(":")[0] for heard in world.heard] == ["refused is lost", "after is durable"]
    assert (world.segments(), world.written()) == ([1], ["after"])


async def test_an_error_in_one_objects_code_keeps_nothing_from_the_others(world: World) -> None:
    def fail() -> None:
        raise LookupError

    world.append("first")
    world.journal.append(Entry(Kind.COMMIT, A, 4096, b"bad"), fail, lambda _: None)
    world.append("last")

    await world.rest()

    assert world.heard == ["first is durable", "last is durable"]


async def test_a_stuck_disk_is_told_of_after_30_seconds_to_all_that_wait(
    world: World, disk: StuckDisk
) -> None:
    with disk.stuck():
        world.append("first")
        world.append("second")
        await world.clock.advance(29.9)
        early = list(world.heard)
        await world.clock.advance(0.2)
        late = list(world.heard)

    await world.rest()
    await world.clock.advance(60)
    assert early == []
    assert late == ["first is late", "second is late"]
    assert world.heard[2:] == ["first is durable", "second is durable"], "and nothing else"


async def test_a_disk_that_stays_stuck_is_told_of_again(world: World, disk: StuckDisk) -> None:
    with disk.stuck():
        world.append("first")
        await world.clock.advance(45)
        world.append("second")
        await world.clock.advance(20)

    await world.rest()
    assert "second is late" in world.heard


async def test_it_is_full_when_too_much_waits(world: World, disk: StuckDisk) -> None:
    with disk.stuck():
        world.append("much", size=9_000)
        assert not world.journal.is_full
        world.append("more", size=2_000)
        assert world.journal.is_full

    await world.rest()
    assert not world.journal.is_full


async def test_a_segment_goes_once_its_databases_are_settled(world: World) -> None:
    await world.fill(A)
    await world.fill(B, segments=2)
    assert world.segments() == [1, 2, 3]

    world.journal.settled(A)
    await world.fill(B)
    assert world.segments()[0] == 1, "B needs it"

    world.journal.settled(B, before=3)
    await world.fill(B)
    assert world.segments() == [3, 4, 5]
    assert Index.read(world.folder) == Index(oldest=3, newest=5)


async def test_when_there_are_many_segments_those_that_hold_them_are_named(world: World) -> None:
    await world.fill(A)
    await world.fill(B, segments=SEGMENTS - 1)
    assert (world.crowds, list(world.journal.surplus())) == (0, [])

    await world.fill(B)

    assert world.crowds == 1
    assert set(world.journal.surplus()) == {A, B} or set(world.journal.surplus()) == {A}


async def test_a_failure_between_two_segments_drops_nothing_that_is_needed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.fill(A)
    world.append("needed", B)
    await world.rest()
    world.journal.settled(A)
    await world.fill(A)

    with failing(monkeypatch, "fdatasync", times=20):
        for _ in range(20):
            world.append("refused", A)
            await world.rest()
    await world.fill(A, segments=3)

    assert "needed" in world.written()


async def test_nothing_is_left_of_it_when_all_is_settled(world: World) -> None:
    await world.fill(A, segments=2)

    world.journal.erase_if_settled()
    assert world.segments() == [1, 2]

    world.journal.settled(A)
    world.journal.erase_if_settled()
    assert list(world.folder.iterdir()) == []


async def test_after_its_end_nothing_is_heard_of_what_was_under_way(
    world: World, disk: StuckDisk
) -> None:
    with disk.stuck():
        world.append("under way")
        await turns()
        world.append("waiting")
        world.journal.close()

    await world.rest()
    assert world.heard == []


def test_an_index_that_was_never_written_is_none(folder: Path) -> None:
    assert Index.read(folder) is None
    Index(1, 2).write(folder)
    assert Index.read(folder) == Index(1, 2)
    assert [path.name for path in folder.iterdir()] == [INDEX]


async def test_a_segment_counts_only_once_the_index_names_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place in the folder wasn't durable before, and what it held could have gone with it."""
    await world.fill(A)
    refusals = []

    def refuse(*_: object) -> None:
        refusals.append(1)
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Index, "write", refuse)
        for _ in range(4):
            world.append("refused", size=800)
            await world.rest()
    assert world.heard[-3:] == ["refused is lost: Input/output error"] * 3
    assert len(refusals) == 3
    files = len(world.segments())
    world.append("after")
    await world.rest()

    assert world.heard[-1] == "after is durable"
    index = Index.read(world.folder)
    assert index is not None
    assert (index.newest, len(world.segments())) == (max(world.segments()), files)


@pytest.mark.parametrize("can_cut", [True, False])
async def test_what_cant_be_taken_back_isnt_called_gone(
    world: World, monkeypatch: pytest.MonkeyPatch, can_cut: bool
) -> None:
    lost: list[OSError] = []
    world.append("before")
    await world.rest()

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        if not can_cut:
            patch.setattr(os, "ftruncate", refuse)
        entry = Entry(Kind.COMMIT, A, 4096, b"refused")
        world.journal.append(entry, lambda: None, lost.append)
        await world.rest()

    assert [isinstance(error, MayComeBack) for error in lost] == [not can_cut]
    assert world.written() == (["before"] if can_cut else ["before", "refused"])
    world.append("after")
    await world.rest()
    assert world.written() == ["before", "after"]
