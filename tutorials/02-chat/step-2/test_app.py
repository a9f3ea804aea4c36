"""What a room promises."""

from app import Room

from runtime.testing import TestRuntime

ROOMS = {"rooms": Room}


async def test_everybody_hears_what_is_said_in_their_room() -> None:
    async with TestRuntime(bindings=ROOMS) as rt:
        hall, attic = (rt.env.rooms.get_by_name(name) for name in ("hall", "attic"))
        ada, bob, cleo = await rt.connect(hall), await rt.connect(hall), await rt.connect(attic)

        await hall.say("Ada", "<hello>")

        assert list(ada.received) == list(bob.received)
        assert "&lt;hello&gt;" in str(ada.received[0])
        assert list(cleo.received) == []


async def test_what_was_said_is_there_later() -> None:
    async with TestRuntime(bindings=ROOMS, evicting=True) as rt:
        hall = rt.env.rooms.get_by_name("hall")
        await hall.say("Ada", "hello")
        await hall.say("Bob", "hi")

        assert ["hello" in (await hall.all())[0], "hi" in (await hall.all())[1]] == [True, True]
