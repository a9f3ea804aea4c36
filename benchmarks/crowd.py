"""Many WebSocket clients at once, as cheap as they can be.

Nothing is decoded: where a server sends every client frames of one size, bytes are counted. All
clients read into one buffer. What they send is masked with zeros, so it is made only once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import cast

CONNECTING_AT_ONCE = 64
PATIENCE_SECONDS = 20  # with what was sent and hasn't arrived
_BUFFER = bytearray(256 * 1024)
_VIEW = memoryview(_BUFFER)
_TEXT, _PING = 0x81, 0x89
_PONG = b"\x8a%c\0\0\0\0"
_HEADERS = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)

Heard = Callable[["Member", int], object]


def frame(payload: bytes) -> bytes:
    """Return a text message as a client sends it."""
    size = len(payload)
    head = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((_TEXT,)) + head + bytes(4) + payload


class Member(asyncio.BufferedProtocol):
    """One client."""

    __slots__ = (
        *("_answered", "_begins", "_request", "_rest", "_size"),
        *("heard", "is_lost", "received", "transport"),
    )

    def __init__(
        self, request: bytes, size: int, begins: bytes, answered: asyncio.Future[None]
    ) -> None:
        self.received = 0
        """How many messages it has received."""
        self.heard: Heard = _ignore
        """Called with how many more there are."""
        self.is_lost = False
        self.transport: asyncio.Transport
        self._request = request
        self._size = size
        self._begins = begins
        self._answered: asyncio.Future[None] | None = answered
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def get_buffer(self, sizehint: int) -> bytearray:
        return _BUFFER  # what is in it is looked at before anybody else reads

    def buffer_updated(self, nbytes: int) -> None:
        if self._begins or self._rest or nbytes % self._size or _BUFFER[0] != _TEXT:
            count = self._count(self._rest + bytes(_VIEW[:nbytes]))
        else:
            count = nbytes // self._size
        if count:
            self.received += count
            self.heard(self, count)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionError("the handshake was refused"))

    def _count(self, data: bytes) -> int:
        """Return how many messages there are among the handshake's end, pings and rests."""
        count = 0
        if self._answered is not None:
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = data
                return 0
            assert head.startswith(b"HTTP/1.1 101"), head.decode()
            self._answered.set_result(None)
            self._answered, data = None, rest
        start = 0
        while len(data) >= start + 2:
            first, length = data[start : start + 2]
            body = start + 2
            if length == 126:
                body, length = start + 4, int.from_bytes(data[start + 2 : start + 4])
            stop = body + length
            if len(data) < stop:
                break
            if first == _TEXT:
                count += data.startswith(self._begins, body)
            else:
                assert first == _PING, f"the server sent {data[start : start + 125]!r}"
                self.transport.write(_PONG % (0x80 | length) + data[body:stop])
            start = stop
        self._rest = data[start:]
        return count


class Crowd:
    """Clients of one server, all of which receive the same messages.

    Args:
        payload: What any of them sends, and the server sends unchanged.
        begins: What the messages begin with that are counted, where the server sends others too.
    """

    def __init__(self, port: int, payload: bytes, begins: bytes = b"") -> None:
        self.members: list[Member] = []
        self.frame = frame(payload)
        self._port = port
        self._size = len(self.frame) - 4  # of a frame without mask
        self._begins = begins

    async def join(self, paths: list[str], cookies: Iterable[str] = repeat("")) -> None:
        """Connect one more client to each of `paths`."""
        doors = list(zip(paths, cookies, strict=False))
        for first in range(0, len(doors), CONNECTING_AT_ONCE):
            some = doors[first : first + CONNECTING_AT_ONCE]
            self.members += await asyncio.gather(*(self._connect(*door) for door in some))

    @property
    def received(self) -> int:
        """How many messages all of them have received."""
        return sum(member.received for member in self.members)

    @property
    def is_whole(self) -> bool:
        """Whether nobody has lost the connection."""
        return not any(member.is_lost for member in self.members)

    def send(self, member: Member, count: int = 1) -> None:
        """Send so many messages."""
        member.transport.write(self.frame * count)

    async def have_received(self, count: int) -> None:
        """Return once so many messages have arrived.

        Raises:
            TimeoutError: If they don't.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.received < count:  # noqa: ASYNC110  # nothing is measured meanwhile
                await asyncio.sleep(0.01)
        assert self.received == count, "no message arrives twice"

    def leave(self) -> None:
        """Drop all connections."""
        for member in self.members:
            member.transport.abort()
        self.members.clear()

    async def _connect(self, path: str, cookie: str) -> Member:
        loop = asyncio.get_running_loop()
        headers = f"Host: 127.0.0.1:{self._port}\r\nCookie: {cookie}\r\n{_HEADERS}"
        request = f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode()
        answered = loop.create_future()
        _, member = await loop.create_connection(
            lambda: Member(request, self._size, self._begins, answered), "127.0.0.1", self._port
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            await answered
        return member


def _ignore(member: Member, count: int) -> None:
    """Hear of messages, and leave it at that."""
