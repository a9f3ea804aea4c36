"""What leaves sockets: in order, in slices, and every room in its turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.messages import Outgoing, Parcel
from runtime.pump import BUDGET, BYTES_A_WRITE, Lane, Pump

SMALL = Outgoing("x")


class Turns:
    """A loop whose turns a test takes."""

    def __init__(self) -> None:
        self._due: deque[Callable[[], object]] = deque()

    def soon(self, call: Callable[[], object]) -> None:
        self._due.append(call)

    def take(self) -> None:
        for _ in range(len(self._due)):
            self._due.popleft()()


class Reader:
    """Where things go: it notes them, with who it is."""

    def __init__(self, name: object, seen: list[tuple[object, Parcel]]) -> None:
        self.name = name
        self._seen = seen

    def leave(self, parcel: Parcel) -> None:
        self._seen.append((self.name, parcel))


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def pump(turns: Turns) -> Pump:
    return Pump(turns.soon)


def room(name: str, size: int, seen: list[tuple[object, Parcel]]) -> list[Reader]:
    """Return the readers in a room."""
    return [Reader(name, seen) for _ in range(size)]


def test_a_small_room_gets_it_at_once(pump: Pump) -> None:
    seen: list[tuple[object, Parcel]] = []

    Lane(pump).put_all(room("a", 100, seen), SMALL)

    assert len(seen) == 100
    assert pump.is_idle


def test_a_large_room_gets_it_in_slices(pump: Pump, turns: Turns) -> None:
    seen: list[tuple[object, Parcel]] = []
    slices = []

    Lane(pump).put_all(room("a", 1000, seen), SMALL)
    while not pump.is_idle:
        slices.append(len(seen))
        turns.take()

    assert slices == [BUDGET, 2 * BUDGET, 3 * BUDGET]
    assert len(seen) == 1000


def test_large_messages_make_smaller_slices(pump: Pump) -> None:
    seen: list[tuple[object, Parcel]] = []

    Lane(pump).put_all(room("a", 1000, seen), Outgoing("x" * 15 * BYTES_A_WRITE))

    assert len(seen) == BUDGET // 16


def test_even_a_message_beyond_the_budget_leaves(pump: Pump, turns: Turns) -> None:
    seen: list[tuple[object, Parcel]] = []

    Lane(pump).put_all(room("a", 3, seen), Outgoing("x" * 2 * BUDGET * BYTES_A_WRITE))
    for _ in range(3):
        turns.take()

    assert len(seen) == 3
    assert pump.is_idle


def test_rooms_take_turns(pump: Pump, turns: Turns) -> None:
    seen: list[tuple[object, Parcel]] = []

    for name in "abc":
        Lane(pump).put_all(room(name, 2 * BUDGET, seen), SMALL)
    for _ in range(6):
        turns.take()

    finished = {name: max(i for i, (who, _) in enumerate(seen) if who == name) for name in "abc"}
    assert len(seen) == 6 * BUDGET
    first = [name for name, _ in seen[:: BUDGET // 2]]
    assert set(first[:8]) == {"a", "b", "c"}, "nobody waits until another is done"
    assert finished["a"] < finished["c"]


def test_what_comes_later_doesnt_overtake_a_broadcast_under_way(pump: Pump, turns: Turns) -> None:
    seen: list[tuple[object, Parcel]] = []
    readers = [Reader(number, seen) for number in range(2 * BUDGET)]
    lane, later = Lane(pump), Outgoing("later")

    lane.put_all(readers, SMALL)
    lane.put(readers[-1], later)
    while not pump.is_idle:
        turns.take()

    mine = [parcel for name, parcel in seen if name == readers[-1].name]
    assert mine == [SMALL, later]


@pytest.mark.parametrize("size", [1, 100, 3 * BUDGET])
def test_what_is_put_in_while_something_leaves_comes_after_it(
    pump: Pump, turns: Turns, size: int
) -> None:
    seen: list[tuple[object, Parcel]] = []
    readers = [Reader(number, seen) for number in range(size)]
    lane, later = Lane(pump), Outgoing("later")

    class Gone(Reader):
        """One that is given up, which makes the others be told of it."""

        def leave(self, parcel: Parcel) -> None:
            if parcel is SMALL:
                lane.put_all(readers, later)
                lane.put(readers[0], later)

    lane.put_all([Gone("gone", seen), *readers], SMALL)
    while not pump.is_idle:
        turns.take()

    for reader in readers:
        mine = [parcel for name, parcel in seen if name == reader.name]
        assert mine[:2] == [SMALL, later]
    assert len(seen) == 2 * size + 1


def test_what_was_cleared_never_leaves(pump: Pump, turns: Turns) -> None:
    seen: list[tuple[object, Parcel]] = []
    lane = Lane(pump)
    lane.put_all(room("a", 2 * BUDGET, seen), SMALL)

    lane.clear()
    turns.take()

    assert len(seen) == BUDGET
    assert pump.is_idle


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.one_of(st.just("turn"), st.integers(1, 700))), max_size=30
    )
)
def test_every_reader_gets_everything_in_order(work: list[tuple[int, int | str]]) -> None:
    turns = Turns()
    pump = Pump(turns.soon)
    seen: list[tuple[object, Parcel]] = []
    lanes = [Lane(pump) for _ in range(3)]
    rooms = [[Reader((lane, number), seen) for number in range(700)] for lane in range(3)]
    expected: dict[object, list[Parcel]] = {}

    for which, what in work:
        if isinstance(what, str):
            turns.take()
            continue
        parcel = Outgoing(f"{len(expected)}")
        readers = rooms[which][:what]
        for reader in readers:
            expected.setdefault(reader.name, []).append(parcel)
        if len(readers) == 1:
            lanes[which].put(readers[0], parcel)
        else:
            lanes[which].put_all(readers, parcel)
    for _ in range(100 * len(work)):
        turns.take()

    got: dict[object, list[Parcel]] = {}
    for who, sent in seen:
        got.setdefault(who, []).append(sent)
    assert got == expected
    assert pump.is_idle
