"""A player who has left: seen after a while, and not for ever waited for."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from apps.game.domain.clock import Control
from apps.game.domain.refusals import Refused
from apps.game.domain.timeouts import CLAIM_SECONDS, GONE_SECONDS
from runtime.testing import TestRuntime
from tests.apps.game.conftest import Table, pushed

LONG = Control(600.0)


def last(ws: Any) -> Any:
    """Return the last view that a window was pushed."""
    return json.loads(pushed(ws)[-1])


async def test_whoever_is_gone_for_five_seconds_is_shown_as_gone(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(control=LONG)
    await table.play("1", "2")
    ada, bob = await table.enter("ada", "?as=json"), await table.enter("bob")
    second = await table.enter("bob")

    await second.leave()
    await runtime.clock.advance(GONE_SECONDS + 1)
    with_one_window = last(ada)
    await bob.vanish()
    await runtime.clock.advance(GONE_SECONDS - 0.1)
    soon = await table.look()
    await runtime.clock.advance(0.2)
    shown = last(ada)
    await table.enter("bob")
    await runtime.clock.advance(2)

    assert with_one_window["seats"][1]["gone_since"] is None
    assert soon.seats[1].gone_since is None
    assert shown["seats"][1]["gone_since"] is not None
    assert shown["seats"][1]["claim_at"] > shown["now"]
    assert last(ada)["seats"][1]["gone_since"] is None


async def test_whoever_sits_down_and_never_comes_is_gone_since_then(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(control=LONG)
    seated_at = runtime.clock.time()
    ada = await table.enter("ada", "?as=json")

    await runtime.clock.advance(GONE_SECONDS - 0.1)
    soon = await table.look()
    await runtime.clock.advance(0.2)
    shown = last(ada)
    await table.play("1", "2")
    await runtime.clock.advance(CLAIM_SECONDS + 1)
    view = await table.look()

    assert soon.seats[1].gone_since is None
    assert shown["seats"][1]["gone_since"] == pytest.approx(seated_at, abs=0.01)
    assert view.seats[1].gone_since is None, "he plays without a window"
    assert view.seats[0].gone_since is None


async def test_a_bot_is_always_there(runtime: TestRuntime[Any], table: Table) -> None:
    await table.open("battleship", LONG, "bot")
    ada = await table.enter("ada", "?as=json")

    await runtime.clock.advance(GONE_SECONDS + 1)

    assert [seat["gone_since"] for seat in last(ada)["seats"]] == [None, None]


@pytest.mark.parametrize(("action", "winner"), [("claim-win", 0), ("claim-draw", None)])
async def test_a_match_that_the_opponent_has_left_can_be_claimed(
    runtime: TestRuntime[Any], table: Table, action: str, winner: int | None
) -> None:
    await table.open(control=LONG)
    ada, bob = await table.enter("ada", "?as=json"), await table.enter("bob")
    await table.play("1", "2")
    await bob.leave()

    await runtime.clock.advance(CLAIM_SECONDS - 1)
    early = await table.refused(table.match.act("ada", action))
    await runtime.clock.advance(1.1)
    shown = last(ada)
    view = await table.match.act("ada", action)

    assert early.rule == "not-gone"
    assert action not in early.view.may
    assert action in shown["may"]
    assert view.result is not None
    assert (view.result.winner, view.result.how) == (winner, "left")


@pytest.mark.parametrize("moves", [(), ("1",)])
async def test_what_not_both_have_moved_in_is_called_off_and_neither_claimed_lost_nor_drawn(
    runtime: TestRuntime[Any], table: Table, moves: tuple[str, ...]
) -> None:
    await table.open(control=LONG)
    for move in moves:
        await table.play(move)
    bob = await table.enter("bob")
    await bob.leave()
    await runtime.clock.advance(CLAIM_SECONDS + 1)

    for action in ("claim-win", "claim-draw", "resign"):
        refusal = await table.refused(table.match.act("ada", action))
        assert refusal.rule == "not-begun"
        assert action not in refusal.view.may
    refusal = await table.refused(table.match.offer("ada", "draw", None))
    assert refusal.rule == "not-begun"
    assert "draw" not in refusal.view.may
    view = await table.match.act("ada", "abort")

    assert view.result is not None
    assert (view.result.winner, view.result.how) == (None, "aborted")


async def test_whoever_plays_by_program_and_has_no_window_isnt_gone(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(control=LONG)
    await table.play("1", "2")

    await runtime.clock.advance(CLAIM_SECONDS + 1)

    assert (await table.refused(table.match.act("ada", "claim-win"))).rule == "not-gone"


async def test_whoever_plays_though_their_window_is_closed_isnt_gone(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(control=LONG)
    bob = await table.enter("bob")
    await table.play("1")
    await bob.leave()
    await runtime.clock.advance(CLAIM_SECONDS + 1)

    await table.play("2")

    assert (await table.refused(table.match.act("ada", "claim-win"))).rule == "not-gone"
    await runtime.clock.advance(CLAIM_SECONDS + 1)
    assert "claim-win" in (await table.look()).may


async def test_whoever_comes_back_while_the_match_is_claimed_isnt_gone(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(control=LONG)
    bob = await table.enter("bob")
    await table.play("1", "2")
    await bob.leave()
    await runtime.clock.advance(400)  # so that to claim it, the match has to ask the pulse

    claim = asyncio.create_task(table.match.act("ada", "claim-win"))
    await table.enter("bob")

    with pytest.raises(Refused, match="isn't gone"):
        await claim


async def test_nobody_has_to_be_there_where_there_are_days(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(control=Control(0.0, days=1))
    await table.play("1", "2")
    bob = await table.enter("bob")
    await bob.leave()
    await runtime.clock.advance(CLAIM_SECONDS + 1)

    assert (await table.refused(table.match.act("ada", "claim-win"))).rule == "not-timed"
    assert (await table.look()).seats[1].claim_at is None


async def test_whoever_was_lost_with_the_process_has_time_to_come_back(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(control=LONG)
    await table.enter("bob")
    await table.play("1", "2")

    await runtime.restart(after=timedelta(minutes=5))
    await table.look()
    await runtime.clock.advance(CLAIM_SECONDS - 1)
    early = await table.refused(table.match.act("ada", "claim-win"))
    await runtime.clock.advance(2)

    assert early.rule == "not-gone"
    assert "claim-win" in (await table.look()).may


async def test_who_was_gone_before_a_pause_isnt_charged_with_it(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(control=LONG)
    await table.play("1", "2")
    bob = await table.enter("bob")
    await bob.leave()
    await runtime.clock.advance(10)

    await runtime.restart(after=timedelta(minutes=5))

    assert "claim-win" not in (await table.look()).may
