"""What must hold of histories: each checker with what it lets pass, and what it doesn't."""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.checkers import (
    Operation,
    Outcome,
    Violation,
    exactly_once,
    linearizable,
    linearizable_register,
    no_double_move,
    no_lost_acknowledgement,
    no_oversell,
    total_order,
)
from runtime.testing import checkers

bounded = settings(max_examples=150, derandomize=True, database=None, deadline=None)


def post(value: str, outcome: Outcome) -> Operation:
    """Return somebody's wish."""
    return Operation("a", "post", value, 0.0, 1.0, outcome)


OTHER = Operation("b", "look", None, 0.0, 1.0, "ok")


# What was asked for is there.


@pytest.mark.parametrize(
    ("history", "found"),
    [
        ([], []),
        ([post("x", "ok")], ["x"]),
        ([post("x", "unknown")], ["x"]),
        ([post("x", "unknown")], []),
        ([post("x", "unknown"), post("x", "ok")], ["x"]),
        ([post("x", "unknown"), post("x", "refused")], ["x"]),
        ([post("x", "refused"), OTHER], []),
    ],
)
def test_what_is_there_once_passes(history: list[Operation], found: list[str]) -> None:
    exactly_once(history, found, "post")


@pytest.mark.parametrize(
    ("history", "found", "why"),
    [
        ([post("x", "ok")], [], "'x' is there not at all"),
        ([post("x", "ok")], ["x", "x"], "'x' is there twice"),
        ([post("x", "unknown")], ["x"] * 3, "'x' is there 3 times"),
        ([post("x", "refused")], ["x"], "'x' is there once"),
        ([OTHER], ["x"], "nobody has asked for it"),
    ],
)
def test_what_isnt_there_once_is_found(
    history: list[Operation], found: list[str], why: str
) -> None:
    with pytest.raises(Violation, match=why):
        exactly_once(history, found, "post")


def test_an_acknowledgement_that_is_lost_is_found_with_the_operations() -> None:
    history = [post("x", "unknown"), post("x", "ok"), post("y", "unknown")]
    no_lost_acknowledgement(history, ["x", "x", "z"], "post")

    with pytest.raises(Violation, match=r"'x' was acknowledged, and is lost:\n.*\n.*'x' -> None"):
        no_lost_acknowledgement(history, [], "post")


# What everybody is told.


@pytest.mark.parametrize("feed", ["", "a", "abc", "bc", "c"])
def test_a_piece_of_the_order_passes(feed: str) -> None:
    total_order({"ada": feed}, "abc")


@pytest.mark.parametrize(
    ("feed", "order", "why"),
    [
        ("ac", "abc", "'c' where 'b' was left out"),
        ("ba", "abc", "'a' was told again, or too late"),
        ("aa", "abc", "'a' was told again"),
        ("x", "abc", "'x', which never was"),
        ("", "aba", "'a' has two places"),
    ],
)
def test_a_feed_that_isnt_a_piece_of_the_order_is_found(feed: str, order: str, why: str) -> None:
    with pytest.raises(Violation, match=why):
        total_order({"bob": "", "ada": feed}, order)


# Turns.


def move(turn: int, player: str, what: str, outcome: Outcome = "ok") -> Operation:
    """Return a move."""
    return Operation(player, "move", (turn, player, what), 0.0, 1.0, outcome)


def test_one_move_for_each_turn_passes() -> None:
    history = [
        move(0, "a", "x"),
        move(0, "a", "x"),
        move(0, "a", "z", "refused"),
        move(1, "b", "y"),
    ]

    history.append(move(2, "a", "w", "unknown"))

    no_double_move(history, [("a", "x"), ("b", "y"), ("a", "w")], "move")


@pytest.mark.parametrize(
    ("history", "moves", "why"),
    [
        ([move(0, "a", "x"), move(0, "a", "y")], [("a", "x")], "turn 0 has two moves"),
        ([move(0, "a", "x")], [("a", "y")], r"at turn 0 there is \('a', 'y'\)"),
        ([move(1, "b", "x")], [("a", "y")], "at turn 1 there is 'nothing'"),
        ([move(-1, "b", "x")], [("b", "x")], "at turn -1 there is 'nothing'"),
        ([move(0, "a", "x", "refused")], [("a", "x")], "which was refused or never asked for"),
        ([], [("a", "x")], "which was refused or never asked for"),
        (
            [move(0, "a", "x"), move(1, "a", "y")],
            [("a", "x"), ("a", "y")],
            "'a' has moved at turn 0 and again at 1",
        ),
    ],
)
def test_a_double_move_is_found(
    history: list[Operation], moves: list[tuple[str, str]], why: str
) -> None:
    with pytest.raises(Violation, match=why):
        no_double_move(history, moves, "move")


# Stock.


def reserve(holder: str, quantity: int, begin: float, end: float = math.inf) -> Operation:
    """Return a reservation."""
    outcome: Outcome = "ok" if end < math.inf else "unknown"
    return Operation("a", "reserve", (holder, quantity), begin, end, outcome)


def refused(holder: str, quantity: int) -> Operation:
    """Return a reservation that there was no room for."""
    return Operation("a", "reserve", (holder, quantity), 0.0, 1.0, "refused")


def release(holder: str, begin: float, outcome: Outcome = "ok") -> Operation:
    """Return what gives it back."""
    return Operation("a", "release", (holder, 0), begin, begin + 1, outcome)


@pytest.mark.parametrize(
    ("history", "held"),
    [
        ([reserve("x", 2, 0, 1), reserve("y", 1, 0, 1)], {"x": 2, "y": 1}),
        ([reserve("x", 2, 0, 1), release("x", 2), reserve("y", 3, 1, 5)], {"y": 3}),
        (
            [reserve("x", 2, 0, 1), release("x", 2, "unknown"), reserve("y", 1, 2, 3)],
            {"x": 2, "y": 1},
        ),
        ([reserve("x", 3, 0)], {"x": 3}),
        ([reserve("x", 3, 0), reserve("y", 3, 1, 2)], {"y": 3}),
    ],
)
def test_what_there_is_may_be_promised(history: list[Operation], held: dict[Any, int]) -> None:
    no_oversell(history, held, 3)


@pytest.mark.parametrize(
    ("history", "held", "why"),
    [
        ([], {"x": 4}, "'x' holds 4, and has asked for None"),
        ([reserve("x", 2, 0), reserve("y", 2, 0)], {"x": 2, "y": 2}, "4 are held, of 3"),
        ([reserve("x", 2, 0)], {"x": -2}, "'x' holds -2, and has asked for"),
        ([refused("x", 2)], {"x": 2}, "'x' holds 2, and has asked for"),
        ([reserve("x", 2, 0, 1), release("x", 2)], {"x": 2}, "'x' holds 2 in the end"),
        ([reserve("x", 2, 0, 1)], {}, "'x' holds 0 in the end"),
        ([reserve("x", 2, 0, 1)], {"x": 1}, "'x' holds 1, and has asked for"),
        (
            [reserve("x", 2, 0, 1), reserve("y", 2, 1, 2), release("x", 3)],
            {"y": 2},
            "4 of 3 were promised at 2.000 s",
        ),
    ],
)
def test_what_there_isnt_may_not(history: list[Operation], held: dict[Any, int], why: str) -> None:
    with pytest.raises(Violation, match=why):
        no_oversell(history, held, 3)


# Registers.


def op(action: str, value: Any, begin: float, end: float, result: Any = None) -> Operation:
    """Return an operation on a register; one without an end is unknown."""
    outcome: Outcome = "ok" if end < math.inf else "unknown"
    return Operation("a", action, value, begin, end, outcome, result)


NEVER = math.inf


@pytest.mark.parametrize(
    "history",
    [
        [],
        [op("read", None, 0, 1)],
        [op("write", 1, 0, 1), op("read", None, 2, 3, 1)],
        [op("write", 1, 0, 5), op("read", None, 1, 2), op("read", None, 3, 4, 1)],
        [op("write", 1, 0, NEVER), op("read", None, 1, 2), op("read", None, 8, 9, 1)],
        [op("write", 1, 0, NEVER), op("read", None, 8, 9)],
        [op("exchange", (None, 1), 0, 1, True), op("exchange", (None, 2), 2, 3, False)],
        [op("exchange", (1, 2), 0, NEVER), op("write", 1, 1, 2), op("read", None, 3, 4, 2)],
    ],
)
def test_what_one_order_explains_is_linearizable(history: list[Operation]) -> None:
    linearizable_register(history)


@pytest.mark.parametrize(
    "history",
    [
        [op("read", None, 0, 1, 1)],
        [op("write", 1, 0, 1), op("read", None, 2, 3)],
        [op("write", 1, 0, 5), op("read", None, 1, 2, 1), op("read", None, 3, 4)],
        [op("write", 1, 5, NEVER), op("read", None, 1, 2, 1)],
        [op("exchange", (None, 1), 0, 1, True), op("exchange", (None, 2), 0, 1, True)],
        [op("exchange", (None, 1), 0, 1, False)],
        [op("write", 1, 0, 1), op("read", None, 1, 2)],  # of one client, one after the other
    ],
)
def test_what_no_order_explains_isnt(history: list[Operation]) -> None:
    with pytest.raises(Violation, match="no order explains these"):
        linearizable_register(history)


def test_what_is_refused_hasnt_happened() -> None:
    refused = Operation("a", "write", 1, 0.0, 1.0, "refused")

    linearizable_register([refused, op("read", None, 2, 3)])


def test_two_clients_at_one_moment_may_be_in_any_order() -> None:
    write = Operation("a", "write", 1, 0.0, 1.0, "ok")

    linearizable_register([write, Operation("b", "read", None, 1.0, 2.0, "ok")])


def test_what_a_client_does_in_no_time_is_in_the_order_of_the_history() -> None:
    write, look = op("write", 1, 1, 1), op("read", None, 1, 1, 1)

    checkers.linearizable_register([look, look], initial=1)
    checkers.linearizable_register([write, look])
    with pytest.raises(Violation, match="no order explains these"):
        checkers.linearizable_register([look, write])


def test_a_read_that_nobody_has_seen_says_nothing() -> None:
    linearizable_register([op("read", None, 0, NEVER) for _ in range(100)])


def test_too_many_orders_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.linearizability.MOST_STATES", 2_000)  # 200,000 take seconds
    many = [op("write", number, 0, NEVER) for number in range(40)]

    with pytest.raises(OverflowError, match="too many orders"):
        linearizable_register([*many, op("read", None, 1, 2, -1)])


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    """Draw a few operations that overlap as they like, in the order of their calls."""
    operations = []
    for _ in range(draw(st.integers(0, 5))):
        begin = draw(st.integers(0, 8))
        end = draw(st.one_of(st.just(NEVER), st.integers(begin, 9)))
        value = draw(st.integers(0, 1))
        if draw(st.booleans()):
            operations.append(op("write", value, begin, end))
        else:
            operations.append(op("read", None, begin, end, draw(st.sampled_from([None, 0, 1]))))
    return sorted(operations, key=lambda operation: operation.called_at)


def explains(order: tuple[tuple[int, Operation], ...]) -> bool:
    """Whether a register would give these results in this order, and time allows it."""
    holds = None
    for place, (number, operation) in enumerate(order):
        # All of them are one client's: what it did at the same moment is in the history's order.
        if any(
            later.outcome == "ok" and (later.returned_at, other) < (operation.called_at, number)
            for other, later in order[place + 1 :]
        ):
            return False
        if operation.action == "write":
            holds = operation.value
        elif operation.outcome == "ok" and operation.result != holds:
            return False
    return True


@bounded
@given(histories())
def test_it_finds_an_order_exactly_if_trying_all_of_them_does(history: list[Operation]) -> None:
    numbered = list(enumerate(history))
    certain = [each for each in numbered if each[1].outcome == "ok"]
    doubtful = [each for each in numbered if each[1].outcome == "unknown"]
    expected = any(
        explains(order)
        for chosen in range(1 << len(doubtful))
        for order in permutations(
            certain + [each for n, each in enumerate(doubtful) if chosen >> n & 1]
        )
    )

    try:
        linearizable_register(history)
        found = True
    except Violation:
        found = False

    assert found is expected


def test_other_things_than_registers_are_linearizable_too() -> None:
    def push(state: tuple[Any, ...], operation: Operation) -> tuple[Any, ...] | None:
        return (*state, operation.value) if operation.result == len(state) + 1 else None

    linearizable([op("push", "x", 0, 1, 1), op("push", "y", 0, 1, 2)], (), push)
    with pytest.raises(Violation):
        linearizable([op("push", "x", 0, 1, 2), op("push", "y", 2, 3, 1)], (), push)
