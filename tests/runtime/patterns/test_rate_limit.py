"""How often something may be done, over evictions and whatever the clock does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import DurableObject, DurableObjectState
from runtime.patterns.rate_limit import RateLimit
from runtime.testing import TestRuntime
from tests.conftest import StartRuntime


class Door(DurableObject[Any]):
    """Lets everybody in, but not too often."""

    migrations = (RateLimit.schema(),)

    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        self._limit = RateLimit(ctx, per_second=0.5, burst=3)

    async def enter(self, who: str, cost: float = 1.0) -> float:
        return self._limit.take(who, cost)

    async def known(self) -> int:
        rows = self.ctx.storage.sql.exec("SELECT count(*) AS n FROM rate_limit")
        return int(rows.one()["n"])


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with doors."""
    started: TestRuntime[Any] = await start_runtime(doors=Door)
    return started


@pytest.fixture
def door(runtime: TestRuntime[Any]) -> Any:
    """One of them."""
    return runtime.env.doors.get_by_name("front")


async def test_a_burst_is_let_through_and_then_so_many_a_second(
    runtime: TestRuntime[Any], door: Any
) -> None:
    assert [await door.enter("ada") for _ in range(4)] == [0, 0, 0, 2.0]

    await runtime.clock.advance(2)
    assert [await door.enter("ada") for _ in range(2)] == [0, 2.0]

    await runtime.clock.advance(3600)
    assert [await door.enter("ada") for _ in range(4)] == [0, 0, 0, 2.0]


async def test_each_key_has_a_bucket_of_its_own(door: Any) -> None:
    for _ in range(3):
        await door.enter("ada")

    assert await door.enter("bob") == 0
    assert await door.enter("ada") > 0


async def test_what_is_refused_takes_nothing(runtime: TestRuntime[Any], door: Any) -> None:
    assert await door.enter("ada", 2) == 0
    for _ in range(20):
        assert await door.enter("ada", 2) == 2.0
    await runtime.clock.advance(2)

    assert await door.enter("ada", 2) == 0


async def test_buckets_that_are_full_again_are_forgotten(
    runtime: TestRuntime[Any], door: Any
) -> None:
    for number in range(12):
        await door.enter(str(number))
    assert await door.known() == 12

    await runtime.clock.advance(6)
    await door.enter("ada")
    await door.enter("bob")

    assert await door.known() == 2


@pytest.mark.parametrize("cost", [0, -1, 3.5])
async def test_what_can_never_be_allowed_is_an_error(door: Any, cost: float) -> None:
    with pytest.raises(ValueError, match=r"it costs .*, and a bucket holds 3"):
        await door.enter("ada", cost)


@pytest.mark.parametrize("limits", [{"per_second": 0, "burst": 1}, {"per_second": 1, "burst": 0}])
def test_a_limit_lets_something_through(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        RateLimit(Any, **limits)  # type: ignore[arg-type]


@settings(max_examples=15, derandomize=True, database=None, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 1.0, 7.0]), st.integers(1, 3)), max_size=25))
def test_no_span_of_time_lets_more_through(steps: list[tuple[float, int]]) -> None:
    async def run() -> None:
        taken: list[tuple[float, int]] = []
        async with TestRuntime(bindings={"doors": Door}) as runtime:
            door = runtime.env.doors.get_by_name("a")
            for pause, cost in steps:
                await runtime.clock.advance(pause)
                if not await door.enter("ada", cost):
                    taken.append((runtime.clock.time(), cost))
        for first, (begin, _) in enumerate(taken):
            for last, (end, _) in enumerate(taken[first:], first):
                total = sum(cost for _, cost in taken[first : last + 1])
                assert total <= 3 + 0.5 * (end - begin) + 1e-6

    asyncio.run(run())
