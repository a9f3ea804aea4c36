"""Load on an HTTP server from many connections, and how many requests it answers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load."""

    answered: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Requests answered in a second."""
        return self.answered / self.seconds


class _Connection(asyncio.Protocol):
    """Asks, reads the answer to its end, and asks again."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.answered = 0
        self._requests = requests
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return
        head = self._received[:head_end].lower()
        assert head.startswith(b"http/1.1 2"), head.decode()
        length_at = head.index(_LENGTH) + len(_LENGTH)
        length = int(head[length_at:].split(b"\r\n", 1)[0])
        if len(self._received) < head_end + len(_HEAD_END) + length:
            return
        self._received = b""
        self.answered += 1
        self._transport.write(next(self._requests))

    def close(self) -> None:
        self._transport.abort()


async def load(
    port: int, paths: list[str], *, method: str = "GET", connections: int, seconds: float
) -> Load:
    """Ask for `paths`, one after another and again, on many connections at once.

    Args:
        connections: How many; each has one request under way at a time.
        seconds: For how long.
    """
    headers = f"Host: 127.0.0.1:{port}\r\nContent-Length: 0\r\n"
    requests = itertools.cycle(
        [f"{method} {path} HTTP/1.1\r\n{headers}\r\n".encode() for path in paths]
    )
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: _Connection(requests), "127.0.0.1", port)
        for _ in range(connections)
    ]
    started = loop.time()
    await asyncio.sleep(seconds)
    answered = sum(connection.answered for _, connection in opened)
    elapsed = loop.time() - started
    for _, connection in opened:
        connection.close()
    return Load(answered, elapsed)
