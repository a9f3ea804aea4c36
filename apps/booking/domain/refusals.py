"""What booking doesn't do, in words for whoever asked. Nothing has changed then.

Classed by what the asker can do about it; `status` is what HTTP calls that.
"""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """Base class of all refusals. Its text is a sentence for a person."""

    status: ClassVar[int]


class NotFound(Refusal):
    """There is no such thing."""

    status = 404


class NotYours(Refusal):
    """It is somebody else's, or for organisers."""

    status = 403


class Unfit(Refusal):
    """It can't be meant so: no seat has that name, no such number of seats."""

    status = 422


class Conflict(Refusal):
    """It isn't possible as things are: look again, then decide."""

    status = 409


class Taken(Conflict):
    """Somebody else has these seats.

    Attributes:
        alternatives: Names of free seats nearby, as many as were asked for if there are so many.
    """

    def __init__(self, message: str, alternatives: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.alternatives = alternatives

    @classmethod
    def together(cls, count: int, alternatives: tuple[str, ...] = ()) -> Taken:
        """Return the refusal of so many seats, whichever they are."""
        what = "is no seat" if count == 1 else f"are no {count} seats together"
        return cls(f"there {what} any more", alternatives)


class Gone(Refusal):
    """It was there, and its time is over."""

    status = 410


class Declined(Refusal):
    """The payment was declined. The seats are still held, for another try.

    Attributes:
        is_replayed: Whether this is the answer to the same request before.
    """

    status = 402

    def __init__(self, message: str, *, is_replayed: bool = False) -> None:
        super().__init__(message)
        self.is_replayed = is_replayed


class TooSoon(Refusal):
    """Not so fast, or not yet: others are before you.

    Attributes:
        retry_after: Seconds after which it is worth another try.
    """

    status = 429

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


ALL: tuple[type[Refusal], ...] = (
    NotFound,
    NotYours,
    Unfit,
    Conflict,
    Taken,
    Gone,
    Declined,
    TooSoon,
)
