"""The request and the response of an object's ``fetch``: values, with no connection behind them.

The one exception is a WebSocket that comes with a request. It isn't copied; it is handed over.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from runtime.sockets import WebSocket


SWITCHING_PROTOCOLS: Final = 101

M = TypeVar("M", "Request", "Response")


class Request:
    """What is asked of an object.

    Attributes:
        method: In upper case.
        url: Absolute.
        headers: Names in lower case.
        body: Bytes, empty if there are none.
        web_socket: The WebSocket whose handshake this is, or None.

    Raises:
        TypeError: If the URL isn't absolute.
    """

    crosses_by_copy = True

    def __init__(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | str = b"",
        web_socket: WebSocket | None = None,
    ) -> None:
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise TypeError(f"Invalid URL: {url}") from error
        if not (parts.scheme and parts.netloc):
            raise TypeError(f"Invalid URL: {url}")
        self.url = url
        self.method = method.upper()
        self.headers = _lower_case(headers)
        self.body = body.encode() if isinstance(body, str) else bytes(body)
        self.web_socket = web_socket

    def __copy__(self) -> Request:
        return _copy_of(self)

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def query(self) -> dict[str, str]:
        """The URL's query; of a name that comes twice, the last value."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    def text(self) -> str:
        """Return the body as text. Raises UnicodeDecodeError if it isn't UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """Return what the body says as JSON. Raises ValueError if it isn't."""
        return json_module.loads(self.body)


class Response:
    """What an object answers. Give it one of `text`, `json` and `body`, or none.

    Raises:
        ValueError: If the status isn't one of 200 to 599; see `switching_protocols` for 101.
    """

    crosses_by_copy = True

    def __init__(
        self,
        status: int = 200,
        *,
        text: str | None = None,
        json: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if not 200 <= status <= 599:
            raise ValueError(
                "Responses may only be constructed with status codes in the range 200 to 599, "
                "inclusive."
            )
        self.status = status
        self.headers = _lower_case(headers)
        self.body = body if body is not None else b""
        if text is not None:
            self.body = text.encode()
            self.headers.setdefault("content-type", "text/plain; charset=utf-8")
        elif json is not None:
            self.body = json_module.dumps(json).encode()
            self.headers.setdefault("content-type", "application/json")

    @classmethod
    def switching_protocols(
        cls, *, protocol: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Answer that the WebSocket which came with the request has been accepted.

        Args:
            protocol: The subprotocol chosen, one of those the client has offered.
        """
        response = cls(headers=headers)
        response.status = SWITCHING_PROTOCOLS
        if protocol is not None:
            response.headers["sec-websocket-protocol"] = protocol
        return response

    def __copy__(self) -> Response:
        return _copy_of(self)

    @property
    def ok(self) -> bool:
        return 200 <= self.status <= 299

    def text(self) -> str:
        """Return the body as text. Raises UnicodeDecodeError if it isn't UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """Return what the body says as JSON. Raises ValueError if it isn't."""
        return json_module.loads(self.body)


def _copy_of(message: M) -> M:
    twin = object.__new__(type(message))
    twin.__dict__.update(message.__dict__, headers=dict(message.headers))
    return twin


def _lower_case(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}
