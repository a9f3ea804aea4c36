"""The number outlives the process."""

from app import Counter

from runtime.testing import TestRuntime


async def test_the_count_outlives_the_process() -> None:
    async with TestRuntime(bindings={"counters": Counter}) as rt:
        await rt.env.counters.get_by_name("a").add()

        await rt.crash()

        assert await rt.env.counters.get_by_name("a").add() == 2
