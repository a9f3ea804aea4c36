"""New projects serve, and their pages work, in a real browser."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, Page, expect

from runtime import scaffold
from runtime.starters import KINDS, Wish


@contextmanager
def served(project: Path, package: str) -> Iterator[str]:
    """Serve a project, and give its address."""
    command = [sys.executable, "-m", package, "--port", "0"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield re.findall(r"http://\S+", process.stdout.readline())[0]
        finally:
            process.terminate()
            process.wait()


async def count(page: Page) -> None:
    other = await page.context.new_page()
    await other.goto(page.url)
    await page.bring_to_front()  # what lies behind is drawn once a second, and clicks wait for it
    await page.get_by_role("button", name="Add one").click()
    for each in (page, other):
        await expect(each.locator("#value")).to_have_text("1")


async def talk(page: Page) -> None:
    await page.get_by_label("Your name").fill("Ada")
    await page.get_by_label("Open a room").fill("hall")
    await page.get_by_role("button", name="Go").click()
    await page.get_by_label("Message", exact=True).fill("Is anybody here?")
    await page.get_by_role("button", name="Send").click()  # Enter sends once the script is there
    await expect(page.locator("#messages > li > p")).to_have_text("Is anybody here?")


async def play(page: Page) -> None:
    await page.get_by_label("your name").fill("Ada")
    await page.get_by_role("button", name="Go on").click()
    await page.get_by_role("button", name="Play", exact=True).click()
    await expect(page.locator("main .board").first).to_be_visible()
    assert re.search(r"/game/[\w-]+", page.url)


async def sell(page: Page) -> None:
    await page.get_by_role("link", name="Make an event").click()
    await page.get_by_label("Your name").fill("Ada")
    await page.get_by_role("button", name="Go on").click()
    await page.get_by_label("Title").fill("Spring concert")
    await page.get_by_label("Address").fill("spring")
    await page.get_by_role("button", name="Open the sale").click()
    await expect(page.get_by_role("heading", name="Spring concert")).to_be_visible()


DEEDS: Final[dict[str, Callable[[Page], Awaitable[None]]]] = {
    "counter": count,
    "chat": talk,
    "game": play,
    "booking": sell,
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_new_project_serves_a_page_that_works(
    kind: str, browser: Browser, tmp_path: Path
) -> None:
    wish = Wish(kind, "mine")
    scaffold.make(tmp_path / "mine", wish)
    context = await browser.new_context()
    complaints: list[str] = []
    context.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    page = await context.new_page()
    with served(tmp_path / "mine", wish.package) as url:
        await page.goto(url)
        await DEEDS[kind](page)
        await context.close()
    assert complaints == []
