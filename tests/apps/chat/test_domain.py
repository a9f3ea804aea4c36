"""The rules of a chat room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.chat.domain import (
    MAX_TEXT,
    BadRoomName,
    BadText,
    Person,
    Visitor,
    in_order,
    message_text,
    room_name,
    with_reader,
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


ADA, BOB, OTHER_ADA = Person("1", "ada"), Person("2", "Bob"), Person("3", "Ada")


def test_visitors_stand_by_name_and_whoever_is_away_after_the_others() -> None:
    visitors = [Visitor(ADA, is_away=True), Visitor(BOB, is_away=False)]
    visitors += [Visitor(OTHER_ADA, is_away=False), Visitor(Person("4", "Cleo"), is_away=True)]

    assert [visitor.person.id for visitor in in_order(visitors)] == ["3", "2", "1", "4"]


@pytest.mark.parametrize(
    "others", [[], [Visitor(ADA, is_away=True)], [Visitor(ADA, is_away=False)]]
)
def test_whoever_reads_the_page_is_in_the_room_and_not_away(others: list[Visitor]) -> None:
    bob = Visitor(BOB, is_away=False)

    assert with_reader([bob, *others], ADA) == (Visitor(ADA, is_away=False), bob)
