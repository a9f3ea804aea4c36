"""Streams that nobody would send: whatever arrives, we read what ``websockets`` reads of it.

Its `ServerProtocol` is the oracle. `FUZZ` in the environment sets how many streams each test
tries, and lets them be new ones each time: see ``make fuzz``.
"""

from __future__ import annotations

import itertools
import os
import random
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from runtime.connection import AT_ONCE
from runtime.frames import FrameReader
from runtime.messages import Message, pong
from tests.runtime.echo_rooms import Guest, Server, rooms, undisturbed
from tests.runtime.raw_socket import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    close,
    frame,
)
from tests.servers import TRANSPORTS

BUDGET: Final = int(os.environ.get("FUZZ", "0"))
SEED: Final = random.randrange(2**32) if BUDGET else 0  # of the first stream that is sent
SENT: Final = min(BUDGET, 2000) or 50
LIMIT: Final = 1000  # bytes of a message
COMPRESSED: Final = 4  # the first of the reserved bits
HEAD: Final = 14  # bytes of the longest: the library reads it by and by, and we when it is there
TAIL: Final = bytes(LIMIT + 200)  # more than any frame can be short of; then unmasked frames

thorough = settings(
    max_examples=BUDGET or 300,
    derandomize=not BUDGET,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

TEXT_IS_READ_IN_ORDER: Final = {"portable": False, "detached": True}
"""Where the transports differ: uvicorn looks at text when it has parsed all that came with it, so
another fault goes before text that is none, or both end the connection without a word."""

Event = tuple[Any, ...]


class Recorder:
    """Hears what a `FrameReader` reads, and may have it pause.

    Attributes:
        events: What it has heard, in the form in which the oracle has it.
        is_paused: Whether nothing more comes until the reader is told to resume.
    """

    def __init__(self, pauses: Iterator[bool]) -> None:
        self.events: list[Event] = []
        self.is_paused = False
        self._pauses = pauses

    def message_came(self, message: Message) -> bool:
        self.events.append(("message", message))
        self.is_paused = next(self._pauses, False)
        return not self.is_paused

    def has_enough(self) -> None:
        self.is_paused = True

    def reply(self, data: bytes) -> None:
        self.events.append(("reply", data))

    def peer_closed(self, code: int, reason: str) -> None:
        self.events.append(("closed", code, reason))

    def peer_failed(self, error: Exception, code: int, reason: str) -> None:
        self.events.append(("failed", code))


class Oracle:
    """Reads the same with ``websockets``.

    Attributes:
        events: What has come.
        is_over: Whether nothing more can come.
    """

    def __init__(self, *, compressed: bool) -> None:
        self.events: list[Event] = []
        self._protocol = ServerProtocol(state=OPEN, max_size=LIMIT)
        self._protocol.extensions = agreed(compressed=compressed)
        self._parts: list[bytes] = []
        self._is_text = False
        self.is_over = False

    def feed(self, data: bytes) -> None:
        if self.is_over:
            return
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if not self.is_over:
                self._take(event)
        if self._protocol.parser_exc is not None and not self.is_over:
            assert self._protocol.close_sent is not None
            self._fail(self._protocol.close_sent.code)

    def _take(self, event: Any) -> None:
        data = bytes(event.data)
        match event.opcode:
            case Opcode.PING:
                self.events.append(("reply", pong(data)))
            case Opcode.PONG:
                pass
            case Opcode.CLOSE:
                got = self._protocol.close_rcvd
                assert got is not None
                self.is_over = True
                self.events.append(("reply", bytes((0x88, len(data))) + data))
                self.events.append(("closed", got.code, got.reason))
            case opcode:
                if opcode is not Opcode.CONT:
                    self._parts, self._is_text = [], opcode is Opcode.TEXT
                self._parts.append(data)
                if event.fin:
                    self._finish(b"".join(self._parts))

    def _finish(self, whole: bytes) -> None:
        try:
            self.events.append(("message", whole.decode() if self._is_text else whole))
        except UnicodeDecodeError:
            self._fail(1007)

    def _fail(self, code: int) -> None:
        self.is_over = True
        self.events.append(("failed", code))


def agreed(*, compressed: bool) -> list[Extension]:
    """Return the extensions of a connection."""
    return [PerMessageDeflate(True, True, 12, 12)] if compressed else []


def packed(payload: bytes) -> bytes:
    """Return the payload of a compressed message."""
    deflate = zlib.compressobj(wbits=-12)
    return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Return data in pieces."""
    at = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(at)]


# Streams: messages as they should be, frames as they shouldn't, and what is left of either after
# somebody has had his way with the bytes.

texts = st.text(max_size=8).map(str.encode)
sizes = st.sampled_from([0, 1, 125, 126, 127, 300, LIMIT - 1, LIMIT])
pings = st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125))
farewells = st.builds(
    close, st.sampled_from([None, 1000, 1001, 1014, 3000, 4999]), st.sampled_from([b"", b"bye"])
)


@st.composite
def messages_in_parts(draw: st.DrawFn, rsv: int) -> bytes:
    whole = draw(texts)
    parts = cut(packed(whole) if rsv else whole, draw(st.lists(st.integers(0, 99), max_size=4)))
    frames = []
    for number, part in enumerate(parts):
        opcode, bits = (CONTINUATION, 0) if number else (TEXT, rsv)
        frames.append(frame(opcode, part, fin=number == len(parts) - 1, rsv=bits))
        frames.extend(draw(st.lists(pings, max_size=1)) if number < len(parts) - 1 else [])
    return b"".join(frames)


plain = st.one_of(
    st.builds(frame, st.just(TEXT), texts),
    st.builds(frame, st.just(BINARY), sizes.map(bytes)),
    messages_in_parts(0),
    pings,
)
compressed_too = st.one_of(
    plain,
    st.builds(frame, st.just(TEXT), texts.map(packed), rsv=st.just(COMPRESSED)),
    messages_in_parts(COMPRESSED),
)
wrong = st.one_of(
    st.builds(frame, st.just(TEXT), st.sampled_from([b"\xf0\x9f\x90", b"\xad", b"\xed\xa0\x80"])),
    st.builds(frame, st.sampled_from([TEXT, BINARY, CONTINUATION]), texts, fin=st.booleans()),
    st.builds(frame, st.just(BINARY), st.just(bytes(LIMIT + 1))),
    st.builds(close, st.integers(0, 5001), st.binary(max_size=5)),
    st.builds(
        frame,
        st.integers(0, 15),
        st.binary(max_size=130),
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, 1, 2, COMPRESSED, 7]),
        is_masked=st.sampled_from([True, True, True, False]),
        length=st.one_of(
            st.none(), st.integers(0, 125), st.sampled_from([LIMIT, LIMIT + 1, 2**40, 2**64 - 1])
        ),
        length_bytes=st.just(8),
    ),
    st.binary(max_size=20),
)
mutations = st.tuples(
    st.integers(0, 2**16), st.integers(0, 255), st.sampled_from(["set", "add", "del"])
)
repetitions = st.sampled_from([0, 0, 1, AT_ONCE // 2, AT_ONCE])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, bool]:
    """A stream, and whether it was agreed that messages may be compressed."""
    is_compressed = draw(st.booleans())
    right = compressed_too if is_compressed else plain
    frames = draw(st.lists(right, max_size=2)) * draw(repetitions)
    frames += draw(st.lists(right, max_size=4))
    frames += draw(st.one_of(st.just([]), st.lists(st.one_of(right, wrong), max_size=3)))
    frames.append(draw(st.one_of(st.just(b""), farewells)))
    stream = bytearray(b"".join(frames))
    for place, byte, how in draw(st.one_of(st.just([]), st.lists(mutations, max_size=2))):
        at = place % (len(stream) + 1)
        stream[at : at + (how != "add")] = b"" if how == "del" else bytes((byte,))
    return bytes(stream), is_compressed


cuts = st.lists(st.integers(0, 2**16), max_size=12)


@given(streams(), cuts, st.lists(st.booleans(), max_size=6))
@thorough
def test_we_read_of_any_stream_what_the_library_reads(
    what: tuple[bytes, bool], places: list[int], pauses: list[bool]
) -> None:
    stream, compressed = what
    recorder = Recorder(iter(pauses))
    reader = FrameReader(recorder, LIMIT, agreed(compressed=compressed))
    oracle = Oracle(compressed=compressed)

    for piece in [*cut(stream, places), TAIL]:
        reader.feed(piece)
        oracle.feed(piece)
        assert recorder.events == oracle.events[: len(recorder.events)], "we are never ahead"
    while recorder.is_paused:
        recorder.is_paused = False
        reader.resume()

    assert recorder.events == oracle.events
    assert recorder.events[-1][0] in ("closed", "failed"), "the tail leaves no other way"


@given(streams(), cuts, st.integers(0, 12))
@example((frame(PING, b"cut"), False), [8], 1)
@thorough
def test_nothing_is_heard_after_our_side_has_closed_but_an_end(
    what: tuple[bytes, bool], places: list[int], when: int
) -> None:
    stream, compressed = what
    recorder = Recorder(iter(()))
    reader = FrameReader(recorder, LIMIT, agreed(compressed=compressed))

    for number, piece in enumerate([*cut(stream, places), TAIL]):
        if number == when:
            recorder.events.clear()
            reader.close(4000, "our own")
        reader.feed(piece)
        while recorder.is_paused:
            recorder.is_paused = False
            reader.resume()

    if number >= when:
        assert [event[0] for event in recorder.events] in ([], ["closed"], ["failed"])


# The same over a port, from end to end.


def mutated(number: int) -> list[bytes]:
    """Return a stream of frames, most of them right, with a byte or two changed, in pieces."""
    chance = random.Random(number)
    good = [
        frame(TEXT, "héllo".encode()),
        frame(BINARY, bytes(300)),
        frame(PING, b"?"),
        frame(TEXT, b"in ", fin=False) + frame(PONG, b"") + frame(CONTINUATION, b"parts"),
        close(4000, b"bye"),
    ]
    stream = bytearray(b"".join(chance.choices(good, weights=[5, 3, 3, 3, 1], k=6)))
    for _ in range(chance.randrange(3)):
        stream[chance.randrange(len(stream))] = chance.randrange(256)
    return [*cut(bytes(stream), [chance.randrange(2**16) for _ in range(5)]), TAIL]


def answer_to(event: Event) -> Frame:
    """Return what the room answers to something that isn't the end."""
    match event:
        case ("message", str() as message):
            return Frame(TEXT, message.encode())
        case ("message", bytes() as message):
            return Frame(BINARY, message)
        case _:
            return Frame(PONG, event[1][2:])


def is_pong(answer: Frame) -> bool:
    return answer.opcode == PONG


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(TRANSPORTS))
async def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    """A server, one for each transport."""
    async with rooms(tmp_path_factory.mktemp("rooms"), request.param, limit=LIMIT) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def bystander(server: Server) -> AsyncIterator[Guest]:
    """Somebody else in the room."""
    async for guest in undisturbed(server):
        yield guest


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", range(SEED, SEED + SENT))
async def test_a_mutated_stream_is_answered_as_the_library_reads_it(
    server: Server, bystander: Guest, number: int
) -> None:
    oracle = Oracle(compressed=False)
    guest = await server.guest()
    pieces = mutated(number)
    for sent, piece in enumerate(pieces, 1):
        oracle.events.clear()
        oracle.feed(piece)
        if oracle.is_over:
            await guest.raw.send(piece + b"".join(pieces[sent:])[:HEAD])
            break
        await guest.raw.send(piece)
        answers = [await guest.raw.frame() for _ in oracle.events]
        # A pong need not wait until the object has answered what came before.
        assert sorted(answers, key=is_pong) == sorted(map(answer_to, oracle.events), key=is_pong)
    code = oracle.events[-1][1]
    if code == 1007 and not TEXT_IS_READ_IN_ORDER[server.transport]:
        guest.raw.leave()
        assert (await guest.end())[0] in (1002, 1006, 1007, 1009)
    else:
        *_, last = await guest.raw.rest()  # some uvicorn drops: what has come with the end
        assert last.end[0] == code
        assert (await guest.end())[0] == code
