"""What becomes of old messages: nothing that anybody could notice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apps.chat import store
from apps.chat.domain import PAGE
from apps.chat.objects import ChatRoom
from runtime.testing import TestRuntime
from tests.apps.chat.windows import ADA, BINDINGS, BOB
from tests.conftest import StartRuntime

SAID = 350


@pytest.fixture
async def room(start_awake_runtime: StartRuntime, monkeypatch: pytest.MonkeyPatch) -> ChatRoom:
    """A room where much was said, and of it only the last hundred messages aren't archived."""
    monkeypatch.setattr(store.archive, "HOT", 100)
    runtime: TestRuntime[Any] = await start_awake_runtime(**BINDINGS)
    room: ChatRoom = runtime.env.rooms.get_by_name("tea")
    for start in range(1, SAID, 70):
        posts = (room.post(ADA, f"c{n}", f"text {n}") for n in range(start, start + 70))
        await asyncio.gather(*posts)
        await runtime.settle()

    def count(instance: ChatRoom, ctx: Any) -> int:
        rows = ctx.storage.sql.exec("SELECT count(*) AS n FROM messages")
        return int(rows.one()["n"])

    assert await runtime.run_in_durable_object(room, count) == SAID - 200
    return room


async def test_the_archive_is_read_by_pages_like_everything_else(room: ChatRoom) -> None:
    async def seqs(**options: int) -> list[int]:
        return [message.seq for message in await room.history(BOB, **options)]

    assert await seqs() == list(range(SAID - PAGE + 1, SAID + 1))
    assert await seqs(before=221, limit=40) == list(range(181, 221))  # both sides of its end
    assert await seqs(before=121, limit=40) == list(range(81, 121))  # both sides of a row of it
    assert await seqs(before=4) == [1, 2, 3]
    assert await seqs(before=1) == []
    assert await seqs(after=0, limit=3) == [1, 2, 3]
    assert await seqs(after=180, limit=40) == list(range(181, 221))
    assert await seqs(after=80, limit=40) == list(range(81, 121))
    around = await room.scene(BOB, around=100)
    assert [around.messages[0].seq, around.messages[-1].seq] == [75, 124]
    assert (around.has_older, around.has_newer) == (True, True)


async def test_old_messages_are_found_and_changed_as_ever(room: ChatRoom) -> None:
    before = [message.seq for message in await room.search(BOB, "text 7")]

    await room.edit(ADA, 7, "seven", 0)
    await room.react(BOB, 7, "heart", is_on=True)
    await room.pin(ADA, 7, is_on=True)
    await room.delete(ADA, 8)

    assert before == [*range(79, 69, -1), 7]
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
