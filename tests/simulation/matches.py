"""Two players and a board: turns that are taken once, and a board where they aren't."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from runtime import DurableObject
from runtime.checkers import Operation, no_double_move
from runtime.scenario import Client, Scenario

PLAYERS: Final = "ab"


class Match(DurableObject[Any]):
    """A game in which players take turns, and what they do is a number."""

    migrations = ("CREATE TABLE moves (turn INTEGER PRIMARY KEY, player TEXT, what INTEGER)",)

    async def move(self, turn: int, player: str, what: int) -> None:
        """Take a turn; to ask for the same again does no harm.

        Raises:
            ValueError: If it isn't that turn, or not that player's.
        """
        if not self._is_made(turn, player, what):
            self._refuse(turn, player)
            self._make(turn, player, what)

    async def moves(self) -> list[tuple[str, int]]:
        rows = self.ctx.storage.sql.exec("SELECT player, what FROM moves ORDER BY turn")
        return [(row["player"], row["what"]) for row in rows]

    def _is_made(self, turn: int, player: str, what: int) -> bool:
        row = self.ctx.storage.sql.exec("SELECT player, what FROM moves WHERE turn = ?", turn)
        return row.next() == {"player": player, "what": what}

    def _refuse(self, turn: int, player: str) -> None:
        taken = self.ctx.storage.sql.exec("SELECT count(*) AS n FROM moves").one()["n"]
        if turn != taken:
            raise ValueError(f"it is turn {taken}, not {turn}")
        if player != PLAYERS[turn % 2]:
            raise ValueError(f"turn {turn} isn't {player}'s")

    def _make(self, turn: int, player: str, what: int) -> None:
        self.ctx.storage.sql.exec("REPLACE INTO moves VALUES (?, ?, ?)", turn, player, what)


class HastyMatch(Match):
    """Asks somebody else whether a move is good, and forgets that others may move meanwhile."""

    async def move(self, turn: int, player: str, what: int) -> None:
        if not self._is_made(turn, player, what):
            self._refuse(turn, player)
            await asyncio.sleep(0.01)
            self._make(turn, player, what)


class Playing(Scenario):
    """Two windows of one player and one of the other press what they can."""

    bindings: ClassVar = {"matches": Match}
    refusals = (ValueError,)
    clients = 3
    steps = 8

    async def step(self, client: Client) -> None:
        match = client.env.matches.get_by_name("a")
        player = "a" if client.name == "c" else client.name
        seen = await client.call("look", None, match.moves)
        if seen.outcome != "ok":
            return
        turn, what = len(seen.result), client.random.randrange(10**6)
        for _ in range(3):
            made = await client.call(
                "move", (turn, player, what), lambda: match.move(turn, player, what)
            )
            if made.outcome != "unknown":
                return

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        await client.sleep(1)
        no_double_move(history, await client.env.matches.get_by_name("a").moves(), "move")


class PlayingHastily(Playing):
    """The same on a board where two moves can be made in one turn."""

    bindings: ClassVar = {"matches": HastyMatch}


SCENARIOS: Final[tuple[Any, ...]] = (Playing,)
BROKEN: Final[tuple[Any, ...]] = (PlayingHastily,)
