"""Whoever comes back is told what they have missed, and nothing twice."""

import re

from app import Room

from runtime.testing import TestRuntime


async def test_nothing_is_missed() -> None:
    async with TestRuntime(bindings={"rooms": Room}, evicting=True) as rt:
        hall = rt.env.rooms.get_by_name("hall")
        _, cursor = await hall.all()
        for text in ("one", "two", "three"):
            await hall.say("Bob", text)

        ada = await rt.connect(hall, f"/?since={cursor}")

        assert re.findall(r"</b> (\w+)<", "".join(map(str, ada.received))) == [
            "one",
            "two",
            "three",
        ]
