"""How quickly a seat may do things: as anybody can play, and not as a program can flood a match."""

from __future__ import annotations

from typing import Final

from apps.game.domain.refusals import Refused

PER_SECOND: Final = 10.0  # moves, offers and all else that a seat does
AT_ONCE: Final = 60.0  # while it hasn't done anything for a while


class Pace:
    """What the seats of a match have done lately.

    It is soon forgotten: who has waited for `AT_ONCE / PER_SECOND` seconds may do it all again. A
    match that was evicted has waited for longer.
    """

    def __init__(self) -> None:
        self._spent_until: dict[int, float] = {}
        """When each seat would be back at where it began."""

    def step(self, seat: int | None, now: float) -> None:
        """Take it that a seat does something.

        Raises:
            Refused: If that is too quick.
        """
        if seat is None:
            return  # who has no seat is refused anyway
        spent_until = max(now, self._spent_until.get(seat, now)) + 1 / PER_SECOND
        if spent_until > now + AT_ONCE / PER_SECOND:
            raise Refused("too-quick", "that was too quick; wait a second")
        self._spent_until[seat] = spent_until
