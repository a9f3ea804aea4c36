"""What must hold of what clients have seen, whatever has gone wrong meanwhile.

A checker is given a history, the operations of all clients, and mostly what was found in the end.
It returns nothing, or raises a `Violation` that names the operations which contradict each other.
The idea of judging a system by histories alone is that of Jepsen (jepsen.io). Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from runtime.linearizability import linearizable, linearizable_register
from runtime.operations import History, Operation, Outcome, Violation, told

__all__ = [
    "Operation",
    "Outcome",
    "Violation",
    "exactly_once",
    "linearizable",
    "linearizable_register",
    "no_double_move",
    "no_lost_acknowledgement",
    "no_oversell",
    "told",
    "total_order",
]

T = TypeVar("T", bound=Hashable)


def exactly_once(history: History, found: Iterable[Hashable], action: str) -> None:
    """What was acknowledged is there once, what was refused isn't, what is unknown at most once.

    Args:
        found: The values that are there in the end. Two operations with one value are one wish,
            sent again.
        action: Of which operations.

    Raises:
        Violation: If that isn't so, or something is there that nobody has asked for.
    """
    counts = Counter(found)
    wishes = _by_value(history, action)
    for value, operations in wishes.items():
        outcomes = {operation.outcome for operation in operations}
        least = 1 if "ok" in outcomes else 0
        most = 0 if outcomes == {"refused"} else 1
        if not least <= counts[value] <= most:
            raise Violation(told(f"{value!r} is there {_times(counts[value])}", operations))
    for value in counts:
        if value not in wishes:
            raise Violation(f"{value!r} is there, and nobody has asked for it")


def no_lost_acknowledgement(history: History, found: Iterable[Hashable], action: str) -> None:
    """What was acknowledged is there.

    Raises:
        Violation: If something isn't.
    """
    there = set(found)
    for value, operations in _by_value(history, action).items():
        if value not in there and any(operation.outcome == "ok" for operation in operations):
            raise Violation(told(f"{value!r} was acknowledged, and is lost", operations))


def total_order(feeds: Mapping[str, Sequence[T]], order: Sequence[T]) -> None:
    """Everybody has been told the same, in the same order, without a gap and without repetition.

    Args:
        feeds: What each client was told, oldest first, since it began to listen.
        order: What there was to tell. A feed is a part of it, and in one piece.

    Raises:
        Violation: If a feed isn't.
    """
    places = {entry: place for place, entry in enumerate(order)}
    if len(places) != len(order):
        twice = next(entry for entry, count in Counter(order).items() if count > 1)
        raise Violation(f"{twice!r} has two places in the order")
    for client, feed in feeds.items():
        expected = None
        for entry in feed:
            place = places.get(entry)
            if place is None:
                raise Violation(f"{client} was told {entry!r}, which never was")
            if expected is not None and place != expected:
                told = "left out" if place > expected else "told again, or too late"
                which = order[expected] if place > expected else entry
                raise Violation(f"{client} was told {entry!r} where {which!r} was {told}: {feed}")
            expected = place + 1


def no_double_move(history: History, moves: Sequence[tuple[Hashable, Any]], action: str) -> None:
    """Each turn has one move, by its player, and whoever was told that it was theirs is right.

    Args:
        history: In it, the value of a move is ``(turn, player, what)``, with turns from 0.
        moves: In the end, ``(player, what)`` for each turn.

    Raises:
        Violation: If two moves of one turn were acknowledged, or one that isn't there; if there is
            one that was refused, or never asked for; if a player has moved twice in a row.
    """
    accepted: dict[int, Operation] = {}
    asked: dict[tuple[int, Hashable, Any], set[Outcome]] = {}
    for operation in history:
        if operation.action != action:
            continue
        turn, player, what = operation.value
        asked.setdefault((turn, player, what), set()).add(operation.outcome)
        if operation.outcome != "ok":
            continue
        other = accepted.setdefault(turn, operation)
        if other.value != operation.value:
            raise Violation(told(f"turn {turn} has two moves", [other, operation]))
        if not 0 <= turn < len(moves) or moves[turn] != (player, what):
            there = moves[turn] if 0 <= turn < len(moves) else "nothing"
            raise Violation(told(f"at turn {turn} there is {there!r}", [operation]))
    for turn, move in enumerate(moves):
        if asked.get((turn, *move), {"refused"}) == {"refused"}:
            raise Violation(
                f"at turn {turn} there is {move!r}, which was refused or never asked for"
            )
    for turn, ((player, _), (following, _)) in enumerate(pairwise(moves)):
        if player == following:
            raise Violation(f"{player!r} has moved at turn {turn} and again at {turn + 1}")


def no_oversell(
    history: History,
    held: Mapping[Hashable, int],
    capacity: int,
    *,
    take: str = "reserve",
    give: str = "release",
) -> None:
    """At no moment was more promised than there is, and what was promised is held.

    Args:
        history: In it, the value of what takes and gives is ``(holder, quantity)``; a holder takes
            once, always as much if that is asked for again, and may give that back once.
        held: How much each holder has in the end.
        capacity: How much there is.
        take: The action that takes.
        give: The action that gives back.

    Raises:
        Violation: If that isn't so.
    """
    taken = {op.value[0]: op for op in history if op.action == take and op.outcome == "ok"}
    given: dict[Hashable, Operation] = {}
    for operation in history:
        if operation.action == give and operation.outcome != "refused":
            given.setdefault(operation.value[0], operation)
    wishes: dict[Hashable, set[tuple[int, Outcome]]] = {}
    for operation in history:
        if operation.action == take:
            wishes.setdefault(operation.value[0], set()).add(
                (operation.value[1], operation.outcome)
            )
    for holder, quantity in held.items():
        possible = {wish for wish, outcome in wishes.get(holder, ()) if outcome != "refused"}
        if quantity not in possible | {0}:
            raise Violation(f"{holder!r} holds {quantity}, and has asked for {wishes.get(holder)}")
    for holder, operation in given.items():
        last = max((op.returned_at for op in history if _takes(op, take, holder)), default=0.0)
        if operation.outcome == "ok" and last <= operation.called_at and held.get(holder, 0):
            raise Violation(told(f"{holder!r} holds {held[holder]} in the end", [operation]))
    if (total := sum(held.values())) > capacity:
        raise Violation(f"{total} are held, of {capacity}: {dict(held)}")
    # Surely held from the answer that it is theirs until they ask for giving it back.
    changes: list[tuple[float, int, Operation]] = []
    for holder, operation in taken.items():
        if holder not in given and held.get(holder, 0) != operation.value[1]:
            there = held.get(holder, 0)
            raise Violation(told(f"{holder!r} holds {there} in the end", [operation]))
        quantity = operation.value[1]
        changes.append((operation.returned_at, quantity, operation))
        if holder in given:
            changes.append((given[holder].called_at, -quantity, given[holder]))
    promised = 0
    for moment, quantity, operation in sorted(changes, key=lambda change: change[:2]):
        promised += quantity
        if promised > capacity:
            raise Violation(
                told(f"{promised} of {capacity} were promised at {moment:.3f} s", [operation])
            )


def _takes(operation: Operation, take: str, holder: Hashable) -> bool:
    is_theirs = operation.action == take and operation.value[0] == holder
    return is_theirs and operation.outcome != "refused"


def _by_value(history: History, action: str) -> dict[Hashable, list[Operation]]:
    wishes: dict[Hashable, list[Operation]] = {}
    for operation in history:
        if operation.action == action:
            wishes.setdefault(operation.value, []).append(operation)
    return wishes


def _times(count: int) -> str:
    return {0: "not at all", 1: "once", 2: "twice"}.get(count, f"{count} times")
