"""Whatever becomes of servers, rooms and networks: every message once, on every screen."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import ROOT, Server
from tests.browser.windows import CONNECTED, running
from tests.servers import http_client

CLIENTS = 20
MINUTE = 60_000  # milliseconds
PATIENCE = 30.0  # seconds

# As in a browser with windows, when another tab is looked at.
HIDE = """
    Object.defineProperty(document, "hidden", {value: true, configurable: true});
    Object.defineProperty(document, "visibilityState", {value: "hidden", configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
"""
SHOW = """
    delete document.hidden;
    delete document.visibilityState;
    document.dispatchEvent(new Event("visibilitychange"));
"""
SHOWN = (
    "items => items.map(item => [Number(item.dataset.seq), item.querySelector('p').textContent])"
)


class Client:
    """A program that says things, and says them again until it hears that they have arrived."""

    def __init__(self, number: int, api: httpx.AsyncClient, token: str) -> None:
        self._number = number
        self._api = api
        self._headers = {"authorization": f"Bearer {token}"}

    async def say(self, text: str) -> None:
        """Say something once, however often it takes."""
        message = {"client_id": f"{self._number}-{text}", "text": f"{self._number} {text}"}
        path = "/api/chat/rooms/tea/messages"
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    answer = await self._api.post(path, json=message, headers=self._headers)
                except httpx.TransportError:
                    await asyncio.sleep(0.05)  # while the server is down
                    continue
                if answer.status_code == httpx.codes.CREATED:
                    return
                assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text


@asynccontextmanager
async def clients(server: Server) -> AsyncIterator[list[Client]]:
    """Give some programs that have names."""
    async with http_client(server.url, timeout=PATIENCE) as api:
        found = []
        for number in range(CLIENTS):
            answer = await api.post("/api/identity", json={"name": f"Guest {number}"})
            found.append(Client(number, api, answer.json()["token"]))
        yield found


async def screen(browser: Browser, server: Server, name: str) -> Page:
    """Open a window of its own person on the room, whose clock can be moved."""
    context = await browser.new_context(viewport={"width": 900, "height": 700})
    page = await context.new_page()
    await page.clock.install()
    await page.goto(f"{server.url}/chat")
    await page.get_by_label("Your name").fill(name)
    await page.get_by_label("Open a room").fill("tea")
    await page.get_by_role("button", name="Go").click()
    await is_connected(page)
    return page


async def is_connected(page: Page) -> None:
    await expect(page.locator(CONNECTED)).to_have_count(1)


async def has_logged(server: Server, words: str, times: int) -> None:
    """Return once the server has logged something so often."""
    async with asyncio.timeout(PATIENCE):
        while server.log.read_text().count(words) < times:
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture(loop_scope="session")
async def developed(tmp_path: Path) -> AsyncIterator[Server]:
    """A server that takes over changed source files, and whose rooms sleep soon."""
    async with running(tmp_path / "data", "--reload", idle_seconds=0.5) as server:
        yield server


async def test_every_screen_shows_every_message_once_and_in_order(
    browser: Browser, developed: Server, artefacts: Path
) -> None:
    server = developed
    pages = [await screen(browser, server, name) for name in ("Ada", "Bob", "Cleo")]
    ada, bob, cleo = pages
    sockets: list[object] = []
    ada.on("websocket", lambda socket: sockets.append(socket))

    async def reload_code() -> None:
        os.utime(ROOT / "apps" / "chat" / "objects" / "room.py")
        await has_logged(server, "reloaded", times=1)

    async def fall_asleep() -> None:
        await server.falls_asleep()

    async def lose_the_network() -> None:
        await bob.context.set_offline(True)

    async def find_the_network() -> None:
        await bob.context.set_offline(False)

    async def look_elsewhere() -> None:
        await cleo.evaluate(HIDE)
        await cleo.clock.fast_forward(MINUTE)

    async def look_again() -> None:
        await cleo.evaluate(SHOW)

    async def restart() -> None:
        await server.terminate()
        await server.start("--reload", idle_seconds=0.5)

    async def do_nothing() -> None:
        pass

    events: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "before": do_nothing,
        "reloading": reload_code,
        "evicting": fall_asleep,
        "offline": lose_the_network,
        "hidden": look_elsewhere,
        "online": find_the_network,
        "restarting": restart,
        "after": look_again,
    }
    async with clients(server) as guests:
        for what, happens in events.items():
            if what == "restarting":
                assert len(sockets) == 0, "until now nobody else has lost their connection"
            said: list[Awaitable[None]] = [guest.say(what) for guest in guests]
            if happens is fall_asleep:
                await happens()
                await asyncio.gather(*said)
            else:
                await asyncio.gather(happens(), *said)

    total = CLIENTS * len(events)
    for page in pages:
        await is_connected(page)
        messages = page.locator("#messages > li")
        await expect(messages).to_have_count(total)
        shown = await messages.evaluate_all(SHOWN)
        assert [seq for seq, _ in shown] == list(range(1, total + 1))
        expected = sorted(f"{number} {what}" for number in range(CLIENTS) for what in events)
        assert sorted(text for _, text in shown) == expected
    assert len(sockets) >= 1, "the restart was noticed"
    await ada.screenshot(path=artefacts / "resumed.png")
