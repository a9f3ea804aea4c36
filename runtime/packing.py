"""What is kept of values as bytes: KV values, and what is attached to sockets.

MessagePack, with extension types for what it lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final
from uuid import UUID

import msgspec

from runtime.wire import MAX_DEPTH, unsendable


class _Extension(IntEnum):
    """MessagePack extension types. The numbers are on people's disks: they never change."""

    BIG_INT = 1
    TUPLE = 2
    SET = 3
    FROZENSET = 4
    PAIRS = 5
    DATETIME = 6
    UUID = 7
    DECIMAL = 8


_CONTAINERS: Final[dict[type, _Extension]] = {
    tuple: _Extension.TUPLE,
    set: _Extension.SET,
    frozenset: _Extension.FROZENSET,
}


def encode(value: Any) -> bytes:
    """Return `value` as bytes.

    Raises:
        TypeError: If it is, or contains, something other than None, bool, int, float, str,
            bytes, list, tuple, set, frozenset, dict, datetime, UUID and Decimal.
        ValueError: If it is nested too deeply.
    """
    return msgspec.msgpack.encode(_packable(value, 0))


def decode(data: bytes) -> Any:
    """Return the value that `encode` made `data` of."""
    return _decoder.decode(data)


def _packable(value: Any, depth: int) -> Any:
    kind: type = type(value)
    if kind in (str, bytes, bool, float, type(None)):
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**64 else _extension(_Extension.BIG_INT, str(value))
    if depth > MAX_DEPTH:
        raise ValueError(f"the value is nested more than {MAX_DEPTH} deep")
    deeper = depth + 1
    if kind is list:
        return [_packable(item, deeper) for item in value]
    if kind is dict:
        if all(type(key) is str for key in value):
            return {key: _packable(item, deeper) for key, item in value.items()}
        pairs = [[_packable(k, deeper), _packable(v, deeper)] for k, v in value.items()]
        return _extension(_Extension.PAIRS, pairs)
    if kind in _CONTAINERS:
        return _extension(_CONTAINERS[kind], [_packable(item, deeper) for item in value])
    if kind is datetime:
        return _extension(_Extension.DATETIME, value.isoformat())
    if kind is UUID:
        return _extension(_Extension.UUID, value.bytes)
    if kind is Decimal:
        return _extension(_Extension.DECIMAL, str(value))
    raise TypeError(f"can't be stored: {unsendable(kind)}")


def _extension(code: _Extension, content: Any) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(code.value, msgspec.msgpack.encode(content))


def _unpack_extension(code: int, data: memoryview) -> Any:
    build = _BUILDERS.get(code)
    if build is None:
        raise ValueError(f"extension type {code} is unknown; a newer version has written it")
    return build(_decoder.decode(data))


_BUILDERS: Final[dict[int, Callable[[Any], Any]]] = {
    _Extension.BIG_INT: int,
    _Extension.TUPLE: tuple,
    _Extension.SET: set,
    _Extension.FROZENSET: frozenset,
    _Extension.PAIRS: dict,
    _Extension.DATETIME: datetime.fromisoformat,
    _Extension.UUID: lambda raw: UUID(bytes=raw),
    _Extension.DECIMAL: Decimal,
}
_decoder: Final = msgspec.msgpack.Decoder(ext_hook=_unpack_extension)
