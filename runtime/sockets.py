"""WebSockets that outlive their object (I8).

A socket belongs to the node: the object that accepted it may be evicted and made anew any
number of times while the connection, its tags, its attachment and the automatic answers stay.
What holds the bytes back or sends them on is a `Connection`, given by the web edge.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, Protocol

from runtime import wire

MAX_SOCKETS: Final = 32_768  # of one object
MAX_TAGS: Final = 10  # of one socket
MAX_TAG_LENGTH: Final = 256
MAX_ATTACHMENT_BYTES: Final = 16_384
MAX_AUTO_RESPONSE_BYTES: Final = 2_048
MAX_REASON_BYTES: Final = 123  # of a close frame's reason: the protocol's limit
MAX_EVENT_TIMEOUT: Final = 604_800.0  # seconds: a week

NO_STATUS: Final = 1005  # the peer's close frame had no code
VANISHED: Final = 1006  # there was no close frame
VANISHED_REASON: Final = "WebSocket disconnected without sending Close frame."
SERVICE_RESTART: Final = 1012  # what tells clients to come back
_RESERVED_CODES: Final = (1004, NO_STATUS, VANISHED, 1015)

Message = str | bytes
ReadyState = Literal["connecting", "open", "closing", "closed"]


class Connection(Protocol):
    """The wire behind a WebSocket. Nothing here waits: what can't leave at once is buffered."""

    def send(self, message: Message) -> None:
        """Send a message, or close the connection if its buffer is full."""

    def close(self, code: int, reason: str) -> None:
        """Send a close frame after everything sent before."""

    def hang_up(self) -> None:
        """Drop the connection without a close frame."""


class SocketEvents(Protocol):
    """Where what arrives on an object's sockets goes."""

    def message(self, ws: WebSocket, message: Message) -> None: ...

    def close(self, ws: WebSocket, code: int, reason: str, was_clean: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class WebSocketRequestResponsePair:
    """A text message and the answer that the runtime gives to it, without waking the object.

    Raises:
        ValueError: If either is longer than 2,048 bytes.
    """

    request: str
    response: str

    def __post_init__(self) -> None:
        for what, text in (("Request", self.request), ("Response", self.response)):
            size = len(text.encode())
            if size > MAX_AUTO_RESPONSE_BYTES:
                raise ValueError(
                    f"{what} cannot be larger than {MAX_AUTO_RESPONSE_BYTES} bytes. "
                    f"A {what.lower()} of size {size} was provided."
                )


class WebSocket:
    """One end of a connection, ours.

    Attributes:
        url: What the client asked for.
        protocol: The subprotocol agreed on; empty if there is none.
    """

    crosses_by_reference = True

    __slots__ = (
        "_attachment",
        "_connection",
        "_held",
        "_home",
        "_state",
        "_tags",
        "auto_response_time",
        "protocol",
        "url",
    )

    def __init__(self, connection: Connection, *, url: str, protocol: str = "") -> None:
        self.url = url
        self.protocol = protocol
        self._connection = connection
        self._state: ReadyState = "connecting"
        self._home: SocketSet | None = None
        self._tags: tuple[str, ...] = ()
        self._attachment: bytes | None = None
        self.auto_response_time: float | None = None
        """When it was last answered automatically."""
        # What is sent before the handshake has been answered; None once it has been.
        self._held: list[Callable[[], None]] | None = []

    @property
    def ready_state(self) -> ReadyState:
        return self._state

    def send(self, message: Message) -> None:
        """Send a message, in order, once everything written so far is durable (I3).

        To a peer that has gone it is dropped silently: its close event is under way.

        Raises:
            TypeError: If the message is neither text nor bytes, the socket hasn't been
                accepted, or this side has closed it. Nothing was sent.
            UnicodeEncodeError: If the text has half a character in it. Nothing was sent.
        """
        message = _sendable(message)
        if self._home is None:
            raise TypeError("You must call ctx.accept_web_socket() on this WebSocket first.")
        if self._state == "closing":
            raise TypeError("Can't call WebSocket send() after close().")
        self._home.release(partial(self._transmit, message))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, after what was sent before. Closing twice does nothing.

        Raises:
            ValueError: If the code is none that may be sent, or the reason is longer than
                123 bytes. Nothing happened.
        """
        if not 1000 <= code <= 4999 or code in _RESERVED_CODES:
            raise ValueError(f"Invalid WebSocket close code: {code}.")
        if len(reason.encode()) > MAX_REASON_BYTES:
            raise ValueError(
                "WebSocket close reason must not be longer than 123 bytes when UTF-8 encoded."
            )
        if self._home is None:
            raise TypeError("You must call ctx.accept_web_socket() on this WebSocket first.")
        if self._state == "open":
            self._state = "closing"
            shut = partial(self._connection.close, code, reason)
            self._home.release(partial(self._when_open, shut))

    def serialize_attachment(self, value: Any) -> None:
        """Keep a copy of `value` with the socket, for as long as it is open.

        Raises:
            TypeError: If it is none that can be stored.
            ValueError: If it takes more than 16,384 bytes. The old attachment stays.
        """
        data = wire.encode(value)
        if len(data) > MAX_ATTACHMENT_BYTES:
            raise ValueError(
                f"A WebSocket 'attachment' cannot be larger than {MAX_ATTACHMENT_BYTES} bytes. "
                f"'attachment' was {len(data)} bytes."
            )
        self._attachment = data

    def deserialize_attachment(self) -> Any:
        """Return a fresh copy of what was attached last, or None."""
        return None if self._attachment is None else wire.decode(self._attachment)

    # Called by the web edge.

    def opened(self) -> None:
        """Say that the handshake has been answered: what was sent since may leave."""
        held, self._held = self._held or [], None
        for leave in held:
            leave()

    def received(self, message: Message) -> None:
        """Take a message from the peer."""
        home = self._home
        if home is None:
            return
        pair = home.auto_response
        if pair is not None and message == pair.request:
            self.auto_response_time = home.now()
            if self._state == "open":
                self._connection.send(pair.response)
        elif self._state == "open":
            home.events.message(self, message)

    def disconnected(self, code: int, reason: str, was_clean: bool) -> None:
        """Say that the connection is gone, by whichever side. Only the first time counts."""
        if self._state == "closed":
            return
        self._state = "closed"
        if self._home is not None:
            self._home.events.close(self, code, reason, was_clean)

    def drop(self, code: int, reason: str) -> None:
        """Close the connection at once, past the object. It hears of it as of any other end."""
        self._connection.close(code, reason)

    def forget(self) -> None:
        """Take back that the object has accepted it: the handshake has failed. No close event."""
        self._state = "closed"
        if self._home is not None:
            self._home.remove(self)

    def _transmit(self, message: Message) -> None:
        self._when_open(lambda: self._connection.send(message))

    def _when_open(self, leave: Callable[[], None]) -> None:
        if self._state == "closed":
            return
        if self._held is None:
            leave()
        else:
            self._held.append(leave)


class SocketSet:
    """The sockets that one object has accepted, and what holds for all of them.

    Invariants:
        - It exists from the first socket to the last, whether the object is awake or not.
        - A socket is in it from `accept` until its close event has been handled.
    """

    def __init__(self, events: SocketEvents, now: Callable[[], float]) -> None:
        self.events = events
        self.now = now
        self.auto_response: WebSocketRequestResponsePair | None = None
        self.event_timeout: float | None = None
        self.outlet: Callable[[Callable[[], object]], None] | None = None
        """What all that is sent goes through: the output gate, while the object is awake."""
        self._sockets: dict[WebSocket, None] = {}
        self._tagged: dict[str, dict[WebSocket, None]] = {}

    def __len__(self) -> int:
        return len(self._sockets)

    def release(self, leave: Callable[[], object]) -> None:
        """Let something leave, as soon as it may."""
        if self.outlet is None:
            leave()
        else:
            self.outlet(leave)

    def accept(self, ws: WebSocket, tags: Sequence[str]) -> None:
        """Take a socket in. See `DurableObjectState.accept_web_socket`."""
        if ws._home is not None or ws._state != "connecting":
            raise RuntimeError(
                "Cannot call `accept_web_socket()` on this WebSocket because it has already been "
                "accepted."
            )
        if len(self._sockets) >= MAX_SOCKETS:
            raise RuntimeError(
                f"only {MAX_SOCKETS} websockets can be accepted on a single Durable Object instance"
            )
        ws._tags = _distinct_tags(tags)
        ws._home = self
        ws._state = "open"
        self._sockets[ws] = None
        for tag in ws._tags:
            self._tagged.setdefault(tag, {})[ws] = None

    def all(self, tag: str | None = None) -> list[WebSocket]:
        """Return the sockets, newest first; those with `tag`, oldest first."""
        if tag is None:
            return list(reversed(self._sockets))
        return list(self._tagged.get(tag, ()))

    def tags(self, ws: WebSocket) -> list[str]:
        """Return the tags that a socket was accepted with.

        Raises:
            RuntimeError: If it wasn't accepted here.
        """
        if ws._home is not self:
            raise RuntimeError(
                "you must call 'accept_web_socket()' before attempting to access the tags of a "
                "WebSocket."
            )
        return list(ws._tags)

    def broadcast(self, message: Message, tag: str | None, exclude: Collection[WebSocket]) -> int:
        """Send a message to all open sockets, and return how many they are."""
        message = _sendable(message)
        among: Iterable[WebSocket] = self._sockets if tag is None else self._tagged.get(tag, ())
        reached = [ws for ws in among if ws._state == "open" and ws not in exclude]
        if reached:
            self.release(partial(_transmit_to_all, reached, message))
        return len(reached)

    def remove(self, ws: WebSocket) -> None:
        """Let go of a socket. Harmless if it isn't here."""
        self._sockets.pop(ws, None)
        for tag in ws._tags:
            tagged = self._tagged.get(tag, {})
            tagged.pop(ws, None)
            if not tagged:
                self._tagged.pop(tag, None)

    def hang_up(self) -> None:
        """Lose every connection without a word, as when the process dies. For tests."""
        for ws in list(self._sockets):
            self.remove(ws)
            ws._state = "closed"
            ws._connection.hang_up()

    def disconnect(self, code: int, reason: str) -> None:
        """Close every connection, and let go of it without a close event."""
        for ws in list(self._sockets):
            self.remove(ws)
            if ws._state != "closed":
                ws._state = "closed"
                ws._connection.close(code, reason)


def _transmit_to_all(reached: Sequence[WebSocket], message: Message) -> None:
    for ws in reached:
        ws._transmit(message)


def _distinct_tags(tags: Sequence[str]) -> tuple[str, ...]:
    if isinstance(tags, str):
        raise TypeError(f"tags are a sequence of texts, not the text {tags!r}")
    distinct = tuple(dict.fromkeys(tags))
    if len(distinct) > MAX_TAGS:
        raise ValueError(f"a Hibernatable WebSocket cannot have more than {MAX_TAGS} tags")
    for tag in distinct:
        if not isinstance(tag, str):
            raise TypeError(f"a tag is text, not {tag!r}")
        if len(tag) > MAX_TAG_LENGTH:
            raise ValueError(
                f'"{tag}" is longer than the max tag length ({MAX_TAG_LENGTH} characters).'
            )
    return distinct


def _sendable(message: object) -> Message:
    if isinstance(message, str):
        if not message.isascii():
            message.encode()  # half a character has no place in UTF-8: the sender gets the error
        return message
    if isinstance(message, bytes | bytearray | memoryview):
        return bytes(message)
    raise TypeError(f"a message is text or bytes, not {type(message).__name__}")
