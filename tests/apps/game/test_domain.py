"""A match as values: whatever is tried, it stays legal, and its log rebuilds it."""

from __future__ import annotations

from contextlib import suppress
from functools import reduce
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.game.domain import commands, timeouts
from apps.game.domain.clock import DAY, Clocks, Control, paused_for
from apps.game.domain.commands import Command, Play, decide
from apps.game.domain.games import GAMES
from apps.game.domain.match import (
    Ended,
    Events,
    Match,
    Moved,
    Opened,
    Paused,
    Phase,
    Player,
    Rematched,
    TakenBack,
    begin,
    evolve,
    rebuild,
)
from apps.game.domain.players import choose
from apps.game.domain.refusals import Refused
from apps.game.domain.rules import replay
from apps.game.domain.view import Around, Presence, view
from apps.game.store import match as store

PEOPLE = (Player("ada", "Ada"), Player("bob", "Bob"), Player("eve", "Eve"))
OFFERS: tuple[Any, ...] = (*["takeback"] * 4, "draw", "rematch")
NAMES: tuple[Any, ...] = (*["more-time"] * 6, "resign", "abort", "claim-win", "claim-draw")
WHOSE = (*["theirs"] * 8, "other", "nobody")
CONTROLS = (Control(30.0, 1.0), Control(0.0, days=1))

KINDS = (*["play"] * 16, "wait", "wait", "offer", "accept", "decline", "agree", "act", "pause")
WAITS = (*[0.0, 0.5, 2.0] * 4, 20.0, DAY / 2)

Attempt = tuple[str, str, int]
ATTEMPTS: st.SearchStrategy[Attempt] = st.tuples(
    st.sampled_from(WHOSE), st.sampled_from(KINDS), st.integers(0, 2**20)
)


class Playing:
    """A match in which all kinds of things are tried."""

    def __init__(self, game: str, control: Control) -> None:
        opened = Opened(1000.0, game, control, "link")
        self.now = 1000.0
        self.log: list[Any] = [opened]
        self.match: Match[Any, Any] = begin(opened)
        for person in PEOPLE[:2]:
            self.happen(commands.seat_player(self.match, person, self.now))

    def happen(self, events: Events) -> None:
        """Keep what has happened."""
        self.log += events
        self.match = reduce(evolve, events, self.match)

    def attempt(self, whose: str, what: str, number: int) -> None:
        """Try something; whatever is refused must have changed nothing."""
        mover = min(self.match.to_move, default=0)
        who = {"theirs": mover, "other": 1 - mover, "nobody": 2}[whose]
        if what == "wait":
            self.now += WAITS[number % len(WAITS)]
        self.happen(timeouts.pass_time(self.match, self.now))
        if what == "pause" and self.match.phase is Phase.PLAYING:
            self.now += number % 600
            self.happen((Paused(self.now, number % 600),))
        if what == "agree":
            self.attempt(whose, "offer", number)
            what, who = "accept", 1 - who if who < 2 else who
        if (command := self._command(who, what, number)) is None:
            return
        before = self.match
        seat = self.match.seat_of(PEOPLE[who].id)
        with suppress(Refused):
            self.happen(decide(self.match, seat, command, self.now))
            return
        assert self.match is before

    def _command(self, who: int, what: str, number: int) -> Command | None:
        offer = OFFERS[number % len(OFFERS)]
        match what:
            case "play":
                ply = self.match.ply + (number % 19 == 0) - (number % 17 == 0)
                return Play(max(0, ply), self._move(who, number), 0.1)
            case "offer":
                return commands.answer_for(offer, None)
            case "accept" | "decline":
                return commands.answer_for(offer, what)
            case "act":
                return commands.command_for(NAMES[number % len(NAMES)], self.now - 100)
        return None

    def _move(self, who: int, number: int) -> str:
        rules, position = self.match.rules, self.match.position
        if number % 11 == 0 or who not in self.match.to_move:
            return ("", "1", "a1", "d3", "z99", "a1-a5", "9" * 41)[number % 5]
        seen = rules.view(position, who)
        legal = rules.legal(seen, who)
        return legal[number % len(legal)] if legal else choose(rules, seen, who, Random(number))


@given(
    st.sampled_from(sorted(GAMES)),
    st.sampled_from(CONTROLS),
    st.lists(ATTEMPTS, min_size=25, max_size=80),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_whatever_is_tried_leaves_a_legal_match_that_its_log_rebuilds(
    game: str, control: Control, attempts: list[Attempt]
) -> None:
    playing = Playing(game, control)
    for whose, what, number in attempts:
        playing.attempt(whose, what, number)
        check(playing.match, playing.now)

    check_views(playing.match, playing.now)
    assert rebuild(tuple(playing.log)) == playing.match
    assert_moves_alternate(playing)


def check(match: Match[Any, Any], now: float) -> None:
    """See that a match is one that there can be."""
    rules = match.rules
    assert match.position == replay(rules, match.events_of_game())
    outcome = rules.outcome(match.position)
    if match.phase is Phase.PLAYING:
        assert outcome is None
        assert match.to_move
        assert match.deadline is not None
        assert match.deadline > now - 1e-6
    if outcome is not None:
        assert match.result is not None
    for seat in (0, 1):
        assert (match.clocks.since[seat] is not None) == (seat in match.to_move)
        assert 0 <= match.clocks.left_at(seat, now) <= 2 * 3 * 3600 + 14 * DAY
        assert 0 <= match.clocks.bank[seat] <= 1.0
    if match.offer is not None:
        assert (match.offer.what == "rematch") == (match.phase is Phase.FINISHED)


def check_views(match: Match[Any, Any], now: float) -> None:
    """See that nobody is offered a move that isn't theirs."""
    for viewer in (0, 1, None):
        seen = view(match, viewer, Around("id", "1-0", "key", Presence(), now))
        assert seen.ply == match.ply
        assert all(
            cell.move is None or viewer in match.to_move
            for grid in seen.board.grids
            for cell in grid.cells
        )


def assert_moves_alternate(playing: Playing) -> None:
    """See that every move of the log was one that the rules allowed to its seat then, and that
    what the next one names has never been named before."""
    match = begin(playing.log[0])
    for event in playing.log[1:]:
        if isinstance(event, Moved):
            assert event.seat in match.to_move
            assert match.rules.decide(match.position, event.seat, event.move) == event.events
        if isinstance(event, Ended):
            assert match.result is None
        before, match = match, evolve(match, event)
        assert match.ply >= before.ply
        assert (match.ply > before.ply) == isinstance(event, Moved | TakenBack)


@pytest.mark.parametrize("game", sorted(GAMES))
def test_a_match_survives_being_written_down_at_any_moment(game: str) -> None:
    playing = Playing(game, CONTROLS[0])
    event_type, match_type = store.adapters(game)
    for number in range(40):
        for who in sorted(playing.match.to_move):
            seen = playing.match.rules.view(playing.match.position, who)
            move = choose(playing.match.rules, seen, who, Random(number))
            playing.happen(decide(playing.match, who, Play(playing.match.ply, move), 1000.0))
        again = match_type.validate_json(match_type.dump_json(playing.match))
        assert again == playing.match
    for event in (*playing.log, Rematched(1.0, "x")):
        assert event_type.validate_json(event_type.dump_json(event)) == event


def test_clocks_run_only_for_whom_they_should() -> None:
    control = Control(60.0, 2.0)
    clocks = Clocks.of(control).running({0}, 100.0)

    moved = clocks.moved(0, 110.0, 0.0, control, free=False).running({1}, 110.0)

    assert (moved.left_at(0, 200.0), moved.left_at(1, 130.0)) == (52.0, 40.0)
    assert moved.falls_at(0) is None
    assert moved.falls_at(1) == 170.0
    assert moved.held_up(30.0, 140.0).falls_at(1) == 200.0
    assert moved.held_up(30.0, 140.0).left_at(1, 120.0) == 60.0, "it begins to run in the future"
    assert moved.left_at(1, 1000.0) == 0.0


def test_a_pause_counts_from_when_it_concerns_a_match() -> None:
    outages = [(10.0, 20.0), (30.0, 50.0)]

    assert paused_for(outages, 0.0) == 30.0
    assert paused_for(outages, 15.0) == 25.0
    assert paused_for(outages, 35.0) == 15.0
    assert paused_for(outages, 50.0) == 0.0
