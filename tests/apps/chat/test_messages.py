"""What becomes of messages: edited, deleted, reacted to, pinned, found."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from apps.chat.domain import (
    MAX_PINS,
    MAX_REACTORS,
    BadText,
    Kind,
    Message,
    NotAllowed,
    NotThere,
    Outdated,
    Person,
    Unacceptable,
)
from apps.chat.objects import ChatRoom
from runtime.testing import TestRuntime
from tests.apps.chat.windows import ADA, BINDINGS, BOB, CLEO, enter, pushes
from tests.conftest import StartRuntime


async def found(room: ChatRoom, words: str) -> list[str]:
    """Return the texts that a search finds."""
    return [message.text for message in await room.search(BOB, words)]


async def only(room: ChatRoom) -> Message:
    """Return the one message that there is."""
    (message,) = await room.history(BOB)
    return message


async def test_an_edit_is_shown_to_everyone_where_the_message_is(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    await room.post(ADA, "c1", "helo @Bob")
    window = await enter(runtime, room, BOB)
    pushes(window, "")
    await runtime.clock.advance(60)

    edited = await room.edit(ADA, 1, "hello", 0)

    assert (edited.text, edited.revision, edited.mentions) == ("hello", 1, ())
    assert edited.edited_at is not None
    assert (edited.edited_at - edited.posted_at).total_seconds() == pytest.approx(60, abs=0.1)
    assert await only(room) == edited
    (push,) = pushes(window, 'data-seq="1"')
    assert "hx-upsert" not in push  # where it isn't shown it must not appear
    assert "hello" in push
    assert "data-feed" in push


async def test_of_two_windows_that_edit_one_message_the_second_is_told(room: ChatRoom) -> None:
    await room.post(ADA, "c1", "one")
    await room.edit(ADA, 1, "two", 0)

    again = await room.edit(ADA, 1, "two", 0)  # the answer was lost, say
    with pytest.raises(Outdated, match="in another window"):
        await room.edit(ADA, 1, "three", 0)

    assert again.revision == 1
    assert (await only(room)).text == "two"


async def test_a_resend_is_known_by_what_was_sent_and_not_by_what_became_of_it(
    room: ChatRoom,
) -> None:
    await room.post(ADA, "c1", "/me waves")
    await room.edit(ADA, 1, "nods", 0)

    again = await room.post(ADA, "c1", "/me waves")
    with pytest.raises(Outdated, match="used this client_id for message 1"):
        await room.post(ADA, "c1", "nods")

    assert (again.seq, again.text) == (1, "nods")


async def test_nobody_edits_or_deletes_what_somebody_else_has_said(room: ChatRoom) -> None:
    await room.post(ADA, "c1", "mine")
    await room.post(BOB, "c2", "yours")

    for who, seq in ((BOB, 1), (ADA, 2)):  # Ada has made the room, and still may not edit
        with pytest.raises(NotAllowed, match="you can edit only what you have said yourself"):
            await room.edit(who, seq, "x", 0)
    with pytest.raises(NotAllowed, match="delete"):
        await room.delete(BOB, 1)
    for missing in (3, -1, 10**14):
        with pytest.raises(NotThere, match="no such message"):
            await room.edit(ADA, missing, "x", 0)

    assert [message.text for message in await room.history(ADA)] == ["mine", "yours"]


async def test_what_is_deleted_leaves_its_place_and_nothing_else(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    await room.post(ADA, "c1", "first")
    before = (await room.scene(BOB)).cursor
    await room.post(BOB, "c2", "a secret")
    await room.react(ADA, 2, "heart", is_on=True)
    await room.pin(ADA, 2, is_on=True)
    await found(room, "secret")
    window = await enter(runtime, room, ADA)
    pushes(window, "")

    deleted = await room.delete(BOB, 2)
    again = await room.delete(BOB, 2)

    assert deleted == again
    assert (deleted.text, deleted.reactions, deleted.is_pinned) == ("", (), False)
    assert deleted.deleted_by == BOB
    assert [message.seq for message in await room.history(BOB)] == [1, 2]
    assert await found(room, "secret") == []
    assert (await room.scene(BOB)).pins == ()
    assert len(pushes(window, 'data-seq="2"')) == 1
    late = await enter(runtime, room, BOB, f"?since={before}")
    assert pushes(late, "secret") == []
    for change in (room.edit(BOB, 2, "x", 0), room.react(ADA, 2, "heart", is_on=True)):
        with pytest.raises(Outdated, match="has been deleted"):
            await change


async def test_what_was_deleted_isnt_sent_to_whoever_comes_back(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    before = (await room.scene(BOB)).cursor
    await room.post(ADA, "c1", "a secret")
    await room.pin(ADA, 1, is_on=True)
    await room.delete(ADA, 1)

    window = await enter(runtime, room, BOB, f"?since={before}")

    assert pushes(window, "secret") == []
    again = await enter(runtime, room, BOB, f"?since={before}")
    (push,) = pushes(again, "data-seq")
    assert re.findall(r'data-seq="(\d+)"', push) == ["1", "1"]  # put there, and then deleted
    assert push.count("Deleted") == 2


async def test_a_deletion_takes_nothing_else_from_whoever_comes_back(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    """They were reading far back, perhaps: only what they have missed is put into their page."""
    link = "https://example.org/?around=1#message-1 data-seq=1"
    start = (await room.scene(BOB)).cursor
    await room.post(ADA, "c1", "a secret")
    await room.pin(ADA, 1, is_on=True)
    await room.post(ADA, "c2", link)
    await room.pin(ADA, 2, is_on=True)
    before = (await room.scene(BOB)).cursor
    await room.react(BOB, 1, "heart", is_on=True)
    await room.delete(ADA, 1)

    async def missed(since: str) -> str:
        window = await enter(runtime, room, BOB, f"?since={since}")
        return "".join(pushes(window, "data-feed"))

    all_of_it, deletion = await missed(start), await missed(before)

    assert re.findall(r'<hx-\S+ hx-target="([^"]*)"', all_of_it) == [
        *("#messages", "#messages", "#message-2", "#pinned"),  # of what was said, and pinned
        *("#message-1", "#pinned"),  # of the deletion
    ]
    assert "secret" not in all_of_it
    assert all_of_it.count("Deleted") == 2
    assert all_of_it.count(f"{link.split()[0]}</a>") == 2
    assert re.findall(r'<hx-\S+ hx-target="([^"]*)"', deletion) == ["#message-1", "#pinned"]
    cursor = re.findall(r'data-feed="([^"]*)"', all_of_it)[-1]
    assert cursor == (await room.scene(BOB)).cursor


async def test_reactions_are_switched_on_and_off_and_a_resend_changes_nothing(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    await room.post(ADA, "c1", "good news")
    window = await enter(runtime, room, BOB)
    pushes(window, "")

    for _ in range(2):
        await room.react(ADA, 1, "party", is_on=True)
        await room.react(BOB, 1, "party", is_on=True)
    await room.react(BOB, 1, "heart", is_on=True)
    shown = pushes(window, 'data-seq="1"')
    both = await only(room)
    for _ in range(2):
        await room.react(BOB, 1, "party", is_on=False)
        await room.react(BOB, 1, "heart", is_on=False)

    assert len(shown) == 3
    reactions = [(reaction.kind, reaction.people) for reaction in both.reactions]
    assert reactions == [("heart", (BOB,)), ("party", (ADA, BOB))]
    (left,) = (await only(room)).reactions
    assert (left.emoji, left.count) == ("🎉", 1)


async def test_a_flood_of_reactions_ends(start_awake_runtime: StartRuntime) -> None:
    runtime = await start_awake_runtime(**BINDINGS)
    room = runtime.env.rooms.get_by_name("tea")
    await room.post(ADA, "c1", "look")
    for number in range(MAX_REACTORS):
        await room.react(Person(f"p{number}", "Bot"), 1, "eyes", is_on=True)

    with pytest.raises(NotAllowed, match="50 people have reacted like that"):
        await room.react(BOB, 1, "eyes", is_on=True)
    with pytest.raises(Unacceptable, match="no such reaction"):
        await room.react(BOB, 1, "<script>", is_on=True)

    (reaction,) = (await only(room)).reactions
    assert reaction.count == MAX_REACTORS


async def test_the_creator_pins_messages_and_there_is_an_end_to_it(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    window = await enter(runtime, room, BOB)
    for number in range(1, MAX_PINS + 2):
        await room.post(ADA, f"c{number}", f"rule {number}")
    with pytest.raises(NotAllowed, match="only the room's creator can pin"):
        await room.pin(BOB, 1, is_on=True)
    pushes(window, "")

    for seq in range(1, MAX_PINS + 1):
        await room.pin(ADA, seq, is_on=True)
    await room.pin(ADA, 1, is_on=True)
    with pytest.raises(NotAllowed, match="20 messages are pinned"):
        await room.pin(ADA, MAX_PINS + 1, is_on=True)
    await room.pin(ADA, 2, is_on=False)

    pinned = [message.seq for message in (await room.scene(BOB)).pins]
    assert pinned == [*range(MAX_PINS, 2, -1), 1]
    shown = {message.seq for message in await room.history(BOB) if message.is_pinned}
    assert shown == set(pinned)
    assert len(pushes(window, "data-feed")) == 2 * (MAX_PINS + 1)  # the message, and all pins


# Commands.


async def test_a_text_says_what_its_author_does_and_whom_it_names(room: ChatRoom) -> None:
    await room.post(BOB, "c0", "hi")

    did = await room.post(ADA, "c1", "/me waves at @bob, not at @Bobby")

    assert (did.kind, did.text) == (Kind.ME, "waves at @bob, not at @Bobby")
    assert did.mentions == (BOB,)


async def test_dice_are_thrown_by_the_server_and_once(start_awake_runtime: StartRuntime) -> None:
    class LoadedRoom(ChatRoom):
        random = random.Random(7)

    runtime = await start_awake_runtime(**{**BINDINGS, "rooms": LoadedRoom})
    room: ChatRoom = runtime.env.rooms.get_by_name("tea")
    expected = random.Random(7)
    numbers = [expected.randint(1, 6) for _ in range(2)]

    thrown = await room.post(ADA, "c1", "/dice 2d6")
    again = await room.post(ADA, "c1", "/dice 2d6")

    assert thrown == again
    assert thrown.kind is Kind.DICE
    assert thrown.text == f"2d6: {numbers[0]} + {numbers[1]} = {sum(numbers)}"
    with pytest.raises(NotAllowed):
        await room.edit(ADA, 1, "2d6: 6 + 6 = 12", 0)
    with pytest.raises(BadText, match="up to 20 of 2 to 1,000 sides"):
        await room.post(ADA, "c2", "/dice 9999d9999")


# Search.


async def test_a_search_finds_all_words_and_the_beginning_of_the_last(room: ChatRoom) -> None:
    for number, text in enumerate(("Grüne Tassen", "green tea", "tea, green", "green coffee")):
        await room.post(ADA, f"c{number}", text)

    assert await found(room, "tea green") == ["tea, green", "green tea"]
    assert await found(room, "green te") == ["tea, green", "green tea"]
    assert await found(room, "GRUNE tas") == ["Grüne Tassen"]
    assert await found(room, "te green") == []


async def test_a_search_knows_of_edits_and_of_what_is_said_after_it(room: ChatRoom) -> None:
    await room.post(ADA, "c1", "milk")
    before = await found(room, "milk")

    await room.edit(ADA, 1, "bread", 0)
    await room.post(BOB, "c2", "milk again")

    assert before == ["milk"]
    assert await found(room, "bread") == ["bread"]
    assert await found(room, "milk") == ["milk again"]


@pytest.mark.parametrize(
    "words", ['"', "tea OR", "NEAR(", "text:tea", "-tea", "tea*^", "(tea", "'"]
)
async def test_no_text_is_taken_for_the_syntax_of_a_search(
    start_awake_runtime: StartRuntime, words: str
) -> None:
    runtime = await start_awake_runtime(**BINDINGS)
    room = runtime.env.rooms.get_by_name("tea")
    await room.post(ADA, "c1", "a text OR near tea")

    if any(character.isalnum() for character in words):
        assert await found(room, words) == ["a text OR near tea"]
    else:
        with pytest.raises(Unacceptable, match="type a word"):
            await found(room, words)


async def test_one_message_is_shown_with_what_its_reader_may_do(
    runtime: TestRuntime[Any], room: ChatRoom
) -> None:
    await room.post(ADA, "c1", "hello")
    window = await enter(runtime, room, CLEO)
    await window.send("read 1")

    to_ada, to_bob = await room.closeup(ADA, 1), await room.closeup(BOB, 1)

    assert to_ada.may == {"react", "edit", "delete", "pin"}
    assert to_bob.may == {"react"}
    assert set(to_bob.readers) == {ADA, CLEO}
