"""The rules of a chat room."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.chat.domain import (
    MAX_REPLAY,
    MAX_REPLAY_TEXT,
    MAX_TEXT,
    BadRoomName,
    BadText,
    Message,
    Person,
    everyone,
    is_too_much,
    message_text,
    room_name,
    sequence_number,
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("tea", "tea"),
        ("  Tea Time ", "tea-time"),
        ("Grüne_Wiese-2", "grüne_wiese-2"),
        ("x" * 32, "x" * 32),
        ("İstanbul", "i\u0307stanbul"),
        ("नमस्ते", "नमस्ते"),
        ("H\u0331", "\u1e96"),
    ],
)
def test_a_rooms_name_has_one_spelling(text: str, name: str) -> None:
    assert room_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x" * 33,
        "a/b",
        "..",
        "<b>",
        "a\x00b",
        "tea!",
        "\u202etea",
        "☕",
        "tea\ufe0f",
        "\u0301",
        "+€",
    ],
)
def test_what_cant_be_a_rooms_name_is_refused(text: str) -> None:
    with pytest.raises(BadRoomName, match="1 to 32 letters"):
        room_name(text)


@given(st.text(max_size=40))
def test_a_rooms_name_stays_as_it_is_when_it_is_read_again(text: str) -> None:
    try:
        name = room_name(text)
    except BadRoomName:
        return

    assert room_name(name) == name


def test_a_message_loses_the_blanks_around_it_and_keeps_those_inside() -> None:
    assert message_text("  one\r\n\r\n two\tthree\r") == "one\n\n two\tthree"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "needs some text"),
        (" \n\t ", "needs some text"),
        ("x" * (MAX_TEXT + 1), "at most 2,000 characters; this one has 2,001"),
        ("a\x00b", "control characters"),
        ("a\ud800b", "control characters"),
    ],
)
def test_what_is_no_message_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadText, match=reason):
        message_text(text)


@given(st.text(max_size=MAX_TEXT + 10))
def test_every_message_that_is_accepted_can_be_kept(text: str) -> None:
    try:
        kept = message_text(text)
    except BadText:
        return

    assert kept.encode().decode() == kept == message_text(kept)
    assert 1 <= len(kept) <= MAX_TEXT


@pytest.mark.parametrize(
    ("count", "length", "expected"),
    [
        (0, 0, False),
        (MAX_REPLAY, 1, False),
        (MAX_REPLAY + 1, 1, True),
        (MAX_REPLAY_TEXT // MAX_TEXT, MAX_TEXT, False),
        (MAX_REPLAY_TEXT // MAX_TEXT + 1, MAX_TEXT, True),
    ],
)
def test_many_messages_or_much_text_are_too_much(count: int, length: int, expected: bool) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    message = Message(1, "c1", Person("1", "Ada"), "x" * length, now)

    assert is_too_much([message] * count) == expected


def test_everyone_is_there_once_and_by_name() -> None:
    ada, bob, other_ada = Person("1", "ada"), Person("2", "Bob"), Person("3", "Ada")

    assert everyone([bob, ada, ada, other_ada]) == (ada, other_ada, bob)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("17", 17),
        (None, None),
        ("", None),
        ("-1", None),
        ("x", None),
        ("9" * 16, None),
        ("٣", None),
    ],
)
def test_only_plain_numbers_name_a_place_in_the_room(text: str | None, number: int | None) -> None:
    assert sequence_number(text) == number
