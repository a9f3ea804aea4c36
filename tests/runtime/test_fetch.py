"""Requests and responses: values without a connection."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.fetch import Request, Response


def test_a_request_gets_by_default() -> None:
    request = Request("http://test/rooms?page=2")

    assert (request.method, request.headers, request.body) == ("GET", {}, b"")
    assert request.web_socket is None


@pytest.mark.parametrize(
    ("url", "path", "query"),
    [
        ("http://test/rooms/a%20b", "/rooms/a%20b", {}),
        ("https://test", "", {}),
        ("ws://test:8000/ws?a=1&b=2&a=3&c=", "/ws", {"a": "3", "b": "2", "c": ""}),
        ("http://test/?q=%C3%A9+x#part", "/", {"q": "é x"}),
    ],
)
def test_a_request_has_a_path_and_a_query(url: str, path: str, query: dict[str, str]) -> None:
    request = Request(url)

    assert (request.path, request.query) == (path, query)


@pytest.mark.parametrize(
    "url", ["", "/rooms", "rooms", "//test/rooms", "http:///rooms", "mailto:a@b.c", "http://[::1"]
)
def test_a_request_needs_an_absolute_url(url: str) -> None:
    with pytest.raises(TypeError) as caught:
        Request(url)

    assert str(caught.value) == f"Invalid URL: {url}"


def test_names_are_written_in_one_case() -> None:
    request = Request("http://test/", method="post", headers={"X-User": "Ada"})
    response = Response(headers={"X-User": "Ada"})

    assert (request.method, request.headers) == ("POST", {"x-user": "Ada"})
    assert response.headers == {"x-user": "Ada"}


@pytest.mark.parametrize("body", ["[1]", b"[1]", bytearray(b"[1]")])
def test_the_body_of_a_request_is_bytes_read_as_text_or_json(body: Any) -> None:
    request = Request("http://test/", body=body)

    assert (request.body, type(request.body)) == (b"[1]", bytes)
    assert (request.text(), request.json()) == ("[1]", [1])


@pytest.mark.parametrize("message", [Request("http://t/", body=b"\xff"), Response(body=b"\xff")])
def test_a_body_that_isnt_text_or_json_is_refused(message: Request | Response) -> None:
    with pytest.raises(UnicodeDecodeError):
        message.text()
    with pytest.raises(ValueError, match=r"codec can.t decode"):
        message.json()


def test_headers_that_were_given_arent_shared() -> None:
    headers = {"x-user": "ada"}
    request, response = Request("http://test/", headers=headers), Response(headers=headers)

    request.headers["x-user"] = response.headers["x-user"] = "bob"

    assert headers == {"x-user": "ada"}


@pytest.mark.parametrize(
    ("response", "body", "kind"),
    [
        (Response(), b"", None),
        (Response(text="é"), "é".encode(), "text/plain; charset=utf-8"),
        (Response(json={"a": [1]}), b'{"a": [1]}', "application/json"),
        (Response(json=0), b"0", "application/json"),
        (Response(body=b"\0"), b"\0", None),
        (Response(text=""), b"", "text/plain; charset=utf-8"),
    ],
)
def test_a_response_is_text_or_json_or_bytes(
    response: Response, body: bytes, kind: str | None
) -> None:
    assert (response.status, response.body) == (200, body)
    assert response.headers.get("content-type") == kind


def test_a_response_keeps_the_content_type_that_it_was_given() -> None:
    response = Response(text="<p>", headers={"Content-Type": "text/html"})

    assert response.headers == {"content-type": "text/html"}


def test_a_response_can_be_read_again() -> None:
    assert Response(json={"a": 1}).json() == {"a": 1}
    assert json.loads(Response(json=[None]).text()) == [None]


@pytest.mark.parametrize(
    ("status", "ok"), [(200, True), (299, True), (300, False), (404, False), (599, False)]
)
def test_a_response_is_ok_between_200_and_299(status: int, ok: bool) -> None:
    assert Response(status).ok is ok


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600])
def test_a_response_has_a_status_between_200_and_599(status: int) -> None:
    with pytest.raises(ValueError, match=r"status codes in the range 200 to 599, inclusive\.$"):
        Response(status)


def test_switching_protocols_is_the_one_response_beyond() -> None:
    plain = Response.switching_protocols()
    chosen = Response.switching_protocols(protocol="chat", headers={"X-Room": "gala"})

    assert (plain.status, plain.headers, plain.ok) == (101, {}, False)
    assert chosen.headers == {"x-room": "gala", "sec-websocket-protocol": "chat"}
