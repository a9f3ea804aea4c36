"""The proof: it holds for the event, not for the broken ones, and a page shows it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from apps.booking.app import create_app
from apps.booking.proof.course import Course, Run
from apps.booking.routes.proof import RUNS
from runtime import RuntimeConfig
from tests.servers import http_client, serving


async def run(variant: str) -> Course:
    """Let a few people buy."""
    reports: list[int] = []
    course = await Run(3, variant, lambda c: reports.append(c.buyers), buyers=150).go()
    assert reports == [25, 50, 75, 100, 125, 150, 150, 150]
    assert (course.crashes, course.is_done) == (3, True)
    return course


async def test_whatever_happens_everything_holds_of_the_event() -> None:
    course = await run("sound")

    assert course.broken == {}
    assert course.free + course.held + course.sold == 100
    assert 0 < course.payments <= course.sold


@pytest.mark.parametrize(
    ("variant", "broken"),
    [
        ("hasty", "no seat belongs to two holds"),
        ("forgetful", "each payment has seats, or went back"),
    ],
)
async def test_broken_events_are_found_out(variant: str, broken: str) -> None:
    assert broken in (await run(variant)).broken


async def test_a_page_runs_it_and_shows_how_far_it_is(tmp_path: Path) -> None:
    async with (
        serving(create_app(RuntimeConfig(data=tmp_path))) as address,
        http_client(f"http://{address}", headers={"accept": "text/html"}) as browser,
    ):
        wrong = await browser.post("/booking/proof", data={"seed": "x", "variant": "sound"})
        begun = await browser.post("/booking/proof", data={"seed": "5", "variant": "sound"})
        async with asyncio.timeout(40):
            while 'value="25"' not in (await browser.get("/booking/proof/5/sound")).text:
                await asyncio.sleep(0.1)
        page = await browser.get(begun.headers["location"])
        nothing = await browser.get("/booking/proof/6/sound")
        await RUNS.stop()

    assert (wrong.status_code, begun.status_code, page.status_code) == (422, 303, 200)
    assert "each booking has exactly one payment" in page.text
    assert nothing.status_code == 404
