"""It rings, whatever happens to the process."""

import app

from runtime import DurableObject
from runtime.testing import TestRuntime


async def test_it_rings_after_a_crash() -> None:
    bindings = {"pans": app.Pan, "books": getattr(app, "Book", DurableObject)}
    async with TestRuntime(bindings=bindings) as rt:
        await rt.env.pans.get_by_name("blue").boil("Ada", 240)

        await rt.crash()
        await rt.clock.advance(240)

        assert await rt.env.pans.get_by_name("blue").state() == "done: Ada"
