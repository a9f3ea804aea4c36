"""Names, ids, and whose ids they are."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.ids import JURISDICTIONS, IdScheme, ObjectId

NAME = IdScheme("mykey").from_name("name")

bounded = settings(max_examples=40, derandomize=True, database=None, deadline=None)


@pytest.fixture
def scheme() -> IdScheme:
    return IdScheme("mykey")


# Names.


@pytest.mark.parametrize(
    ("name", "hex"),
    [
        ("http://foo/", "59002eb8cf872e541722977a258a12d6a93bbe8192b502e1c0cb250aa91af234"),
        ("http://foo/bar", "02b496f65dd35cbac90e3e72dc5a398ee93926ea4a3821e26677082d2e6f9b79"),
        ("name", "3652ef6221834806dc8df802d1d216e27b7d07e0a6b7adf6cfdaeec90f06459a"),
    ],
)
def test_a_name_makes_the_id_that_the_original_makes(scheme: IdScheme, name: str, hex: str) -> None:
    assert str(scheme.from_name(name)) == hex


@bounded
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_name_makes_an_id_that_its_class_recognises(name: str) -> None:
    scheme = IdScheme("mykey")

    id = scheme.from_name(name)

    assert scheme.from_name(name) == id
    assert scheme.parse(str(id)) == id
    assert id.name == name


@pytest.mark.parametrize("name", ["a" * 1024, "é" * 512, "\N{SNOWMAN}" * 341, "😀" * 256])
def test_a_name_of_up_to_1024_bytes_is_kept(scheme: IdScheme, name: str) -> None:
    assert scheme.from_name(name).name == name


@pytest.mark.parametrize("name", ["a" * 1025, "é" * 513, "\N{SNOWMAN}" * 342, "😀" * 257])
def test_a_longer_name_is_not_kept_but_makes_an_id_of_its_own(scheme: IdScheme, name: str) -> None:
    id = scheme.from_name(name)

    assert id.name is None
    assert id != scheme.from_name(name[:-1])


def test_random_ids_differ_and_have_no_name(scheme: IdScheme) -> None:
    ids = {scheme.new() for _ in range(100)}

    assert len(ids) == 100
    assert {id.name for id in ids} == {None}
    assert all(scheme.parse(id.hex) == id for id in ids)


# Parsing.


def test_a_parsed_id_is_equal_to_the_one_it_came_from_but_has_lost_its_name(
    scheme: IdScheme,
) -> None:
    parsed = scheme.parse(NAME.hex)

    assert parsed == NAME
    assert parsed.name is None


def test_upper_case_digits_spell_the_same_id(scheme: IdScheme) -> None:
    assert scheme.parse(NAME.hex.upper()).hex == NAME.hex


@pytest.mark.parametrize(
    "text",
    [
        "",
        NAME.hex[:-1],
        NAME.hex + "0",
        NAME.hex[:-1] + "g",
        NAME.hex[:-2] + "  ",
        NAME.hex[:30] + "  " + NAME.hex[32:],
        NAME.hex[:-1] + "\n",
        " " + NAME.hex[:62] + " ",
        "0x" + NAME.hex[2:],
        NAME.hex[:-1] + "\N{FULLWIDTH DIGIT ONE}",
        NAME.hex + "  ",
    ],
)
def test_what_isnt_64_hex_digits_is_refused(scheme: IdScheme, text: str) -> None:
    with pytest.raises(TypeError, match=r"^Invalid Durable Object ID: must be 64 hex digits$"):
        scheme.parse(text)


def test_an_id_of_another_class_is_refused() -> None:
    other = IdScheme("other")

    with pytest.raises(TypeError, match=r"^Durable Object ID is not valid for this namespace\.$"):
        other.parse(NAME.hex)


@pytest.mark.parametrize("position", range(0, 64, 7))
def test_an_id_with_any_digit_changed_is_refused(scheme: IdScheme, position: int) -> None:
    changed = format((int(NAME.hex[position], 16) + 1) % 16, "x")
    forged = NAME.hex[:position] + changed + NAME.hex[position + 1 :]

    with pytest.raises(TypeError, match="not valid for this namespace"):
        scheme.parse(forged)


# Equality.


def test_ids_are_equal_and_ordered_by_their_digits_alone() -> None:
    named, unnamed = ObjectId("aa", "name"), ObjectId("aa", None, "eu")

    assert named == unnamed
    assert named.equals(unnamed)
    assert len({named, unnamed}) == 1
    assert sorted([ObjectId("bb", "a"), ObjectId("aa", "z")])[0].hex == "aa"


def test_ids_of_different_digits_differ(scheme: IdScheme) -> None:
    assert not NAME.equals(scheme.from_name("Name"))
    assert scheme.from_name("Name") != NAME


def test_an_id_cant_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        NAME.name = "other"  # type: ignore[misc]  # that is the point


# Jurisdictions.


def test_a_name_makes_another_id_in_each_jurisdiction() -> None:
    schemes = [IdScheme("mykey"), *(IdScheme("mykey", name) for name in JURISDICTIONS)]

    ids = [scheme.from_name("name") for scheme in schemes]

    assert len(set(ids)) == len(ids) == 5
    assert [id.jurisdiction for id in ids] == [None, *JURISDICTIONS]


def test_each_jurisdiction_has_a_folder_of_its_own() -> None:
    folders = {IdScheme("mykey", name).directory for name in (None, *JURISDICTIONS)}

    assert len(folders) == 5
    assert IdScheme("mykey").directory == "mykey"


def test_an_unknown_jurisdiction_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown jurisdiction 'mars'; there are eu, fedramp"):
        IdScheme("mykey", "mars")


@pytest.mark.parametrize("jurisdiction", JURISDICTIONS)
def test_a_class_finds_the_jurisdiction_that_an_id_was_made_in(
    scheme: IdScheme, jurisdiction: str
) -> None:
    id = IdScheme("mykey", jurisdiction).new()

    found = scheme.scheme_of(id.hex)

    assert found.jurisdiction == jurisdiction
    assert found.parse(id.hex).jurisdiction == jurisdiction


def test_an_id_without_jurisdiction_is_found_to_have_none(scheme: IdScheme) -> None:
    assert scheme.scheme_of(NAME.hex) is scheme


def test_a_jurisdiction_refuses_the_ids_of_others() -> None:
    eu = IdScheme("mykey", "eu")

    for outside in (NAME, IdScheme("mykey", "us").new()):
        with pytest.raises(TypeError, match="not valid for this namespace"):
            eu.scheme_of(outside.hex)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("12", "must be 64 hex digits"),
        (IdScheme("other", "eu").from_name("a").hex, "not valid for this"),
    ],
)
def test_no_jurisdiction_is_found_for_what_the_class_hasnt_made(
    scheme: IdScheme, text: str, reason: str
) -> None:
    with pytest.raises(TypeError, match=reason):
        scheme.scheme_of(text)
