"""From a name to an id to a place on disk, bit for bit as the original does it.

An id is 32 bytes: 16 that say which object (an HMAC of its name, or random) and 16 that prove
which class it belongs to (an HMAC of the first 16). The key of both is the class's
``unique_key``. So a name needs no look-up, an id of another class is recognised without one,
and no id leads back to its name.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Final

MAX_NAME_BYTES: Final = 1024  # a longer name still makes an id, but the id doesn't keep it
JURISDICTIONS: Final = ("eu", "fedramp", "fedramp-high", "us")

_HALF: Final = 16


@dataclass(frozen=True, order=True, slots=True)
class ObjectId:
    """Which object. Equal, ordered and hashed by its 64 hex digits alone."""

    hex: str
    name: str | None = field(default=None, compare=False)
    """What it was made from; None for random and parsed ids, and for names over 1,024 bytes."""
    jurisdiction: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.hex

    def equals(self, other: ObjectId) -> bool:
        """Whether both name the same object."""
        return self.hex == other.hex


class IdScheme:
    """Makes and checks the ids of one class.

    Args:
        unique_key: The class's key. It never changes, not even when the class is renamed.
        jurisdiction: Where the ids are bound to; the same name then makes another id.
    """

    def __init__(self, unique_key: str, jurisdiction: str | None = None) -> None:
        if jurisdiction is not None and jurisdiction not in JURISDICTIONS:
            raise ValueError(
                f"unknown jurisdiction {jurisdiction!r}; there are {', '.join(JURISDICTIONS)}"
            )
        self.unique_key = unique_key
        self.jurisdiction = jurisdiction
        self.directory = f"{unique_key}@{jurisdiction}" if jurisdiction else unique_key
        self._key = sha256(self.directory.encode()).digest()
        self._hex_of_name = lru_cache(maxsize=4096)(self._compute_hex_of_name)

    def from_name(self, name: str) -> ObjectId:
        """Return the id of `name`: always the same, and no look-up."""
        kept = name if len(name.encode()) <= MAX_NAME_BYTES else None
        return ObjectId(self._hex_of_name(name), kept, self.jurisdiction)

    def new(self) -> ObjectId:
        """Return an id that nobody has and nobody can guess."""
        return ObjectId(self._sealed(secrets.token_bytes(_HALF)), None, self.jurisdiction)

    def parse(self, text: str) -> ObjectId:
        """Return the id that `text` spells. It has no name.

        Raises:
            TypeError: If it isn't 64 hex digits, or is the id of another class.
        """
        try:
            raw = bytes.fromhex(text) if len(text) == 4 * _HALF else b""
        except ValueError:
            raw = b""
        if len(raw) != 2 * _HALF:  # fromhex skips blanks, so the text's length isn't enough
            raise TypeError("Invalid Durable Object ID: must be 64 hex digits")
        if not hmac.compare_digest(raw[_HALF:], self._mac(raw[:_HALF])):
            raise TypeError("Durable Object ID is not valid for this namespace.")
        return ObjectId(raw.hex(), None, self.jurisdiction)

    def scheme_of(self, text: str) -> IdScheme:
        """Return the scheme that made the id: this one, or that of a jurisdiction within it.

        Raises:
            TypeError: If it is the id of another class, or of another jurisdiction than this.
        """
        wider = () if self.jurisdiction else JURISDICTIONS
        for scheme in (self, *(IdScheme(self.unique_key, name) for name in wider)):
            if scheme._has_made(text):
                return scheme
        self.parse(text)
        raise AssertionError("an id that no scheme has made doesn't parse")

    def _has_made(self, text: str) -> bool:
        try:
            self.parse(text)
        except TypeError:
            return False
        return True

    def _compute_hex_of_name(self, name: str) -> str:
        return self._sealed(self._mac(name.encode()))

    def _sealed(self, base: bytes) -> str:
        return (base + self._mac(base)).hex()

    def _mac(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, "sha256")[:_HALF]
