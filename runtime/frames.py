"""What arrives on a socket: from bytes to messages, on the sans-I/O ``websockets`` (RFC 6455).

Nearly everything that arrives is a whole message in one short frame. That is read here, in a
microsecond or two. Anything else, be it a fragment, a large message, a close frame or a breach
of the protocol, goes to a `ServerProtocol`, which is made for it and dropped afterwards: so a
socket on which nothing happens holds none.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final, Protocol

from websockets.exceptions import PayloadTooBig
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import CLOSING, OPEN
from websockets.server import ServerProtocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # where the package has no wheel
    from websockets.utils import apply_mask

from runtime.connection import AT_ONCE, TOO_BIG
from runtime.messages import Message, pong

INVALID_DATA: Final = 1007
KEPT_BYTES: Final = 4096  # of a frame that isn't whole yet; a larger one goes to `websockets`
WINDOW_BITS: Final = 12  # of compression: 4 KB of memory while a message is packed or unpacked

_TEXT: Final = 0x81
_BINARY: Final = 0x82
_PING: Final = 0x89
_PONG: Final = 0x8A
_MASKED: Final = 0x80

log = logging.getLogger("runtime.frames")


class Receiver(Protocol):
    """Who hears of what has arrived."""

    def message_came(self, message: Message) -> bool:
        """Take a message, and return whether the next one may come at once."""

    def has_enough(self) -> None:
        """Hear that more has arrived than is read at once: resume in the loop's next turn."""

    def reply(self, data: bytes) -> None:
        """Send what the protocol demands."""

    def peer_closed(self, code: int, reason: str) -> None:
        """Hear that the peer has closed its side."""

    def peer_failed(self, error: Exception, code: int, reason: str) -> None:
        """Hear that the peer has broken the protocol, and how that is to be answered."""


def offer() -> ServerPerMessageDeflateFactory:
    """Return what a server offers that compresses: no message builds on the one before.

    So what is sent to many is compressed once, and a socket keeps no memory for it.
    """
    return ServerPerMessageDeflateFactory(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=WINDOW_BITS,
        client_max_window_bits=WINDOW_BITS,
    )


def window_bits(extensions: Sequence[Any]) -> int | None:
    """Return with how large a window the peer expects what it gets; None without compression."""
    for extension in extensions:
        if isinstance(extension, PerMessageDeflate):
            return extension.local_max_window_bits
    return None


class FrameReader:
    """Makes messages of what arrives on one socket.

    Invariants:
        - It is at the beginning of a frame, or `_missing` bytes of one go to the codec.
        - After the peer has closed or failed, nothing is heard of it any more.
    """

    __slots__ = (
        "_closing",
        "_codec",
        "_extensions",
        "_is_over",
        "_is_paused",
        "_is_text",
        "_limit",
        "_missing",
        "_parts",
        "_receiver",
        "_rest",
    )

    def __init__(
        self, receiver: Receiver, limit: int, extensions: Sequence[Extension] = ()
    ) -> None:
        """Args:
        receiver: Who hears of it.
        limit: The most bytes that a message may have; a larger one is answered with 1009.
        extensions: What was agreed on.
        """
        self._receiver = receiver
        self._limit = limit
        self._extensions = list(extensions) or None
        self._codec: ServerProtocol | None = None
        # What has come of the next frame, or of all frames while it is paused.
        self._rest = b""
        self._missing = 0
        # A message of several frames, as far as it has come.
        self._parts: bytearray | None = None
        self._is_text = False
        self._is_paused = False
        self._is_over = False
        self._closing: tuple[int, str] | None = None

    def feed(self, data: bytes) -> None:
        """Take what has arrived. Never raises, whatever it is."""
        if self._is_over:
            return
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if self._is_paused:
            self._rest = data
            return
        at, end, count = 0, len(data), 0
        while at < end and not (self._is_over or self._is_paused):
            if count == AT_ONCE:
                self._is_paused = True
                self._receiver.has_enough()
                break
            count += 1
            if self._missing:
                upto = min(end, at + self._missing)
                self._missing -= upto - at
                self._decode(data[at:upto])
                at = upto
                continue
            if end - at < 2:
                break
            first, second = data[at], data[at + 1]
            length = second & 0x7F
            start = at + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                if end < start:
                    break
                length = int.from_bytes(data[at + 2 : start])
            if second & _MASKED:
                start += 4
                if end < start:
                    break
            upto = start + length
            is_fit = second & _MASKED and length <= self._limit and self._parts is None
            if is_fit and first in (_TEXT, _BINARY):
                if upto <= end:
                    payload = apply_mask(data[start:upto], data[start - 4 : start])
                    at = upto
                    self._deliver(payload, is_text=first == _TEXT)
                    continue
                if length <= KEPT_BYTES:
                    break
            elif first in (_PING, _PONG) and second & _MASKED and upto <= end and length < 126:
                if first == _PING and self._closing is None:
                    payload = apply_mask(data[start:upto], data[start - 4 : start])
                    self._receiver.reply(pong(payload))
                at = upto
                continue
            upto, self._missing = min(end, upto), max(0, upto - end)
            self._decode(data[at:upto])
            at = upto
        if at < end and not self._is_over:
            self._rest = data[at:]

    def resume(self) -> None:
        """Go on after a pause, with what had arrived before."""
        self._is_paused = False
        rest, self._rest = self._rest, b""
        self.feed(rest)

    def close(self, code: int, reason: str) -> None:
        """Hear that our side has been closed: what else comes is only a matter of form."""
        self._closing = (code, reason)
        if self._is_paused:
            self.resume()

    def _deliver(self, payload: bytes | bytearray | memoryview, *, is_text: bool) -> None:
        try:
            message = str(payload, "utf-8") if is_text else bytes(payload)
        except UnicodeDecodeError as error:
            reason = f"{error.reason} at position {error.start}"
            self._fail(error, INVALID_DATA, reason)
            return
        if self._closing is None and not self._receiver.message_came(message):
            self._is_paused = True

    def _decode(self, data: bytes) -> None:
        """Give a frame, or a part of one, to the codec, and see what it says."""
        codec = self._codec
        if codec is None:
            codec = self._codec = ServerProtocol(state=OPEN, max_size=self._limit, logger=log)
            if self._extensions is not None:
                codec.extensions = self._extensions
        if self._closing is not None and codec.state is OPEN:
            codec.close_sent, codec.state = Close(*self._closing), CLOSING  # it has been sent
        codec.receive_data(data)
        for frame in codec.events_received():  # one at most
            assert isinstance(frame, Frame), "the handshake is over"
            self._take(codec, frame)
        if codec.parser_exc is not None:
            self._give_up(codec, codec.parser_exc)
        elif not self._is_over:
            output = b"".join(codec.data_to_send())
            if output and self._closing is None:
                self._receiver.reply(output)
            if not self._missing and self._parts is None:
                self._codec = None

    def _take(self, codec: ServerProtocol, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self._end(codec)
        elif frame.opcode is Opcode.PING or frame.opcode is Opcode.PONG:
            pass  # the codec has an answer
        elif frame.opcode is not Opcode.CONT and frame.fin:
            self._deliver(frame.data, is_text=frame.opcode is Opcode.TEXT)
        else:
            if self._parts is None:
                self._parts, self._is_text = bytearray(), frame.opcode is Opcode.TEXT
            self._parts += frame.data
            if frame.fin:
                whole, self._parts = self._parts, None
                self._deliver(whole, is_text=self._is_text)

    def _end(self, codec: ServerProtocol) -> None:
        close = codec.close_rcvd
        assert close is not None, "the codec has parsed it"
        self._is_over, self._codec = True, None
        if output := b"".join(codec.data_to_send()):
            self._receiver.reply(output)
        self._receiver.peer_closed(int(close.code), close.reason)

    def _give_up(self, codec: ServerProtocol, error: Exception) -> None:
        if isinstance(error, PayloadTooBig):
            self._fail(error, TOO_BIG, f"a message may have {self._limit} bytes")
        elif codec.close_sent is not None:
            self._fail(error, int(codec.close_sent.code), codec.close_sent.reason)
        else:
            self._fail(error, INVALID_DATA, str(error))

    def _fail(self, error: Exception, code: int, reason: str) -> None:
        if not self._is_over:
            self._is_over = True
            self._codec = None
            self._receiver.peer_failed(error, code, reason)
