"""Booking, as buyers and an organiser see it: by mouse, by keyboard alone, without JavaScript."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Server
from tests.browser.windows import AXE, CONNECTED, OVERFLOW, VIOLATIONS
from tests.servers import http_client

EVENT: Final = {"title": "Spring concert", "rows": 8, "seats_per_row": 14, "price": 1250}
SIZES: Final = {1280: 900, 390: 844, 320: 640}


class Buyer:
    """Somebody who buys as programs do, at one event."""

    def __init__(self, client: httpx.AsyncClient, event: str) -> None:
        self._client = client
        self._event = event

    async def hold(self, *seats: str) -> str:
        """Hold seats, and return the hold's id."""
        answer = await self._client.post(f"/events/{self._event}/holds", json={"seats": seats})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["hold_id"])

    async def buy(self, *seats: str) -> None:
        """Hold seats and pay for them."""
        hold = await self.hold(*seats)
        answer = await self._client.post(
            f"/holds/{hold}/confirm", headers={"idempotency-key": hold}
        )
        assert answer.status_code == 200, answer.text

    async def make(self, **changes: Any) -> None:
        """Make the event."""
        answer = await self._client.post("/events", json=EVENT | {"slug": self._event} | changes)
        assert answer.status_code == 201, answer.text


@asynccontextmanager
async def buyer(server: Server, name: str, event: str) -> AsyncIterator[Buyer]:
    """A program with a name."""
    async with http_client(f"{server.url}/api") as client:
        token = (await client.post("/identity", json={"name": name})).json()["token"]
        client.base_url = httpx.URL(f"{server.url}/api/booking")
        client.headers["authorization"] = f"Bearer {token}"
        yield Buyer(client, event)


async def open_page(
    browser: Browser, server: Server, name: str, path: str, **options: Any
) -> tuple[Page, list[str]]:
    """Open a page as somebody new, and return it with what the browser complains about."""
    context = await browser.new_context(**options)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    await page.goto(server.url + path)
    await page.get_by_label("Your name").fill(name)
    await page.get_by_role("button", name="Go on").click()
    return page, complaints


async def is_fine(page: Page, *, looks_different: bool) -> None:
    """Assert that nothing of a page is cut off, and that everybody can use it."""
    assert await page.evaluate(OVERFLOW) <= 0, page.viewport_size
    if looks_different:
        assert await page.evaluate(VIOLATIONS) == []


async def shoot(page: Page, artefacts: Path, name: str) -> None:
    """Leave pictures of a page in each size and scheme, and assert that all of them are fine."""
    await page.evaluate(AXE)
    for width, height in SIZES.items():
        scheme: Any = "light" if width != 390 else "dark"
        await page.set_viewport_size({"width": width, "height": height})
        await page.emulate_media(color_scheme=scheme)
        await is_fine(page, looks_different=width != 320)
        await page.screenshot(path=artefacts / f"booking-{name}-{width}-{scheme}.png")
    await page.set_viewport_size({"width": 1280, "height": 900})
    await page.emulate_media(color_scheme="light")


async def connected(page: Page) -> None:
    """Return once a page hears of every seat."""
    await expect(page.locator(CONNECTED)).to_have_count(1)


async def test_a_purchase_by_mouse_while_others_buy_too(
    browser: Browser, server: Server, artefacts: Path
) -> None:
    async with buyer(server, "Olga", "spring") as olga, buyer(server, "Bob", "spring") as bob:
        await olga.make()
        await bob.buy("D7", "D8", "D9")
        ann, complaints = await open_page(browser, server, "Ann", "/booking/spring")
        eve, _ = await open_page(browser, server, "Eve", "/booking/spring")
        await connected(ann)
        await connected(eve)

        await eve.locator("#seat-B4").hover()
        await expect(ann.locator("#seat-B4")).to_have_attribute("data-looked", "")
        for name in ("A3", "A4", "A5"):
            await ann.locator(f"#seat-{name} label").click()
        await expect(ann.locator("#chosen")).to_have_text("3 seats: A3, A4, A5. Together 37.50")
        await bob.hold("A5")
        await expect(ann.locator("#chosen")).to_contain_text("A5: just taken by somebody else.")
        await expect(ann.locator("#chosen")).to_contain_text("2 seats: A3, A4. Together 25.00")
        await bob.hold("E1")
        await expect(ann.locator("#seat-E1")).to_have_attribute("data-state", "held")
        await expect(ann.locator("#chosen")).to_contain_text("A5: just taken by somebody else.")
        await shoot(ann, artefacts, "choosing")

        await ann.get_by_role("button", name="Hold these seats").click()
        hold = ann.locator("#mine .hold")
        await expect(hold).to_contain_text(["Held for you"])
        await expect(ann.locator("#seat-A3")).to_have_attribute("data-mine", "")
        await expect(ann.locator("#chosen")).to_have_text("Tick the seats that you want.")
        await expect(eve.locator("#seat-A3")).to_have_attribute("data-state", "held")
        await shoot(ann, artefacts, "held")
        await ann.get_by_label("List").check()
        await shoot(ann, artefacts, "list")
        await ann.get_by_label("Card").select_option("tok_declined")
        await ann.get_by_role("button", name="Pay 25.00").click()
        await expect(ann.locator("#notice")).to_contain_text("declined")
        await ann.get_by_label("Card").select_option("tok_good")
        await ann.get_by_role("button", name="Pay 25.00").click()
        await ann.wait_for_url("**/booking/orders/**")
        await expect(ann.locator("main")).to_contain_text("Paid")
        await shoot(ann, artefacts, "order")
        await expect(eve.locator("#seat-A3")).to_have_attribute("data-state", "sold")
        await expect(eve.locator("#tally")).to_have_text("105 free · 2 held · 5 sold")

    assert [line for line in complaints if "402" not in line] == []


async def test_a_purchase_by_keyboard_alone(browser: Browser, server: Server) -> None:
    async with buyer(server, "Olga", "summer") as olga:
        await olga.make()
    page, complaints = await open_page(browser, server, "Kim", "/booking/summer")
    await connected(page)
    press = page.keyboard.press

    await page.get_by_label("List").focus()
    await press("Space")
    await press("Tab")  # the hall
    await press("Tab")
    await expect(page.get_by_label("A1 Standard")).to_be_focused()
    await press("Space")
    await press("Tab")
    await press("Space")
    await expect(page.locator("#chosen")).to_contain_text("2 seats: A1, A2")
    await press("Enter")
    card = page.get_by_label("Card")
    await expect(card).to_be_visible()
    await card.focus()
    await press("Tab")
    await press("Enter")

    await page.wait_for_url("**/booking/orders/**")
    await expect(page.locator("main")).to_contain_text("Paid")
    assert complaints == []


async def test_a_purchase_without_javascript(browser: Browser, server: Server) -> None:
    async with buyer(server, "Olga", "autumn") as olga, buyer(server, "Bob", "autumn") as bob:
        await olga.make()
        page, _ = await open_page(
            browser, server, "Noa", "/booking/autumn", java_script_enabled=False
        )
        await page.get_by_label("A3 Standard").check(force=True)
        await page.get_by_label("A4 Standard").check(force=True)
        await bob.hold("A4")

        await page.get_by_role("button", name="Hold these seats").click()
        await expect(page.locator("#notice")).to_contain_text("A4")
        await expect(page.locator("#notice")).to_contain_text("Free nearby:")
        await page.get_by_label("How many").fill("3")
        await page.get_by_role("button", name="Find").click()
        await expect(page.locator("#mine")).to_contain_text("Held for you")
        await page.get_by_role("button", name="5 more minutes").click()
        await expect(page.get_by_role("button", name="5 more minutes")).to_have_count(0)
        await page.get_by_role("button", name="Pay 37.50").click()

        await expect(page.locator("main")).to_contain_text("Paid")
        await page.get_by_text("Give the seats back").click()
        await page.get_by_role("button", name="Cancel this order").click()
        await expect(page.locator("main")).to_contain_text("37.50")
        await expect(page.locator("main")).not_to_contain_text("Cancel this order")


async def test_a_hold_outlives_the_server_and_friends_share_it(
    browser: Browser, server: Server, artefacts: Path
) -> None:
    async with buyer(server, "Olga", "winter") as olga:
        await olga.make()
    ann, complaints = await open_page(browser, server, "Ann", "/booking/winter")
    await connected(ann)
    await ann.get_by_label("How many").fill("2")
    await ann.get_by_role("button", name="Find").click()
    await expect(ann.locator("#mine")).to_contain_text("Held for you")
    await expect(ann.locator(".htmx-request")).to_have_count(0)  # a push may be quicker

    server.kill()
    await expect(ann.locator(CONNECTED)).to_have_count(0)
    await server.start()
    await connected(ann)
    await ann.get_by_text("Voucher, sharing").click()
    await ann.get_by_role("button", name="Share with friends").click()
    link = await ann.get_by_role("link", name="shared seats").get_attribute("href")

    bob, _ = await open_page(browser, server, "Bob", str(link))
    await shoot(bob, artefacts, "shared")
    await bob.locator("label:has([name=seat])").first.click()
    await bob.get_by_role("button", name="Take these over").click()
    await expect(bob.locator("#mine")).to_contain_text("Pay 12.50")
    await expect(ann.locator("#mine")).to_contain_text("Pay 12.50")
    await ann.get_by_label("Card").select_option("tok_silent")
    await ann.get_by_role("button", name="Pay 12.50").click()
    await ann.wait_for_url("**/booking/orders/**")
    await expect(ann.locator("main")).to_contain_text("Nobody knows yet")
    await shoot(ann, artefacts, "unknown")

    is_about_the_server = ("WebSocket", "ERR_CONNECTION", "htmx:ws:error")
    assert [
        line for line in complaints if not any(sign in line for sign in is_about_the_server)
    ] == []


async def test_an_organiser_makes_an_event_and_runs_it(
    browser: Browser, server: Server, artefacts: Path
) -> None:
    page, complaints = await open_page(browser, server, "Olga", "/booking/new")
    await shoot(page, artefacts, "new")
    await page.get_by_label("Title").fill("Spring concert")
    await page.get_by_label("Address").fill("Spring!")
    await page.get_by_role("button", name="Open the sale").click()
    await expect(page.locator("#error")).not_to_be_empty()
    await page.get_by_label("Address").fill("easter")
    await page.get_by_role("button", name="Open the sale").click()
    await connected(page)

    async with buyer(server, "Bob", "easter") as bob:
        await bob.hold("C1", "C2")
        await page.goto(f"{server.url}/booking/easter/admin")
        await page.get_by_label("Another").fill("Balcony")
        await page.get_by_label("From row").last.fill("7")
        await page.get_by_role("button", name="Change prices").click()
        await shoot(page, artefacts, "admin")
        await page.get_by_role("button", name="Release C1, C2 of Bob").click()
        await expect(page.locator("main")).to_contain_text("Nothing is held")
        await page.get_by_role("link", name="The page that buyers see").click()
        await connected(page)
        await expect(page.locator(".legend")).to_contain_text("Balcony 10.00")
        await shoot(page, artefacts, "tiers")
        await page.goto(f"{server.url}/booking")
        await shoot(page, artefacts, "home")

    assert [line for line in complaints if "422" not in line] == []


async def test_a_large_event_is_shown_by_sections(browser: Browser, server: Server) -> None:
    async with buyer(server, "Olga", "fair") as olga:
        await olga.make(rows=60, seats_per_row=50)
    page, complaints = await open_page(browser, server, "Ann", "/booking/fair")
    await connected(page)
    other = await page.context.new_page()
    await other.goto(page.url)
    await connected(other)

    await page.get_by_role("link", name="U to AN").click()
    await connected(page)
    await page.locator("#seat-Z3 label").click()
    await page.get_by_role("button", name="Hold these seats").click()
    await expect(page.locator("#mine .hold")).to_contain_text(["Z3"])
    await expect(page.locator("#seat-Z3")).to_have_attribute("data-mine", "")

    await expect(other.locator("#mine .hold")).to_contain_text(["Z3"])
    assert complaints == []
