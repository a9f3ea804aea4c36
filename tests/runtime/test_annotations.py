"""What fits an annotation, where that isn't pydantic's to know."""

from __future__ import annotations

import typing
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Container,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Reversible,
    Sequence,
    Set,
)
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, Protocol, Required

import pytest
import typing_extensions
from annotated_types import Len
from pydantic import BaseModel, ConfigDict
from typing_extensions import ReadOnly, TypeAliasType

from runtime import DurableObject, ObjectId, Response, RpcTarget
from runtime.methods import methods_of
from runtime.testing import TestRuntime
from tests.conftest import StartRuntime


class Address(typing.TypedDict):
    town: str
    street: NotRequired[str]


class Person(Address, total=False):
    age: Required[int]
    friends: list[Person]
    read: Iterable[int]


class Modern(typing_extensions.TypedDict):
    town: ReadOnly[str]
    read: Iterable[int]


class Closed(typing.TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    town: str


class Unchanged(typing_extensions.TypedDict):
    town: str


Numbers = TypeAliasType("Numbers", Iterable[int])
Words = TypeAliasType("Words", "list[Words] | str")


class Ear(Protocol):
    def hear(self, text: str) -> None: ...


class Clerk(RpcTarget):
    async def ask(self) -> str:
        return "yes"


class Vault:
    """Of a kind that nobody has a schema for."""


@dataclass
class Loan:
    by: Library
    on: Clerk


class Card(BaseModel):
    of: Library | None
    number: int


class Library(DurableObject[object]):
    """Every kind of annotation that takes some thought."""

    async def read(self, pages: Iterable[int]) -> tuple[list[int], list[int]]:
        return list(pages), list(pages)

    async def note(self, pages: Iterable[int]) -> None:
        await self.ctx.storage.put("noted", list(pages))

    async def noted(self) -> Any:
        return await self.ctx.storage.get("noted")

    async def ask(self, clerk: Clerk | None = None, loan: Loan | None = None) -> str:
        target = clerk if loan is None else loan.on
        return "nobody" if target is None else await target.ask()

    async def names(self, other: Library | None, card: Card | None = None) -> list[Any]:
        return [getattr(each, "name", None) for each in (other, card and card.of)]

    async def pages(self, good: bool) -> Iterable[int]:
        return [1, 2] if good else ["one"]  # type: ignore[list-item]

    def iterable(self, it: Iterable[int]) -> None: ...
    def some(self, it: Iterable) -> None: ...  # type: ignore[type-arg]  # as people write
    def old_iterable(self, it: typing.Iterable[int]) -> None: ...
    def collection(self, it: Collection[int]) -> None: ...
    def container(self, it: Container[int]) -> None: ...
    def reversible(self, it: Reversible[int]) -> None: ...
    def a_set(self, it: Set[int]) -> None: ...
    def perhaps(self, it: Iterable[int] | None) -> None: ...
    def several(self, *it: Iterable[int]) -> None: ...
    def nested(self, it: Mapping[str, Iterable[tuple[int, ...]]]) -> None: ...
    def marked(self, it: Annotated[Iterable[int], Len(0, 2)]) -> None: ...
    def alias(self, it: Numbers) -> None: ...
    def recursive(self, it: Words) -> None: ...
    def iterator(self, it: Iterator[int]) -> None: ...
    def generator(self, it: Generator[int]) -> None: ...

    def person(self, it: Person) -> None: ...
    def people(self, it: Sequence[Person | None]) -> None: ...
    def modern(self, it: Modern) -> None: ...
    def closed(self, it: Closed) -> None: ...
    def unchanged(self, it: Unchanged) -> None: ...

    def library(self, it: Library | None) -> None: ...
    def libraries(self, it: list[Library]) -> None: ...
    def by_number(self, it: dict[int, Vault] | int) -> None: ...
    def vault(self, it: Vault | None) -> None: ...
    def loan(self, it: Loan | None) -> None: ...
    def card(self, it: Card) -> None: ...
    def response(self, it: Response | int) -> None: ...
    def object_id(self, it: ObjectId | None) -> None: ...
    def ear(self, it: Ear | None) -> None: ...
    def later(self, it: Awaitable[int] | int) -> None: ...
    def call_back(self, it: Callable[[Vault], None] | Vault) -> None: ...
    def odd(self, it: [int]) -> None: ...  # type: ignore[misc, valid-type]  # as people write


METHODS = methods_of(Library)


class Reference:
    crosses_by_reference = True


def accept(name: str, *args: Any) -> Any:
    arguments, _ = METHODS[name].accept(args, {}, lambda _: Reference())
    return arguments[0]


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with libraries."""
    started: TestRuntime[Any] = await start_runtime(libraries=Library)
    return started


@pytest.fixture
def library(runtime: TestRuntime[Any]) -> Any:
    """One of them."""
    return runtime.env.libraries.get_by_name("a")


# What only iterates.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, [1, 2]) for name in ("iterable", "some", "old_iterable", "collection", "alias")],
        *[("iterable", value) for value in ((1, 2), {1, 2}, frozenset({1}), {1: "x"}, list[int]())],
        ("container", {1}),
        ("reversible", (1, 2)),
        ("a_set", {1}),
        ("a_set", frozenset({1})),
        ("perhaps", None),
        ("perhaps", [1]),
        ("several", [1, 2]),
        ("nested", {"a": [(1, 2)]}),
        ("marked", (1, 2)),
        ("some", ["a", None]),
    ],
)
def test_what_iterates_arrives_as_what_was_sent(name: str, value: Any) -> None:
    accepted = accept(name, value)

    assert (accepted, type(accepted)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        *[(name, [1, "b"], r"\[1\]: .* not 'b'") for name in ("iterable", "collection", "alias")],
        ("iterable", "ab", ": input should be a list, a tuple, a set, a frozenset or a dict, not"),
        ("iterable", {"b": 1}, r"\[0\]: .* not 'b'"),
        ("reversible", {1}, ": input should be a list, a tuple or a dict, not "),
        ("a_set", [1], r": input should be a set or a frozenset, not \[1\]"),
        ("several", 5, r"\[0\]: input should be a list"),
        ("nested", {"a": [(1, "b")]}, r"\['a'\]\[0\]\[1\]: .* not 'b'"),
        ("marked", [1, 2, 3], ": .*at most 2"),
        ("iterator", [1], ": input should be an instance of Iterator"),
        ("generator", [1], ": input should be an instance of Generator"),
    ],
)
def test_what_iterates_over_something_else_is_refused(name: str, value: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=rf"^Library\.{name}\(\) argument 'it'{reason}"):
        accept(name, value)


async def test_what_iterates_can_be_read_twice(library: Any) -> None:
    assert await library.read([1, 2]) == ([1, 2], [1, 2])


async def test_an_element_that_doesnt_fit_is_refused_before_the_call(library: Any) -> None:
    with pytest.raises(TypeError, match=r"argument 'pages'\[1\]: .*, not 'x'"):
        await library.note([1, "x"])

    assert await library.noted() is None


async def test_a_result_that_iterates_is_checked_and_arrives_as_it_is(library: Any) -> None:
    assert await library.pages(True) == [1, 2]
    with pytest.raises(TypeError, match=r"^the result of Library\.pages\(\)\[0\]: "):
        await library.pages(False)


# Typed dicts.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("person", {"town": "Bath", "age": 5}),
        ("person", {"town": "Bath", "age": 5, "street": "A", "friends": [], "read": [1]}),
        ("person", {"town": "Bath", "age": 5, "friends": [{"town": "Wells", "age": 6}]}),
        ("people", [None, {"town": "Bath", "age": 5}]),
        ("modern", {"town": "Bath", "read": [1]}),
        ("closed", {"town": "Bath"}),
        ("unchanged", {"town": "Bath"}),
    ],
)
def test_a_dict_with_the_declared_fields_fits_a_typed_dict(name: str, value: Any) -> None:
    assert accept(name, value) == value


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("person", {"town": "Bath"}, r"\['age'\]: field required"),
        ("person", {"town": "Bath", "age": "5"}, r"\['age'\]"),
        ("person", {"town": "Bath", "age": 5, "street": 1}, r"\['street'\]"),
        ("person", {"town": "Bath", "age": 5, "read": ["a"]}, r"\['read'\]\[0\]"),
        (
            "person",
            {"town": "Bath", "age": 5, "friends": [{"town": "Wells", "age": "6"}]},
            r"\['friends'\]\[0\]\['age'\]",
        ),
        ("people", [{"age": 5}], r"\[0\]\['town'\]: field required"),
        ("modern", {"town": 5, "read": []}, r"\['town'\]"),
        ("modern", {"town": "Bath", "read": ["a"]}, r"\['read'\]\[0\]"),
        ("closed", {"town": "Bath", "age": 5}, r"\['age'\]: extra inputs are not permitted"),
        ("unchanged", {"town": 5}, r"\['town'\]"),
    ],
)
def test_a_dict_with_other_fields_is_refused(name: str, value: Any, where: str) -> None:
    with pytest.raises(TypeError, match=rf"^Library\.{name}\(\) argument 'it'{where}"):
        accept(name, value)


# What has no values.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("library", None),
        ("library", Reference()),
        ("libraries", [Reference()]),
        ("by_number", {1: Reference()}),
        ("by_number", 5),
        ("vault", Reference()),
        ("loan", None),
        ("object_id", ObjectId("ab" * 32)),
        ("later", 5),
        ("later", Reference()),
        ("call_back", Reference()),
        ("ear", Reference()),
        ("ear", 5),  # nobody can tell
        ("odd", 5),
        ("recursive", ["a", ["b"]]),
    ],
)
def test_something_that_fits_is_passed_on(name: str, value: Any) -> None:
    assert accept(name, value) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("library", 5),
        ("libraries", [{"a": 1}]),
        ("by_number", {1: 5}),
        ("by_number", {"a": Reference()}),
        ("vault", "a"),
        ("loan", "a"),
        ("card", {"of": 5, "number": 1}),
        ("response", Reference()),
        ("object_id", "ab" * 32),
        ("later", "a"),
        ("recursive", ["a", [5]]),
    ],
)
def test_something_else_is_refused_though_a_part_has_no_values(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"^Library\.{name}\(\) argument 'it'.*: .*, not "):
        accept(name, value)


async def test_stubs_and_targets_fit_their_classes(runtime: TestRuntime[Any], library: Any) -> None:
    other = runtime.env.libraries.get_by_name("b")

    assert await library.names(None, Card(of=other, number=1)) == [None, "b"]
    assert await library.names(other) == ["b", None]
    assert await library.ask() == "nobody"
    assert await library.ask(Clerk()) == "yes"
    assert await library.ask(loan=Loan(other, Clerk())) == "yes"


async def test_no_value_fits_where_a_stub_or_a_target_is_wanted(library: Any) -> None:
    with pytest.raises(TypeError, match="argument 'other': input should be an instance of Library"):
        await library.names(5)
    with pytest.raises(TypeError, match="argument 'clerk': input should be an instance of Clerk"):
        await library.ask("clerk")
    with pytest.raises(TypeError, match="argument 'loan'"):
        await library.ask(loan=5)
