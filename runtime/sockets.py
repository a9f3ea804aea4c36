"""WebSockets that outlive their object (I8).

A socket belongs to the node: the object that accepted it may be evicted and made anew any
number of times while the connection, its tags, its attachment and the automatic answers stay.
What holds the bytes back or sends them on is a `Connection`, given by the web edge.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, Final

from runtime import packing
from runtime.connection import (
    Connection,
    Outlet,
    ReadyState,
    SocketEvents,
    Traffic,
    WebSocketRequestResponsePair,
)
from runtime.errors import OutsideObject
from runtime.messages import Closing, Message, Outgoing, Parcel, closing, sendable
from runtime.pump import Lane
from runtime.tags import distinct

MAX_SOCKETS: Final = 32_768  # of one object
MAX_ATTACHMENT_BYTES: Final = 16_384
MAX_EVENT_TIMEOUT: Final = 604_800.0  # seconds: a week


def _asleep() -> None:
    raise OutsideObject("a WebSocket can only be used by the object that has accepted it")


class WebSocket:
    """One end of a connection, ours.

    Attributes:
        url: What the client asked for.
        protocol: The subprotocol agreed on; empty if there is none.
    """

    __slots__ = (
        "_attachment",
        "_connection",
        "_gated",
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
        self._held: list[Parcel] | None = []  # sent before the handshake was answered, if it wasn't
        self._gated = 0  # how much of what was sent to it alone the output gate still holds back

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
            OutsideObject: If no code of the object that has accepted it is running.
        """
        outgoing = Outgoing(sendable(message))
        home = self._running_home()
        if self._state == "closing":
            raise TypeError("Can't call WebSocket send() after close().")
        self._release(home, outgoing)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, after what was sent before. Closing twice does nothing.

        Raises:
            ValueError: If the code is none that may be sent, or the reason is longer than
                123 bytes. Nothing happened.
            TypeError: If the socket hasn't been accepted.
            OutsideObject: If no code of the object that has accepted it is running.
        """
        frame = closing(code, reason)
        home = self._running_home()
        if self._state == "open":
            self._state = "closing"
            self._release(home, frame)

    def serialize_attachment(self, value: Any) -> None:
        """Keep a copy of `value` with the socket, for as long as it is open.

        Raises:
            TypeError: If it is none that can be stored.
            OutsideObject: If no code of the object that has accepted it is running.
            ValueError: If it takes more than 16,384 bytes. The old attachment stays.
        """
        data = packing.encode(value)
        if self._home is not None:
            self._home.check()
        if len(data) > MAX_ATTACHMENT_BYTES:
            raise ValueError(
                f"A WebSocket 'attachment' cannot be larger than {MAX_ATTACHMENT_BYTES} bytes. "
                f"'attachment' was {len(data)} bytes."
            )
        self._attachment = data

    def _running_home(self) -> SocketSet:
        if self._home is None:
            raise TypeError("You must call ctx.accept_web_socket() on this WebSocket first.")
        self._home.check()
        return self._home

    def deserialize_attachment(self) -> Any:
        """Return a fresh copy of what was attached last, or None."""
        return None if self._attachment is None else packing.decode(self._attachment)

    # Called by the web edge.

    def opened(self, connection: Connection | None = None) -> None:
        """Say that the handshake has been answered: what was sent since may leave.

        Args:
            connection: By what, if it is another one from now on.
        """
        if connection is not None:
            self._connection = connection
        held, self._held = self._held or [], None
        for parcel in held:
            self.leave(parcel)

    def received(self, message: Message) -> None:
        """Take a message from the peer."""
        if (home := self._home) is None:
            return
        if (pair := home.auto_response) is not None and message == pair.request:
            self.auto_response_time = home.now()
            if self._state == "open":
                self._answer(home, Outgoing(pair.response))
        elif self._state == "open":
            home.events.message(self, message)

    def must_pause(self) -> bool:
        """Whether nothing more should be read, because so much waits for the object already.

        The connection is told to resume then.
        """
        if (home := self._home) is None or not home.events.is_congested:
            return False
        home.paused[self] = None
        home.events.held_up()
        return True

    def failed(self, error: Exception) -> None:
        """Say that the peer has broken the protocol. The end of the connection follows."""
        if self._home is not None and self._state != "closed":
            self._home.events.error(self, error)

    def was_too_slow(self) -> None:
        """Say that the peer hasn't taken what it was sent. The end of the connection follows."""
        if self._home is not None:
            self._home.traffic.too_slow += 1

    def disconnected(self, code: int, reason: str, was_clean: bool) -> None:
        """Say that the connection is gone, by whichever side. Only the first time counts."""
        if self._state == "closed":
            return
        self._state = "closed"
        if self._home is not None:
            self._home.paused.pop(self, None)
            self._home.events.close(self, code, reason, was_clean)

    def drop(self, code: int, reason: str) -> None:
        """Close the connection at once, past the object. It hears of it as of any other end."""
        self._connection.close(code, reason)

    def forget(self) -> None:
        """Take back that the object has accepted it: the handshake has failed. No close event."""
        self._state = "closed"
        if self._home is not None:
            self._home.remove(self)

    # Called when something may leave.

    def leave(self, parcel: Parcel) -> None:
        """Let something leave, or keep it until the handshake has been answered."""
        if self._held is not None:
            self._held.append(parcel)
        elif self._state != "closed":
            if type(parcel) is Outgoing:
                self._connection.send(parcel)
            elif isinstance(parcel, Closing):
                self._connection.close(parcel.code, parcel.reason)

    def _release(self, home: SocketSet, parcel: Parcel) -> None:
        if home.outlet is None or home.outlet.is_passable:
            home.lane.put(self, parcel)
        else:
            self._gated += 1
            home.outlet.send(partial(self._depart, home, parcel))

    def _depart(self, home: SocketSet, parcel: Parcel) -> None:
        self._gated -= 1
        home.lane.put(self, parcel)

    def _answer(self, home: SocketSet, outgoing: Outgoing) -> None:
        # It reveals nothing, so no gate holds it; but what was sent before comes before.
        if self._gated or home.gated:
            self._release(home, outgoing)
        else:
            home.lane.put(self, outgoing)


class SocketSet:
    """The sockets that one object has accepted, and what holds for all of them.

    Invariants:
        - It exists from the first socket to the last, whether the object is awake or not.
        - A socket is in it from `accept` until its close event has been handled.
    """

    def __init__(self, events: SocketEvents, now: Callable[[], float], traffic: Traffic) -> None:
        self.events = events
        self.now = now
        self.traffic = traffic
        self.lane = Lane(traffic.pump)
        self.auto_response: WebSocketRequestResponsePair | None = None
        self.event_timeout: float | None = None
        self.outlet: Outlet | None = None
        """What all that is sent goes through: the output gate, while the object is awake."""
        self.check = _asleep
        """Raises, unless code of the object is running."""
        self.gated = 0
        """How many broadcasts it still holds back."""
        self.paused: dict[WebSocket, None] = {}
        """Those that aren't read, because too much waits for the object; longest first."""
        self._sockets: dict[WebSocket, None] = {}
        self._tagged: dict[str, dict[WebSocket, None]] = {}

    def __len__(self) -> int:
        return len(self._sockets)

    def sleep(self) -> None:
        """Forget the life that has just ended. The sockets stay open."""
        self.outlet, self.check = None, _asleep

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
        ws._tags = distinct(tags)
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
        outgoing = Outgoing(sendable(message))
        among: Iterable[WebSocket] = self._sockets if tag is None else self._tagged.get(tag, ())
        reached = [ws for ws in among if ws._state == "open" and ws not in exclude]
        if reached:
            if self.outlet is None or self.outlet.is_passable:
                self.lane.put_all(reached, outgoing)
            else:
                self.gated += 1
                self.outlet.send(partial(self._depart, reached, outgoing))
        return len(reached)

    def _depart(self, reached: Sequence[WebSocket], outgoing: Outgoing) -> None:
        self.gated -= 1
        self.lane.put_all(reached, outgoing)

    def relieve(self) -> None:
        """Go on reading what was paused, as long as the object can take it."""
        while self.paused and not self.events.is_congested:
            ws = next(iter(self.paused))
            del self.paused[ws]
            ws._connection.resume()

    def remove(self, ws: WebSocket) -> None:
        """Let go of a socket. Harmless if it isn't here."""
        self._sockets.pop(ws, None)
        self.paused.pop(ws, None)
        for tag in ws._tags:
            tagged = self._tagged.get(tag, {})
            tagged.pop(ws, None)
            if not tagged:
                self._tagged.pop(tag, None)

    def hang_up(self) -> None:
        """Lose every connection without a word, as when the process dies. For tests."""
        self.lane.clear()
        for ws in list(self._sockets):
            self.remove(ws)
            ws._state = "closed"
            ws._connection.hang_up()

    def disconnect(self, code: int, reason: str) -> list[Connection]:
        """Close every connection, after what may have left already, and without a close event."""
        connections = [ws._connection for ws in self._sockets if ws._state != "closed"]
        for ws in list(self._sockets):
            self.remove(ws)
            ws._home = None
            self.lane.put(ws, Closing(code, reason))
        return connections
