"""How messages are framed: as `websockets` would, and once for all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, Frame, Opcode

from runtime.messages import (
    MAX_REASON_BYTES,
    PING,
    WORTH_COMPRESSING,
    Outgoing,
    close_frame,
    pong,
    sendable,
    shortened,
)

SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 100_000]


@pytest.mark.parametrize("size", SIZES)
def test_a_message_is_framed_as_the_protocol_says(size: int) -> None:
    text, data = "x" * size, b"\xff" * size

    assert Outgoing(text).frame == Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
    assert Outgoing(data).frame == Frame(Opcode.BINARY, data).serialize(mask=False)


def test_a_message_is_framed_once() -> None:
    outgoing = Outgoing("é" * 1000)

    assert outgoing.frame is outgoing.frame
    assert outgoing.compressed(12) is outgoing.compressed(12)
    assert outgoing.size == len(outgoing.frame)


@given(st.one_of(st.text(max_size=3000), st.binary(max_size=3000)))
def test_what_was_compressed_can_be_read_without_what_came_before(message: str | bytes) -> None:
    frame = Outgoing(message).compressed(12)
    payload = message.encode() if isinstance(message, str) else message

    is_compressed = bool(frame[0] & 0x40)
    start = 2 + {126: 2, 127: 8}.get(frame[1], 0)
    read = Frame(Opcode(frame[0] & 0x0F), frame[start:], rsv1=is_compressed)
    if is_compressed:
        read = PerMessageDeflate(True, True, 12, 12).decode(read)

    assert bytes(read.data) == payload
    assert is_compressed == (len(Outgoing(message).frame) >= WORTH_COMPRESSING)


def test_control_frames_are_as_the_protocol_says() -> None:
    closing = Frame(Opcode.CLOSE, Close(4001, "so long").serialize())

    assert close_frame(4001, "so long") == closing.serialize(mask=False)
    assert pong(b"abc") == Frame(Opcode.PONG, b"abc").serialize(mask=False)
    assert Frame(Opcode.PING, b"").serialize(mask=False) == PING


def test_a_reason_is_cut_between_characters() -> None:
    assert shortened("é" * 100) == "é" * 61
    assert len(shortened("x" * 500)) == MAX_REASON_BYTES


def test_what_could_change_is_copied() -> None:
    data = bytearray(b"abc")

    kept = sendable(data)
    data[0] = 0

    assert kept == b"abc"


@pytest.mark.parametrize("message", [None, 7, ["x"]])
def test_only_text_and_bytes_can_be_sent(message: object) -> None:
    with pytest.raises(TypeError, match="a message is text or bytes, not"):
        sendable(message)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        sendable("\ud800")
