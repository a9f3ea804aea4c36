"""Five at once, and then one a second."""

from app import Room

from runtime.testing import TestRuntime


async def test_the_sixth_message_has_to_wait() -> None:
    async with TestRuntime(bindings={"rooms": Room}, evicting=True) as rt:
        hall = rt.env.rooms.get_by_name("hall")
        waits = [await hall.say("Ada", f"text {n}", f"{n}") for n in range(6)]

        assert waits[:5] == [0] * 5
        assert 0 < waits[5] <= 1
        assert await hall.say("Bob", "hello", "1") == 0
        assert len((await hall.all())[0]) == 6

        await rt.clock.advance(1)
        assert await hall.say("Ada", "text 5", "5") == 0


async def test_a_retry_of_what_was_said_costs_nothing() -> None:
    async with TestRuntime(bindings={"rooms": Room}) as rt:
        hall = rt.env.rooms.get_by_name("hall")

        assert [await hall.say("Ada", "hello", "1") for _ in range(9)] == [0] * 9
