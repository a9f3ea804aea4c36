"""What a server does with every kind of frame, right or wrong, over a real port.

The cases are those that the Autobahn test suite has for servers. Each runs on both transports,
with somebody else in the same room, who must not notice.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import pytest
import pytest_asyncio

from tests.runtime.echo_rooms import (
    UNASSIGNED_CODES_LEAVE,
    WHAT_CAME_BEFORE_A_FAULT_COUNTS,
    Guest,
    Server,
    assert_closed_for,
    assert_echoes,
    rooms,
    undisturbed,
)
from tests.runtime.raw_socket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    close,
    frame,
    text,
)
from tests.servers import TRANSPORTS

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT: Final = 2**20
SMALL_LIMIT: Final = 1000

SIZES: Final = (0, 1, 125, 126, 127, 128, 65_535, 65_536, LIMIT)
SHORT: Final = 128
LONG: Final = 65_535

PROTOCOL_ERROR: Final = 1002
INVALID_DATA: Final = 1007
TOO_BIG: Final = 1009


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(TRANSPORTS))
async def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    """A server, one for each transport."""
    async with rooms(tmp_path_factory.mktemp("rooms"), request.param, limit=LIMIT) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(TRANSPORTS))
async def small_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    """The same, where messages may have 1,000 bytes."""
    folder = tmp_path_factory.mktemp("rooms")
    async with rooms(folder, request.param, limit=SMALL_LIMIT) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def bystander(request: pytest.FixtureRequest) -> AsyncIterator[Guest]:
    """Somebody else in the room."""
    name = "small_server" if "small_server" in request.fixturenames else "server"
    async for guest in undisturbed(request.getfixturevalue(name)):
        yield guest


@pytest.fixture(autouse=True)
def no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test in which something of ours has failed."""
    yield
    for record in caplog.get_records("call"):
        is_ours = not record.name.startswith("uvicorn")  # which logs what clients do as an error
        assert not (is_ours and record.levelno >= logging.ERROR), record.getMessage()


def cut(data: bytes, size: int) -> list[bytes]:
    """Return data in pieces of a size."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def fragments(parts: Sequence[bytes], opcode: int = TEXT) -> list[bytes]:
    """Return the frames of one message."""
    last = len(parts) - 1
    return [
        frame(CONTINUATION if at else opcode, part, fin=at == last) for at, part in enumerate(parts)
    ]


# What is right.


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize(
    ("size", "piece"),
    [
        *((size, 2 * LIMIT) for size in SIZES),
        *((size, 1) for size in SIZES if size <= SHORT),
        *((size, 997) for size in SIZES if size >= LONG),
    ],
)
async def test_a_message_comes_back_whole_however_it_arrives(
    server: Server, size: int, piece: int, opcode: int
) -> None:
    guest = await server.guest()
    payload = bytes(ord("a") + at % 26 for at in range(size))

    await guest.raw.send(*cut(frame(opcode, payload), piece))

    assert await guest.raw.frame() == Frame(opcode, payload)


@pytest.mark.parametrize(("size", "length_bytes"), [(0, 2), (5, 2), (5, 8), (200, 8), (65_535, 8)])
async def test_a_length_may_be_written_longer_than_it_needs(
    server: Server, size: int, length_bytes: int
) -> None:
    guest = await server.guest()

    await guest.raw.send(frame(BINARY, b"x" * size, length_bytes=length_bytes))

    assert await guest.raw.frame() == Frame(BINARY, b"x" * size)


async def test_messages_that_arrive_together_are_answered_in_order(server: Server) -> None:
    guest = await server.guest()
    payloads = [b"", b"1", b"2" * 200, b"3" * 5000, b"4", b"5" * 70_000, b"6"]

    await guest.raw.send(b"".join(frame(BINARY, payload) for payload in payloads))

    assert [(await guest.raw.frame()).payload for _ in payloads] == payloads


@pytest.mark.parametrize("piece", [1, 7, 4096])
async def test_where_data_is_cut_makes_no_difference(server: Server, piece: int) -> None:
    guest = await server.guest()
    sent = [text("short"), frame(PING, b"?"), frame(BINARY, b"y" * 300), text("last")]

    await guest.raw.send(*cut(b"".join(sent), piece))

    answers = [await guest.raw.frame() for _ in sent]
    assert Frame(PONG, b"?") in answers
    answers.remove(Frame(PONG, b"?"))
    assert [answer.payload for answer in answers] == [b"short", b"y" * 300, b"last"]


@pytest.mark.parametrize("payload", [b"", b"x", bytes(range(0x80, 0xFD)), b"x" * 125])
@pytest.mark.parametrize("piece", [1, LIMIT])
async def test_a_ping_is_answered_with_its_payload(
    server: Server, payload: bytes, piece: int
) -> None:
    guest = await server.guest()

    await guest.raw.send(*cut(frame(PING, payload), piece))

    assert await guest.raw.frame() == Frame(PONG, payload)


async def test_pings_that_arrive_together_are_answered_in_order(server: Server) -> None:
    guest = await server.guest()
    pings = [str(number).encode() for number in range(10)]

    await guest.raw.send(b"".join(frame(PING, ping) for ping in pings))

    assert [(await guest.raw.frame()).payload for _ in pings] == pings


async def test_a_pong_that_nobody_has_asked_for_means_nothing(server: Server) -> None:
    guest = await server.guest()

    await guest.raw.send(frame(PONG, b"?"), frame(PONG), frame(PONG, b"x" * 125))

    await assert_echoes(guest)


@pytest.mark.parametrize(
    "parts",
    [
        [b"a", b"b"],
        [b"", b""],
        [b"", b"a"],
        [b"a", b""],
        [b"a", b"", b"", b"b", b""],
        [b"x" * 50_000, b"y" * 50_000],
        [b"z"] * 1000,
        [b""] * 1000,
    ],
    ids=lambda parts: f"{len(parts)} parts of {len(b''.join(parts))}",
)
@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("is_cut", [False, True], ids=["together", "one by one"])
async def test_a_message_in_parts_is_one(
    server: Server, parts: list[bytes], opcode: int, is_cut: bool
) -> None:
    guest = await server.guest()
    frames = fragments(parts, opcode)

    await guest.raw.send(*(frames if is_cut else [b"".join(frames)]))

    assert await guest.raw.frame() == Frame(opcode, b"".join(parts))
    await assert_echoes(guest)


async def test_pings_between_the_parts_of_a_message_are_answered_before_it(server: Server) -> None:
    guest = await server.guest()
    first, second, third = fragments([b"a", b"b", b"c"])

    await guest.raw.send(
        first, frame(PING, b"1"), frame(PONG, b"?"), second, frame(PING, b"2" * 125), third
    )

    answers = [await guest.raw.frame() for _ in range(3)]
    assert answers == [Frame(PONG, b"1"), Frame(PONG, b"2" * 125), Frame(TEXT, b"abc")]


@pytest.mark.parametrize(
    "message",
    [
        "Hello-µ@ßöäüàá-UTF-8!!",
        "κόσμε",
        "🐭 and 𠜎𠜱",
        "\x00\x7f\x80\u07ff\u0800\uffff",
        "\ud7ff\ue000\ufffd\ufffe",
        "\U00010000\U0010ffff",
    ],
)
async def test_text_may_have_any_character_and_be_cut_within_it(
    server: Server, message: str
) -> None:
    guest = await server.guest()
    payload = message.encode()

    await guest.raw.send(text(message))
    await guest.raw.send(*cut(text(message), 1))
    await guest.raw.send(*fragments(cut(payload, 1)))

    assert [await guest.raw.frame() for _ in range(3)] == [Frame(TEXT, payload)] * 3


async def test_bytes_may_be_no_text(server: Server) -> None:
    guest = await server.guest()

    await guest.raw.send(frame(BINARY, bytes(range(256))), *fragments([b"\xff", b"\xfe"], BINARY))

    assert (await guest.raw.frame()).payload == bytes(range(256))
    assert (await guest.raw.frame()).payload == b"\xff\xfe"


@pytest.mark.parametrize("length", [SMALL_LIMIT - 1, SMALL_LIMIT])
@pytest.mark.parametrize("in_parts", [False, True])
async def test_a_message_may_be_as_large_as_the_limit(
    small_server: Server, length: int, in_parts: bool
) -> None:
    guest = await small_server.guest()
    payload = b"x" * length

    await guest.raw.send(
        *(fragments(cut(payload, 300), BINARY) if in_parts else [frame(BINARY, payload)])
    )

    assert await guest.raw.frame() == Frame(BINARY, payload)


# What is wrong.


@pytest.mark.parametrize(
    ("opcode", "rsv"),
    [*((TEXT, rsv) for rsv in range(1, 8)), *((opcode, 4) for opcode in (BINARY, PING, CLOSE))],
)
async def test_a_reserved_bit_ends_the_connection(server: Server, opcode: int, rsv: int) -> None:
    guest = await server.guest()

    await guest.raw.send(frame(opcode, rsv=rsv))

    await assert_closed_for(server, guest, PROTOCOL_ERROR)


async def test_a_reserved_bit_in_a_later_part_ends_the_connection(server: Server) -> None:
    guest = await server.guest()

    await guest.raw.send(frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b", rsv=4))

    await assert_closed_for(server, guest, PROTOCOL_ERROR)


@pytest.mark.parametrize("payload", [b"", b"x"])
@pytest.mark.parametrize("opcode", [*range(3, 8), *range(11, 16)])
async def test_a_reserved_opcode_ends_the_connection(
    server: Server, opcode: int, payload: bytes
) -> None:
    guest = await server.guest()

    await guest.raw.send(frame(opcode, payload))

    await assert_closed_for(server, guest, PROTOCOL_ERROR)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
@pytest.mark.parametrize(
    ("payload", "fin"), [(b"\x03\xe8" * 63, True), (b"", False), (b"\x03\xe8", False)]
)
async def test_a_control_frame_is_short_and_whole(
    server: Server, opcode: int, payload: bytes, fin: bool
) -> None:
    guest = await server.guest()

    await guest.raw.send(frame(opcode, payload, fin=fin))

    await assert_closed_for(server, guest, PROTOCOL_ERROR)


@pytest.mark.parametrize(
    "frames",
    [
        [frame(CONTINUATION, b"of nothing")],
        [frame(CONTINUATION, b"of nothing", fin=False)],
        [frame(TEXT, b"a", fin=False), text("b")],
        [frame(TEXT, b"a", fin=False), frame(BINARY, b"b", fin=False)],
        [frame(TEXT, b"", fin=False), frame(TEXT, b"")],
        [frame(TEXT, b"a", fin=False), close(1000)],
    ],
    ids=[
        "continuation of nothing",
        "unfinished continuation of nothing",
        "message within another",
        "message in parts within another",
        "empty message within an empty one",
        "close within a message",
    ],
)
@pytest.mark.parametrize("is_cut", [False, True], ids=["together", "one by one"])
async def test_parts_come_in_order(server: Server, frames: list[bytes], is_cut: bool) -> None:
    guest = await server.guest()

    await guest.raw.send(*(frames if is_cut else [b"".join(frames)]))

    await assert_closed_for(server, guest, PROTOCOL_ERROR)


async def test_a_message_has_no_parts_after_its_last(server: Server) -> None:
    guest = await server.guest()
    await guest.raw.send(*fragments([b"a", b"b"]))
    assert await guest.raw.frame() == Frame(TEXT, b"ab")

    await guest.raw.send(frame(CONTINUATION, b"late"))

    await assert_closed_for(server, guest, PROTOCOL_ERROR)


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CONTINUATION, PING, PONG, CLOSE])
@pytest.mark.parametrize("length", [0, 5])
async def test_a_frame_without_a_mask_ends_the_connection(
    server: Server, opcode: int, length: int
) -> None:
    guest = await server.guest()

    await guest.raw.send(frame(opcode, b"x" * length, is_masked=False))

    await assert_closed_for(server, guest, PROTOCOL_ERROR)


NO_TEXT: Final = {
    "lonely continuation": b"\x80",
    "lonely continuations": b"\xbf\xbf\xbf",
    "no start": b"\xfe",
    "all ones": b"\xff",
    "overlong slash in two": b"\xc0\xaf",
    "overlong slash in three": b"\xe0\x80\xaf",
    "overlong slash in four": b"\xf0\x80\x80\xaf",
    "overlong maximum": b"\xc1\xbf",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "six bytes": b"\xfc\x84\x80\x80\x80\x80",
    "beyond the last": b"\xf4\x90\x80\x80",
    "half of a pair": b"\xed\xa0\x80",
    "other half": b"\xed\xbf\xbf",
    "a pair": b"\xed\xa0\x80\xed\xb0\x80",
    "half in the middle": "κόσμε".encode() + b"\xed\xa0\x80edited",
    "one of two": b"fine until \xc3",
    "two of three": b"fine until \xe2\x82",
    "three of four": b"fine until \xf0\x9f\x90",
    "start and no more": b"\xc3(",
}


@pytest.mark.parametrize("payload", NO_TEXT.values(), ids=list(NO_TEXT))
@pytest.mark.parametrize("in_parts", [False, True], ids=["whole", "in parts"])
async def test_text_that_is_none_ends_the_connection(
    server: Server, payload: bytes, in_parts: bool
) -> None:
    guest = await server.guest()

    await guest.raw.send(
        *(fragments([*cut(payload, 1), b""]) if in_parts else [frame(TEXT, payload)])
    )

    await assert_closed_for(server, guest, INVALID_DATA)


@pytest.mark.parametrize(
    "length", [SMALL_LIMIT + 1, 65_535, 65_536, 33 * 2**20, 2**31, 2**63 - 1, 2**63, 2**64 - 1]
)
async def test_a_frame_over_the_limit_is_refused_for_what_it_says(
    small_server: Server, length: int
) -> None:
    guest = await small_server.guest()

    await guest.raw.send(frame(BINARY, b"", length=length))

    await assert_closed_for(small_server, guest, TOO_BIG)


@pytest.mark.parametrize(
    "frames",
    [
        [frame(BINARY, b"x" * (SMALL_LIMIT + 1))],
        fragments([b"x" * SMALL_LIMIT, b"x"], BINARY),
        fragments([b"x" * 600, b"x" * 600], BINARY),
        fragments([b"x"] * (SMALL_LIMIT + 1)),
        [*fragments([b"x" * 600, b""], BINARY)[:1], frame(CONTINUATION, b"", length=2**40)],
    ],
    ids=["whole", "one byte more", "together", "by single bytes", "by what the second says"],
)
@pytest.mark.parametrize("is_cut", [False, True], ids=["together", "one by one"])
async def test_a_message_over_the_limit_ends_the_connection(
    small_server: Server, frames: list[bytes], is_cut: bool
) -> None:
    guest = await small_server.guest()

    await guest.raw.send(*(frames if is_cut else [b"".join(frames)]))

    await assert_closed_for(small_server, guest, TOO_BIG)


async def test_what_comes_before_a_fault_is_heard(server: Server) -> None:
    guest = await server.guest()

    await guest.raw.send(text("in time") + frame(3))

    is_heard = WHAT_CAME_BEFORE_A_FAULT_COUNTS[server.transport]
    answers = [Frame(TEXT, b"in time")] if is_heard else []
    await assert_closed_for(server, guest, PROTOCOL_ERROR, after=answers)


async def test_what_comes_after_a_fault_is_not_heard(server: Server) -> None:
    guest = await server.guest()

    await guest.raw.send(frame(3) + text("ignored") + frame(PING, b"ignored") + close(1000))

    await assert_closed_for(server, guest, PROTOCOL_ERROR)


# How connections end.


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        *((code, "bye") for code in (*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4999)),
        *((4000, reason) for reason in ("", "κόσμε", "x" * 123)),
    ],
)
async def test_a_close_frame_is_answered_and_told_once(
    server: Server, code: int, reason: str
) -> None:
    guest = await server.guest()

    await guest.raw.send(close(code, reason.encode()))

    assert await guest.raw.end() == (code, reason)
    assert await guest.end() == (code, reason, True)


async def test_a_close_frame_without_a_code_is_answered_with_one_without(server: Server) -> None:
    guest = await server.guest()

    await guest.raw.send(close())

    assert await guest.raw.rest() == [Frame(CLOSE, b"")]
    assert await guest.end() == (1005, "", True)


@pytest.mark.parametrize(
    "code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]
)
async def test_a_code_that_may_not_be_sent_is_a_fault(server: Server, code: int) -> None:
    guest = await server.guest()

    await guest.raw.send(close(code))

    await assert_closed_for(server, guest, PROTOCOL_ERROR)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x03", PROTOCOL_ERROR),
        (b"\x03\xe8" + b"x" * 124, PROTOCOL_ERROR),
        (b"\x03\xe8\xff", INVALID_DATA),
        (b"\x03\xe8\xed\xa0\x80", INVALID_DATA),
        (b"\x03\xe8cut \xc3", INVALID_DATA),
    ],
    ids=["half a code", "too long", "no text", "half a character", "cut"],
)
async def test_a_close_frame_that_cant_be_read_is_a_fault(
    server: Server, payload: bytes, code: int
) -> None:
    guest = await server.guest()

    await guest.raw.send(frame(CLOSE, payload))

    await assert_closed_for(server, guest, code)


@pytest.mark.parametrize(
    "late", [text("late"), frame(PING, b"late"), close(1001), close(0), frame(3), b"\xff" * 500]
)
async def test_what_comes_after_a_close_frame_is_not_heard(server: Server, late: bytes) -> None:
    guest = await server.guest()

    await guest.raw.send(close(4000, b"bye") + late)

    assert await guest.raw.end() == (4000, "bye")
    assert await guest.end() == (4000, "bye", True)


@pytest.mark.parametrize(
    "answer",
    [close(4000), close(4000, b"as you wish"), close(), close(1001, b"for another reason")],
)
async def test_the_objects_close_is_what_it_is_told_once_it_is_answered(
    server: Server, answer: bytes
) -> None:
    guest = await server.guest()

    await guest.raw.send(text("close me with 4000"))
    assert (await guest.raw.frame()).end == (4000, "as you wish")
    await guest.raw.send(text("late"), frame(PING, b"late"), answer)

    assert all(late.opcode == PONG for late in await guest.raw.rest())
    assert await guest.end() == (4000, "as you wish", True)


@pytest.mark.parametrize("code", [1000, 1001, 1012, 1016, 2000, 2999, 3000, 4999])
async def test_an_object_may_close_with_any_code_that_may_be_sent(
    server: Server, code: int
) -> None:
    guest = await server.guest()

    await guest.raw.send(text(f"close me with {code}"))
    is_sent = UNASSIGNED_CODES_LEAVE[server.transport] or code not in range(1016, 3000)
    assert (await guest.raw.frame()).end == (code if is_sent else 1000, "as you wish")
    await guest.raw.send(close(1000))

    assert await guest.raw.rest() == []
    assert await guest.end() == (code, "as you wish", True)


@pytest.mark.parametrize("how", ["by the end of the stream", "by a reset"])
@pytest.mark.parametrize(
    "unfinished",
    [
        b"",
        b"\x81",
        text("halfway")[:7],
        frame(TEXT, b"part", fin=False),
        frame(TEXT, b"x" * 9999)[:5000],
    ],
    ids=["idle", "after a byte", "within a frame", "between parts", "within a long frame"],
)
async def test_a_peer_that_vanishes_is_told_with_1006(
    server: Server, unfinished: bytes, how: str
) -> None:
    guest = await server.guest()
    await guest.raw.send(unfinished)

    if how == "by a reset":
        guest.raw.reset()
    else:
        guest.raw.leave()

    assert await guest.end() == (1006, "WebSocket disconnected without sending Close frame.", False)
