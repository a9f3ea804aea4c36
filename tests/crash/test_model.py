"""What the model takes for possible."""

from __future__ import annotations

import pytest

from tests.crash.model import Effect, History, Lie, State


def row(token: str) -> list[Effect]:
    return [("row", token, 0)]


def holding(*tokens: str) -> State:
    return State(tuple((token, 0) for token in tokens))


@pytest.fixture
def history() -> History:
    """An object that took three steps, of which two are known to others, when it was killed."""
    history = History()
    for token in "abc":
        history.ran(row(token))
    history.shown(2)
    history.crashed()
    return history


@pytest.mark.parametrize("found", ["ab", "abc"])
def test_what_nobody_heard_of_may_be_there_or_not(history: History, found: str) -> None:
    assert not history.is_known

    history.found(0, holding(*found))

    assert history.is_known


@pytest.mark.parametrize("found", ["", "a", "ac", "abb", "abcd", "ba"])
def test_what_was_heard_of_must_be_there_once_and_in_order(history: History, found: str) -> None:
    with pytest.raises(Lie, match="after 0 steps of this life"):
        history.found(0, holding(*found))


def test_what_was_found_once_must_be_there_for_good(history: History) -> None:
    history.found(0, holding("a", "b", "c"))
    history.crashed()

    with pytest.raises(Lie):
        history.found(0, holding("a", "b"))


def test_a_life_may_end_before_anybody_has_looked(history: History) -> None:
    history.ran(row("d"))
    history.crashed()

    history.found(0, holding("a", "b", "d"))


def test_what_is_found_during_a_life_is_durable(history: History) -> None:
    history.found(0, holding("a", "b"))
    history.ran(row("d"))
    history.found(1, holding("a", "b", "d"))
    history.ran(row("e"))
    history.crashed()

    with pytest.raises(Lie):
        history.found(0, holding("a", "b"))


def test_nothing_is_missing_after_a_proper_stop() -> None:
    history = History()
    history.ran(row("a"))
    history.stopped()

    with pytest.raises(Lie):
        history.found(0, holding())


def test_the_effects_of_a_step_go_together() -> None:
    history = History()
    history.ran([("row", "a", 5), ("key", "k", "a"), ("alarm", "soon", 2.5)])
    history.crashed()

    with pytest.raises(Lie):
        history.found(0, State((("a", 5),)))
    history.found(0, State((("a", 5),), {"k": "a"}, {"soon": 2.5}))


def test_effects_are_undone_by_others() -> None:
    state = State().after([("row", "a", 5), ("key", "k", "a"), ("alarm", "soon", 2.5)])

    assert state.after([("key", "k", None), ("alarm", "soon", None)]) == State((("a", 5),))
    assert state.after([("clear",), ("key", "k", "b")]) == State(keys={"k": "b"})
