"""What a room's creator may do to others, on windows that are open too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from apps.chat.domain import NotAllowed, NotThere, Person, Role, TooSoon, Unacceptable
from apps.chat.objects import ChatRoom
from runtime.testing import HandshakeRefused, TestRuntime
from tests.apps.chat.windows import ADA, BOB, CLEO, enter, pushes

Deed = Callable[[ChatRoom, Person], Awaitable[Any]]


@pytest.fixture
async def room(room: ChatRoom) -> ChatRoom:
    """A room that Ada has made, and where Bob is known."""
    await room.post(ADA, "c0", "welcome")
    await room.post(BOB, "c0", "thanks")
    return room


async def actions(room: ChatRoom) -> list[tuple[str, str, str]]:
    """Return what the creator is told that they have done, oldest first."""
    rows = (await room.about(ADA)).audit[::-1]
    return [(row.action, row.whom.name if row.whom else "", row.detail) for row in rows]


async def test_whoever_speaks_first_has_made_the_room(room: ChatRoom) -> None:
    assert (await room.scene(ADA)).me.role is Role.CREATOR
    assert (await room.scene(BOB)).me.role is Role.MEMBER
    roles = {standing.person: standing.role for standing in (await room.about(BOB)).standings}
    assert roles == {ADA: Role.CREATOR, BOB: Role.MEMBER}


@pytest.mark.parametrize(
    "deed",
    [
        lambda room, who: room.mute(who, "1", 5),
        lambda room, who: room.kick(who, "1"),
        lambda room, who: room.ban(who, "1", is_on=True),
        lambda room, who: room.slow_down(who, 10),
        lambda room, who: room.pin(who, 1, is_on=True),
        lambda room, who: room.delete(who, 1),
        lambda room, who: room.drop_windows(who),
        lambda room, who: room.restart(who),
    ],
    ids=["mute", "kick", "ban", "slow", "pin", "delete", "drop", "restart"],
)
async def test_nobody_else_may_do_what_the_creator_may(
    start_awake_runtime: Any, deed: Deed
) -> None:
    runtime = await start_awake_runtime(rooms=ChatRoom)
    room = runtime.env.rooms.get_by_name("tea")
    await room.post(ADA, "c0", "welcome")

    with pytest.raises(NotAllowed):
        await deed(room, BOB)
    with pytest.raises(NotAllowed):  # a name is no proof, and nor is a room that is empty
        await deed(room, Person("9", "Ada"))

    assert (await room.history(ADA))[0].text == "welcome"
    assert (await room.about(ADA)).audit == ()


async def test_whoever_is_muted_reads_and_says_nothing_until_it_is_over(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    ada, bob = await enter(runtime, room, ADA), await enter(runtime, room, BOB)
    pushes(ada, "")
    pushes(bob, "")

    await room.mute(ADA, BOB.id, 2)
    told = pushes(bob, "muted in this room for 2 minutes")
    for attempt in (
        room.post(BOB, "c1", "but"),
        room.edit(BOB, 2, "but", 0),
        room.react(BOB, 1, "sad", is_on=True),
    ):
        with pytest.raises(NotAllowed, match="you are muted in this room, for 2 minutes more"):
            await attempt
    await bob.send("typing")
    heard = pushes(ada, "")
    again = await room.post(BOB, "c0", "thanks")  # what was said before it was

    assert len(told) == 1
    assert heard == []
    assert again.seq == 2
    assert (await room.history(BOB))[1].text == "thanks"
    await runtime.clock.advance(121)
    await room.post(BOB, "c1", "sorry")
    await room.mute(ADA, BOB.id, 5)
    await room.mute(ADA, BOB.id, 0)
    await room.post(BOB, "c2", "really")
    assert [deed[:2] for deed in await actions(room)] == [
        ("mute", "Bob"),
        ("mute", "Bob"),
        ("unmute", "Bob"),
    ]


async def test_whoever_is_kicked_loses_all_windows_and_may_come_back(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    windows = [await enter(runtime, room, BOB), await enter(runtime, room, BOB)]
    ada = await enter(runtime, room, ADA)

    await room.kick(ADA, BOB.id)

    for window in windows:
        assert window.closed == (4403, "You were shown out of this room. You can come back.")
        assert "shown out" in str(window.received[-1])
    assert ada.closed is None
    again = await enter(runtime, room, BOB)
    assert again.closed is None
    await room.post(BOB, "c1", "hm")


async def test_whoever_is_banned_is_out_at_once_and_stays_out(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    open_tab = await enter(runtime, room, BOB)
    pushes(open_tab, "")

    await room.ban(ADA, BOB.id, is_on=True)
    await room.post(ADA, "c1", "now that he has gone")

    assert open_tab.closed == (4403, "You are banned from this room.")
    assert pushes(open_tab, "gone") == []
    with pytest.raises(HandshakeRefused, match="403 you are banned from this room"):
        await enter(runtime, room, BOB)
    for attempt in (
        room.post(BOB, "c1", "but"),
        room.edit(BOB, 2, "but", 0),
        room.delete(BOB, 2),
        room.react(BOB, 1, "sad", is_on=True),
        room.history(BOB),
        room.scene(BOB),
        room.search(BOB, "welcome"),
        room.closeup(BOB, 1),
        room.about(BOB),
        room.note_reading(BOB, 1),
        room.acquaintance(BOB, ADA.id),
    ):
        with pytest.raises(NotAllowed, match="you are banned"):
            await attempt

    await room.ban(ADA, BOB.id, is_on=False)
    await room.post(BOB, "c1", "thank you")
    assert [deed[0] for deed in await actions(room)] == ["ban", "unban"]


async def test_a_ban_outlives_the_process(runtime: TestRuntime[Any], room: ChatRoom) -> None:
    await room.ban(ADA, BOB.id, is_on=True)

    await runtime.crash()

    with pytest.raises(HandshakeRefused, match="banned"):
        await enter(runtime, room, BOB)


async def test_in_slow_mode_everybody_but_the_creator_waits(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    window = await enter(runtime, room, BOB)
    await runtime.clock.advance(60)
    pushes(window, "")

    await room.slow_down(ADA, 30)
    await room.slow_down(ADA, 30)
    announced = pushes(window, "data-feed")
    await room.post(BOB, "c1", "one")
    await runtime.clock.advance(10)
    with pytest.raises(TooSoon, match="slow mode: you can speak again in 20 s") as too_soon:
        await room.post(BOB, "c2", "two")
    await room.post(ADA, "c1", "one")
    await room.post(ADA, "c2", "two")

    assert len(announced) == 2  # what holds, and who has changed it
    assert too_soon.value.wait == pytest.approx(20, abs=0.1)
    scene = await room.scene(BOB)
    assert scene.rules.slow_seconds == 30
    assert scene.me.may_speak_at is not None
    await runtime.clock.advance(20)
    await room.post(BOB, "c2", "two")
    await room.slow_down(ADA, 0)
    await room.post(BOB, "c3", "three")
    assert [deed[0] for deed in await actions(room)] == ["slow", "slow"]


async def test_what_the_creator_deletes_of_others_is_noted(room: ChatRoom) -> None:
    await room.post(BOB, "c1", "rude " * 100)

    await room.delete(ADA, 3)
    await room.delete(ADA, 1)  # their own

    ((action, whom, detail),) = await actions(room)
    assert (action, whom) == ("delete", "Bob")
    assert len(detail) == 200
    assert (await room.about(BOB)).audit == ()


async def test_only_the_creator_sees_who_was_dealt_with(room: ChatRoom) -> None:
    await room.post(CLEO, "c0", "hello")
    await room.mute(ADA, BOB.id, 5)
    await room.ban(ADA, CLEO.id, is_on=True)

    async def dealt_with(reader: Person) -> dict[str, tuple[bool, bool]]:
        standings = (await room.about(reader)).standings
        return {s.person.name: (s.muted_until is not None, s.is_banned) for s in standings}

    assert await dealt_with(ADA) == {
        "Ada": (False, False),
        "Bob": (True, False),
        "Cleo": (False, True),
    }
    assert await dealt_with(BOB) == {"Ada": (False, False), "Bob": (True, False)}
    assert await dealt_with(Person("9", "Dan")) == {"Ada": (False, False), "Bob": (False, False)}


async def test_a_mute_that_is_over_is_shown_to_nobody(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    async def muted() -> list[str]:
        """Return who is, as the creator is shown it, and as they themselves are."""
        standings = [*(await room.about(ADA)).standings, (await room.scene(BOB)).me]
        return [standing.person.name for standing in standings if standing.muted_until]

    await room.mute(ADA, BOB.id, 2)
    before = await muted()
    await runtime.clock.advance(121)

    assert before == ["Bob", "Bob"]
    assert await muted() == []


async def test_what_makes_no_sense_is_refused(room: ChatRoom) -> None:
    with pytest.raises(NotAllowed, match="to yourself"):
        await room.ban(ADA, ADA.id, is_on=True)
    with pytest.raises(NotThere, match="doesn't know that person"):
        await room.kick(ADA, CLEO.id)
    for minutes in (-1, 24 * 60 + 1):
        with pytest.raises(Unacceptable):
            await room.mute(ADA, BOB.id, minutes)
    with pytest.raises(Unacceptable):
        await room.slow_down(ADA, 7)


# For the strip, in development.


async def test_dropped_windows_come_back_and_miss_nothing(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    ada, bob = await enter(runtime, room, ADA), await enter(runtime, room, BOB)
    cursor = (await room.scene(ADA)).cursor

    dropped = await room.drop_windows(ADA)
    await room.post(BOB, "c1", "missed")

    assert dropped == 1
    assert ada.closed is not None
    assert ada.closed[0] == 1012  # a page comes back by itself
    assert bob.closed is None
    again = await enter(runtime, room, ADA, f"?since={cursor}")
    assert len(pushes(again, "missed")) == 1
