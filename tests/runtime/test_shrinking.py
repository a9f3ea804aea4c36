"""Making a failure as small as it gets."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.shrinking import shrink


@settings(max_examples=100, derandomize=True, database=None, deadline=None)
@given(st.integers(0, 40), st.data())
def test_what_is_needed_stays_and_nothing_else(count: int, data: st.DataObject) -> None:
    parts = list(range(count))
    needed = set(data.draw(st.lists(st.sampled_from(parts or [0]), max_size=4))) & set(parts)

    def fails(some: Sequence[int]) -> bool:
        return needed <= set(some)

    assert shrink(parts, fails, tries=10_000) == sorted(needed)


def test_it_asks_so_often_and_no_more() -> None:
    asked = 0

    def fails(some: Sequence[int]) -> bool:
        nonlocal asked
        asked += 1
        return 77 in some

    smallest = shrink(list(range(100)), fails, tries=5)

    assert asked == 5
    assert 77 in smallest
    assert len(smallest) < 100
