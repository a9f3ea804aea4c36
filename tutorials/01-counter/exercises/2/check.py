"""When it was pressed last, for counters old and new."""

from app import Counter

from runtime.testing import TestRuntime


async def test_it_knows_the_last_press() -> None:
    async with TestRuntime(bindings={"counters": Counter}, evicting=True) as rt:
        counter = rt.env.counters.get_by_name("a")
        assert await counter.last() is None
        await counter.add()
        pressed = rt.clock.time()

        await rt.clock.advance(3600)

        assert abs(await counter.last() - pressed) < 1


def test_what_objects_have_seen_is_as_it_was() -> None:
    assert tuple(Counter.migrations[:2]) == (
        "CREATE TABLE tally (count INTEGER NOT NULL)",
        "INSERT INTO tally VALUES (0)",
    )
