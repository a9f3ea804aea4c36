"""What is sent twice is said once, and the same words by somebody else are said too."""

import re

from app import Room

from runtime.testing import TestRuntime


async def test_the_same_id_is_the_same_message() -> None:
    async with TestRuntime(bindings={"rooms": Room}, evicting=True) as rt:
        hall = rt.env.rooms.get_by_name("hall")

        for who in ("Ada", "Ada", "Bob"):
            await hall.say(who, "hello", "1")

        messages, _ = await hall.all()
        assert re.findall(r"<b>(\w+)</b>", "".join(messages)) == ["Ada", "Bob"]
