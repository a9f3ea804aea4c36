"""What people do with messages, and how the page says what is new in them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

from playwright.async_api import Browser, expect

from tests.browser.conftest import Server
from tests.browser.windows import AXE, OVERFLOW, VIOLATIONS, Window, enter, programs

FAR_AWAY: Final = "Asia/Kathmandu"  # which has quarters of an hour of its own
SCREENS: Final[tuple[tuple[int, Literal["light", "dark"]], ...]] = (
    (1280, "light"),
    (1280, "dark"),
    (390, "dark"),
    (320, "light"),
)
# Where a message's words are, without the rounded corners around them: those are never painted
# twice alike.
WORDS: Final = """
    message => {
        const range = document.createRange();
        range.selectNodeContents(message.querySelector("p"));
        const {x, y, width, height} = range.getBoundingClientRect();
        return {x, y, width, height};
    }
"""


async def test_people_react_edit_delete_mention_and_play(
    browser: Browser, server: Server, artefacts: Path
) -> None:
    ada = await enter(browser, server, "Ada", "table")
    bob = await enter(browser, server, "Bob", "table")
    await ada.say("Who brings the nuts?")
    await bob.say("/me raises a hand")
    await bob.say("/dice 2d6")
    await expect(ada.messages.nth(1).locator("p")).to_have_text("Bob raises a hand")
    await expect(ada.messages.nth(2).locator("p")).to_contain_text("Bob rolled 2d6: ")

    # By mouse: a reaction, which somebody else joins and takes back.
    await ada.open_menu("raises a hand")
    await ada.sheet.get_by_role("button", name="heart").click()
    await expect(ada.sheet).not_to_be_visible()
    chip = bob.page.locator(".chip")
    await expect(chip).to_have_attribute("title", "Ada")
    await chip.click()
    await expect(chip).to_have_text("❤️ 2")
    await expect(chip).to_have_attribute("aria-pressed", "true")
    await chip.click()
    await expect(ada.page.locator(".chip")).to_have_text("❤️ 1")

    # A name behind an @, of which the beginning is enough.
    await bob.box.press_sequentially("thanks @a")
    await expect(bob.page.get_by_role("option")).to_have_text(["Ada"])
    await bob.box.press("Tab")
    await bob.box.press_sequentially("and <b>all</b>")
    await bob.box.press("Enter")
    await expect(ada.page.locator(".to-me > p")).to_have_text("thanks @Ada and <b>all</b>")
    await expect(ada.page.locator(".to-me mark")).to_have_text("@Ada")

    # By keyboard: up to a message of one's own and to another's, and what may be done with each.
    await ada.say("I do, Bobb")
    await bob.say("As always, @ada")  # a whole name needs no help: Enter sends
    await expect(ada.page.locator(".to-me")).to_have_count(2)
    await ada.box.press("ArrowUp")
    await ada.page.keyboard.press("ArrowUp")
    await ada.page.keyboard.press("ArrowUp")
    await ada.page.keyboard.press("Enter")
    await expect(ada.sheet.locator("blockquote")).to_have_text("thanks @Ada and <b>all</b>")
    await expect(ada.sheet.get_by_text("Edit")).to_have_count(0)
    await ada.page.keyboard.press("Escape")
    await expect(ada.message("thanks").locator(".more")).to_be_focused()
    await ada.page.keyboard.press("ArrowDown")
    await ada.page.keyboard.press("Enter")
    await ada.sheet.get_by_text("Edit").click()
    await ada.sheet.get_by_role("textbox", name="Text").fill("I do, Bob")
    await ada.page.screenshot(path=artefacts / "chat-menu-1280.png")
    await ada.sheet.get_by_role("button", name="Save").click()
    await expect(bob.message("I do, Bob").locator(".more")).to_contain_text("edited")

    # The room's creator pins; whoever said it deletes.
    await ada.open_menu("Who brings")
    await ada.sheet.get_by_role("button", name="Pin").click()
    await expect(bob.page.locator("#pinned")).to_have_text("Ada Who brings the nuts?")
    await bob.open_menu("raises a hand")
    await expect(bob.sheet.get_by_role("button", name="Pin")).to_have_count(0)
    await bob.sheet.get_by_text("Delete", exact=True).click()
    await bob.sheet.get_by_role("button", name="Delete for everybody").click()
    await expect(ada.messages.nth(1).locator("p")).to_have_text("Deleted")
    await expect(ada.messages.nth(1).locator("b")).to_have_text("Bob")
    await expect(ada.page.locator(".chip")).to_have_count(0)

    await ada.page.set_viewport_size({"width": 1280, "height": 760})
    await expect(ada.page.locator("#rooms a")).to_have_attribute("aria-current", "page")
    await ada.page.screenshot(path=artefacts / "chat-talk-1280-light.png")
    assert ada.complaints == bob.complaints == []


async def test_history_comes_by_pages_keeps_its_place_and_can_be_searched(
    browser: Browser, server: Server, artefacts: Path
) -> None:
    ada = await enter(browser, server, "Ada", "library")
    async with programs(server, "library") as others:
        await others.say(*(f"line {number} " + "and on " * (number % 9) for number in range(320)))
        await expect(ada.messages).to_have_count(300)  # the page drops the others
        await ada.page.reload()
        await ada.is_connected()
        await expect(ada.messages).to_have_count(50)

        for count in (100, 150, 200, 250, 300):
            before = await _scrolled_up(ada)
            await expect(ada.messages).to_have_count(count)
            assert abs(await _place(ada, before[0]) - before[1]) <= 1
        await _scrolled_up(ada)
        await expect(ada.messages.first).to_have_id("message-1")
        await expect(ada.page.locator("#newer")).to_have_text("Newer messages")
        await expect(ada.page.locator("#older")).to_have_text("")
        await others.say("brand new")
        await ada.page.get_by_role("button", name="↓ 1 new").click()
        await expect(ada.message("brand new")).to_be_in_viewport()

    await ada.page.keyboard.press("Control+k")
    await ada.sheet.get_by_role("searchbox").press_sequentially("line 12")
    await expect(ada.sheet.locator("#results li").last).to_contain_text("line 12 ")
    await ada.page.screenshot(path=artefacts / "chat-search.png")
    await ada.sheet.locator("#results a").last.click()
    await expect(ada.message("line 12 ")).to_be_in_viewport()
    await expect(ada.page).to_have_url(f"{server.url}/chat/library?around=13#message-13")
    await ada.is_connected()
    while await ada.page.locator("#newer").inner_text():
        await ada.page.evaluate("document.querySelector('#newer').scrollIntoView()")
        await expect(ada.page.locator("#newer.htmx-request")).to_have_count(0)
    await expect(ada.message("brand new")).to_have_count(1)
    sequence = await ada.messages.evaluate_all("all => all.map(one => Number(one.dataset.seq))")
    assert sequence == list(range(sequence[0], 322))
    assert ada.complaints == []


async def test_marks_piled_on_a_letter_cover_nothing_that_others_have_said(
    browser: Browser, server: Server
) -> None:
    ada = await enter(browser, server, "Ada", "tower")
    bob = await enter(browser, server, "Bob", "tower")
    async with programs(server, "tower") as others:
        await others.say("what somebody wants to be read")
        await bob.say("a" + "\u0301" * 400)
        await expect(ada.messages).to_have_count(2)
    words = await ada.messages.first.evaluate(WORDS)

    covered = await ada.page.screenshot(clip=words)
    await ada.messages.last.evaluate("message => { message.style.visibility = 'hidden'; }")

    assert await ada.page.screenshot(clip=words) == covered


async def test_nothing_is_cut_off_or_closed_to_anybody_on_any_screen(
    browser: Browser, server: Server, artefacts: Path
) -> None:
    """At 320 pixels a page is as narrow as one of 640 is when enlarged twice."""
    options = {"bypass_csp": True, "timezone_id": FAR_AWAY}
    window = await enter(browser, server, "W" * 32, "x" * 32, **options)
    for text in ("long" * 100, "https://example.org/" + "path/" * 60, "/dice", "of mine"):
        await window.say(text)
    await expect(window.messages).to_have_count(4)
    async with programs(server, "x" * 32) as others:
        await others.say(f"to you, @{'W' * 32}")
    await expect(window.message("to you")).to_have_count(1)
    await window.say("and to you, @Robin")
    await expect(window.messages).to_have_count(6)
    await window.open_menu("of mine")
    await window.sheet.get_by_role("button", name="party").click()
    await window.open_menu("long")
    await window.sheet.get_by_role("button", name="Pin").click()
    here = window.page.url
    pages = {"home": f"{server.url}/chat", "about": f"{here}/about", "search": f"{here}?q=mine"}
    pages |= {"message": f"{here}?message=4", "room": here}
    for name, address in pages.items():
        await window.page.goto(address)
        await window.page.evaluate(AXE)
        for screen in SCREENS:
            await _is_open_to_everybody(window, screen, artefacts, name)
    await window.is_connected()
    for screen in SCREENS:
        await window.open_menu("of mine")
        await _is_open_to_everybody(window, screen, artefacts, "menu")
        await window.page.keyboard.press("Escape")
    for name in ("room", "about", "search", "message"):
        await window.page.goto(pages[name])
        await _has_local_times(window)
    await window.page.get_by_role("button", name="eyes").click()
    await expect(window.page).to_have_url(f"{here}#message-4")
    await expect(window.page.locator(".chip")).to_have_text(["🎉 1", "👀 1"])
    assert window.complaints == []


async def _has_local_times(window: Window) -> None:
    read = "all => all.map(time => [time.dateTime, time.textContent])"
    times: list[tuple[str, str]] = await window.page.locator("time").evaluate_all(read)
    assert times
    for moment, shown in times:
        local = datetime.fromisoformat(moment).astimezone(ZoneInfo(FAR_AWAY))
        assert shown.endswith(f"{local:%H:%M}"), (moment, shown)
    assert await window.page.evaluate("window.shift") == 0, "nothing moves for it"


async def _is_open_to_everybody(
    window: Window, screen: tuple[int, Literal["light", "dark"]], artefacts: Path, name: str
) -> None:
    width, scheme = screen
    await window.page.set_viewport_size({"width": width, "height": 700})
    await window.page.emulate_media(color_scheme=scheme)
    assert await window.page.evaluate(VIOLATIONS) == [], (name, screen)
    assert await window.page.evaluate(OVERFLOW) <= 0, (name, screen)
    await window.page.screenshot(path=artefacts / f"{name}-{width}-{scheme}.png")


async def _scrolled_up(window: Window) -> tuple[str, float]:
    """Scroll near the beginning; return a message in view, and where it is."""
    await window.page.evaluate("document.getElementById('log').scrollTop = 300")
    seen: list[tuple[str, float]] = await window.messages.evaluate_all(
        "all => all.map(one => [one.id, one.getBoundingClientRect().top])"
    )
    return next((id, top) for id, top in seen if top > 100)


async def _place(window: Window, id: str) -> float:
    top: float = await window.page.locator(f"#{id}").evaluate(
        "message => message.getBoundingClientRect().top"
    )
    return top
