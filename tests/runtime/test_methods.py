"""Which methods a stub may call, and what they accept."""

from __future__ import annotations

import functools
import gc
import typing
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from annotated_types import Gt
from pydantic import BaseModel, StringConstraints

from runtime.methods import RESERVED, Method, Plain, methods_of, rpc_private
from runtime.namespace import Reply
from runtime.object import DurableObject
from runtime.wire import MAX_BYTES

if TYPE_CHECKING:
    from fractions import Fraction


class Seat(BaseModel):
    row: int


@dataclass
class Booking:
    seat: Fraction


class Reference:
    crosses_by_reference = True


class Base:
    async def inherited(self) -> None: ...


class Event(Base):
    """Every kind of signature once."""

    async def hold(self, seat: str, row: int) -> None: ...
    async def rest(self, *seats: int, **rows: int) -> None: ...
    async def only_by_name(self, *, row: int, seat: str = "A1") -> None: ...
    async def only_by_place(self, row: int, /, seat: str = "A1") -> None: ...
    async def perhaps(self, row: int | None = None) -> None: ...
    async def flag(self, on: bool) -> None: ...
    async def price(self, amount: float) -> None: ...
    async def raw(self, data: bytes) -> None: ...
    async def at(self, when: datetime) -> None: ...
    async def choose(self, side: Literal["left", "right"]) -> None: ...
    async def many(self, rows: Sequence[int]) -> None: ...
    async def table(self, rows: list[dict[str, int]]) -> None: ...
    async def book(self, seat: Seat) -> None: ...
    async def positive(self, row: Annotated[int, Gt(0)]) -> None: ...
    async def tidy(self, name: Annotated[str, StringConstraints(max_length=3)]) -> None: ...
    async def pair(self, first: bytes, second: bytes) -> None: ...
    async def call_back(self, listener: Callable[[int], None]) -> None: ...
    async def meet(self, other: Event) -> None: ...
    async def unannotated(self, seat, row=1): ...  # type: ignore[no-untyped-def]  # so users write
    async def count(self) -> int: ...  # type: ignore[empty-body]  # nobody calls it
    async def seats(self) -> list[str]: ...  # type: ignore[empty-body]
    def plain(self) -> str: ...  # type: ignore[empty-body]

    async def _private(self) -> None: ...

    @rpc_private
    async def hidden(self) -> None: ...

    @staticmethod
    def helper(seat: str) -> str:
        return seat

    @classmethod
    def make(cls) -> None: ...

    @property
    def title(self) -> str:
        return ""

    limit = 5


METHODS = methods_of(Event)


def refer(value: Any) -> Reference | None:
    return Reference() if callable(value) or isinstance(value, Event) else None


def accept(name: str, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return METHODS[name].accept(args, kwargs, refer)


# Which.


@pytest.mark.parametrize("name", ["hold", "inherited", "plain", "unannotated"])
def test_public_methods_may_be_called(name: str) -> None:
    assert isinstance(METHODS[name], Method)


@pytest.mark.parametrize(
    "name", ["_private", "hidden", "title", "limit", "make", "helper", "__init__", "missing"]
)
def test_anything_else_may_not(name: str) -> None:
    assert name not in METHODS


def test_handlers_and_fields_of_an_object_may_not_be_called() -> None:
    class Room(DurableObject[object]):
        async def alarm(self, invocation: object) -> None: ...
        async def fetch(self, request: object) -> None: ...
        async def post(self) -> None: ...

    assert set(methods_of(Room)) == {"post"}


def test_other_names_may_be_reserved_instead() -> None:
    class Target:
        async def fetch(self) -> None: ...
        async def dup(self) -> None: ...

    assert {"fetch", "dup"} <= RESERVED
    assert set(methods_of(Target, reserved=frozenset({"dup"}))) == {"fetch"}


def test_a_method_that_is_hidden_in_its_base_can_be_opened_by_a_subclass() -> None:
    class Open(Event):
        async def hidden(self) -> None: ...

    assert "hidden" in methods_of(Open)


def test_a_wrapped_method_keeps_its_signature_and_its_privacy() -> None:
    def logged(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await method(*args, **kwargs)

        return wrapper

    class Logged:
        hold = logged(Event.hold)
        hidden = logged(Event.hidden)

    methods = methods_of(Logged)

    assert set(methods) == {"hold"}
    assert methods["hold"].signature == METHODS["hold"].signature


def test_a_class_that_is_changed_later_has_other_methods_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Kettle:
        async def boil(self, cups: int) -> None: ...
        async def pour(self) -> None: ...

    class Samovar(Kettle): ...

    assert methods_of(Kettle)["boil"].name == "Kettle.boil"
    assert methods_of(Samovar)["boil"].name == "Samovar.boil"

    def boil(self: Any, cups: str, milk: bool = False) -> None: ...

    monkeypatch.setattr(Kettle, "boil", boil)
    monkeypatch.setattr(Kettle, "drink", boil, raising=False)
    monkeypatch.delattr(Kettle, "pour")

    for kind in (Kettle, Samovar):
        methods = methods_of(kind)
        assert set(methods) == {"boil", "drink"}
        assert list(methods["boil"].parameters) == ["cups", "milk"]
        assert not methods["boil"].is_async
        assert methods["boil"].accept(("two",), {}, refer) == (("two",), {})


def test_what_wraps_a_method_that_was_called_before_is_another_method() -> None:
    class Kettle:
        async def boil(self) -> None: ...

    assert methods_of(Kettle)["boil"].is_async

    @functools.wraps(Kettle.boil)
    def boil(self: Any) -> None: ...

    Kettle.boil = boil  # type: ignore[method-assign, assignment]

    assert not methods_of(Kettle)["boil"].is_async


def test_a_class_that_nobody_has_any_more_is_forgotten() -> None:
    class Kettle:
        async def boil(self) -> None: ...

    gone = weakref.ref(Kettle)
    methods_of(Kettle)
    del Kettle
    gc.collect()

    assert gone() is None


def test_a_method_knows_whether_it_is_async() -> None:
    assert (METHODS["hold"].is_async, METHODS["plain"].is_async) == (True, False)


# Annotations that lead nowhere.


class NoArgument:
    async def pay(self, amount: Fraction) -> None: ...


class NoResult:
    async def owed(self) -> Fraction: ...  # type: ignore[empty-body]


class NoAttribute:
    async def pay(self, amount: typing.Money) -> None: ...  # type: ignore[name-defined]


class NoField:
    async def book(self, booking: Booking) -> None: ...


@pytest.mark.parametrize("cls", [NoArgument, NoResult, NoAttribute, NoField])
def test_an_annotation_that_cant_be_resolved_is_refused_when_the_class_is_bound(
    cls: type,
) -> None:
    with pytest.raises(TypeError, match=rf"^{cls.__name__}\.\w+\(\): an annotation can't be"):
        methods_of(cls)


# Binding.


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [(("A1", 3), {}), (("A1",), {"row": 3}), ((), {"row": 3, "seat": "A1"})],
)
def test_arguments_are_bound_as_python_does_it(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert accept("hold", *args, **kwargs) == (("A1", 3), {})


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "reason"),
    [
        ("hold", ("A1",), {}, "missing a required .*argument: 'row'"),
        ("hold", (), {}, "missing a required argument: 'seat'"),
        ("hold", ("A1", 3, 4), {}, "too many positional arguments"),
        ("hold", ("A1",), {"seat": "A1"}, "multiple values for argument 'seat'"),
        ("hold", ("A1", 3), {"colour": 1}, "got an unexpected keyword argument 'colour'"),
        ("only_by_name", (3,), {}, "too many positional arguments"),
        ("only_by_name", (), {}, "missing a required .*argument: 'row'"),
        ("only_by_place", (), {"row": 3}, "positional.only"),
        ("count", (1,), {}, "too many positional arguments"),
    ],
)
def test_arguments_that_dont_fit_are_refused_before_the_call(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TypeError, match=rf"^Event\.{name}\(\): .*{reason}"):
        accept(name, *args, **kwargs)


def test_defaults_are_left_to_the_method() -> None:
    assert accept("perhaps") == ((), {})
    assert accept("only_by_place", 3) == ((3,), {})
    assert accept("only_by_name", row=3) == ((), {"row": 3})


def test_the_rest_of_the_arguments_is_passed_on() -> None:
    assert accept("rest", 1, 2, first=3) == ((1, 2), {"first": 3})


# Checking.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flag", True),
        ("price", 1.5),
        ("raw", b"x"),
        ("perhaps", None),
        ("choose", "left"),
        ("many", [1, 2]),
        ("many", (1, 2)),
        ("table", [{"a": 1}]),
        ("book", Seat(row=1)),
        ("positive", 1),
        ("tidy", "abc"),
        ("unannotated", {"a": [1]}),
    ],
)
def test_a_value_of_the_right_type_is_passed_on(name: str, value: Any) -> None:
    assert accept(name, value) == ((value,), {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flag", 1),
        ("flag", "true"),
        ("price", "1.5"),
        ("price", True),
        ("raw", "x"),
        ("at", "2030-01-01"),
        ("at", 0),
        ("perhaps", "1"),
        ("perhaps", 1.0),
        ("perhaps", True),
        ("choose", "middle"),
        ("many", "12"),
        ("many", {1, 2}),
        ("table", [{"a": "1"}]),
        ("positive", 0),
        ("tidy", "abcd"),
        ("call_back", 5),
    ],
)
def test_a_value_of_another_type_is_refused_never_coerced(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"^Event\.{name}\(\) argument '\w+'.*: .*, not "):
        accept(name, value)


def test_a_dict_with_the_right_fields_becomes_the_model() -> None:
    assert accept("book", {"row": 1}) == ((Seat(row=1),), {})


def test_a_dict_with_other_fields_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^Event\.book\(\) argument 'seat'\['row'\]: "):
        accept("book", {"row": "1"})


def test_a_whole_number_counts_as_a_float() -> None:
    ((amount,), _) = accept("price", 2)

    assert (amount, type(amount)) == (2.0, float)


@pytest.mark.parametrize(
    ("args", "kwargs"), [((1, "2"), {}), ((), {"first": "3"}), ((True,), {}), (([1],), {})]
)
def test_the_rest_of_the_arguments_is_checked_too(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match=r"^Event\.rest\(\) argument "):
        accept("rest", *args, **kwargs)


def test_a_refusal_says_where_and_what_in_few_words() -> None:
    with pytest.raises(TypeError) as caught:
        accept("table", [{"a": 1}, {"b": "x" * 1000}])

    assert str(caught.value).startswith(
        "Event.table() argument 'rows'[1]['b']: input should be a valid integer, not 'xxx"
    )
    assert len(str(caught.value)) < 200


# Copying.


def test_arguments_are_copied() -> None:
    rows, table, more = [1], [{"a": 1}], [[1]]

    copies = [
        accept("many", rows)[0][0],
        accept("table", rows=table)[0][0][0],
        accept("unannotated", more)[0][0][0],
    ]
    for copy in copies:
        copy.clear()

    assert (rows, table, more) == ([1], [{"a": 1}], [[1]])


@pytest.mark.parametrize("name", ["unannotated", "hold"])
def test_what_may_not_cross_is_refused_by_the_name_of_its_argument(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^Event\.{name}\(\) argument 'seat' can't be sent"):
        accept(name, object(), 1)


def test_what_has_no_values_to_check_crosses_as_a_reference() -> None:
    assert isinstance(accept("meet", Event())[0][0], Reference)


def test_a_function_whose_reference_can_be_called_fits_a_callable() -> None:
    ((listener,), _) = METHODS["call_back"].accept((print,), {}, lambda _: Callback())

    assert isinstance(listener, Callback)


class Callback(Reference):
    def __call__(self, number: int) -> None: ...


def test_all_arguments_of_a_call_have_the_limit_together() -> None:
    large = bytes(MAX_BYTES // 2)

    assert accept("pair", large, large) == ((large, large), {})
    with pytest.raises(ValueError, match=r"limited to 32MiB, .* was: 33554433 bytes"):
        accept("pair", large, large + b"x")
    with pytest.raises(ValueError, match=r"limited to 32MiB, .* was: 33554433 bytes"):
        accept("pair", large, second=large + b"x")


def test_so_have_those_of_a_function_that_crosses_by_reference() -> None:
    large = bytes(MAX_BYTES // 2)

    with pytest.raises(ValueError, match=r"^Serialized RPC arguments"):
        Plain("listener").accept((large,), {"more": large}, refer, Reply())


# Results.


def test_a_result_is_copied_and_checked() -> None:
    seats = ["A1"]

    answer = METHODS["seats"].answer(seats, refer)

    assert answer == seats
    assert answer is not seats


@pytest.mark.parametrize(
    ("name", "result"), [("count", "5"), ("count", None), ("seats", [1]), ("hold", 1)]
)
def test_a_result_of_another_type_is_the_methods_error(name: str, result: Any) -> None:
    with pytest.raises(TypeError, match=rf"^the result of Event\.{name}\(\).*: "):
        METHODS[name].answer(result, refer)


def test_a_result_that_may_not_cross_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^the result of Event\.unannotated\(\) can't be sent"):
        METHODS["unannotated"].answer(object(), refer)
