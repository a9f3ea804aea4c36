"""What the site says of its own health."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path

import httpx
import pytest

from apps.chat.app import create_app
from apps.pages import render
from runtime import RuntimeConfig
from runtime.health import Health
from tests.servers import http_client, serving


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the site, with a token."""
    app = create_app(RuntimeConfig(data=tmp_path))
    async with serving(app) as address, http_client(f"http://{address}") as client:
        token = (await client.post("/api/identity", json={"name": "Ada"})).json()["token"]
        client.headers["authorization"] = f"Bearer {token}"
        yield client


async def say(site: httpx.AsyncClient, text: str = "hello") -> httpx.Response:
    message = {"client_id": text, "text": text}
    return await site.post("/api/chat/rooms/secret-garden/messages", json=message)


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the disk refuse to make anything durable."""

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fdatasync", refuse)


async def test_a_program_gets_json_and_the_status_says_it_too(
    site: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    well = await site.get("/health")
    with monkeypatch.context() as patch:
        fill_disk(patch)
        refused = await say(site)
        unwell = await site.get("/health")

    assert (well.status_code, well.json()["is_well"]) == (200, True)
    assert well.headers["content-type"] == "application/json"
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert (unwell.status_code, unwell.json()["is_well"]) == (503, False)
    assert unwell.json()["reason"] == "No space left on device"


async def test_a_browser_gets_a_page_that_says_it_in_words_and_gives_nothing_away(
    site: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    html = {"accept": "text/html,application/xhtml+xml"}
    await say(site)
    well = await site.get("/health", headers=html)
    with monkeypatch.context() as patch:
        fill_disk(patch)
        await say(site, "more")
        unwell = await site.get("/health", headers=html)

    assert (well.status_code, unwell.status_code) == (200, 503)
    assert "All is well" in well.text
    assert "The disk refuses writes" in unwell.text
    assert "No space left on device" in unwell.text
    for page in (well, unwell):
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "style=" not in page.text
        assert "secret-garden" not in page.text
        assert str(tmp_path) not in page.text
        assert "set-cookie" not in page.headers


async def test_a_load_balancer_may_ask_for_the_status_alone(
    site: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    html = {"accept": "text/html"}
    well = [await site.head("/health"), await site.head("/health", headers=html)]
    with monkeypatch.context() as patch:
        fill_disk(patch)
        await say(site)
        unwell = [await site.head("/health"), await site.head("/health", headers=html)]

    assert [answer.status_code for answer in well + unwell] == [200, 200, 503, 503]
    assert [answer.content for answer in well + unwell] == [b""] * 4
    assert unwell[0].headers["retry-after"] == "1"


def test_its_page_counts_in_proper_words() -> None:
    about = dict.fromkeys((field.name for field in fields(Health)), 0)

    page = render("health.html", health={**about, "is_well": True, "uptime_seconds": 1.7})
    later = render("health.html", health={**about, "uptime_seconds": 7, "waiting_bytes": 5000})

    assert ("<dd>1 second</dd>" in page, "<dd>nothing</dd>" in page) == (True, True)
    assert ("<dd>7 seconds</dd>" in later, "<dd>4.9 KiB</dd>" in later) == (True, True)


async def test_it_is_in_the_description_of_the_api(site: httpx.AsyncClient) -> None:
    paths = (await site.get("/schema/openapi.json")).json()["paths"]

    operation = paths["/health"]["get"]

    assert set(operation["responses"]) == {"200", "503"}
    assert operation["summary"] == "Health"
    assert "Return how the server is" in operation["description"]
