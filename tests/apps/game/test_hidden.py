"""What a game hides reaches nobody who may not know it: not by a byte.

Two matches are played that differ in nothing but what Ada hides. If everything that the others get
is the same in both, nothing of it depends on that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from apps.game import views
from apps.game.app import APP
from apps.game.domain.clock import Control
from apps.game.domain.lobby import Wish
from apps.game.domain.refusals import Refused
from runtime.testing import TestRuntime

FLEETS = ("a1-a5 c1-c4 e1-e3 g1-g3 j9-j10", "b6-b10 d2-d5 f8-h8 a1-a3 i1-j1")
BOBS = "a10-e10 j6-j9 h4-f4 b2-b4 d6-d7"
BOTH_HIT, BOTH_MISS = "a2", "i5"
OTHERS = ("bob", "eve", "")


@dataclass
class Played:
    """What was seen of one match."""

    ada: str
    others: str


async def told(match: Any, who: str) -> list[str]:
    """Return all that somebody can ask for."""
    view = await match.look(who)
    asked = [view, await match.log(who), await match.look_back(who, view.ply)]
    for call in (match.move(who, 99, "a1"), match.offer(who, "takeback")):
        with pytest.raises(Refused) as refusal:
            await call
        asked += [str(refusal.value), refusal.value.view]
    pushes = [
        views.render(what, view, f) for what in ("news", "presence") for f in ("html", "json")
    ]
    return [*map(repr, asked), *pushes]


async def play(fleet: str) -> Played:
    """Play a match in which Ada hides `fleet`."""
    start = 1_700_000_000.0
    async with TestRuntime(bindings=APP.bindings, start=start) as runtime:
        match = runtime.env.matches.get_by_name("the-same-match")
        await match.open("ada", "Ada", Wish("battleship", Control(600.0), "link", 0))
        await match.join("bob", "Bob", (await match.look("ada")).key)
        windows = {
            (who, form): await runtime.connect(
                match, f"/ws?as={form}", headers={"x-person-id": who}
            )
            for who in ("ada", *OTHERS)
            for form in ("html", "json")
        }
        seen: dict[str, list[str]] = {who: [] for who in ("ada", *OTHERS)}
        moves = (("ada", fleet), ("bob", BOBS), ("ada", "a1"))
        shots = (("bob", BOTH_HIT), ("bob", BOTH_MISS), ("ada", "a2"), ("bob", "i6"))
        for who, move in (*moves, *shots):
            view = await match.look(who)
            if view.seat in view.to_move:
                await match.move(who, view.ply, move)
            await runtime.clock.advance(1)
            for each in seen:
                seen[each] += await told(match, each)
        for (who, _), window in windows.items():
            seen[who] += map(str, window.received)
        others = "\n".join(text for who in OTHERS for text in seen[who])
        return Played("\n".join(seen["ada"]), others)


async def test_nothing_that_others_get_depends_on_what_is_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = []
    for fleet in FLEETS:
        monkeypatch.setattr(views, "_random", Random(0))  # what is suggested to Bob is random
        played.append(await play(fleet))
    first, second = played

    assert first.ada != second.ada, "else there was nothing to see"
    assert re.search(r"a2 hit", first.others), "else nothing was played"
    assert len(first.others) > 100_000
    assert first.others == second.others


async def test_when_it_is_over_everybody_may_know(evicting: bool) -> None:
    async with TestRuntime(bindings=APP.bindings, evicting=evicting) as runtime:
        match = runtime.env.matches.get_by_name("the-same-match")
        await match.open("ada", "Ada", Wish("battleship", Control(600.0), "link", 0))
        await match.join("bob", "Bob", (await match.look("ada")).key)
        await match.move("ada", 0, FLEETS[0])
        await match.move("bob", 1, BOBS)
        hidden = await match.look_back("", 2)
        await match.act("bob", "resign")

        shown = await match.look_back("", 2)

    def pieces(still: Any) -> set[str]:
        return {cell.piece for grid in still.board.grids for cell in grid.cells}

    assert "ship" not in pieces(hidden)
    assert "ship" in pieces(shown)


async def test_where_a_bots_ships_are_follows_from_nothing_that_is_known() -> None:
    fleets = set()
    for _ in range(2):
        async with TestRuntime(bindings=APP.bindings, start=1_700_000_000.0) as runtime:
            match = runtime.env.matches.get_by_name("the-same-match")
            await match.open("ada", "Ada", Wish("battleship", Control(600.0), "bot", 0))
            await runtime.clock.advance(1)
            await match.act("ada", "abort")
            fleets.add(repr((await match.log("ada"))[-2]))

    assert len(fleets) == 2
