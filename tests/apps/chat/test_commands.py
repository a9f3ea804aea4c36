"""What pages and programs do to a room over HTTP, and what they are told if they may not."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import websockets

from apps.chat.app import create_app
from runtime import RuntimeConfig
from tests.servers import http_client, serving

EVIL: Final = "<script>alert(1)</script>"
HTMX: Final = {"hx-request": "true"}


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    """Where the chat listens, in development."""
    async with serving(create_app(RuntimeConfig(data=tmp_path, debug=True))) as address:
        yield address


@asynccontextmanager
async def somebody(address: str, name: str) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client with a name, which may be used as a browser and as a program."""
    headers = {"accept": "text/html"}
    async with http_client(f"http://{address}", headers=headers) as client:
        token = (await client.post("/api/identity", json={"name": name})).json()["token"]
        client.headers["authorization"] = f"Bearer {token}"
        yield client


@pytest.fixture
async def ada(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """Who has made the room."""
    async with somebody(address, "Ada") as client:
        await client.post("/chat/tea/messages", data={"client_id": "c0", "text": "welcome"})
        yield client


@pytest.fixture
async def bob(ada: httpx.AsyncClient, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """Who has only said something in it."""
    async with somebody(address, "Bob") as client:
        await client.post("/chat/tea/messages", data={"client_id": "c0", "text": "thanks"})
        yield client


async def api(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
    """Ask the API, and return what it says; nothing if that is all."""
    response = await client.request(
        method, f"/api/chat{path}", json=body, headers={"accept": "application/json"}
    )
    assert response.is_success, response.text
    return response.json() if response.content else None


async def id_of(client: httpx.AsyncClient, name: str) -> str:
    """Return the id of somebody in the room."""
    people = await api(client, "GET", "/rooms/tea/people")
    return str(next(each["person"]["id"] for each in people if each["person"]["name"] == name))


async def test_every_form_works_without_javascript_and_leads_back(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    here, person = "/chat/tea", await id_of(ada, "Bob")

    for path, form, to in (
        ("/messages/1/text", {"text": "Welcome!", "revision": "0"}, "#message-1"),
        ("/messages/1/reactions", {"kind": "heart", "on": "1"}, "#message-1"),
        ("/messages/1/pin", {"on": "1"}, "#message-1"),
        ("/messages/2/deletion", {}, "#message-2"),
        (f"/people/{person}/muting", {"minutes": "5"}, "/about"),
        (f"/people/{person}/removal", {}, "/about"),
        (f"/people/{person}/ban", {"on": "1"}, "/about"),
        ("/slow", {"seconds": "10"}, "/about"),
    ):
        response = await ada.post(f"{here}{path}", data=form)

        assert (response.status_code, response.headers["location"]) == (303, here + to), path
        assert (await ada.get(response.headers["location"])).status_code == 200

    first, second, *_ = await api(ada, "GET", "/rooms/tea/messages")
    assert (first["text"], first["is_pinned"], first["revision"]) == ("Welcome!", True, 1)
    assert list(first["reactions"]) == ["heart"]
    assert (second["text"], second["is_deleted"]) == ("", True)
    audit = [row["action"] for row in await api(ada, "GET", "/rooms/tea/audit")]
    assert audit == ["slow", "ban", "kick", "mute", "delete"]


async def test_htmx_gets_the_message_as_it_is_now_or_a_notice(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    edited = await ada.post(
        "/chat/tea/messages/1/text", data={"text": "hi", "revision": "0"}, headers=HTMX
    )
    assert edited.status_code == 200
    assert 'id="message-1"' in edited.text

    person = await id_of(ada, "Ada")
    for path, form, status, said in (
        ("/messages/1/text", {"text": "x", "revision": "0"}, 409, "in another window"),
        ("/messages/2/text", {"text": "x", "revision": "0"}, 403, "only what you have said"),
        ("/messages/1/text", {"text": " ", "revision": "1"}, 422, "needs some text"),
        ("/messages/1/text", {"text": "x"}, 422, "required"),
        ("/messages/1/text", {"text": "x", "revision": "1", "author": "1"}, 422, "not permitted"),
        ("/messages/9/text", {"text": "x", "revision": "0"}, 404, "no such message"),
        ("/messages/1/reactions", {"kind": EVIL, "on": "1"}, 422, "should be"),
        ("/messages/1/reactions", {"kind": "heart", "on": "perhaps"}, 422, "boolean"),
        ("/messages", {"client_id": "c9", "text": "/dice 0d0"}, 422, "dice are thrown by"),
        (f"/people/{person}/ban", {"on": "1"}, 403, "to yourself"),
        ("/people/nobody/removal", {}, 404, "doesn&#39;t know that person"),
        (f"/people/{person}/muting", {"minutes": "9999"}, 422, "less than"),
        ("/slow", {"seconds": "7"}, 422, "slow mode is one of"),
    ):
        response = await ada.post(f"/chat/tea{path}", data=form, headers=HTMX)

        assert response.status_code == status, (path, response.text)
        assert 'id="notice"' in response.text
        assert said in response.text, (path, response.text)
        assert EVIL not in response.text


async def test_what_is_refused_without_javascript_isnt_lost(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await api(ada, "PUT", f"/rooms/tea/people/{await id_of(ada, 'Bob')}/mute", {"minutes": 5})

    response = await bob.post("/chat/tea", data={"client_id": "c1", "text": f"but {EVIL}"})

    assert response.status_code == 403
    assert "you are muted in this room, for 5 minutes more" in response.text
    assert "but &lt;script&gt;" in response.text
    assert EVIL not in response.text


async def test_an_edit_that_is_refused_without_javascript_isnt_lost(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    mine, limit = "/messages/2", "at most 2,000"

    async def refused(text: str, status: int, why: str) -> None:
        response = await bob.post(f"/chat/tea{mine}/text", data={"text": text, "revision": "0"})
        [shown] = re.findall(r"<textarea name=\"text\"[^>]*>(.*?)</textarea>", response.text)
        assert (response.status_code, shown) == (status, text.replace("<", "&lt;"))
        assert why in response.text
        assert "<details open>" in response.text
        assert 'href="/chat/tea?around=2#message-2"' in response.text, "it isn't the room's path"

    await refused("long" * 501, 422, limit)
    await bob.post(f"/chat/tea{mine}/text", data={"text": "Thanks!", "revision": "0"})
    await refused("thank < you", 409, "in another window")
    await bob.post(f"/chat/tea{mine}/deletion")
    await refused("thanks again", 409, "has been deleted")


async def test_whoever_says_too_much_is_told_when_to_go_on(ada: httpx.AsyncClient) -> None:
    forms = [{"client_id": f"f{number}", "text": "spam"} for number in range(60)]
    answers = await asyncio.gather(*(ada.post("/chat/tea/messages", data=form) for form in forms))
    refused = [answer for answer in answers if answer.status_code == 429]

    assert len(refused) >= 10
    assert int(refused[0].headers["retry-after"]) >= 1
    assert "that was too quick" in refused[0].text
    said = await api(ada, "GET", "/rooms/tea/messages?limit=100")
    assert len(said) == 1 + len(answers) - len(refused)


async def test_a_creator_cant_fill_the_room_with_announcements(ada: httpx.AsyncClient) -> None:
    answers = [
        await ada.post("/chat/tea/slow", data={"seconds": 5 + 5 * (number % 2)})
        for number in range(60)
    ]

    assert 429 in [answer.status_code for answer in answers]
    assert answers[0].status_code == 303


async def test_pages_of_a_room_hang_on_its_own_path(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    for number in range(20):
        for client in (ada, bob):
            form = {"client_id": f"p{number}", "text": f"line {number} {EVIL}"}
            await client.post("/chat/tea/messages", data=form)
    for query, held in (
        ("?before=30", "line 1 "),
        ("?around=20", "line 9 "),
        ("?message=3", "line 0 "),
        ("?q=welcome", "welcome"),
    ):
        page = await bob.get(f"/chat/tea{query}")
        fragment = await bob.get(f"/chat/tea{query}", headers=HTMX)

        assert (page.status_code, fragment.status_code) == (200, 200), query
        assert held in page.text, query
        assert held in fragment.text, query
        assert EVIL not in page.text + fragment.text
        assert "<html" in page.text
        assert "<html" not in fragment.text or "around" in query
    later = await bob.get("/chat/tea?after=1", headers=HTMX)
    assert 'data-seq="2"' in later.text
    assert 'data-seq="1"' not in later.text
    nothing = await bob.get("/chat/tea", params={"q": '" OR *'}, headers=HTMX)
    too_much = await bob.get("/chat/tea", params={"q": "x" * 101})
    assert "welcome" not in nothing.text
    assert "a search has at most 100 characters" in too_much.text
    asked = await bob.get("/chat/tea?q=")
    assert {each.status_code for each in (nothing, too_much, asked)} == {200}
    assert asked.headers["vary"] == "HX-Request"
    assert (await bob.get("/chat/tea?message=999")).status_code == 404


async def test_a_room_is_exported_whole_and_only_to_whoever_may_read_it(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    exported = await bob.get("/chat/tea/export")
    by_api = await api(bob, "GET", "/rooms/tea/export")
    await api(ada, "PUT", f"/rooms/tea/people/{await id_of(ada, 'Bob')}/ban")
    refused = await bob.get("/chat/tea/export")

    assert json.loads(exported.text) == by_api
    assert [message["text"] for message in by_api["messages"]] == ["welcome", "thanks"]
    assert exported.headers["content-disposition"] == "attachment; filename*=UTF-8''tea.json"
    assert (refused.status_code, "you are banned" in refused.text) == (403, True)


async def test_a_banned_persons_open_tab_hears_why_and_then_nothing(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, address: str
) -> None:
    headers = {"Authorization": bob.headers["authorization"]}
    url = f"ws://{address}/chat/tea/ws"
    async with websockets.connect(url, additional_headers=headers) as tab:
        await tab.recv()
        await ada.post(f"/chat/tea/people/{await id_of(ada, 'Bob')}/ban", data={"on": "1"})
        with pytest.raises(websockets.ConnectionClosed):
            async with asyncio.timeout(10):
                while "banned" not in (heard := str(await tab.recv())):
                    pass
                await tab.recv()
    async with websockets.connect(url, additional_headers=headers) as again:
        with pytest.raises(websockets.ConnectionClosed):
            await again.recv()

    assert "banned" in heard
    assert tab.close_code == 4403
    assert (again.close_code, again.close_reason) == (1008, "you are banned from this room")
    page = await bob.get("/chat/tea")
    assert (page.status_code, "you are banned" in page.text) == (403, True)


async def test_script_in_a_name_or_a_text_is_shown_as_what_it_is(
    ada: httpx.AsyncClient, address: str
) -> None:
    async with somebody(address, EVIL) as mallory:
        headers = {"Authorization": ada.headers["authorization"]}
        url = f"ws://{address}/chat/tea/ws"
        async with websockets.connect(url, additional_headers=headers) as ws:
            for path, form in (
                ("/messages", {"client_id": "c1", "text": f"{EVIL} @{EVIL} javascript:alert(1)"}),
                ("/messages", {"client_id": "c2", "text": f"/me {EVIL}"}),
                ("/messages/2/reactions", {"kind": "heart", "on": "1"}),
                (
                    "/messages/2/text",
                    {"text": f'{EVIL} https://x/"onload=alert(1)', "revision": "0"},
                ),
                ("/messages/3/deletion", {}),
            ):
                answer = await mallory.post(f"/chat/tea{path}", data=form, headers=HTMX)
                assert answer.status_code == 200, (path, answer.text)
                assert EVIL not in answer.text
            await ada.post("/chat/tea/messages/2/pin", data={"on": "1"})
            await ada.post("/chat/tea/messages", data={"client_id": "last", "text": "the end"})
            heard = ""
            async with asyncio.timeout(10):
                while "the end" not in heard:
                    heard += str(await ws.recv())
        for page in ("", "?message=2", "?q=script", "/about"):
            shown = (await ada.get(f"/chat/tea{page}")).text
            assert "&lt;script&gt;" in shown, page
            assert EVIL not in shown
            assert '"onload' not in shown
            assert 'href="javascript' not in shown
        assert "&lt;script&gt;" in heard
        assert EVIL not in heard


async def test_nobody_passes_for_somebody_else(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, address: str
) -> None:
    forged = {
        "Authorization": bob.headers["authorization"],
        "X-Person-Id": await id_of(ada, "Ada"),
        "X-Person-Name": "Ada",
    }
    async with websockets.connect(
        f"ws://{address}/chat/tea/ws", additional_headers=forged
    ) as window:
        people = str(await window.recv())
    body = {"client_id": "c1", "text": "x", "author_id": forged["X-Person-Id"]}
    answer = await bob.post("/api/chat/rooms/tea/messages", json=body)
    strip = await bob.post("/chat/tea/slow", data={"seconds": "10"}, headers=forged)

    assert "Bob" in people
    assert "Ada" not in people
    assert answer.status_code == 422
    assert strip.status_code == 403


async def test_private_and_direct_rooms_are_for_their_people(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, address: str
) -> None:
    opened = await ada.post("/chat/~/private", data={"title": f"Plans {EVIL}"})
    private = opened.headers["location"]
    direct = (await ada.post(f"/chat/tea/people/{await id_of(ada, 'Bob')}/direct")).headers[
        "location"
    ]
    same = await api(bob, "POST", f"/rooms/tea/people/{await id_of(bob, 'Ada')}/direct")

    assert re.fullmatch(r"/chat/[0-9a-f]{64}", private)
    assert direct == f"/chat/{same['room']}"
    for path in (private, direct):
        for client in (ada, bob):
            page = await client.get(path)
            assert page.status_code == 200, page.text
            assert EVIL not in page.text
    async with somebody(address, "Mallory") as mallory:
        answers = [
            await mallory.get(direct),
            await mallory.post(f"{direct}/messages", data={"client_id": "c", "text": "hi"}),
            await mallory.get(f"{direct}/about"),
            await mallory.get(f"{direct}/export"),
            await mallory.get(f"/api{direct.replace('chat', 'chat/rooms')}/messages"),
            await mallory.get(f"/chat/{'f' * 64}"),
        ]
        assert [answer.status_code for answer in answers] == [404] * len(answers)
        assert (await mallory.get(private)).status_code == 200  # who has the address
        titles = await mallory.post("/chat/~/private", data={"title": "\u202eevil"}, headers=HTMX)
        assert (titles.status_code, "control characters" in titles.text) == (422, True)


async def test_programs_can_do_whatever_pages_can(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    message, person = "/rooms/tea/messages/2", await id_of(ada, "Bob")

    edited = await api(bob, "PATCH", message, {"text": "thank you @Ada", "revision": 0})
    reacted = await api(ada, "PUT", f"{message}/reactions/heart")
    cleared = await api(ada, "DELETE", f"{message}/reactions/heart")
    pinned = await api(ada, "PUT", f"{message}/pin")
    room = await api(bob, "GET", "/rooms/tea")
    unpinned = await api(ada, "DELETE", f"{message}/pin")
    found = await api(ada, "GET", "/rooms/tea/search?q=thank")
    await api(bob, "PUT", "/rooms/tea/read", {"seq": 2})
    await api(ada, "PUT", "/rooms/tea/slow", {"seconds": 60})
    await api(ada, "POST", f"/rooms/tea/people/{person}/kick")
    await api(ada, "PUT", f"/rooms/tea/people/{person}/ban")
    await api(ada, "DELETE", f"/rooms/tea/people/{person}/ban")
    deleted = await api(bob, "DELETE", message)
    private = await api(ada, "POST", "/rooms", {"title": "Plans"})

    assert edited["mentions"] == [{"id": await id_of(ada, "Ada"), "name": "Ada"}]
    assert (list(reacted["reactions"]), cleared["reactions"]) == (["heart"], {})
    assert (pinned["is_pinned"], unpinned["is_pinned"]) == (True, False)
    assert [pin["seq"] for pin in room["pins"]] == [2]
    assert (room["role"], room["kind"], room["unread"]) == ("member", "open", 0)
    assert [each["seq"] for each in found] == [2]
    assert deleted["is_deleted"]
    assert (await api(ada, "GET", f"/rooms/{private['room']}"))["role"] == "creator"
    async with asyncio.timeout(10):
        while not await api(ada, "GET", "/rooms"):
            pass
    assert [each["room"] for each in await api(ada, "GET", "/rooms")] == ["tea"]
    assert isinstance(await api(bob, "GET", "/inbox"), list)


async def test_the_api_says_what_is_wrong_as_a_problem(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    del ada.headers["accept"]
    for method, path, body, status in (
        ("PATCH", "/messages/2", {"text": "x", "revision": 0}, 403),
        ("PATCH", "/messages/99", {"text": "x", "revision": 0}, 404),
        ("PATCH", f"/messages/{10**30}", {"text": "x", "revision": 0}, 422),
        ("DELETE", "/messages/0", None, 404),
        ("PATCH", "/messages/1", {"text": "x", "revision": 10**30}, 422),
        ("PATCH", "/messages/1", {"text": "x", "revision": 5}, 409),
        ("PATCH", "/messages/1", {"text": "x", "revision": "0; DROP"}, 422),
        ("PUT", "/messages/1/reactions/poop", None, 422),
        ("GET", "/search?q=%22", None, 422),
        ("GET", "/search", None, 422),
        ("PUT", "/people/x/mute", {"minutes": 5}, 404),
        ("PUT", "/read", {"seq": -1}, 422),
    ):
        response = await ada.request(method, f"/api/chat/rooms/tea{path}", json=body)

        assert response.status_code == status, (path, response.text)
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["detail"]


# The strip.


async def test_the_creator_sees_what_goes_on_and_can_disturb_it(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, address: str
) -> None:
    headers = {"Authorization": ada.headers["authorization"]}
    async with websockets.connect(f"ws://{address}/chat/tea/ws", additional_headers=headers) as ws:
        await ws.recv()
        awake = await ada.get("/chat/tea/strip")
        evicted = await ada.post("/chat/tea/strip", data={"do": "evict"}, headers=HTMX)
        said = await ada.post("/chat/tea/messages", data={"client_id": "c1", "text": "still"})
        async with asyncio.timeout(10):
            while "still" not in str(await ws.recv()):
                pass
        dropped = await ada.post("/chat/tea/strip", data={"do": "drop"}, headers=HTMX)
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                await ws.recv()
    restarted = await ada.post("/chat/tea/strip", data={"do": "restart"})
    refused = [
        await bob.post("/chat/tea/strip", data={"do": what})
        for what in ("evict", "drop", "restart")
    ]

    assert ws.close_code == 1012
    for answer in (awake, evicted, dropped):
        assert answer.status_code == 200, answer.text
        assert "<html" not in answer.text
    assert "Asleep" in evicted.text
    assert (restarted.status_code, restarted.headers["location"]) == (303, "/chat/tea")
    assert (said.status_code, (await ada.get("/chat/tea")).text.count("still")) == (303, 1)
    assert [answer.status_code for answer in refused] == [403] * 3
    assert (await bob.get("/chat/tea/strip")).status_code == 403
    assert (await ada.post("/chat/tea/strip", data={"do": "x"})).status_code == 422


async def test_there_is_no_strip_outside_development(tmp_path: Path) -> None:
    async with (
        serving(create_app(RuntimeConfig(data=tmp_path))) as address,
        somebody(address, "Ada") as ada,
    ):
        await ada.post("/chat/tea/messages", data={"client_id": "c0", "text": "welcome"})

        looked = await ada.get("/chat/tea/strip")
        disturbed = await ada.post("/chat/tea/strip", data={"do": "restart"})

        assert (looked.status_code, disturbed.status_code) == (404, 404)
        assert "strip" not in (await ada.get("/chat/tea")).text
