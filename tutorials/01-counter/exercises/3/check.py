"""Five presses in a second, and not six."""

import pytest
from app import Counter

from runtime.testing import TestRuntime


async def test_the_sixth_press_in_a_second_is_refused() -> None:
    async with TestRuntime(bindings={"counters": Counter}, evicting=True) as rt:
        counter = rt.env.counters.get_by_name("a")
        for _ in range(5):
            await counter.add()

        with pytest.raises(ValueError, match=r"."):
            await counter.add()
        assert await counter.value() == 5

        await rt.clock.advance(2)
        assert await counter.add() == 6
