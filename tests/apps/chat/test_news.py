"""Who has read what, who is typing, and what other objects hear of a room."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apps.chat.domain import MOST_UNREAD, NotAllowed, NotThere, Person, RoomKind, direct_room
from apps.chat.objects import THE_ONE, ChatRoom
from runtime.testing import HandshakeRefused, TestRuntime
from tests.apps.chat.windows import ADA, BINDINGS, BOB, CLEO, enter, pushes
from tests.conftest import StartRuntime

LONG = 10.0  # seconds, in which all letters are delivered


async def unread(runtime: TestRuntime[Any], person: Person) -> list[tuple[str, int, int]]:
    """Return the rooms in somebody's inbox, with how much is new and how often they are named."""
    rooms = await runtime.env.inboxes.get_by_name(person.id).rooms()
    return [(room.room, room.unread, room.mentions) for room in rooms]


async def listed(runtime: TestRuntime[Any]) -> list[tuple[str, int, int]]:
    """Return the open rooms, with how many people are there and how much was said."""
    rooms = await runtime.env.directory.get_by_name(THE_ONE).rooms()
    return [(room.room, room.people, room.messages) for room in rooms]


# Typing.


async def test_the_others_see_who_types_and_nothing_is_written(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    ada, bob = await enter(runtime, room, ADA), await enter(runtime, room, BOB)
    second_window = await enter(runtime, room, BOB)
    await runtime.settle()
    for window in (ada, bob, second_window):
        pushes(window, "")

    await bob.send("typing")

    (push,) = pushes(ada, "")
    assert "Bob" in push
    assert "data-feed" not in push
    assert list(bob.received) == list(second_window.received) == []
    assert await room.history(ADA) == []


# Reading.


async def test_the_others_are_shown_who_has_read_once_in_a_while(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    ada, bob = await enter(runtime, room, ADA), await enter(runtime, room, BOB)
    for number in range(3):
        await room.post(ADA, f"c{number}", "text")
    await runtime.clock.advance(LONG)
    pushes(ada, "")

    for seq in (1, 3, 2):
        await bob.send(f"read {seq}")
    at_once = pushes(ada, "")
    await runtime.clock.advance(LONG)

    assert at_once == []
    assert len(pushes(ada, "")) == 1
    readers = {reader.person: reader.seq for reader in (await room.scene(ADA)).readers}
    assert readers == {ADA: 3, BOB: 3}


async def test_what_is_new_for_somebody_is_what_they_havent_read(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    await room.post(ADA, "c1", "old")
    window = await enter(runtime, room, BOB)  # who comes for the first time has missed nothing
    for number in range(2, 5):
        await room.post(ADA, f"c{number}", "new")

    before = (await room.scene(BOB)).me
    await window.send("read 3")
    after = (await room.scene(BOB)).me
    await window.send("read 999")

    assert (before.read_up_to, before.unread) == (1, 3)
    assert (after.read_up_to, after.unread) == (3, 1)
    assert (await room.scene(BOB)).me.unread == 0
    assert (await room.scene(ADA)).me.unread == 0  # who speaks has read


async def test_what_a_window_has_shown_is_written_with_the_news_or_when_it_closes(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    bob = await enter(runtime, room, BOB)
    for number in range(3):
        await room.post(ADA, f"c{number}", "hello")

    async def bobs_place() -> list[int]:
        """Return how far he has read, as he himself and as everybody else is told."""
        mine, scene = (await room.scene(BOB)).me.read_up_to, await room.scene(ADA)
        return [mine, *(reader.seq for reader in scene.readers if reader.person == BOB)]

    await runtime.clock.advance(LONG)
    await bob.send("read 2")
    assert await bobs_place() == [2, 0]
    await bob.send("read 1")
    await runtime.clock.advance(LONG)
    assert await bobs_place() == [2, 2]
    await bob.send("read 3")
    await bob.vanish()

    assert await bobs_place() == [3, 3]


async def test_an_inbox_knows_what_is_new_in_all_rooms(runtime: TestRuntime[Any]) -> None:
    tea, coffee = (runtime.env.rooms.get_by_name(name) for name in ("tea", "coffee"))
    for room in (tea, coffee):
        await room.post(BOB, "c1", "I am here")
    await tea.post(ADA, "c1", "hello")
    await coffee.post(ADA, "c1", "hello @Bob")
    await coffee.post(ADA, "c2", "@bob?")

    await runtime.clock.advance(LONG)
    before = await unread(runtime, BOB)
    await coffee.note_reading(BOB, 2)
    await tea.note_reading(BOB, 2)
    await runtime.clock.advance(LONG)

    assert sorted(before) == [("coffee", 2, 2), ("tea", 1, 0)]
    assert sorted(await unread(runtime, BOB)) == [("coffee", 1, 1), ("tea", 0, 0)]
    assert all(new == 0 for _, new, _ in await unread(runtime, ADA))


async def test_whoever_answers_at_once_has_read_what_they_were_named_in(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    await room.post(ADA, "c0", "hello")
    bob = await enter(runtime, room, BOB)
    await runtime.clock.advance(LONG)
    await room.post(ADA, "c1", "@Bob are you there?")
    await runtime.clock.advance(1.5)
    await bob.send("read 2")
    await runtime.clock.advance(0.2)

    await room.post(BOB, "b1", "yes")
    await runtime.clock.advance(LONG)

    assert await unread(runtime, BOB) == [("tea", 0, 0)]


async def test_whoever_was_banned_for_a_while_isnt_named_in_what_they_never_read(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    await room.post(ADA, "c0", "hello")
    await room.post(BOB, "b0", "hello")
    await room.post(ADA, "c1", "@Bob are you there?")
    await room.ban(ADA, BOB.id, is_on=True)
    await room.ban(ADA, BOB.id, is_on=False)
    await (await enter(runtime, room, BOB)).leave()

    await room.post(ADA, "c2", "I was wrong")
    await runtime.clock.advance(LONG)

    assert await unread(runtime, BOB) == [("tea", 1, 0)]


async def test_an_inbox_has_every_room_that_its_person_has_entered(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    await room.post(ADA, "c1", "hello")
    await enter(runtime, room, BOB)
    await enter(runtime, runtime.env.rooms.get_by_name("empty"), BOB)

    await runtime.clock.advance(LONG)

    assert await unread(runtime, ADA) == await unread(runtime, BOB) == [("tea", 0, 0)]


async def test_a_home_page_is_shown_what_is_new_at_once(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    await room.post(BOB, "c1", "I am here")
    await runtime.clock.advance(LONG)
    home = await runtime.connect(runtime.env.inboxes.get_by_name(BOB.id))
    greeting = pushes(home, "")

    await room.post(ADA, "c1", "hello")
    await runtime.clock.advance(LONG)

    assert len(greeting) == 1
    (push,) = pushes(home, "")
    assert "tea" in push
    await home.send("hello")
    assert home.closed == (1008, "an inbox only tells")


async def test_whoever_is_away_gets_few_letters_and_at_last_none(
    start_awake_runtime: StartRuntime,
) -> None:
    runtime = await start_awake_runtime(**BINDINGS)
    room = runtime.env.rooms.get_by_name("tea")
    await room.post(BOB, "c0", "I am here")
    await runtime.clock.advance(LONG)
    home = await runtime.connect(runtime.env.inboxes.get_by_name(BOB.id))
    for each in range(3):
        await asyncio.gather(*(room.post(ADA, f"c{each} {n}", "text") for n in range(60)))
        await runtime.clock.advance(LONG)

    assert len(pushes(home, "")) == 1 + 2  # 60 are new, and 100 or more
    assert await unread(runtime, BOB) == [("tea", MOST_UNREAD, 0)]


async def test_a_letter_that_a_crash_delays_arrives_once(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    await room.post(BOB, "c1", "I am here")
    await runtime.clock.advance(LONG)
    await room.post(ADA, "c1", "hello @Bob")
    crash = runtime.crash_at("during_alarm")

    await runtime.clock.advance(60)

    assert crash.done()
    assert await unread(runtime, BOB) == [("tea", 1, 1)]
    assert await listed(runtime) == [("tea", 0, 2)]


async def test_whoever_is_banned_has_the_room_in_no_list_of_theirs(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    await room.post(ADA, "c1", "hello")
    await room.post(BOB, "c1", "hi")
    await room.post(ADA, "c2", "news")
    await runtime.clock.advance(LONG)
    before = await unread(runtime, BOB)

    await room.ban(ADA, BOB.id, is_on=True)
    await room.post(ADA, "c3", "more")
    await runtime.clock.advance(LONG)

    assert before == [("tea", 1, 0)]
    assert await unread(runtime, BOB) == []


# The directory.


async def test_the_list_has_a_room_as_soon_as_somebody_speaks(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    await enter(runtime, room, ADA)
    await runtime.clock.advance(LONG)
    quiet = await listed(runtime)
    window = await enter(runtime, room, BOB)

    await room.post(ADA, "c1", "hello")
    await runtime.settle()
    at_once = await listed(runtime)
    await window.leave()
    await runtime.env.rooms.get_by_name("coffee").post(BOB, "c1", "hello")
    await room.post(ADA, "c2", "hello?")
    await runtime.clock.advance(LONG)

    assert quiet == []
    assert at_once == [("tea", 2, 1)]
    assert sorted(await listed(runtime)) == [("coffee", 0, 1), ("tea", 1, 2)]


# Rooms that aren't open.


async def test_a_private_room_is_there_for_whoever_has_its_address(
    runtime: TestRuntime[Any],
) -> None:
    rooms = runtime.env.rooms
    room: ChatRoom = rooms.get(rooms.new_unique_id())
    for attempt in (room.scene(ADA), room.post(ADA, "c1", "hello"), room.history(ADA)):
        with pytest.raises(NotThere, match="no such room"):
            await attempt
    with pytest.raises(HandshakeRefused, match="403 there is no such room"):
        await enter(runtime, room, ADA)

    await room.open(ADA, "Plans")
    await room.open(BOB, "Mine now")
    await room.post(BOB, "c1", "hello")
    await runtime.clock.advance(LONG)

    scene = await room.scene(BOB)
    assert (scene.kind, scene.title) == (RoomKind.PRIVATE, "Plans")
    assert (await room.scene(ADA)).me.is_creator
    assert not scene.me.is_creator
    assert await listed(runtime) == []
    (entry,) = await runtime.env.inboxes.get_by_name(ADA.id).rooms()
    assert (entry.room, entry.title, entry.unread) == (scene.room, "Plans", 1)


async def test_only_two_people_enter_the_room_of_two(runtime: TestRuntime[Any]) -> None:
    ada, bob, cleo = (Person(f"{n:016x}", name) for n, name in enumerate(("Ada", "Bob", "Cleo")))
    name = direct_room(bob.id, ada.id)
    room: ChatRoom = runtime.env.rooms.get_by_name(name)
    with pytest.raises(NotThere):
        await room.scene(ada)  # nobody has opened it
    with pytest.raises(NotThere):
        await room.open_direct(ada, cleo)

    await room.open_direct(ada, bob)
    await runtime.clock.advance(LONG)
    lists = [await runtime.env.inboxes.get_by_name(each.id).rooms() for each in (ada, bob)]
    await room.post(ada, "c1", "between us")
    await room.pin(bob, 1, is_on=True)
    await runtime.clock.advance(LONG)

    assert [[entry.title for entry in entries] for entries in lists] == [["Bob"], ["Ada"]]
    assert (await room.scene(ada)).title == "Bob"
    assert (await room.scene(bob)).title == "Ada"
    (entry,) = await runtime.env.inboxes.get_by_name(bob.id).rooms()
    assert (entry.title, entry.kind, entry.unread) == ("Ada", RoomKind.DIRECT, 1)
    for attempt in (room.scene(cleo), room.history(cleo), room.post(cleo, "c1", "hi")):
        with pytest.raises(NotThere):
            await attempt
    with pytest.raises(HandshakeRefused, match="no such room"):
        await enter(runtime, room, cleo)
    with pytest.raises(NotAllowed):
        await room.ban(ada, bob.id, is_on=True)
    assert await listed(runtime) == []


# Limits.


async def test_a_window_that_says_too_much_is_closed(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    window, other = await enter(runtime, room, ADA), await enter(runtime, room, ADA)

    for _ in range(20):
        await window.send("typing")
    in_time = window.closed
    await window.send("typing")

    assert in_time is None
    assert window.closed == (1008, "that was too much at once")
    await other.send("here")
    assert other.closed is None


async def test_somebody_has_twenty_windows_at_most(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    for _ in range(20):
        await enter(runtime, room, ADA)

    with pytest.raises(HandshakeRefused, match="too many windows"):
        await enter(runtime, room, ADA)
    await enter(runtime, room, CLEO)


async def test_a_limit_survives_the_process_and_leaves_nothing_behind(
    runtime: TestRuntime[Any],
) -> None:
    limiter = runtime.env.limits.get_by_name("person:1")

    taken = [await limiter.take("open") for _ in range(10)]
    await runtime.crash()
    wait = await limiter.take("open")
    others = await limiter.take("say")
    await runtime.clock.advance(wait)
    again = await limiter.take("open")
    await runtime.clock.advance(3600)

    assert taken == [0] * 10
    assert wait == pytest.approx(10, abs=0.1)
    assert (others, again) == (0, 0)
    assert await runtime.list_durable_object_ids(runtime.env.limits) == []


async def test_whoever_is_named_is_whom_the_message_names_now_and_who_hasnt_read_it(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    await room.post(ADA, "c1", "welcome")
    await enter(runtime, room, BOB)
    for number, text in enumerate(("@Bob", "@Bob and @Ada", "nobody"), start=2):
        await room.post(ADA, f"c{number}", text)
    await runtime.clock.advance(LONG)
    before = await unread(runtime, BOB), await unread(runtime, ADA)

    await room.delete(ADA, 2)
    await room.edit(ADA, 3, "@Ada", 0)
    await runtime.clock.advance(LONG)
    without = await unread(runtime, BOB)
    await room.edit(ADA, 4, "@Bob after all", 0)
    await runtime.clock.advance(LONG)

    assert before == ([("tea", 3, 2)], [("tea", 0, 0)])
    assert without == [("tea", 3, 0)]
    assert await unread(runtime, BOB) == [("tea", 3, 1)]
