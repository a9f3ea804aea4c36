"""What the pan promises."""

from collections.abc import Sequence

from app import Book, Pan, PanInUse, push

from runtime.testing import Client, Operation, Scenario, TestRuntime, checkers, simulate

KITCHEN = {"pans": Pan, "books": Book}


async def test_it_rings_after_four_minutes_and_not_before() -> None:
    async with TestRuntime(bindings=KITCHEN) as rt:
        pan = rt.env.pans.get_by_name("blue")
        kitchen = await rt.connect(pan)
        await pan.boil("Ada", 240)

        await rt.clock.advance(239)
        assert await pan.state() == "boiling Ada"
        await rt.clock.advance(1)

        assert list(kitchen.received) == [push("empty"), push("boiling Ada"), push("done: Ada")]


async def test_it_rings_though_the_process_died_meanwhile() -> None:
    async with TestRuntime(bindings=KITCHEN) as rt:
        await rt.env.pans.get_by_name("blue").boil("Ada", 240)

        await rt.crash()
        await rt.clock.advance(240)

        assert await rt.env.pans.get_by_name("blue").state() == "done: Ada"


async def test_an_egg_is_in_the_book_once_though_the_process_died() -> None:
    async with TestRuntime(bindings=KITCHEN) as rt:
        await rt.env.pans.get_by_name("blue").boil("Ada", 240)

        crash = rt.crash_at("during_alarm")
        await rt.clock.advance(300)

        assert crash.done()
        assert await rt.env.books.get_by_name("kitchen").eggs() == ["Ada"]


class Breakfast(Scenario):
    """Three people boil eggs in one pan, and anything may go wrong."""

    bindings = KITCHEN
    refusals = (PanInUse,)

    async def step(self, client: Client) -> None:
        pan = client.env.pans.get_by_name("blue")
        egg = f"{client.name}{client.random.randrange(10**6)}"
        await client.call("boil", egg, lambda: pan.boil(egg, 0.05))

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        await client.sleep(60)  # whatever boils is done by then
        eggs = await client.env.books.get_by_name("kitchen").eggs()
        checkers.exactly_once(history, eggs, "boil")


def test_every_egg_that_was_taken_is_in_the_book_once() -> None:
    for seed in range(5):
        simulate(Breakfast, seed)
