"""The chat, as two people in two windows see it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Locator, Page, Route, expect

from tests.browser.conftest import Server

pytestmark = pytest.mark.browser

UNREACHABLE = (
    "ERR_CONNECTION_REFUSED",
    "WebSocket connection to",
    "Failed to fetch",
    "htmx:ws:error",
)

SCHEMES: Final = ("light", "dark")

# What a browser does when another tab is looked at, which one without windows never does.
LOOK_ELSEWHERE = """
    Object.defineProperty(document, "hidden", {value: true, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
"""
LOOK_AGAIN = """
    delete document.hidden;
    document.dispatchEvent(new Event("visibilitychange"));
"""
WATCH_PEOPLE = """
    window.shown = [];
    new MutationObserver(() => {
        const count = document.querySelector("#people > button").textContent;
        if (count !== window.shown.at(-1)) window.shown.push(count);
    }).observe(document.getElementById("people"), {
        subtree: true, childList: true, characterData: true,
    });
"""

SHIFT = """
    window.shift = 0;
    new PerformanceObserver(list => {
        for (const entry of list.getEntries())
            if (!entry.hadRecentInput) window.shift += entry.value;
    }).observe({type: "layout-shift", buffered: true});
"""


class Window:
    """Somebody's window on a room, with whatever the browser complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.sockets = 0
        page.on("websocket", lambda _: self._count())
        page.on("console", lambda message: self._complain(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _count(self) -> None:
        self.sockets += 1

    def _complain(self, kind: str, text: str) -> None:
        # A server that has been killed can't be reached, and the browser says so.
        is_about_the_server = any(sign in text for sign in UNREACHABLE)
        if kind == "error" and not is_about_the_server:
            self.complaints.append(text)

    async def enter(self, server: Server, name: str, room: str) -> None:
        await self.page.goto(f"{server.url}/chat")
        await self.page.get_by_label("Your name").fill(name)
        await self.page.get_by_role("textbox", name="Room").fill(room)
        await self.page.get_by_role("button", name="Enter the room").click()
        await self.is_connected()

    async def is_cut_off(self, context: BrowserContext) -> None:
        """Lose the network, the open connection included."""
        await context.set_offline(True)
        await self.page.evaluate(
            "document.getElementById('log')._htmx.ws.connection.socket.close()"
        )
        await expect(self.page.locator("body")).not_to_have_attribute("data-connection", "open")

    async def is_connected(self) -> None:
        await expect(self.page.locator("body")).to_have_attribute("data-connection", "open")

    @property
    def box(self) -> Locator:
        return self.page.get_by_label("Message", exact=True)

    async def say(self, text: str) -> None:
        await expect(self.box).to_have_value("")  # what was said before has arrived
        await self.box.fill(text)
        await self.box.press("Enter")

    async def shows(self, *texts: str) -> None:
        """Wait until the log shows exactly these messages, in this order."""
        messages = self.page.locator("#messages > li > p")
        await expect(messages).to_have_text(list(texts))


async def open_window(browser: Browser) -> tuple[BrowserContext, Window]:
    """Open a window with cookies of its own."""
    context = await browser.new_context(viewport={"width": 900, "height": 700})
    await context.add_init_script(SHIFT)
    return context, Window(await context.new_page())


async def test_two_windows_lose_and_double_nothing_when_the_server_is_killed(
    browser: Browser, server: Server, artefacts: Path
) -> None:
    _, ada = await open_window(browser)
    _, bob = await open_window(browser)
    await ada.enter(server, "Ada", "tea")
    await bob.enter(server, "Bob", "tea")
    await expect(ada.page.locator("#people")).to_contain_text("Bob")

    await ada.say("Hello Bob")
    await bob.shows("Hello Bob")
    await bob.say("Hello Ada")
    await ada.shows("Hello Bob", "Hello Ada")
    await ada.page.screenshot(path=artefacts / "chat-two-windows.png")

    server.kill()
    await expect(ada.page.locator("body")).not_to_have_attribute("data-connection", "open")
    await ada.say("Is anybody there?")
    await expect(ada.page.locator("#notice")).to_contain_text("Not sent")
    await ada.page.screenshot(path=artefacts / "chat-server-killed.png")

    await server.start()
    await ada.is_connected()
    await bob.is_connected()
    await expect(ada.box).to_have_value("Is anybody there?")
    await ada.box.press("Enter")
    await bob.say("I am back")

    said = await _settled(ada, 4)
    assert said[:2] == ["Hello Bob", "Hello Ada"]
    assert set(said[2:]) == {"Is anybody there?", "I am back"}
    await bob.shows(*said)
    await bob.page.reload()
    await bob.shows(*said)
    await ada.page.screenshot(path=artefacts / "chat-after-restart.png")
    assert ada.complaints == bob.complaints == []


async def test_a_room_sleeps_and_wakes_with_both_windows_connected(
    browser: Browser, server: Server
) -> None:
    await server.restart(idle_seconds=0.3)
    _, ada = await open_window(browser)
    _, bob = await open_window(browser)
    await ada.enter(server, "Ada", "tea")
    await bob.enter(server, "Bob", "tea")
    await ada.say("before")
    await bob.shows("before")

    await server.falls_asleep()
    await bob.say("after")

    await ada.shows("before", "after")
    assert (ada.sockets, bob.sockets) == (1, 1)


async def test_whoever_was_cut_off_is_shown_what_they_have_missed_once_and_in_order(
    browser: Browser, server: Server
) -> None:
    tunnel, ada = await open_window(browser)
    _, bob = await open_window(browser)
    await ada.enter(server, "Ada", "tea")
    await bob.enter(server, "Bob", "tea")
    await bob.say("before")
    await ada.shows("before")

    for number in range(2):
        await ada.is_cut_off(tunnel)
        await bob.say(f"missed {number}")
        await bob.say(f"missed too {number}")
        await expect(bob.page.locator("#messages > li")).to_have_count(3 + 2 * number)
        await expect(ada.page.locator("#messages > li")).to_have_count(1 + 2 * number)
        await tunnel.set_offline(False)
        await ada.is_connected()
    await bob.say("after")

    missed = [f"missed{also} {number}" for number in range(2) for also in ("", " too")]
    await ada.shows("before", *missed, "after")
    assert await ada.page.locator("#messages > li").evaluate_all(
        "items => items.map(item => item.dataset.seq)"
    ) == ["1", "2", "3", "4", "5", "6"]
    assert ada.complaints == []


async def test_whoever_missed_too_much_is_shown_the_last_page_afresh(
    browser: Browser, server: Server
) -> None:
    tunnel, ada = await open_window(browser)
    await ada.enter(server, "Ada", "tea")
    await ada.say("from long ago")
    await ada.shows("from long ago")

    await ada.is_cut_off(tunnel)
    async with httpx.AsyncClient(base_url=f"{server.url}/api") as api:
        token = (await api.post("/identity", json={"name": "Bob"})).json()["token"]
        api.headers["authorization"] = f"Bearer {token}"
        for number in range(201):
            message = {"client_id": f"c{number}", "text": f"text {number}"}
            await api.post("/chat/rooms/tea/messages", json=message)
        await tunnel.set_offline(False)
        await ada.shows(*(f"text {number}" for number in range(151, 201)))
        await api.post("/chat/rooms/tea/messages", json={"client_id": "c", "text": "and on"})

    await ada.shows(*(f"text {number}" for number in range(151, 201)), "and on")
    await expect(ada.page.locator("#messages > li").last).to_be_in_viewport()
    assert ada.complaints == []


async def test_somebody_who_looks_elsewhere_is_away_and_a_reload_isnt_seen(
    browser: Browser, server: Server, artefacts: Path
) -> None:
    _, ada = await open_window(browser)
    tunnel, bob = await open_window(browser)
    await ada.enter(server, "Ada", "tea")
    await bob.enter(server, "Bob", "tea")
    people = ada.page.locator("#people")
    await expect(people).to_contain_text("2 here")
    await ada.page.evaluate(WATCH_PEOPLE)

    await bob.page.reload()
    await bob.is_connected()
    await bob.page.evaluate(LOOK_ELSEWHERE)
    await expect(people).to_contain_text("\u2068Bob\u2069 (away)")
    await expect(people).to_contain_text("1 here")
    await bob.is_cut_off(tunnel)
    await tunnel.set_offline(False)
    await bob.is_connected()
    await bob.say("I hear you")
    await ada.shows("I hear you")
    await ada.page.get_by_role("button", name="1 here").click()
    await expect(ada.page.locator("#everyone li").last).to_have_text("Bob away")
    for width, height in ((1280, 720), (390, 760)):
        for scheme in SCHEMES:
            await ada.page.set_viewport_size({"width": width, "height": height})
            await ada.page.emulate_media(color_scheme=scheme)
            await ada.page.screenshot(path=artefacts / f"people-{width}-{scheme}.png")
    await bob.page.evaluate(LOOK_AGAIN)
    await expect(people).to_contain_text("2 here")

    assert await ada.page.evaluate("window.shown") == ["1 here", "2 here"]
    assert (ada.sockets, ada.complaints, bob.complaints) == (1, [], [])


async def test_who_types_faster_than_the_network_answers_sends_every_line(
    browser: Browser, server: Server
) -> None:
    _, ada = await open_window(browser)
    await ada.enter(server, "Ada", "tea")
    may_leave = asyncio.Event()

    async def delay(route: Route) -> None:
        await may_leave.wait()
        await route.continue_()

    await ada.page.route("**/chat/tea/messages", delay)
    await ada.say("one")
    await expect(ada.page.locator("#composer.htmx-request")).to_be_attached()
    await ada.box.press_sequentially("two")
    await ada.box.press("Enter")
    may_leave.set()

    await ada.shows("one", "two")
    await expect(ada.box).to_have_value("")


async def test_a_draft_survives_a_reload(browser: Browser, server: Server) -> None:
    _, ada = await open_window(browser)
    await ada.enter(server, "Ada", "tea")
    await ada.box.press_sequentially("not yet said")

    await ada.page.reload()

    await expect(ada.box).to_have_value("not yet said")
    await ada.box.press("Enter")
    await ada.shows("not yet said")
    await ada.page.reload()
    await expect(ada.box).to_have_value("")


async def test_nothing_in_the_page_moves_when_somebody_comes_and_speaks(
    browser: Browser, server: Server
) -> None:
    _, ada = await open_window(browser)
    _, bob = await open_window(browser)
    await ada.enter(server, "Ada", "tea")

    await bob.enter(server, "Bob", "tea")
    for number in range(30):
        await bob.say(f"line {number}")
    await expect(ada.page.locator("#messages > li")).to_have_count(30)

    assert await ada.page.evaluate("window.shift") == 0
    newest = ada.page.locator("#messages > li").last
    await expect(newest).to_be_in_viewport()


async def test_the_chat_works_without_javascript(browser: Browser, server: Server) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{server.url}/chat/tea")
    await page.get_by_label("Your name").fill("Ada")
    await page.get_by_role("button", name="Enter the room").click()

    await page.get_by_label("Message", exact=True).fill("by plain POST")
    await page.get_by_role("button", name="Send").click()

    await expect(page.locator("#messages > li > p")).to_have_text(["by plain POST"])


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_is_cut_off_at_any_width(
    browser: Browser, server: Server, artefacts: Path, width: int, scheme: str
) -> None:
    context = await browser.new_context(
        viewport={"width": width, "height": 720},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    window = Window(await context.new_page())
    await window.page.goto(f"{server.url}/chat")
    await window.page.screenshot(path=artefacts / f"home-{width}-{scheme}.png")
    await window.enter(server, "W" * 32, "x" * 32)

    await window.say("long" * 100)
    await window.say("https://example.org/" + "path/" * 60)
    await expect(window.page.locator("#messages > li")).to_have_count(2)
    await window.page.screenshot(path=artefacts / f"room-{width}-{scheme}.png")

    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await window.page.evaluate(overflow) <= 0
    assert window.complaints == []


async def _settled(window: Window, count: int) -> list[str]:
    messages = window.page.locator("#messages > li > p")
    await expect(messages).to_have_count(count)
    return await messages.all_inner_texts()
