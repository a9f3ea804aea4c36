"""The front page, and the question who somebody is."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from apps.chat.app import APP
from apps.site import create_app
from apps.web import create_site
from runtime import RuntimeConfig
from tests.servers import http_client, serving


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without a name, on the whole site."""
    async with (
        serving(create_app(RuntimeConfig(data=tmp_path))) as address,
        http_client(f"http://{address}") as client,
    ):
        yield client


async def test_the_front_page_leads_to_each_app(browser: httpx.AsyncClient) -> None:
    page = (await browser.get("/")).text
    doors = re.findall(r'class="card" href="([^"]+)"', page)

    assert doors == ["/chat", "/game", "/booking", "/learn"]
    for door in doors:
        assert (await browser.get(door)).status_code == 200, door


async def test_what_is_no_static_file_isnt_found(browser: httpx.AsyncClient) -> None:
    for name in ("nothing.css", "x" * 300, "%00", "site.css/inside", "chat", ""):
        assert (await browser.get(f"/static/{name}")).status_code == 404, name


async def test_a_name_leads_on_to_where_its_owner_wanted_to_be(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/name", data={"name": " Ada ", "next": "/chat/tea?since=1"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/chat/tea?since=1")
    assert 'value="Ada"' in (await browser.get("/")).text


@pytest.mark.parametrize("to", ["https://x.example/", "//x.example", "/\\x.example", "", "/a\nb"])
async def test_a_name_never_leads_to_another_site(browser: httpx.AsyncClient, to: str) -> None:
    answer = await browser.post("/name", data={"name": "Ada", "next": to})

    assert answer.headers["location"] == "/"
    assert 'name="next" value="/"' in (await browser.get("/name", params={"next": to})).text


async def test_a_name_can_be_changed_on_the_way(browser: httpx.AsyncClient) -> None:
    await browser.post("/name", data={"name": "Ada"})

    (link,) = re.findall('href="([^"]+)">Another name', (await browser.get("/chat")).text)
    page = (await browser.get(link)).text

    assert 'name="next" value="/chat"' in page
    assert 'name="name" value="Ada"' in page


async def test_a_name_that_wont_do_is_asked_for_again(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/name", data={"name": "x" * 33, "next": "/chat/tea"})

    assert answer.status_code == 422
    assert "a name has 1 to 32 characters" in answer.text
    assert 'value="/chat/tea"' in answer.text
    assert 'value="' + "x" * 33 in answer.text  # nothing typed is lost


async def test_json_that_is_nested_too_deep_is_its_senders_mistake(
    browser: httpx.AsyncClient,
) -> None:
    headers = {"content-type": "application/json"}

    answer = await browser.post("/api/identity", content=b'{"name":' * 5000, headers=headers)

    assert (answer.status_code, answer.json()["detail"]) == (422, "this is nested too deep")


def test_two_apps_cant_have_the_same_binding(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two apps have a 'directory'"):
        create_site(RuntimeConfig(data=tmp_path), APP, APP)
