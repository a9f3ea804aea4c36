"""The rules of a chat room."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.chat.domain import (
    FRAMES,
    MAX_TEXT,
    BadRoomName,
    BadText,
    Bucket,
    Kind,
    Message,
    Person,
    RoomKind,
    Throw,
    Unacceptable,
    Utterance,
    Visitor,
    direct_people,
    direct_room,
    in_order,
    mentions,
    message_text,
    parts,
    room_address,
    room_kind,
    room_name,
    room_title,
    search_expression,
    understood,
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
        ("\u202e", "needs some text"),
        ("\u200b \u2066\u00ad\n\u2028", "needs some text"),
        ("\u3164\u2800\ufe0f", "needs some text"),
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


# Addresses.


def test_a_room_of_two_is_the_same_for_both_and_no_room_has_its_name() -> None:
    one, other = "a" * 16, "0" * 16

    room = direct_room(one, other)

    assert room == direct_room(other, one) == room_address(room)
    assert (room_kind(room), direct_people(room)) == (RoomKind.DIRECT, (other, one))
    with pytest.raises(BadRoomName):
        room_name(room)


@pytest.mark.parametrize("pair", [("a" * 16, "a" * 16), ("a" * 16, "x"), ("", ""), ("a~b", "c")])
def test_nobody_has_a_room_with_themselves_or_with_nobody(pair: tuple[str, str]) -> None:
    with pytest.raises(BadRoomName):
        direct_room(*pair)


def test_the_kind_of_a_room_shows_in_its_address() -> None:
    private = "0123456789abcdef" * 4

    assert room_address(private) == private
    kinds = [room_kind(room_address(text)) for text in (private, "Tea", "f" * 32)]
    assert kinds == [RoomKind.PRIVATE, RoomKind.OPEN, RoomKind.OPEN]
    for text in (private.upper(), "~", "b~a", f"{'b' * 16}~{'b' * 16}"):
        with pytest.raises(BadRoomName):
            room_address(text)


def test_a_title_is_one_line_that_can_be_read() -> None:
    assert room_title("  Our \n plans ") == "Our plans"
    for text in ("👩\u200d💻 at work", "می\u200cرسم"):  # they aren't written without joiners
        assert room_title(text) == text
    for text in ("", " ", "x" * 61, "a\u202eb", "a\x00b", "\u200d"):
        with pytest.raises(Unacceptable):
            room_title(text)


# What is in a text.


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("hello", Utterance(Kind.SAY, "hello")),
        ("/me waves", Utterance(Kind.ME, "waves")),
        ("/me\nwaves\ntwice", Utterance(Kind.ME, "waves\ntwice")),
        ("/meh", Utterance(Kind.SAY, "/meh")),
        ("see /me there", Utterance(Kind.SAY, "see /me there")),
        ("/dice", Throw(1, 6)),
        ("/dice d20", Throw(1, 20)),
        ("/dice 20D1000", Throw(20, 1000)),
    ],
)
def test_a_text_is_a_command_only_if_it_begins_like_one(
    text: str, meant: Utterance | Throw
) -> None:
    assert understood(text) == meant


@pytest.mark.parametrize(
    "text",
    ["/me", "/dice 0d6", "/dice 21d6", "/dice d1", "/dice 2d1001", "/dice two", "/dice -1d6"],
)
def test_a_command_without_sense_is_refused(text: str) -> None:
    with pytest.raises(BadText):
        understood(text)


def test_what_dice_show_is_added_up() -> None:
    assert Throw(1, 6).result([4]).text == "1d6: 4"
    assert Throw(3, 6).result([1, 2, 3]).text == "3d6: 1 + 2 + 3 = 6"


ADA_LOVELACE = Person("5", "Ada Lovelace")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("@Bob", [BOB]),
        ("hi @bob!", [BOB]),
        ("@Bobby, bob@example.org", []),
        ("@ada", [ADA, OTHER_ADA]),
        ("@Ada Lovelace's", [ADA_LOVELACE]),
        ("@Ada Byron @Bob@bob", [ADA, OTHER_ADA, BOB]),
        ("@ @@ @@Bob", [BOB]),
    ],
)
def test_names_are_found_the_longest_that_fits(text: str, named: list[Person]) -> None:
    assert list(mentions(text, [ADA, BOB, OTHER_ADA, ADA_LOVELACE])) == named


def test_a_text_full_of_names_ends_somewhere() -> None:
    people = [Person(str(number), "x") for number in range(1000)]

    assert len(mentions("@x " * 600, people)) == 20


@given(st.text(alphabet="@abBob \u00df", max_size=40))
def test_the_parts_of_a_text_are_the_text(text: str) -> None:
    people = (Person("1", "Bob"), Person("2", "b"), Person("3", "\u00df"))
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    message = Message(1, "c", ADA, text, moment, mentions=mentions(text, people))

    pieces = parts(message)

    assert "".join(piece.text for piece in pieces) == text
    assert {piece.person for piece in pieces} <= {None, *people}
    named = [piece for piece in pieces if piece.person]
    for piece in named:
        assert piece.person is not None
        assert piece.text.casefold() == f"@{piece.person.name}".casefold()


@given(st.text(max_size=100))
def test_a_search_quotes_every_word(text: str) -> None:
    try:
        expression = search_expression(text)
    except Unacceptable:
        return

    assert re.fullmatch(r'"[^\W_]+"( "[^\W_]+")*\*', expression)


def test_a_search_doesnt_cut_a_letter_from_its_mark() -> None:
    assert search_expression("cafe\u0301s") == search_expression("caf\u00e9s") == '"caf\u00e9s"*'


def test_a_socket_may_be_quick_for_a_moment_and_not_for_long() -> None:
    bucket: Bucket | None = Bucket.full(FRAMES, 100.0)
    for _ in range(int(FRAMES.burst)):
        assert bucket is not None
        bucket = bucket.take(FRAMES, 100.0)

    assert bucket is not None
    assert bucket.take(FRAMES, 100.0) is None
    assert bucket.take(FRAMES, 99.0) is None  # a clock that was set back gives nothing
    assert bucket.take(FRAMES, 100.0 + 1 / FRAMES.per_second) is not None
