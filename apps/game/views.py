"""From views to HTML and JSON: what pages show, and every push."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from apps import pages
from apps.game.domain.games import GAMES
from apps.game.domain.lobby import Challenge, Profile
from apps.game.domain.view import Still, View
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

_json = TypeAdapter(View)


def render(what: What, view: View, format: str) -> str:
    """Return a push: the whole match as its audience sees it, or who is there.

    Whoever is sent `presence` has the rest already.
    """
    if format == "json":
        return _json.dump_json(view).decode()
    return pages.render(f"game/_new_{what}.html", view=view)


def match(view: View, guest: Guest | None, *, key: str = "", notice: str = "") -> dict[str, Any]:
    """Return what a match's page shows.

    Args:
        key: From the link that the page was opened by.
        notice: Why what was asked for isn't done.
    """
    return {"view": view, "guest": guest, "key": key, "notice": notice}


def replay(still: Still, guest: Guest | None) -> dict[str, Any]:
    """Return what the page shows of a match as it stood."""
    return {"still": still, "guest": guest}


def home(
    guest: Guest | None,
    challenges: Sequence[Challenge],
    profile: Profile,
    *,
    form: Mapping[str, str] | None = None,
    error: str = "",
) -> dict[str, Any]:
    """Return what the game's own front page shows.

    Args:
        form: What was sent, if that can't be.
        error: Why not.
    """
    return {
        "guest": guest,
        "games": list(GAMES.values()),
        "clocks": list(CLOCKS),
        "days": DAYS,
        "challenges": challenges,
        "profile": profile,
        "form": form or {},
        "error": error,
    }


def parse_new_match(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the body that a form means: ``clock`` is one of `CLOCKS`, or "3 days"."""
    clock, _, is_days = form.get("clock", "").partition(" day")
    if is_days or "day" in form.get("clock", ""):
        time: dict[str, Any] = {"days": int(clock) if clock.isdecimal() else clock}
    else:
        initial, increment = CLOCKS.get(clock, (clock, 0))
        time = {"initial": initial, "increment": increment}
    return {"game": form.get("game", ""), "clock": time, "opponent": form.get("opponent", "")}
