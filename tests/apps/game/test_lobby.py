"""The lobby, which pairs people, and players, who are rated exactly once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apps.game.domain.clock import Control
from apps.game.domain.lobby import (
    MOST_HISTORY,
    MOST_OPEN,
    RESERVED_SECONDS,
    Challenge,
    Record,
    Score,
    Wish,
)
from apps.game.domain.match import OPEN_DAYS_SECONDS, OPEN_SECONDS, Player
from apps.game.domain.rating import Rating
from apps.game.domain.refusals import Refused
from apps.game.domain.timeouts import CLAIM_SECONDS
from apps.game.objects.player import Player as PlayerObject
from runtime.testing import TestRuntime
from tests.apps.game.conftest import BLITZ, Table
from tests.conftest import StartRuntime

WIN = ("1", "2", "1", "2", "1", "2", "1")


@pytest.fixture
def lobby(runtime: TestRuntime[Any]) -> Any:
    """The lobby."""
    return runtime.env.lobby.get_by_name("main")


def challenge(who: str, match: str, control: Control = BLITZ) -> Challenge:
    """Return what somebody waits for."""
    return Challenge(match, "reversi", control, Player(who, who.title(), Rating()))


async def waiting(lobby: Any) -> list[str]:
    """Return the matches in which somebody waits."""
    return [each.match for each in await lobby.challenges()]


async def test_two_who_want_the_same_are_paired(lobby: Any) -> None:
    assert await lobby.post(challenge("ada", "one")) is None
    assert await lobby.post(challenge("ada", "two")) is None
    assert await lobby.post(challenge("bob", "three", Control(30.0))) is None

    assert await lobby.post(challenge("eve", "four")) == "one"
    assert await lobby.post(challenge("eve", "five")) == "one"  # it is kept for her
    assert await lobby.post(challenge("dan", "six")) == "two"
    assert await waiting(lobby) == ["three"]


async def test_nobody_is_sent_to_whoever_sits_where_they_want_to(
    runtime: TestRuntime[Any], lobby: Any
) -> None:
    async def wanting(who: str, seat: int | None) -> tuple[str, int]:
        match = runtime.env.matches.get_by_name(f"match-of-{who}")
        wish = Wish("reversi", BLITZ, "anyone", seat)
        admission = await match.open(who, who, wish)
        if admission.seat is None:
            admission = await runtime.env.matches.get_by_name(admission.match).join(who, who)
        return admission.match, admission.seat

    assert await wanting("ada", 0) == ("match-of-ada", 0)
    assert await wanting("bob", 0) == ("match-of-bob", 0)
    assert await wanting("eve", 1) == ("match-of-ada", 1)
    assert await wanting("dan", None) == ("match-of-bob", 1)

    lot = (await wanting("fay", None))[1]
    assert await wanting("gil", lot) == ("match-of-gil", lot)
    assert await wanting("hal", 1 - lot) == ("match-of-fay", 1 - lot)


async def test_a_seat_is_kept_for_a_while_and_then_given_back(
    runtime: TestRuntime[Any], lobby: Any
) -> None:
    await lobby.post(challenge("ada", "one"))
    await lobby.post(challenge("bob", "two"))

    await runtime.clock.advance(RESERVED_SECONDS - 0.1)
    kept = await waiting(lobby)
    await runtime.clock.advance(0.2)

    assert kept == []
    assert await waiting(lobby) == ["one"]
    assert await lobby.post(challenge("eve", "three")) == "one"


async def test_nobody_waits_in_ever_so_many_matches(lobby: Any) -> None:
    for number in range(MOST_OPEN):
        await lobby.post(challenge("ada", f"match {number}"))

    with pytest.raises(Refused, match="10 opponents already"):
        await lobby.post(challenge("ada", "one more"))

    assert len(await waiting(lobby)) == MOST_OPEN


async def test_a_match_that_was_never_opened_is_forgotten_in_the_end(
    runtime: TestRuntime[Any], lobby: Any
) -> None:
    days = Challenge("days", "reversi", Control(0.0, days=1), Player("ada", "Ada"))
    await lobby.post(challenge("ada", "minutes"))
    await lobby.post(days)

    await runtime.clock.advance(OPEN_SECONDS + 1)
    after_minutes = await waiting(lobby)
    await runtime.clock.advance(OPEN_DAYS_SECONDS)

    assert after_minutes == ["days"]
    assert await waiting(lobby) == []


async def test_many_who_come_at_once_are_paired_two_and_two(runtime: TestRuntime[Any]) -> None:
    wish = Wish("connect-four", BLITZ, "anyone")

    async def play(who: str) -> str:
        admission = await runtime.env.matches.get_by_name(f"match-of-{who}").open(who, who, wish)
        if admission.seat is None:
            await runtime.env.matches.get_by_name(admission.match).join(who, who)
        return str(admission.match)

    found = await asyncio.gather(*(play(f"player{n}") for n in range(8)))

    assert sorted(map(found.count, set(found))) == [2, 2, 2, 2]


async def test_a_match_that_is_taken_or_over_is_listed_no_longer(
    runtime: TestRuntime[Any], lobby: Any, table: Table
) -> None:
    await table.open(opponent="anyone", is_joined=False)
    other = Table(runtime, "another-match")
    await other.open("reversi", opponent="anyone", is_joined=False)
    listed = await waiting(lobby)

    await table.match.join("bob", "Bob")
    await other.match.act("ada", "abort")
    await runtime.clock.advance(1)

    assert sorted(listed) == sorted([table.id, other.id])
    assert await waiting(lobby) == []


async def test_whoever_waits_and_closes_the_page_or_never_opens_it_waits_no_longer(
    runtime: TestRuntime[Any], lobby: Any, table: Table
) -> None:
    never, asking, slow = (Table(runtime, name) for name in ("never-opened", "asking", "of-days"))
    for each in (table, never, asking):
        await each.open("reversi", opponent="anyone", is_joined=False)
    await slow.open("reversi", Control(0.0, days=1), opponent="anyone", is_joined=False)
    window = await table.enter("ada")
    await window.leave()

    await runtime.clock.advance(CLAIM_SECONDS - 1)
    soon = await waiting(lobby)
    await asking.look("ada")
    await table.look("eve")
    await runtime.clock.advance(2)

    assert sorted(soon) == sorted(each.id for each in (table, never, asking, slow))
    assert sorted(await waiting(lobby)) == sorted([asking.id, slow.id])


# Players.


async def profile(runtime: TestRuntime[Any], who: str) -> Any:
    """Return what there is to know of somebody."""
    return await runtime.env.players.get_by_name(who).profile()


class CountingPlayer(PlayerObject):
    """A player who says how many matches are kept of them."""

    async def kept(self) -> int:
        """Return how many matches there are."""
        return int(self.ctx.storage.sql.exec("SELECT count(*) AS n FROM matches").one()["n"])


async def test_no_more_matches_are_kept_than_are_shown(start_runtime: StartRuntime) -> None:
    rt = await start_runtime(players=CountingPlayer)
    ada = rt.env.players.get_by_name("ada")
    for n in range(MOST_HISTORY + 5):
        score: Score | None = None if n < 3 else "won"
        record = Record(f"match-{n}", "reversi", 0, "Bob", None, began_at=float(n), score=score)
        await ada.note(f"letter-{n}", record)

    history = (await ada.profile()).history

    assert [record.match for record in history[:4]] == ["match-2", "match-1", "match-0", "match-54"]
    assert await ada.kept() == len(history) == MOST_HISTORY


async def test_a_match_is_in_the_histories_of_both_and_rates_them(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open()
    await runtime.clock.advance(1)
    running = await profile(runtime, "ada")
    await table.play(*WIN)
    await runtime.clock.advance(1)

    ada, bob = await profile(runtime, "ada"), await profile(runtime, "bob")
    assert [(record.match, record.score) for record in running.history] == [(table.id, None)]
    assert [(record.opponent, record.score) for record in ada.history] == [("Bob", "won")]
    assert [(record.opponent, record.score) for record in bob.history] == [("Ada", "lost")]
    assert ada.ratings["connect-four"].value == pytest.approx(1662.2, abs=0.1)
    assert bob.ratings["connect-four"].value == pytest.approx(1337.8, abs=0.1)
    assert ada.ratings["connect-four"].deviation == pytest.approx(290.3, abs=0.1)


async def test_whoever_waits_for_a_friend_finds_back_to_the_link(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open(is_joined=False)
    await runtime.clock.advance(1)

    (waiting,) = (await profile(runtime, "ada")).history
    assert (waiting.match, waiting.opponent, waiting.score) == (table.id, "", None)

    await runtime.clock.advance(OPEN_DAYS_SECONDS)
    assert (await profile(runtime, "ada")).history == ()


@pytest.mark.parametrize("point", ["during_alarm", "after_commit", "after_sync"])
async def test_a_result_counts_once_though_the_process_dies(
    runtime: TestRuntime[Any], table: Table, point: Any
) -> None:
    await table.open()
    await table.play(*WIN[:-1])
    await runtime.clock.advance(1)
    crash = runtime.crash_at(point)

    try:
        await table.play(WIN[-1])
    except Exception:
        view = await table.look()
        if view.phase != "finished":
            await table.play(WIN[-1])
    await runtime.clock.advance(30)

    assert crash.done()
    ada, bob = await profile(runtime, "ada"), await profile(runtime, "bob")
    assert ada.ratings["connect-four"].value == pytest.approx(1662.2, abs=0.1)
    assert bob.ratings["connect-four"].value == pytest.approx(1337.8, abs=0.1)


async def test_what_was_called_off_and_what_a_bot_has_played_rate_nobody(
    runtime: TestRuntime[Any], table: Table
) -> None:
    await table.open()
    await table.match.act("bob", "abort")
    with_bot = Table(runtime, "against-the-bot")
    await with_bot.open(opponent="bot")
    await with_bot.match.move("ada", 0, "1")
    await runtime.clock.advance(1)
    await with_bot.match.act("ada", "resign")
    await runtime.clock.advance(1)

    ada = await profile(runtime, "ada")
    assert ada.ratings == {}
    assert sorted(record.score for record in ada.history) == ["aborted", "lost"]


async def test_somebody_opens_some_matches_at_once_and_then_has_to_wait(
    runtime: TestRuntime[Any],
) -> None:
    player = runtime.env.players.get_by_name("ada")

    waits = [await player.may_open() for _ in range(11)]
    await runtime.clock.advance(10)

    assert waits[:10] == [0.0] * 10
    assert waits[10] == pytest.approx(10.0, abs=0.1)
    assert await player.may_open() == 0.0


def test_ratings_agree_with_the_published_example() -> None:
    games = [(Rating(1400, 30), 1.0), (Rating(1550, 100), 0.0), (Rating(1700, 300), 0.0)]

    after = Rating(1500, 200).after(*games)

    assert (round(after.value), round(after.deviation, 1)) == (1464, 151.4)
    assert Rating(1500, 46).after((Rating(1500, 46), 0.5)).deviation >= 45
