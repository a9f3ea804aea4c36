"""A message that was taken back is gone from every page."""

from app import Room

from runtime.testing import TestRuntime


async def test_it_is_gone_everywhere() -> None:
    async with TestRuntime(bindings={"rooms": Room}, evicting=True) as rt:
        hall = rt.env.rooms.get_by_name("hall")
        _, before = await hall.all()
        await hall.say("Ada", "oops", "1")
        _, cursor = await hall.all()
        here = await rt.connect(hall, f"/?since={cursor}", headers={"x-who": "Bob"})

        await hall.unsay("Ada", "1")

        back = await rt.connect(hall, f"/?since={cursor}", headers={"x-who": "Cleo"})
        for window in (here, back):
            shown = "".join(map(str, window.received))
            assert "(taken back)" in shown
            assert 'data-n="1"' in shown
        messages, after = await hall.all()
        assert "oops" not in "".join(messages)
        assert "(taken back)" in messages[0]
        assert len({before, cursor, after}) == 3


async def test_it_stays_if_somebody_else_wants_it_gone() -> None:
    async with TestRuntime(bindings={"rooms": Room}, evicting=True) as rt:
        hall = rt.env.rooms.get_by_name("hall")
        await hall.say("Ada", "mine", "1")

        await hall.unsay("Bob", "1")

        assert "mine" in (await hall.all())[0][0]
