"""The tutorials in the running app, as people see them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Page, expect

from apps.learn.app import create_app
from runtime import RuntimeConfig
from tests.browser.windows import AXE, VIOLATIONS
from tests.servers import TRANSPORTS, serving


def listen(page: Page) -> list[str]:
    """Return where the page's complaints will be."""
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


async def test_a_step_ticks_itself_off_when_windows_outlive_an_eviction(
    browser: Browser, tmp_path: Path, artefacts: Path
) -> None:
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    complaints = listen(page)
    config = RuntimeConfig(data=tmp_path, debug=True)
    async with serving(create_app(config), **TRANSPORTS["detached"]) as address:
        await page.goto(f"http://{address}/learn/1/6")
        await expect(page.get_by_text("Ten seconds after the last press")).to_be_visible()
        await page.get_by_label("Your name").fill("Ada")
        await page.get_by_role("button", name="Go on").click()
        for _ in range(2):
            await page.get_by_role("button", name="Open a window").click()
        await expect(page.locator(".state")).to_have_text("awake, 2 windows open")
        await page.get_by_role("button", name="add()").click()
        windows = page.locator(".windows output")
        await expect(windows).to_contain_text(["1", "1"])
        await page.get_by_role("button", name="Evict it").click()
        await expect(page.locator(".state")).to_have_text("asleep, 2 windows open")
        await page.get_by_role("button", name="add()").click()

        await expect(page.locator("#goal")).to_contain_text("both windows stayed connected")
        await expect(windows).to_contain_text(["2", "2"])
        await expect(page.locator(".look td")).to_have_text("2")
        schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
        for scheme in schemes:
            await page.emulate_media(color_scheme=scheme)
            await page.screenshot(path=artefacts / f"learn-1280-{scheme}.png")
            await page.evaluate(AXE)
            assert await page.evaluate(VIOLATIONS) == []

        await page.set_viewport_size({"width": 320, "height": 700})
        for path in ("/learn", "/learn/1", "/learn/4/6"):
            await page.goto(f"http://{address}{path}")
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320, path
        await page.screenshot(path=artefacts / "learn-320-dark.png")
        await page.goto(f"http://{address}/learn")
        await expect(page.get_by_label("done", exact=True)).to_have_count(1)
        await page.close()
    assert complaints == []
