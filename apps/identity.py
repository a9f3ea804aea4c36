"""Who somebody is: a guest with a name of their choice, and a signed token that says so.

There are no accounts. The token is a cookie for the pages, and a bearer token for the API. It
proves that its holder is the same guest as before, and nothing else.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Final

from itsdangerous import BadSignature, TimestampSigner, URLSafeTimedSerializer
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie, Headers
from litestar.enums import ScopeType
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from pydantic import AfterValidator, BaseModel, ConfigDict

COOKIE: Final = "guest"
LIFETIME_SECONDS: Final = 365 * 24 * 3600
MAX_NAME: Final = 32  # characters
MAX_KNOWN: Final = 10_000  # tokens whose signature isn't checked again
_SECRET_BYTES: Final = 32
_BEARER: Final = "bearer"
# Marks inside a word that change how its letters are joined: Persian names need them, and emoji.
_JOINERS: Final = "\u200c\u200d"
# Letters and marks that show as nothing.
_INVISIBLE: Final = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]"
    r"|[\U000e0100-\U000e01ef]"
)


def guest_name(text: str) -> str:
    """Return a name as it is shown: without blanks around it or runs of them inside.

    Raises:
        ValueError: If nothing is left, it is too long, or has characters nobody can read.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    visible = name.translate(dict.fromkeys(map(ord, _JOINERS)))
    if not _INVISIBLE.sub("", visible).strip() or len(name) > MAX_NAME:
        raise ValueError(f"a name has 1 to {MAX_NAME} characters")
    # Cc, Cf, Cs: control characters, marks that turn text around, and halves of characters.
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in visible):
        raise ValueError("a name can't have control characters")
    return name


class NewGuest(BaseModel):
    """What somebody gives to become a guest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(guest_name)]


class Guest(BaseModel):
    """Somebody who has chosen a name."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str


class Token(BaseModel):
    """What proves who somebody is. Send it as ``Authorization: Bearer …``."""

    token: str


class Tokens:
    """Makes and reads tokens, with a secret of this server."""

    def __init__(self, secret: bytes) -> None:
        self._serializer = URLSafeTimedSerializer(secret, salt="guest")
        self._signer = TimestampSigner(secret, salt="guest")
        self._known: dict[str, tuple[Guest, float]] = {}
        """Tokens that were read before, whose they are, and when they were made."""

    @classmethod
    def kept_in(cls, file: Path) -> Tokens:
        """Use the secret in `file`; make one if there is none, or no whole one."""
        secret = file.read_bytes() if file.exists() else b""
        if len(secret) != _SECRET_BYTES:
            secret = secrets.token_bytes(_SECRET_BYTES)
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = file.with_name(f"{file.name}.new")
            draft.unlink(missing_ok=True)
            draft.touch(mode=0o600)
            draft.write_bytes(secret)
            draft.replace(file)
        return cls(secret)

    def issue(self, guest: Guest) -> str:
        """Return a token for `guest`."""
        return str(self._serializer.dumps([guest.id, guest.name]))

    def read(self, token: str) -> Guest | None:
        """Return whose token it is; None if it is forged, spoilt or too old."""
        if token not in self._known:  # else its signature is known to be ours
            try:
                (id, name), made_at = self._serializer.loads(token, return_timestamp=True)
                guest = Guest(id=id, name=name)
            except (BadSignature, ValueError, TypeError):
                return None
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[token] = guest, made_at.timestamp()
        guest, made = self._known[token]
        return guest if self._signer.get_timestamp() - made <= LIFETIME_SECONDS else None

    def cookie(self, guest: Guest, *, secure: bool) -> Cookie:
        """Return the cookie that keeps a browser's guest."""
        return Cookie(
            COOKIE,
            value=self.issue(guest),
            max_age=LIFETIME_SECONDS,
            httponly=True,
            samesite="lax",
            secure=secure,
        )


def new_guest(wanted: NewGuest, known: Guest | None = None) -> Guest:
    """Return a guest of that name: the one that is known, or one whose id nobody has."""
    return Guest(id=known.id if known else secrets.token_hex(8), name=wanted.name)


class GuestMiddleware(ASGIMiddleware):
    """Sets ``connection.user`` to the guest, or to None where there is none.

    A request with a bearer token that is forged or too old gets 401. A WebSocket isn't refused
    here, as its client couldn't see why: its object does that.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        scheme, _, token = Headers.from_scope(scope).get("authorization", "").partition(" ")
        is_bearer = scheme.lower() == _BEARER  # else it is for a proxy before us
        if not is_bearer:
            token = ASGIConnection[Any, Any, Any, Any](scope).cookies.get(COOKIE, "")
        guest = self._tokens.read(token.strip())
        if guest is None and is_bearer and scope["type"] == ScopeType.HTTP:
            raise NotAuthorizedException(
                "this token isn't valid; POST /api/identity gives a new one"
            )
        scope["user"], scope["auth"] = guest, None
        await next_app(scope, receive, send)


async def needs_guest(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Guard: only for somebody who has a name here. (Litestar runs a plain `def` in a thread.)

    Raises:
        NotAuthorizedException: For everybody else.
    """
    who(connection)


def who(connection: ASGIConnection[Any, Any, Any, Any]) -> Guest:
    """Return whose connection it is.

    Raises:
        NotAuthorizedException: If it is nobody's.
    """
    guest: Guest | None = connection.user
    if guest is None:
        raise NotAuthorizedException(
            "who are you? Choose a name first; a program gets a token from POST /api/identity"
        )
    return guest
