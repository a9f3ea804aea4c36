"""How bots play: well enough, by the rules, and without looking at what is hidden."""

from __future__ import annotations

from functools import reduce
from random import Random
from typing import Any

import pytest

from apps.game.domain.battleship import Battleship, read_fleet
from apps.game.domain.connect_four import ConnectFour
from apps.game.domain.games import GAMES
from apps.game.domain.players import choose
from apps.game.domain.rules import Outcome, Rules, try_move
from tests.apps.game.playing import play

FLEETS = ["a1-a5 c1-c4 e1-e3 g1-g3 i1-i2", "a10-e10 j6-j9 h4-f4 b2-b4 d6-d7"]


def play_by_chance_against_a_bot(rules: Rules[Any, Any], *, bot: int, seed: int) -> Any:
    """Return where a game ends."""
    rng, position = Random(seed), rules.new()
    while seats := rules.to_move(position):
        seat = min(seats)
        legal = rules.legal(position, seat)
        if seat == bot or not legal:
            move = choose(rules, rules.view(position, seat), seat, rng)
        else:
            move = rng.choice(legal)
        position = reduce(rules.evolve, try_move(rules, position, seat, move), position)
    return position


@pytest.mark.parametrize("rules", GAMES.values(), ids=list(GAMES))
@pytest.mark.parametrize("bot", [0, 1])
def test_a_bot_wins_against_chance(rules: Rules[Any, Any], bot: int) -> None:
    end = play_by_chance_against_a_bot(rules, bot=bot, seed=4)

    outcome = rules.outcome(end)
    assert outcome is not None
    assert outcome.winner == bot


@pytest.mark.parametrize(
    ("moves", "good"),
    [
        ("445566", {"3", "7"}),  # it wins
        ("12131", {"1"}),  # or it doesn't lose
        ("4152", {"6"}),  # or makes three in a row that are open at both ends
        ("415", {"3", "6"}),  # or doesn't let the other one make them
    ],
)
def test_a_bot_sees_what_comes_in_connect_four(moves: str, good: set[str]) -> None:
    rules = ConnectFour()
    position, log = play(rules, moves)

    chosen = {choose(rules, position, len(log) % 2, Random(seed)) for seed in range(5)}

    assert chosen <= good


def test_a_bot_keeps_from_moves_that_lose_at_once() -> None:
    class Misere(ConnectFour):
        def outcome(self, position: Any) -> Outcome | None:
            outcome = super().outcome(position)
            if outcome is None or outcome.winner is None:
                return outcome
            return Outcome(1 - outcome.winner, "four in a row lose")

    position, _ = play(Misere(), "445566")

    chosen = {choose(Misere(), position, 0, Random(seed)) for seed in range(5)}

    assert not chosen & {"3", "7"}


def test_a_bot_shoots_beside_what_it_has_hit() -> None:
    rules = Battleship()
    position, _ = play(rules, [*FLEETS, "d6", "a1", "d5", "b1", "c6", "a2", "e6", "j1"])
    again, _ = play(rules, [*FLEETS, "d6", "a1", "d5", "b1", "c6", "a2", "e6", "j1", "d7", "j2"])

    assert choose(rules, rules.view(position, 0), 0, Random(1)) == "d7"
    assert choose(rules, rules.view(again, 0), 0, Random(1)) not in {"d8", "c7", "e7"}  # it sank


def test_a_bot_plays_as_it_would_if_it_knew_nothing_more() -> None:
    rules = Battleship()
    shots = [shot for n in range(1, 9) for shot in (f"d{n}", f"c{n}")]
    for count in range(0, len(shots), 2):
        position, _ = play(rules, [*FLEETS, *shots[:count]])

        knowing = choose(rules, position, 0, Random(count))

        assert choose(rules, rules.view(position, 0), 0, Random(count)) == knowing


def test_bots_place_fleets_that_differ() -> None:
    rules = Battleship()

    fleets = [choose(rules, rules.new(), 0, Random(seed)) for seed in range(30)]

    assert len({read_fleet(fleet) for fleet in fleets}) == 30
    assert choose(rules, rules.new(), 0, Random(3)) == fleets[3]


def test_a_game_that_bots_know_nothing_of_is_played_by_legal_moves() -> None:
    class Unheard(ConnectFour):
        name = "unheard"

    position, _ = play(Unheard(), "444444")

    chosen = {choose(Unheard(), position, 0, Random(seed)) for seed in range(60)}

    assert chosen == {"1", "2", "3", "5", "6", "7"}
