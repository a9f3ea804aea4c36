"""The chat room, as an object."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest

from apps.chat import store
from apps.chat.domain import MAX_TEXT, PAGE, Person, Visitor
from apps.chat.objects import ChatRoom, news
from apps.chat.objects.base import NEWS_AFTER
from runtime.testing import HandshakeRefused, TestRuntime
from tests.apps.chat.windows import ADA, BINDINGS, BOB, CLEO, enter, pushes
from tests.conftest import StartRuntime


async def test_messages_are_numbered_from_one_without_gaps(room: ChatRoom) -> None:
    messages = await asyncio.gather(*(room.post(ADA, f"c{n}", f"text {n}") for n in range(5)))

    assert [message.seq for message in messages] == [1, 2, 3, 4, 5]
    assert [message.text for message in await room.history(ADA)] == [f"text {n}" for n in range(5)]


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
    assert len(await room.history(ADA)) == 2


async def test_a_message_says_when_it_was_posted(runtime: TestRuntime[Any], room: ChatRoom) -> None:
    await runtime.clock.advance(1000)

    message = await room.post(ADA, "c1", "now")

    assert message.posted_at.timestamp() == pytest.approx(runtime.clock.time(), abs=0.01)


async def test_history_comes_by_pages(room: ChatRoom) -> None:
    await asyncio.gather(*(room.post(ADA, f"c{n}", str(n)) for n in range(1, 61)))

    async def seqs(**options: int) -> list[int]:
        return [message.seq for message in await room.history(ADA, **options)]

    assert await seqs() == list(range(61 - PAGE, 61))
    assert await seqs(before=11) == list(range(1, 11))
    assert await seqs(before=11, limit=3) == [8, 9, 10]
    assert await seqs(after=57) == [58, 59, 60]
    assert await seqs(after=10, limit=2) == [11, 12]
    assert await seqs(after=60) == []


async def cursors(room: ChatRoom, count: int, text: str = "text") -> list[str]:
    """Have `count` messages posted, and return the cursors before, between and after them."""
    found = [(await room.scene(ADA)).cursor]
    for number in range(1, count + 1):
        await room.post(ADA, f"c{number}", f"{text} {number}")
        found.append((await room.scene(ADA)).cursor)
    return found


async def test_whoever_comes_back_is_sent_what_they_have_missed(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    at = await cursors(room, 5)

    window = await enter(runtime, room, BOB, f"?since={at[3]}")

    (push,) = pushes(window, "data-seq")
    assert re.findall(r'<li id="message-(\d+)"', push) == ["4", "5"]
    assert re.findall(r'<hx-upsert .* data-feed="(.+)"', push) == at[4:]


async def test_a_push_says_from_where_to_go_on_and_an_answer_doesnt(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    window = await enter(runtime, room, BOB)

    at = await cursors(room, 2)

    found = [re.findall(r'data-feed="(.+?)"', push) for push in pushes(window, "data-seq")]
    assert found == [[at[1]], [at[2]]]


async def test_a_message_cant_pass_for_a_cursor(runtime: TestRuntime[Any], room: ChatRoom) -> None:
    window = await enter(runtime, room, BOB)

    await room.post(ADA, "c1", ' data-feed="99-0" <hx-upsert data-feed="99-0">')

    (push,) = pushes(window, "data-seq")
    assert push.count(' data-feed="') == 1
    assert ' data-feed="99' not in push


async def test_whoever_has_missed_nothing_is_sent_no_messages(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    at = await cursors(room, 5)

    up_to_date = await enter(runtime, room, BOB, f"?since={at[-1]}")
    only_live = await enter(runtime, room, BOB)

    assert pushes(up_to_date, "data-seq") == pushes(only_live, "data-seq") == []


@pytest.mark.parametrize("query", ["?since=", "?since=3", "?since=99-0", "?since=x", "?since=-1"])
async def test_whoever_names_a_place_the_room_doesnt_know_is_sent_the_last_page_anew(
    runtime: TestRuntime[Any], room: ChatRoom, query: str
) -> None:
    at = await cursors(room, 5)

    window = await enter(runtime, room, BOB, query)

    (push,) = pushes(window, "data-seq")
    assert push.startswith('<hx-partial hx-target="#messages"')
    assert re.findall(r'data-feed="(.+?)"', push) == at[5:]
    assert re.findall(r'data-seq="(\d+)"', push) == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("count", "text"), [(101, "text"), (70, "x" * (MAX_TEXT - 10))], ids=["many", "much text"]
)
async def test_whoever_was_away_for_long_is_sent_the_last_page_anew(
    start_awake_runtime: StartRuntime, count: int, text: str
) -> None:
    runtime: TestRuntime[Any] = await start_awake_runtime(**BINDINGS)
    room: ChatRoom = runtime.env.rooms.get_by_name("tea")
    at = [(await room.scene(ADA)).cursor]
    for half in ("a", "b"):
        await asyncio.gather(*(room.post(ADA, f"{half}{n}", text) for n in range(count)))
        at.append((await room.scene(ADA)).cursor)

    too_late = await enter(runtime, room, BOB, f"?since={at[0]}")
    in_time = await enter(runtime, room, BOB, f"?since={at[1]}")

    (push,) = pushes(too_late, "data-seq")
    assert "hx-upsert" not in push
    assert push.count("data-seq") == PAGE
    (push,) = pushes(in_time, "data-seq")
    assert push.count("<hx-upsert") == count


async def test_a_room_from_before_there_was_a_feed_goes_on(tmp_path: Path, evicting: bool) -> None:
    class OldRoom(ChatRoom):
        migrations: ClassVar[Any] = store.MIGRATIONS[:1]

        async def post_as_of_old(self, text: str) -> None:
            self.ctx.storage.sql.exec(
                "INSERT INTO messages (client_id, author_id, author, text) VALUES (?, ?, ?, ?)",
                *(text, ADA.id, ADA.name, text),
            )

    OldRoom.__name__ = "ChatRoom"  # what its objects are kept under
    async with TestRuntime(bindings={**BINDINGS, "rooms": OldRoom}, data=tmp_path) as before:
        for number in range(1, 4):
            await before.env.rooms.get_by_name("tea").post_as_of_old(f"old {number}")

    async with TestRuntime(bindings=BINDINGS, data=tmp_path, evicting=evicting) as runtime:
        room: ChatRoom = runtime.env.rooms.get_by_name("tea")
        scene = await room.scene(ADA)
        windows = [
            await enter(runtime, room, BOB, f"?since={since}") for since in (scene.cursor, "3", "0")
        ]
        await room.post(ADA, "c1", "new")
        shown = [
            [re.findall(r'data-seq="(\d+)"', push) for push in pushes(window, "data-seq")]
            for window in windows
        ]

    assert [message.text for message in scene.messages] == ["old 1", "old 2", "old 3"]
    assert shown[0] == [["4"]]
    assert shown[1] == shown[2] == [["1", "2", "3"], ["4"]]


# Who is here.


async def visitors(room: ChatRoom) -> tuple[Visitor, ...]:
    """Return who is in the room."""
    return (await room.scene(ADA)).visitors


HERE = [Visitor(person, is_away=False) for person in (ADA, BOB)]


async def test_the_room_shows_who_comes_and_goes_and_counts_people_not_windows(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    ada = await enter(runtime, room, ADA)
    bob = await enter(runtime, room, BOB)
    second_window = await enter(runtime, room, BOB)
    together = await visitors(room)
    announced = pushes(ada, "Bob")

    await second_window.leave()
    await runtime.clock.advance(60)
    with_one_window = await visitors(room)
    await bob.vanish()
    just_gone = await visitors(room)
    await runtime.clock.advance(60)

    assert len(announced) == 1
    assert together == with_one_window == just_gone == tuple(HERE)
    assert await visitors(room) == tuple(HERE[:1])
    assert ["Bob" in push for push in pushes(ada, "people")] == [False]


async def test_nobody_else_hears_of_somebodys_second_window_or_of_a_reload(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    ada, bob = await enter(runtime, room, ADA), await enter(runtime, room, BOB)
    for window in (ada, bob):
        pushes(window, "")

    second_window = await enter(runtime, room, BOB)
    greeting = pushes(second_window, "")
    await second_window.leave()
    await bob.leave(1001)
    await runtime.clock.advance(1)
    await enter(runtime, room, BOB)
    await runtime.clock.advance(60)

    assert len(greeting) == 1
    assert "Ada" in greeting[0]
    assert "Bob" in greeting[0]
    assert [pushes(window, "") for window in (ada, bob)] == [[], []]


async def test_whoever_looks_away_is_shown_so_until_they_look_again(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    ada, bob = await enter(runtime, room, ADA), await enter(runtime, room, BOB)
    pushes(ada, "")

    await bob.send("away")
    away = pushes(ada, "people")
    counted = await visitors(room)
    await bob.send("here")

    assert len(away) == 1
    assert "Bob\u2069 (away)" in away[0]
    assert "1 here" in away[0]
    assert counted == (HERE[0], Visitor(BOB, is_away=True))
    (here,) = pushes(ada, "people")
    assert "away" not in here
    assert "2 here" in here
    assert bob.closed is None


async def test_a_crowd_hears_now_and_then_who_comes_and_goes(
    runtime: TestRuntime[Any], room: ChatRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "CROWD", 2)
    people = [Person(f"{number}", f"Guest {number}") for number in range(6)]
    first, *_, last = [await enter(runtime, room, person) for person in people]
    greeting = pushes(last, "6 here")
    at_once = pushes(first, "")

    await last.send("away")
    meanwhile = pushes(first, "")
    await runtime.clock.advance(NEWS_AFTER.total_seconds())

    assert len(greeting) == 1
    assert ["2 here" in push for push in at_once] == [False, True]
    assert meanwhile == []
    assert ["5 here" in push for push in pushes(first, "")] == [True]
    assert ["5 here" in push for push in pushes(last, "")] == [True]
    late = await enter(runtime, room, Person("late", "Late"))
    await runtime.clock.advance(NEWS_AFTER.total_seconds())
    assert "6 here" in pushes(late, "")[-1]


async def test_who_comes_back_into_a_crowd_is_shown_again(
    runtime: TestRuntime[Any], room: ChatRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "CROWD", 2)
    first, _, last = [await enter(runtime, room, person) for person in (ADA, BOB, CLEO)]
    await runtime.clock.advance(NEWS_AFTER.total_seconds())

    await last.leave()  # which makes it a room like others
    await runtime.clock.advance(10)  # in which they might have come back
    assert "2 here" in pushes(first, "people")[-1]
    await enter(runtime, room, CLEO)
    await runtime.clock.advance(NEWS_AFTER.total_seconds())

    assert "3 here" in pushes(first, "people")[-1]


async def test_who_came_into_a_crowd_is_shown_when_it_is_none_any_more(
    runtime: TestRuntime[Any], room: ChatRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "CROWD", 2)
    first, second = await enter(runtime, room, ADA), await enter(runtime, room, ADA)
    await enter(runtime, room, BOB)
    await second.leave()  # of whom another window is there
    await runtime.clock.advance(NEWS_AFTER.total_seconds())

    assert "2 here" in pushes(first, "people")[-1]


async def test_a_window_that_comes_back_unseen_is_away_at_once(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    ada = await enter(runtime, room, ADA)
    pushes(ada, "")

    await enter(runtime, room, BOB, "?since=0-0&away=1")

    (push,) = pushes(ada, "people")
    assert "Bob\u2069 (away)" in push


async def test_somebody_without_a_name_stays_outside(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    with pytest.raises(HandshakeRefused, match="401 who are you"):
        await enter(runtime, room, Person("", ""))

    assert await visitors(room) == ()


async def test_a_room_without_a_socket_says_what_it_expects(room: ChatRoom) -> None:
    response = await room.fetch("http://test/")  # type: ignore[arg-type]

    assert response.status == 426


@pytest.mark.parametrize("message", ['{"kind": "post"}', "Away", "away ", "", b"away"])
async def test_whoever_talks_on_the_socket_is_turned_away_and_nobody_else(
    runtime: TestRuntime[Any], room: ChatRoom, message: str | bytes
) -> None:
    ada, bob = await enter(runtime, room, ADA), await enter(runtime, room, BOB)

    await ada.send(message)

    assert ada.closed == (1008, "messages are sent by POST")
    assert bob.closed is None
    assert await room.history(ADA) == []


async def test_a_room_that_nobody_has_spoken_in_leaves_nothing_behind(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    await room.scene(ADA)
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

    assert [message.text for message in await room.history(ADA)] == ["kept"]
    assert len(pushes(window, "kept")) == 1
    again = await enter(runtime, room, BOB, f"?since={(await room.scene(ADA)).cursor}")
    assert pushes(again, "data-seq") == []
