"""What happens in a match because nobody does anything."""

from __future__ import annotations

from typing import Any, Final

from apps.game.domain.match import Ended, Events, Match, Phase

GONE_SECONDS: Final = 5.0  # most interruptions are over before
CLAIM_SECONDS: Final = 30.0  # for which an opponent is gone before the match can be claimed

Gone = tuple[float | None, float | None]
"""Since when each player isn't there."""


def pass_time(match: Match[Any, Any], now: float) -> Events:
    """Return what has happened because nobody has done anything until `now`."""
    if match.deadline is None or now < match.deadline:
        return ()
    if match.phase is Phase.WAITING:
        return (Ended(now, None, "aborted", "nobody came"),)
    for seat in (0, 1):
        due = match.deadline_of(seat)
        if due is not None and due <= now:
            if not match.has_moved(seat):
                side = match.rules.sides[seat]
                return (Ended(now, None, "aborted", f"{side} didn't begin"),)
            return (out_of_time(match, seat, now),)
    return ()


def out_of_time(match: Match[Any, Any], seat: int, now: float) -> Ended:
    """Return that a seat has lost because its time is up."""
    return Ended(now, 1 - seat, "time", f"{match.rules.sides[seat]} ran out of time")


def give_up_waiting(match: Match[Any, Any], gone_since: Gone, now: float) -> Events:
    """Return what it causes that whoever waits for anyone has closed the page, or never opened
    it: nobody is to be sent to an opponent who isn't there."""
    is_live = match.opened.opponent == "anyone" and match.control.days is None
    gone = max((since for since in gone_since if since is not None), default=None)
    if match.phase is not Phase.WAITING or not is_live:
        return ()
    if gone is None or now < gone + CLAIM_SECONDS:
        return ()
    return (Ended(now, None, "aborted", "nobody waits here any more"),)
