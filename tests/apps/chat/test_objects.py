"""The chat room, as an object."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apps.chat.domain import MAX_REPLAY, MAX_REPLAY_TEXT, MAX_TEXT, PAGE, Person
from apps.chat.objects import ChatRoom
from runtime.testing import ClientSocket, HandshakeRefused, TestRuntime
from tests.conftest import StartRuntime

ADA, BOB = Person("1", "Ada"), Person("2", "Bob")


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with rooms."""
    started: TestRuntime[Any] = await start_runtime(rooms=ChatRoom)
    return started


@pytest.fixture
def room(runtime: TestRuntime[Any]) -> ChatRoom:
    """One of them."""
    tea: ChatRoom = runtime.env.rooms.get_by_name("tea")
    return tea


async def enter(
    runtime: TestRuntime[Any], room: ChatRoom, person: Person, query: str = ""
) -> ClientSocket:
    """Open somebody's window on the room."""
    headers = {"x-person-id": person.id, "x-person-name": person.name}
    return await runtime.connect(room, f"/chat/tea/ws{query}", headers=headers)


def pushes(ws: ClientSocket, what: str) -> list[str]:
    """Return, and take, what a window was pushed that contains `what`."""
    found = [str(push) for push in ws.received if what in str(push)]
    ws.received.clear()
    return found


async def test_messages_are_numbered_from_one_without_gaps(room: ChatRoom) -> None:
    messages = await asyncio.gather(*(room.post(ADA, f"c{n}", f"text {n}") for n in range(5)))

    assert [message.seq for message in messages] == [1, 2, 3, 4, 5]
    assert [message.text for message in await room.history()] == [f"text {n}" for n in range(5)]


async def test_everyone_in_the_room_is_shown_a_message_once(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    windows = [await enter(runtime, room, ADA), await enter(runtime, room, BOB)]

    await room.post(ADA, "c1", "hello <b>you</b>")

    for window in windows:
        (push,) = pushes(window, "hello")
        assert 'data-seq="1"' in push
        assert "hello &lt;b&gt;you&lt;/b&gt;" in push


async def test_a_resend_is_harmless(runtime: TestRuntime[Any], room: ChatRoom) -> None:
    window = await enter(runtime, room, BOB)
    first = await room.post(ADA, "c1", "once")

    again = await room.post(ADA, "c1", "once")
    of_somebody_else = await room.post(BOB, "c1", "mine")

    assert again == first
    assert of_somebody_else.seq == 2
    assert len(pushes(window, "once")) == 1
    assert len(await room.history()) == 2


async def test_a_message_says_when_it_was_posted(runtime: TestRuntime[Any], room: ChatRoom) -> None:
    await runtime.clock.advance(1000)

    message = await room.post(ADA, "c1", "now")

    assert message.posted_at.timestamp() == pytest.approx(runtime.clock.time(), abs=0.01)


async def test_history_comes_by_pages(room: ChatRoom) -> None:
    for number in range(1, 61):
        await room.post(ADA, f"c{number}", str(number))

    async def seqs(**options: int) -> list[int]:
        return [message.seq for message in await room.history(**options)]

    assert await seqs() == list(range(61 - PAGE, 61))
    assert await seqs(before=11) == list(range(1, 11))
    assert await seqs(before=11, limit=3) == [8, 9, 10]
    assert await seqs(after=57) == [58, 59, 60]
    assert await seqs(after=10, limit=2) == [11, 12]
    assert await seqs(after=60) == []


async def test_whoever_comes_back_is_sent_what_they_have_missed(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    for number in range(1, 6):
        await room.post(ADA, f"c{number}", f"text {number}")

    window = await enter(runtime, room, BOB, "?since=3")

    (push,) = pushes(window, "data-seq")
    assert "hx-upsert" in push
    assert "text 3" not in push
    assert push.index("text 4") < push.index("text 5")


@pytest.mark.parametrize("query", ["", "?since=", "?since=5", "?since=99", "?since=x", "?since=-1"])
async def test_whoever_has_missed_nothing_is_sent_no_messages(
    runtime: TestRuntime[Any], room: ChatRoom, query: str
) -> None:
    for number in range(5):
        await room.post(ADA, f"c{number}", "text")

    window = await enter(runtime, room, BOB, query)

    assert pushes(window, "data-seq") == []


@pytest.mark.parametrize(
    ("count", "text"),
    [(MAX_REPLAY + 1, "text"), (MAX_REPLAY_TEXT // MAX_TEXT + 1, "x" * MAX_TEXT)],
    ids=["many messages", "much text"],
)
async def test_whoever_was_away_for_long_is_sent_the_last_page_anew(
    start_awake_runtime: StartRuntime, count: int, text: str
) -> None:
    runtime: TestRuntime[Any] = await start_awake_runtime(rooms=ChatRoom)
    room: ChatRoom = runtime.env.rooms.get_by_name("tea")
    await asyncio.gather(*(room.post(ADA, f"c{number}", text) for number in range(count)))

    window = await enter(runtime, room, BOB, "?since=0")

    (push,) = pushes(window, "data-seq")
    assert "hx-upsert" not in push
    assert push.count("data-seq") == PAGE


async def test_the_room_shows_who_comes_and_goes_and_counts_people_not_windows(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    ada = await enter(runtime, room, ADA)
    bob = await enter(runtime, room, BOB)
    second_window = await enter(runtime, room, BOB)
    together = (await room.scene()).people
    announced = pushes(ada, "Bob")

    await second_window.leave()
    with_one_window = (await room.scene()).people
    await bob.vanish()

    assert len(announced) == 1
    assert together == with_one_window == (ADA, BOB)
    assert (await room.scene()).people == (ADA,)
    assert "Bob" not in pushes(ada, "people")[-1]


async def test_nobody_else_hears_of_somebodys_second_window(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    windows = [await enter(runtime, room, person) for person in (ADA, BOB)]
    for window in windows:
        pushes(window, "")

    second_window = await enter(runtime, room, BOB)
    greeting = pushes(second_window, "")
    await second_window.leave()

    assert len(greeting) == 1
    assert "Ada" in greeting[0]
    assert "Bob" in greeting[0]
    assert [pushes(window, "") for window in windows] == [[], []]


async def test_somebody_without_a_name_stays_outside(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    with pytest.raises(HandshakeRefused, match="401 who are you"):
        await enter(runtime, room, Person("", ""))

    assert (await room.scene()).people == ()


async def test_a_room_without_a_socket_says_what_it_expects(room: ChatRoom) -> None:
    response = await room.fetch("http://test/")  # type: ignore[arg-type]

    assert response.status == 426


async def test_whoever_talks_on_the_socket_is_turned_away_and_nobody_else(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    ada, bob = await enter(runtime, room, ADA), await enter(runtime, room, BOB)

    await ada.send('{"kind": "post", "text": "let me in"}')

    assert ada.closed == (1008, "messages are sent by POST")
    assert bob.closed is None
    assert await room.history() == []


async def test_a_room_that_nobody_has_spoken_in_leaves_nothing_behind(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    await room.scene()
    window = await enter(runtime, room, ADA)
    await window.leave()

    await runtime.clock.advance(60)

    assert await runtime.list_durable_object_ids(runtime.env.rooms) == []


async def test_nobody_is_shown_a_message_that_a_crash_takes_back(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    window = await enter(runtime, room, BOB)
    await room.post(ADA, "c1", "kept")

    await runtime.crash()

    assert [message.text for message in await room.history()] == ["kept"]
    assert len(pushes(window, "kept")) == 1
    again = await enter(runtime, room, BOB, "?since=1")
    assert pushes(again, "data-seq") == []
