"""Rooms of all kinds, what their creators may do, and what goes on behind them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser.conftest import Server
from tests.browser.windows import Window, enter, running


@pytest_asyncio.fixture(loop_scope="session")
async def developed(tmp_path: Path) -> AsyncIterator[Server]:
    """A server in development."""
    async with running(tmp_path / "data", debug=True) as server:
        yield server


async def test_a_rooms_creator_slows_mutes_removes_and_bans(
    browser: Browser, server: Server, artefacts: Path
) -> None:
    ada = await enter(browser, server, "Ada", "court")
    await ada.say("My room")
    await expect(ada.messages).to_have_count(1)
    bob = await enter(browser, server, "Bob", "court")
    await bob.say("And mine?")
    await ada.shows("My room", "And mine?")

    async def moderate(what: str) -> None:
        await ada.page.get_by_role("link", name="about this room").click()
        await ada.sheet.get_by_role("button", name=what).click()
        await ada.sheet.get_by_role("button", name="Close").click()

    await bob.page.get_by_role("link", name="about this room").click()
    await expect(bob.sheet.get_by_role("heading", name="About court")).to_be_visible()
    await expect(bob.sheet.get_by_text("Send out")).to_have_count(0)
    await expect(bob.sheet.get_by_text("Slow mode")).to_have_count(0)
    await bob.page.keyboard.press("Escape")

    await moderate("5 min")
    await expect(bob.page.locator("#rules")).to_have_text("Slow mode: a message every 5 minutes")
    await bob.say("slowly")
    await expect(bob.outgoing).to_contain_text("this room is in slow mode")
    send = bob.page.locator("#composer > button")
    await expect(send).to_be_disabled()
    await expect(send).to_contain_text(" s")
    await bob.box.fill("too soon")
    await bob.box.press("Enter")
    await expect(bob.box).to_have_value("too soon")
    await bob.page.screenshot(path=artefacts / "chat-slow.png")
    await ada.say("I may")
    await expect(bob.message("I may")).to_have_count(1)
    await moderate("Off")
    await expect(bob.page.locator("#rules")).to_have_text("")
    await expect(bob.message("slowly")).to_have_count(1)
    await expect(send).to_be_enabled()

    await moderate("Mute 10 min")
    await expect(bob.page.locator("#notice")).to_contain_text("muted")
    await bob.box.press("Enter")
    await expect(bob.outgoing).to_contain_text("you are muted in this room")
    await bob.outgoing.get_by_role("button", name="Discard").click()
    await moderate("Unmute")
    await bob.say("Thanks")
    await expect(ada.message("Thanks")).to_have_count(1)

    await ada.open_menu("Thanks")
    await ada.sheet.get_by_text("Delete", exact=True).click()
    await ada.sheet.get_by_role("button", name="Delete for everybody").click()
    await expect(bob.messages.last).to_contain_text("Deleted by \u2068Ada\u2069")

    await moderate("Send out")
    stopped = bob.page.locator("#stopped")
    await expect(stopped).to_be_visible()
    await bob.page.screenshot(path=artefacts / "chat-sent-out.png")
    await bob.page.reload()
    await bob.is_connected()
    await moderate("Ban")
    await expect(stopped).to_contain_text("banned")
    answer = await bob.page.reload()
    assert answer is not None
    assert answer.status == 403
    await expect(bob.page.get_by_role("heading")).to_have_text("Not allowed")
    await ada.page.get_by_role("link", name="about this room").click()
    await expect(ada.sheet.locator(".audit li").first).to_contain_text("banned Bob")
    await ada.page.screenshot(path=artefacts / "chat-about.png")
    assert ada.complaints == []


async def test_private_and_direct_rooms_are_found_by_those_they_are_for(
    browser: Browser, server: Server, artefacts: Path
) -> None:
    ada = await enter(browser, server, "Ada", "pond")
    bob = await enter(browser, server, "Bob", "pond")
    await bob.say("Hello")
    await ada.shows("Hello")
    await ada.page.get_by_role("link", name="about this room").click()
    await ada.sheet.get_by_role("button", name="Talk alone with Bob").click()
    await expect(ada.page.get_by_role("heading", level=1)).to_contain_text("Bob")
    await ada.is_connected()
    await ada.say("A word with you")
    await expect(ada.messages).to_have_count(1)

    await bob.page.goto(f"{server.url}/chat")
    rooms = bob.page.locator("#rooms a")
    await expect(rooms.filter(has_text="Ada").locator(".badge")).to_contain_text("1")
    await bob.page.screenshot(path=artefacts / "chat-home.png")
    await rooms.filter(has_text="Ada").click()
    await bob.shows("A word with you")
    await bob.is_connected()

    cleo = await enter(browser, server, "Cleo", "garden")
    answer = await cleo.page.goto(ada.page.url)
    assert answer is not None
    assert answer.status == 404

    await cleo.page.goto(f"{server.url}/chat")
    await cleo.page.get_by_label("Start a private room").fill("Board")
    await cleo.page.get_by_role("button", name="Start").click()
    await cleo.is_connected()
    await cleo.say("Only who has the address")
    await expect(cleo.messages).to_have_count(1)
    await bob.enter(cleo.page.url)
    await bob.shows("Only who has the address")
    async with bob.page.expect_download() as download:
        await bob.page.get_by_role("link", name="about this room").click()
        await bob.sheet.get_by_role("link", name="Take all that was said").click()
    exported = json.loads(Path(await (await download.value).path()).read_text())
    assert [message["text"] for message in exported["messages"]] == ["Only who has the address"]
    assert ada.complaints == bob.complaints == []


async def test_the_strip_shows_a_room_asleep_and_nothing_is_lost_by_what_it_offers(
    browser: Browser, developed: Server, artefacts: Path
) -> None:
    ada = await enter(browser, developed, "Ada")
    await ada.say("one")
    await ada.shows("one")
    bob = await enter(browser, developed, "Bob")
    await ada.page.reload()
    await ada.is_connected()
    strip = ada.page.locator("#strip")
    await expect(strip).to_contain_text("Awake")
    await expect(bob.page.locator("#strip")).to_have_count(0)

    for number, prank in enumerate(("Put it to sleep", "Drop my socket", "Crash it")):
        await strip.get_by_role("button", name=prank).click()
        if prank == "Put it to sleep":
            await expect(strip).to_contain_text("Asleep")
            await ada.page.screenshot(path=artefacts / "chat-strip.png")
        await bob.say(f"after {number}")
        await expect(ada.message(f"after {number}")).to_have_count(1)

    await _agree(ada, bob)
    assert ada.complaints == bob.complaints == []


async def _agree(one: Window, other: Window) -> None:
    expected = ["one", "after 0", "after 1", "after 2"]
    await one.shows(*expected)
    await other.shows(*expected)
