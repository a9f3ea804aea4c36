"""The chat, as two people in two windows see it, whatever becomes of the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest_asyncio
from playwright.async_api import Browser, Route, expect

from tests.browser.conftest import Server
from tests.browser.windows import (
    CONNECTED,
    LOOK_AGAIN,
    LOOK_ELSEWHERE,
    enter,
    open_window,
    programs,
    running,
)

SCHEMES: Final = ("light", "dark")
# What htmx says when it has put a message into the page, be the connection lost meanwhile.
FINISH_LATE: Final = """
    document.getElementById("log").dispatchEvent(new CustomEvent(
        "htmx:ws:after:message:incoming", {detail: {message: {data: ""}}}));
    if (document.body.dataset.connection === "open") throw new Error("it isn't open");
"""
WATCH_PEOPLE: Final = """
    window.shown = [];
    new MutationObserver(() => {
        const count = document.querySelector("#people > button").textContent;
        if (count !== window.shown.at(-1)) window.shown.push(count);
    }).observe(document.getElementById("people"), {
        subtree: true, childList: true, characterData: true,
    });
"""


@pytest_asyncio.fixture(loop_scope="session")
async def drowsy(tmp_path: Path) -> AsyncIterator[Server]:
    """A server whose rooms sleep soon."""
    async with running(tmp_path / "data", idle_seconds=0.3) as server:
        yield server


async def test_two_windows_lose_and_double_nothing_when_their_room_sleeps_or_its_server_dies(
    browser: Browser, drowsy: Server, artefacts: Path
) -> None:
    server = drowsy
    ada = await enter(browser, server, "Ada")
    bob = await enter(browser, server, "Bob")
    await expect(ada.page.locator("#people")).to_contain_text("Bob")
    await ada.say("Hello Bob")
    await bob.shows("Hello Bob")
    await server.falls_asleep()
    await bob.say("Hello Ada")
    for window in (ada, bob):
        await window.shows("Hello Bob", "Hello Ada")
        await expect(window.outgoing).to_have_count(0)
    assert (ada.sockets, bob.sockets) == (1, 1)

    server.kill()
    await expect(ada.page.locator(CONNECTED)).to_have_count(0)
    await ada.say("Is anybody there?")
    await ada.say("Nobody, it seems")
    await expect(ada.outgoing).to_have_count(2)
    await expect(ada.outgoing.first).to_contain_text("No connection.")
    await ada.page.screenshot(path=artefacts / "chat-server-killed.png")
    await bob.say("Oh")
    await expect(bob.outgoing.get_by_role("button", name="Try again")).to_be_visible()
    await bob.outgoing.get_by_role("button", name="Discard").click()
    await expect(bob.outgoing).to_have_count(0)

    await server.start()

    await ada.shows("Hello Bob", "Hello Ada", "Is anybody there?", "Nobody, it seems")
    await bob.shows("Hello Bob", "Hello Ada", "Is anybody there?", "Nobody, it seems")
    await expect(ada.outgoing).to_have_count(0)
    await expect(ada.box).to_be_focused()
    assert ada.complaints == bob.complaints == []


async def test_whoever_was_cut_off_is_shown_what_is_new_once_and_in_order(
    browser: Browser, server: Server, artefacts: Path
) -> None:
    ada = await enter(browser, server, "Ada", "cellar")
    async with programs(server, "cellar") as others:
        await others.say("before")
        await ada.shows("before")
        for number in range(2):
            await ada.is_cut_off()
            await ada.page.evaluate(FINISH_LATE)
            await others.say(f"missed {number}", f"missed too {number}")
            await expect(ada.messages).to_have_count(1 + 2 * number)
            await ada.has_the_network_again()
            await expect(ada.messages).to_have_count(3 + 2 * number)
            await expect(ada.page.locator(".first-unread > p")).to_have_text(f"missed {number}")

        await ada.is_cut_off()
        many = [f"text {number}" for number in range(201)]
        await others.say(*many)
        await ada.has_the_network_again()
        await ada.shows(*many[-50:])
        await expect(ada.messages.last).to_be_in_viewport()
        away = ada.page.get_by_role("button", name="new while you were away")
        await expect(away).to_be_visible()
        await ada.page.screenshot(path=artefacts / "chat-missed.png")
        await away.click()
        await expect(ada.page.locator(".first-unread")).to_be_in_viewport()
        await expect(away).not_to_be_visible()
        await others.say("and on")
        await expect(ada.page.get_by_role("button", name="↓ 1 new")).to_be_visible()

    await ada.is_cut_off()
    await ada.say("It doesn't arrive")
    for offered in ("Try again", "Discard"):
        button = ada.outgoing.get_by_role("button", name=offered)
        await expect(button).to_be_in_viewport(ratio=1)
    assert ada.complaints == []


async def test_somebody_who_looks_elsewhere_is_away_and_a_reload_isnt_seen(
    browser: Browser, server: Server, artefacts: Path
) -> None:
    ada = await enter(browser, server, "Ada", "attic")
    bob = await enter(browser, server, "Bob", "attic")
    people = ada.page.locator("#people")
    await expect(people).to_contain_text("2 here")
    await ada.page.evaluate(WATCH_PEOPLE)

    await bob.page.clock.install()
    await bob.page.reload()
    await bob.is_connected()
    typing = bob.page.locator("#typing")
    await ada.box.press_sequentially("Are")
    await expect(typing).to_have_text("\u2068Ada\u2069 is typing…")
    await bob.page.clock.fast_forward(5_000)
    await expect(typing).to_have_text("")
    await bob.page.evaluate(LOOK_ELSEWHERE)
    await bob.page.clock.fast_forward(5_000)
    await expect(people).to_contain_text("\u2068Bob\u2069 (away)")
    await expect(people).to_contain_text("1 here")
    await ada.say("Are you there?")
    await expect(bob.page).to_have_title("(1) attic · Dormouse")
    await bob.is_cut_off()
    await bob.has_the_network_again()
    await ada.page.get_by_role("button", name="1 here").click()
    await expect(ada.page.locator("#everyone li").last).to_have_text("Bob away")
    for width, height in ((1280, 720), (390, 760)):
        for scheme in SCHEMES:
            await ada.page.set_viewport_size({"width": width, "height": height})
            await ada.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            await ada.page.screenshot(path=artefacts / f"people-{width}-{scheme}.png")
    await bob.page.evaluate(LOOK_AGAIN)
    await expect(people).to_contain_text("2 here")
    await expect(bob.page).to_have_title("attic · Dormouse")
    await expect(bob.page.locator(".first-unread")).to_have_count(1)
    await expect(ada.page.locator("#read-by")).to_have_text("Read by \u2068Bob\u2069")

    assert await ada.page.evaluate("window.shown") == ["1 here", "2 here"]
    assert (ada.sockets, ada.complaints, bob.complaints) == (1, [], [])


async def test_what_is_typed_arrives_in_order_drafts_are_kept_and_nothing_moves(
    browser: Browser, server: Server
) -> None:
    ada = await enter(browser, server, "Ada", "kitchen")
    bob = await enter(browser, server, "Bob", "kitchen")
    may_leave = asyncio.Event()

    async def delay(route: Route) -> None:
        await may_leave.wait()
        await route.continue_()

    await ada.page.route("**/chat/kitchen/messages", delay)
    for text in ("one", "two", "three"):
        await ada.say(text)
    await expect(ada.outgoing.locator("p")).to_have_text(["one", "two", "three"])
    await ada.box.press_sequentially("not yet said")
    await ada.page.reload()
    await expect(ada.outgoing.locator("p")).to_have_text(["one", "two", "three"])
    await expect(ada.box).to_have_value("not yet said")
    may_leave.set()

    await ada.shows("one", "two", "three")
    await expect(ada.outgoing).to_have_count(0)
    await ada.box.press("Enter")
    await ada.shows("one", "two", "three", "not yet said")
    await ada.page.reload()
    await expect(ada.box).to_have_value("")

    await ada.is_connected()
    await bob.box.press_sequentially("line 0")
    await expect(ada.page.locator("#typing")).to_have_text("\u2068Bob\u2069 is typing…")
    for number in range(20):
        await bob.say(f"line {number}")
    await expect(ada.messages).to_have_count(24)
    await expect(ada.page.locator("#typing")).to_have_text("")
    for number in range(3):
        await ada.say(f"own {number}")
    await expect(ada.messages).to_have_count(27)
    await expect(ada.outgoing).to_have_count(0)
    await expect(ada.messages.last).to_be_in_viewport()
    assert await ada.page.evaluate("window.shift") == 0


async def test_the_chat_works_without_javascript(browser: Browser, server: Server) -> None:
    page = (await open_window(browser, java_script_enabled=False)).page
    await page.goto(f"{server.url}/chat")
    await page.get_by_label("Your name").fill("Ada")
    await page.get_by_label("Open a room").fill("Hall")
    await page.get_by_role("button", name="Go").click()

    texts = page.locator("#messages > li > p")
    await page.get_by_label("Message", exact=True).fill("by plain POST")
    await page.get_by_role("button", name="Send").click()
    await expect(texts).to_have_text(["by plain POST"])
    await page.get_by_label("Message", exact=True).fill("/dice 0d0")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("#notice")).to_contain_text("dice are thrown by")
    await expect(page.get_by_label("Message", exact=True)).to_have_value("/dice 0d0")

    async def open_menu() -> None:
        await page.locator(".more").first.click()

    await open_menu()
    await page.get_by_role("button", name="heart").click()
    await expect(page.locator(".chip")).to_have_text("❤️ 1")
    await open_menu()
    await page.get_by_text("Edit").click()
    text = page.get_by_role("textbox", name="Text")
    await text.fill("too long " * 250)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("at most 2,000 characters")
    await expect(text).to_have_value("too long " * 250)
    await text.fill("corrected")
    await page.get_by_role("button", name="Save").click()
    await expect(texts).to_have_text(["corrected"])
    await open_menu()
    await page.get_by_role("button", name="Pin").click()
    await expect(page.locator("#pinned")).to_contain_text("corrected")
    await page.get_by_role("link", name="Search").click()
    await page.get_by_role("searchbox").fill("corr")
    await page.get_by_role("button", name="Search").click()
    await page.locator("#results a").click()
    await expect(page).to_have_url(f"{server.url}/chat/hall?around=1#message-1")
    await page.get_by_role("link", name="about this room").click()
    await page.get_by_role("button", name="5 s").click()
    await expect(page.get_by_role("button", name="5 s")).to_have_attribute("aria-pressed", "true")
    await page.get_by_role("link", name="hall").click()
    await open_menu()
    await page.get_by_text("Delete", exact=True).click()
    await page.get_by_role("button", name="Delete for everybody").click()
    await expect(texts.first).to_have_text("Deleted")
