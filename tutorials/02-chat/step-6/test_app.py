"""What a room promises."""

import re
from typing import Any

from app import Room

from runtime.testing import ClientSocket, TestRuntime

ROOMS = {"rooms": Room}


async def test_everybody_hears_what_is_said_in_their_room() -> None:
    async with TestRuntime(bindings=ROOMS) as rt:
        hall, attic = (rt.env.rooms.get_by_name(name) for name in ("hall", "attic"))
        ada, bob, cleo = (
            await enter(rt, hall, "Ada"),
            await enter(rt, hall, "Bob"),
            await enter(rt, attic, "Cleo"),
        )
        for window in (ada, bob, cleo):
            window.received.clear()

        await hall.say("Ada", "<hello>", "hello-1")

        assert list(ada.received) == list(bob.received)
        assert "&lt;hello&gt;" in str(ada.received[-1])
        assert list(cleo.received) == []


async def test_what_was_said_is_there_later() -> None:
    async with TestRuntime(bindings=ROOMS, evicting=True) as rt:
        hall = rt.env.rooms.get_by_name("hall")
        await hall.say("Ada", "hello", "hello-1")
        await hall.say("Bob", "hi", "hi-1")

        messages, _ = await hall.all()
        assert ["hello" in messages[0], "hi" in messages[1]] == [True, True]


async def test_whoever_comes_back_hears_what_they_have_missed() -> None:
    async with TestRuntime(bindings=ROOMS, evicting=True) as rt:
        hall = rt.env.rooms.get_by_name("hall")
        ada = await enter(rt, hall, "Ada")
        await hall.say("Bob", "one", "one-1")
        since = cursor_of(ada)
        await ada.vanish()
        await hall.say("Bob", "two", "two-1")

        ada = await enter(rt, hall, "Ada", since)
        await hall.say("Bob", "three", "three-1")

        assert said(ada) == ["two", "three"]


async def test_a_reload_isnt_seen_and_leaving_is() -> None:
    async with TestRuntime(bindings=ROOMS, evicting=True) as rt:
        hall = rt.env.rooms.get_by_name("hall")
        ada, bob = await enter(rt, hall, "Ada"), await enter(rt, hall, "Bob")

        await bob.vanish()
        await rt.clock.advance(2)
        bob = await enter(rt, hall, "Bob")
        await bob.vanish()
        await rt.clock.advance(10)

        people = re.findall(r">([\w, ]+)</hx-partial>", "".join(map(str, ada.received)))
        assert people[-3:] == ["Ada", "Ada, Bob", "Ada"]


async def test_what_is_sent_twice_is_said_once() -> None:
    async with TestRuntime(bindings=ROOMS, evicting=True) as rt:
        hall = rt.env.rooms.get_by_name("hall")
        ada = await enter(rt, hall, "Ada")

        for _ in range(3):
            await hall.say("Bob", "hello", "hello-1")
        await hall.say("Bob", "hello", "hello-2")

        assert said(ada) == ["hello", "hello"]


async def enter(rt: TestRuntime[Any], room: Room, who: str, since: str = "") -> ClientSocket:
    """Open somebody's window."""
    return await rt.connect(room, f"/?since={since}", headers={"x-who": who})


def cursor_of(ada: ClientSocket) -> str:
    """Return the cursor of what came last; what the page does with a line of JavaScript."""
    return str((re.findall(r'data-feed="([\w-]+)"', str(ada.received[-1])) or [""])[-1])


def said(ada: ClientSocket) -> list[str]:
    """Return what somebody was sent, message by message."""
    return re.findall(r"</b> (\w+)</li>", "".join(map(str, ada.received)))
