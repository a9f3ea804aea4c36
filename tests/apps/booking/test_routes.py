"""Booking over HTTP and WebSocket, on a real port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from apps.booking.app import create_app
from runtime import RuntimeConfig
from tests.servers import http_client, serving

HTML = {"accept": "text/html"}
GALA = {"slug": "gala", "title": "Gala", "rows": 2, "seats_per_row": 4, "price": 500}


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    """Where booking listens."""
    async with serving(create_app(RuntimeConfig(data=tmp_path))) as address:
        yield address


@asynccontextmanager
async def guest(address: str, name: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API with a token."""
    async with http_client(f"http://{address}/api/booking") as client:
        answer = await client.post(f"http://{address}/api/identity", json={"name": name})
        client.headers["authorization"] = f"Bearer {answer.json()['token']}"
        yield client


@pytest.fixture
async def ada(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """Ada, who has made an event."""
    async with guest(address, "Ada") as client:
        assert (await client.post("/events", json=GALA)).status_code == 201
        yield client


@pytest.fixture
async def bob(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """Bob."""
    async with guest(address, "Bob") as client:
        yield client


async def hold(client: httpx.AsyncClient, **wish: Any) -> Any:
    """Hold seats, and return the hold."""
    response = await client.post("/events/gala/holds", json=wish)
    assert response.status_code == 201, response.text
    return response.json()


async def test_a_purchase_by_the_api(ada: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    held = await hold(bob, seats=["A1", "A2"])
    assert (held["seats"], held["total"]) == (["A1", "A2"], 1000)
    assert (await bob.get("/events/gala/mine")).json() == [held]
    path = f"/holds/{held['hold_id']}/confirm"

    paid = await bob.post(path, headers={"Idempotency-Key": "k1"})
    again = await bob.post(path, headers={"Idempotency-Key": "k1"})

    assert (paid.status_code, paid.json()["state"]) == (200, "confirmed")
    assert "idempotent-replayed" not in paid.headers
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json() == paid.json()
    order = f"/orders/{paid.json()['order_id']}"
    assert (await bob.get(order)).json() == paid.json()
    assert (await bob.get("/orders")).json() == [paid.json()]
    seats = {
        seat["seat"]: seat["state"] for seat in (await ada.get("/events/gala")).json()["seats"]
    }
    assert seats == dict.fromkeys(["A1", "A2"], "sold") | dict.fromkeys(
        ["A3", "A4", "B1", "B2", "B3", "B4"], "free"
    )
    cancelled = await bob.post(f"{order}/cancel")
    assert (cancelled.json()["state"], cancelled.json()["refund"]) == ("cancelled", 1000)


async def test_bad_input_gets_a_precise_answer_and_changes_nothing(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    held = await hold(ada, seats=["A1"])
    path = f"/holds/{held['hold_id']}"
    payment = f"{held['hold_id']}.1"

    async def refused(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> int:
        response = await client.request(method, path, json=body)
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json().keys() >= {"status", "title", "detail"}
        return response.status_code

    holds = "/events/gala/holds"
    assert await refused(bob, "POST", f"{path}/confirm") == 403
    assert await refused(ada, "POST", f"{path}/confirm", {"total": 1}) == 409
    assert await refused(ada, "POST", f"{path}/confirm", {"card": "stolen"}) == 422
    too_long = {"idempotency-key": "k" * 256}
    why = (await ada.post(f"{path}/confirm", headers=too_long)).json()["errors"]
    assert [each["key"] for each in why] == ["idempotency_key"]
    assert await refused(bob, "POST", f"{path}/extend") == 403
    assert await refused(bob, "DELETE", path) == 403
    assert await refused(bob, "POST", holds, {"seats": ["A1"]}) == 409
    assert await refused(bob, "POST", holds, {"seats": ["Z9"]}) == 422
    assert await refused(bob, "POST", holds, {"seats": ["A2", "A2"]}) == 422
    wishes: tuple[Any, ...] = (
        {"best": -1},
        {"best": 0},
        {"best": 51},
        {"best": "x"},
        {"best": "2"},
        {"best": True},
        {},
        {"seats": []},
        [],
    )
    for nonsense in wishes:
        assert await refused(bob, "POST", holds, nonsense) == 422
    assert await refused(bob, "POST", holds, {"best": 1, "seats": ["A2"]}) == 422
    assert await refused(bob, "POST", "/events/nope/holds", {"best": 1}) == 404
    assert await refused(bob, "POST", "/events", GALA) == 409
    for facts in (
        {"rows": 0},
        {"rows": 10**9},
        {"rows": True},
        {"price": -1},
        {"slug": "A b"},
        {"title": " "},
    ):
        assert await refused(bob, "POST", "/events", GALA | {"slug": "new"} | facts) == 422
    assert await refused(bob, "PATCH", "/events/gala", {"price": 1}) == 403
    assert await refused(bob, "GET", "/events/gala/audit") == 403
    assert await refused(ada, "POST", "/payments/answers", {"payment": payment}) == 404
    assert await refused(ada, "POST", "/payments/answers", {"payment": "?"}) == 404
    assert await refused(ada, "GET", "/orders/nope") == 404
    assert await refused(ada, "POST", f"/orders/{held['hold_id']}/cancel") == 404
    del bob.headers["authorization"]
    assert await refused(bob, "POST", holds, {"best": 1}) == 401
    seen = (await ada.get("/events/gala")).json()
    assert (seen["free"], seen["held"], seen["sold"]) == (7, 1, 0)
    assert (await ada.post(f"{path}/confirm", json={"total": 500})).status_code == 200


@pytest.mark.parametrize("name", ["", "a\x00b", "\u202eevil"])
async def test_a_tiers_name_can_be_read(name: str, ada: httpx.AsyncClient) -> None:
    tier = {"name": name, "first_row": 1, "last_row": 1, "price": 1}

    assert (await ada.patch("/events/gala", json={"tiers": [tier]})).status_code == 422


async def test_nobody_hears_what_there_is_before_they_say_who_they_are(
    ada: httpx.AsyncClient,
) -> None:
    del ada.headers["authorization"]

    answers = [
        await ada.post("/events/gala/holds", json={"best": 1}),
        await ada.post("/events/No%20such/holds", json={"best": 1}),
        await ada.post("/holds/nope/confirm"),
    ]

    assert [answer.status_code for answer in answers] == [401] * 3


async def test_of_seats_that_are_gone_others_are_offered(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await hold(ada, seats=["A1", "A2"])

    problem = (await bob.post("/events/gala/holds", json={"seats": ["A2", "A3"]})).json()

    assert (problem["detail"], problem["alternatives"]) == ("A2 has just been taken", ["A3", "A4"])


async def test_a_declined_payment_is_a_402_and_an_unknown_one_a_202(
    ada: httpx.AsyncClient,
) -> None:
    first, second = await hold(ada, best=1), await hold(ada, best=1)
    key = {"Idempotency-Key": "k"}
    path, body = f"/holds/{first['hold_id']}/confirm", {"card": "tok_declined"}

    answers = [await ada.post(path, json=body, headers=key) for _ in range(2)]
    unknown = await ada.post(f"/holds/{second['hold_id']}/confirm", json={"card": "tok_silent"})

    assert [answer.status_code for answer in answers] == [402, 402]
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None, "true"]
    assert (unknown.status_code, unknown.json()["state"]) == (202, "unknown")
    answered = await ada.post("/payments/answers", json={"payment": f"{second['hold_id']}.1"})
    assert answered.status_code == 204
    assert (await ada.get(f"/orders/{second['hold_id']}")).json()["state"] == "confirmed"


async def test_the_pages_work_without_javascript(address: str, ada: httpx.AsyncClient) -> None:
    async with http_client(f"http://{address}", headers=HTML) as browser:
        await browser.post("/name", data={"name": "Eve", "next": "/"})
        held = await browser.post("/booking/gala/holds", data={"seat": ["A1", "A2"]})
        assert (held.status_code, held.headers["location"]) == (303, "/booking/gala")
        taken = await browser.post("/booking/gala/holds", data={"seat": ["A2", "A3"]})
        assert (taken.status_code, "A2 has just been taken" in taken.text) == (409, True)
        seen = (await ada.get("/events/gala/holds")).json()
        paid = await browser.post(
            f"/booking/gala/holds/{seen[0]['hold_id']}/confirm",
            data={"card": "tok_good", "total": "1000", "key": "k"},
        )
        assert paid.status_code == 303
        order = paid.headers["location"]
        for path in ("/booking", "/booking/gala", "/booking/orders", order, "/booking/new"):
            page = await browser.get(path)
            assert (page.status_code, page.headers["content-type"][:9]) == (200, "text/html"), path
        calendar = await browser.get(f"{order}/calendar")
        assert calendar.headers["content-type"] == "text/calendar; charset=utf-8"
        assert (calendar.text[:15], "A1\\, A2" in calendar.text) == ("BEGIN:VCALENDAR", True)
        assert (await browser.get("/booking/gala/admin")).status_code == 403
        assert (await browser.get("/booking/nope")).status_code == 404
    token = ada.headers["authorization"].removeprefix("Bearer ")
    async with http_client(
        f"http://{address}", headers=HTML, cookies={"guest": token}
    ) as organiser:
        table = (await organiser.get("/booking/gala/sales")).text.splitlines()
        assert (len(table), "A1 A2,1000,confirmed" in table[1]) == (2, True)
        assert (await organiser.get("/booking/gala/admin")).status_code == 200
        changed = await organiser.post("/booking/gala/admin", data={"is_open": "false"})
        assert changed.status_code == 303
        made = await organiser.post(
            "/booking",
            data={
                "title": "Two",
                "slug": "two",
                "rows": "3",
                "seats_per_row": "4",
                "price": "12.50",
                "starts_at": "2030-05-01T20:00",
            },
        )
        assert made.headers["location"] == "/booking/two"
        wrong = await organiser.post("/booking", data={"title": "Two", "slug": "two 2"})
        assert (wrong.status_code, "Two" in wrong.text) == (422, True)
    two = (await ada.get("/events/two")).json()
    assert (two["tiers"][0]["price"], two["starts_at"][:13]) == (1250, "2030-05-01T20")


async def test_no_form_however_odd_is_our_fault(address: str, ada: httpx.AsyncClient) -> None:
    held = await hold(ada, best=1)
    here, huge = "/booking/gala", "9" * 5_000
    file = ("name", b"bytes")
    forms: tuple[tuple[str, dict[str, Any]], ...] = (
        (f"{here}/holds", {"data": {"best": huge}}),
        (f"{here}/holds", {"files": {"best": file}}),
        (f"{here}/holds", {"files": {"seat": file}}),
        (f"{here}/wait", {"files": {"seats": file}}),
        (f"{here}/holds/{held['hold_id']}/confirm", {"files": {"total": file}}),
        (f"{here}/holds/{held['hold_id']}/confirm", {"data": {"total": "a lot"}}),
        (f"{here}/admin", {"data": {"price": huge}}),
        (f"{here}/admin/tiers", {"data": {"name": "x", "first_row": "1", "last_row": "2"}}
         | {"files": {"price": file}}),
        ("/booking", {"data": GALA | {"slug": "new", "price": huge}}),
        ("/booking", {"data": GALA | {"slug": "new", "starts_at": "9999-12-31T23:59-12:00"}}),
        ("/booking/proof", {"data": {"seed": huge}}),
    )  # fmt: skip
    cookies = {"guest": ada.headers["authorization"].removeprefix("Bearer ")}
    async with http_client(f"http://{address}", headers=HTML, cookies=cookies) as browser:
        for path, form in forms:
            assert (await browser.post(path, **form)).status_code in (303, 422), (path, form)
        gone = await browser.post(f"{here}/admin/holds/{10**30}/release")
        assert gone.status_code == 404
        assert (await browser.get("/booking")).status_code == 200
    assert (await ada.get("/events/gala")).json()["held"] == 1


async def test_a_socket_watches(address: str, ada: httpx.AsyncClient) -> None:
    headers = {"authorization": ada.headers["authorization"]}
    uri = f"ws://{address}/booking/gala/ws?since="
    async with websockets.connect(uri, additional_headers=headers) as window:
        await window.recv()
        await hold(ada, seats=["B4"])
        async with asyncio.timeout(5):
            while "seat-B4" not in (push := str(await window.recv())):
                pass
    assert "held" in push
    async with websockets.connect(uri) as nobody:
        with pytest.raises(websockets.ConnectionClosed):
            await nobody.recv()
    assert nobody.close_code == 1008
