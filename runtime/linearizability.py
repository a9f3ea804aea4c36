"""Whether one order explains what all clients have seen: `linearizable`.

The notion is Herlihy and Wing's, "Linearizability: A Correctness Condition for Concurrent Objects"
(1990); the search, with a memory of where it has been, is Lowe's, "Testing for Linearizability"
(2017). Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from runtime.operations import History, Operation, Violation, told

State = TypeVar("State", bound=Hashable)

MOST_STATES: Final = 200_000  # that are looked at before it gives up


def linearizable(
    history: History,
    initial: State,
    step: Callable[[State, Operation], State | None],
) -> None:
    """Every operation seems to have happened at one moment between its call and its return.

    Args:
        history: At most some dozens of operations: the time it takes may double with each that
            overlaps the others. What is refused hasn't happened; what is unknown may have, at any
            time since. What one client has done at the same moment is in the order of the history.
        initial: The state before.
        step: Returns the state after an operation, or None if its result can't be in that state.
            An operation whose outcome is unknown has no result to go by.

    Raises:
        Violation: If no order explains what the clients have seen.
        OverflowError: If there are too many orders to try.
    """
    operations = sorted(
        (operation for operation in history if operation.outcome != "refused"),
        key=lambda operation: operation.called_at,
    )
    ends = [op.returned_at if op.outcome == "ok" else math.inf for op in operations]
    done_with = (1 << len(operations)) - 1
    certain = sum(1 << number for number, end in enumerate(ends) if end < math.inf)
    start = (0, initial)
    # How each point was come to: from where, by which operation.
    seen: dict[tuple[int, State], tuple[tuple[int, State], int] | None] = {}
    pending: list[tuple[tuple[int, State], tuple[tuple[int, State], int] | None]] = [(start, None)]
    furthest = start
    while pending:
        here, way = pending.pop()
        if here in seen:
            continue
        seen[here] = way
        if len(seen) > MOST_STATES:
            raise OverflowError("too many orders are possible; have fewer operations at once")
        done, state = here
        if done & certain == certain:
            return
        if (done & certain).bit_count() > (furthest[0] & certain).bit_count():
            furthest = here
        left = [number for number in _bits(done_with & ~done)]
        for number in left:
            if not any(_precedes(operations, other, number) for other in left):
                after = step(state, operations[number])
                if after is not None:
                    pending.append(((done | 1 << number, after), (here, number)))
    stuck = [operations[number] for number in _bits(certain & ~furthest[0])]
    order: list[Operation] = []
    step_back = seen[furthest]
    while step_back is not None:
        order.append(operations[step_back[1]])
        step_back = seen[step_back[0]]
    why = told("no order explains these", stuck)
    raise Violation(f"{why}\n{told('the furthest that one comes is', reversed(order))}")


def _precedes(operations: Sequence[Operation], first: int, second: int) -> bool:
    """Whether the first of these two, by their places, had surely ended before the second began."""
    before, after = operations[first], operations[second]
    if before.outcome != "ok":
        return False
    # By their places where the times say nothing: two that took no time would precede each other.
    if before.client == after.client and before.returned_at == after.called_at:
        return first < second
    return before.returned_at < after.called_at


def linearizable_register(history: History, initial: Hashable = None) -> None:
    """A register's reads, writes and exchanges seem to have happened one after the other.

    Args:
        history: Of ``read``, which returns the value; ``write``; and ``exchange``, whose value is
            ``(expected, new)`` and which returns whether it has changed anything. Other actions
            don't count.
        initial: What it holds at first.

    Raises:
        Violation: If no order explains what was seen.
    """
    linearizable(
        [op for op in history if _matters(op)],
        _Register(initial),
        _step_register,
    )


def _matters(operation: Operation) -> bool:
    if operation.action == "read":
        return operation.outcome == "ok"
    return operation.action in ("write", "exchange")


@dataclass(frozen=True, slots=True)
class _Register:
    holds: Any


def _step_register(register: _Register, operation: Operation) -> _Register | None:
    is_known = operation.outcome == "ok"
    if operation.action == "read":
        return register if not is_known or operation.result == register.holds else None
    if operation.action == "write":
        return _Register(operation.value)
    expected, new = operation.value
    matches = register.holds == expected
    if is_known and bool(operation.result) != matches:
        return None
    return _Register(new) if matches else register


def _bits(mask: int) -> Iterator[int]:
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1
