"""Some seconds of what `make churn` does for minutes. Its memory is too young to be judged."""

from __future__ import annotations

from tests.churn.__main__ import soak


async def test_nothing_is_left_of_people_who_came_and_went_and_they_missed_nothing() -> None:
    found = await soak(seconds=2, people=100, rooms=5, seed=1)

    assert found.tally.wrong == []
    assert found.tally.received > 0, "nobody has heard anything, so this means nothing"
    assert found.tally.visits
    assert max(reading.sockets for reading in found.busy) > 0
    *_, end = found.empty
    assert (end.sockets, end.objects, end.awake) == (0, 0, 0)
