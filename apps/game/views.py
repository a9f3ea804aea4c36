"""From views to HTML and JSON: what pages show, and every push."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from random import SystemRandom
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from apps import pages
from apps.game.domain.clock import DAY, Control
from apps.game.domain.games import GAMES
from apps.game.domain.lobby import Challenge, Profile
from apps.game.domain.match import Phase
from apps.game.domain.players import choose
from apps.game.domain.rules import Board, Rules, try_move
from apps.game.domain.view import SeatView, Still, View
from apps.identity import Guest

What = Literal["news", "presence"]

CLOCKS: Final = {
    "3+2": (180, 2),
    "5+0": (300, 0),
    "10+5": (600, 5),
    "30+20": (1800, 20),
}
"""What the page offers: seconds for the whole match, and for each move."""
DAYS: Final = (1, 3, 7)
LOW_SECONDS: Final = 20.0  # from which on a clock warns; less where there is little from the start
MANY_HOURS: Final = 4 * 3600.0  # from which on nobody watches the seconds

# A few moves of each game, for its picture. A game that has none here is shown as it begins.
_OPENINGS: Final = {
    "connect-four": ("4", "4", "3", "5", "5", "3", "4", "6", "3", "2", "6", "5"),
    "reversi": tuple("e6 f4 d3 c2 d2 d6 f5 g6 g5 f6 e3 c3 c4".split()),
    "battleship": (
        "a1-a5 c1-c4 e1-e3 g1-g3 i1-i2",
        "b2-b6 d2-g2 i4-i6 d9-f9 h9-i9",
        *("d2", "a1", "e2", "a2", "d4", "a3", "i5", "a4", "g6", "a5", "h9", "c1", "i9"),
    ),
}

_DAYS: Final = re.compile(r"[0-9]{1,3}")
_json = TypeAdapter(View)
_random = SystemRandom()  # what is suggested to one player isn't to be guessed by the other


@dataclass(frozen=True, slots=True)
class Dial:
    """A time that is counted down: by the server here, and in the page from these numbers."""

    left: float
    """Seconds."""
    runs_from: float | None
    """From when on they run, in seconds since the epoch by the server's clock; None while they
    don't."""
    low: float = 0.0
    """Seconds from which on it warns."""

    @property
    def words(self) -> str:
        return clock_words(self.left)

    @property
    def coarse_words(self) -> str:
        return clock_words(self.left, has_tenths=False)

    @property
    def is_low(self) -> bool:
        return self.left < self.low


@dataclass(frozen=True, slots=True)
class Plate:
    """One player, as shown beside the board."""

    seat: int
    player: SeatView
    is_you: bool
    is_winner: bool
    tally: str
    clock: Dial
    first_move: Dial | None
    """How long their first move is waited for, before which their clock stands."""
    claim: Dial | None
    """How long they may still be gone before the match can be claimed."""


# Pages and pushes.


def render(what: What, view: View, format: str) -> str:
    """Return a push: the whole match as its audience sees it, or who is there.

    Whoever is sent `presence` has the rest already.
    """
    if format == "json":
        return _json.dump_json(view).decode()
    return pages.render(f"game/_new_{what}.html", **news(view))


def news(view: View) -> dict[str, Any]:
    """Return what is shown of a match: in its page, and whenever something has happened."""
    return {
        "view": view,
        "plates": (_plate(view, 0), _plate(view, 1)),
        "status": _status(view),
        "last": _last(view),
        "time": time_words(view.control),
        "fleet": _suggestion(view),
    }


def match(view: View, guest: Guest | None, *, key: str = "", notice: str = "") -> dict[str, Any]:
    """Return what a match's page shows.

    Args:
        key: From the link that the page was opened by.
        notice: Why what was asked for isn't done.
    """
    return news(view) | {"guest": guest, "key": key, "notice": notice}


def replay(still: Still, guest: Guest | None) -> dict[str, Any]:
    """Return what the page shows of a match as it stood."""
    (game,) = (rules.name for rules in GAMES.values() if rules.title == still.title)
    return {"still": still, "game": game, "guest": guest}


def home(
    guest: Guest | None,
    challenges: Sequence[Challenge],
    profile: Profile,
    running: Sequence[View] = (),
    *,
    form: Mapping[str, str] | None = None,
    error: str = "",
) -> dict[str, Any]:
    """Return what the game's own front page shows.

    Args:
        running: Those matches of the guest's that aren't over.
        form: What was sent, if that can't be.
        error: Why not.
    """
    return lobby(guest, challenges) | {
        "games": list(GAMES.values()),
        "pictures": {name: picture(name) for name in GAMES},
        "clocks": CLOCKS,
        "days": DAYS,
        "profile": profile,
        "running": [{"view": view, "status": _status(view)} for view in running],
        "form": {"game": next(iter(GAMES)), "clock": "5+0", "opponent": "anyone"}
        | dict(form or {}),
        "error": error,
    }


def lobby(guest: Guest | None, challenges: Sequence[Challenge]) -> dict[str, Any]:
    """Return what is shown of those who wait for anyone."""
    open_ones = [
        {
            "challenge": challenge,
            "title": GAMES[challenge.game].title,
            "time": time_words(challenge.control),
            "is_own": guest is not None and guest.id == challenge.player.id,
        }
        for challenge in challenges
    ]
    return {"guest": guest, "challenges": open_ones}


def parse_new_match(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the body that a form means: ``clock`` is one of `CLOCKS`, or "3 days"."""
    clock, _, is_days = form.get("clock", "").partition(" day")
    if is_days or "day" in form.get("clock", ""):
        time: dict[str, Any] = {"days": int(clock) if _DAYS.fullmatch(clock) else clock}
    else:
        initial, increment = CLOCKS.get(clock, (clock, 0))
        time = {"initial": initial, "increment": increment}
    return {"game": form.get("game", ""), "clock": time, "opponent": form.get("opponent", "")}


# Words.


def clock_words(seconds: float, *, has_tenths: bool = True) -> str:
    """Return what a clock shows: "4:07", "0:09.3", "1:00:00", "2 days 5 h". The page's own
    clocks, in clocks.js, say the same."""
    tenths = int(seconds * 10)
    whole = tenths // 10
    if seconds >= DAY:
        days, hours = whole // 86_400, whole % 86_400 // 3600
        return f"{days} day{'' if days == 1 else 's'} {hours} h"
    if seconds >= MANY_HOURS:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    minutes, rest = whole % 3600 // 60, whole % 60
    if whole >= 3600:
        return f"{whole // 3600}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" + (
        f".{tenths % 10}" if has_tenths and whole < LOW_SECONDS else ""
    )


def time_words(control: Control) -> str:
    """Return how much time there is: "5 + 0", "3 days a move"."""
    if control.days is not None:
        return f"{control.days} day{'' if control.days == 1 else 's'} a move"
    minutes = control.initial / 60
    initial = f"{minutes:g}" if minutes % 0.5 == 0 else f"{control.initial:g} s"
    return f"{initial} + {control.increment:g}"


def _status(view: View) -> str:
    """Return how the match stands, in one sentence for its reader."""
    if view.result is not None:
        return _outcome(view)
    if view.phase is Phase.WAITING:
        waiting = next((seat.name for seat in view.seats if seat.name), "Somebody")
        is_own = view.seat is not None
        return "Waiting for an opponent" if is_own else f"{waiting} waits for an opponent"
    if view.seat in view.to_move:
        return "Place your fleet" if not view.legal else "Your move"
    names = [str(view.seats[seat].name) for seat in view.to_move]
    return f"Waiting for {names[0]}" if view.seat is not None else f"{' and '.join(names)} to move"


def _outcome(view: View) -> str:
    assert view.result is not None
    winner, words = view.result.winner, view.result.words
    if view.result.how == "aborted":
        return f"No result: {words}"
    if winner is None:
        return f"A draw: {words}" if view.result.how != "agreed" else "Draw by agreement"
    who = "You" if winner == view.seat else view.seats[winner].name
    return f"{who} won: {words}"


def _last(view: View) -> tuple[str, str] | None:
    """Return who has moved last, and how, for those who see it and those who hear it."""
    if not view.turns:
        return None
    turn = view.turns[-1]
    who = "You" if turn.seat == view.seat else str(view.seats[turn.seat].name)
    return who, turn.notation


# Values that templates draw.


def _plate(view: View, seat: int) -> Plate:
    player = view.seats[seat]
    runs_from = None if player.runs_from is None else max(view.now, player.runs_from)
    is_timed = view.control.days is None
    waits = is_timed and runs_from is not None and all(turn.seat != seat for turn in view.turns)
    left, first_move = player.left, None
    if waits and player.runs_from is not None and player.falls_at is not None:
        left += max(0.0, view.now - player.runs_from)  # it hasn't been charged for
        first_move = Dial(player.falls_at - max(view.now, player.runs_from), runs_from)
        runs_from = None
    claim = None
    if player.claim_at is not None and player.claim_at > view.now:
        claim = Dial(player.claim_at - view.now, view.now)
    low = min(LOW_SECONDS, view.control.initial / 6) if is_timed else 3600.0
    return Plate(
        seat=seat,
        player=player,
        is_you=seat == view.seat,
        is_winner=view.result is not None and view.result.winner == seat,
        tally=view.board.tallies[seat],
        clock=Dial(left, runs_from, low),
        first_move=first_move,
        claim=claim,
    )


def _suggestion(view: View) -> str | None:
    """Return a move to begin with where there are too many to choose from: a fleet somewhere."""
    if view.seat is None or view.seat not in view.to_move or view.legal:
        return None
    rules = GAMES[view.game]
    return choose(rules, rules.new(), view.seat, _random)


@cache
def picture(game: str) -> Board:
    """Return a game's board as it may look after some moves."""
    rules: Rules[Any, Any] = GAMES[game]
    position = rules.new()
    for move in _OPENINGS.get(game, ()):
        events = try_move(rules, position, min(rules.to_move(position)), move)
        position = reduce(rules.evolve, events, position)
    return rules.board(position, None)
