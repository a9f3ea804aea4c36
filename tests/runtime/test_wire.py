"""What may cross, how it is copied, and how errors arrive."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr, RootModel

from runtime.errors import (
    ObjectReset,
    Overloaded,
    RemoteError,
    RemoteTraceback,
    SqlError,
    register,
)
from runtime.packing import decode, encode
from runtime.wire import MAX_BYTES, MAX_DEPTH, copied, copied_error

ID = "ab" * 32
OTHER_ID = "cd" * 32

bounded = settings(max_examples=50, derandomize=True, database=None, deadline=None)

# Values.

NEWFOUNDLAND = timezone(timedelta(hours=-3, minutes=-30))


def unfolded(when: datetime) -> datetime:
    """Text has no place for `fold`; it doesn't count in comparisons either."""
    return when.replace(fold=0)


ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**66),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.uuids(),
    st.decimals(allow_nan=False),
    st.datetimes(timezones=st.sampled_from([None, UTC, NEWFOUNDLAND])).map(unfolded),
)
KEYS = st.recursive(ATOMS, lambda inner: st.tuples(inner) | st.frozensets(inner), max_leaves=3)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.sets(KEYS, max_size=4),
        st.frozensets(KEYS, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    ),
    max_leaves=12,
)


def typed(value: Any) -> Any:
    """Describe a value so that equal descriptions mean equal values of equal types."""
    if isinstance(value, list | tuple):
        return type(value), [typed(item) for item in value]
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(typed(item)) for item in value)
    if isinstance(value, dict):
        return dict, [(typed(key), typed(item)) for key, item in value.items()]
    return type(value), repr(value)


def changeable(value: Any) -> Iterator[int]:
    """The identities of all lists, sets and dicts in a value. Keys can't be any."""
    if isinstance(value, list | set | dict):
        yield id(value)
    if isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from changeable(item)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Post(BaseModel):
    text: str = ""
    tags: list[str] = []
    _seen: list[str] = PrivateAttr(default_factory=list)


class Frame(BaseModel):
    model_config = ConfigDict(frozen=True)

    text: str


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")


class Tags(RootModel[list[str]]):
    pass


@dataclasses.dataclass
class Seat:
    row: int
    holders: list[str]


@dataclasses.dataclass
class Counter:
    start: int

    def __post_init__(self) -> None:
        self.steps: list[int] = []


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    cells: list[int]


@dataclasses.dataclass(frozen=True)
class Cell:
    row: int


class Pair(NamedTuple):
    first: int


class Names(list[str]):
    pass


@dataclasses.dataclass
class Basket(list[Any]):
    owner: str = ""


class Reference:
    crosses_by_reference = True


class Private:
    pass


@bounded
@given(VALUES)
def test_a_copy_is_equal_of_the_same_types_and_shares_nothing_changeable(value: Any) -> None:
    twin = copied(value, "it")

    assert typed(twin) == typed(value)
    assert not set(changeable(twin)) & set(changeable(value))


@pytest.mark.parametrize(
    "value", [None, True, 1, 1.5, "text", b"bytes", UUID(int=1), Decimal(1), datetime.now(UTC)]
)
def test_a_value_that_cant_change_is_its_own_copy(value: Any) -> None:
    assert copied(value, "it") is value


def test_a_copied_model_shares_nothing_changeable() -> None:
    post = Post(text="hi", tags=["a"])

    twin = copied({"post": post}, "it")["post"]
    twin.tags.append("b")

    assert (twin.text, twin.tags) == ("hi", ["a", "b"])
    assert post.tags == ["a"]


def test_a_copied_model_shares_no_private_attribute() -> None:
    post = Post()

    twin = copied(post, "it")
    twin._seen.append("ada")

    assert post._seen == []


def test_a_copied_model_has_the_same_fields_set() -> None:
    assert Post(text="hi").model_dump(exclude_unset=True) == {"text": "hi"}

    twin = copied(Post(text="hi"), "it")

    assert twin.model_dump(exclude_unset=True) == {"text": "hi"}


def test_what_a_model_allows_beyond_its_fields_is_copied_too() -> None:
    loose = Loose.model_validate({"more": [1]})

    twin = copied(loose, "it")

    assert twin == loose
    assert twin.more is not loose.more  # type: ignore[attr-defined]  # declared nowhere


def test_a_root_model_is_copied() -> None:
    tags = Tags(["a"])

    twin = copied(tags, "it")

    assert twin == tags
    assert twin.root is not tags.root


@pytest.mark.parametrize("value", [Frame(text="hi"), Cell(1)])
def test_a_frozen_value_with_nothing_changeable_in_it_is_its_own_copy(value: Any) -> None:
    assert copied(value, "it") is value


@pytest.mark.parametrize(
    ("value", "field"), [(Seat(1, ["ada"]), "holders"), (Move([1, 2]), "cells")]
)
def test_a_copied_dataclass_shares_nothing_changeable(value: Any, field: str) -> None:
    twin = copied(value, "it")

    assert twin == value
    assert getattr(twin, field) is not getattr(value, field)


def test_a_copied_dataclass_shares_no_attribute_that_isnt_a_field() -> None:
    counter = Counter(1)

    twin = copied(counter, "it")
    twin.steps.append(1)

    assert counter.steps == []


@pytest.mark.parametrize("value", [Color.RED, Level.LOW])
def test_an_enum_member_stays_itself(value: enum.Enum) -> None:
    assert copied([value], "it")[0] is value


def test_what_crosses_by_reference_isnt_copied() -> None:
    reference = Reference()

    assert copied({"back": reference}, "it")["back"] is reference


def test_a_function_crosses_as_the_reference_that_is_made_of_it() -> None:
    reference = Reference()

    twin = copied([print, 1], "it", lambda value: reference if value is print else None)

    assert twin == [reference, 1]


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Private(),
        Private,
        print,
        (number for number in "12"),
        bytearray(b"x"),
        memoryview(b"x"),
        Names(["a"]),
        Basket(),
        Pair(1),
        OrderedDict(a=1),
        timedelta(1),
        1j,
        range(3),
        ValueError("x"),
        [{"deep": (object(),)}],
        {object(): 1},
        Seat(1, [object()]),  # type: ignore[list-item]  # that is the point
    ],
)
def test_what_isnt_a_plain_value_is_refused_by_the_name_of_the_argument(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^argument 'seat' can't be sent to another object: "):
        copied(value, "argument 'seat'", lambda _: None)


def test_a_refusal_names_the_type() -> None:
    with pytest.raises(TypeError, match=r"an instance of builtins\.bytearray is no plain value$"):
        copied([bytearray()], "it")


def test_a_value_of_exactly_32_mib_may_cross() -> None:
    value = bytes(MAX_BYTES)

    assert copied(value, "it") is value


@pytest.mark.parametrize(
    "value",
    [
        bytes(MAX_BYTES + 1),
        "x" * (MAX_BYTES + 1),
        [bytes(MAX_BYTES // 2)] * 2,
        "\U0001f600" * (MAX_BYTES // 4 + 1),
        "\ud800" * (MAX_BYTES // 3 + 1),  # half a character
    ],
)
def test_a_larger_value_is_refused_with_its_size(value: Any) -> None:
    with pytest.raises(ValueError, match=r"limited to 32MiB, .* this value was: 33554\d+ bytes\."):
        copied(value, "it")


def test_a_large_value_is_given_up_as_soon_as_it_is_too_large() -> None:
    """The same list in itself ten times over is small in memory, and endless to walk."""
    leaves = 0

    def refer(_: object) -> Reference:
        nonlocal leaves
        leaves += 1
        return Reference()

    value: list[Any] = [bytes(1024 * 1024), print]
    for _ in range(8):
        value = [value, value]

    with pytest.raises(ValueError, match="32MiB"):
        copied(value, "it", refer)
    assert leaves < 64


def test_values_may_be_nested_100_deep_and_no_deeper() -> None:
    assert copied(nested(MAX_DEPTH), "it") == nested(MAX_DEPTH)

    with pytest.raises(ValueError, match=r"^it is nested more than 100 deep$"):
        copied(nested(MAX_DEPTH + 1), "it")


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)

    with pytest.raises(ValueError, match="nested more than"):
        copied(value, "it")


# What is kept.


@bounded
@given(VALUES)
def test_what_was_encoded_is_decoded_with_its_types(value: Any) -> None:
    assert typed(decode(encode(value))) == typed(value)


@pytest.mark.parametrize("value", [-(2**63) - 1, -(2**63), 2**64 - 1, 2**64, 10**400])
def test_whole_numbers_of_any_size_can_be_stored(value: int) -> None:
    assert decode(encode(value)) == value


@pytest.mark.parametrize(
    ("value", "hex"),
    [
        (None, "c0"),
        ({"a": [1, True, 1.5]}, "81a1619301c3cb3ff8000000000000"),
        (b"\x01", "c40101"),
        (2**64, "c71501b43138343436373434303733373039353531363136"),
        ((1,), "d5029101"),
        ({1}, "d5039101"),
        (frozenset({1}), "d5049101"),
        ({1: 2}, "d60591920102"),
        (datetime(2030, 1, 2, tzinfo=UTC), "c71a06b9" + b"2030-01-02T00:00:00+00:00".hex()),
        (UUID(int=1), "c71207c410" + "00" * 15 + "01"),
        (Decimal("1.50"), "c70508a4" + b"1.50".hex()),
    ],
)
def test_the_format_on_disk_never_changes(value: Any, hex: str) -> None:
    assert encode(value).hex() == hex
    assert typed(decode(bytes.fromhex(hex))) == typed(value)


@pytest.mark.parametrize(
    "value", [Color.RED, Level.LOW, object(), bytearray(), Pair(1), [{"x": print}], {Private(): 1}]
)
def test_what_isnt_a_plain_value_cant_be_stored(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^can't be stored: an instance of "):
        encode(value)


@pytest.mark.parametrize("value", [Frame(text="x"), Cell(1)])
def test_a_model_cant_be_stored_but_its_fields_can(value: Any) -> None:
    with pytest.raises(TypeError, match="take its fields instead"):
        encode(value)


def test_a_stored_value_may_be_nested_100_deep_and_no_deeper() -> None:
    assert decode(encode(nested(MAX_DEPTH))) == nested(MAX_DEPTH)

    with pytest.raises(ValueError, match="nested more than 100 deep"):
        encode(nested(MAX_DEPTH + 1))


def test_what_a_newer_version_has_stored_is_refused() -> None:
    data = msgspec.msgpack.encode(msgspec.msgpack.Ext(99, b""))

    with pytest.raises(ValueError, match="extension type 99 is unknown; a newer version"):
        decode(data)


# Errors.


class SoldOut(Exception):
    """Private to its object."""


@register
class Refused(Exception):
    """Wants more than its args."""

    def __init__(self, seat: str, *, row: int) -> None:
        super().__init__(f"{seat} in row {row}")
        self.seat = seat
        self.row = row


@register
@dataclasses.dataclass
class TooLate(Exception):
    deadline: int
    late: list[str] = dataclasses.field(default_factory=list)


@register
@dataclasses.dataclass(slots=True)
class TooEarly(Exception):
    opens_at: int


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise AttributeError("seat")


@register
class Unmakeable(Exception):
    def __new__(cls, *, seat: str) -> Unmakeable:
        return super().__new__(cls, seat)

    def __init__(self, *, seat: str) -> None: ...


@register
class Immutable(Exception):
    def __init__(self, seat: str) -> None:
        self.__dict__["seat"] = seat

    def __setattr__(self, name: str, value: object) -> None:
        if name == "seat":
            raise RuntimeError("immutable")
        super().__setattr__(name, value)


@register
class Indivisible(ExceptionGroup[Exception]):
    def derive(self, errors: object) -> NoReturn:
        raise RuntimeError("indivisible")


def sell() -> None:
    raise SoldOut("seat A1")


def failure_of(call: Callable[[], object]) -> Exception:
    """What a call raises, with its traceback, as an object's method leaves it behind."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever it is
        call()
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        ValueError("why", 1),
        KeyError("seat"),
        TimeoutError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why"),
        SqlError("why", code="SQLITE_FULL"),
        Overloaded("why"),
    ],
)
def test_a_builtin_error_or_one_of_ours_arrives_as_itself(error: Exception) -> None:
    twin = copied_error(error, ID)

    assert type(twin) is type(error)
    assert twin is not error
    assert (twin.args, str(twin)) == (error.args, str(error))


@pytest.mark.parametrize("error", [ValueError("why"), Refused("A1", row=3), ObjectReset("why")])
def test_an_error_says_that_it_is_remote_and_of_which_object(error: Exception) -> None:
    twin: Any = copied_error(error, ID)

    assert (twin.remote, twin.durable_object_id) == (True, ID)
    assert not vars(error).get("remote")


@pytest.mark.parametrize("error", [ValueError("why"), Refused("A1", row=3)])
def test_an_error_that_isnt_ours_has_the_flags_that_ours_have(error: Exception) -> None:
    twin: Any = copied_error(error, ID)

    assert (twin.retryable, twin.overloaded, twin.durable_object_reset) == (False, False, False)


def test_an_error_of_the_runtime_isnt_remote() -> None:
    twin: Any = copied_error(ObjectReset("why"), ID, remote=False)

    assert (twin.remote, twin.durable_object_reset) == (False, True)


def test_an_error_that_passes_a_second_object_keeps_the_first() -> None:
    twin: Any = copied_error(copied_error(ValueError("why"), ID), OTHER_ID)

    assert twin.durable_object_id == ID


def test_a_registered_error_arrives_whole_whatever_its_constructor_wants() -> None:
    twin = copied_error(Refused("A1", row=3), ID)

    assert isinstance(twin, Refused)
    assert (twin.seat, twin.row, str(twin)) == ("A1", 3, "A1 in row 3")


def test_a_registered_dataclass_arrives_with_its_fields() -> None:
    error = TooLate(7, late=["ada"])

    twin = copied_error(error, ID)

    assert isinstance(twin, TooLate)
    assert (twin.deadline, twin.late) == (7, ["ada"])
    assert twin.late is not error.late


def test_a_registered_error_with_slots_arrives_with_their_content() -> None:
    twin = copied_error(TooEarly(opens_at=7), ID)

    assert isinstance(twin, TooEarly)
    assert twin.opens_at == 7


def test_a_private_error_arrives_as_a_remote_error() -> None:
    twin = copied_error(SoldOut("seat A1"), ID)

    assert isinstance(twin, RemoteError)
    assert (twin.type_name, twin.message) == ("SoldOut", "seat A1")
    assert (twin.remote, twin.durable_object_id) == (True, ID)


def test_an_error_takes_its_notes_along_and_leaves_behind_what_cant_cross() -> None:
    error = Refused("A1", row=3)
    error.add_note("while booking")
    error.connection = object()  # type: ignore[attr-defined]  # as careless code does

    twin = copied_error(error, ID)

    assert twin.__notes__ == ["while booking"]
    assert not hasattr(twin, "connection")


@pytest.mark.parametrize(
    ("error", "args"),
    [
        (KeyError(date(2030, 1, 2)), ("2030-01-02",)),
        (ValueError("no", Path("x"), 5), ("no", "x", 5)),
        (FileNotFoundError(2, "none", Path("x")), (2, "none")),
    ],
)
def test_what_cant_be_sent_of_an_error_arrives_as_text(
    error: Exception, args: tuple[object, ...]
) -> None:
    twin = copied_error(error, ID)

    assert type(twin) is type(error)
    assert twin.args == args


def test_an_error_that_is_too_large_arrives_as_a_remote_error() -> None:
    twin = copied_error(ValueError(bytes(MAX_BYTES + 1)), ID)

    assert isinstance(twin, RemoteError)
    assert twin.type_name == "ValueError"


def test_an_error_that_has_no_text_arrives_as_a_remote_error() -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError

    twin = copied_error(ValueError(Mute()), ID)

    assert isinstance(twin, RemoteError)
    assert twin.type_name == "ValueError"


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(3)])
def test_what_would_end_the_callers_task_arrives_as_a_remote_error(error: BaseException) -> None:
    twin = copied_error(error, ID)

    assert isinstance(twin, RemoteError)
    assert twin.type_name == type(error).__name__


@pytest.mark.parametrize(
    "error",
    [
        Unspeakable("A1"),
        Unmakeable(seat="A1"),
        Immutable("A1"),
        Indivisible("two", [ValueError("a"), SoldOut("b")]),
    ],
)
def test_an_error_that_cant_be_rebuilt_arrives_as_a_remote_error(error: Exception) -> None:
    """Raising here would leave the caller waiting for ever."""
    twin = copied_error(error, ID)

    assert isinstance(twin, RemoteError)
    assert twin.type_name == type(error).__name__


def test_an_exception_group_arrives_with_its_errors() -> None:
    group = ExceptionGroup("two", [ValueError("a"), SoldOut("b")])

    twin = copied_error(group, ID)

    assert isinstance(twin, ExceptionGroup)
    assert [type(error) for error in twin.exceptions] == [ValueError, RemoteError]


def test_a_missing_file_is_still_named() -> None:
    error = FileNotFoundError(2, "No such file or directory", "seats.csv")

    twin = copied_error(error, ID)

    assert str(twin) == str(error)


def test_the_traceback_comes_along_in_development_only() -> None:
    error = failure_of(sell)

    assert copied_error(error, ID).__cause__ is None
    cause = copied_error(error, ID, traceback=True).__cause__

    assert isinstance(cause, RemoteTraceback)
    assert "in sell" in str(cause)
    assert "SoldOut: seat A1" in str(cause)


def test_the_runtimes_own_traceback_is_nobodys_business() -> None:
    error = failure_of(sell)

    assert copied_error(error, ID, remote=False, traceback=True).__cause__ is None


def test_an_error_that_was_never_raised_has_no_traceback_to_send() -> None:
    assert copied_error(SoldOut("seat A1"), ID, traceback=True).__cause__ is None
