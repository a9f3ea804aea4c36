"""The input gate: whose step is next. The output gate: which message may leave."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest

from runtime.gates import MAX_NESTING, InputGate, Lock, OutputGate


class Turns:
    """The loop's queue, in the hand of the test."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], object]] = deque()

    def soon(self, call: Callable[[], object]) -> None:
        self._waiting.append(call)

    def one(self) -> None:
        self._waiting.popleft()()

    def all(self) -> None:
        while self._waiting:
            self.one()


class Log(list[str]):
    """What has happened, in order."""

    def task(self, name: str, then: Callable[[], object] | None = None) -> Task:
        return Task(name, self, then)


class Task:
    """A `Waiter` that notes its step."""

    def __init__(self, name: str, log: Log, then: Callable[[], object] | None) -> None:
        self._name, self._log, self._then = name, log, then

    def step(self) -> None:
        self._log.append(self._name)
        if self._then is not None:
            self._then()


def arrive(gate: InputGate, task: Task, awaited: object = None) -> bool:
    """Have a task ask for its next step, and take it if it may. Returns whether it could."""
    if not gate.admit(task, awaited):
        return False
    task.step()
    return True


def quietly(_: InputGate) -> None:
    """Begin a section that notes nothing."""


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def gate(turns: Turns) -> InputGate:
    return InputGate(turns.soon)


@pytest.fixture
def log() -> Log:
    return Log()


# The input gate.


def test_input_gate_lets_everybody_in_at_once_while_no_section_runs(
    gate: InputGate, log: Log
) -> None:
    assert gate.is_open

    for name in "abc":
        assert arrive(gate, log.task(name))

    assert log == ["a", "b", "c"]
    assert gate.queued == 0


def test_input_gate_holds_everybody_back_while_a_section_runs(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    gate.start_section(lambda _: log.append("section"))

    assert not any([arrive(gate, log.task(name)) for name in "ab"])
    turns.all()

    assert log == ["section"]
    assert (gate.is_open, gate.queued) == (False, 2)


def test_input_gate_lets_them_in_as_they_came_when_the_section_ends(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    section = gate.start_section(quietly)
    for name in "abc":
        arrive(gate, log.task(name))

    section.finish()
    assert log == []
    turns.all()

    assert log == ["a", "b", "c"]
    assert gate.is_open


def test_input_gate_lets_the_sections_own_tasks_in(gate: InputGate, log: Log) -> None:
    section = gate.start_section(quietly)

    assert section.is_open
    assert arrive(section, log.task("inside"))
    assert not arrive(gate, log.task("outside"))


def test_input_gate_begins_a_section_at_once_and_gives_it_to_its_begin(gate: InputGate) -> None:
    begun: list[InputGate] = []

    section = gate.start_section(begun.append)

    assert begun == [section]


def test_input_gate_runs_sections_one_after_another_in_order(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    first = gate.start_section(lambda _: log.append("first"))
    second = gate.start_section(lambda _: log.append("second"))
    gate.start_section(lambda _: log.append("third"))
    assert log == ["first"]

    first.finish()
    turns.all()
    assert log == ["first", "second"]
    second.finish()
    turns.all()

    assert log == ["first", "second", "third"]


def test_input_gate_runs_all_waiting_sections_before_any_waiting_task(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    first = gate.start_section(quietly)
    arrive(gate, log.task("task"))
    second = gate.start_section(lambda _: log.append("second"))

    first.finish()
    turns.all()
    assert log == ["second"]
    second.finish()
    turns.all()

    assert log == ["second", "task"]


def test_input_gate_is_shut_again_by_a_task_that_starts_a_section(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    """Those behind it must not be let in by the loop that let it in."""
    inner: list[InputGate] = []
    section = gate.start_section(quietly)
    arrive(gate, log.task("a", lambda: gate.start_section(inner.append)))
    arrive(gate, log.task("b"))

    section.finish()
    turns.all()
    assert log == ["a"]
    inner[0].finish()
    turns.all()

    assert log == ["a", "b"]


def test_newcomer_cannot_overtake(gate: InputGate, turns: Turns, log: Log) -> None:
    section = gate.start_section(quietly)
    arrive(gate, log.task("a", lambda: arrive(gate, log.task("newcomer"))))
    arrive(gate, log.task("b"))

    section.finish()
    turns.all()

    assert log == ["a", "b", "newcomer"]


def test_newcomer_cannot_slip_in_between_a_section_and_those_who_wait(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    section = gate.start_section(quietly)
    arrive(gate, log.task("a"))

    section.finish()
    arrive(gate, log.task("newcomer"))
    turns.all()

    assert log == ["a", "newcomer"]


def test_who_awaits_a_section_goes_on_before_anybody_else(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    section, result = gate.start_section(quietly), object()
    arrive(gate, log.task("event"))

    section.finish(result)

    assert not arrive(gate, log.task("newcomer"), object())
    assert arrive(gate, log.task("reader"), result)
    turns.all()
    assert log == ["reader", "event", "newcomer"]


def test_who_awaits_a_section_goes_on_before_the_next_section(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    section, result = gate.start_section(quietly), object()
    gate.start_section(lambda _: log.append("next"))

    section.finish(result)
    assert arrive(gate, log.task("reader"), result)
    turns.all()

    assert log == ["reader", "next"]


def test_who_awaits_a_section_may_start_another_before_anything_is_let_in(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    section, result = gate.start_section(quietly), object()
    arrive(gate, log.task("event"))

    section.finish(result)
    again = log.task("reader", lambda: gate.start_section(lambda _: log.append("again")))
    arrive(gate, again, result)
    turns.all()

    assert log == ["reader", "again"]
    assert gate.queued == 1


def test_who_awaits_a_section_has_its_turn_once(gate: InputGate, turns: Turns, log: Log) -> None:
    section, result = gate.start_section(quietly), object()
    section.finish(result)
    turns.all()
    gate.start_section(quietly)

    assert not arrive(gate, log.task("late"), result)


def test_a_section_without_a_result_hands_over_to_nobody(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    section = gate.start_section(quietly)
    arrive(gate, log.task("event"))

    section.finish()
    assert not arrive(gate, log.task("awaits nothing"), None)
    turns.all()

    assert log == ["event", "awaits nothing"]


def test_a_section_inside_a_section_holds_back_the_outer_ones_tasks(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    outer = gate.start_section(quietly)
    inner = outer.start_section(quietly)
    arrive(gate, log.task("root"))
    arrive(outer, log.task("outer"))
    assert arrive(inner, log.task("inner"))

    inner.finish()
    turns.all()
    assert log == ["inner", "outer"]
    outer.finish()
    turns.all()

    assert log == ["inner", "outer", "root"]


def test_a_section_that_ends_before_those_inside_it_holds_back_until_they_end(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    outer = gate.start_section(quietly)
    inner = [outer.start_section(quietly), outer.start_section(lambda _: log.append("second"))]
    arrive(gate, log.task("root"))

    outer.finish()
    turns.all()
    inner[0].finish()
    turns.all()
    assert log == ["second"]
    inner[1].finish()
    turns.all()

    assert log == ["second", "root"]
    assert gate.is_open


def test_who_awaits_a_section_that_ends_late_goes_on_before_anybody_else(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    """Its result is complete when the sections inside it have ended, not when its code has."""
    outer, result = gate.start_section(quietly), object()
    inner = outer.start_section(quietly)
    arrive(gate, log.task("event"))

    outer.finish(result, lambda: turns.soon(lambda: arrive(gate, log.task("reader"), result)))
    turns.all()
    assert log == []
    inner.finish()
    turns.all()

    assert log == ["reader", "event"]


def test_a_task_left_behind_by_a_section_goes_on_with_the_enclosing_gate(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    section = gate.start_section(quietly)
    section.finish()
    turns.all()

    assert arrive(section, log.task("left over"))
    gate.start_section(quietly)

    assert not arrive(section, log.task("left over"))
    assert gate.queued == 1


def test_tasks_left_waiting_by_a_section_come_before_those_outside_in_their_order(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    outer = gate.start_section(quietly)
    inner = outer.start_section(quietly)
    arrive(gate, log.task("outside"))
    arrive(outer, log.task("a"))
    arrive(outer, log.task("b"))

    outer.finish()
    inner.finish()
    turns.all()

    assert log == ["a", "b", "outside"]


def test_a_task_left_behind_by_several_sections_goes_on_with_the_first_that_still_stands(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    outer = gate.start_section(quietly)
    middle = outer.start_section(quietly)
    inner = middle.start_section(quietly)
    for section in (inner, middle):
        section.finish()
        turns.all()

    assert arrive(inner, log.task("left over"))
    outer.start_section(quietly)

    assert not arrive(inner, log.task("left over"))
    assert (outer.queued, gate.queued) == (1, 0)


def test_a_section_started_by_a_left_over_task_shuts_the_enclosing_gate(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    section = gate.start_section(quietly)
    section.finish()
    turns.all()

    second = section.start_section(lambda _: log.append("second"))
    assert not arrive(gate, log.task("event"))
    second.finish()
    turns.all()

    assert log == ["second", "event"]


def test_only_the_section_that_runs_can_end(gate: InputGate) -> None:
    gate.start_section(quietly)
    second = gate.start_section(quietly)

    with pytest.raises(AssertionError, match="only the section that runs can end"):
        second.finish()
    with pytest.raises(AssertionError, match="the outermost gate is no section"):
        gate.finish()


def test_sections_may_be_nested_64_deep_and_no_deeper(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    sections = [gate]
    for _ in range(MAX_NESTING):
        sections.append(sections[-1].start_section(quietly))
    innermost = sections[-1]

    with pytest.raises(RuntimeError, match=r"^block_concurrency_while\(\) calls are nested too de"):
        innermost.start_section(lambda _: log.append("too deep"))
    assert innermost.is_open
    arrive(gate, log.task("event"))
    for section in reversed(sections[1:]):
        section.finish()
        turns.all()

    assert (len(sections), log) == (65, ["event"])


def test_sections_one_after_another_dont_count_as_nested(gate: InputGate, turns: Turns) -> None:
    section = gate
    for _ in range(MAX_NESTING + 10):
        section = section.start_section(quietly)
        section.finish()
        turns.all()

    assert gate.is_open


def test_a_deep_nest_that_ends_outermost_first_is_torn_down(
    gate: InputGate, turns: Turns, log: Log
) -> None:
    sections = [gate]
    for _ in range(MAX_NESTING):
        sections.append(sections[-1].start_section(quietly))
    arrive(gate, log.task("event"))

    for section in sections[1:]:
        section.finish()
    turns.all()

    assert log == ["event"]
    assert gate.is_open


# The output gate.


@pytest.fixture
def output() -> OutputGate:
    return OutputGate()


def send(output: OutputGate, log: Log, *names: str) -> None:
    for name in names:
        output.send(partial(log.append, name))


def test_output_gate_lets_messages_out_at_once_while_nothing_is_locked(
    output: OutputGate, log: Log
) -> None:
    send(output, log, "a")

    assert log == ["a"]
    assert output.is_open


def test_output_gate_holds_messages_until_the_write_before_them_is_durable(
    output: OutputGate, log: Log
) -> None:
    lock = output.lock()
    send(output, log, "a", "b")
    assert (log, output.is_open) == ([], False)

    lock.release()

    assert log == ["a", "b"]
    assert output.is_open


def test_a_message_does_not_wait_for_later_writes(output: OutputGate, log: Log) -> None:
    first = output.lock()
    send(output, log, "a")
    output.lock()
    send(output, log, "b")

    first.release()

    assert log == ["a"]
    assert not output.is_open


def test_locks_may_be_released_in_any_order(output: OutputGate, log: Log) -> None:
    locks = list[Lock]()
    for name in "abc":
        locks.append(output.lock())
        send(output, log, name)

    locks[2].release()
    locks[1].release()
    assert log == []
    locks[0].release()

    assert log == ["a", "b", "c"]


def test_a_lock_without_a_message_keeps_the_gate_shut(output: OutputGate) -> None:
    lock = output.lock()
    assert not output.is_open

    lock.release()

    assert output.is_open
    assert lock.released


def test_a_lock_can_be_released_twice(output: OutputGate, log: Log) -> None:
    first = output.lock()
    first.release()
    second = output.lock()
    send(output, log, "a")

    first.release()
    assert log == []
    second.release()

    assert log == ["a"]


def test_a_message_sent_by_a_message_comes_after_those_that_waited(
    output: OutputGate, log: Log
) -> None:
    lock = output.lock()
    output.send(lambda: send(output, log, "answer"))
    send(output, log, "waited")

    lock.release()

    assert log == ["waited", "answer"]


def test_a_message_that_makes_a_write_shuts_the_gate_behind_those_that_waited(
    output: OutputGate, log: Log
) -> None:
    locks = [output.lock()]
    output.send(lambda: locks.append(output.lock()))
    send(output, log, "waited")

    locks[0].release()
    send(output, log, "later")
    assert log == ["waited"]
    locks[1].release()

    assert log == ["waited", "later"]


def test_a_message_that_fails_does_not_hold_back_those_behind_it(
    output: OutputGate, log: Log
) -> None:
    def fail() -> None:
        raise ConnectionResetError

    lock = output.lock()
    output.send(fail)
    send(output, log, "behind")

    with suppress(ConnectionResetError):
        lock.release()

    assert log == ["behind"]


def test_what_is_held_back_by_a_lost_write_never_leaves(output: OutputGate, log: Log) -> None:
    lock = output.lock()
    send(output, log, "held back")

    output.shatter()
    send(output, log, "later")
    lock.release()
    output.lock().release()

    assert log == []


def test_what_has_left_before_the_write_was_lost_has_left(output: OutputGate, log: Log) -> None:
    locks = [output.lock()]
    send(output, log, "a")
    locks.append(output.lock())
    send(output, log, "b")

    locks[0].release()
    output.shatter()

    assert log == ["a"]


def test_a_message_that_loses_a_write_keeps_back_those_behind_it(
    output: OutputGate, log: Log
) -> None:
    lock = output.lock()
    output.send(output.shatter)
    send(output, log, "behind")

    lock.release()

    assert log == []
