"""The tutorials beside their objects, over HTTP and WebSockets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.asyncio.client import connect

from apps.learn.app import create_app
from apps.learn.bench import NAMES, all_kinds
from apps.learn.goals import GOALS, Goal
from apps.learn.objects import AT_ONCE, MOST_LINES, Learner
from apps.learn.texts import page
from runtime import RuntimeConfig
from tests.conftest import StartRuntime
from tests.servers import TRANSPORTS, http_client, serving
from tutorials.steps import tutorials

HTMX = {"hx-request": "true"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> RuntimeConfig:
    """The settings of a server for development."""
    return RuntimeConfig(data=tmp_path_factory.mktemp("learn") / "data", debug=True)


@pytest.fixture
async def ada(site: RuntimeConfig) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who has said her name, in a browser of her own."""
    async with (
        serving(create_app(site), **TRANSPORTS["detached"]) as address,
        http_client(f"http://{address}") as client,
    ):
        await client.post("/name", data={"name": "Ada", "next": "/learn"})
        yield client


async def do(client: httpx.AsyncClient, place: str, do: str, **data: str) -> str:
    """Do something on a bench, and return what the page is told."""
    answer = await client.post(f"/learn/{place}", data={"do": do, **data}, headers=HTMX)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_every_page_of_every_tutorial_is_served(ada: httpx.AsyncClient) -> None:
    index = (await ada.get("/learn")).text
    for tutorial in tutorials():
        assert tutorial.title in index
        assert "After this you will know" in (await ada.get(f"/learn/{tutorial.number}")).text
        for step in tutorial.steps:
            shown = await ada.get(f"/learn/{tutorial.number}/{step.number}")
            assert f"<h1>{step.title}</h1>" in shown.text.replace("&#39;", "'")
            assert not re.search(r'href="[^"]*README', shown.text)


@pytest.mark.parametrize("path", ["/learn/9", "/learn/1/7", "/learn/1/0", "/learn/0/1"])
async def test_what_isnt_there_is_not_found(path: str, ada: httpx.AsyncClient) -> None:
    assert (await ada.get(path)).status_code == 404


async def test_a_step_is_done_once_the_server_has_seen_it(ada: httpx.AsyncClient) -> None:
    assert "→ 1" in await do(ada, "1/3/counters", "add", name="cats")
    asleep = await do(ada, "1/3/counters", "evict", name="cats")
    assert "fell asleep" in asleep
    assert "✓" not in asleep
    assert "✓ Seen" in await do(ada, "1/3/counters", "value", name="cats")

    index = (await ada.get("/learn")).text
    assert index.count('aria-label="done"') == 1


async def test_windows_stay_open_while_their_object_is_evicted(ada: httpx.AsyncClient) -> None:
    url = f"{ada.base_url}/learn/1/6/counters/cats".replace("http", "ws")
    headers = {"cookie": f"guest={ada.cookies['guest']}"}
    async with (
        connect(url, additional_headers=headers) as one,
        connect(url, additional_headers=headers) as two,
    ):
        before = [await one.recv(), await two.recv()]
        assert "with 2 windows open" in await do(ada, "1/6/counters", "evict", name="cats")
        assert "✓ Seen" in await do(ada, "1/6/counters", "add", name="cats")

        assert await one.recv() == await two.recv() != before[0]


async def test_looking_doesnt_wake_an_object_and_sees_it_fall_asleep(
    ada: httpx.AsyncClient,
) -> None:
    await do(ada, "1/2/counters", "add", name="dogs")
    await do(ada, "1/2/counters", "evict", name="dogs")

    for _ in range(2):
        shown = await ada.get("/learn/1/2/counters?name=dogs&was=awake", headers=HTMX)
        assert "<b>asleep</b>" in shown.text
    assert "dogs fell asleep" in shown.text


async def test_everybody_has_objects_of_their_own(
    ada: httpx.AsyncClient, site: RuntimeConfig
) -> None:
    await do(ada, "5/7/pans", "boil", name="red", egg="Ada", seconds="60")
    async with http_client(ada.base_url) as bob:
        await bob.post("/name", data={"name": "Bob", "next": "/learn"})

        assert "→ empty" in await do(bob, "5/7/pans", "state", name="red")
    assert "→ boiling Ada" in await do(ada, "5/7/pans", "state", name="red")


@pytest.mark.parametrize(
    ("place", "data", "told"),
    [
        ("1/3/counters", {"do": "fetch", "name": "cats"}, 404),
        ("1/3/counters", {"do": "bench_look", "name": "cats"}, 404),
        ("1/3/counters", {"do": "__init__", "name": "cats"}, 404),
        ("1/3/counters", {"do": "add", "name": "../x"}, 404),
        ("1/3/rooms", {"do": "say", "name": "hall"}, 404),
        ("1/3/counters", {"do": "doom", "name": "cats"}, 404),
        ("5/7/pans", {"do": "boil", "name": "red", "egg": "x", "seconds": "soon"}, "no number"),
        ("5/1/pans", {"do": "boil", "name": "red", "egg": "x", "seconds": "1e308"}, "at most 60"),
        ("5/1/pans", {"do": "boil", "name": "red", "egg": "x", "seconds": "nan"}, "at most 60"),
        (
            "3/5/matches",
            {"do": "play", "name": "final", "player": "o", "cell": "1", "turn": "0"},
            "IllegalMove: it isn&#39;t your turn",
        ),
    ],
)
async def test_what_cant_be_done_is_told(
    place: str, data: dict[str, str], told: int | str, ada: httpx.AsyncClient
) -> None:
    answer = await ada.post(f"/learn/{place}", data=data, headers=HTMX)

    if isinstance(told, int):
        assert answer.status_code == told
    else:
        assert told in answer.text


async def test_without_javascript_a_call_leads_back_to_the_page(ada: httpx.AsyncClient) -> None:
    answer = await ada.post("/learn/1/3/counters", data={"do": "add", "name": "dogs"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/learn/1/3?at=dogs")


async def test_who_has_no_name_reads_the_text_and_is_asked_for_one(ada: httpx.AsyncClient) -> None:
    async with httpx.AsyncClient(base_url=ada.base_url) as nobody:
        shown = (await nobody.get("/learn/1/3")).text
        assert "Every object has a SQLite database of its own." in shown
        assert "Evict it" not in shown
        refused = await nobody.post("/learn/1/3/counters", data={"do": "add", "name": "cats"})
        assert refused.status_code == 401

        (to,) = re.findall(r'name="next" value="(.+?)"', shown)
        await nobody.post("/name", data={"name": "Bob", "next": to})
        assert "Evict it" in (await nobody.get(to)).text


async def test_what_was_only_in_memory_is_lost_when_an_object_crashes(
    ada: httpx.AsyncClient,
) -> None:
    await do(ada, "1/1/counters", "add", name="cats")

    crashed = await do(ada, "1/1/counters", "crash", name="cats")

    assert "cats crashed" in crashed
    assert "<b>asleep</b>" in crashed
    assert "→ 0" in await do(ada, "1/1/counters", "value", name="cats")


async def test_buttons_may_be_pressed_while_an_object_crashes(ada: httpx.AsyncClient) -> None:
    async def press(number: int) -> int:
        do = ("crash", "doom", "boil")[number % 3]
        pan = {"do": do, "name": "red", "egg": "x", "seconds": "1"}
        return (await ada.post("/learn/5/7/pans", data=pan, headers=HTMX)).status_code

    answers = await asyncio.gather(*map(press, range(15)))

    assert set(answers) <= {200, 429}


async def test_a_learner_keeps_the_last_lines_and_what_is_done(start_runtime: StartRuntime) -> None:
    rt = await start_runtime(learners=Learner)
    ada = rt.env.learners.get_by_name("ada")
    for n in range(MOST_LINES + 5):
        lines = await ada.note("1.1", f"line {n}")
    await ada.finish("1.1")

    assert (lines[0], lines[-1], len(lines)) == ("line 5", f"line {MOST_LINES + 4}", MOST_LINES)
    assert await ada.lines("1.2") == []
    assert await ada.done() == {"1.1"}


async def test_a_learner_has_to_wait_who_does_too_much(start_runtime: StartRuntime) -> None:
    rt = await start_runtime(learners=Learner)
    ada = rt.env.learners.get_by_name("ada")

    waits = [await ada.take_turn() for _ in range(AT_ONCE + 1)]

    assert waits[:-1] == [0] * AT_ONCE
    assert waits[-1] > 0


def test_a_goals_parts_are_found_in_order() -> None:
    goal = Goal("", "", ("add", "asleep", "value"))

    assert goal.is_met(["add", "value", "asleep", "value"])
    assert not goal.is_met(["add", "value", "asleep"])
    assert not goal.is_met([])


def test_each_goal_is_of_a_step_with_objects() -> None:
    kinds = all_kinds()

    assert all(kinds[place] for place in GOALS)
    assert all(kind.binding in NAMES for each in kinds.values() for kind in each)


def test_a_text_is_shown_as_it_is_and_nothing_in_it_runs() -> None:
    html = page("# T\n\n<script>x</script> `<b>` [s](../step-2/README.md) [f](../../x.py)\n", 3)

    assert "<script>" not in html
    assert "&lt;b&gt;" in html
    assert '<a href="/learn/3/2">s</a> f' in html
