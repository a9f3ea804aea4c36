"""The history of a project's classes, planned step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.classes import Plan, plan
from runtime.config import Migration
from runtime.errors import MigrationRefused

bounded = settings(max_examples=60, derandomize=True, database=None, deadline=None)


def step(tag: str, **changes: Any) -> Migration:
    return Migration.model_validate({"tag": tag, **changes})


def new(tag: str, *names: str) -> Migration:
    return step(tag, new_sqlite_classes=names)


def renamed(tag: str, old: str, name: str) -> Migration:
    return step(tag, renamed_classes=[{"from": old, "to": name}])


def deleted(tag: str, *names: str) -> Migration:
    return step(tag, deleted_classes=names)


# Without a history.


def test_a_bound_class_is_new_by_itself_without_a_history() -> None:
    assert plan({}, [], [], ["Room", "Match"]) == Plan({"Room": "Room", "Match": "Match"}, (), ())


def test_a_known_class_keeps_its_key_bound_or_not() -> None:
    known = {"Room": "Room", "Match": "Game"}

    assert plan(known, [], [], ["Match"]).keys == known


def test_a_class_of_a_name_that_was_another_ones_key_gets_a_key_of_its_own() -> None:
    made = plan({"Match": "Game"}, [], [], ["Game", "Match"])

    assert made.keys == {"Match": "Game", "Game": "Game-2"}


# Steps.


def test_a_new_class_gets_its_name_as_key() -> None:
    made = plan({}, [], [new("v1", "Room", "Match")], ["Room"])

    assert made == Plan({"Room": "Room", "Match": "Match"}, (), ("v1",))


def test_a_renamed_class_keeps_its_key() -> None:
    made = plan({"Game": "Game"}, ["v1"], [new("v1", "Game"), renamed("v2", "Game", "Match")], [])

    assert made == Plan({"Match": "Game"}, (), ("v2",))


def test_a_class_may_be_renamed_again_and_back() -> None:
    history = [
        new("v1", "A"),
        renamed("v2", "A", "B"),
        renamed("v3", "B", "C"),
        renamed("v4", "C", "A"),
    ]

    assert plan({}, [], history, ["A"]).keys == {"A": "A"}


def test_two_classes_may_change_names_within_one_step() -> None:
    swap = step(
        "v2",
        renamed_classes=[
            {"from": "A", "to": "C"},
            {"from": "B", "to": "A"},
            {"from": "C", "to": "B"},
        ],
    )

    assert plan({}, [], [new("v1", "A", "B"), swap], ["A", "B"]).keys == {"A": "B", "B": "A"}


def test_a_deleted_class_is_gone_and_its_objects_are_to_be_deleted() -> None:
    history = [new("v1", "Game", "Room"), renamed("v2", "Game", "Match"), deleted("v3", "Match")]

    made = plan({}, [], history, ["Room"])

    assert made == Plan({"Room": "Room"}, ("Game",), ("v1", "v2", "v3"))


def test_only_the_steps_that_are_missing_are_taken() -> None:
    history = [new("v1", "A"), new("v2", "B"), new("v3", "C")]

    made = plan({"A": "A", "B": "B"}, ["v1", "v2"], history, [])

    assert made == Plan({"A": "A", "B": "B", "C": "C"}, (), ("v3",))


def test_with_all_steps_taken_nothing_changes() -> None:
    history = [new("v1", "A"), renamed("v2", "A", "B")]

    assert plan({"B": "A"}, ["v1", "v2"], history, ["B"]) == Plan({"B": "A"}, (), ())


def test_what_was_given_isnt_changed() -> None:
    known = {"A": "A"}

    plan(known, [], [renamed("v1", "A", "B"), new("v2", "A")], [])

    assert known == {"A": "A"}


def test_a_name_used_before_gets_another_key() -> None:
    taken_twice = [new("v1", "A"), renamed("v2", "A", "B"), new("v3", "A")]
    thrice = [*taken_twice, renamed("v4", "A", "C"), new("v5", "A")]

    assert plan({}, [], taken_twice, []).keys == {"B": "A", "A": "A-2"}
    assert plan({}, [], thrice, []).keys == {"B": "A", "C": "A-2", "A": "A-3"}


def test_a_class_of_a_deleted_ones_name_starts_with_ids_of_its_own() -> None:
    history = [new("v1", "A"), deleted("v2", "A"), new("v3", "A")]

    assert plan({}, [], history, []).keys == {"A": "A-2"}


def test_a_class_of_a_deleted_ones_name_gets_the_same_key_if_the_deletion_was_long_ago() -> None:
    """Else its ids depend on how many starts the steps were taken in."""
    history = [new("v1", "A"), deleted("v2", "A"), new("v3", "A")]
    at_once = plan({}, [], history, []).keys

    before = plan({}, [], history[:2], [])
    later = plan(before.keys, ["v1", "v2"], history, []).keys

    assert later == at_once


def test_a_class_that_was_deleted_and_made_anew_may_be_bound() -> None:
    """It isn't the deleted one that is bound."""
    history = [new("v1", "A"), deleted("v2", "A"), new("v3", "A")]

    assert list(plan({}, [], history, ["A"]).keys) == ["A"]


def test_the_order_within_a_step_is_new_then_renamed_then_deleted() -> None:
    everything = step(
        "v1",
        new_sqlite_classes=["A"],
        renamed_classes=[{"from": "A", "to": "B"}],
        deleted_classes=["B"],
    )

    assert plan({}, [], [everything], []) == Plan({}, ("A",), ("v1",))


# Refusals.


@pytest.mark.parametrize(
    ("history", "bound", "reason"),
    [
        ([new("v1", "A"), new("v1", "B")], [], "two migrations have the same tag"),
        ([new("v1", "A", "A")], [], "'v1' can't be applied: class A exists already"),
        ([new("v1", "A"), new("v2", "A")], [], "'v2' can't be applied: class A exists already"),
        ([renamed("v1", "A", "B")], [], "'v1' can't be applied: there is no class A"),
        ([new("v1", "A", "B"), renamed("v2", "A", "B")], [], "'v2' .* class B exists already"),
        ([deleted("v1", "A")], [], "'v1' can't be applied: there is no class A"),
        ([new("v1", "A"), deleted("v2", "A", "A")], [], "'v2' .* there is no class A"),
        ([new("v1", "A"), deleted("v2", "A")], ["A"], "'v2' .* class A is still bound: unbind it"),
        ([new("v1", "A")], ["B"], "Cannot create binding for class B because it is not"),
        ([new("v1", "A"), renamed("v2", "A", "B")], ["A"], "Cannot create binding for class A"),
    ],
)
def test_a_history_that_contradicts_itself_is_refused(
    history: list[Migration], bound: list[str], reason: str
) -> None:
    with pytest.raises(MigrationRefused, match=reason):
        plan({}, [], history, bound)


@pytest.mark.parametrize(
    ("applied", "history"),
    [
        (["v1"], []),
        (["v1", "v2"], [new("v1", "A")]),
        (["v2"], [new("v1", "A"), new("v2", "B")]),
        (["v1", "v2"], [new("v2", "B"), new("v1", "A")]),
    ],
)
def test_a_history_that_doesnt_begin_with_what_was_done_is_refused(
    applied: list[str], history: list[Migration]
) -> None:
    with pytest.raises(MigrationRefused, match="this data folder has seen the migrations v"):
        plan({"A": "A"}, applied, history, [])


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("new"), st.sampled_from("ABC")),
        st.tuples(st.just("renamed"), st.sampled_from("ABC"), st.sampled_from("ABC")),
        st.tuples(st.just("deleted"), st.sampled_from("ABC")),
    ),
    max_size=8,
)


@bounded
@given(STEPS)
def test_no_two_classes_ever_have_the_same_key(steps: list[tuple[str, ...]]) -> None:
    """Not even one after the other: what has lived under a key is deleted, or keeps it."""
    makers: dict[str, Callable[..., Migration]]
    makers = {"new": new, "renamed": renamed, "deleted": deleted}
    history: list[Migration] = []
    made = Plan({}, (), ())
    for number, (kind, *names) in enumerate(steps):
        attempt = [*history, makers[kind](f"v{number}", *names)]
        try:
            made = plan({}, [], attempt, [])
        except MigrationRefused:
            continue
        history = attempt

    keys = [*made.keys.values(), *made.deleted_keys]
    assert len(set(keys)) == len(keys)
