"""A match, as an object."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from apps.game import views
from apps.game.app import APP
from apps.game.domain.clock import Control
from apps.game.domain.lobby import Wish
from apps.game.domain.refusals import Refused
from apps.game.domain.view import View
from runtime.testing import HandshakeRefused, TestRuntime
from tests.apps.game.conftest import BLITZ, FLEET, Table, pushed

DRAW = "441365675334466335442232661515577771217122"  # nobody gets four in a row
WIN = ("1", "2", "1", "2", "1", "2", "1")  # four of Ada's in the first column


async def test_a_match_is_played_to_its_end_and_its_log_tells_all_of_it(table: Table) -> None:
    await table.open()

    view = await table.play(*WIN)

    assert (view.phase, view.ply, view.to_move) == ("finished", 7, ())
    assert view.result is not None
    assert (view.result.winner, view.result.how) == (0, "rules")
    kinds = [entry.kind for entry in await table.match.log("ada")]
    assert kinds == ["opened", "seated", "seated", *["moved"] * 7, "ended"]


async def test_a_long_match_is_whole_whenever_it_wakes(table: Table) -> None:
    await table.open(control=Control(600.0))

    view = await table.play(*DRAW)

    assert view.result is not None
    assert (view.result.winner, view.ply) == (None, 42)
    assert "".join(turn.notation for turn in (await table.look("")).turns) == DRAW
    assert [entry.seq for entry in await table.match.log("")] == list(range(1, 47))


async def test_a_move_that_is_sent_again_changes_nothing(table: Table) -> None:
    await table.open()
    first = await table.match.move("ada", 0, "4")
    log = await table.match.log("ada")

    again = await table.match.move("ada", 0, "4")
    await table.match.move("bob", 1, "5")
    late = await table.match.move("ada", 0, "4")

    assert (again.ply, again.board) == (1, first.board)
    assert late.ply == 2
    assert len(await table.match.log("ada")) == len(log) + 1


async def test_what_the_rules_forbid_is_said_with_the_match_as_it_stands(table: Table) -> None:
    await table.open()
    await table.play("1", "1", "1", "1", "1", "1")

    async def why(who: str, ply: int, move: str) -> tuple[str, str]:
        refusal = await table.refused(table.match.move(who, ply, move))
        assert refusal.view.ply == 6
        assert refusal.view.seat == {"ada": 0, "bob": 1}.get(who)
        return refusal.rule, str(refusal)

    assert (await why("bob", 6, "2"))[0] == "not-your-turn"
    assert (await why("ada", 6, "1"))[0] == "illegal-move"
    assert (await why("ada", 6, "nowhere"))[0] == "illegal-move"
    assert await why("ada", 4, "2") == ("wrong-ply", "move 4 is taken: it is move 6 now")
    assert (await why("ada", 9, "2"))[0] == "wrong-ply"
    assert (await why("eve", 6, "2"))[0] == "not-a-player"
    assert (await why("", 6, "2"))[0] == "not-a-player"


async def test_nothing_more_is_done_in_a_match_that_is_over(table: Table) -> None:
    await table.open()
    await table.play(*WIN)

    assert (await table.refused(table.match.move("bob", 7, "3"))).rule == "match-over"
    assert (await table.refused(table.match.act("bob", "resign"))).rule == "match-over"
    assert (await table.refused(table.match.offer("bob", "draw"))).rule == "match-over"
    assert (await table.refused(table.match.join("eve", "Eve"))).rule == "match-over"


async def test_of_many_moves_at_once_one_is_made(table: Table) -> None:
    await table.open()

    moves = (table.match.move("ada", 0, str(n % 7 + 1)) for n in range(49))
    outcomes = await asyncio.gather(*moves, return_exceptions=True)

    made = [outcome for outcome in outcomes if not isinstance(outcome, Refused)]
    assert len(made) == 7  # column 1, asked for that often
    assert (await table.look()).ply == 1


# Seats.


async def test_a_seat_is_for_whoever_has_the_link_and_nobody_after(table: Table) -> None:
    await table.open(is_joined=False)
    key = (await table.look()).key
    assert key

    assert (await table.look("eve")).key is None
    guessed = await table.refused(table.match.join("eve", "Eve", "guess"))
    assert (guessed.rule, guessed.view.phase) == ("wrong-key", "waiting")
    assert (await table.refused(table.match.join("ada", "Ada", key))).rule == "already-seated"
    first = await table.match.join("bob", "Bob", key)
    again = await table.match.join("bob", "Bob")
    stolen = await table.refused(table.match.join("eve", "Eve", key))

    assert first == again
    assert first.seat == 1
    assert stolen.rule == "seat-taken"
    assert stolen.view.seat is None


async def test_opening_again_is_harmless_and_for_nobody_else(table: Table) -> None:
    wish = Wish("connect-four", BLITZ, "link", 1)

    first = await table.match.open("ada", "Ada", wish)
    again = await table.match.open("ada", "Ada", wish)
    refusal = await table.refused(table.match.open("eve", "Eve", wish))

    assert first == again
    assert first.seat == 1
    assert refusal.rule == "seat-taken"


async def test_a_match_that_nobody_has_opened_leaves_nothing_behind(
    runtime: TestRuntime[Any], table: Table
) -> None:
    for call in (table.match.look("ada"), table.match.move("ada", 0, "1"), table.match.log("")):
        with pytest.raises(Refused, match="no such match"):
            await call
    with pytest.raises(HandshakeRefused, match="404"):
        await table.enter("ada")

    await runtime.clock.advance(60)

    assert await runtime.list_durable_object_ids(runtime.env.matches) == []


# What goes to whom.


async def test_everybody_is_pushed_what_has_happened_and_may_come_back(table: Table) -> None:
    await table.open()
    ada, eve = await table.enter("ada"), await table.enter()
    for window in (ada, eve):
        pushed(window)

    view = await table.play("4")

    (push,) = pushed(ada)
    assert f'data-version="{view.version}"' in push
    assert len(pushed(eve, f'data-version="{view.version}"')) == 1
    up_to_date = await table.enter("bob", f"?since={view.version}")
    behind = await table.enter("bob", "?since=3-0")
    assert len(pushed(up_to_date, "data-version")) == 0
    assert len(pushed(behind, "data-version")) == 1


async def test_a_push_is_rendered_once_for_all_who_may_see_the_same(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    await table.open()
    for who in ("ada", "ada", "bob", *"efghij"):
        await table.enter(who)
    rendered: list[int | None] = []
    render = views.render

    def noted(what: Any, view: View, format: str) -> str:
        rendered.append(view.seat)
        return render(what, view, format)

    monkeypatch.setattr(views, "render", noted)
    await table.play("4")

    assert rendered == [0, 1, None]


async def test_programs_get_the_view_as_json(table: Table) -> None:
    await table.open()
    window = await table.enter("bob", "?as=json")

    view = await table.play("4")

    told = json.loads(pushed(window)[-1])
    assert (told["ply"], told["seat"], told["version"]) == (1, 1, view.version)


async def test_whoever_talks_on_the_socket_is_turned_away_but_a_ping_is_answered(
    table: Table,
) -> None:
    await table.open()
    ada, bob = await table.enter("ada"), await table.enter("bob")

    await ada.send("ping")
    await bob.send('{"move": 4}')

    assert pushed(ada, "pong") == ["pong"]
    assert bob.closed == (1008, "moves are sent by POST")


async def test_people_who_watch_are_counted_soon_and_together(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open()
    ada = await table.enter("ada", "?as=json")
    watchers = [await table.enter(who) for who in ("eve", "eve", "", "")]
    bob = await table.enter("bob")
    await bob.leave()
    pushed(ada)

    await runtime.clock.advance(2)
    (push,) = pushed(ada)
    await watchers[0].leave()
    await watchers[3].vanish()
    await runtime.clock.advance(2)

    assert json.loads(push)["watching"] == 3
    assert [json.loads(push)["watching"] for push in pushed(ada)] == [2]


# Offers.


async def test_a_draw_is_agreed(table: Table) -> None:
    await table.open()
    await table.play("1", "2")

    offered = await table.match.offer("ada", "draw")
    seen = await table.look("bob")
    view = await table.match.offer("bob", "draw", "accept")

    assert offered.offer == seen.offer
    assert seen.offer is not None
    assert "draw" not in offered.may
    assert view.result is not None
    assert (view.result.winner, view.result.how) == (None, "agreed")


async def test_an_offer_dies_with_the_next_move(table: Table) -> None:
    await table.open()
    await table.play("1", "2")
    await table.match.offer("bob", "draw")

    view = await table.play("3")

    assert view.offer is None
    late = await table.refused(table.match.offer("ada", "draw", "accept"))
    assert late.rule == "no-such-offer"


async def test_what_was_declined_isnt_offered_again_before_the_next_move(table: Table) -> None:
    await table.open()
    await table.play("1", "2")
    await table.match.offer("ada", "draw")
    again = await table.match.offer("ada", "draw")
    pending = await table.refused(table.match.offer("bob", "takeback"))

    await table.match.offer("bob", "draw", "decline")

    assert again.offer is not None
    assert pending.rule == "offer-pending"
    assert (await table.refused(table.match.offer("ada", "draw"))).rule == "offer-declined"
    await table.play("3")
    assert (await table.match.offer("ada", "draw")).offer is not None


async def test_a_takeback_goes_back_to_before_the_last_move_of_who_asks(table: Table) -> None:
    await table.open()
    view = await table.look()
    nothing = await table.refused(table.match.offer("ada", "takeback"))
    before = await table.play("1")
    await table.play("2", "3")

    await table.match.offer("bob", "takeback")
    view = await table.match.offer("ada", "takeback", "accept")

    assert nothing.rule == "nothing-to-take-back"
    assert (len(view.turns), view.to_move) == (1, (1,))
    assert [turn.notation for turn in view.turns] == ["1"]
    assert view.board == before.board
    assert [turn.after for turn in (await table.play("5")).turns] == [1, 2]


async def test_a_move_that_is_repeated_late_isnt_made_again_after_a_takeback(table: Table) -> None:
    await table.open()
    await table.play("1", "2")
    stood = (await table.look()).ply
    taken_back = await table.match.move("ada", stood, "3")
    await table.match.offer("ada", "takeback")
    view = await table.match.offer("bob", "takeback", "accept")

    repeated = await table.refused(table.match.move("ada", stood, "3"))
    thought_of_before = await table.refused(table.match.move("ada", taken_back.ply, "4"))

    assert (repeated.rule, thought_of_before.rule) == ("wrong-ply", "wrong-ply")
    assert (repeated.view.ply, repeated.view.to_move) == (view.ply, (0,))
    await table.match.move("ada", view.ply, "3")
    again = await table.match.move("ada", view.ply, "3")
    assert [turn.notation for turn in again.turns] == ["1", "2", "3"]


async def test_what_was_seen_isnt_taken_back(table: Table) -> None:
    await table.open("battleship")
    await table.match.move("ada", 0, FLEET)

    assert (await table.refused(table.match.offer("ada", "takeback"))).rule == "cannot-unsee"


async def test_both_may_place_their_fleets_at_once(table: Table) -> None:
    await table.open("battleship")

    await asyncio.gather(table.match.move("ada", 0, FLEET), table.match.move("bob", 0, FLEET))

    view = await table.look()
    assert (view.ply, view.to_move) == (2, (0,))
    assert (await table.refused(table.match.move("bob", 0, FLEET.swapcase()))).rule == "wrong-ply"
    for who in ("ada", "bob"):  # of whom the second has named what was the first one's ply
        assert (await table.match.move(who, 0, FLEET)).ply == 2


async def test_resigning_and_calling_off(table: Table) -> None:
    await table.open()
    early = await table.look()
    await table.play("1", "2")

    assert (await table.refused(table.match.act("ada", "abort"))).rule == "already-moved"
    view = await table.match.act("ada", "resign")

    assert "abort" in early.may
    assert "resign" not in early.may
    assert view.result is not None
    assert (view.result.winner, view.result.words) == (1, "red resigned")


async def test_a_rematch_is_another_match_with_colours_swapped(table: Table) -> None:
    await table.open()
    await table.play(*WIN)

    await table.match.offer("bob", "rematch")
    view = await table.match.offer("ada", "rematch", "accept")
    again = await table.match.offer("ada", "rematch") if view.next is None else view

    assert again.next is not None
    after = Table(table.runtime, again.next)
    view = await after.look("ada")
    assert (view.previous, view.seat, view.phase, view.ply) == (table.id, 1, "playing", 0)
    assert (await after.look("bob")).seat == 0
    assert (await table.refused(table.match.offer("bob", "rematch"))).rule == "already-rematched"


async def test_a_rematch_may_be_declined(table: Table) -> None:
    await table.open()
    assert (await table.refused(table.match.offer("bob", "rematch"))).rule == "not-over"
    await table.play(*WIN)

    await table.match.offer("bob", "rematch")
    await table.match.offer("ada", "rematch", "decline")

    assert (await table.refused(table.match.offer("bob", "rematch"))).rule == "offer-declined"
    assert (await table.match.offer("ada", "rematch")).offer is not None


# Bots.


@pytest.mark.parametrize("game", ["connect-four", "battleship"])
async def test_a_bot_plays_to_the_end(start_awake_runtime: Any, game: str) -> None:
    runtime = await start_awake_runtime(**APP.bindings)
    table = Table(runtime)
    await table.open(game, Control(600.0), "bot")

    view = await table.look()
    for _ in range(200):
        if view.phase == "finished":
            break
        if 0 in view.to_move:
            await table.match.move("ada", view.ply, view.legal[0] if view.legal else FLEET)
        await runtime.clock.advance(0.5)
        view = await table.look()

    assert view.result is not None
    assert view.result.how == "rules"


async def test_a_bot_answers_offers_and_plays_again(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(opponent="bot")
    await table.match.move("ada", 0, "1")
    await runtime.clock.advance(1)

    await table.match.offer("ada", "draw")
    await runtime.clock.advance(1)
    declined = await table.look()
    await table.match.offer("ada", "takeback")
    await runtime.clock.advance(1)
    taken_back = await table.look()
    await table.match.act("ada", "abort")
    await table.match.offer("ada", "rematch")
    await runtime.clock.advance(1)

    assert declined.offer is None
    assert (declined.phase, declined.ply) == ("playing", 2)
    assert taken_back.turns == ()
    following = (await table.look()).next
    assert following is not None
    assert (await Table(runtime, following).look()).ply == 1  # the bot has begun
