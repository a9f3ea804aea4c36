"""Load on an HTTP server from many connections, and how many requests it answers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
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
    """Asks, reads the answer to its end, and asks again, while there is something to ask."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.answered = 0
        self.took: list[float] = []
        self.is_done = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._asked = 0.0
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

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
        self.took.append(perf_counter() - self._asked)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.is_done.done():
            self.is_done.set_exception(exc or ConnectionError("the server hung up"))

    def close(self) -> None:
        self.is_done.cancel()
        self._transport.abort()

    def _ask(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.is_done.set_result(None)
        else:
            self._asked = perf_counter()
            self._transport.write(request)


async def load(
    port: int, paths: list[str], *, method: str = "GET", connections: int, seconds: float
) -> Load:
    """Ask for `paths`, one after another and again, on many connections at once.

    Args:
        connections: How many; each has one request under way at a time.
        seconds: For how long.
    """
    requests = itertools.cycle(_requests(port, paths, method))
    opened = await _connect(port, requests, connections)
    loop = asyncio.get_running_loop()
    started = loop.time()
    await asyncio.sleep(seconds)
    answered = sum(connection.answered for connection in opened)
    elapsed = loop.time() - started
    for connection in opened:
        connection.close()
    return Load(answered, elapsed)


async def once(
    port: int, paths: list[str], *, method: str = "GET", connections: int = 1
) -> list[float]:
    """Ask for each of `paths` once, and return how many seconds each answer took.

    Args:
        connections: How many; each has one request under way at a time.
    """
    opened = await _connect(port, iter(_requests(port, paths, method)), connections)
    await asyncio.gather(*(connection.is_done for connection in opened))
    for connection in opened:
        connection.close()
    return [seconds for connection in opened for seconds in connection.took]


def _requests(port: int, paths: list[str], method: str) -> list[bytes]:
    headers = f"Host: 127.0.0.1:{port}\r\nContent-Length: 0\r\n"
    return [f"{method} {path} HTTP/1.1\r\n{headers}\r\n".encode() for path in paths]


async def _connect(port: int, requests: Iterator[bytes], connections: int) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    return [
        (await loop.create_connection(lambda: _Connection(requests), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
