"""What pages say of a match, made of views and nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from apps.game import views
from apps.game.domain.battleship import read_fleet
from apps.game.domain.clock import Control
from apps.game.domain.commands import Play, Resign, decide
from apps.game.domain.games import GAMES
from apps.game.domain.match import Ended, Match, Opened, Player, Seated, begin, evolve
from apps.game.domain.view import Around, Presence, View, view

NOW = 1_000.0


def opened(game: str = "connect-four", control: Control | None = None) -> Match[Any, Any]:
    """Return a match in which Ada sits, and nobody else."""
    match = begin(Opened(NOW, game, control or Control(300.0), "link"))
    return evolve(match, Seated(NOW, 0, Player("ada", "Ada")))


def played(*moves: str, **options: Any) -> Match[Any, Any]:
    """Return a match between Ada and Bob after some moves, each of which took a second."""
    match = evolve(opened(**options), Seated(NOW, 1, Player("bob", "Bob")))
    for number, move in enumerate(moves, start=1):
        for event in decide(match, min(match.to_move), Play(match.ply, move), NOW + number):
            match = evolve(match, event)
    return match


def seen(match: Match[Any, Any], seat: int | None, now: float = NOW, **presence: Any) -> View:
    return view(match, seat, Around("m" * 12, "7-ab", "key", Presence(**presence), now))


def words(match: Match[Any, Any]) -> list[str]:
    """Return how a match stands for Ada, for Bob, and for whoever watches."""
    return [views.news(seen(match, seat))["status"] for seat in (0, 1, None)]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0:00.0"),
        (9.39, "0:09.3"),
        (19.99, "0:19.9"),
        (20, "0:20"),
        (61.9, "1:01"),
        (3_600, "1:00:00"),
        (14_399, "3:59:59"),
        (14_400, "4 h 0 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 day 0 h"),
        (266_400, "3 days 2 h"),
    ],
)
def test_a_clock_shows_as_much_as_matters(seconds: float, shown: str) -> None:
    assert views.clock_words(seconds) == shown


def test_everybody_is_told_how_a_match_stands_from_their_side() -> None:
    assert words(opened())[0] == "Waiting for an opponent"
    assert words(opened())[2] == "Ada waits for an opponent"
    assert words(played()) == ["Your move", "Waiting for Ada", "Ada to move"]
    assert words(played(game="battleship"))[0] == "Place your fleet"
    assert words(played(*"4545454")) == ["You won: four in a row"] + ["Ada won: four in a row"] * 2
    (resigned,) = decide(played("4", "4"), 0, Resign(), NOW)
    assert words(evolve(played("4", "4"), resigned))[1] == "You won: red resigned"
    ends = {"aborted": "No result: so", "agreed": "Draw by agreement", "rules": "A draw: so"}
    for how, shown in ends.items():
        ended = Ended(NOW, None, how, "so")  # type: ignore[arg-type]
        assert words(evolve(played(), ended)) == [shown] * 3


def test_a_first_move_is_waited_for_while_the_clock_stands() -> None:
    match = played("4")

    first, second = views.news(seen(match, 0, NOW + 11))["plates"]

    assert (first.clock.left, first.clock.runs_from, first.first_move) == (300.0, None, None)
    assert (second.clock.left, second.clock.runs_from) == (300.0, None)
    assert (second.first_move.left, second.first_move.runs_from) == (50.0, NOW + 11)


def test_a_clock_runs_on_from_what_is_pushed() -> None:
    match = played("4", "4")

    first, _ = views.news(seen(match, 1, NOW + 12))["plates"]

    assert (first.clock.left, first.clock.runs_from) == (290.0, NOW + 12)
    assert 'data-left="290.00" data-low="20.0" data-from="1012.000"' in views.render(
        "presence", seen(match, 1, NOW + 12), "html"
    )


def test_somebody_who_is_gone_is_shown_to_be_so_and_may_be_claimed_from() -> None:
    match = played("4", "4")
    since = (None, NOW + 3)

    soon = views.render("presence", seen(match, 0, NOW + 13, gone_since=since), "html")
    late = views.render("presence", seen(match, 0, NOW + 33, gone_since=since), "html")

    assert ">0:20</span></strong>" in soon
    assert "Claim the win" not in soon
    assert 'class="gone">gone</strong>' in late
    assert "Claim the win" in late


def test_somebody_who_is_gone_before_their_first_move_is_shown_to_be_so() -> None:
    since = (None, NOW + 3)

    shown = views.render("presence", seen(played("4"), 0, NOW + 20, gone_since=since), "html")

    assert re.search(r"gone, ends in <span[^>]*>0:[0-9]{2}</span>", shown)
    assert "Call it off" in shown
    assert "Claim" not in shown


def test_a_fleet_is_suggested_to_whoever_has_to_place_one() -> None:
    match = played(game="battleship")

    suggested = [views.news(seen(match, seat))["fleet"] for seat in (0, 1, None)]

    assert [sorted(map(len, read_fleet(fleet))) for fleet in suggested[:2]] == [[2, 3, 3, 4, 5]] * 2
    assert suggested[2] is None
    assert suggested[0] != suggested[1]
    assert views.news(seen(played(), 0))["fleet"] is None


def test_every_game_has_a_picture() -> None:
    for game in GAMES:
        assert any(cell.piece for cell in views.picture(game).grids[0].cells)


def test_names_and_words_are_escaped() -> None:
    match = evolve(opened(), Seated(NOW, 1, Player("eve", "<b>Eve</b>")))

    push = views.render("news", seen(match, 0), "html")

    assert "&lt;b&gt;Eve" in push
    assert "<b>Eve" not in push


@pytest.mark.parametrize(
    ("control", "shown"),
    [
        (Control(300.0), "5 + 0"),
        (Control(90.0, 2.0), "1.5 + 2"),
        (Control(10.0, 1.0), "10 s + 1"),
        (Control(0.0, days=1), "1 day a move"),
        (Control(0.0, days=3), "3 days a move"),
    ],
)
def test_how_much_time_there_is_is_said_in_minutes_and_days(control: Control, shown: str) -> None:
    assert views.time_words(control) == shown
