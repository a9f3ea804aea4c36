"""Going back: an object becomes what it was, and nothing else happens to it or to others."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runtime import (
    AlarmInvocation,
    DurableObject,
    Migration,
    Runtime,
    RuntimeConfig,
    errors,
    restoring,
)
from runtime.bookmarks import Bookmark
from runtime.segments import write_all
from runtime.testing import TestRuntime, key_of

_prepare = restoring.prepare


class Diary(DurableObject[Any]):
    """Remembers in every way there is."""

    migrations = ("CREATE TABLE days (text TEXT)",)
    rung: list[str] = []  # noqa: RUF012

    async def write(self, text: str) -> str:
        """Returns a bookmark of the moment after it."""
        self.ctx.storage.sql.exec("INSERT INTO days VALUES (?)", text)
        self.ctx.storage.kv.put("last", text)
        return await self.ctx.storage.get_current_bookmark()

    async def read(self) -> list[str]:
        days = [row["text"] for row in self.ctx.storage.sql.exec("SELECT text FROM days")]
        assert self.ctx.storage.kv.get("last") == (days[-1] if days else None)
        return days

    async def bookmarks(self, count: int) -> list[str]:
        return [await self.ctx.storage.get_current_bookmark() for _ in range(count)]

    async def bookmark_for(self, when: Any) -> str:
        return await self.ctx.storage.get_bookmark_for_time(when)

    async def go_back(self, bookmark: str) -> str:
        return await self.ctx.storage.on_next_session_restore_bookmark(bookmark)

    async def go_back_now(self, bookmark: str) -> None:
        await self.ctx.storage.on_next_session_restore_bookmark(bookmark)
        self.ctx.abort("going back")

    async def go_back_in_a_transaction(self, bookmark: str) -> None:
        async def closure(_: Any) -> None:
            await self.ctx.storage.on_next_session_restore_bookmark(bookmark)

        await self.ctx.storage.transaction(closure)

    async def tear_out(self) -> None:
        self.ctx.storage.sql.exec("DELETE FROM days")
        self.ctx.storage.kv.delete("last")

    async def burn(self) -> None:
        await self.ctx.storage.delete_all()

    async def wake_at(self, when: float) -> str:
        await self.ctx.storage.set_alarm(when, name="dawn")
        return await self.ctx.storage.get_current_bookmark()

    async def alarms(self) -> dict[str | None, float]:
        return await self.ctx.storage.list_alarms()

    async def alarm(self, invocation: AlarmInvocation) -> None:
        self.rung.append(invocation.name or "")

    async def grow(self, kilobytes: int) -> str:
        self.ctx.storage.kv.put("blob", random.Random(kilobytes).randbytes(1024 * kilobytes))
        return await self.ctx.storage.get_current_bookmark()

    async def size(self) -> tuple[int, int]:
        blob: bytes = self.ctx.storage.kv.get("blob", b"")
        return len(blob), self.ctx.storage.sql.database_size


@pytest.fixture(params=[False, True], ids=["awake", "evicted"])
async def runtime(request: pytest.FixtureRequest) -> AsyncIterator[TestRuntime[Any]]:
    async with TestRuntime(bindings={"diaries": Diary}, evicting=request.param) as runtime:
        yield runtime


@pytest.fixture
def diary(runtime: TestRuntime[Any]) -> Any:
    return runtime.env.diaries.get_by_name("ada")


def files(runtime: TestRuntime[Any]) -> list[Path]:
    return [path for path in runtime.config.data.rglob("*") if path.is_file()]


async def evicted(runtime: TestRuntime[Any], diary: Any) -> None:
    """Have it out of memory, whether or not it is already."""
    try:
        await runtime.evict_durable_object(diary)
    except errors.DurableObjectError as error:
        assert "not currently running" in str(error)  # noqa: PT017


async def test_it_goes_back_to_a_bookmark(runtime: TestRuntime[Any], diary: Any) -> None:
    await diary.write("monday")
    then = await diary.write("tuesday")
    await diary.write("wednesday")

    with pytest.raises(errors.ObjectReset, match="going back"):
        await diary.go_back_now(then)

    assert await diary.read() == ["monday", "tuesday"]
    await diary.write("another wednesday")
    await runtime.crash()
    assert await diary.read() == ["monday", "tuesday", "another wednesday"]


async def test_only_the_next_life_goes_back(runtime: TestRuntime[Any], diary: Any) -> None:
    then = await diary.write("monday")
    await diary.write("tuesday")

    await diary.go_back(then)
    if not runtime._evicting:
        assert await diary.write("wednesday")
        assert len(await diary.read()) == 3
        await evicted(runtime, diary)

    assert await diary.read() == ["monday"]
    await evicted(runtime, diary)
    assert await diary.read() == ["monday"]


async def test_going_back_can_be_undone_and_redone(runtime: TestRuntime[Any], diary: Any) -> None:
    then = await diary.write("monday")
    await diary.write("tuesday")

    undo = await diary.go_back(then)
    await evicted(runtime, diary)
    assert await diary.read() == ["monday"]

    redo = await diary.go_back(undo)
    await evicted(runtime, diary)
    assert await diary.read() == ["monday", "tuesday"]

    await diary.go_back(redo)
    await evicted(runtime, diary)
    assert await diary.read() == ["monday"]


async def test_it_goes_back_in_time(runtime: TestRuntime[Any], diary: Any) -> None:
    before = runtime.clock.time()
    times = {}
    for day in ("monday", "tuesday", "wednesday"):
        await runtime.clock.advance(timedelta(days=1))
        await diary.write(day)
        times[day] = runtime.clock.time()
    await runtime.clock.advance(60)

    await diary.go_back(await diary.bookmark_for(times["tuesday"]))
    await evicted(runtime, diary)
    assert await diary.read() == ["monday", "tuesday"]

    await diary.go_back(await diary.bookmark_for(datetime.fromtimestamp(times["wednesday"], UTC)))
    await evicted(runtime, diary)
    assert await diary.read() == ["monday", "tuesday", "wednesday"]

    with pytest.raises(errors.StorageError, match="reaches back to"):
        await diary.bookmark_for(before)  # there was no diary yet


async def test_rows_deleted_by_mistake_come_back(runtime: TestRuntime[Any], diary: Any) -> None:
    then = await diary.write("monday")
    await diary.tear_out()
    await evicted(runtime, diary)

    await diary.go_back(then)
    await evicted(runtime, diary)

    assert await diary.read() == ["monday"]


async def test_a_database_shrinks_and_grows_with_it(runtime: TestRuntime[Any], diary: Any) -> None:
    small = await diary.grow(10)
    large = await diary.grow(3000)
    sizes = []
    for bookmark in (small, large, small):
        await diary.go_back(bookmark)
        await evicted(runtime, diary)
        length, size = await diary.size()
        sizes.append((length, size < 100_000))

    assert sizes == [(10 * 1024, True), (3000 * 1024, False), (10 * 1024, True)]


async def test_alarms_go_back_too(runtime: TestRuntime[Any], diary: Any) -> None:
    Diary.rung.clear()
    dawn = runtime.clock.time() + 3600
    then = await diary.wake_at(dawn)
    later = await diary.wake_at(dawn + 3600)

    await diary.go_back(then)
    await evicted(runtime, diary)
    assert await diary.alarms() == {"dawn": dawn}
    await runtime.clock.advance(3600)
    assert Diary.rung == ["dawn"]

    await diary.go_back(later)
    await evicted(runtime, diary)
    assert await diary.alarms() == {"dawn": dawn + 3600}
    await runtime.clock.advance(3600)
    assert Diary.rung == ["dawn", "dawn"]


async def test_an_alarm_of_the_past_rings_even_if_nobody_calls(
    runtime: TestRuntime[Any], diary: Any
) -> None:
    Diary.rung.clear()
    then = await diary.wake_at(runtime.clock.time() + 100)
    await runtime.clock.advance(200)
    assert Diary.rung == ["dawn"]

    await diary.go_back(then)
    await evicted(runtime, diary)
    assert await diary.alarms() in ({}, {"dawn": pytest.approx(runtime.clock.time() - 100)})
    await runtime.settle()

    assert Diary.rung == ["dawn", "dawn"]


async def test_bookmarks_sort_as_the_moments_do(runtime: TestRuntime[Any], diary: Any) -> None:
    marks = [await diary.write("monday"), *await diary.bookmarks(20)]
    await runtime.restart()
    marks += [*await diary.bookmarks(5), await diary.write("tuesday")]
    await runtime.crash()
    marks += await diary.bookmarks(5)

    assert marks == sorted(set(marks))


async def test_a_plan_to_go_back_survives_a_crash(runtime: TestRuntime[Any], diary: Any) -> None:
    then = await diary.write("monday")
    await diary.write("tuesday")
    undo = await diary.go_back(then)
    await runtime.crash()

    assert await diary.read() == ["monday"]
    await runtime.crash()
    assert await diary.read() == ["monday"]
    await diary.go_back(undo)
    await runtime.restart()
    assert await diary.read() == ["monday", "tuesday"]


async def test_all_calls_wait_until_it_has_gone_back(runtime: TestRuntime[Any], diary: Any) -> None:
    then = await diary.write("monday")
    await diary.write("tuesday")
    await diary.go_back(then)
    await evicted(runtime, diary)

    found = await asyncio.gather(*(diary.read() for _ in range(20)))

    assert found == [["monday"]] * 20


@pytest.mark.parametrize("stage", ["prepare", "carry_out"])
async def test_a_disk_that_refuses_puts_it_off(
    runtime: TestRuntime[Any], diary: Any, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    then = await diary.write("monday")
    await diary.write("tuesday")
    await diary.go_back(then)
    refusals = 0

    def refuse(*_: object) -> None:
        nonlocal refusals
        refusals += 1
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(restoring, stage, refuse)
        await evicted(runtime, diary)
        reading = asyncio.ensure_future(diary.read())
        await runtime.clock.advance(3)
        if stage == "prepare":
            with pytest.raises(errors.ObjectReset, match="No space left") as refusal:
                await reading
            assert refusal.value.retryable

    await runtime.clock.advance(3)
    if stage == "carry_out":
        assert await reading == ["monday"]
    assert refusals
    assert await diary.read() == ["monday"]


async def test_a_crash_before_it_is_carried_out_is_mended(
    runtime: TestRuntime[Any], diary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is durable in the journal, and some of it is in the database."""
    then = await diary.write("monday")
    await diary.grow(100)
    undo = await diary.go_back(then)

    def tear(database: Path, restoration: Any, *_: object) -> None:
        content = bytearray(database.read_bytes())
        content[4096 : 2 * 4096] = bytes(4096)
        database.write_bytes(content)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(restoring, "carry_out", tear)
        await evicted(runtime, diary)
        reading = asyncio.ensure_future(diary.read())
        await runtime.settle()
        await runtime.crash()
    with pytest.raises(errors.DurableObjectError):
        await reading

    assert await diary.size() != (0, 0)
    assert (await diary.size())[0] == 0
    assert await diary.read() == ["monday"]
    await diary.go_back(undo)
    await evicted(runtime, diary)
    assert (await diary.size())[0] == 100 * 1024


async def test_a_history_that_doesnt_fit_is_told_and_the_object_stays_as_it_is(
    runtime: TestRuntime[Any], diary: Any, caplog: pytest.LogCaptureFixture
) -> None:
    then = await diary.write("monday")
    await evicted(runtime, diary)
    await diary.write("tuesday")
    await diary.go_back(then)
    await evicted(runtime, diary)
    (history,) = runtime.config.data.glob("objects/*/*.history")
    content = bytearray(history.read_bytes())
    content[-20] ^= 1
    history.write_bytes(content)

    assert await diary.read() == ["monday", "tuesday"]

    assert "can't be restored, and stays as it is" in caplog.text
    assert "is damaged" in caplog.text
    assert await diary.write("wednesday")


@pytest.mark.parametrize(
    ("bookmark", "error"),
    [
        ("", "is no bookmark"),
        ("yesterday", "is no bookmark"),
        (str(Bookmark(1, "ff" * 32)), "is that of another object"),
    ],
)
async def test_what_is_no_bookmark_is_refused(diary: Any, bookmark: str, error: str) -> None:
    await diary.write("monday")

    with pytest.raises(ValueError, match=error):
        await diary.go_back(bookmark)

    assert await diary.read() == ["monday"]


async def test_a_bookmark_that_was_changed_is_refused(diary: Any) -> None:
    mark = await diary.write("monday")
    other = mark.replace(mark[15], "0" if mark[15] != "0" else "1", 1)

    with pytest.raises(ValueError, match=r"a part of it was changed|is no bookmark"):
        await diary.go_back(other)


async def test_a_bookmark_to_come_is_refused(runtime: TestRuntime[Any], diary: Any) -> None:
    await diary.write("monday")
    soon = runtime.clock.time() + 60

    with pytest.raises(ValueError, match=r"is yet to come$"):
        await diary.bookmark_for(soon)
    for wrong in (soon * 1000, float("inf")):
        with pytest.raises(ValueError, match="yet to come: seconds are expected"):
            await diary.bookmark_for(wrong)
    with pytest.raises(ValueError, match="is yet to come"):
        await diary.go_back(str(Bookmark(int(soon * 1e6), diary.id.hex)))
    with pytest.raises(errors.StorageError, match="hasn't happened"):
        await diary.go_back(str(Bookmark(int(soon * 1e6), diary.id.hex, is_undo=True)))


@pytest.mark.parametrize("when", [timedelta(days=1), datetime(2026, 1, 1), "monday", True])
async def test_what_is_no_moment_is_refused(diary: Any, when: Any) -> None:
    with pytest.raises(TypeError):
        await diary.bookmark_for(when)


async def test_a_transaction_cant_go_back(diary: Any) -> None:
    then = await diary.write("monday")

    with pytest.raises(errors.StorageError, match="within a transaction"):
        await diary.go_back_in_a_transaction(then)


async def test_history_reaches_back_30_days(runtime: TestRuntime[Any], diary: Any) -> None:
    old = await diary.write("monday")
    await runtime.clock.advance(timedelta(days=29))
    recent = await diary.write("tuesday")
    assert await diary.bookmark_for(runtime.clock.time() - 29 * 86400)
    await runtime.clock.advance(timedelta(days=2))

    with pytest.raises(errors.StorageError, match="reaches back to"):
        await diary.go_back(old)
    with pytest.raises(errors.StorageError, match="reaches back to"):
        await diary.bookmark_for(runtime.clock.time() - 31 * 86400)
    await diary.write("wednesday")
    await diary.go_back(recent)
    await evicted(runtime, diary)
    assert await diary.read() == ["monday", "tuesday"]


async def test_without_history_there_is_no_going_back() -> None:
    async with TestRuntime(bindings={"diaries": Diary}, history_days=0) as runtime:
        diary = runtime.env.diaries.get_by_name("ada")
        mark = await diary.write("monday")
        await evicted(runtime, diary)

        assert not list(runtime.config.data.rglob("*.history"))
        with pytest.raises(errors.StorageError, match="no history is kept"):
            await diary.go_back(mark)
        assert await diary.read() == ["monday"]


async def test_delete_all_deletes_what_was(runtime: TestRuntime[Any], diary: Any) -> None:
    secret = "a secret that nobody may find any more"
    then = await diary.write(secret)
    await evicted(runtime, diary)
    await diary.write("another day")
    undo = await diary.go_back(then)

    await diary.burn()

    for bookmark in (then, undo):
        with pytest.raises(errors.StorageError, match=r"reaches back to|hasn't happened"):
            await diary.go_back(bookmark)
    await diary.write("a new life")
    await runtime.settle()
    found = [path.suffix for path in files(runtime) if secret.encode() in path.read_bytes()]
    assert set(found) <= {".journal", ".sqlite-wal"}, "which go when they have been settled"
    await runtime.restart()
    assert await diary.read() == ["a new life"]
    assert not any(secret.encode() in path.read_bytes() for path in files(runtime))


async def test_an_object_that_was_deleted_has_no_history(
    runtime: TestRuntime[Any], diary: Any
) -> None:
    await diary.write("monday")
    await evicted(runtime, diary)
    assert list(runtime.config.data.rglob("*.history"))

    await diary.burn()
    await evicted(runtime, diary)

    assert not [path for path in files(runtime) if diary.id.hex in path.name]


async def test_a_deleted_class_takes_its_history_along(tmp_path: Path) -> None:
    created = Migration(tag="v1", new_sqlite_classes=("Diary",))
    deleted = Migration(tag="v2", deleted_classes=("Diary",))
    config = RuntimeConfig(data=tmp_path, migrations=(created,))
    async with Runtime(config, bindings={"diaries": Diary}) as runtime:
        await runtime.env.diaries.get_by_name("ada").write("monday")
    assert list(tmp_path.rglob("*.history"))

    config = RuntimeConfig(data=tmp_path, migrations=(created, deleted))
    async with Runtime(config, bindings={}):
        pass

    assert not list(tmp_path.rglob("*.history"))


# What goes wrong beside it.


def refusing(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


async def test_a_refused_write_leaves_no_trace_in_the_history(
    runtime: TestRuntime[Any], diary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was lost used to be counted among what the next life wrote."""
    await diary.write("monday")
    await evicted(runtime, diary)
    await diary.read()
    with monkeypatch.context() as full:
        full.setattr(os, "fdatasync", refusing)
        with pytest.raises(errors.ObjectReset):
            await diary.write("a lost day")
    await runtime.clock.advance(3)
    then = await diary.write("tuesday")
    await diary.grow(50)
    await evicted(runtime, diary)
    await diary.tear_out()

    await diary.go_back(then)
    await evicted(runtime, diary)

    assert await diary.read() == ["monday", "tuesday"]


async def test_a_life_that_breaks_while_it_goes_back_leaves_no_half_of_it(
    runtime: TestRuntime[Any], diary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    then = await diary.write("monday")
    await diary.grow(100)
    await diary.go_back(then)
    await evicted(runtime, diary)

    def half(file: int, content: Any, at: int) -> None:
        if at >= 2 * 4096:
            refusing()
        write_all(file, content, at)

    with monkeypatch.context() as full:
        full.setattr(restoring, "prepare", partial(_prepared_beside, half, full))
        reading = asyncio.ensure_future(diary.read())
        await runtime.settle()
        life = runtime.host.life_of(key_of(diary))
        assert life is not None
        life.break_off(errors.ObjectReset("it took too long"))
        with pytest.raises(errors.ObjectReset, match="took too long"):
            await reading
        again = asyncio.ensure_future(diary.read())
        await runtime.clock.advance(2)
    await runtime.clock.advance(2)

    assert await again == ["monday"]
    assert (await diary.size())[0] == 0


def _prepared_beside(half: Any, patch: pytest.MonkeyPatch, *about: Any) -> Any:
    """Prepare a restoration on a disk that refuses only what comes after it."""
    prepared = _prepare(*about)
    patch.setattr("runtime.differences.write_all", half)
    return prepared


async def test_a_plan_whose_history_is_gone_is_given_up(
    runtime: TestRuntime[Any], diary: Any, caplog: pytest.LogCaptureFixture
) -> None:
    then = await diary.write("monday")
    await evicted(runtime, diary)
    await diary.write("tuesday")
    await diary.go_back(then)
    await evicted(runtime, diary)
    (history,) = runtime.config.data.glob("objects/*/*.history")
    history.unlink()

    assert await diary.read() == ["monday", "tuesday"]
    assert "there is no history any more" in caplog.text


async def test_an_object_that_couldnt_be_removed_is_before_it_lives_again(
    runtime: TestRuntime[Any], diary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal says that it's gone: after a crash, that would go for what it writes as well."""
    await diary.grow(50)
    await evicted(runtime, diary)
    await diary.burn()
    await runtime.settle()
    with monkeypatch.context() as full:
        full.setattr(Path, "unlink", refusing)
        await evicted(runtime, diary)
        writing = asyncio.ensure_future(diary.write("monday"))
        await runtime.clock.advance(3)
    await runtime.clock.advance(3)

    assert await writing
    await runtime.crash()
    assert await diary.read() == ["monday"]


async def test_a_deleted_objects_bookmark_is_nothing_to_its_successor(
    runtime: TestRuntime[Any], diary: Any
) -> None:
    old = await diary.write("monday")
    await diary.burn()
    await evicted(runtime, diary)
    await diary.write("a new diary")

    with pytest.raises(errors.StorageError, match="reaches back to"):
        await diary.go_back(old)


async def test_a_history_of_a_newer_version_keeps_the_node_from_starting(tmp_path: Path) -> None:
    async with TestRuntime(bindings={"diaries": Diary}, data=tmp_path) as runtime:
        diary = runtime.env.diaries.get_by_name("ada")
        await diary.write("monday")
        await evicted(runtime, diary)
        with pytest.MonkeyPatch.context() as newer:
            newer.setattr("runtime.blocks.VERSION", 2)
            (history,) = tmp_path.glob("objects/*/*.history")
            history.unlink()
            await diary.write("tuesday")
            await evicted(runtime, diary)
        await diary.write("wednesday")
        with pytest.raises(errors.DataFolderRefused, match="newer version"):
            await runtime.crash()
        history.unlink()
        await runtime._open()
        assert await diary.read() == ["monday", "tuesday", "wednesday"]


# What somebody does to the files.


async def test_a_database_that_was_deleted_isnt_begun_anew(
    runtime: TestRuntime[Any], diary: Any
) -> None:
    await diary.write("monday")
    await evicted(runtime, diary)
    (database,) = runtime.config.data.glob("objects/*/*.sqlite")
    content = database.read_bytes()
    database.unlink()

    with pytest.raises(errors.StorageError, match="is missing or empty: somebody has deleted it"):
        await diary.read()
    await runtime.restart()
    with pytest.raises(errors.StorageError, match="is missing"):
        await diary.write("tuesday")

    database.write_bytes(content)
    assert await diary.read() == ["monday"]


@pytest.mark.parametrize("damage", [b"", b"no database at all " * 1000])
async def test_a_damaged_database_is_told(
    runtime: TestRuntime[Any], diary: Any, damage: bytes
) -> None:
    await diary.write("monday")
    await evicted(runtime, diary)
    (database,) = runtime.config.data.glob("objects/*/*.sqlite")
    content = database.read_bytes()
    database.write_bytes(damage)

    with pytest.raises(errors.StorageError, match=r"(is damaged|missing or empty).*from a backup"):
        await diary.read()

    database.write_bytes(content)
    assert await diary.read() == ["monday"]


async def test_the_database_of_another_isnt_taken_for_its_own(
    runtime: TestRuntime[Any], diary: Any
) -> None:
    other = runtime.env.diaries.get_by_name("bob")
    await diary.write("ada's")
    await other.write("bob's")
    for each in (diary, other):
        await evicted(runtime, each)
    one, two = sorted(runtime.config.data.glob("objects/*/*.sqlite"))
    one.write_bytes(two.read_bytes())
    mine, whole = (diary, other) if one.stem == diary.id.hex else (other, diary)

    with pytest.raises(errors.StorageError, match=f"another object, {whole.id.hex}"):
        await mine.read()

    assert len(await whole.read()) == 1


async def test_a_database_that_is_deleted_in_use_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with TestRuntime(bindings={"diaries": Diary}) as runtime:
        diary = runtime.env.diaries.get_by_name("ada")
        await diary.write("monday")
        await evicted(runtime, diary)
        await diary.write("tuesday")
        (database,) = runtime.config.data.glob("objects/*/*.sqlite")
        database.unlink()

        await evicted(runtime, diary)

        assert "was deleted or replaced while it was in use" in caplog.text
        with pytest.raises(errors.StorageError, match="is missing"):
            await diary.read()


# At random.


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_it_goes_back_to_what_it_was(seed: int) -> None:
    """Writes, evictions, crashes and restorations at random, beside a plain model."""
    rng = random.Random(seed)
    async with TestRuntime(bindings={"diaries": Diary}) as runtime:
        diary = runtime.env.diaries.get_by_name("ada")
        now: list[str] = []
        was: list[tuple[str, list[str]]] = []
        for number in range(60):
            match rng.randrange(9):
                case 0:
                    await evicted(runtime, diary)
                case 1:
                    await runtime.crash()
                case 2 if was:
                    bookmark, then = rng.choice(was)
                    undo = await diary.go_back(bookmark)
                    was.append((undo, now))
                    if rng.random() < 0.5:
                        await evicted(runtime, diary)
                    else:
                        await runtime.crash()
                    now = then
                case 3 if rng.random() < 0.2:
                    await diary.burn()
                    now, was = [], []
                case 4:
                    await diary.tear_out()
                    now = []
                case _:
                    bookmark = await diary.write(str(number))
                    now = [*now, str(number)]
                    was.append((bookmark, now))
            assert await diary.read() == now


# When the machine's clock jumps.


async def test_a_clock_that_was_set_back_is_told_and_nothing_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with TestRuntime(bindings={"diaries": Diary}, data=tmp_path) as runtime:
        diary = runtime.env.diaries.get_by_name("ada")
        await runtime.clock.advance(timedelta(hours=2))
        first = await diary.write("monday")
        assert "clock" not in caplog.text

    async with TestRuntime(bindings={"diaries": Diary}, data=tmp_path) as runtime:
        assert "was set back by 7200 s" in caplog.text
        diary = runtime.env.diaries.get_by_name("ada")
        second = await diary.write("tuesday")
        third = await diary.write("wednesday")
        assert first < second < third

        await diary.go_back(second)
        await evicted(runtime, diary)
        assert await diary.read() == ["monday", "tuesday"]
        await diary.go_back(first)
        await runtime.crash()
        assert await diary.read() == ["monday"]
