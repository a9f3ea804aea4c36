"""The chat over HTTP and WebSocket, on a real port."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import websockets
from websockets.exceptions import ConnectionClosed

from apps.chat.app import create_app
from runtime import RuntimeConfig
from tests.servers import http_client, serving

HTML = {"accept": "text/html"}


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    """Where the chat listens."""
    async with serving(create_app(RuntimeConfig(data=tmp_path))) as address:
        yield address


@pytest.fixture
async def browser(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with cookies, as a browser has."""
    async with http_client(f"http://{address}", headers=HTML) as client:
        yield client


@pytest.fixture
async def api(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API, with a token."""
    async with http_client(f"http://{address}/api") as client:
        token = (await client.post("/identity", json={"name": "Ada"})).json()["token"]
        client.headers["authorization"] = f"Bearer {token}"
        yield client


async def say(api: httpx.AsyncClient, text: str, client_id: str, room: str = "tea") -> Any:
    """Post a message, and return it."""
    body = {"client_id": client_id, "text": text}
    response = await api.post(f"/chat/rooms/{room}/messages", json=body)
    assert response.status_code == 201, response.text
    return response.json()


# The API.


async def test_a_client_id_stands_for_one_text(api: httpx.AsyncClient) -> None:
    first = await say(api, "hello", "c1")
    again = await say(api, "hello", "c1")
    other = await api.post(
        "/chat/rooms/tea/messages", json={"client_id": "c1", "text": "something else"}
    )

    assert again == first
    assert other.status_code == 409
    assert other.json()["detail"].startswith("you have used this client_id for message 1")


async def test_after_and_before_exclude_each_other(api: httpx.AsyncClient) -> None:
    response = await api.get("/chat/rooms/tea/messages?after=1&before=2")

    assert (response.status_code, response.json()["detail"][:17]) == (422, "give either after")


async def test_the_scheme_of_a_token_is_spelt_as_one_likes(api: httpx.AsyncClient) -> None:
    token = api.headers["authorization"].removeprefix("Bearer ")

    for spelling in ("bearer {}", "BEARER  {}"):
        headers = {"authorization": spelling.format(token)}
        response = await api.get("/chat/rooms/tea/messages", headers=headers)

        assert response.status_code == 200, spelling


async def test_credentials_for_a_proxy_are_none_for_us(browser: httpx.AsyncClient) -> None:
    response = await browser.get("/chat", headers={"authorization": "Basic YTpi"})

    assert response.status_code == 200


async def test_a_body_that_is_missing_is_said_to_be(api: httpx.AsyncClient) -> None:
    response = await api.post("/chat/rooms/tea/messages")

    assert response.json()["detail"] == "body: is missing"
    assert response.json()["errors"] == [{"key": "body", "message": "is missing"}]


async def test_the_api_describes_itself(api: httpx.AsyncClient) -> None:
    schema = (await api.get(str(api.base_url).replace("/api/", "/schema/openapi.json"))).json()

    assert {path for path in schema["paths"] if not path.startswith("/api/chat/")} == {
        "/api/identity",
        "/health",
    }
    post = schema["paths"]["/api/chat/rooms/{room}/messages"]["post"]
    assert post["description"].startswith("Say something.")
    assert post["security"] == [{"guest": []}]
    assert "application/problem+json" in post["responses"]["422"]["content"]


async def test_messages_are_posted_and_read_by_the_api(api: httpx.AsyncClient) -> None:
    posted = [await say(api, f"text {n}", f"c{n}") for n in range(1, 5)]

    async def seqs(**query: int) -> list[int]:
        response = await api.get("/chat/rooms/tea/messages", params=query)
        return [message["seq"] for message in response.json()]

    assert posted[0].keys() >= {"seq", "client_id", "author_id", "author", "text", "posted_at"}
    assert posted[0]["author"] == "Ada"
    assert await seqs() == [1, 2, 3, 4]
    assert await seqs(after=2) == [3, 4]
    assert await seqs(before=3, limit=1) == [2]


async def test_a_resend_by_the_api_gets_the_same_message(api: httpx.AsyncClient) -> None:
    first, again = await say(api, "hello", "c1"), await say(api, "hello", "c1")

    assert first == again
    assert len((await api.get("/chat/rooms/tea/messages")).json()) == 1


NO_MESSAGES: Final[tuple[Any, ...]] = (
    {"client_id": "c", "text": ""},
    {"client_id": "c", "text": "  \n "},
    {"client_id": "c", "text": "x" * 2001},
    {"client_id": "c", "text": 5},
    {"client_id": "c", "text": "a\x00b"},
    {"client_id": "", "text": "a"},
    {"client_id": "x" * 37, "text": "a"},
    {"client_id": "a b", "text": "a"},
    {"text": "a"},
    {"client_id": "c"},
    {"client_id": "c", "text": "a", "author": "somebody else"},
    [],
    "text",
    None,
)


async def test_a_body_that_is_no_message_is_422_and_nothing_is_written(
    api: httpx.AsyncClient,
) -> None:
    for body in NO_MESSAGES:
        response = await api.post("/chat/rooms/tea/messages", json=body)

        assert response.status_code == 422, body
        assert response.headers["content-type"] == "application/problem+json"
    assert (await api.get("/chat/rooms/tea/messages")).json() == []


@pytest.mark.parametrize("seq", ["1", True, 1.0, -1, None])
async def test_what_is_no_whole_number_is_422(seq: object, api: httpx.AsyncClient) -> None:
    await say(api, "hello", "c1")

    read = await api.put("/chat/rooms/tea/read", json={"seq": seq})

    assert read.status_code == 422


async def test_bytes_that_are_no_json_are_422(api: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    half = b'{"client_id":"c","text":"\\ud800"}'

    for content in (b"", b"{", b'{"client_id":"c","text":"\xff"}', half):
        response = await api.post("/chat/rooms/tea/messages", content=content, headers=headers)

        assert response.status_code == 422, content


async def test_a_body_that_is_far_too_large_is_refused(api: httpx.AsyncClient) -> None:
    response = await api.post(
        "/chat/rooms/tea/messages", json={"client_id": "c", "text": "x" * 100_000}
    )

    assert response.status_code == 413


async def test_a_page_that_cant_be_is_422(api: httpx.AsyncClient) -> None:
    for query in ("limit=0", "limit=101", "after=-1", "before=x", "after=1e99"):
        response = await api.get(f"/chat/rooms/tea/messages?{query}")

        assert response.status_code == 422, query


async def test_a_room_that_cant_be_is_422(api: httpx.AsyncClient) -> None:
    for room in ("%3Cscript%3E", "a%20%20!", "x" * 33, "%E2%80%AEtea", "..%00"):
        response = await api.get(f"/chat/rooms/{room}/messages")

        assert response.status_code == 422, room
        assert "1 to 32 letters" in response.json()["detail"]


async def test_a_room_is_the_same_in_every_spelling(api: httpx.AsyncClient) -> None:
    await say(api, "hello", "c1", room="Tea%20Time")

    assert len((await api.get("/chat/rooms/tea-time/messages")).json()) == 1


async def test_without_a_good_token_the_api_is_closed(api: httpx.AsyncClient) -> None:
    del api.headers["authorization"]

    for authorization in (None, "Bearer x", "Basic eDp5", "Bearer WyJ4Il0.aaa.bbb"):
        headers = {} if authorization is None else {"authorization": authorization}
        reading = await api.get("/chat/rooms/tea/messages", headers=headers)
        writing = await api.post(
            "/chat/rooms/tea/messages", headers=headers, json={"client_id": "c", "text": "a"}
        )

        assert (reading.status_code, writing.status_code) == (401, 401), authorization


async def test_a_name_that_cant_be_is_422(api: httpx.AsyncClient) -> None:
    response = await api.post("/identity", json={"name": " "})

    assert response.status_code == 422
    assert "a name has 1 to 32 characters" in response.json()["detail"]


# The socket.


async def test_a_program_hears_live_messages_and_what_it_has_missed(
    api: httpx.AsyncClient, address: str
) -> None:
    headers = {"Authorization": api.headers["authorization"]}
    url = f"ws://{address}/chat/tea/ws"
    async with websockets.connect(url, additional_headers=headers) as ws:
        people = str(await ws.recv())
        await say(api, "live", "c1")
        live = str(await ws.recv())
    since = re.findall(r'data-feed="(.+?)"', live)[-1]
    await say(api, "missed", "c2")

    async with websockets.connect(f"{url}?since={since}", additional_headers=headers) as ws:
        missed = str(await ws.recv())
        await say(api, "live again", "c3")
        await ws.recv()
        live_again = str(await ws.recv())

    assert "Ada" in people
    assert 'data-seq="1"' in live
    assert re.findall(r'data-seq="(\d+)"', missed) == ["2"]
    assert 'data-seq="3"' in live_again


async def test_a_page_goes_on_from_where_it_was_made(
    browser: httpx.AsyncClient, api: httpx.AsyncClient, address: str
) -> None:
    await browser.post("/chat", data={"name": "Bob", "room": "tea"})
    await say(api, "in the page", "c1")
    page = (await browser.get("/chat/tea")).text
    await say(api, "while it travelled", "c2")
    found = re.search(r'hx-ws:connect="([^"]+)"', page)
    assert found
    headers = {"Cookie": f"guest={browser.cookies['guest']}", "Origin": f"http://{address}"}

    async with websockets.connect(f"ws://{address}{found[1]}", additional_headers=headers) as ws:
        missed = str(await ws.recv())

    assert re.findall(r'data-seq="(\d+)"', page) == ["1"]
    assert re.findall(r'data-seq="(\d+)"', missed) == ["2"]


async def test_a_browser_is_let_in_by_its_cookie(browser: httpx.AsyncClient, address: str) -> None:
    await browser.post("/chat", data={"name": "Bob", "room": "tea"})
    headers = {"Cookie": f"guest={browser.cookies['guest']}", "Origin": f"http://{address}"}

    async with websockets.connect(f"ws://{address}/chat/tea/ws", additional_headers=headers) as ws:
        assert "Bob" in str(await ws.recv())


STRANGERS: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    ("tea", {}),
    ("tea", {"Authorization": "Bearer forged"}),
    ("tea", {"Cookie": "guest=forged"}),
    ("tea", {"X-Person-Id": "1", "X-Person-Name": "Ada"}),
    ("%3Cscript%3E", {}),
    ("f" * 64, {}),
)


async def test_a_stranger_is_let_in_to_be_told_why_not(address: str) -> None:
    for room, headers in STRANGERS:
        url = f"ws://{address}/chat/{room}/ws"
        async with websockets.connect(url, additional_headers=headers) as ws:
            with pytest.raises(ConnectionClosed):
                await ws.recv()

            assert ws.close_code == 1008, (room, headers)
            assert ws.close_reason


async def test_a_stranger_wakes_no_room(
    browser: httpx.AsyncClient, address: str, tmp_path: Path
) -> None:
    async with websockets.connect(f"ws://{address}/chat/tea/ws") as ws:
        with pytest.raises(ConnectionClosed):
            await ws.recv()

    assert ws.close_code == 1008
    assert list(tmp_path.glob("objects/*/*")) == []
    assert 'href="/chat/tea"' not in (await browser.get("/chat")).text


async def test_another_sites_page_cant_connect(api: httpx.AsyncClient, address: str) -> None:
    headers = {"Authorization": api.headers["authorization"], "Origin": "https://evil.example"}

    async with websockets.connect(f"ws://{address}/chat/tea/ws", additional_headers=headers) as ws:
        with pytest.raises(ConnectionClosed):
            await ws.recv()
        assert ws.close_code == 1008


async def test_a_frame_nobody_wants_closes_its_own_socket_only(
    api: httpx.AsyncClient, address: str
) -> None:
    headers = {"Authorization": api.headers["authorization"]}
    url = f"ws://{address}/chat/tea/ws"
    async with websockets.connect(url, additional_headers=headers) as other:
        for frame, code in (("x" * 2000, 1009), ("hello", 1008), (b"\x00", 1008)):
            async with websockets.connect(url, additional_headers=headers) as ws:
                await ws.send(frame)
                with pytest.raises(ConnectionClosed):
                    while True:
                        await ws.recv()

                assert ws.close_code == code, frame
        await say(api, "undisturbed", "c1")

        async with asyncio.timeout(10):
            while "undisturbed" not in str(await other.recv()):
                pass


async def test_text_that_is_no_utf_8_closes_its_socket_with_1007(
    api: httpx.AsyncClient, address: str
) -> None:
    headers = {"Authorization": api.headers["authorization"]}
    async with websockets.connect(f"ws://{address}/chat/tea/ws", additional_headers=headers) as ws:
        await ws.send(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosed):
            while True:
                await ws.recv()

        assert ws.close_code == 1007


# The pages.


async def test_a_newcomer_is_asked_for_a_name_and_led_into_the_room(
    browser: httpx.AsyncClient,
) -> None:
    asked = await browser.get("/chat/tea")
    entered = await browser.post(
        "/chat", data={"name": "Ada", "room": "Tea"}, follow_redirects=True
    )

    assert 'name="next" value="/chat/tea"' in asked.text
    assert entered.url.path == "/chat/tea"
    assert 'id="messages"' in entered.text
    cookie = entered.history[0].headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


async def test_a_form_that_cant_be_comes_back_with_the_reason(browser: httpx.AsyncClient) -> None:
    for form, said in (
        ({"name": "", "room": "tea"}, "a name has 1 to 32 characters"),
        ({"name": "Ada", "room": "<b>"}, "a room&#39;s name has 1 to 32 letters"),
        ({}, "a name has 1 to 32 characters"),
    ):
        response = await browser.post("/chat", data=form)

        assert response.status_code == 422, form
        assert said in response.text
        assert "<b>" not in response.text


async def test_the_form_works_without_javascript(browser: httpx.AsyncClient) -> None:
    await browser.post("/chat", data={"name": "Ada", "room": "tea"})
    page = (await browser.get("/chat/tea")).text
    found = re.search(r'name="client_id" value="([^"]+)"', page)
    assert found

    form = {"client_id": found[1], "text": "hello <b>"}
    sent = await browser.post("/chat/tea/messages", data=form, follow_redirects=True)
    form["text"] = "from the page before"
    again = await browser.post("/chat/tea/messages", data=form, follow_redirects=True)

    assert sent.url.path == "/chat/tea"
    assert "hello &lt;b&gt;" in sent.text
    assert found[1] not in re.findall(r'name="client_id" value="([^"]+)"', sent.text)
    assert "from the page before" in again.text


async def test_a_form_of_a_page_that_was_shown_again_may_be_sent_twice(
    browser: httpx.AsyncClient,
) -> None:
    await browser.post("/chat", data={"name": "Ada", "room": "tea"})

    for text in ("first", "second", "second"):
        form = {"client_id": "c1", "text": text}
        sent = await browser.post("/chat/tea/messages", data=form, follow_redirects=True)

    assert re.findall(r'data-seq="(\d+)"', sent.text) == ["1", "2"]


async def test_htmx_gets_the_message_or_the_reason(browser: httpx.AsyncClient) -> None:
    await browser.post("/chat", data={"name": "Ada", "room": "tea"})
    htmx = {"hx-request": "true"}

    sent = await browser.post(
        "/chat/tea/messages", data={"client_id": "c1", "text": "hi"}, headers=htmx
    )
    refused = await browser.post(
        "/chat/tea/messages", data={"client_id": "c2", "text": ""}, headers=htmx
    )

    assert (sent.status_code, refused.status_code) == (200, 422)
    assert sent.text.lstrip().startswith("<hx-upsert")
    assert "a message needs some text" in refused.text
    assert 'id="notice"' in refused.text


async def test_another_sites_page_cant_post(browser: httpx.AsyncClient) -> None:
    await browser.post("/chat", data={"name": "Ada", "room": "tea"})
    form = {"client_id": "c1", "text": "hi"}

    answers = [
        await browser.post("/chat/tea/messages", data=form, headers=headers)
        for headers in (
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"origin": "https://evil.example"},
            {"origin": "http://["},
        )
    ]

    assert [answer.status_code for answer in answers] == [403] * 4


async def test_pages_forbid_whatever_they_dont_need(browser: httpx.AsyncClient) -> None:
    for path in ("/chat", "/chat/tea", "/static/site.css", "/nowhere"):
        headers = (await browser.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"


async def test_the_home_page_lists_the_rooms_that_exist(
    browser: httpx.AsyncClient, api: httpx.AsyncClient
) -> None:
    await say(api, "hello", "c1", room="hazel-grove")

    async with asyncio.timeout(10):  # the room writes a letter to the list
        while 'href="/chat/hazel-grove"' not in (await browser.get("/chat")).text:
            pass


async def test_what_isnt_there_is_said_on_a_page(browser: httpx.AsyncClient) -> None:
    response = await browser.get("/nowhere")

    assert response.status_code == 404
    assert "Nobody lives here" in response.text
