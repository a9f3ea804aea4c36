"""What the counter promises."""

from app import Counter, push

from runtime.testing import TestRuntime


async def test_the_count_outlives_memory() -> None:
    async with TestRuntime(bindings={"counters": Counter}) as rt:
        visitors = rt.env.counters.get_by_name("visitors")
        await visitors.add()
        await visitors.add()

        await rt.evict_durable_object(visitors)

        assert await visitors.value() == 2


async def test_each_name_has_a_count_of_its_own() -> None:
    async with TestRuntime(bindings={"counters": Counter}) as rt:
        cats, dogs = (rt.env.counters.get_by_name(name) for name in ("cats", "dogs"))

        await cats.add()

        assert (await cats.value(), await dogs.value()) == (1, 0)


async def test_everybody_sees_every_count() -> None:
    async with TestRuntime(bindings={"counters": Counter}) as rt:
        visitors = rt.env.counters.get_by_name("visitors")
        ada, bob = await rt.connect(visitors), await rt.connect(visitors)

        await visitors.add()

        assert list(ada.received) == list(bob.received) == [push(0), push(1)]


async def test_sockets_stay_while_the_counter_sleeps() -> None:
    async with TestRuntime(bindings={"counters": Counter}) as rt:
        visitors = rt.env.counters.get_by_name("visitors")
        ada = await rt.connect(visitors)

        await rt.clock.advance(3600)
        assert rt.why_awake(visitors) == []
        await visitors.add()

        assert list(ada.received) == [push(0), push(1)]
