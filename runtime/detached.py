"""A socket without a task: frames come by callback, and leave by ``transport.write``.

What a connection costs while nothing happens on it is this object, its transport, and the
`WebSocket` that its object knows. There is no coroutine that waits for it, no queue, and no
timer: whether its peer is still there is asked for all sockets of a server in turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from runtime import edge, messages
from runtime.connection import INTERNAL_ERROR, TRY_AGAIN_LATER, VANISHED, VANISHED_REASON
from runtime.frames import FrameReader, window_bits
from runtime.messages import Message, Outgoing
from runtime.sockets import WebSocket

CLOSE_SECONDS: Final = 10.0  # for the peer to answer a close frame
LINGER_SECONDS: Final = 2.0  # for a close frame to arrive before the connection is cut
BUCKETS: Final = 100  # of sockets whose peers are asked together whether they are there


class DetachedSocket(asyncio.Protocol):
    """One connection, after its handshake: `connection.Connection`.

    Invariants:
        - Messages leave in the order in which they were sent, the close frame last.
        - The `WebSocket` hears of the end once, whoever has brought it about.
        - A peer that has had more than `max_buffered_bytes` waiting for a second gets nothing
          else: it is closed with 1013. So is one that has a whole burst waiting.
    """

    __slots__ = (
        "_closing",
        "_is_full",
        "_is_over",
        "_is_slow",
        "_keepalive",
        "_reader",
        "_timer",
        "_transport",
        "_window_bits",
        "_ws",
        "bucket",
        "is_pinged",
        "was_heard",
    )

    def __init__(
        self,
        ws: WebSocket,
        transport: asyncio.Transport,
        keepalive: Keepalive,
        *,
        max_message_bytes: int,
        max_buffered_bytes: int,
        extensions: Sequence[Any] = (),
    ) -> None:
        self._ws = ws
        self._transport = transport
        self._keepalive = keepalive
        self._reader = FrameReader(self, max_message_bytes, extensions)
        self._window_bits = window_bits(extensions)
        self._closing: tuple[int, str] | None = None
        # Whether more waits for the peer than should, and whether that has been so for a while.
        self._is_full = self._is_slow = False
        self._is_over = False
        self._timer: asyncio.TimerHandle | None = None
        self.was_heard = True
        self.is_pinged = False
        self.bucket = 0
        transport.set_write_buffer_limits(high=max_buffered_bytes, low=max_buffered_bytes)
        keepalive.add(self)

    # Called by the transport.

    def data_received(self, data: bytes) -> None:
        self.was_heard = True
        self._reader.feed(data)

    def pause_writing(self) -> None:
        self._is_full = True
        if self._closing is None and not self._is_over:
            self._wait(edge.SLOW_SECONDS, self._judge)

    def resume_writing(self) -> None:
        self._is_full = self._is_slow = False
        if self._closing is None and not self._is_over:
            self._stop_waiting()

    def eof_received(self) -> None:
        # The transport closes, but not before the peer has taken what waits for it.
        self._end(VANISHED, VANISHED_REASON, was_clean=False)
        self._wait(LINGER_SECONDS, self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._keepalive.discard(self)
        self._end(VANISHED, VANISHED_REASON, was_clean=False)

    # What the socket does: `connection.Connection`.

    @property
    def is_flushed(self) -> bool:
        return self._transport.is_closing() or not self._transport.get_write_buffer_size()

    def send(self, outgoing: Outgoing) -> None:
        if self._closing is not None or self._is_over:
            return
        if self._is_full and (self._is_slow or self._has_burst()):
            self._give_up()
        elif self._window_bits is None:
            self._transport.write(outgoing.frame)
        else:
            self._transport.write(outgoing.compressed(self._window_bits))

    def close(self, code: int, reason: str) -> None:
        if self._closing is None and not self._is_over:
            self._closing = (code, reason)
            self._transport.write(messages.close_frame(code, reason))
            self._be_patient(CLOSE_SECONDS, self._transport.abort)
            self._transport.resume_reading()
            self._reader.close(code, reason)

    def hang_up(self) -> None:
        self._transport.abort()

    def resume(self) -> None:
        if not (self._transport.is_closing() or self._keepalive.is_stopping):
            self.was_heard = True  # what it has said meanwhile is yet to be read
            self._transport.resume_reading()
            self._reader.resume()

    def stop_reading(self) -> None:
        """Read nothing more, until this side is closed."""
        if self._closing is None:
            self._transport.pause_reading()

    # What has arrived: `frames.Receiver`.

    def message_came(self, message: Message) -> bool:
        ws = self._ws
        ws.received(message)
        if ws.must_pause():
            self._transport.pause_reading()
            return False
        return True

    def has_enough(self) -> None:
        self._transport.pause_reading()
        self._keepalive.loop.call_soon(self.resume)

    def reply(self, data: bytes) -> None:
        # Whoever asks and takes no answers gets none, but for the last one.
        if not self._is_full or data[0] == messages.CLOSE:
            self._transport.write(data)

    def peer_closed(self, code: int, reason: str) -> None:
        self._closing = self._closing or (code, reason)
        self._end(*self._closing, was_clean=True)
        self._be_patient(CLOSE_SECONDS, self._transport.abort)
        self._transport.close()

    def peer_failed(self, error: Exception, code: int, reason: str) -> None:
        self._ws.failed(error)
        self._cut(code, reason)

    # How it ends.

    def beat(self) -> None:
        """Ask whether the peer is there, unless it hasn't answered the last time."""
        if self._is_over or self._closing is not None:
            return  # another clock runs
        if self.was_heard or not self.is_pinged or not self._transport.is_reading():
            self.was_heard, self.is_pinged = False, True
            if not self._is_full:
                self._transport.write(messages.PING)
        elif self._keepalive.ends_silence:
            self._transport.write(messages.close_frame(INTERNAL_ERROR, edge.SILENT))
            self._end(VANISHED, VANISHED_REASON, was_clean=False)
            self._transport.abort()

    def _judge(self) -> None:
        self._is_slow = True
        self._be_patient(edge.STALLED_SECONDS, self._give_up)

    def _be_patient(self, seconds: float, act: Callable[[], object]) -> None:
        """Wait for the peer as long as it takes anything at all: it is slow then, but not gone."""
        waiting = self._transport.get_write_buffer_size()
        self._wait(seconds, partial(self._look, waiting, seconds, act))

    def _look(self, before: int, seconds: float, act: Callable[[], object]) -> None:
        if self._transport.get_write_buffer_size() < before:
            self._be_patient(seconds, act)
        else:
            act()

    def _has_burst(self) -> bool:
        return self._transport.get_write_buffer_size() > edge.MAX_BURST_BYTES

    def _give_up(self) -> None:
        # What it has missed it gets when it comes back.
        self._ws.was_too_slow()
        self._cut(TRY_AGAIN_LATER, edge.TOO_SLOW)

    def _cut(self, code: int, reason: str) -> None:
        """Say why, and don't wait for an answer; only for the words to arrive."""
        if self._closing is None:
            self._closing = (code, reason)
            self._transport.write(messages.close_frame(code, messages.shortened(reason)))
        self._end(*self._closing, was_clean=False)
        self._transport.resume_reading()  # or the kernel would cut off the words as well
        self._reader.close(code, reason)
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        self._wait(LINGER_SECONDS, self._transport.abort)

    def _end(self, code: int, reason: str, *, was_clean: bool) -> None:
        if not self._is_over:
            self._is_over = True
            self._ws.disconnected(code, reason, was_clean)

    def _wait(self, seconds: float, act: Callable[[], object]) -> None:
        self._stop_waiting()
        self._timer = self._keepalive.loop.call_later(seconds, act)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Keepalive:
    """Asks the peers of a server's sockets whether they are there, a few at a time.

    A peer of which nothing was heard from one question to the next is gone. Its object is told
    1006, as of any peer that vanishes.

    Args:
        interval: Seconds from one question to the next; None to ask nobody.
        ends_silence: Whether those that don't answer are taken for gone.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, interval: float | None, *, ends_silence: bool
    ) -> None:
        self.loop = loop
        self.ends_silence = ends_silence
        self.is_stopping = False
        self._interval = interval
        self._buckets: list[set[DetachedSocket]] = [set() for _ in range(BUCKETS)]
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, socket: DetachedSocket) -> None:
        """Ask a new one as well; for the first time when all others have been."""
        socket.bucket = self._next - 1
        self._buckets[socket.bucket].add(socket)
        if self._timer is None and self._interval:
            self._timer = self.loop.call_later(self._interval / BUCKETS, self._ask)

    def discard(self, socket: DetachedSocket) -> None:
        """Don't ask it any more."""
        self._buckets[socket.bucket].discard(socket)

    def stop_reading(self) -> None:
        """Read nothing more from anybody: the server stops."""
        self.is_stopping = True
        for bucket in self._buckets:
            for socket in bucket:
                socket.stop_reading()

    def _ask(self) -> None:
        self._timer = None
        bucket = self._buckets[self._next]
        self._next = (self._next + 1) % BUCKETS
        for socket in list(bucket):
            socket.beat()
        if self._interval and any(self._buckets):
            self._timer = self.loop.call_later(self._interval / BUCKETS, self._ask)
