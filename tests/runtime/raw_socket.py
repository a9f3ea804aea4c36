"""A WebSocket client that sends whatever bytes a test tells it to, and shows what comes back."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Final, Self

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

PATIENCE: Final = 60  # seconds for what should come at once, on a busy machine

_MASK: Final = b"\x9c\x01\xf7\x5a"


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame from the server."""

    opcode: int
    payload: bytes
    rsv: int = 0

    @property
    def end(self) -> tuple[int, str]:
        """The code and the reason of a close frame; 1005 if it has none."""
        assert self.opcode == CLOSE, f"not a close frame: {self}"
        if not self.payload:
            return 1005, ""
        return int.from_bytes(self.payload[:2]), self.payload[2:].decode()


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    is_masked: bool = True,
    length: int | None = None,
    length_bytes: int | None = None,
) -> bytes:
    """Return a frame as a client sends it, or as none should.

    Args:
        rsv: The three reserved bits, as a number.
        length: What the frame says that its length is; by default the truth.
        length_bytes: In how many bytes more than the first it says so: 0, 2 or 8; by default
            in as few as will do.
    """
    if length is None:
        length = len(payload)
    if length_bytes is None:
        length_bytes = 0 if length < 126 else 2 if length < 65_536 else 8
    mask_bit = 0x80 if is_masked else 0
    head = bytes((fin << 7 | rsv << 4 | opcode,))
    match length_bytes:
        case 0:
            head += bytes((mask_bit | length,))
        case 2:
            head += struct.pack("!BH", mask_bit | 126, length)
        case _:
            head += struct.pack("!BQ", mask_bit | 127, length)
    return head + _MASK + masked(payload) if is_masked else head + payload


def masked(payload: bytes) -> bytes:
    """Return a payload as a client's frame has it."""
    size = len(payload)
    mask = (_MASK * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(mask)).to_bytes(size)


def text(message: str) -> bytes:
    """Return a frame with a whole message."""
    return frame(TEXT, message.encode())


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    """Return a close frame."""
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def handshake(path: str, *extra: str, host: str = "test", **instead: str | None) -> bytes:
    """Return the head of a request for a WebSocket.

    Args:
        extra: Lines to add.
        instead: What headers to change, with ``_`` for ``-``; None leaves one out.
    """
    headers: dict[str, str | None] = {
        "host": host,
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIG1vdXNlIHNsZWVwcw==",
    }
    headers |= {name.replace("_", "-"): value for name, value in instead.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join((f"GET {path} HTTP/1.1", *lines, *extra, "", "")).encode()


class RawSocket:
    """The client's end of a TCP connection to the server.

    Attributes:
        head: What the server has answered to the handshake.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.head = b""

    @classmethod
    async def connect(cls, address: str, *, kernel_bytes: int | None = None) -> Self:
        """Connect, and send nothing yet.

        Args:
            kernel_bytes: About how much the kernel takes before it is read, if it isn't to decide
                that by itself.
        """
        host, port = address.split(":")
        sock = socket.socket(proto=socket.IPPROTO_TCP)  # or asyncio leaves Nagle's delays in
        if kernel_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kernel_bytes)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        return cls(*await asyncio.open_connection(sock=sock))

    async def open(self, path: str, *extra: str) -> None:
        """Open a WebSocket on the connection."""
        await self.send(handshake(path, *extra))
        self.head = await self.response_head()
        assert self.head.startswith(b"HTTP/1.1 101 "), self.head

    async def response_head(self) -> bytes:
        """Return the head of a response."""
        async with asyncio.timeout(PATIENCE):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def send(self, *pieces: bytes) -> None:
        """Send pieces of data, one after the other, with a turn of the server's loop between."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(0)

    async def some(self, size: int) -> int:
        """Take up to so many bytes of whatever comes, and return how many there were."""
        async with asyncio.timeout(PATIENCE):
            return len(await self._reader.read(size))

    async def frame(self) -> Frame:
        """Return the next frame from the server.

        Raises:
            EOFError: If there is none, and none can come.
        """
        async with asyncio.timeout(PATIENCE):
            first, second = await self._reader.readexactly(2)
            assert first & 0x80, "the server sends whole messages"
            assert not second & 0x80, "a server's frames have no mask"
            length = second & 0x7F
            if length >= 126:
                length = int.from_bytes(await self._reader.readexactly(2 if length == 126 else 8))
            payload = await self._reader.readexactly(length)
        return Frame(first & 0x0F, payload, first >> 4 & 0x07)

    async def rest(self) -> list[Frame]:
        """Return all frames until the server ends the connection."""
        frames: list[Frame] = []
        try:
            while True:
                frames.append(await self.frame())
        except EOFError:
            return frames

    async def until_close(self) -> list[Frame]:
        """Return all frames until one that closes."""
        frames = [await self.frame()]
        while frames[-1].opcode != CLOSE:
            frames.append(await self.frame())
        return frames

    async def end(self) -> tuple[int, str]:
        """Return why the server closes, once it has, and answered with nothing else."""
        frames = await self.rest()
        assert len(frames) == 1, frames
        return frames[0].end

    def send_no_more(self) -> None:
        """End the client's half of the connection, without a close frame."""
        self._writer.write_eof()

    def leave(self) -> None:
        """End the connection without a word."""
        self._writer.close()

    def reset(self) -> None:
        """End the connection as a crash does: the server gets a TCP RST."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
