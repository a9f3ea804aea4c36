"""What sockets carry, and how it is framed: once for all that it goes to (RFC 6455, section 5).

A frame from a server has no mask, so the same bytes do for every socket. With compression that
holds too, as long as no message builds on the one before (RFC 7692, 7.1.1.1).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import ClassVar, Final

Message = str | bytes

MAX_REASON_BYTES: Final = 123  # of a close frame's reason: the protocol's limit
_RESERVED_CODES: Final = (1004, 1005, 1006, 1015)  # which say what no frame has said
WORTH_COMPRESSING: Final = 128  # bytes; what is shorter hardly gets smaller

_TEXT: Final = 0x81  # whole messages, in one frame each
_BINARY: Final = 0x82
CLOSE: Final = 0x88  # the first byte of the frame that ends a connection
_COMPRESSED: Final = 0x40
_SYNC_MARK: Final = b"\x00\x00\xff\xff"  # the end of what zlib flushes; left out on the wire

PING: Final = b"\x89\x00"


class Outgoing:
    """A message on its way out, to one socket or to many.

    Attributes:
        message: As it was sent.
        frame: The same as it is on the wire, without compression.
        size: How many bytes that is.
    """

    __slots__ = ("_deflated", "frame", "message", "size")

    def __init__(self, message: Message) -> None:
        self.message = message
        if isinstance(message, str):
            payload = message.encode()
            self.frame = _header(_TEXT, len(payload)) + payload
        else:
            self.frame = _header(_BINARY, len(message)) + message
        self.size = len(self.frame)
        self._deflated: dict[int, bytes] | None = None

    def compressed(self, window_bits: int) -> bytes:
        """Return the frame for sockets that have agreed on compression with such a window."""
        if self.size < WORTH_COMPRESSING:
            return self.frame
        if self._deflated is None:
            self._deflated = {}
        frame = self._deflated.get(window_bits)
        if frame is None:
            is_text = isinstance(self.message, str)
            payload = self.message.encode() if isinstance(self.message, str) else self.message
            deflate = zlib.compressobj(wbits=-window_bits)
            data = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
            data = data.removesuffix(_SYNC_MARK)
            frame = _header((_TEXT if is_text else _BINARY) | _COMPRESSED, len(data)) + data
            self._deflated[window_bits] = frame
        return frame


@dataclass(frozen=True, slots=True)
class Closing:
    """A close frame on its way out."""

    code: int
    reason: str
    size: ClassVar[int] = 0


Parcel = Outgoing | Closing


def sendable(message: object) -> Message:
    """Return a message as it is sent, copied if it could change.

    Raises:
        TypeError: If it is neither text nor bytes.
        UnicodeEncodeError: If it is text with half a character in it.
    """
    if isinstance(message, str):
        if not message.isascii():
            message.encode()  # half a character has no place in UTF-8: the sender gets the error
        return message
    if isinstance(message, bytes | bytearray | memoryview):
        return bytes(message)
    raise TypeError(f"a message is text or bytes, not {type(message).__name__}")


def closing(code: int, reason: str) -> Closing:
    """Return a close frame as object code may ask for it.

    Raises:
        ValueError: If the code is none that may be sent, or the reason is too long.
    """
    if not 1000 <= code <= 4999 or code in _RESERVED_CODES:
        raise ValueError(f"Invalid WebSocket close code: {code}.")
    if len(reason.encode()) > MAX_REASON_BYTES:
        raise ValueError(
            "WebSocket close reason must not be longer than 123 bytes when UTF-8 encoded."
        )
    return Closing(code, reason)


def close_frame(code: int, reason: str) -> bytes:
    """Return the frame that ends a connection."""
    payload = struct.pack("!H", code) + reason.encode()
    return _header(CLOSE, len(payload)) + payload


def pong(payload: bytes) -> bytes:
    """Return the answer to a ping."""
    return _header(0x8A, len(payload)) + payload


def shortened(reason: str) -> str:
    """Return as much of a reason as a close frame takes."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


def _header(first: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, length))
    if length < 65_536:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)
