"""One can be taken away, and no more than there are."""

from app import Counter, push

from runtime.testing import TestRuntime


async def test_one_is_taken_away_and_shown() -> None:
    async with TestRuntime(bindings={"counters": Counter}, evicting=True) as rt:
        counter = rt.env.counters.get_by_name("a")
        await counter.add()
        await counter.add()
        ada = await rt.connect(counter)

        assert await counter.subtract() == 1
        assert list(ada.received) == [push(2), push(1)]


async def test_at_zero_nothing_happens() -> None:
    async with TestRuntime(bindings={"counters": Counter}) as rt:
        counter = rt.env.counters.get_by_name("a")
        ada = await rt.connect(counter)

        assert await counter.subtract() == 0
        assert await counter.value() == 0
        assert list(ada.received) == [push(0)]
