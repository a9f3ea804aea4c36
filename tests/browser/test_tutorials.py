"""Whoever does what the tutorials say sees what they say, in a real browser.

The text itself is what is done. In its quoted paragraphs these words mean something: open `/path`,
press *button* (twice, three times), type *text* into *field*, the first or a second window, reload,
wait … seconds, see **text**, and won't see **text**.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Error, Page, expect

from runtime.litestar import DurableObjectsPlugin
from tests.forks import Fork
from tests.servers import TRANSPORTS, serving
from tests.tutorials.printed import check_printed
from tutorials.__main__ import main
from tutorials.steps import Command, Step, Tutorial, tutorials

ROOT: Final = Path(__file__).parents[2]
ADDRESS: Final = "127.0.0.1:8000"
SERVE, TEST = "make try", "make try-test"
SERVING: Final = f"Serving try/ at http://{ADDRESS}  (ctrl-C to stop)"
TIMES: Final = {None: 1, "twice": 2, "three times": 3}
WORDS: Final = re.compile(
    r"open `(?P<open>/\S*)`"
    r"|press \*(?P<press>[^*]+)\*(?: (?P<times>twice|three times))?"
    r"|type \*(?P<text>[^*]+)\* into \*(?P<field>[^*]+)\*"
    r"|(?P<window>first|second) window"
    r"|(?P<reload>reload)"
    r"|wait (?P<wait>\w+) seconds"
    r"|(?P<never>won't )?see \*\*(?P<see>[^*]+)\*\*",
    re.IGNORECASE,
)


class Walk:
    """Somebody who does what a step says, with two windows of one browser."""

    def __init__(self, step: Step, folder: Path, windows: dict[str, Page]) -> None:
        self._folder = folder
        self._windows = windows
        self._window = "first"
        self._is_killed = any("kill -9" in command.line for command in step.commands)
        self._server: Fork | None = None
        self._runtime: Any = None
        self._address = ""
        shutil.copytree(step.folder, folder / "try")
        (folder / "static").symlink_to(ROOT / "static")
        (folder / ".venv").symlink_to(sys.prefix)

    async def take(self, step: Step) -> None:
        """Do it all, in order."""
        await self._look_at("first")
        async with self._serving():
            for each in step.walk:
                if isinstance(each, str):
                    assert not re.search("[*`]", WORDS.sub("", each)), f"not understood: {each}"
                    for match in WORDS.finditer(each):
                        await self._do(match.groupdict())
                elif each.line == SERVE:
                    assert each.output == (SERVING,)
                    await self._start_again()
                elif each.line != TEST:  # that is tested without a browser
                    await self._type(each)

    async def _do(self, words: dict[str, str | None]) -> None:
        page = self._windows[self._window]
        match words:
            case {"window": str(window)}:
                await self._look_at(window.lower())
            case {"open": str(path)}:
                await page.goto(f"http://{self._address}{path}")
            case {"press": str(button), "times": times}:
                for _ in range(TIMES[times]):
                    await page.get_by_role("button", name=button, exact=True).first.click()
            case {"text": str(text), "field": str(field)}:
                await page.get_by_label(field, exact=True).fill(text)
            case {"reload": str()}:
                await reload(page)
            case {"wait": str()}:
                await self._let_sleep()
            case {"see": str(text), "never": never}:
                found = page.get_by_text(text, exact=text.isdigit()).locator("visible=true").first
                await (expect(found).to_be_hidden() if never else expect(found).to_be_visible())

    async def _look_at(self, window: str) -> None:
        # What nobody looks at is drawn once a second, and a click waits for two drawings.
        self._window = window
        await self._windows[window].bring_to_front()

    async def _type(self, command: Command) -> None:
        process = await asyncio.create_subprocess_shell(
            command.line.replace(ADDRESS, self._address),
            cwd=self._folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        check_printed(command.output, printed.decode())
        if "kill -9" in command.line:
            assert self._server is not None
            await self._server.ends()
            self._server = None

    async def _let_sleep(self) -> None:
        if self._runtime is None:  # a server that can be killed is told to be quick
            async with asyncio.timeout(20):
                while list((self._folder / "try" / "data").glob("objects/*/*-wal")):
                    await asyncio.sleep(0.05)
            return
        for life in self._runtime.host.lives():
            self._runtime.host.evict(life)

    # The server: in this process, unless it is going to be killed.

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        if self._is_killed:
            try:
                await self._start_again()
                yield
            finally:
                await self._stop()
            return
        with imported(self._folder / "try") as module:
            app = module.create_app()
            self._runtime = DurableObjectsPlugin.of(app).runtime
            async with serving(app, **TRANSPORTS["detached"]) as self._address:
                yield
                for page in self._windows.values():
                    await page.goto("about:blank")  # or the server waits for their sockets

    async def _start_again(self) -> None:
        if not self._is_killed:
            return
        await self._stop()
        port = self._address.rpartition(":")[2] or "0"  # the one that its windows know
        self._server = Fork(
            main,
            ["serve", "--port", port],
            folder=self._folder,
            environment=os.environ | {"RUNTIME_IDLE_SECONDS": "0.5"},
        )
        line = await self._server.says()
        self._address = re.findall(r"http://(\S+)", line)[0]
        assert line.rstrip().replace(self._address, ADDRESS) == SERVING

    async def _stop(self) -> None:
        if self._server is not None:
            await self._server.stop()
            self._server = None


async def reload(page: Page) -> None:
    """Load a page anew, once the one is there that a press may have led to."""
    while True:
        await page.wait_for_load_state("networkidle")
        try:
            await page.reload()
        except Error as error:
            if "ERR_ABORTED" not in error.message:  # by the press, which was slower
                raise
        else:
            return


@contextmanager
def imported(folder: Path) -> Iterator[Any]:
    """Import a step's ``app``, and forget it and what stands beside it afterwards."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("app")
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
                del sys.modules[name]


@pytest.mark.parametrize("tutorial", tutorials(), ids=lambda each: each.folder.name)
async def test_each_step_shows_in_the_browser_what_its_text_says(
    tutorial: Tutorial, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # where the steps find htmx
    context = await browser.new_context()
    windows = {"first": await context.new_page(), "second": await context.new_page()}
    for step in tutorial.steps:
        folder = tmp_path / step.folder.name
        folder.mkdir()
        monkeypatch.setenv("RUNTIME_DATA", str(folder / "try" / "data"))
        await context.clear_cookies()  # each step is served at an address of its own
        try:
            await Walk(step, folder, windows).take(step)
        except AssertionError as failure:
            failure.add_note(f"in {step.folder.relative_to(ROOT)}")
            raise
