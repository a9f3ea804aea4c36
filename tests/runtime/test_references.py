"""Functions and RpcTargets, which cross by reference."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from runtime import DurableObject, DurableObjectNamespace, RpcTarget, errors
from runtime.testing import TestRuntime
from tests.conftest import StartRuntime


class Counter(RpcTarget):
    """Counts, at its owner's."""

    def __init__(self, start: int) -> None:
        self.value = start

    async def increment(self, by: int = 1) -> int:
        self.value += by
        return self.value

    async def itself(self) -> object:
        return object()

    async def _reset(self) -> None:
        self.value = 0


class Env:
    """What the objects of these tests can reach."""

    def __init__(self, **bindings: DurableObjectNamespace[Any]) -> None:
        self.peers: DurableObjectNamespace[Peer] = bindings["peers"]


class Peer(DurableObject[Env]):
    """Gives and takes references."""

    async def apply(self, function: Callable[..., Any], value: Any) -> Any:
        return await function(value)

    async def make_counter(self, start: int) -> Counter:
        return Counter(start)

    async def total_of(self, counter: Counter, times: int) -> list[int]:
        return list(await asyncio.gather(*(counter.increment() for _ in range(times))))

    async def ask_other(self) -> int:
        async def answer(value: int) -> int:
            await self.ctx.storage.put("asked with", value)
            return value * 2

        result: int = await self.env.peers.get_by_name("other").apply(answer, 21)
        return result

    async def lend(self, what: str) -> Any:
        lent = {"function": lambda _: object(), "method": Counter(0)}[what]
        return await self.env.peers.get_by_name("other").use(lent)

    async def use(self, lent: Any) -> Any:
        return await (lent(1) if callable(lent) else lent.itself())

    async def ask_other_in_a_section(self) -> int:
        return await self.ctx.block_concurrency_while(self.ask_other)

    async def asked_with(self) -> int | None:
        value: int | None = await self.ctx.storage.get("asked with")
        return value


@pytest.fixture
async def runtime(start_awake_runtime: StartRuntime) -> TestRuntime[Env]:
    """A runtime with peers."""
    started: TestRuntime[Env] = await start_awake_runtime(Env, peers=Peer)
    return started


@pytest.fixture
def peer(runtime: TestRuntime[Env]) -> Any:
    """One of them."""
    return runtime.env.peers.get_by_name("a")


async def test_a_function_from_outside_is_called_outside(peer: Any) -> None:
    seen: list[list[int]] = []

    async def take(value: list[int]) -> int:
        seen.append(value)
        return len(value)

    assert await peer.apply(take, [1, 2]) == 2
    assert await peer.apply(lambda value: value + 1, 1) == 2
    assert seen == [[1, 2]]


async def test_a_function_of_an_object_runs_in_that_object(peer: Any) -> None:
    assert await peer.ask_other() == 42
    assert await peer.asked_with() == 21


async def test_a_callback_passed_from_a_section_runs_inside_it(peer: Any) -> None:
    assert await peer.ask_other_in_a_section() == 42


async def test_an_error_of_a_function_reaches_whoever_called_it(peer: Any) -> None:
    def fail(_: object) -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await peer.apply(fail, 1)


@dataclass
class Half:
    """A value that isn't whole."""

    missing: int = field(init=False)


async def test_a_result_that_cant_be_sent_is_an_error_for_whoever_called(peer: Any) -> None:
    calls = [
        peer.use(lambda _: object()),
        peer.use(Counter(0)),
        peer.lend("function"),
        peer.lend("method"),
        (await peer.make_counter(0)).itself(),
    ]

    results = await asyncio.gather(*calls, return_exceptions=True)
    with pytest.raises(AttributeError):  # it fails while it is copied
        await peer.use(lambda _: Half())

    assert [type(result) for result in results] == [TypeError] * 5
    assert all("the result of a callback can't be sent" in str(result) for result in results)
    assert await peer.apply(lambda value: value, 1) == 1


async def test_a_target_keeps_its_state_where_it_is(peer: Any) -> None:
    counter = await peer.make_counter(10)

    results = await asyncio.gather(counter.increment(5), counter.increment(4), counter.increment())

    assert list(results) == [15, 19, 20]


async def test_a_target_can_be_lent_to_another_object(peer: Any) -> None:
    mine = Counter(0)

    assert await peer.total_of(mine, 3) == [1, 2, 3]
    assert mine.value == 3


@pytest.mark.parametrize("method", ["_reset", "value", "nothing"])
async def test_only_a_targets_public_methods_can_be_called(peer: Any, method: str) -> None:
    counter = await peer.make_counter(10)

    with pytest.raises(TypeError, match="does not implement the method"):
        await getattr(counter, method)()


async def test_arguments_of_a_target_are_checked(peer: Any) -> None:
    counter = await peer.make_counter(10)

    with pytest.raises(TypeError, match=r"Counter.increment\(\) argument 'by'"):
        await counter.increment("1")


async def test_a_reference_dies_with_the_memory_it_points_into(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    counter = await peer.make_counter(10)

    await runtime.evict_durable_object(peer)

    with pytest.raises(errors.ObjectReset, match="no longer running"):
        await counter.increment()
