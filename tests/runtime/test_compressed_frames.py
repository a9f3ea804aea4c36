"""Compressed messages (RFC 7692): off unless it is asked for, and no way to fill our memory."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from tests.runtime.echo_rooms import (
    Guest,
    Server,
    assert_closed_for,
    assert_echoes,
    rooms,
    undisturbed,
)
from tests.runtime.raw_socket import BINARY, CONTINUATION, PING, PONG, TEXT, Frame, frame, text
from tests.servers import TRANSPORTS

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT: Final = 2**20
COMPRESSED: Final = 4  # the first of the reserved bits
OFFER: Final = "sec-websocket-extensions: permessage-deflate; client_max_window_bits"

PROTOCOL_ERROR: Final = 1002
INVALID_DATA: Final = 1007
TOO_BIG: Final = 1009

KEEPS_CONTEXT: Final = {"portable": True, "detached": False}
"""Where the transports differ. With us no message builds on the one before: so what is sent to
many is compressed once, and no socket keeps a window in memory. uvicorn has its own opinion."""


class Deflate:
    """How a client packs and unpacks, by what the server has agreed to."""

    def __init__(self, head: bytes) -> None:
        (line,) = [x for x in head.decode().lower().split("\r\n") if "extensions:" in x]
        terms = [term.strip() for term in line.partition(":")[2].split(";")]
        assert terms[0] == "permessage-deflate"
        values = dict(term.partition("=")[::2] for term in terms[1:])
        self.client_keeps = "client_no_context_takeover" not in values
        self.server_keeps = "server_no_context_takeover" not in values
        self._packing = -int(values.get("client_max_window_bits", 15))
        self._unpacking = -int(values.get("server_max_window_bits", 15))
        self._pack = zlib.compressobj(wbits=self._packing)
        self._unpack = zlib.decompressobj(wbits=self._unpacking)

    def pack(self, payload: bytes) -> bytes:
        """Return the payload of a compressed message."""
        if not self.client_keeps:
            self._pack = zlib.compressobj(wbits=self._packing)
        return self.pack_after_the_last(payload)

    def pack_after_the_last(self, payload: bytes) -> bytes:
        """Return one that builds on what was packed before, agreed or not."""
        data = self._pack.compress(payload) + self._pack.flush(zlib.Z_SYNC_FLUSH)
        return data.removesuffix(b"\x00\x00\xff\xff")

    def unpack(self, answer: Frame) -> bytes:
        """Return the message of a frame."""
        if answer.rsv != COMPRESSED:
            assert answer.rsv == 0
            return answer.payload
        if not self.server_keeps:
            self._unpack = zlib.decompressobj(wbits=self._unpacking)
        return self._unpack.decompress(answer.payload + b"\x00\x00\xff\xff")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(TRANSPORTS))
async def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    """A server that compresses, one for each transport."""
    folder = tmp_path_factory.mktemp("rooms")
    async with rooms(folder, request.param, limit=LIMIT, compressing=True) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def bystander(server: Server) -> AsyncIterator[Guest]:
    """Somebody else in the room."""
    async for guest in undisturbed(server):
        yield guest


@pytest_asyncio.fixture(loop_scope="module")
async def guest(server: Server) -> Guest:
    """Somebody who has offered to compress."""
    return await server.guest(OFFER)


@pytest.fixture
def deflate(guest: Guest) -> Deflate:
    return Deflate(guest.raw.head)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_nothing_is_compressed_unless_the_server_is_told_to(
    server: Server, transport: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with rooms(tmp_path_factory.mktemp("rooms"), transport) as plain:
        guest = await plain.guest(OFFER)

        assert b"extensions" not in guest.raw.head.lower()
        await guest.raw.send(frame(TEXT, b"\xca\x05\x00", rsv=COMPRESSED))
        await assert_closed_for(plain, guest, PROTOCOL_ERROR)


async def test_nothing_is_compressed_unless_the_client_offers_it(server: Server) -> None:
    guest = await server.guest()

    await assert_echoes(guest, "x" * 1000)

    assert b"extensions" not in guest.raw.head.lower()


async def test_what_was_agreed_on_says_whether_messages_build_on_others(
    server: Server, deflate: Deflate
) -> None:
    assert deflate.client_keeps == deflate.server_keeps == KEEPS_CONTEXT[server.transport]


@pytest.mark.parametrize(
    "offer", [OFFER, OFFER.partition(";")[0], f"{OFFER}; server_max_window_bits=9"]
)
@pytest.mark.parametrize("size", [0, 1, 125, 126, 1000, 65_536, LIMIT])
async def test_compressed_messages_come_back(server: Server, offer: str, size: int) -> None:
    guest = await server.guest(offer)
    deflate = Deflate(guest.raw.head)
    payload = b"so long " * (size // 8) + b"x" * (size % 8)

    for opcode in (TEXT, BINARY, TEXT):
        await guest.raw.send(frame(opcode, deflate.pack(payload), rsv=COMPRESSED))

        answer = await guest.raw.frame()
        assert answer.opcode == opcode
        assert deflate.unpack(answer) == payload


async def test_what_is_large_is_smaller_on_the_wire(guest: Guest, deflate: Deflate) -> None:
    await guest.raw.send(frame(TEXT, deflate.pack(b"so long " * 1000), rsv=COMPRESSED))

    answer = await guest.raw.frame()
    assert answer.rsv == COMPRESSED
    assert len(answer.payload) < 200


async def test_a_message_need_not_be_compressed(guest: Guest, deflate: Deflate) -> None:
    await guest.raw.send(text("plain"), frame(TEXT, deflate.pack(b"packed"), rsv=COMPRESSED))

    assert deflate.unpack(await guest.raw.frame()) == b"plain"
    assert deflate.unpack(await guest.raw.frame()) == b"packed"


@pytest.mark.parametrize("piece", [1, 50])
async def test_a_compressed_message_may_come_in_parts_with_pings_between(
    guest: Guest, deflate: Deflate, piece: int
) -> None:
    message = bytes(range(0x20, 0x7F)) * 5
    data = deflate.pack(message)
    parts = [data[at : at + piece] for at in range(0, len(data), piece)]

    for at, part in enumerate(parts):
        opcode, rsv = (CONTINUATION, 0) if at else (TEXT, COMPRESSED)
        await guest.raw.send(frame(opcode, part, rsv=rsv, fin=False), frame(PING, b"?"))
    await guest.raw.send(frame(CONTINUATION, b""))

    answers = [await guest.raw.frame() for _ in range(len(parts) + 1)]
    assert deflate.unpack(answers.pop()) == message
    assert all(answer == Frame(PONG, b"?") for answer in answers)


async def test_a_message_that_builds_on_another_is_read_only_if_that_was_agreed(
    server: Server, guest: Guest, deflate: Deflate
) -> None:
    message = b"a sentence that is long enough to be referred to"
    await guest.raw.send(frame(TEXT, deflate.pack_after_the_last(message), rsv=COMPRESSED))
    assert deflate.unpack(await guest.raw.frame()) == message

    await guest.raw.send(frame(TEXT, deflate.pack_after_the_last(message), rsv=COMPRESSED))

    if deflate.client_keeps:
        assert deflate.unpack(await guest.raw.frame()) == message
    else:
        await assert_closed_for(server, guest, PROTOCOL_ERROR)


@pytest.mark.parametrize(
    "frames",
    [
        [frame(TEXT, b"\xff\xff\xff\xff", rsv=COMPRESSED)],
        [frame(PING, b"", rsv=COMPRESSED)],
        [frame(TEXT, b"\xca", rsv=COMPRESSED, fin=False), frame(CONTINUATION, b"\x05\x00", rsv=4)],
        [frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b", rsv=COMPRESSED)],
        [frame(TEXT, b"\xca\x05\x00", rsv=COMPRESSED | 1)],
    ],
    ids=["no deflate", "ping", "marked again", "marked late", "another bit"],
)
async def test_what_isnt_compressed_as_it_says_ends_the_connection(
    server: Server, guest: Guest, frames: list[bytes]
) -> None:
    await guest.raw.send(*frames)

    await assert_closed_for(server, guest, PROTOCOL_ERROR)


async def test_compressed_text_that_is_none_ends_the_connection(
    server: Server, guest: Guest, deflate: Deflate
) -> None:
    await guest.raw.send(frame(TEXT, deflate.pack(b"fine until \xc3"), rsv=COMPRESSED))

    await assert_closed_for(server, guest, INVALID_DATA)


@pytest.mark.parametrize("in_parts", [False, True], ids=["whole", "in parts"])
async def test_a_bomb_is_refused_before_it_fills_our_memory(
    server: Server, guest: Guest, deflate: Deflate, in_parts: bool
) -> None:
    data = deflate.pack(b"\x00" * (64 * LIMIT))
    assert len(data) < LIMIT / 8
    frames = [frame(BINARY, data, rsv=COMPRESSED)]
    if in_parts:
        frames = [
            frame(BINARY, data[:50], rsv=COMPRESSED, fin=False),
            frame(CONTINUATION, data[50:], fin=True),
        ]

    tracemalloc.start()
    try:
        await guest.raw.send(*frames)
        await assert_closed_for(server, guest, TOO_BIG)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * LIMIT


async def test_a_compressed_message_may_be_just_as_large_as_the_limit(
    server: Server, guest: Guest, deflate: Deflate
) -> None:
    await guest.raw.send(frame(BINARY, deflate.pack(b"\x00" * LIMIT), rsv=COMPRESSED))
    assert deflate.unpack(await guest.raw.frame()) == b"\x00" * LIMIT

    await guest.raw.send(frame(BINARY, deflate.pack(b"\x00" * (LIMIT + 1)), rsv=COMPRESSED))
    await assert_closed_for(server, guest, TOO_BIG)
