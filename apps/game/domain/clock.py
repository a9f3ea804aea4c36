"""Two clocks, as values: who has how much left, and since when whose is running.

Times are seconds since the epoch by the server's clock, which is the truth. What a player's own
clock says counts for the time a move has been under way, and for no more than `MAX_LAG` of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

DAY: Final = 86_400.0  # seconds
MAX_LAG: Final = 0.5  # seconds given back for one move at most
LAG_BANK: Final = 1.0  # seconds given back altogether, before any are added
LAG_REFILL: Final = 0.1  # seconds added to that for each move
RETURN_SECONDS: Final = 5.0  # after the server was away, for players to find back

Pair = tuple[float, float]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Control:
    """How much time there is: for the whole match with something added for each move, or days
    for each move."""

    initial: float
    """Seconds that each seat begins with."""
    increment: float = 0.0
    """Seconds added for each move."""
    days: int | None = None
    """Days for each move, which begin anew with each; the others don't count then."""

    @property
    def allotted(self) -> float:
        """Seconds that each seat begins with."""
        return self.initial if self.days is None else self.days * DAY

    def after_move(self, left: float) -> float:
        """Return what a seat has left once it has moved with `left`."""
        return left + self.increment if self.days is None else self.days * DAY


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of both seats at one moment."""

    left: Pair
    """Seconds, as of `since`."""
    since: tuple[float | None, float | None] = (None, None)
    """Since when each is running; None while it stands. It may lie ahead: then it begins there."""
    lag: Pair = (0.0, 0.0)
    """Seconds that were given back for the last move of each."""
    bank: Pair = (LAG_BANK, LAG_BANK)
    """Seconds that may still be given back to each."""

    @classmethod
    def of(cls, control: Control) -> Clocks:
        """Return them as they stand at the beginning."""
        return cls((control.allotted, control.allotted))

    def left_at(self, seat: int, now: float) -> float:
        """Return how many seconds a seat has at `now`; never less than 0."""
        return max(0.0, self.left[seat] - self.elapsed(seat, now))

    def elapsed(self, seat: int, now: float) -> float:
        """Return for how long a seat's clock has been running."""
        since = self.since[seat]
        return 0.0 if since is None else max(0.0, now - since)

    def falls_at(self, seat: int) -> float | None:
        """Return when a seat's flag falls, unless its clock stands.

        A move that is as long under way as the last one was may still arrive in time.
        """
        since = self.since[seat]
        return None if since is None else since + self.left[seat] + self.lag[seat]

    def lag_of(self, seat: int, now: float, took: float | None) -> float:
        """Return how much of the time since its clock began to run is given back to a seat.

        Args:
            took: Seconds that the move took by the player's own clock, if that said something.
        """
        if took is None:
            return 0.0
        under_way = self.elapsed(seat, now) - max(0.0, took)
        return max(0.0, min(under_way, MAX_LAG, self.bank[seat]))

    def is_late(self, seat: int, now: float, lag: float) -> bool:
        """Whether a seat has used more than it had, even with what is given back to it."""
        return self.elapsed(seat, now) - lag > self.left[seat]

    def moved(self, seat: int, now: float, lag: float, control: Control, *, free: bool) -> Clocks:
        """Return them with a seat's clock stopped, and charged unless the move was free."""
        used = 0.0 if free else max(0.0, self.elapsed(seat, now) - lag)
        left = control.after_move(max(0.0, self.left[seat] - used))
        bank = min(LAG_BANK, self.bank[seat] - lag + LAG_REFILL)
        return replace(
            self,
            left=put(self.left, seat, left),
            since=put(self.since, seat, None),
            lag=put(self.lag, seat, lag),
            bank=put(self.bank, seat, bank),
        )

    def running(self, seats: Iterable[int], now: float) -> Clocks:
        """Return them with just those clocks running: what ran goes on, the others start now."""
        on = set(seats)
        clocks = self.stopped(now, (seat for seat in (0, 1) if seat not in on))
        since = tuple(
            now if s in on and clocks.since[s] is None else clocks.since[s] for s in (0, 1)
        )
        return replace(clocks, since=(since[0], since[1]))

    def stopped(self, now: float, seats: Iterable[int] = (0, 1)) -> Clocks:
        """Return them with some clocks stopped where they are."""
        clocks = self
        for seat in seats:
            left = clocks.left_at(seat, now)
            clocks = replace(
                clocks, left=put(clocks.left, seat, left), since=put(clocks.since, seat, None)
            )
        return clocks

    def held_up(self, seconds: float, now: float) -> Clocks:
        """Return them as if those that run had begun to so much later, but none longer from `now`
        on than it takes to find back: the server may have been away several times."""
        latest = now + RETURN_SECONDS
        first, second = (
            None if since is None else max(since, min(since + seconds, latest))
            for since in self.since
        )
        return replace(self, since=(first, second))

    def given(self, seat: int, seconds: float) -> Clocks:
        """Return them with more time for a seat."""
        return replace(self, left=put(self.left, seat, self.left[seat] + seconds))


def put(pair: tuple[T, T], seat: int, value: T) -> tuple[T, T]:
    """Return a pair with one seat's part replaced."""
    return (value, pair[1]) if seat == 0 else (pair[0], value)


def paused_for(outages: Iterable[tuple[float, float]], since: float) -> float:
    """Return for how many seconds after `since` the server wasn't alive."""
    return sum(max(0.0, ended - max(began, since)) for began, ended in outages)
