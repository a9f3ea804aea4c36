"""Matches, as two players and somebody who watches see them, by mouse, keys, touch and forms."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.async_api import Browser, Locator, Page, Route, expect

from tests.browser.conftest import Server
from tests.browser.windows import AXE, CONNECTED, OVERFLOW, UNREACHABLE, VIOLATIONS, WATCH_SHIFTS
from tests.servers import http_client

DESKTOP: Final[dict[str, Any]] = {"viewport": {"width": 1280, "height": 800}}
PHONE: Final[dict[str, Any]] = {
    "viewport": {"width": 390, "height": 844},
    "color_scheme": "dark",
    "has_touch": True,
}
SIZES: Final = {1280: 800, 390: 844, 320: 640}
CHECKS: Final = {1280: VIOLATIONS, 390: VIOLATIONS, 320: "[]"}  # which is as the larger phone
CUT: Final = """
    [...document.querySelectorAll("#status b, #status span, .plate b, .plate strong, .tally")]
        .filter(part => part.scrollWidth > part.clientWidth && part.clientWidth)
        .map(part => part.textContent)
"""
RESET: Final = "ERR_CONNECTION_RESET"  # by a server that is killed
REFUSED: Final = ("status of 409", "status of 422")  # of which the browser complains, rightly

FLEET: Final = "a1-a5 c1-c4 e1-e3 g1-g3 i1-i2"


class Program:
    """Somebody who plays as programs do."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def open(self, game: str, **changes: Any) -> str:
        """Open a match, and return its id."""
        wish = {"game": game, "clock": {"initial": 300}, "opponent": "anyone", "seat": 1}
        answer = await self._client.post("", json=wish | changes)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def key(self, match: str) -> str:
        """Return what lets somebody sit down opposite."""
        return str((await self._client.get(f"/{match}")).json()["key"])

    async def join(self, link: str) -> None:
        """Sit down where a link leads to."""
        match, _, key = link.removeprefix("/game/").partition("?key=")
        answer = await self._client.post(f"/{match}/join", json={"key": key})
        assert answer.status_code == 201, answer.text

    async def move(self, match: str, *moves: str) -> None:
        """Make some moves, of which each is allowed."""
        for move in moves:
            ply = (await self._client.get(f"/{match}")).json()["ply"]
            answer = await self._client.post(f"/{match}/moves", json={"ply": ply, "move": move})
            assert answer.status_code == 200, answer.text


@asynccontextmanager
async def program(server: Server, name: str) -> AsyncIterator[Program]:
    """A program with a name."""
    async with http_client(f"{server.url}/api") as client:
        token = (await client.post("/identity", json={"name": name})).json()["token"]
        client.base_url = httpx.URL(f"{server.url}/api/game/matches")
        client.headers["authorization"] = f"Bearer {token}"
        yield Program(client)


class Window:
    """Somebody's window on matches, with whatever the browser complained about."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.complaints: list[str] = []
        self._server = server
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda line: self._complain(line.type, line.text))

    def _complain(self, kind: str, text: str) -> None:
        if kind == "error" and not any(sign in text for sign in (*UNREACHABLE, *REFUSED, RESET)):
            self.complaints.append(text)

    # What somebody does.

    async def go(self, path: str) -> None:
        await self.page.goto(self._server.url + path)

    async def say_name(self, name: str) -> None:
        await self.page.get_by_label("name").fill(name)
        await self.page.get_by_role("button", name="Go on").click()

    async def open(self, game: str, clock: str, opponent: str) -> None:
        """Open a match, and wait until its page is connected."""
        await self.go("/game")
        for choice in (game, clock, opponent):
            await self.page.get_by_label(choice).check()
        await self.page.get_by_role("button", name="Play", exact=True).click()
        await self.is_connected()

    async def sit_down(self, path: str) -> None:
        await self.go(path)
        await self.page.get_by_role("button", name="Sit down and play").click()
        await self.is_connected()

    async def press(self, button: str) -> None:
        await self.page.get_by_role("button", name=button, exact=True).click()

    async def move(self, move: str) -> None:
        """Press a cell, and wait until the move has been made."""
        ply = await self.match.get_attribute("data-ply")
        await self.page.locator(f'.cells button[value="{move}"]').last.click()
        await expect(self.match).not_to_have_attribute("data-ply", str(ply))

    async def move_by_keys(self, *keys: str) -> None:
        """Go on from where Tab leads to on the board, and wait until the move has been made."""
        ply = await self.match.get_attribute("data-ply")
        await self.page.locator(".cells button[tabindex='0']").first.focus()
        for key in (*keys, "Enter"):
            await self.page.keyboard.press(key)
        await expect(self.match).not_to_have_attribute("data-ply", str(ply))

    # What they see.

    @property
    def match(self) -> Locator:
        return self.page.locator("#match")

    @property
    def status(self) -> Locator:
        return self.page.locator("#status")

    def plate(self, name: str) -> Locator:
        return self.page.locator(".plate", has_text=name)

    async def is_connected(self) -> None:
        await expect(self.page.locator(CONNECTED)).to_have_count(1)

    async def is_fine(self, artefacts: Path, name: str) -> None:
        """Leave pictures in each size, and assert that everybody can use all of it."""
        size = self.page.viewport_size
        assert size is not None
        await self.page.evaluate(AXE)
        for width, height in SIZES.items():
            scheme: Any = "dark" if width == 390 else "light"
            await self.page.set_viewport_size({"width": width, "height": height})
            await self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            violations = await self.page.evaluate(CHECKS[width])
            assert violations == [], (name, width)
            assert await self.page.evaluate(OVERFLOW) <= 0, (name, width)
            assert await self.page.evaluate(CUT) == [], (name, width)
            await self.page.screenshot(
                path=artefacts / f"game-{name}-{width}-{scheme}.png", full_page=width < 1280
            )
        await self.page.set_viewport_size(size)

    async def is_fine_on_its_side(self, artefacts: Path, name: str) -> None:
        """Assert that a phone that lies on its side shows the whole board, in cells that can be
        pressed."""
        size = self.page.viewport_size
        assert size is not None
        await self.page.set_viewport_size({"width": 844, "height": 390})
        await self.page.screenshot(path=artefacts / f"game-{name}-844.png")
        board = await self.page.locator(".board .field").first.bounding_box()
        cell = await self.page.locator(".cells button").first.bounding_box()
        assert board is not None
        assert cell is not None
        assert board["y"] + board["height"] <= 390
        assert min(cell["width"], cell["height"]) >= 24
        assert await self.page.evaluate(OVERFLOW) <= 0
        await self.page.set_viewport_size(size)


async def open_window(browser: Browser, server: Server, **options: Any) -> Window:
    """Open a window with cookies of its own, of somebody without a name."""
    context = await browser.new_context(**(DESKTOP | options))
    await context.add_init_script(WATCH_SHIFTS)
    return Window(await context.new_page(), server)


async def enter(browser: Browser, server: Server, name: str, **options: Any) -> Window:
    """Open a window of somebody with that name, in the lobby."""
    window = await open_window(browser, server, **options)
    await window.go("/game")
    await window.say_name(name)
    return window


async def test_two_people_play_by_link_while_somebody_watches_and_the_server_is_killed(
    browser: Browser, server: Server, artefacts: Path
) -> None:
    ada = await enter(browser, server, "Ada")
    bob = await open_window(browser, server, **PHONE)
    eve = await open_window(browser, server)
    async with program(server, "Carl") as carl:
        await carl.open("reversi")
    await expect(ada.page.locator("#open")).to_contain_text("Carl")  # without being loaded anew
    await ada.is_fine(artefacts, "lobby")

    await ada.open("Connect Four", "5 + 0", "A friend, by link")
    await expect(ada.status).to_contain_text("Waiting for an opponent")
    invitation = ada.page.locator(".invitation a")
    link = await invitation.get_attribute("href")
    await expect(invitation).to_have_text(f"{server.url}{link}")
    assert link is not None
    await bob.go(link)
    await bob.say_name("Bob")
    await bob.press("Sit down and play")
    await bob.is_connected()
    await eve.go(link.partition("?")[0])
    await expect(ada.page.locator("#watching")).to_have_text("1 watching")

    is_ada_first = await ada.match.get_attribute("data-seat") == "0"
    first, second = (ada, bob) if is_ada_first else (bob, ada)
    names = ("Ada", "Bob") if is_ada_first else ("Bob", "Ada")
    await expect(first.status).to_contain_text("Your move")
    await expect(second.plate(names[0])).to_contain_text("moves within")
    await ada.page.evaluate("window.shift = 0")
    await first.move_by_keys("ArrowRight", "ArrowRight", "ArrowRight")
    await expect(eve.status).to_have_text(f"{names[1]} to move {names[0]}: 4")
    await expect(eve.page.get_by_role("gridcell", name="column 4, row 1, red")).to_be_attached()
    await second.move("5")
    await expect(second.plate(names[0])).to_contain_text("to move")
    assert await first.page.evaluate("document.activeElement.ariaLabel.slice(0, 8)") == "column 4"
    assert await ada.page.evaluate("window.shift") == 0

    await first.page.get_by_label("Type a move").fill("9")
    await first.press("Move")
    await expect(first.page.locator("#notice")).to_have_text("a move is a column, 1 to 7")
    resign = ada.page.get_by_role("button", name="Resign", exact=True)
    place = await resign.bounding_box()
    await bob.press("Offer a draw")
    await expect(ada.page.get_by_role("button", name="Accept")).to_be_in_viewport(ratio=1)
    assert await resign.bounding_box() == place
    await ada.press("Decline")
    await expect(bob.page.locator(".offer")).to_have_count(0)
    assert await ada.page.evaluate("window.shift") == 0
    server.kill()
    for window in (ada, bob, eve):
        lost = window.page.locator("#connection span:not([hidden])")
        await expect(lost).to_contain_text("Reconnecting…")
    await first.page.locator('.cells button[value="4"]').last.click()
    await expect(first.page.locator("#notice")).to_have_text("No connection. Try again.")
    await server.start()
    for window in (ada, bob, eve):
        await window.is_connected()
    await expect(first.page.locator("#notice")).to_have_text("")
    await second.press("Ask to take back")
    await first.press("Accept")
    await expect(second.status).to_contain_text("Your move")
    await second.move("5")
    await first.move("4")
    await second.move("5")
    await first.move("4")
    await second.move("3")
    await first.is_fine(artefacts, "connect-four")
    await first.is_fine_on_its_side(artefacts, "connect-four")
    await first.move("4")

    await expect(first.status).to_contain_text("You won: four in a row")
    await expect(second.status).to_contain_text(f"{names[0]} won: four in a row")
    await expect(eve.status).to_contain_text(f"{names[0]} won: four in a row")
    await first.is_fine(artefacts, "won")
    await first.press("Ask for a rematch")
    await second.press("Accept")
    await first.page.wait_for_url(lambda url: link.partition("?")[0] not in url)
    await expect(first.match).to_have_attribute("data-seat", "1")
    await expect(eve.page.get_by_role("link", name="Go to the rematch")).to_be_visible()
    await second.is_connected()
    await second.press("Call it off")
    await expect(first.status).to_contain_text("No result")
    assert ada.complaints == bob.complaints == eve.complaints == []


async def test_a_match_is_looked_back_on_while_a_clock_elsewhere_runs_out(
    browser: Browser, server: Server, artefacts: Path
) -> None:
    ada = await enter(browser, server, "Ada")
    dora = await enter(browser, server, "Dora", **PHONE)
    async with program(server, "Carl") as carl:
        match = await carl.open("connect-four", clock={"initial": 10}, opponent="link")
        await dora.sit_down(f"/game/{match}?key={await carl.key(match)}")
        await expect(dora.plate("Dora")).to_contain_text("moves within")
        await dora.move("1")
        await carl.move(match, "1")
    warning = asyncio.create_task(is_warned(dora, artefacts))
    async with program(server, "Bob") as bob:
        match = await bob.open("reversi", clock={"days": 3})
        await ada.page.get_by_role("button", name="Play against Bob").click()
        await ada.is_connected()
        await ada.press("Sound")
        await ada.page.reload()
        await expect(ada.page.get_by_role("button", name="Sound", pressed=True)).to_be_visible()
        async with held_up(ada.page, "**/moves"):
            await ada.move("d3")  # which the page hears of by its socket
            await bob.move(match, "c3")
            await expect(ada.status).to_contain_text("Bob: c3")
        await expect(ada.page.locator("#moves.htmx-request")).to_have_count(0)
        await expect(ada.status).to_contain_text("Bob: c3")
        await ada.is_fine(artefacts, "reversi")
        await ada.move("c4")

    await ada.page.get_by_role("link", name="Look back, move by move").click()
    await expect(ada.status).to_contain_text("After move 3 of 3")
    await ada.page.get_by_label("Move", exact=True).press("ArrowLeft")
    await expect(ada.status).to_contain_text("After move 2 of 3")
    await expect(ada.page).to_have_url(f"{server.url}/game/{match}?ply=2")
    await ada.page.get_by_role("link", name="One move back").click()
    await expect(ada.page.get_by_role("gridcell", name="c3, empty")).to_be_attached()
    await ada.is_fine(artefacts, "replay")
    await ada.go("/game")
    await expect(ada.page.locator("#running")).to_contain_text("Waiting for Bob")
    await ada.is_fine(artefacts, "lobby-running")

    eve = await open_window(browser, server, java_script_enabled=False)
    await eve.go(f"/game/{match}?ply=2")
    await expect(eve.page.get_by_role("gridcell", name="c3, white")).to_be_attached()
    await eve.page.get_by_role("link", name="One move on").click()
    await expect(eve.status).to_contain_text("After move 3 of 3")
    await warning
    await expect(dora.status).to_contain_text("Carl won: red ran out of time")
    assert ada.complaints == dora.complaints == []


async def test_everything_works_by_plain_forms(browser: Browser, server: Server) -> None:
    ada = await enter(browser, server, "Ada", java_script_enabled=False)
    page = ada.page
    async with program(server, "Bob") as bob:
        match = await bob.open("connect-four", opponent="link", seat=1)
        await page.goto(f"{server.url}/game/{match}")
        await ada.press("Sit down and play")
        await expect(page.locator("#notice")).to_contain_text("only who was sent the link")
        match = await bob.open("connect-four")
        await ada.go("/game")
        await page.get_by_role("button", name="Play against Bob").click()
        await page.locator('.cells button[value="4"]').last.click()
        await expect(ada.status).to_have_text("Waiting for Bob You: 4")
        await bob.move(match, "4")
        await page.reload()
        await page.get_by_label("Type a move").fill("8")
        await ada.press("Move")
        await expect(page.locator("#notice")).to_have_text("a move is a column, 1 to 7")
        await page.get_by_label("Type a move").fill("5")
        await ada.press("Move")
        await expect(ada.status).to_have_text("Waiting for Bob You: 5")
        await ada.press("Offer a draw")
        await ada.press("Never mind")
        await ada.press("Resign")
        await ada.press("Yes, resign")
        await expect(ada.status).to_contain_text("Bob won: red resigned")


async def test_a_fleet_is_placed_by_keys_and_by_hand_and_nobody_else_sees_it(
    browser: Browser, server: Server, artefacts: Path
) -> None:
    ada = await enter(browser, server, "Ada Lovelace")
    eve = await open_window(browser, server)
    fleet = ada.page.get_by_label("Your fleet")
    await ada.open("Battleship", "10 + 5", "A friend, by link")
    async with program(server, "Carl") as carl:
        await carl.join(str(await ada.page.locator(".invitation a").get_attribute("href")))
        await expect(ada.page.locator(".fleet rect")).to_have_count(5)
        suggested = await fleet.input_value()
        await ada.press("Shuffle")
        await expect(fleet).not_to_have_value(suggested)
        await expect(ada.page.locator(".overlaps")).to_have_count(0)

    await ada.open("Battleship", "10 + 5", "Dormouse, a bot")
    await fleet.fill(FLEET)
    await fleet.press("Tab")
    await expect(cell(ada, "a3")).to_have_accessible_name("a3, ship of 5")

    await cell(ada, "i1").focus()
    await ada.page.keyboard.press("Enter")
    await expect(cell(ada, "i1")).to_have_accessible_name("i1, ship of 2, picked up")
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        await ada.page.keyboard.press(key)
    await expect(fleet).to_have_value(FLEET.replace("i1-i2", "j2-j3"))
    await cell(ada, "j2").click()
    await expect(fleet).to_have_value(FLEET.replace("i1-i2", "i2-j2"))
    await cell(ada, "c1").hover()
    await ada.page.mouse.down()
    await cell(ada, "c5").hover()
    await ada.page.mouse.up()
    await expect(fleet).to_have_value("a1-a5 c5-c8 e1-e3 g1-g3 i2-j2")
    await ada.is_fine(artefacts, "fleet")
    other_tab = await ada.page.context.new_page()
    await other_tab.goto(ada.page.url)
    await expect(other_tab.locator(CONNECTED)).to_have_count(1)
    await ada.press("Place the fleet")
    await expect(other_tab.get_by_label("Type a move")).to_have_value("")
    await other_tab.close()

    await expect(ada.page.get_by_role("grid")).to_have_count(2)
    await expect(cell(ada, "c8")).to_have_accessible_name(re.compile("c8, (ship|hit)"))
    await expect(ada.status).to_contain_text("Your move")
    await ada.move("e5")
    await expect(ada.page.locator("#turns")).to_contain_text("e5")
    await expect(ada.status).to_contain_text("Your move")
    await eve.go(ada.page.url.removeprefix(server.url))
    await eve.is_connected()
    assert "ship" not in await eve.page.locator(".boards").inner_html()
    await ada.is_fine(artefacts, "battleship")
    await ada.is_fine_on_its_side(artefacts, "battleship")
    await ada.press("Resign")
    await ada.press("Keep playing")
    await ada.press("Resign")
    await ada.press("Yes, resign")
    await expect(ada.status).to_contain_text("Dormouse won")
    assert await ada.page.evaluate(CUT) == []
    assert ada.complaints == eve.complaints == []


@asynccontextmanager
async def held_up(page: Page, path: str) -> AsyncIterator[None]:
    """Let answers from there arrive only afterwards."""
    may_arrive, has_arrived = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        answer = await route.fetch()
        await may_arrive.wait()
        await route.fulfill(response=answer)
        has_arrived.set()

    await page.route(path, hold)
    yield
    may_arrive.set()
    await has_arrived.wait()
    await page.unroute(path)


async def is_warned(window: Window, artefacts: Path) -> None:
    """Return once somebody has been told that they have little time left."""
    await expect(window.page.locator(".plate[data-you] .clock.low")).to_be_visible()
    await expect(window.page.locator("#heard")).to_have_text("2 seconds left")
    await window.page.screenshot(path=artefacts / "game-low-time.png")


def cell(window: Window, name: str) -> Locator:
    """Return a cell of somebody's own waters."""
    column, row = "abcdefghij".index(name[0]), int(name[1:]) - 1
    return window.page.locator(".board:last-child .cells button").nth(row * 10 + column)
