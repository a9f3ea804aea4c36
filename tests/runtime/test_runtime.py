"""Opening a data folder, and what is refused there."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runtime import DurableObject, Migration, Runtime, RuntimeConfig, errors
from runtime.testing import TestRuntime


class Game(DurableObject[object]):
    """Keeps a score."""

    async def score(self, points: int) -> int:
        total: int = await self.ctx.storage.get("score", 0) + points
        await self.ctx.storage.put("score", total)
        return total


def migrated(folder: Path, *migrations: dict[str, Any]) -> RuntimeConfig:
    """Settings with a history of classes."""
    return RuntimeConfig(data=folder, migrations=tuple(map(Migration.model_validate, migrations)))


def renamed(name: str) -> type:
    """The same class under another name."""
    return type(name, (Game,), {})


async def test_env_gets_the_namespaces_by_name(tmp_path: Path) -> None:
    config = RuntimeConfig(data=tmp_path)

    async with Runtime(config, bindings={"games": Game}, env=SimpleNamespace) as runtime:
        assert runtime.env.games is runtime.namespaces["games"]
        assert runtime.env.games.cls is Game


async def test_a_folder_in_use_is_refused_with_the_name_of_its_user(tmp_path: Path) -> None:
    config = RuntimeConfig(data=tmp_path)

    async with Runtime(config, bindings={}):
        with pytest.raises(errors.DataFolderRefused, match=f"in use by process {os.getpid()}"):
            async with Runtime(config, bindings={}):
                pass

    async with Runtime(config, bindings={}):
        pass  # it is free again


async def test_a_folder_that_cant_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(errors.DataFolderRefused, match="can't be used: Not a directory"):
        async with Runtime(RuntimeConfig(data=tmp_path / "file" / "data"), bindings={}):
            pass


async def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(errors.DataFolderRefused, match="it is a file"):
        async with Runtime(RuntimeConfig(data=tmp_path / "file"), bindings={}):
            pass


async def test_a_catalog_that_is_no_database_is_refused_and_nothing_is_left_running(
    tmp_path: Path,
) -> None:
    """A thread would keep the process from ending."""
    (tmp_path / "catalog.sqlite").write_bytes(b"not a database at all" * 1000)
    before = set(threading.enumerate())

    with pytest.raises(errors.DataFolderRefused, match=r"catalog\.sqlite can't be opened"):
        async with Runtime(RuntimeConfig(data=tmp_path), bindings={"games": Game}):
            pass
    for thread in set(threading.enumerate()) - before:
        thread.join(10)

    assert set(threading.enumerate()) <= before
    Runtime.check_folder(RuntimeConfig(data=tmp_path))  # it is free


def test_there_is_no_env_before_the_start(tmp_path: Path) -> None:
    runtime = Runtime(RuntimeConfig(data=tmp_path), bindings={"games": Game})

    with pytest.raises(RuntimeError, match="hasn't been started"):
        _ = runtime.env


async def migrate_later(sql: object) -> None: ...


def migrate_bit_by_bit(sql: object) -> Iterator[None]:
    yield


class Later:
    async def __call__(self, sql: object) -> None: ...


async def alarm_without_invocation(self: object) -> None: ...


@pytest.mark.parametrize(
    ("cls", "why"),
    [
        (dict, "isn't a subclass of DurableObject"),
        (type("Bad", (Game,), {"migrations": "CREATE TABLE t (n)"}), "is a list of statements"),
        (type("Bad", (Game,), {"migrations": {"CREATE TABLE t (n)"}}), "is a list of statements"),
        (type("Bad", (Game,), {"migrations": ("SELECT 1", 5)}), "Bad: migration 2 is SQL or a"),
        *[
            (type("Bad", (Game,), {"migrations": [step]}), "Bad: migration 1 can't be async")
            for step in (migrate_later, partial(migrate_later), Later(), migrate_bit_by_bit)
        ],
        (
            type("Bad", (Game,), {"alarm": alarm_without_invocation}),
            r"alarm\(\) doesn't take the 1",
        ),
    ],
)
def test_a_class_of_the_wrong_shape_cant_be_bound(cls: type, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        Runtime(bindings={"bad": cls})


async def test_a_class_that_is_bound_no_more_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = RuntimeConfig(data=tmp_path)
    async with Runtime(config, bindings={"games": Game}):
        pass

    async with Runtime(config, bindings={"games": renamed("Match")}):
        pass

    assert "class Game isn't bound" in caplog.text


async def test_the_loops_task_factory_is_put_back(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()

    async with Runtime(RuntimeConfig(data=tmp_path), bindings={"games": Game}):
        inside = loop.get_task_factory()

    assert inside is not before
    assert loop.get_task_factory() is before


async def test_a_catalog_with_damaged_pages_is_refused_in_a_sentence(tmp_path: Path) -> None:
    config = RuntimeConfig(data=tmp_path)
    async with Runtime(config, bindings={"games": Game}) as runtime:
        await runtime.env.games.get_by_name("a").score(5)
    catalog = tmp_path / "catalog.sqlite"
    first_page = catalog.read_bytes()[:4096]
    catalog.write_bytes(first_page + b"\xff" * (catalog.stat().st_size - 4096))

    with pytest.raises(errors.DataFolderRefused, match=r"malformed.*restore a backup"):
        async with Runtime(config, bindings={"games": Game}):
            pass


async def test_a_disk_that_refuses_the_recovery_is_told_and_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with TestRuntime(bindings={"games": Game}, data=tmp_path) as runtime:
        await runtime.env.games.get_by_name("a").score(5)
        runtime.host.die()
        await runtime._catalog.abandon()
        runtime._let_go()

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", refuse)
            with pytest.raises(errors.DataFolderRefused, match="No space left on device"):
                await runtime._open()
        await runtime._open()

        assert await runtime.env.games.get_by_name("a").score(1) == 6


async def test_an_error_of_the_applications_own_stays_what_it_is(tmp_path: Path) -> None:
    def env(**_: object) -> object:
        raise FileNotFoundError("mine")

    with pytest.raises(FileNotFoundError, match="mine"):
        async with Runtime(RuntimeConfig(data=tmp_path), bindings={"games": Game}, env=env):
            pass


async def test_a_disk_that_refuses_the_end_keeps_nobody_from_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    config = RuntimeConfig(data=tmp_path)
    with monkeypatch.context() as patch:
        async with Runtime(config, bindings={"games": Game}) as runtime:
            await runtime.env.games.get_by_name("a").score(5)
            patch.setattr(os, "fsync", refuse)
    assert "No space left on device" in caplog.text

    async with Runtime(config, bindings={"games": Game}) as runtime:
        assert await runtime.env.games.get_by_name("a").score(1) == 6


async def test_a_class_keeps_its_objects_when_it_is_renamed(tmp_path: Path) -> None:
    first = {"tag": "v1", "new_sqlite_classes": ["Game"]}
    second = {"tag": "v2", "renamed_classes": [{"from": "Game", "to": "Match"}]}
    async with Runtime(migrated(tmp_path, first), bindings={"games": Game}) as runtime:
        game = runtime.env.games.get_by_name("a")
        id = str(game.id)
        await game.score(5)

    bindings = {"matches": renamed("Match")}
    async with Runtime(migrated(tmp_path, first, second), bindings=bindings) as runtime:
        match = runtime.env.matches.get_by_name("a")

        assert await match.score(1) == 6
        assert str(match.id) == id


async def test_a_deleted_class_takes_its_objects_with_it(tmp_path: Path) -> None:
    first = {"tag": "v1", "new_sqlite_classes": ["Game"]}
    second = {"tag": "v2", "deleted_classes": ["Game"]}
    third = {"tag": "v3", "new_sqlite_classes": ["Game"]}
    async with Runtime(migrated(tmp_path, first), bindings={"games": Game}) as runtime:
        await runtime.env.games.get_by_name("a").score(5)

    async with Runtime(migrated(tmp_path, first, second), bindings={}):
        files = list(tmp_path.glob("objects/**/*.sqlite"))
    config = migrated(tmp_path, first, second, third)
    async with Runtime(config, bindings={"games": Game}) as runtime:
        score = await runtime.env.games.get_by_name("a").score(1)

    assert files == []
    assert score == 1


async def test_a_class_that_no_migration_names_is_refused_and_nothing_is_left_open(
    tmp_path: Path,
) -> None:
    config = migrated(tmp_path, {"tag": "v1", "new_sqlite_classes": ["Match"]})

    with pytest.raises(errors.MigrationRefused, match="Cannot create binding for class Game"):
        async with Runtime(config, bindings={"games": Game}):
            pass

    async with Runtime(config, bindings={}):
        pass  # the folder is free


PROGRAM = """
import asyncio, sys
from pathlib import Path
from runtime import DurableObject, Runtime, RuntimeConfig

class Game(DurableObject[object]):
    async def score(self, points: int) -> int:
        total = await self.ctx.storage.get("score", 0) + points
        await self.ctx.storage.put("score", total)
        return total

async def main():
    async with Runtime(RuntimeConfig(data=Path(sys.argv[1])), bindings={"games": Game}) as runtime:
        games = [runtime.env.games.get_by_name(str(number)) for number in range(20)]
        for round in range(1, 100_000):
            for answer in asyncio.as_completed([game.score(1) for game in games]):
                await answer
            print(round, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("rounds", [1, 7, 20])
async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, rounds: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    acknowledged = 0
    while acknowledged < rounds:
        acknowledged = int(process.stdout.readline())
    process.kill()
    acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
    process.wait()
    process.stdout.close()

    async with Runtime(RuntimeConfig(data=tmp_path), bindings={"games": Game}) as runtime:
        scores = [await runtime.env.games.get_by_name(str(number)).score(0) for number in range(20)]

    assert all(acknowledged <= score <= acknowledged + 1 for score in scores)
