"""Runtimes that share a loop: whichever ends first, the other's objects notice nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from runtime import DurableObject
from runtime.loans import Loan, Undo
from runtime.testing import TestRuntime


class Kettle(DurableObject):
    async def boil(self) -> str:
        """Wait in a task of its own, as long as the object's clock says."""
        return await asyncio.create_task(self._wait())

    async def _wait(self) -> str:
        await asyncio.sleep(180)
        await self.ctx.storage.put("cups", 1)  # only object code may
        return "tea"


async def test_a_runtime_may_end_before_another_that_began_later() -> None:
    loop = asyncio.get_running_loop()
    before = (loop.get_task_factory(), loop.time, loop.call_at, loop.call_later)
    first: TestRuntime[Any] = TestRuntime(bindings={"kettles": Kettle})
    second: TestRuntime[Any] = TestRuntime(bindings={"kettles": Kettle})
    await first.__aenter__()
    await second.__aenter__()
    await first.__aexit__(None, None, None)

    tea = second.env.kettles.get_by_name("kitchen").boil()
    await second.clock.advance(180)
    assert await tea == "tea"

    await second.__aexit__(None, None, None)
    assert (loop.get_task_factory(), loop.time, loop.call_at, loop.call_later) == before


async def test_what_is_lent_is_taken_back_by_the_last() -> None:
    said: list[str] = []

    def lend(_: asyncio.AbstractEventLoop) -> Undo:
        said.append("lent")
        return lambda: said.append("taken back")

    loan = Loan(lend)
    first, second = loan.begin(), loan.begin()
    first()
    third = loan.begin()
    second()
    assert said == ["lent"]
    third()
    assert said == ["lent", "taken back"]
    loan.begin()()
    assert said == ["lent", "taken back"] * 2
