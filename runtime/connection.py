"""What a WebSocket stands on: the wire behind it, and where its events go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

from runtime.messages import Message, Outgoing
from runtime.pump import Pump

if TYPE_CHECKING:
    from runtime.sockets import WebSocket

MAX_AUTO_RESPONSE_BYTES: Final = 2_048

NO_STATUS: Final = 1005  # the peer's close frame had no code
VANISHED: Final = 1006  # there was no close frame
VANISHED_REASON: Final = "WebSocket disconnected without sending Close frame."
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012  # what tells clients to come back
TRY_AGAIN_LATER: Final = 1013  # for what is too much

AT_ONCE: Final = 64  # messages of one socket, before everybody else has a turn: a millisecond

ReadyState = Literal["connecting", "open", "closing", "closed"]


class Connection(Protocol):
    """The wire behind a WebSocket. Nothing here waits: what can't leave at once is buffered."""

    @property
    def is_flushed(self) -> bool:
        """Whether all that was sent has left, or never will."""

    def send(self, outgoing: Outgoing) -> None:
        """Send a message, or close the connection if its buffer is full."""

    def close(self, code: int, reason: str) -> None:
        """Send a close frame after everything sent before."""

    def hang_up(self) -> None:
        """Drop the connection without a close frame."""

    def resume(self) -> None:
        """Go on reading: see `WebSocket.must_pause`."""


class Outlet(Protocol):
    """What holds messages back, or lets them leave: an output gate, for instance."""

    @property
    def is_passable(self) -> bool:
        """Whether a message may leave at once, and will."""

    def send(self, message: Callable[[], object]) -> None:
        """Call `message` as soon as it may leave."""


class SocketEvents(Protocol):
    """Where what arrives on an object's sockets goes."""

    @property
    def is_congested(self) -> bool:
        """Whether so much waits for the object that nothing more should be read."""

    def message(self, ws: WebSocket, message: Message) -> None: ...

    def error(self, ws: WebSocket, error: Exception) -> None: ...

    def close(self, ws: WebSocket, code: int, reason: str, was_clean: bool) -> None: ...

    def set_up(self) -> None:
        """Something was set for all sockets, those to come as well."""

    def held_up(self) -> None:
        """A socket isn't read, for as long as so much waits."""

    def eased(self) -> None:
        """The object has done something while sockets weren't read."""


class Traffic:
    """What the sockets of a node have in common.

    Attributes:
        pump: By which what they send leaves.
        too_slow: How many were closed because they didn't take what they were sent.
    """

    def __init__(self, pump: Pump) -> None:
        self.pump = pump
        self.too_slow = 0


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
