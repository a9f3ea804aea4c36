"""What the counter promises."""

from app import Counter

from runtime.testing import TestRuntime


async def test_the_count_outlives_memory() -> None:
    async with TestRuntime(bindings={"counters": Counter}) as rt:
        visitors = rt.env.counters.get_by_name("visitors")
        await visitors.add()
        await visitors.add()

        await rt.evict_durable_object(visitors)

        assert await visitors.value() == 2
