"""A real browser against a real server that can be killed."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from apps.__main__ import main
from tests.forks import Fork

ROOT = Path(__file__).parents[2]
ARTEFACTS = ROOT / "tests" / "artefacts"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--in-process-gpu",  # saves an eighth of what all tests here take
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

expect.set_options(timeout=20_000)  # milliseconds: enough for a reconnect on a busy machine


class Server:
    """``python -m apps`` on a port and a data folder of its own."""

    def __init__(self, data: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data.with_suffix(".log")
        """What it has complained of, and reported."""
        self._data = data
        self._process: Fork | None = None

    async def start(self, *arguments: str, **settings: object) -> None:
        """Start it, and return once it serves."""
        self._process = Fork(
            main,
            [f"--port={self.port}", f"--data={self._data}", *arguments],
            folder=ROOT,
            environment=os.environ
            | {f"RUNTIME_{name.upper()}": str(value) for name, value in settings.items()},
            log=self.log,
        )
        line = await self._process.says()
        assert "awake" in line, line or self.log.read_text()

    async def terminate(self) -> None:
        """End it with SIGTERM, and return once it has drained."""
        assert self._process is not None
        await self._process.stop()
        self._process = None

    def kill(self) -> None:
        """End it with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process = None

    async def falls_asleep(self) -> None:
        """Return once every object has left memory: it takes its write-ahead log with it."""
        async with asyncio.timeout(20):
            while list(self._data.glob("objects/*/*-wal")):
                await asyncio.sleep(0.05)

    async def awaken(self) -> None:
        """Start it, unless it runs."""
        if self._process is None:
            await self.start()

    def stop(self) -> None:
        """End it, if it still runs."""
        if self._process is not None:
            self.kill()


# To start a browser or a server takes longer than most that is done with them. So all tests share
# them, and a loop: each has windows of its own, and rooms, events and people.


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("browser")
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """A Chromium without a screen."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path, "no Chromium: run `make test`, or install one and name it in $CHROMIUM"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def browser(chromium: Browser) -> AsyncIterator[Browser]:
    """A browser without windows; those of one test are closed before the next."""
    yield chromium
    for context in chromium.contexts:
        await context.close()


@pytest.fixture(scope="session")
def lasting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that one test after another uses."""
    server = Server(tmp_path_factory.mktemp("server") / "data")
    yield server
    server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def server(lasting_server: Server) -> Server:
    """A server that is running, and may be killed."""
    await lasting_server.awaken()
    return lasting_server


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def no_task_is_left_behind() -> AsyncIterator[None]:
    """Fail a test that ends while something it has started still runs."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"still running: {left}"


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where screenshots are left for whoever wants to look."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    return ARTEFACTS
