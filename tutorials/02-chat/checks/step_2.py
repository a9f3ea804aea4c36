"""What was said is kept, in order."""

from app import Room

from runtime.testing import TestRuntime


async def test_what_was_said_outlives_the_process() -> None:
    async with TestRuntime(bindings={"rooms": Room}) as rt:
        for text in ("one", "two"):
            await rt.env.rooms.get_by_name("hall").say("Ada", text)

        await rt.crash()

        messages = await rt.env.rooms.get_by_name("hall").all()
        assert [text in message for text, message in zip(("one", "two"), messages, strict=True)]
