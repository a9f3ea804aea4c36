"""Which seats are best: for people who want to sit together, and for those who were too late.

The free seats of a row are the bits of a number, the seat on the left being the lowest. So all
places in a row where three sit together are two shifts away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

Rows = Sequence[int]
"""For each row the seats that are free, as bits."""

ROW_WEIGHT: Final = 2  # a row further back is as bad as so many seats aside


def best(free: Rows, width: int, count: int) -> tuple[int, ...] | None:
    """Return the best `count` adjacent seats: in front, and in the middle; None if there are none.

    Args:
        width: How many seats a row has.
    """
    return nearest(free, width, count, 0, (width - count) / 2)


def nearest(free: Rows, width: int, count: int, row: int, place: float) -> tuple[int, ...] | None:
    """Return the `count` adjacent seats that are nearest to a place in a row."""
    found, least = None, float("inf")
    for number, seats in enumerate(free):
        aside = abs(number - row) * ROW_WEIGHT
        if not seats or aside >= least:
            continue
        start = _nearest_bit(_starts(seats, count), place)
        if start is not None and aside + abs(start - place) < least:
            found, least = number * width + start, aside + abs(start - place)
    return None if found is None else tuple(range(found, found + count))


def longest(free: Rows) -> int:
    """Return how many free seats there are together, at most."""
    rest, count = [seats for seats in free if seats], 0
    while rest:
        rest = [both for seats in rest if (both := seats & seats >> 1)]
        count += 1
    return count


def alternatives(free: Rows, width: int, wanted: Iterable[int], count: int) -> tuple[int, ...]:
    """Return what to offer instead of seats that are taken: as many together nearby, or else the
    nearest ones, one by one; fewer if there are fewer.
    """
    first = min(wanted, default=width // 2)
    row, place = divmod(first, width)
    if together := nearest(free, width, count, row, place):
        return together
    rest, found = list(free), list[int]()
    while len(found) < count and (single := nearest(rest, width, 1, row, place)):
        found += single
        rest[single[0] // width] &= ~(1 << single[0] % width)
    return tuple(sorted(found))


def _starts(seats: int, count: int) -> int:
    """Return, as bits, where so many free seats in a row begin."""
    for _ in range(count - 1):
        seats &= seats >> 1 if seats else 0
    return seats


def _nearest_bit(bits: int, place: float) -> int | None:
    if not bits:
        return None
    split = max(0, int(place) + 1)
    below, above = bits & ((1 << split) - 1), bits >> split
    left = below.bit_length() - 1 if below else None
    right = split + (above & -above).bit_length() - 1 if above else None
    if left is None or right is None:
        return right if left is None else left
    return left if place - left <= right - place else right
