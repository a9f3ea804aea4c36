"""Making a failure as small as it gets, by leaving things out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrink(parts: Sequence[T], fails: Callable[[Sequence[T]], bool], *, tries: int) -> list[T]:
    """Return a part of `parts`, in their order, that still fails and can't do without any of them.

    It leaves out large pieces first: Zeller and Hildebrandt's ddmin, "Simplifying and Isolating
    Failure-Inducing Input" (2002), without its first half, which is to try the pieces alone.

    Args:
        parts: What fails as a whole.
        fails: Whether some of them do.
        tries: How often that may be asked. After that, the smallest so far has to do.
    """
    kept = list(parts)
    size = max(1, len(kept) // 2)
    while kept:
        has_shrunk = False
        start = 0
        while start < len(kept):
            if not tries:
                return kept
            tries -= 1
            rest = kept[:start] + kept[start + size :]
            if fails(rest):
                kept, has_shrunk = rest, True
            else:
                start += size
        if size == 1 and not has_shrunk:
            break
        size = max(1, size // 2)
    return kept
