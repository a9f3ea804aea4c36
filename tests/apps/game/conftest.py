"""A world with the game's objects, and two people at a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from apps.game.app import APP
from apps.game.domain.clock import Control
from apps.game.domain.lobby import Wish
from apps.game.domain.match import Opponent
from apps.game.domain.refusals import Refused
from apps.game.domain.view import View
from runtime.testing import ClientSocket, TestRuntime
from tests.conftest import StartRuntime

BLITZ = Control(60.0, 2.0)
FLEET = "a1-a5 c1-c4 e1-e3 g1-g3 j9-j10"


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with the game's objects."""
    started: TestRuntime[Any] = await start_runtime(**APP.bindings)
    return started


@dataclass(slots=True)
class Table:
    """One match, and what Ada (seat 0) and Bob (seat 1) do at it."""

    runtime: TestRuntime[Any]
    id: str = "a-match-of-two"

    @property
    def match(self) -> Any:
        return self.runtime.env.matches.get_by_name(self.id)

    async def open(
        self,
        game: str = "connect-four",
        control: Control = BLITZ,
        opponent: Opponent = "link",
        *,
        is_joined: bool = True,
    ) -> None:
        """Have Ada open the match, and Bob join it."""
        await self.match.open("ada", "Ada", Wish(game, control, opponent, 0))
        if is_joined and opponent != "bot":
            await self.match.join("bob", "Bob", (await self.look()).key)

    async def look(self, who: str = "ada") -> View:
        """Return the match as somebody sees it."""
        view: View = await self.match.look(who)
        return view

    async def play(self, *moves: str, seconds: float = 0.0) -> View:
        """Have whoever is to move do so, each after some seconds."""
        for move in moves:
            await self.runtime.clock.advance(seconds)
            view = await self.look()
            who = ("ada", "bob")[view.to_move[0]]
            view = await self.match.move(who, view.ply, move)
        return view

    async def enter(self, who: str = "", query: str = "") -> ClientSocket:
        """Open somebody's window on the match."""
        url, headers = f"/game/{self.id}/ws{query}", {"x-person-id": who}
        return await self.runtime.connect(self.match, url, headers=headers)

    async def refused(self, call: Any) -> Refused:
        """Return why a call is refused, having seen that nothing has changed by it."""
        before = [await self.match.log(who) for who in ("ada", "bob")]
        with pytest.raises(Refused) as refusal:
            await call
        assert [await self.match.log(who) for who in ("ada", "bob")] == before
        return refusal.value


@pytest.fixture
def table(runtime: TestRuntime[Any]) -> Table:
    """A table for two, at which nobody sits."""
    return Table(runtime)


def pushed(ws: ClientSocket, what: str = "") -> list[str]:
    """Return, and take, what a window was pushed that contains `what`."""
    found = [str(push) for push in ws.received if what in str(push)]
    ws.received.clear()
    return found
