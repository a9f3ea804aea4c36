"""What a node knows of its objects, and what of that survives."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

import aiosqlite
import pytest

from runtime.catalog import VERSION, Alarms, Catalog, Key
from runtime.classes import Plan
from runtime.errors import DataFolderRefused

pytestmark = pytest.mark.usefixtures("debug_mode")

ROOM = "Room"


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "catalog.sqlite"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Catalog]:
    catalog = await Catalog.open(path)
    try:
        yield catalog
    finally:
        with suppress(ValueError):  # closed already
            await catalog.abandon()


@pytest.fixture
async def catalog(path: Path) -> AsyncIterator[Catalog]:
    async with opened(path) as catalog:
        yield catalog


@pytest.fixture
async def impatient(path: Path) -> AsyncIterator[Catalog]:
    """A catalog that fails at once if its file is in use, instead of waiting."""
    async with opened(path):
        pass
    async with aiosqlite.connect(path, timeout=0) as connection:
        yield Catalog(connection)


def key(hex: str, directory: str = ROOM) -> Key:
    return Key(directory, hex)


async def names(
    catalog: Catalog,
    directory: str = ROOM,
    *,
    prefix: str | None = None,
    after: str | None = None,
    limit: int = 1000,
) -> dict[str, str | None]:
    return dict(await catalog.ids(directory, prefix=prefix, after=after, limit=limit))


def written_alarms(path: Path) -> list[tuple[str, str, float]]:
    """What the file itself holds, as another process would find it."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT id, name, due FROM alarms ORDER BY id, name").fetchall()


@contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """Keep the catalog from being written, at once and not after a long wait."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


# Objects.


async def test_a_noted_object_is_listed_with_its_name(catalog: Catalog) -> None:
    catalog.note(key("aa"), "gala", {})
    catalog.note(key("bb"), None, {})

    assert await names(catalog) == {"aa": "gala", "bb": None}


async def test_objects_are_listed_in_the_order_of_their_ids(catalog: Catalog) -> None:
    for hex in ("cc", "aa", "dd", "bb"):
        catalog.note(key(hex), hex.upper(), {})

    assert list(await names(catalog)) == ["aa", "bb", "cc", "dd"]


async def test_objects_are_listed_page_by_page(catalog: Catalog) -> None:
    for number in range(5):
        catalog.note(key(f"{number:02}"), None, {})

    first = list(await names(catalog, limit=2))
    second = list(await names(catalog, limit=2, after=first[-1]))
    third = list(await names(catalog, limit=2, after=second[-1]))

    assert [first, second, third] == [["00", "01"], ["02", "03"], ["04"]]
    assert await names(catalog, after="04") == {}
    assert await names(catalog, limit=0) == {}
    with pytest.raises(ValueError, match=r"^List limit must not be negative, but is -1\.$"):
        await names(catalog, limit=-1)


async def test_each_class_and_jurisdiction_is_listed_by_itself(catalog: Catalog) -> None:
    catalog.note(key("aa"), None, {})
    catalog.note(key("aa", "Room@eu"), "europe", {})
    catalog.note(key("aa", "Match"), None, {})

    assert await names(catalog, "Room@eu") == {"aa": "europe"}
    assert len(await names(catalog)) == 1


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        (None, {"100%", "100 percent", "a_b", "axb", "é-1", "Éclair", "😀", None}),
        ("100%", {"100%"}),
        ("%", set()),
        ("a_", {"a_b"}),
        ("A", set()),
        ("é", {"é-1"}),
        ("😀", {"😀"}),
        ("100%x", set()),
        ("[a]", set()),
        ("'", set()),
    ],
)
async def test_a_prefix_means_what_it_says_and_is_no_pattern(
    catalog: Catalog, prefix: str | None, found: set[str | None]
) -> None:
    everybody = ("100%", "100 percent", "a_b", "axb", "é-1", "Éclair", "😀", None)
    for number, name in enumerate(everybody):
        catalog.note(key(f"{number:02}"), name, {})

    assert set((await names(catalog, prefix=prefix)).values()) == found


async def test_a_prefix_and_a_page_go_together(catalog: Catalog) -> None:
    for number in range(6):
        catalog.note(key(f"{number:02}"), "even" if number % 2 == 0 else "odd", {})

    assert list(await names(catalog, prefix="ev", after="00", limit=1)) == ["02"]


async def test_a_name_that_was_known_stays_known(catalog: Catalog) -> None:
    """Whoever reaches an object by its id doesn't know its name."""
    catalog.note(key("aa"), "gala", {})
    await catalog.flush()

    catalog.note(key("aa"), None, {})

    assert await names(catalog) == {"aa": "gala"}


async def test_a_forgotten_object_is_listed_no_more(catalog: Catalog) -> None:
    catalog.note(key("aa"), "gala", {None: 5.0})
    catalog.note(key("bb"), None, {None: 6.0})
    await catalog.flush()

    catalog.forget(key("aa"))

    assert await names(catalog) == {"bb": None}
    assert await catalog.alarms() == [(key("bb"), None, None, 6.0)]


async def test_an_unknown_object_can_be_forgotten(catalog: Catalog) -> None:
    catalog.forget(key("aa"))

    assert await names(catalog) == {}


@pytest.mark.parametrize("flush_between", [True, False])
async def test_of_several_changes_of_one_object_the_last_one_counts(
    catalog: Catalog, flush_between: bool
) -> None:
    states: list[Alarms] = [{None: 1.0}, {None: 2.0, "x": 3.0}, {"x": 4.0}]
    for alarms in states:
        catalog.note(key("aa"), "gala", alarms)
        if flush_between:
            await catalog.flush()
        catalog.forget(key("bb"))
        catalog.note(key("bb"), None, {})
        catalog.forget(key("bb"))
    await catalog.flush()

    assert await catalog.alarms() == [(key("aa"), "gala", "x", 4.0)]
    assert await names(catalog) == {"aa": "gala"}


# Alarms.


async def test_alarms_come_back_with_whose_they_are(catalog: Catalog) -> None:
    catalog.note(key("aa"), "gala", {None: 1.5, "reminder": 2.5})
    catalog.note(key("aa", "Room@eu"), None, {None: 3.5})
    await catalog.flush()

    assert sorted(await catalog.alarms(), key=str) == [
        (key("aa"), "gala", "reminder", 2.5),
        (key("aa"), "gala", None, 1.5),
        (key("aa", "Room@eu"), None, None, 3.5),
    ]


async def test_alarms_that_arent_noted_again_are_gone(catalog: Catalog) -> None:
    catalog.note(key("aa"), None, {None: 1.0, "x": 2.0})
    await catalog.flush()

    catalog.note(key("aa"), None, {"x": 9.0})
    await catalog.flush()

    assert await catalog.alarms() == [(key("aa"), None, "x", 9.0)]


async def test_what_is_noted_is_noted_as_it_was(catalog: Catalog) -> None:
    alarms: dict[str | None, float] = {None: 1.0}
    catalog.note(key("aa"), None, alarms)

    alarms.clear()
    await catalog.flush()

    assert len(await catalog.alarms()) == 1


# Writing.


async def test_what_was_noted_is_written_without_asking(catalog: Catalog, path: Path) -> None:
    catalog.note(key("aa"), None, {None: 1.0})
    assert not catalog.is_idle

    async with asyncio.timeout(5):
        while not catalog.is_idle:  # there is nothing to wait on
            await asyncio.sleep(0)

    assert written_alarms(path) == [("aa", "", 1.0)]


async def test_flush_returns_when_what_was_noted_is_in_the_file(
    catalog: Catalog, path: Path
) -> None:
    catalog.note(key("aa"), None, {None: 1.0})

    await catalog.flush()

    assert catalog.is_idle
    assert written_alarms(path) == [("aa", "", 1.0)]


async def test_two_flushes_at_once_both_wait_for_what_was_noted(
    catalog: Catalog, path: Path
) -> None:
    catalog.note(key("aa"), None, {None: 1.0})

    flushes = [asyncio.create_task(catalog.flush()) for _ in range(2)]
    await flushes[1]

    assert written_alarms(path) == [("aa", "", 1.0)]
    await flushes[0]


async def test_many_notes_at_once_are_all_written(catalog: Catalog) -> None:
    for number in range(100):
        catalog.note(key(f"{number:04}"), f"room {number}", {None: float(number)})

    found = await names(catalog)

    assert len(found) == len(await catalog.alarms()) == 100
    assert found["0099"] == "room 99"


async def test_a_flush_that_is_cancelled_loses_nothing(catalog: Catalog) -> None:
    """Listing flushes, and whoever lists may give up: an alarm would be forgotten (I7)."""
    flush = asyncio.create_task(catalog.flush())
    catalog.note(key("aa"), "gala", {None: 1.0})
    await asyncio.sleep(0)

    flush.cancel()
    with suppress(asyncio.CancelledError):
        await flush
    await catalog.flush()

    assert await catalog.alarms() == [(key("aa"), "gala", None, 1.0)]


async def test_a_catalog_that_cant_be_written_keeps_what_was_noted(
    impatient: Catalog, path: Path
) -> None:
    with unwritable(path):
        impatient.note(key("aa"), "gala", {None: 1.0})
        assert not await impatient.try_flush()
        impatient.note(key("aa"), None, {None: 2.0})
        with pytest.raises(aiosqlite.Error):
            await impatient.flush()
    await impatient.flush()

    assert [due for *_, due in await impatient.alarms()] == [2.0]


async def test_a_catalog_that_cant_be_written_keeps_the_time_of_the_latest_commit(
    impatient: Catalog, path: Path
) -> None:
    impatient.keep_stamp(1)
    with unwritable(path):
        assert not await impatient.try_flush()
    await impatient.flush()

    assert await impatient.latest_stamp() == 1


async def test_a_failed_write_leaves_no_half_of_it(catalog: Catalog, path: Path) -> None:
    catalog.note(key("aa"), None, {None: 1.0})
    await catalog.flush()

    catalog.note(key("aa"), None, {"x": 2.0})
    catalog.note(key("bb"), None, {None: math.nan})  # SQLite has no such number
    assert not await catalog.try_flush()
    assert written_alarms(path) == [("aa", "", 1.0)]
    catalog.note(key("bb"), None, {None: 3.0})

    assert await catalog.try_flush()
    assert written_alarms(path) == [("aa", "x", 2.0), ("bb", "", 3.0)]


async def test_what_was_noted_after_the_last_flush_is_gone_with_the_process(
    catalog: Catalog, path: Path
) -> None:
    catalog.note(key("aa"), None, {None: 1.0})
    await catalog.flush()
    catalog.note(key("bb"), None, {None: 2.0})

    await catalog.abandon()

    assert written_alarms(path) == [("aa", "", 1.0)]


async def test_a_catalog_that_cant_be_written_is_closed_all_the_same(
    impatient: Catalog, path: Path
) -> None:
    """Its connection has a thread, which would keep the process from ending."""
    with unwritable(path), suppress(aiosqlite.Error):
        impatient.note(key("aa"), None, {None: 1.0})
        await impatient.close()

    with pytest.raises(ValueError, match=r"no active connection|closed"):
        await impatient.class_keys()


async def test_closing_writes_what_is_left(catalog: Catalog, path: Path) -> None:
    catalog.note(key("aa"), "gala", {None: 1.0})

    await catalog.close()

    assert written_alarms(path) == [("aa", "", 1.0)]
    async with opened(path) as again:
        assert await names(again) == {"aa": "gala"}


# Classes.


async def test_a_new_catalog_knows_no_class(catalog: Catalog) -> None:
    assert await catalog.class_keys() == {}
    assert await catalog.migration_tags() == []


async def test_a_plan_that_was_carried_out_is_remembered(catalog: Catalog, path: Path) -> None:
    await catalog.carry_out(Plan({"Game": "Game", "Room": "Room"}, (), ("v2", "v1")))
    await catalog.carry_out(Plan({"Match": "Game", "Room": "Room"}, (), ("v0",)))
    await catalog.close()

    async with opened(path) as again:
        assert await again.class_keys() == {"Match": "Game", "Room": "Room"}
        assert await again.migration_tags() == ["v2", "v1", "v0"]


async def test_two_classes_may_change_names(catalog: Catalog) -> None:
    await catalog.carry_out(Plan({"A": "A", "B": "B"}, (), ()))

    await catalog.carry_out(Plan({"A": "B", "B": "A"}, (), ()))

    assert await catalog.class_keys() == {"A": "B", "B": "A"}


@pytest.mark.parametrize("other", ["Room2", "Room2@eu", "Rooms", "Match", "room@eu", "ROOM@eu"])
async def test_the_objects_of_a_deleted_class_are_forgotten_and_no_others(
    catalog: Catalog, other: str
) -> None:
    for directory in ("Room", "Room@eu", "Room@us", other):
        catalog.note(key("aa", directory), None, {None: 1.0})
    await catalog.flush()

    await catalog.carry_out(Plan({}, ("Room",), ()))

    assert [found.directory for found, *_ in await catalog.alarms()] == [other]
    assert [len(await names(catalog, "Room@eu")), len(await names(catalog, other))] == [0, 1]


async def test_the_name_of_a_deleted_class_is_no_pattern(catalog: Catalog) -> None:
    catalog.note(key("aa", "Chat_Room@eu"), None, {})
    catalog.note(key("aa", "ChatsRoom@eu"), None, {})
    await catalog.flush()

    await catalog.carry_out(Plan({}, ("Chat_Room",), ()))

    assert len(await names(catalog, "ChatsRoom@eu")) == 1
    assert await names(catalog, "Chat_Room@eu") == {}


# Versions.


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as file:
        version: int = file.execute("PRAGMA user_version").fetchone()[0]
        return version


def set_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA user_version = {version}")


async def test_a_catalog_says_which_version_it_is(catalog: Catalog, path: Path) -> None:
    await catalog.close()

    assert version_of(path) == VERSION


async def test_a_catalog_that_didnt_say_its_version_goes_on(path: Path) -> None:
    async with opened(path) as catalog:
        catalog.note(key("aa"), "gala", {None: 1.0})
        await catalog.flush()
    set_version(path, 0)

    async with opened(path) as catalog:
        assert await catalog.alarms() == [(key("aa"), "gala", None, 1.0)]

    assert version_of(path) == VERSION


async def test_a_catalog_of_a_newer_version_is_refused_and_not_touched(path: Path) -> None:
    async with opened(path):
        pass
    set_version(path, VERSION + 1)
    before = path.read_bytes()

    with pytest.raises(DataFolderRefused, match="written by a newer version; use that one"):
        await Catalog.open(path)

    assert path.read_bytes() == before
