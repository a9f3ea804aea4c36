"""People in front of windows on the chat, and programs that fill its rooms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.conftest import ROOT, Server
from tests.servers import http_client

UNREACHABLE: Final = (
    "ERR_CONNECTION_REFUSED",
    "ERR_INTERNET_DISCONNECTED",
    "WebSocket connection to",
    "Failed to fetch",
    "htmx:ws:error",
)
AXE: Final = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text()

# What a browser does when another tab is looked at, which one without windows never does.
LOOK_ELSEWHERE: Final = """
    Object.defineProperty(document, "hidden", {value: true, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
"""
LOOK_AGAIN: Final = """
    delete document.hidden;
    document.dispatchEvent(new Event("visibilitychange"));
"""
WATCH_SHIFTS: Final = """
    window.shift = 0;
    new PerformanceObserver(list => {
        for (const entry of list.getEntries())
            if (!entry.hadRecentInput) window.shift += entry.value;
    }).observe({type: "layout-shift", buffered: true});
"""
VIOLATIONS: Final = """
    axe.run({resultTypes: ["violations"], preload: {assets: ["media"]}}).then(
        ({violations}) => violations.map(({id, nodes}) =>
            `${id}: ${nodes.map(node => node.html.slice(0, 150)).join(" | ")}`))
"""
# To count is the cheapest way to wait: each time that anything else isn't yet as expected,
# Playwright describes the whole page for its report, which takes a second if the page is large.
CONNECTED: Final = "body[data-connection=open]"
OVERFLOW: Final = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Window:
    """Somebody's window on a room, with whatever the browser complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.sockets = 0
        """How many it has opened on its room."""
        page.on("websocket", lambda socket: self._count(socket.url))
        page.on("console", lambda message: self._complain(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _count(self, url: str) -> None:
        self.sockets += "/~/" not in url

    def _complain(self, kind: str, text: str) -> None:
        # A server that has been killed can't be reached, and the browser says so.
        is_about_the_server = any(sign in text for sign in UNREACHABLE)
        if kind == "error" and not is_about_the_server:
            self.complaints.append(text)

    # What somebody does.

    async def enter(self, address: str) -> None:
        """Go to a room, and wait until its page is connected."""
        await self.page.goto(address)
        await self.is_connected()

    async def say(self, text: str) -> None:
        await self.box.fill(text)
        await self.box.press("Enter")

    async def open_menu(self, text: str) -> None:
        """Open what can be done with a message."""
        message = self.message(text)
        await message.hover()
        await message.locator(".more").click()
        await expect(self.sheet).to_be_visible()

    async def is_cut_off(self) -> None:
        """Lose the network, which closes no connection: the page has to see to that."""
        await self.page.context.set_offline(True)
        await expect(self.page.locator(CONNECTED)).to_have_count(0)

    async def has_the_network_again(self) -> None:
        await self.page.context.set_offline(False)
        await self.is_connected()

    # What they see.

    @property
    def box(self) -> Locator:
        return self.page.get_by_label("Message", exact=True)

    @property
    def messages(self) -> Locator:
        return self.page.locator("#messages > li")

    @property
    def outgoing(self) -> Locator:
        return self.page.locator("#outgoing > li")

    @property
    def sheet(self) -> Locator:
        return self.page.locator("#sheet")

    def message(self, text: str) -> Locator:
        return self.messages.filter(has_text=text)

    async def is_connected(self) -> None:
        await expect(self.page.locator(CONNECTED)).to_have_count(1)

    async def shows(self, *texts: str) -> None:
        """Wait until the log shows exactly these messages, in this order."""
        await expect(self.page.locator("#messages > li > p")).to_have_text(list(texts))


async def open_window(browser: Browser, **options: Any) -> Window:
    """Open a window with cookies of its own, of somebody without a name."""
    context = await browser.new_context(**{"viewport": {"width": 900, "height": 700}, **options})
    await context.add_init_script(WATCH_SHIFTS)
    return Window(await context.new_page())


async def enter(
    browser: Browser, server: Server, name: str, room: str = "tea", **options: Any
) -> Window:
    """Open a window of somebody with that name, in that room."""
    window = await open_window(browser, **options)
    async with http_client(server.url) as client:
        token = await _token(client, name)
    await window.page.context.add_cookies([{"name": "guest", "value": token, "url": server.url}])
    await window.enter(f"{server.url}/chat/{quote(room)}")
    return window


@asynccontextmanager
async def running(data: Path, *arguments: str, **settings: object) -> AsyncIterator[Server]:
    """Run a server with settings of its own."""
    server = Server(data)
    await server.start(*arguments, **settings)
    try:
        yield server
    finally:
        server.stop()


@asynccontextmanager
async def programs(server: Server, room: str = "tea") -> AsyncIterator[Programs]:
    """Give programs that speak in a room."""
    async with http_client(server.url) as client:
        yield Programs(client, f"/api/chat/rooms/{room}/messages")


class Programs:
    """As many of them as it takes, for each may only say so much at once."""

    def __init__(self, client: httpx.AsyncClient, path: str) -> None:
        self._client = client
        self._path = path
        self._said = 0

    async def say(self, *texts: str) -> None:
        """Say some things, in this order."""
        for text in texts:
            if self._said % 40 == 0:
                token = await _token(self._client, "Robin")
                self._client.headers["authorization"] = f"Bearer {token}"
            self._said += 1
            message = {"client_id": f"c{self._said}", "text": text}
            answer = await self._client.post(self._path, json=message)
            assert answer.status_code == httpx.codes.CREATED, answer.text


async def _token(client: httpx.AsyncClient, name: str) -> str:
    answer = await client.post("/api/identity", json={"name": name})
    token: str = answer.json()["token"]
    return token
