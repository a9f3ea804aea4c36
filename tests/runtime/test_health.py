"""What a node says of itself, above all while its disk refuses what is written."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar, get
from litestar.di import NamedDependency

from runtime import DurableObject, Request, Response, Runtime, RuntimeConfig, errors
from runtime.clock import ManualClock
from runtime.health import LOOK_SECONDS, Disk
from runtime.litestar import DurableObjectsPlugin
from runtime.syncer import Syncer
from runtime.testing import HandshakeRefused, TestRuntime
from tests.runtime.disk import turns
from tests.servers import http_client, serving

pytestmark = pytest.mark.usefixtures("debug_mode")


class Note(DurableObject[Any]):
    """Keeps a text."""

    async def write(self, text: str) -> str:
        await self.ctx.storage.put("text", text)
        return text

    async def read(self) -> str:
        text: str = await self.ctx.storage.get("text", "")
        return text

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.storage.kv.put("visits", 1)
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols()


class FullDisk:
    """The real disk, which refuses at will to sync anything, or to grow a file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: int | None = None
        for name in ("pwrite", "fdatasync", "fsync"):
            monkeypatch.setattr(os, name, self._refusing(getattr(os, name)))

    def _refusing(self, really: Any) -> Any:
        def call(*args: Any) -> Any:
            if self.error is not None:
                raise OSError(self.error, os.strerror(self.error), "/a/secret/place")
            return really(*args)

        return call


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    return FullDisk(monkeypatch)


@pytest.fixture
async def runtime() -> Any:
    async with TestRuntime(bindings={"notes": Note}) as runtime:
        yield runtime


def said(log: pytest.LogCaptureFixture) -> list[str]:
    """What the runtime has written to the log."""
    return [record.getMessage() for record in log.records if record.name == "runtime"]


async def test_a_runtime_that_is_well_says_so_and_counts_what_it_has(
    runtime: TestRuntime[Any],
) -> None:
    note = runtime.env.notes.get_by_name("a")
    await note.write("hello")
    await runtime.connect(note)
    await runtime.clock.advance(5)

    health = runtime.health

    assert (health.is_well, health.refused_since, health.reason) == (True, None, None)
    assert (health.objects, health.sockets, health.segments) == (1, 1, 1)
    assert (health.waiting_bytes, health.uptime_seconds) == (0, 5)
    assert (health.alarms_waiting, health.alarms_ringing) == (0, 0)


async def test_a_runtime_that_hasnt_been_started_has_no_health() -> None:
    with pytest.raises(RuntimeError, match="hasn't been started"):
        _ = Runtime(bindings={"notes": Note}).health


async def test_a_refusal_is_said_once_and_its_end_once(
    runtime: TestRuntime[Any], disk: FullDisk, caplog: pytest.LogCaptureFixture
) -> None:
    notes = [runtime.env.notes.get_by_name(name) for name in "abcde"]
    for note in notes:
        await note.write("kept")

    disk.error = errno.ENOSPC
    since = runtime.clock.time()
    for _ in range(10):
        for note in notes:
            with pytest.raises(errors.ObjectReset, match=r"No space left on device$") as refusal:
                await note.write("refused")
            assert refusal.value.retryable
        await runtime.clock.advance(3)
    assert [await note.read() for note in notes] == ["kept"] * 5
    assert runtime.health.refused_since == since
    assert runtime.health.reason == "No space left on device"
    assert len(said(caplog)) == 1
    assert "the disk refuses what objects write: No space left on device. Calls" in said(caplog)[0]
    assert "free some space" in said(caplog)[0]

    disk.error = None
    await runtime.clock.advance(2 * LOOK_SECONDS)
    assert runtime.health.is_well
    assert said(caplog)[1:] == ["the disk takes what objects write again, after 32 seconds"]
    assert await notes[0].write("after") == "after"
    await runtime.crash()
    assert await notes[0].read() == "after"


async def test_a_refusal_ends_though_nobody_writes(
    runtime: TestRuntime[Any], disk: FullDisk
) -> None:
    """A load balancer that was told of it sends nobody who could."""
    note = runtime.env.notes.get_by_name("a")
    disk.error = errno.EIO
    with pytest.raises(errors.ObjectReset):
        await note.write("refused")
    await runtime.clock.advance(60)
    assert not runtime.health.is_well

    disk.error = None
    await runtime.clock.advance(2 * LOOK_SECONDS)

    assert runtime.health.is_well
    assert list(runtime.config.data.glob("probe")) == []


async def test_an_object_that_cant_be_undone_yet_doesnt_fill_the_log(
    runtime: TestRuntime[Any],
    disk: FullDisk,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    notes = [runtime.env.notes.get_by_name(name) for name in "abcde"]
    for each in notes:
        await each.write("kept")
    with monkeypatch.context() as patch:
        patch.setattr(os, "truncate", refuse)
        disk.error = errno.EIO
        for note in notes:
            with pytest.raises(errors.ObjectReset):
                await note.write("refused")
        await runtime.clock.advance(60)
        assert len(said(caplog)) == 1
    disk.error = None
    await runtime.clock.advance(5)

    assert [await note.read() for note in notes] == ["kept"] * 5


async def test_a_handshake_that_the_disk_refuses_can_be_tried_again(
    runtime: TestRuntime[Any], disk: FullDisk
) -> None:
    note = runtime.env.notes.get_by_name("a")
    disk.error = errno.ENOSPC
    with pytest.raises(errors.ObjectReset) as refusal:
        await runtime.connect(note)
    assert refusal.value.retryable
    assert runtime.health.sockets == 0

    disk.error = None
    try:
        await runtime.connect(note)
    except HandshakeRefused as refused:
        raise AssertionError("it is taken again") from refused
    assert runtime.health.sockets == 1


async def test_the_catalog_is_written_when_the_disk_lets_go(
    runtime: TestRuntime[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    note = runtime.env.notes.get_by_name("a")
    await note.write("first")
    await runtime.settle()
    catalog = runtime._catalog
    [(pages,)] = await catalog._connection.execute_fetchall("PRAGMA page_count")
    await catalog._connection.execute(f"PRAGMA max_page_count = {pages}")  # for SQLite, it's full
    for number in range(40):
        await runtime.env.notes.get_by_name(f"{number} {'x' * 1000}").write("more")
    await runtime.settle()
    assert (runtime.health.is_well, runtime.health.reason) == (False, "No space left on device")
    await runtime.clock.advance(30)
    with pytest.raises(errors.SqlError, match="the catalog can't be used") as refusal:
        await runtime.list_durable_object_ids(runtime.env.notes)
    assert refusal.value.retryable
    assert len(said(caplog)) == 1

    await catalog._connection.execute("PRAGMA max_page_count = 100000")
    await runtime.clock.advance(3 * LOOK_SECONDS)

    assert runtime.health.is_well
    with closing(sqlite3.connect(runtime.config.data / "catalog.sqlite")) as file:
        assert file.execute("SELECT count(*) FROM objects").fetchone() == (41,)


async def test_what_sqlite_says_of_the_disk_counts(runtime: TestRuntime[Any]) -> None:
    note = runtime.env.notes.get_by_name("a")
    await note.write("kept")

    async def fill(note: Note, ctx: Any) -> None:
        database = ctx.storage._database
        [(pages,)] = database.run("PRAGMA page_count")
        database.run(f"PRAGMA max_page_count = {pages}")
        ctx.storage.sql.exec("CREATE TABLE t (content)")
        for _ in range(10):
            ctx.storage.sql.exec("INSERT INTO t VALUES (randomblob(4000))")

    with pytest.raises(errors.SqlError, match="SQLITE_FULL") as refusal:
        await runtime.run_in_durable_object(note, fill)
    assert refusal.value.retryable
    await runtime.settle()
    assert runtime.health.reason == "No space left on device"
    await runtime.clock.advance(3 * LOOK_SECONDS)
    assert runtime.health.is_well


async def test_an_object_that_is_as_large_as_it_may_be_says_nothing_of_the_disk(
    runtime: TestRuntime[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.regulator.MOST_BYTES", 400_000)
    note = runtime.env.notes.get_by_name("a")

    async def grow(note: Note, ctx: Any) -> None:
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS t (content)")
        ctx.storage.sql.exec("INSERT INTO t VALUES (randomblob(4000))")

    with pytest.raises(errors.SqlError, match="SQLITE_FULL") as refusal:
        for _ in range(100):
            await runtime.run_in_durable_object(note, grow)
    await runtime.settle()
    assert not refusal.value.retryable
    assert runtime.health.is_well


@pytest.mark.parametrize("error", [errors.StorageError("mine"), ValueError("mine")])
async def test_an_error_that_isnt_the_disks_is_none_of_its(
    folder: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    syncer = Syncer()
    clock = ManualClock(turns)
    disk = Disk(folder, clock, syncer)

    disk.refused(error)

    assert (disk.refused_since, len(said(caplog)), len(clock.due)) == (None, 0, 0)
    disk.close()
    syncer.shut_down()


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EDQUOT, "raise its quota"),
        (errno.EMFILE, "let the server have more open files"),
        (errno.EROFS, "make the disk writable"),
        (errno.EIO, "look after the disk"),
    ],
)
async def test_it_says_what_to_do(
    folder: Path, caplog: pytest.LogCaptureFixture, number: int, advice: str
) -> None:
    syncer = Syncer()
    disk = Disk(folder, ManualClock(turns), syncer)

    disk.refused(OSError(number, os.strerror(number), "/a/secret/place"))

    assert advice in said(caplog)[0]
    assert "secret" not in f"{said(caplog)[0]} {disk.reason}"
    disk.close()
    syncer.shut_down()


# Over the web.


@get("/write")
async def write(notes: NamedDependency[Any]) -> str:
    text: str = await notes.get_by_name("a").write(os.urandom(4).hex())
    return text


@pytest.fixture
async def web(tmp_path: Path) -> Any:
    """A client of a server that an application has made for itself."""
    runtime = Runtime(RuntimeConfig(data=tmp_path), bindings={"notes": Note})
    plugin = DurableObjectsPlugin(runtime, health_path="/up")
    app = Litestar([write], plugins=[plugin], logging_config=None)
    async with serving(app) as address, http_client(f"http://{address}") as client:
        yield client


async def test_an_application_gets_a_place_that_tells_how_it_is(
    web: httpx.AsyncClient, disk: FullDisk, caplog: pytest.LogCaptureFixture
) -> None:
    await web.get("/write")
    well = await web.get("/up")
    disk.error = errno.ENOSPC
    refused = await web.get("/write")
    unwell = await web.get("/up", headers={"accept": "text/html"})
    disk.error = None

    assert (well.status_code, well.json()["is_well"], well.json()["objects"]) == (200, True, 1)
    assert well.headers["cache-control"] == "no-store"
    assert (unwell.status_code, unwell.json()["is_well"]) == (503, False)
    assert unwell.json()["reason"] == "No space left on device"
    assert unwell.headers["retry-after"] == "1"
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "secret" not in unwell.text + refused.text
    assert len(said(caplog)) == 1, "no traceback for each request"


async def test_its_place_is_described(web: httpx.AsyncClient) -> None:
    paths = (await web.get("/schema/openapi.json")).json()["paths"]

    answers = paths["/up"]["get"]["responses"]

    assert set(answers) == {"200", "503"}
    schemas = [answer["content"]["application/json"]["schema"] for answer in answers.values()]
    assert schemas[0] == schemas[1] != {}
