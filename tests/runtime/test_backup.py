"""Backups of nodes that go on working, and what becomes of them."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import pytest
from rich.progress import Progress

from runtime import AlarmInvocation, DurableObject, Runtime, RuntimeConfig, copies
from runtime import backup as backup_module
from runtime import journal as journal_module
from runtime.__main__ import Amount
from runtime.backup import MANIFEST, backup, restore
from runtime.copies import MARK
from runtime.errors import BackupFailed, DataFolderRefused
from runtime.history import History
from runtime.pins import unless_pinned
from runtime.records import SUFFIX
from runtime.segments import Index, path_of_segment
from runtime.testing import TestRuntime

ROOT = Path(__file__).parents[2]
LATER = 4e9  # in 2096


class Log(DurableObject[object]):
    """Writes down numbers, and has an alarm at the last one."""

    async def add(self, filling: int = 0) -> int:
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS log (n INTEGER PRIMARY KEY, filling)")
        row = sql.exec("INSERT INTO log (filling) VALUES (zeroblob(?)) RETURNING n", filling).one()
        await self.ctx.storage.set_alarm(LATER + int(row["n"]))
        return int(row["n"])

    async def change(self, filling: int) -> None:
        self.ctx.storage.sql.exec("UPDATE log SET filling = zeroblob(?)", filling)

    async def numbers(self) -> list[int]:
        sql = self.ctx.storage.sql
        if sql.exec("SELECT 1 FROM sqlite_schema WHERE name = 'log'").next() is None:
            return []
        return [row["n"] for row in sql.exec("SELECT n FROM log ORDER BY n")]

    async def forget(self) -> None:
        await self.ctx.storage.delete_all()

    async def alarm(self, _: AlarmInvocation) -> None:
        raise AssertionError("that is in 2096")


def quiet(_: str, __: int, ___: int) -> None:
    """Hear of no progress."""


def content(data: Path) -> dict[str, list[int]]:
    """What the objects of a folder at rest hold, by id, if they hold something. All are whole."""
    found = {}
    for path in data.glob(f"objects/*/*{SUFFIX}"):
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'log'").fetchone():
                rows = connection.execute("SELECT n FROM log ORDER BY n")
                found[path.stem] = [n for (n,) in rows]
    return found


def catalogued(data: Path) -> dict[str, list[int]]:
    """What the alarms in the catalog say that the objects hold."""
    with closing(sqlite3.connect(data / "catalog.sqlite")) as connection:
        rows = connection.execute("SELECT id, CAST(due AS INTEGER) FROM alarms")
        return {id: list(range(1, due - int(LATER) + 1)) for id, due in rows}


@pytest.fixture
def fast_folder() -> Iterator[Path]:
    """A folder on a disk that syncs in no time, where the machine has one."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(prefix="dormouse-", dir=memory) as folder:
        yield Path(folder)


# While a node works: at every few bytes that are copied, something happens in it.


class BusyNode:
    """A node in which things happen one after another, and all that has been in it."""

    def __init__(self, runtime: TestRuntime[Any], seed: int) -> None:
        self.runtime = runtime
        self.rng = random.Random(seed)
        self.logs = [runtime.env.logs.get_by_name(str(number)) for number in range(5)]
        self.now: dict[str, list[int]] = {}
        self.moments: list[dict[str, list[int]]] = []

    async def work(self, steps: int) -> None:
        for _ in range(steps):
            await self._step()
            self.moments.append(dict(self.now))

    async def _step(self) -> None:
        log = self.rng.choice(self.logs)
        id = log.id.hex
        match self.rng.randrange(12):
            case 0 if id in self.now:
                await log.forget()
                del self.now[id]
            case 1 | 2 | 3 if id in self.now:
                await log.change(self.rng.randrange(6000))
            case 4 | 5 | 6:
                await log.numbers()
                await self.runtime.evict_durable_object(log)
            case _:
                await log.add(self.rng.randrange(6000))
                self.now[id] = [*self.now.get(id, []), len(self.now.get(id, [])) + 1]


async def backed_up(folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Make a backup of a busy node, and return whether it is as the node was at one moment."""
    data, copy = folder / "data", folder / "copy"
    loop = asyncio.get_running_loop()
    really = os.copy_file_range

    async with TestRuntime(
        bindings={"logs": Log}, data=data, journal_segment_bytes=40_000
    ) as runtime:
        node = BusyNode(runtime, seed)
        await node.work(30)
        if seed % 2:
            await runtime.restart()  # so that the journal is empty to begin with
        before = len(node.moments)

        def little_by_little(original: int, copy: int, count: int, at: int, to: int) -> int:
            asyncio.run_coroutine_threadsafe(node.work(3), loop).result()
            return really(original, copy, min(count, 10_000), at, to)

        with monkeypatch.context() as patch:
            patch.setattr(copies, "THREADS", 1)
            patch.setattr(os, "copy_file_range", little_by_little)
            report = await asyncio.to_thread(backup, data, copy, quiet)
        last = len(node.moments)
        await node.work(10)

    found = content(copy)
    if last - before < 10:
        pytest.fail("too little has happened meanwhile")
    assert report.damaged == []
    return found == catalogued(copy) and found in node.moments[before - 1 : last]


@pytest.mark.parametrize("seed", range(6))
async def test_a_backup_is_as_the_node_was_at_one_moment_while_it_was_made(
    fast_folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    assert await backed_up(fast_folder, seed, monkeypatch)


def copy_the_journal_first(patch: pytest.MonkeyPatch) -> None:
    objects, journal = backup_module._copy_objects, backup_module._copy_journal

    def both(source: Path, target: Path, progress: Any) -> None:
        journal(source.parent / "journal", target.parent / "journal")
        objects(source, target, progress)

    patch.setattr(backup_module, "_copy_objects", both)
    patch.setattr(backup_module, "_copy_journal", lambda source, target: None)


def copy_no_journal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(backup_module, "_copy_journal", lambda source, target: target.mkdir())


def ignore_pins(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def free(_: Path) -> Iterator[bool]:
        yield True

    patch.setattr(journal_module, "unless_pinned", free)


@pytest.mark.parametrize("sabotage", [copy_the_journal_first, copy_no_journal, ignore_pins])
async def test_a_backup_that_is_made_wrongly_is_found_out(
    fast_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    sabotage: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """Without this the test above would prove nothing."""
    sabotage(monkeypatch)
    for seed in (1, 3, 5, 0, 2, 4):
        try:
            if not await backed_up(fast_folder / str(seed), seed, monkeypatch):
                return
        except (AssertionError, sqlite3.DatabaseError, BackupFailed):
            return

    pytest.fail("nobody noticed")


# From another process.


async def run(*arguments: str | Path, **options: Any) -> tuple[int, str, str]:
    """Run `python -m runtime`, and return its status and what it said."""
    process = await start(*arguments, **options)
    out, problems = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), problems.decode()


async def start(*arguments: str | Path, **options: Any) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "runtime", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        **options,
    )


async def filled(data: Path, objects: int = 3) -> None:
    """Make a data folder in which each object has written once, and stop the node."""
    async with Runtime(RuntimeConfig(data=data), bindings={"logs": Log}) as runtime:
        for number in range(objects):
            await runtime.env.logs.get_by_name(str(number)).add()


class Load:
    """64 clients of 100 objects, and what was acknowledged to them.

    Each writes to an object, and then to one whose numbers so never exceed the first's.
    """

    def __init__(self, runtime: Runtime[Any]) -> None:
        self.runtime = runtime
        self.acknowledged: dict[str, int] = {}
        self.is_over = False

    async def client(self, number: int) -> None:
        rng = random.Random(number)
        while not self.is_over:
            pair = rng.randrange(50)
            await self._add(f"{pair}-first", rng.randrange(3000))
            await self._add(f"{pair}-second", rng.randrange(3000))

    async def _add(self, name: str, filling: int) -> None:
        n = await self.runtime.env.logs.get_by_name(name).add(filling)
        self.acknowledged[name] = max(n, self.acknowledged.get(name, 0))

    @contextmanager
    def running(self) -> Iterator[list[asyncio.Task[None]]]:
        tasks = [asyncio.create_task(self.client(number)) for number in range(64)]
        yield tasks
        self.is_over = True


async def test_a_node_under_load_is_backed_up_from_another_process(folder: Path) -> None:
    config = RuntimeConfig(data=folder / "data", journal_segment_bytes=500_000, idle_seconds=0.05)
    async with Runtime(config, bindings={"logs": Log}) as runtime:
        load = Load(runtime)
        with load.running() as tasks:
            while len(load.acknowledged) < 100:
                await asyncio.sleep(0)
            before = dict(load.acknowledged)
            status, said, problems = await run("backup", folder / "copy", "--data", folder / "data")
        await asyncio.gather(*tasks)

    assert (status, problems) == (0, "")
    assert f"restore {folder / 'copy'}" in said
    await asyncio.to_thread(restore, folder / "copy", folder / "new", quiet)
    content(folder / "new")  # whole, all of them
    async with Runtime(RuntimeConfig(data=folder / "new"), bindings={"logs": Log}) as runtime:
        logs = runtime.env.logs
        for pair in range(50):
            first = await logs.get_by_name(f"{pair}-first").numbers()
            second = await logs.get_by_name(f"{pair}-second").numbers()
            for name, numbers in ((f"{pair}-first", first), (f"{pair}-second", second)):
                assert numbers == list(range(1, len(numbers) + 1))
                assert before[name] <= len(numbers) <= load.acknowledged[name]
            assert len(second) <= len(first)


class Stalled:
    """A backup by another process that has copied all objects, and doesn't get further.

    There is a lease on a file that it copies after them: the kernel keeps it from opening that.
    """

    def __init__(self, data: Path, folder: Path) -> None:
        self._data, self._folder = data, folder
        self._path = data / "zz"

    async def __aenter__(self) -> Self:
        has_come = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGIO, has_come.set)
        self._path.write_bytes(b"the past")
        self._lease = os.open(self._path, os.O_RDWR)
        fcntl.fcntl(self._lease, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        self.process = await start("backup", self._folder, "--data", self._data)
        await has_come.wait()
        loop.remove_signal_handler(signal.SIGIO)
        self._path.unlink()
        return self

    async def go_on(self) -> tuple[int, str]:
        """Let it go on to its end, and return its status and what it said."""
        fcntl.fcntl(self._lease, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        _, problems = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, problems.decode()

    async def __aexit__(self, *_: object) -> None:
        os.close(self._lease)
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()


async def test_a_killed_backup_looks_like_none_and_keeps_nothing(fast_folder: Path) -> None:
    data, copy = fast_folder / "data", fast_folder / "copy"
    await filled(data)

    async with Stalled(data, copy) as stalled:
        with unless_pinned(data) as is_free:
            assert not is_free
        stalled.process.kill()
        await stalled.process.wait()

    assert not copy.exists()
    assert (fast_folder / "copy.partial" / MARK).exists()
    with pytest.raises(BackupFailed, match="isn't a whole backup"):
        restore(fast_folder / "copy.partial", fast_folder / "new", quiet)
    with unless_pinned(data) as is_free:
        assert is_free
    await asyncio.to_thread(backup, data, copy, quiet)  # in its place
    assert not (fast_folder / "copy.partial").exists()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have processes hear of SIGINT, which they don't if we are a shell's in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_backup_that_is_interrupted_tidies_up(fast_folder: Path, number: int) -> None:
    data, copy = fast_folder / "data", fast_folder / "copy"
    await filled(data)

    async with Stalled(data, copy) as stalled:
        stalled.process.send_signal(number)
        status, problems = await stalled.go_on()

    assert (status, problems) == (1, "No backup was made: it was interrupted\n")
    assert os.listdir(fast_folder) == ["data"]


async def test_a_node_may_stop_while_it_is_backed_up(fast_folder: Path) -> None:
    data, copy = fast_folder / "data", fast_folder / "copy"
    await filled(data)

    config = RuntimeConfig(data=data)
    async with AsyncExitStack() as ends:
        async with Runtime(config, bindings={"logs": Log}) as runtime:
            one, two = (runtime.env.logs.get_by_name(name) for name in "12")
            assert await one.add() == 2
            stalled = await ends.enter_async_context(Stalled(data, copy))
            assert await two.add() == 2
        status, _ = await stalled.go_on()
    async with Runtime(config, bindings={"logs": Log}) as runtime:  # on the journal that was kept
        assert await runtime.env.logs.get_by_name("2").numbers() == [1, 2]

    assert status == 0
    assert content(copy) == catalogued(copy) == content(data)


async def test_a_backup_begins_again_when_a_node_starts_meanwhile(fast_folder: Path) -> None:
    data, copy = fast_folder / "data", fast_folder / "copy"
    await filled(data)

    async with Stalled(data, copy) as stalled:
        async with Runtime(RuntimeConfig(data=data), bindings={"logs": Log}) as runtime:
            one, two = (runtime.env.logs.get_by_name(name) for name in "12")
            assert (await one.add(), await two.add()) == (2, 2)
        status, problems = await stalled.go_on()

    assert (status, problems) == (0, "")
    assert not (copy / "zz").exists()  # which was there the first time
    assert content(copy) == catalogued(copy) == content(data)


# Of a folder at rest, or one that a crash has left.


async def test_a_crashed_folder_is_backed_up_as_a_start_would_find_it(folder: Path) -> None:
    data, copy = folder / "data", folder / "copy"
    runtime = TestRuntime(bindings={"logs": Log}, data=data)
    async with runtime:
        node = BusyNode(runtime, 1)
        await node.work(60)
        runtime.host.die()
        await runtime._catalog.abandon()
        await asyncio.to_thread(backup, data, copy, quiet)
        await runtime.crash()

    assert content(copy) == catalogued(copy) == node.now
    assert sorted(os.listdir(copy)) == [MANIFEST, "catalog.sqlite", "objects"]


async def test_a_backup_has_the_files_beside_the_objects_and_all_permissions(folder: Path) -> None:
    data = folder / "data"
    await filled(data)
    (data / "secret").write_text("hush")
    (data / "secret").chmod(0o400)
    data.chmod(0o700)
    next(data.glob(f"objects/*/*{SUFFIX}")).chmod(0o640)

    await asyncio.to_thread(backup, data, folder / "copy", quiet)
    await asyncio.to_thread(restore, folder / "copy", folder / "new", quiet)

    assert (folder / "new" / "secret").read_text() == "hush"
    assert _modes(folder / "new") == _modes(folder / "copy")
    kept = {name: mode for name, mode in _modes(data).items() if name in _modes(folder / "new")}
    assert _modes(folder / "new") == kept


def _modes(folder: Path) -> dict[str, str]:
    paths = [folder, *folder.rglob("*")]
    return {
        path.relative_to(folder).as_posix(): stat.filemode(path.stat().st_mode)
        for path in paths
        if path.name not in ("lock", "pin", "journal", MANIFEST)
    }


async def test_two_backups_at_once_are_two_backups(fast_folder: Path) -> None:
    data = fast_folder / "data"
    await filled(data)

    async with Stalled(data, fast_folder / "one") as stalled:
        why = f"another process is writing {fast_folder / 'one.partial'}"
        with pytest.raises(BackupFailed, match=why):
            await asyncio.to_thread(backup, data, fast_folder / "one", quiet)
        await asyncio.to_thread(backup, data, fast_folder / "two", quiet)
        assert (await stalled.go_on())[0] == 0

    assert content(fast_folder / "two") == content(data)


async def test_a_node_works_in_a_backup_as_it_is(folder: Path) -> None:
    await filled(folder / "data")
    await asyncio.to_thread(backup, folder / "data", folder / "copy", quiet)

    config = RuntimeConfig(data=folder / "copy")
    async with Runtime(config, bindings={"logs": Log}) as runtime:
        assert await runtime.env.logs.get_by_name("1").add() == 2

    with pytest.raises(BackupFailed, match="a node has worked in"):
        restore(folder / "copy", folder / "new", quiet)


async def test_it_says_what_it_has_done(folder: Path) -> None:
    data, copy, new = folder / "data", folder / "copy", folder / "new"
    await filled(data, objects=1)
    environment = {**os.environ, "RUNTIME_DATA": str(data)}

    status, said, problems = await run("backup", copy, "--json", env=environment)
    report = json.loads(said)
    restored, sentence, _ = await run("restore", copy, "--data", new)

    assert (status, problems, restored) == (0, "", 0)
    assert (report["folder"], report["objects"], report["damaged"]) == (str(copy), 1, [])
    assert report["bytes"] > 4096
    assert 0 < report["seconds"] < 60
    assert sentence.startswith("Restored 1 object (")


async def test_what_it_says_to_type_does_it(folder: Path) -> None:
    data, copy, new = folder / "data", folder / "Ada's copy", folder / "new"
    await filled(data, objects=1)

    _, said, _ = await run("backup", copy, "--data", data)
    first, _, command, end = said.split("\n")
    typed = command.replace("FOLDER", str(new))
    shell = await asyncio.create_subprocess_exec("sh", "-c", typed, stdout=asyncio.subprocess.PIPE)
    restored, _ = await shell.communicate()

    assert re.fullmatch(rf"Saved 1 object \(.* kB\) to {copy} in \d+\.\d s\.", first)
    assert end == ""
    assert restored.decode().endswith(f"Start with it:\nmake run DATA={new}\n")
    assert content(new) == content(data)


async def test_it_says_what_it_is_doing_and_how_much_of_that_is_done(folder: Path) -> None:
    await filled(folder / "data")
    heard: list[tuple[str, int, int]] = []

    def progress(what: str, done: int, total: int) -> None:
        heard.append((what, done, total))

    await asyncio.to_thread(backup, folder / "data", folder / "copy", progress)

    assert heard == [
        ("copying", 3, 3),
        ("replaying the journal", 0, 0),
        ("checking", 3, 3),
        ("syncing", 0, 0),
    ]


def test_a_stage_of_which_nobody_knows_how_long_it_is_has_no_numbers() -> None:
    with Progress(disable=True) as bars:
        known, unknown = bars.add_task("", total=3), bars.add_task("", total=None)
        column = Amount()

        assert column.render(bars.tasks[known]).plain == "0/3"
        assert column.render(bars.tasks[unknown]).plain == ""


async def test_a_wrong_setting_is_named_in_a_sentence(folder: Path) -> None:
    environment = {**os.environ, "RUNTIME_DATA": ""}

    status, _, problems = await run("backup", folder / "copy", env=environment)

    why = "the setting data (RUNTIME_DATA, or [tool.runtime] in pyproject.toml) is empty"
    assert (status, problems) == (
        1,
        f"No backup was made: {why}: it should name a folder\n",
    )


# What is refused. Nothing is left of it.


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("data/backups/1", "lies in"),
        ("data", "is the data folder itself"),
        ("full", "isn't empty, and nothing is overwritten"),
        ("file", "can't be used: Not a directory"),
        ("file/copy", "can't be used: Not a directory"),
        ("taken", "is in the way: move it away"),
        ("/proc", "is where a disk is mounted"),
    ],
)
async def test_a_backup_goes_nowhere_else(folder: Path, target: str, why: str) -> None:
    await filled(folder / "data")
    (folder / "full").mkdir()
    (folder / "full" / "file").touch()
    (folder / "file").touch()
    (folder / "taken.partial").mkdir()
    (folder / "taken.partial" / "file").touch()
    before = sorted(folder.rglob("*"))

    with pytest.raises(BackupFailed, match=why):
        backup(folder / "data", folder / target, quiet)

    assert sorted(folder.rglob("*")) == before


def test_what_is_no_data_folder_isnt_backed_up(folder: Path) -> None:
    with pytest.raises(BackupFailed, match="data doesn't exist: name the data folder with --data"):
        backup(folder / "data", folder / "copy", quiet)
    (folder / "data").mkdir()
    with pytest.raises(BackupFailed, match="isn't a data folder"):
        backup(folder / "data", folder / "copy", quiet)

    assert os.listdir(folder) == ["data"]


@pytest.mark.parametrize("command", ["backup", "restore"])
async def test_a_disk_that_takes_no_more_leaves_nothing(folder: Path, command: str) -> None:
    data, copy = folder / "data", folder / "copy"
    await filled(data)
    (data / "large").write_bytes(bytes(200_000))
    arguments: list[str | Path] = ["backup", copy, "--data", data]
    if command == "restore":
        await asyncio.to_thread(backup, data, copy, quiet)
        arguments = ["restore", copy, "--data", folder / "new"]
    before = sorted(os.listdir(folder))

    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (100_000, 100_000))
    status, said, problems = await run(*arguments, preexec_fn=limit)

    assert (status, said) == (1, "")
    assert "can't be made: File too large" in problems
    assert problems.count("\n") == 1
    assert sorted(os.listdir(folder)) == before


async def test_a_damaged_journal_is_found_when_the_backup_is_made(folder: Path) -> None:
    data = folder / "data"
    runtime = TestRuntime(bindings={"logs": Log}, data=data)
    async with runtime:
        for _ in range(5):
            await runtime.env.logs.get_by_name("a").add()
        newest = path_of_segment(data / "journal", Index.read(data / "journal").newest)  # type: ignore[union-attr]
        whole = newest.read_bytes()
        newest.write_bytes(whole[:3000] + b"!" + whole[3001:])

        with pytest.raises(BackupFailed, match=rf"{data}/journal/\d+\.journal is damaged at byte"):
            await asyncio.to_thread(backup, data, folder / "copy", quiet)

        newest.write_bytes(whole)

    assert os.listdir(folder) == ["data"]


async def test_a_damaged_database_is_saved_and_said_and_not_restored(folder: Path) -> None:
    data, copy = folder / "data", folder / "copy"
    await filled(data)
    path = min(data.glob(f"objects/*/*{SUFFIX}"))
    path.write_bytes(path.read_bytes()[:5000])
    path.with_name(f"{path.name}-wal").touch()  # it was awake: the node in the copy asks it

    status, said, problems = await run("backup", copy, "--data", data)

    name = path.relative_to(data / "objects").as_posix()
    assert status == 1
    assert problems.startswith(f"Warning: damaged, missing, or another object's: {name}; ")
    assert problems.count("\n") == 1
    assert "can't be restored as it is" in said
    assert "restore " not in said
    assert (copy / "objects" / name).stat().st_size == 5000
    with pytest.raises(BackupFailed, match=f"such as {name}: use another backup"):
        restore(copy, folder / "new", quiet)
    assert sorted(os.listdir(folder)) == ["copy", "data"]


def lose_a_database(path: Path) -> None:
    path.unlink()


def empty_a_database(path: Path) -> None:
    path.write_bytes(b"")


def put_another_in_its_place(path: Path) -> None:
    shutil.copy(max(path.parent.glob(f"*{SUFFIX}")), path)


@pytest.mark.parametrize("harm", [lose_a_database, empty_a_database, put_another_in_its_place])
async def test_a_database_that_isnt_there_or_isnt_the_objects_is_damage(
    folder: Path, harm: Callable[[Path], None]
) -> None:
    data, copy = folder / "data", folder / "copy"
    await filled(data)
    await asyncio.to_thread(backup, data, folder / "sound", quiet)
    names = sorted(f"{path.parent.name}/{path.name}" for path in data.glob(f"objects/*/*{SUFFIX}"))
    harm(data / "objects" / names[0])
    harm(folder / "sound" / "objects" / names[0])

    report = await asyncio.to_thread(backup, data, copy, quiet)

    assert report.damaged == [names[0]]
    for unsound in (copy, folder / "sound"):
        with pytest.raises(BackupFailed, match=r"had 3 objects when|damaged in 1 place, such as"):
            restore(unsound, folder / "new", quiet)


async def test_what_is_empty_and_has_no_past_is_no_damage(folder: Path) -> None:
    data = folder / "data"
    await filled(data)
    path = min(data.glob(f"objects/*/*{SUFFIX}"))
    path.write_bytes(b"")
    path.with_suffix(".history").write_bytes(b"")
    path.with_name("f" * 64 + ".history").write_bytes(b"")

    report = await asyncio.to_thread(backup, data, folder / "copy", quiet)

    assert report.damaged == []


SETTINGS = [
    ({"RUNTIME_HISTORY_DAYS": "0"}, ""),
    ({"RUNTIME_HISTORY_DAYS": "1e-9", "RUNTIME_HISTORY_MAX_BYTES": "1"}, ""),
    ({"RUNTIME_HISTORY_DAYS": "-1"}, ""),
    ({}, "[tool.runtime]\nhistory_days = 0\n"),
    ({}, "[tool.runtime"),
]


@pytest.mark.parametrize(("variables", "pyproject"), SETTINGS)
async def test_no_setting_takes_anything_from_a_backup(
    folder: Path, variables: dict[str, str], pyproject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, copy = folder / "data", folder / "copy"
    runtime = TestRuntime(bindings={"logs": Log}, data=data)
    async with runtime:
        log = runtime.env.logs.get_by_name("a")
        await log.add()
        await runtime.evict_durable_object(log)  # which begins the history
        await log.add()  # which is in the journal alone
        (history,) = data.glob("objects/*/*.history")
        reach, size = History(history).reach(), history.stat().st_size
        (folder / "pyproject.toml").write_text(pyproject)
        monkeypatch.chdir(folder)
        environment = {**os.environ, **variables, "PYTHONPATH": str(ROOT)}

        made = await run("backup", copy, "--data", data, env=environment)
        restored = await run("restore", copy, "--data", folder / "new", env=environment)

    assert (made[0], made[2]) == (restored[0], restored[2]) == (0, "")
    for kept in (copy, folder / "new"):
        path = kept / history.relative_to(data)
        assert (History(path).reach(), path.stat().st_size > size) == (reach, True)


def lose_an_object(copy: Path) -> None:
    next(copy.glob(f"objects/*/*{SUFFIX}")).unlink()


def damage_the_manifest(copy: Path) -> None:
    (copy / MANIFEST).write_text("{}")


def lose_the_manifest(copy: Path) -> None:
    (copy / MANIFEST).unlink()


def make_it_newer(copy: Path) -> None:
    (copy / MANIFEST).write_text('{"format": 2, "objects": 3}')


def damage_the_catalog(copy: Path) -> None:
    (copy / "catalog.sqlite").write_bytes(b"not a database" * 1000)


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lose_an_object, "had 3 objects when it was made, and has 2 now: .* by hand"),
        (damage_the_manifest, "is damaged: use another backup"),
        (lose_the_manifest, f"is a data folder, not a backup: it has no {MANIFEST}"),
        (shutil.rmtree, "copy doesn't exist"),
        (make_it_newer, "was made by a newer version"),
        (damage_the_catalog, "damaged in 1 place, such as catalog.sqlite"),
    ],
)
async def test_what_is_no_whole_backup_isnt_restored(
    folder: Path, harm: Callable[[Path], None], why: str
) -> None:
    await filled(folder / "data")
    await asyncio.to_thread(backup, folder / "data", folder / "copy", quiet)
    harm(folder / "copy")

    with pytest.raises(BackupFailed, match=why):
        restore(folder / "copy", folder / "new", quiet)

    assert not list(folder.glob("new*"))


async def test_a_restore_overwrites_nothing(folder: Path) -> None:
    data, copy = folder / "data", folder / "copy"
    await filled(data)
    await asyncio.to_thread(backup, data, copy, quiet)

    with pytest.raises(BackupFailed, match="isn't empty, and nothing is overwritten"):
        restore(copy, data, quiet)
    async with Runtime(RuntimeConfig(data=data), bindings={"logs": Log}):
        with pytest.raises(DataFolderRefused, match=f"in use by process {os.getpid()}"):
            restore(copy, data, quiet)
