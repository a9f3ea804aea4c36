"""What a room promises."""

import re

from app import Room

from runtime.testing import ClientSocket, TestRuntime

ROOMS = {"rooms": Room}


async def test_everybody_hears_what_is_said_in_their_room() -> None:
    async with TestRuntime(bindings=ROOMS) as rt:
        hall, attic = (rt.env.rooms.get_by_name(name) for name in ("hall", "attic"))
        ada, bob, cleo = await rt.connect(hall), await rt.connect(hall), await rt.connect(attic)
        cleo.received.clear()

        await hall.say("Ada", "<hello>")

        assert list(ada.received) == list(bob.received)
        assert "&lt;hello&gt;" in str(ada.received[-1])
        assert list(cleo.received) == []


async def test_what_was_said_is_there_later() -> None:
    async with TestRuntime(bindings=ROOMS, evicting=True) as rt:
        hall = rt.env.rooms.get_by_name("hall")
        await hall.say("Ada", "hello")
        await hall.say("Bob", "hi")

        messages, _ = await hall.all()
        assert ["hello" in messages[0], "hi" in messages[1]] == [True, True]


async def test_whoever_comes_back_hears_what_they_have_missed() -> None:
    async with TestRuntime(bindings=ROOMS, evicting=True) as rt:
        hall = rt.env.rooms.get_by_name("hall")
        ada = await rt.connect(hall, "/?since=")
        await hall.say("Bob", "one")
        since = cursor_of(ada)
        await ada.vanish()
        await hall.say("Bob", "two")

        ada = await rt.connect(hall, f"/?since={since}")
        await hall.say("Bob", "three")

        assert said(ada) == ["two", "three"]


def cursor_of(ada: ClientSocket) -> str:
    """Return the cursor of what came last; what the page does with a line of JavaScript."""
    return str((re.findall(r'data-feed="([\w-]+)"', str(ada.received[-1])) or [""])[-1])


def said(ada: ClientSocket) -> list[str]:
    """Return what somebody was sent, message by message."""
    return re.findall(r"</b> (\w+)</li>", "".join(map(str, ada.received)))
