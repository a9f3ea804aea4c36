"""What becomes of old messages: nothing that anybody could notice."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from apps.chat import store
from apps.chat.domain import PAGE
from apps.chat.objects import ChatRoom
from runtime.testing import TestRuntime
from tests.apps.chat.windows import ADA, BINDINGS, BOB
from tests.conftest import StartRuntime

SAID = 70


@pytest.fixture
async def room(start_awake_runtime: StartRuntime, monkeypatch: pytest.MonkeyPatch) -> ChatRoom:
    """A room where much was said, and of it only the last thirty messages aren't archived."""
    monkeypatch.setattr(store.archive, "HOT", 20)
    monkeypatch.setattr(store.archive, "CHUNK", 20)
    runtime: TestRuntime[Any] = await start_awake_runtime(**BINDINGS)
    room: ChatRoom = runtime.env.rooms.get_by_name("tea")
    for number in range(1, SAID + 1):
        await room.post(ADA, f"c{number}", f"text {number}")
    await runtime.settle()

    def count(instance: ChatRoom, ctx: Any) -> int:
        rows = ctx.storage.sql.exec("SELECT count(*) AS n FROM messages")
        return int(rows.one()["n"])

    assert await runtime.run_in_durable_object(room, count) == SAID - 40
    return room


async def test_the_archive_is_read_by_pages_like_everything_else(room: ChatRoom) -> None:
    async def seqs(**options: int) -> list[int]:
        return [message.seq for message in await room.history(BOB, **options)]

    assert await seqs() == list(range(SAID - PAGE + 1, SAID + 1))
    assert await seqs(before=45, limit=10) == list(range(35, 45))  # both sides of its end
    assert await seqs(before=25, limit=10) == list(range(15, 25))  # both sides of a row of it
    assert await seqs(before=4) == [1, 2, 3]
    assert await seqs(before=1) == []
    assert await seqs(after=0, limit=3) == [1, 2, 3]
    assert await seqs(after=35, limit=10) == list(range(36, 46))
    assert await seqs(after=15, limit=10) == list(range(16, 26))
    around = await room.scene(BOB, around=30)
    assert [around.messages[0].seq, around.messages[-1].seq] == [5, 54]
    assert (around.has_older, around.has_newer) == (True, True)


async def test_old_messages_are_found_and_changed_as_ever(room: ChatRoom) -> None:
    before = [message.seq for message in await room.search(BOB, "text 7")]

    await room.edit(ADA, 7, "seven", 0)
    await room.react(BOB, 7, "heart", is_on=True)
    await room.pin(ADA, 7, is_on=True)
    await room.delete(ADA, 8)

    assert before == [70, 7]
    (found,) = await room.search(BOB, "seven")
    assert (found.text, found.revision, found.is_pinned) == ("seven", 1, True)
    assert found.reactions[0].people == (BOB,)
    assert (await room.scene(BOB)).pins == (found,)
    assert await room.history(BOB, after=6, limit=1) == [found]
    assert (await room.closeup(BOB, 8)).message.is_deleted
    assert [m.text for m in await room.history(BOB, after=5, limit=4)] == [
        "text 6",
        "seven",
        "",
        "text 9",
    ]


async def test_a_resend_of_an_old_message_is_still_one(room: ChatRoom) -> None:
    again = await room.post(ADA, "c7", "text 7")
    new = await room.post(BOB, "c7", "text 7")

    assert again.seq == 7
    assert new.seq == SAID + 1


async def test_a_room_is_a_list_of_messages_however_much_of_it_is_archived(
    start_awake_runtime: StartRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.archive, "HOT", 5)
    monkeypatch.setattr(store.archive, "CHUNK", 3)
    runtime: TestRuntime[Any] = await start_awake_runtime(**BINDINGS)
    room: ChatRoom = runtime.env.rooms.get_by_name("tea")
    chance, said = Random(4), [await room.post(ADA, "c1", "word1")]
    for step in range(2, 150):
        seq, what = chance.randint(1, len(said)), chance.choice(["post", "post", *"erdp"])
        match what:
            case "post":
                said.append(await room.post(ADA, f"c{step}", f"word{step}"))
                await runtime.settle()
            case "e" if not said[seq - 1].is_deleted:
                old = said[seq - 1].revision
                said[seq - 1] = await room.edit(ADA, seq, f"changed{step}", old)
            case "r" if not said[seq - 1].is_deleted:
                said[seq - 1] = await room.react(BOB, seq, "eyes", is_on=chance.random() < 0.7)
            case "d" if chance.random() < 0.3:
                said[seq - 1] = await room.delete(ADA, seq)
            case "p" if not said[seq - 1].is_deleted and len((await room.scene(BOB)).pins) < 5:
                said[seq - 1] = await room.pin(ADA, seq, is_on=chance.random() < 0.7)
        limit = chance.randint(1, 12)
        assert await room.history(BOB, before=seq, limit=limit) == said[: seq - 1][-limit:]
        assert await room.history(BOB, after=seq, limit=limit) == said[seq : seq + limit]
        if text := said[seq - 1].text:
            assert await room.search(BOB, text) == [
                each for each in reversed(said) if each.text.startswith(text)
            ]

    assert (await room.scene(BOB)).pins == tuple(each for each in said[::-1] if each.is_pinned)
    assert len(said) > 50
