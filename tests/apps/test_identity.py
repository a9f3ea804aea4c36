"""Guests and their tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from pydantic import ValidationError

from apps.identity import LIFETIME_SECONDS, Guest, NewGuest, Tokens, new_guest


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ada", "Ada"),
        ("  Ada   Lovelace ", "Ada Lovelace"),
        ("é" * 32, "é" * 32),
        ("सरो\u200dजा", "सरो\u200dजा"),
        ("👩\u200d👧", "👩\u200d👧"),
    ],
)
def test_a_name_is_kept_without_needless_blanks(text: str, name: str) -> None:
    assert NewGuest(name=text).name == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "x" * 33,
        "a\x00b",
        "\u202eadA",
        "a\ud800",
        "\u200d",
        "\u3164",
        "\u2800 \ufe0f",
        "a\u180eb",
    ],
)
def test_a_name_that_cant_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        NewGuest(name=text)


class LongAgo(TimestampSigner):
    """Signs with a date of more than a year ago."""

    def get_timestamp(self) -> int:
        return super().get_timestamp() - LIFETIME_SECONDS - 60


def test_a_token_that_is_too_old_is_none_the_second_time_either() -> None:
    secret = b"s" * 32
    old = URLSafeTimedSerializer(secret, salt="guest", signer=LongAgo).dumps(["1", "Ada"])
    tokens = Tokens(secret)

    assert [tokens.read(str(old)) for _ in range(2)] == [None, None]


def test_a_token_proves_who_its_holder_is() -> None:
    tokens, guest = Tokens(b"secret"), new_guest(NewGuest(name="Ada"))

    assert tokens.read(tokens.issue(guest)) == guest


@pytest.mark.parametrize(
    "spoil", [lambda t: t[:-1], lambda t: t + "x", lambda t: "", lambda t: "é" + t]
)
def test_a_spoilt_token_proves_nothing(spoil: object) -> None:
    tokens = Tokens(b"secret")
    token = tokens.issue(Guest(id="1", name="Ada"))

    assert tokens.read(spoil(token)) is None  # type: ignore[operator]


def test_a_token_of_another_server_proves_nothing() -> None:
    token = Tokens(b"another").issue(Guest(id="1", name="Ada"))

    assert Tokens(b"secret").read(token) is None


def test_the_secret_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    file = tmp_path / "data" / "secret"
    guest = Guest(id="1", name="Ada")
    token = Tokens.kept_in(file).issue(guest)

    assert Tokens.kept_in(file).read(token) == guest
    assert file.stat().st_mode & 0o077 == 0
    assert len(file.read_bytes()) == 32


@pytest.mark.parametrize("left", [b"", b"half a secret"])
def test_a_secret_that_was_half_written_is_made_anew(tmp_path: Path, left: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(left)
    forged = Tokens(left).issue(Guest(id="1", name="Ada"))

    tokens = Tokens.kept_in(file)

    assert tokens.read(forged) is None
    assert [(path.name, len(path.read_bytes())) for path in tmp_path.iterdir()] == [("secret", 32)]
    assert file.stat().st_mode & 0o077 == 0


def test_a_guest_who_takes_another_name_stays_the_same_guest() -> None:
    known = Guest(id="1", name="Ada")

    assert new_guest(NewGuest(name="Countess"), known) == Guest(id="1", name="Countess")
    assert new_guest(NewGuest(name="Ada")).id != new_guest(NewGuest(name="Ada")).id
