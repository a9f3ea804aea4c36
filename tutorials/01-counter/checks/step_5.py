"""Everybody who is connected is told, and whoever connects is told the number."""

from app import Counter

from runtime.testing import TestRuntime


async def test_windows_are_told() -> None:
    async with TestRuntime(bindings={"counters": Counter}, evicting=True) as rt:
        counter = rt.env.counters.get_by_name("a")
        await counter.add()
        ada, bob = await rt.connect(counter), await rt.connect(counter)

        await counter.add()

        for window in (ada, bob):
            assert [">1<" in str(window.received[0]), ">2<" in str(window.received[1])] == [
                True
            ] * 2
