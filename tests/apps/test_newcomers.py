"""How many new guests may come from one address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from apps import newcomers
from apps.newcomers import BURST, PER_SECOND, Newcomers
from apps.site import create_app
from runtime import RuntimeConfig
from tests.servers import http_client, serving


@pytest.fixture
async def browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody behind a proxy, where two may come at once."""
    monkeypatch.setattr(newcomers, "BURST", 2)
    async with (
        serving(create_app(RuntimeConfig(data=tmp_path))) as address,
        http_client(f"http://{address}", headers={"x-forwarded-for": "203.0.113.5"}) as client,
    ):
        yield client


def come(counted: Newcomers, address: str, now: float = 0.0, *, count: int = BURST) -> list[float]:
    """Have so many come, and return how long each is to wait."""
    return [counted.take(address, now) for _ in range(count)]


def test_many_may_come_at_once_and_then_one_every_few_seconds() -> None:
    counted, gap = Newcomers(), 1 / PER_SECOND

    assert come(counted, "203.0.113.5") == [0] * BURST
    assert come(counted, "203.0.113.5", count=2) == [gap, gap]  # what is refused takes nothing
    assert come(counted, "203.0.113.5", gap, count=2) == [0, gap]
    assert come(counted, "203.0.113.6") == [0] * BURST
    assert come(counted, "203.0.113.5", 1000 * gap) == [0] * BURST
    assert counted.take("203.0.113.5", 1000 * gap) == gap


@pytest.mark.parametrize(
    "other", ["2001:db8:0:1::2", "2001:db8:0:1:ffff::", "2001:db8:0:1::1%eth0"]
)
def test_all_addresses_of_one_connection_count_together(other: str) -> None:
    counted = Newcomers()
    come(counted, "2001:db8:0:1::1")

    assert counted.take(other, 0) > 0
    assert counted.take("2001:db8:0:2::1", 0) == 0


def test_an_address_of_the_old_kind_is_the_same_however_it_is_written() -> None:
    counted = Newcomers()
    come(counted, "203.0.113.5")

    assert counted.take("::ffff:203.0.113.5", 0) > 0
    assert counted.take("::ffff:203.0.113.6", 0) == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""])
def test_whoever_comes_from_here_isnt_counted(address: str) -> None:
    assert come(Newcomers(), address, count=2 * BURST) == [0] * (2 * BURST)


def test_addresses_from_which_nobody_has_come_for_long_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(newcomers, "MOST_ADDRESSES", 2)
    counted = Newcomers()
    for address in ("203.0.113.1", "203.0.113.2"):
        come(counted, address)

    counted.take("203.0.113.3", 0)

    assert counted.take("203.0.113.2", 0) > 0
    assert counted.take("203.0.113.1", 0) == 0


async def test_programs_are_told_when_to_try_again(browser: httpx.AsyncClient) -> None:
    answers = [await browser.post("/api/identity", json={"name": "Ada"}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[2].headers["retry-after"] == "5"
    assert "many have come from your network" in answers[2].json()["detail"]


@pytest.mark.parametrize(
    ("path", "where"), [("/name", {"next": "/chat/tea"}), ("/chat", {"room": "tea"})]
)
async def test_people_lose_nothing_that_they_have_typed(
    browser: httpx.AsyncClient, path: str, where: dict[str, str]
) -> None:
    for _ in range(2):
        await browser.post("/api/identity", json={"name": "Ada"})

    refused = await browser.post(path, data={"name": "Bob", **where})
    invalid = await browser.post(path, data={"name": "", **where})

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    for typed in ("many have come from your network", 'value="Bob"', *where.values()):
        assert typed in refused.text
    assert invalid.status_code == 422


async def test_whoever_takes_another_name_isnt_new(browser: httpx.AsyncClient) -> None:
    for name in ("Ada", "Countess", "Ada Lovelace", "Ada"):
        answer = await browser.post("/name", data={"name": name, "next": "/"})
        assert answer.status_code == 303
