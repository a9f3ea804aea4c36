"""The page that says how the server is, as people see it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Page, expect

from apps.chat.app import create_app
from runtime import RuntimeConfig
from tests.servers import http_client, serving

SCREENS: Final[list[tuple[int, Any]]] = [
    (width, scheme) for width in (320, 1280) for scheme in ("light", "dark")
]


async def test_it_is_readable_on_every_screen_in_both_states_and_without_scripts(
    tmp_path: Path, browser: Browser, artefacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    complaints: list[str] = []
    page = await (await browser.new_context(java_script_enabled=False)).new_page()
    page.on("console", lambda message: complaints.append(message.text))
    async with serving(create_app(RuntimeConfig(data=tmp_path))) as address:
        await page.goto(f"http://{address}/health")
        await expect(page.get_by_role("heading")).to_have_text("✓ All is well")
        await _is_readable(page, artefacts, "health-well")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", refuse)
            async with http_client(f"http://{address}/api") as api:
                token = (await api.post("/identity", json={"name": "Ada"})).json()["token"]
                await api.post(
                    "/chat/rooms/tea/messages",
                    json={"client_id": "c1", "text": "hello"},
                    headers={"authorization": f"Bearer {token}"},
                )
            await page.get_by_role("link", name="Look again").click()
            await expect(page.get_by_role("heading")).to_have_text("✗ The disk refuses writes")
            await expect(page.get_by_text("No space left on device")).to_be_visible()
            await _is_readable(page, artefacts, "health-unwell")
        await page.close()
    assert [text for text in complaints if "503" not in text] == []


async def _is_readable(page: Page, artefacts: Path, name: str) -> None:
    for width, scheme in SCREENS:
        await page.set_viewport_size({"width": width, "height": 720})
        await page.emulate_media(color_scheme=scheme)
        await page.screenshot(path=artefacts / f"{name}-{width}-{scheme}.png")
        shown = page.locator("main > *")
        for number in range(await shown.count()):
            box = await shown.nth(number).bounding_box()
            assert box is not None
            assert 0 <= box["x"] <= box["x"] + box["width"] <= width
