"""A WebSocket without a network between its ends, for tests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from functools import partial
from typing import Any, Final

from runtime import edge
from runtime.connection import NO_STATUS, TOO_BIG, VANISHED, VANISHED_REASON
from runtime.fetch import SWITCHING_PROTOCOLS, Request, Response
from runtime.messages import MAX_REASON_BYTES, Message, Outgoing, sendable
from runtime.sockets import WebSocket

_NEVER_SENT: Final = (1004, VANISHED, 1015)  # the protocol keeps these for other things


class HandshakeRefused(Exception):
    """The object hasn't accepted the WebSocket.

    Attributes:
        response: What it has answered.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(f"{response.status} {response.text()}")
        self.response = response


class SocketClosed(Exception):
    """There is nothing more to receive.

    Attributes:
        code: Why, as a WebSocket close code.
        reason: The same in words.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason


async def connect(
    stub: Any, url: str, headers: Mapping[str, str] | None, settle: Callable[[], Awaitable[None]]
) -> ClientSocket:
    """Open a WebSocket to an object, and return the client's end.

    Args:
        url: Absolute, or its path alone.
        settle: Awaited whenever the client has done something, for what follows from that.

    Raises:
        HandshakeRefused: If the object answers anything but 101.
    """
    client = ClientSocket(settle)
    absolute = url if "://" in url else f"ws://test{url}"
    server = client.server = WebSocket(client.wire, url=absolute)
    response = await stub.fetch(Request(absolute, headers=headers, web_socket=server))
    if response.status != SWITCHING_PROTOCOLS:
        raise HandshakeRefused(response)
    server.protocol = response.headers.get("sec-websocket-protocol", "")
    server.opened()
    return client


class ClientSocket:
    """The client's end of a WebSocket without a network.

    Attributes:
        received: What has arrived and hasn't been taken by `receive`, oldest first.
        closed: The code and the reason of the close, once it is closed.
    """

    def __init__(self, settle: Callable[[], Awaitable[None]]) -> None:
        self.server: WebSocket
        self.wire = Wire(self)
        self.received: deque[Message] = deque()
        self.closed: tuple[int, str] | None = None
        self._settle = settle

    async def send(self, message: Message) -> None:
        """Send a message, and let the object handle it. One of more than 32 MiB closes it, by 1009.

        Raises:
            SocketClosed: If it is closed.
            TypeError: If the message is neither text nor bytes.
            UnicodeEncodeError: If the text has half a character in it.
        """
        if self.closed is not None:
            raise SocketClosed(*self.closed)
        self.wire.bring(sendable(message))
        await self._settle()

    async def receive(self) -> Message:
        """Return the oldest message that hasn't been taken.

        Raises:
            SocketClosed: If there is none, and none can come.
            AssertionError: If there is none, and nothing is under way that could bring one.
        """
        if not self.received:
            await self._settle()
        if self.received:
            return self.received.popleft()
        if self.closed is not None:
            raise SocketClosed(*self.closed)
        raise AssertionError("nothing has been sent to this socket")

    async def leave(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket properly.

        Args:
            code: 1005 stands for a close frame without a code.
            reason: At most 123 bytes of UTF-8.

        Raises:
            ValueError: If no close frame can have that.
        """
        is_code = 1000 <= code < 1016 or 3000 <= code < 5000
        if not is_code or code in _NEVER_SENT or (code == NO_STATUS and reason):
            what = "a reason without a code" if code == NO_STATUS else f"the code {code}"
            raise ValueError(f"no close frame has {what}; vanish() ends without one")
        if len(reason.encode()) > MAX_REASON_BYTES:
            raise ValueError(f"a close frame's reason has {MAX_REASON_BYTES} bytes at most")
        if self.closed is None:
            self.closed = (code, reason)
            self.server.disconnected(code, reason, was_clean=True)
        await self._settle()

    async def vanish(self) -> None:
        """Lose the connection without a close frame."""
        if self.closed is None:
            self.closed = (VANISHED, "")
            self.server.disconnected(VANISHED, VANISHED_REASON, was_clean=False)
        await self._settle()


class Wire:
    """The object's end of it: `sockets.Connection`."""

    is_flushed = True

    def __init__(self, client: ClientSocket) -> None:
        self._client = client
        self._is_paused = False
        self._waiting: deque[Message] = deque()

    def bring(self, message: Message) -> None:
        """Take a message from the client to the object, once that can take it."""
        self._waiting.append(message)
        if not self._is_paused:
            self.resume()

    def resume(self) -> None:
        self._is_paused = False
        client = self._client
        while self._waiting and not self._is_paused:
            message = self._waiting.popleft()
            size = len(message.encode() if isinstance(message, str) else message)
            if size > edge.MAX_MESSAGE_BYTES:
                self._refuse_size()
                return
            client.server.received(message)
            self._is_paused = client.server.must_pause()

    def _refuse_size(self) -> None:
        client, reason = self._client, f"a message may have {edge.MAX_MESSAGE_BYTES} bytes"
        self._waiting.clear()
        if client.closed is None:
            client.closed = (TOO_BIG, reason)
            client.server.failed(ValueError(reason))
            client.server.disconnected(TOO_BIG, reason, was_clean=False)

    def send(self, outgoing: Outgoing) -> None:
        if self._client.closed is None:
            self._client.received.append(outgoing.message)

    def close(self, code: int, reason: str) -> None:
        client = self._client
        if client.closed is None:
            client.closed = (code, reason)
            # The client answers a close frame by itself, as browsers do, and not at once.
            answer = partial(client.server.disconnected, code, reason, was_clean=True)
            asyncio.get_running_loop().call_soon(answer, context=Context())

    def hang_up(self) -> None:
        self._client.closed = (VANISHED, "")
