"""A short rush: nothing is oversold or lost, though the server is killed in the middle of it."""

from __future__ import annotations

from pathlib import Path

from tests.rush.buyers import rush


async def test_a_server_that_is_killed_sells_every_seat_once(folder: Path) -> None:
    course = await rush(folder, seats=60, attempts=180, clients=12, kills=2, seed=1)

    assert (course.lives, course.answered) == (3, 180)
    assert course.resent  # or nobody has noticed
    assert 0 < len(course.bought) <= course.sold <= 60
