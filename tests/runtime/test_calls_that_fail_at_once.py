"""Calls that can't even begin: whoever makes them hears why, and waits for nothing."""

from __future__ import annotations

from typing import Any

import pytest

from runtime import DurableObject, RpcTarget, errors
from runtime.testing import TestRuntime
from tests.conftest import StartRuntime


class Rude(Exception):
    """Doesn't like to be asked for what it hasn't got."""

    def __getattr__(self, name: str) -> Any:
        raise LookupError(name)


errors.register(Rude)


class Words(RpcTarget):
    """Takes any keywords."""

    async def take(self, **words: int) -> dict[str, int]:
        return words


class Shelf(DurableObject[Any]):
    """Takes any keywords too, and has an attribute that hides a method."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.status = "new"  # type: ignore[method-assign, assignment]

    async def status(self) -> str:
        return "never called"

    async def take(self, **words: int) -> dict[str, int]:
        return words

    def take_now(self, **words: int) -> dict[str, int]:
        return words

    async def words(self) -> Words:
        return Words()

    async def is_rude(self) -> None:
        raise Rude("no")


class Reader(DurableObject[Any]):
    """Asks the shelf, and says what it has heard."""

    async def asks(self, method: str, words: dict[str, int]) -> Any:
        shelf = self.env.shelves.get_by_name("s")
        try:
            if method == "target":
                return await (await shelf.words()).take(**words)
            return await getattr(shelf, method)(**words)
        except Exception as error:
            return f"{type(error).__name__}: {error}"


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with shelves and readers."""
    started: TestRuntime[Any] = await start_runtime(shelves=Shelf, readers=Reader)
    return started


@pytest.fixture
def reader(runtime: TestRuntime[Any]) -> Any:
    """Somebody who asks."""
    return runtime.env.readers.get_by_name("r")


@pytest.fixture
def shelf(runtime: TestRuntime[Any]) -> Any:
    """What they ask."""
    return runtime.env.shelves.get_by_name("s")


async def test_a_method_that_an_attribute_hides_is_named(reader: Any, shelf: Any) -> None:
    answer = await reader.asks("status", {})

    assert answer == "TypeError: an attribute of this Shelf has taken the place of its status()"
    with pytest.raises(TypeError, match="has taken the place of its status"):
        await shelf.status()


@pytest.mark.parametrize("method", ["take", "take_now"])
async def test_a_keyword_that_python_has_taken_fails_the_call(reader: Any, method: str) -> None:
    answer = await reader.asks(method, {"self": 1})

    assert answer.startswith("TypeError: ")
    assert "multiple values for argument 'self'" in answer


@pytest.mark.parametrize("method", ["take", "take_now", "target"])
async def test_keywords_may_have_the_names_of_ours(reader: Any, method: str) -> None:
    ours = dict.fromkeys(("args", "call", "function", "kwargs", "life", "method", "reply"), 1)

    assert await reader.asks(method, ours) == ours


async def test_callbacks_outside_may_have_such_keywords_too(shelf: Any) -> None:
    words = await shelf.words()

    assert await words.take(function=1) == {"function": 1}


async def test_an_error_that_cant_be_asked_reaches_the_caller(reader: Any) -> None:
    assert await reader.asks("is_rude", {}) == "Rude: no"
