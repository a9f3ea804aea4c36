"""Objects, the journal and the disk together."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

import runtime as package
from runtime import AlarmInvocation, DurableObject, Runtime, RuntimeConfig, errors
from runtime.activation import Activation
from runtime.journal import SEGMENTS
from runtime.testing import TestRuntime, key_of
from tests.runtime.disk import StuckDisk, disk, turns

__all__ = ["disk"]

pytestmark = pytest.mark.usefixtures("debug_mode")


class Safe(DurableObject[object]):
    """Keeps a number."""

    rung: ClassVar[list[float]]

    async def put(self, number: int) -> int:
        await self.ctx.storage.put("number", number)
        return number

    async def get(self) -> int:
        number: int = await self.ctx.storage.get("number", 0)
        return number

    async def fill(self, size: int) -> None:
        await self.ctx.storage.put("filling", os.urandom(size))

    async def empty(self) -> None:
        await self.ctx.storage.delete_all()

    async def empty_and_die(self) -> None:
        await self.ctx.storage.delete_all()
        self.ctx.abort("it dies")

    async def die(self) -> None:
        self.ctx.abort("it dies")

    async def set(self, seconds: float | None) -> None:
        if seconds is None:
            await self.ctx.storage.delete_alarm()
        else:
            await self.ctx.storage.set_alarm(timedelta(seconds=seconds))

    async def alarm(self, invocation: AlarmInvocation) -> None:
        Safe.rung.append(invocation.scheduled_time)


@pytest.fixture
async def runtime() -> Any:
    """A runtime with safes, whose journal has small segments."""
    Safe.rung = []
    async with TestRuntime(bindings={"safes": Safe}, journal_segment_bytes=40_000) as runtime:
        yield runtime


@pytest.fixture
def safe(runtime: TestRuntime[Any]) -> Any:
    """One of them."""
    return runtime.env.safes.get_by_name("a")


def segments(runtime: TestRuntime[Any]) -> int:
    return len(list((runtime.config.data / "journal").glob("*.journal")))


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A disk that refuses every sync while there is something in the list."""
    breaks: list[bool] = []
    really = os.fdatasync

    def sync(descriptor: int) -> None:
        if breaks:
            raise OSError(errno.EIO, "Input/output error")
        really(descriptor)

    monkeypatch.setattr(os, "fdatasync", sync)
    return breaks


async def test_i3_a_reset_shows_nobody_what_isnt_durable(safe: Any, disk: StuckDisk) -> None:
    await safe.put(1)
    with disk.stuck():
        puts = [asyncio.ensure_future(safe.put(number)) for number in (2, 3)]
        await turns()
        dying = asyncio.ensure_future(safe.die())
        await turns()
        got = asyncio.ensure_future(safe.get())
        await turns()
        assert not got.done()

    assert await got == 3
    for call in (*puts, dying):
        with pytest.raises(errors.ObjectReset, match="it dies"):
            await call


async def test_what_the_disk_refuses_is_undone_and_its_callers_may_try_again(
    runtime: TestRuntime[Any], safe: Any, broken: list[bool]
) -> None:
    other = runtime.env.safes.get_by_name("b")
    await asyncio.gather(safe.put(1), other.put(1))

    broken.append(True)
    results = await asyncio.gather(safe.put(2), safe.put(3), other.get(), return_exceptions=True)
    assert [getattr(result, "retryable", result) for result in results] == [True, True, 1]
    assert "the disk refused what this object wrote last" in str(results[0])
    assert await safe.get() == 1

    broken.clear()
    assert await safe.put(4) == 4
    await runtime.crash()
    assert [await safe.get(), await other.get()] == [4, 1]


async def test_the_first_write_of_an_object_can_be_refused(
    runtime: TestRuntime[Any], safe: Any, broken: list[bool]
) -> None:
    broken.append(True)
    with pytest.raises(errors.ObjectReset):
        await safe.put(1)
    broken.clear()

    assert await safe.get() == 0
    await runtime.crash()
    assert await safe.get() == 0
    assert await runtime.list_durable_object_ids(runtime.env.safes) == []


async def test_an_alarm_whose_unsetting_was_lost_rings(
    runtime: TestRuntime[Any], safe: Any, broken: list[bool]
) -> None:
    await safe.set(60)
    broken.append(True)
    with pytest.raises(errors.ObjectReset):
        await safe.set(None)
    broken.clear()

    await runtime.clock.advance(61)

    assert len(Safe.rung) == 1


async def test_an_alarm_that_was_unset_without_the_disk_survives_a_crash(
    runtime: TestRuntime[Any], safe: Any, disk: StuckDisk
) -> None:
    """The catalog hears of it when it is durable, or it would know less than the object (I7)."""
    await safe.set(60)
    await runtime.settle()
    with disk.stuck():
        unsetting = asyncio.ensure_future(safe.set(None))
        await turns()
        runtime.host.die()
    with pytest.raises(errors.DurableObjectError):
        await unsetting

    await runtime.crash()
    is_set = await safe.get() == 0 and bool(await runtime._catalog.alarms())
    await runtime.clock.advance(61)

    assert len(Safe.rung) == int(is_set)


async def test_a_slow_disk_turns_into_overload(disk: StuckDisk) -> None:
    async with TestRuntime(bindings={"safes": Safe}, journal_max_bytes=100_000) as runtime:
        safe = runtime.env.safes.get_by_name("a")
        with disk.stuck():
            calls = [asyncio.ensure_future(safe.fill(20_000)) for _ in range(10)]
            await turns()
            with pytest.raises(errors.Overloaded):
                await runtime.env.safes.get_by_name("b").get()

        results = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(result) for result in results} == {type(None), errors.Overloaded}
        assert await safe.get() == 0


async def test_the_journal_stays_short_though_objects_stay_awake(
    runtime: TestRuntime[Any],
) -> None:
    safes = [runtime.env.safes.get_by_name(name) for name in "abcdef"]
    for safe in safes:
        await safe.put(7)
    most = 0
    for _ in range(60):
        await safes[0].fill(10_000)
        await runtime.settle()
        most = max(most, segments(runtime))

    assert SEGMENTS <= most <= SEGMENTS + 2
    await runtime.crash()
    assert [await safe.get() for safe in safes] == [7] * 6


async def test_an_object_that_was_emptied_stays_away_after_a_crash(
    runtime: TestRuntime[Any], safe: Any
) -> None:
    await safe.put(1)
    await safe.empty()
    await runtime.evict_durable_object(safe)
    assert list((runtime.config.data / "objects").glob("*/*")) == []

    await runtime.crash()

    assert list((runtime.config.data / "objects").glob("*/*")) == []
    assert await runtime.list_durable_object_ids(runtime.env.safes) == []
    assert await safe.put(2) == 2


async def test_an_object_that_is_emptied_and_reset_at_once_can_be_used(safe: Any) -> None:
    await safe.put(1)

    for _ in range(2):
        with pytest.raises(errors.ObjectReset):
            await safe.empty_and_die()
        assert await safe.get() == 0
    assert await safe.put(2) == 2


async def test_a_proper_stop_leaves_no_journal(tmp_path: Path) -> None:
    config = RuntimeConfig(data=tmp_path)
    async with Runtime(config, bindings={"safes": Safe}) as runtime:
        for name in "abc":
            await runtime.env.safes.get_by_name(name).put(1)

    assert list((tmp_path / "journal").iterdir()) == []
    assert list((tmp_path / "objects").glob("*/*-wal")) == []


WRITERS = """
import asyncio, os, sys
from pathlib import Path
from runtime import DurableObject, Runtime, RuntimeConfig

class Safe(DurableObject):
    async def put(self, number: int) -> None:
        await self.ctx.storage.put("number", number)

async def main() -> None:
    async with Runtime(RuntimeConfig(data=Path(sys.argv[1])), bindings={"safes": Safe}) as runtime:
        safes = [runtime.env.safes.get_by_name(str(number)) for number in range(1000)]
        os.write(1, b"begin")
        waiting = iter(safes)
        async def client() -> None:
            for safe in waiting:
                await safe.put(1)
                os.write(1, b"acknowledged")
        await asyncio.gather(*(client() for _ in range(64)))
        os.write(1, b"end")
        os._exit(0)  # a proper stop would settle a thousand databases

asyncio.run(main())
"""


def test_the_kernel_sees_few_syncs_and_one_before_every_acknowledgement(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    trace = tmp_path / "trace"
    # With the filter in the kernel, calls that aren't traced cost nothing.
    traced = [strace or "", "-f", "--seccomp-bpf", "-o", str(trace)]
    traced += ["-e", "trace=fdatasync,write,pwrite64"]
    if strace is None or subprocess.run([*traced, "true"], capture_output=True).returncode:
        pytest.skip("strace isn't there, or may not trace")
    environment = os.environ | {"PYTHONPATH": str(Path(package.__file__).parents[1])}
    command = [*traced, sys.executable, "-c", WRITERS, str(tmp_path / "data")]
    subprocess.run(command, check=True, capture_output=True, env=environment)

    text = trace.read_text()
    text = text[text.index('"begin"') : text.index('"end"')]
    # strace splits a call that waits into its beginning and its end.
    events = re.findall(
        r'(acknowledged)|(fdatasync)(?:\(\d+\)| resumed>\))\s+= 0|(pwrite64)\(\d+, "DormRec', text
    )
    kinds = [next(filter(None, event)) for event in events]
    assert kinds.count("acknowledged") == 1000
    assert 1000 / 64 <= kinds.count("fdatasync") <= 250  # of at most 64 acknowledgements each
    # Whatever is acknowledged, no record is then half-way: the one before it was synced.
    for at, kind in enumerate(kinds):
        if kind == "acknowledged":
            before = [earlier for earlier in kinds[:at] if earlier != "acknowledged"]
            assert "fdatasync" in before
            assert before.count("pwrite64") - before.count("fdatasync") <= 1


# What an attack on the journal has found.


async def test_a_second_refusal_takes_nothing_that_was_acknowledged(
    runtime: TestRuntime[Any], safe: Any, broken: list[bool]
) -> None:
    await safe.put(1)
    for number in (2, 3):
        broken.append(True)
        with pytest.raises(errors.ObjectReset):
            await safe.put(number)
        broken.clear()
        assert await safe.get() == 1

    assert await safe.put(4) == 4
    await runtime.crash()
    assert await safe.get() == 4


async def test_a_refusal_after_a_reset_takes_nothing_that_was_acknowledged(
    runtime: TestRuntime[Any], safe: Any, broken: list[bool]
) -> None:
    await safe.put(1)
    with pytest.raises(errors.ObjectReset):
        await safe.die()
    broken.append(True)
    with pytest.raises(errors.ObjectReset):
        await safe.put(2)
    broken.clear()

    assert await safe.get() == 1
    await runtime.crash()
    assert await safe.get() == 1


@pytest.mark.parametrize("method", ["put", "empty"])
async def test_a_commit_that_cant_be_read_back_is_undone(
    runtime: TestRuntime[Any], safe: Any, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    await safe.put(1)
    await runtime.evict_durable_object(safe)
    really = os.open

    def refuse(path: Any, *args: Any, **kwargs: Any) -> int:
        if str(path).endswith("-wal"):
            raise OSError(errno.EMFILE, "Too many open files")
        return really(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(errors.ObjectReset, match="Too many open files") as refusal:
            await (safe.put(2) if method == "put" else safe.empty())
    assert refusal.value.retryable
    assert await safe.get() == 1

    assert await safe.put(3) == 3
    await runtime.crash()
    assert await safe.get() == 3


async def test_an_alarm_set_just_before_a_reset_rings_after_a_restart(
    runtime: TestRuntime[Any], safe: Any, disk: StuckDisk
) -> None:
    with disk.stuck():
        setting = asyncio.ensure_future(safe.set(60))
        await turns()
        dying = asyncio.ensure_future(safe.die())
        await turns()
    await asyncio.gather(setting, dying, return_exceptions=True)
    await safe.get()
    await runtime.evict_durable_object(safe)
    await runtime.restart()

    await runtime.clock.advance(61)

    assert len(Safe.rung) == 1


async def test_an_alarm_unset_in_a_transaction_that_fails_rings(
    runtime: TestRuntime[Any], safe: Any
) -> None:
    await safe.set(60)

    async def use(_: Safe, ctx: Any) -> None:
        async def closure(txn: Any) -> None:
            await txn.delete_alarm()
            await asyncio.sleep(0)
            raise LookupError

        with pytest.raises(LookupError):
            await ctx.storage.transaction(closure)

    await runtime.run_in_durable_object(safe, use)
    await runtime.restart()
    await runtime.clock.advance(61)

    assert len(Safe.rung) == 1


async def test_an_object_waits_until_what_was_refused_can_be_undone(
    runtime: TestRuntime[Any], safe: Any, broken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    await safe.put(1)
    with monkeypatch.context() as patch:

        def refuse(*_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        patch.setattr(os, "truncate", refuse)
        broken.append(True)
        with pytest.raises(errors.ObjectReset):
            await safe.put(2)
        broken.clear()
    got = asyncio.ensure_future(safe.get())
    await runtime.clock.advance(2)

    assert await got == 1


async def test_i1_an_object_that_waited_to_be_undone_has_one_next_life(
    runtime: TestRuntime[Any], safe: Any, broken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It used to be asked twice whether it could be undone, and got two of them."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    await safe.put(1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "truncate", refuse)
        broken.append(True)
        with pytest.raises(errors.ObjectReset):
            await safe.put(2)
        broken.clear()
    await runtime.clock.advance(5)

    assert await safe.get() == 1
    assert await safe.put(4) == 4
    await runtime.crash()
    assert await safe.get() == 4


async def test_a_disk_that_never_lets_go_doesnt_keep_the_node_from_stopping(
    runtime: TestRuntime[Any],
    safe: Any,
    broken: list[bool],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    await safe.put(1)
    monkeypatch.setattr("runtime.draining.CLOSE_SECONDS", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(os, "truncate", refuse)
        broken.append(True)
        with pytest.raises(errors.ObjectReset):
            await safe.put(2)
        broken.clear()

        await runtime.restart()

        assert f"the disk doesn't let {safe.id} be closed" in caplog.text
        assert await safe.get() == 1
        await safe.put(3)
    await runtime.clock.advance(5)  # nothing of the life before is left to cut anything off
    assert await safe.get() == 3
    await runtime.crash()
    assert await safe.get() == 3


class Shelf(DurableObject[object]):
    """Writes its schema when it is made."""

    migrations: ClassVar[list[str]] = ["CREATE TABLE books (title)"]
    lives: ClassVar[int]

    def __init__(self, ctx: Any, env: object) -> None:
        super().__init__(ctx, env)
        Shelf.lives += 1

    async def put(self, title: str) -> None:
        self.ctx.storage.sql.exec("INSERT INTO books VALUES (?)", title)
        await self.ctx.storage.set_alarm(timedelta(seconds=60))

    async def alarm(self, invocation: AlarmInvocation) -> None:
        self.ctx.storage.sql.exec("INSERT INTO books VALUES ('rung')")

    async def titles(self) -> list[str]:
        return [row["title"] for row in self.ctx.storage.sql.exec("SELECT title FROM books")]


async def test_an_object_whose_schema_is_refused_isnt_made_again_and_again(
    broken: list[bool],
) -> None:
    """It was asked for its alarms, had to write its schema to answer, broke, and was asked..."""
    Shelf.lives = 0
    async with TestRuntime(bindings={"shelves": Shelf}) as runtime:
        shelf = runtime.env.shelves.get_by_name("a")
        broken.append(True)
        with pytest.raises(errors.ObjectReset):
            await shelf.put("refused")
        await runtime.settle()
        assert Shelf.lives == 2
        await runtime.clock.advance(10)
        assert Shelf.lives <= 2 + 10

        broken.clear()
        await shelf.put("taken")
        await runtime.clock.advance(61)
        assert await shelf.titles() == ["taken", "rung"]


async def test_what_delete_all_has_emptied_is_there_again_if_the_disk_refuses(
    runtime: TestRuntime[Any], safe: Any, broken: list[bool]
) -> None:
    await safe.put(1)
    broken.append(True)
    with pytest.raises(errors.ObjectReset) as refusal:
        await safe.empty()
    assert refusal.value.retryable
    assert await safe.get() == 1

    broken.clear()
    await runtime.crash()
    assert await safe.get() == 1


async def test_a_call_that_may_yet_have_worked_is_not_called_retryable(
    runtime: TestRuntime[Any], safe: Any, broken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    await safe.put(1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", refuse)
        broken.append(True)
        with pytest.raises(errors.ObjectReset, match="unless the process ends") as refusal:
            await safe.put(2)
        broken.clear()

    assert not refusal.value.retryable
    assert await safe.get() == 1
    assert await safe.put(3) == 3
    await runtime.crash()
    assert await safe.get() == 3


async def test_abort_drops_the_step_it_is_in_while_an_earlier_commit_is_under_way(
    safe: Any, disk: StuckDisk, runtime: TestRuntime[Any]
) -> None:
    async def put_and_die(_: Safe, ctx: Any) -> None:
        ctx.storage.kv.put("number", 9)
        ctx.abort("it dies")

    await safe.put(1)
    await runtime.settle()
    life = runtime.host.life_of(key_of(safe))
    assert life is not None
    with disk.stuck():
        putting = asyncio.ensure_future(safe.put(2))
        await turns()
        life.run(put_and_die(life.instance, life.ctx), "put and die")
        await turns()
    await asyncio.gather(putting, return_exceptions=True)

    assert await safe.get() == 2


async def test_an_object_without_a_database_has_nothing_to_settle(
    runtime: TestRuntime[Any], safe: Any
) -> None:
    """The journal may still speak of one that was emptied."""
    runtime.host.wake(key_of(safe), safe.id, Activation.checkpoint, _must_not)
    await runtime.settle()

    assert [await safe.get(), await safe.put(2)] == [0, 2]


def _must_not(error: Exception) -> None:
    raise AssertionError("it can be started") from error


async def test_a_damaged_index_is_told(tmp_path: Path) -> None:
    config = RuntimeConfig(data=tmp_path)
    async with TestRuntime(bindings={"safes": Safe}, data=tmp_path) as runtime:
        await runtime.env.safes.get_by_name("a").put(1)
        index = (tmp_path / "journal" / "index").read_text()
    (tmp_path / "journal" / "index").write_text(index.replace("1", "3", 1))

    with pytest.raises(errors.DataFolderRefused, match="index is damaged"):
        async with Runtime(config, bindings={"safes": Safe}):
            pass
