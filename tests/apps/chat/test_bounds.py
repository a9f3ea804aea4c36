"""Nothing grows without end."""

from __future__ import annotations

from typing import Any

import pytest

from apps.chat import domain, store
from apps.chat.domain import Person
from apps.chat.objects import THE_ONE, inbox
from apps.chat.store import listings
from runtime.testing import HandshakeRefused, TestRuntime
from tests.apps.chat.windows import ADA, BINDINGS, BOB, enter
from tests.conftest import StartRuntime


@pytest.fixture
async def runtime(
    start_awake_runtime: StartRuntime, monkeypatch: pytest.MonkeyPatch
) -> TestRuntime[Any]:
    """A runtime in which much is too much already."""
    monkeypatch.setattr(store.members, "MOST_KNOWN", 3)
    monkeypatch.setattr(store.room, "MOST_AUDITED", 3)
    monkeypatch.setattr(listings, "MOST_LISTED", 3)
    monkeypatch.setattr(listings, "MOST_NOTED", 3)
    started: TestRuntime[Any] = await start_awake_runtime(**BINDINGS)
    return started


async def test_a_room_forgets_who_hasnt_come_for_longest(runtime: TestRuntime[Any]) -> None:
    room = runtime.env.rooms.get_by_name("tea")
    await room.post(ADA, "c1", "hello")
    for number in range(5):
        await runtime.clock.advance(1)
        window = await enter(runtime, room, Person(f"p{number}", f"Guest {number}"))
        await window.leave()
    await runtime.clock.advance(60)

    names = {standing.person.name for standing in (await room.about(ADA)).standings}

    assert names == {"Guest 2", "Guest 3", "Guest 4"}
    assert (await room.scene(ADA)).me.is_creator  # whom it doesn't forget


async def test_whoever_was_forgotten_isnt_named_in_what_they_never_read(
    runtime: TestRuntime[Any],
) -> None:
    room = runtime.env.rooms.get_by_name("tea")
    await room.post(BOB, "c1", "hello")
    await room.post(ADA, "c1", "hello @Bob")
    for number in range(3):
        await runtime.clock.advance(1)
        await (await enter(runtime, room, Person(f"p{number}", f"Guest {number}"))).leave()
    await (await enter(runtime, room, BOB)).leave()

    await room.post(ADA, "c2", "anybody?")
    await runtime.clock.advance(10)

    (inbox,) = await runtime.env.inboxes.get_by_name(BOB.id).rooms()
    assert (inbox.unread, inbox.mentions) == (1, 0)


async def test_the_page_about_a_room_shows_whom_its_creator_may_have_to_deal_with(
    runtime: TestRuntime[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "MOST_SHOWN", 2)
    room = runtime.env.rooms.get_by_name("tea")
    await room.post(ADA, "c1", "hello")
    people = [Person(f"{number}", f"Guest {number}") for number in range(9, 3, -1)]
    for person in people:
        await runtime.clock.advance(1)
        window = await enter(runtime, room, person)
        if person == people[1]:
            await room.ban(ADA, person.id, is_on=True)
        elif person != people[2]:
            await window.leave()
    await runtime.clock.advance(60)

    async def shown_to(reader: Person) -> list[Person]:
        return [standing.person for standing in (await room.about(reader)).standings]

    assert await shown_to(ADA) == [people[1], people[2], people[5]]  # banned; here; came last
    assert await shown_to(BOB) == [people[2], people[5]]


async def test_what_was_done_long_ago_isnt_told(runtime: TestRuntime[Any]) -> None:
    room = runtime.env.rooms.get_by_name("tea")
    await room.post(ADA, "c1", "hello")
    await room.post(BOB, "c1", "hello")

    for minutes in range(1, 6):
        await room.mute(ADA, BOB.id, minutes)

    audit = (await room.about(ADA)).audit
    assert [row.detail for row in audit] == ["5 minutes", "4 minutes", "3 minutes"]


async def test_the_lists_keep_the_rooms_in_which_somebody_has_spoken_last(
    runtime: TestRuntime[Any],
) -> None:
    for number in range(5):
        await runtime.env.rooms.get_by_name(f"room{number}").post(ADA, "c1", "hello")
        await runtime.clock.advance(10)

    kept = ["room4", "room3", "room2"]
    directory = runtime.env.directory.get_by_name(THE_ONE)
    assert [room.room for room in await directory.rooms()] == kept
    inbox = runtime.env.inboxes.get_by_name(ADA.id)
    assert [room.room for room in await inbox.rooms()] == kept


async def test_nobody_listens_to_their_inbox_in_ever_so_many_windows(
    runtime: TestRuntime[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MOST_WINDOWS", 2)
    bobs = runtime.env.inboxes.get_by_name(BOB.id)
    first, _ = [await runtime.connect(bobs, "/chat/~/inbox/ws") for _ in range(2)]

    with pytest.raises(HandshakeRefused, match="too many windows"):
        await runtime.connect(bobs, "/chat/~/inbox/ws")
    await first.leave()

    assert (await runtime.connect(bobs, "/chat/~/inbox/ws")).received
