"""People who play against the clock, or a bot: the game itself, and five that are wrong."""

from __future__ import annotations

import asyncio
import json
import random  # which goes by the seed, as all does here
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, NamedTuple

from apps.game.app import APP
from apps.game.domain import commands
from apps.game.domain.clock import Control
from apps.game.domain.games import GAMES
from apps.game.domain.lobby import Wish
from apps.game.domain.match import Ended, Events, Phase
from apps.game.domain.players import choose
from apps.game.domain.rating import Rating
from apps.game.domain.refusals import Refused
from apps.game.domain.view import LogEntry, View
from apps.game.objects.bot import Bot
from apps.game.objects.match import CLOCK, Match
from runtime import AlarmInvocation
from runtime.checkers import Operation, Violation, no_double_move
from runtime.loopback import ClientSocket
from runtime.scenario import Client, Scenario

ID: Final = "the-match"
SEATS: Final = ("ada", "bob")
TRIES: Final = 3  # to move
EXACT: Final = 0.002  # seconds that times are rounded to
LATE: Final = 3.0  # seconds after which a flag that hasn't fallen is missing


class Seen(NamedTuple):
    """What a player needs of a match, small enough to be told in a history."""

    ply: int
    moves: tuple[str, ...]
    is_over: bool


# Matches that are wrong.


class HastyMatch(Match):
    """Asks somebody else about a move, and forgets that others may move meanwhile."""

    async def _change(self, who: str, decide: Callable[[Any, float], Events]) -> View:
        events = decide(self._match(), self._now())
        await asyncio.sleep(0.01)
        await self._happen(events)
        return self._view(self._match().seat_of(who))


class EagerMatch(Match):
    """Answers before it has stored anything."""

    async def move(self, who: str, ply: int, move: str, took: float | None = None) -> View:
        commands.decide(self._match(), self._match().seat_of(who), commands.Play(ply, move), 0.0)
        self.ctx.wait_until(self._later(who, ply, move))
        return await self.look(who)

    async def _later(self, who: str, ply: int, move: str) -> None:
        await asyncio.sleep(0.05)
        await super().move(who, ply, move)


class HastyClock(Match):
    """Sets its alarm for whoever has less time, and believes it when it rings."""

    async def _wind(self) -> None:
        match = self._match()
        if match.phase is Phase.PLAYING and len(match.turns) > 1:
            await self.ctx.storage.set_alarm(self._now() + min(match.clocks.left), name=CLOCK)
        else:
            await super()._wind()

    async def alarm(self, invocation: AlarmInvocation) -> None:
        match = self._match()
        if invocation.name == CLOCK and match.phase is Phase.PLAYING:
            loser = min(match.to_move)
            await self._happen((Ended(self._now(), 1 - loser, "time", "out of time"),))
        else:
            await super().alarm(invocation)


class ForgetfulClock(Match):
    """Forgets to set its alarm anew after a move."""

    async def _wind(self) -> None:
        if len(self._match().turns) < 3:
            await super()._wind()
        else:
            await self.ctx.storage.delete_alarm(name=CLOCK)


class SilentMatch(Match):
    """Tells only those who ask."""

    def _show(self, what: Any) -> None:
        pass


class SteadyBot(Bot):
    """Draws its moves by nothing that a seed doesn't know."""

    def _secret(self) -> str:
        return "none"


def _with(name: str, cls: type) -> dict[str, type]:
    return {**APP.bindings, name: cls}


class Gaming(Scenario):
    """Two windows of one player, one of the other, and somebody who watches."""

    bindings: ClassVar = dict(APP.bindings)
    refusals = (Refused,)
    clients = 4
    steps = 9
    faults = 4

    def __init__(self) -> None:
        self._control = Control(600.0)
        self._listener: Listener | None = None

    async def begin(self, client: Client) -> None:
        self._control = random.choice((Control(600.0, 1.0), *[Control(0.3, 0.05)] * 2))
        match = client.env.matches.get_by_name(ID)
        await match.open("ada", "Ada", Wish("connect-four", self._control, "anyone", 0))
        await match.join("bob", "Bob")

    async def step(self, client: Client) -> None:
        if client.name == "d":
            self._listener = self._listener or Listener(client)
            await self._listener.listen()
            return
        seat = 0 if client.name == "c" else "ab".index(client.name)
        seen = await client.call("look", SEATS[seat], lambda: look(client, seat))
        if seen.outcome != "ok" or not seen.result.moves:
            return
        what = client.random.choice(seen.result.moves)
        await play(client, seat, seen.result.ply, what)

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        await client.sleep(LATE + 1)
        match = client.env.matches.get_by_name(ID)
        view, log = await match.look(""), await match.log("")
        moves = [(turn.seat, turn.notation) for turn in view.turns]
        no_double_move(history, moves, "move")
        check_clocks(log, self._control, view.now)
        if view.result is None:
            mine = await match.look("bob")
            view = await match.act("bob", "resign" if "resign" in mine.may else "abort")
        await client.sleep(15)
        await self._check_ratings(client, view)
        if self._listener is not None:
            self._listener.check(view.version)

    async def _check_ratings(self, client: Client, view: View) -> None:
        assert view.result is not None
        for seat, who in enumerate(SEATS):
            profile = await client.env.players.get_by_name(who).profile()
            winner = view.result.winner
            score = 0.5 if winner is None else float(winner == seat)
            once = Rating().after((Rating(), score))
            expected = {} if view.result.how == "aborted" else {"connect-four": once}
            if profile.ratings != expected:
                raise Violation(f"{who} is rated {profile.ratings}, and should be {expected}")
            if [record.words for record in profile.history] != [view.result.words]:
                raise Violation(f"{who} remembers {profile.history}")


class Botting(Scenario):
    """Somebody plays against the bot, which has to answer whatever goes wrong."""

    bindings: ClassVar = _with("bots", SteadyBot)
    refusals = (Refused,)
    clients = 1
    steps = 8
    faults = 4

    async def begin(self, client: Client) -> None:
        match = client.env.matches.get_by_name(ID)
        game, seat = random.choice(sorted(GAMES)), random.randrange(2)
        await match.open("ada", "Ada", Wish(game, Control(600.0), "bot", seat))

    async def step(self, client: Client) -> None:
        seen = await client.call("look", "ada", lambda: look(client, None))
        if seen.outcome == "ok" and seen.result.moves:
            await play(client, 0, seen.result.ply, client.random.choice(seen.result.moves))
        await client.sleep(client.random.uniform(0.2, 0.6))

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        await client.sleep(15)
        match = client.env.matches.get_by_name(ID)
        view, log = await match.look("ada"), await match.log("ada")
        if view.result is None and view.seat not in view.to_move:
            raise Violation("the bot hasn't moved")
        if view.result is not None and view.result.how != "rules":
            raise Violation(f"it ended because {view.result.words}")
        check_clocks(log, Control(600.0), view.now)
        made = {op.value for op in history if op.action == "move" and op.outcome == "ok"}
        mine = {(turn.ply, 0) for turn in view.turns if turn.seat == view.seat}
        if lost := {(ply, seat) for ply, seat, _ in made} - mine:
            raise Violation(f"{lost} were acknowledged, and are lost")


async def look(client: Client, seat: int | None) -> Seen:
    """Return what somebody sees who has a seat."""
    view = await client.env.matches.get_by_name(ID).look(SEATS[seat or 0])
    moves = view.legal
    if view.seat in view.to_move and not moves:  # too many to list
        sight = await client.env.matches.get_by_name(ID).sight(SEATS[seat or 0])
        moves = (choose(GAMES[view.game], sight.position, sight.seat, client.random),)
    return Seen(view.ply, moves, view.result is not None)


async def play(client: Client, seat: int, ply: int, move: str) -> None:
    """Move, again as long as nobody knows whether that was done."""
    match = client.env.matches.get_by_name(ID)

    async def made() -> int:
        view = await match.move(SEATS[seat], ply, move)
        return int(view.ply)

    for _ in range(TRIES):
        moved = await client.call("move", (ply, seat, move), made)
        if moved.outcome != "unknown":
            return
        await client.sleep(client.random.expovariate(20))


def check_clocks(log: Sequence[LogEntry], control: Control, now: float) -> None:
    """Every flag has fallen when it had to, as anybody can see who reads the log with a watch."""
    left, has_moved = [control.initial] * 2, [False, False]
    since = next(entry.at for entry in reversed(log) if entry.kind == "seated")
    for entry in log:
        if entry.kind == "paused":
            raise Violation(f"time was given back, and the server was never away: {entry}")
        if entry.kind == "moved":
            seat = entry.details["seat"]
            if has_moved[seat]:
                left[seat] -= entry.at - since
            if left[seat] < -EXACT:
                raise Violation(f"a move was made {-left[seat]:.3f} s after its time: {entry}")
            left[seat] += control.increment
            has_moved[seat], since, mover = True, entry.at, 1 - seat
        if entry.kind == "ended" and entry.details["how"] == "time":
            loser = 1 - entry.details["winner"]
            if entry.at - since < left[loser] - EXACT:
                raise Violation(f"a flag fell with {left[loser] - entry.at + since:.3f} s left")
    if all(has_moved) and log[-1].kind == "moved" and now - since > left[mover] + LATE:
        raise Violation(f"no flag has fallen, {now - since - left[mover]:.3f} s after its time")


class Listener:
    """A program that watches: it comes back, and always gets at least the newest state."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._version = "0-0"
        self._socket: ClientSocket | None = None

    async def listen(self) -> None:
        """Have a socket open, unless that doesn't succeed."""
        if self._socket is not None and self._socket.closed is None:
            return
        self._take()
        self._socket = await self._client.connect(
            self._client.env.matches.get_by_name(ID),
            f"/game/{ID}/ws?as=json&since={self._version}",
            headers={"x-person-id": ""},
        )

    def check(self, version: str) -> None:
        """See that it was told everything, in order, if it is still connected."""
        self._take()
        is_open = self._socket is not None and self._socket.closed is None
        if is_open and self._version != version:
            raise Violation(f"the last that was told is {self._version}, and it is {version}")

    def _take(self) -> None:
        while self._socket is not None and self._socket.received:
            version = json.loads(self._socket.received.popleft())["version"]
            if _seq(version) < _seq(self._version):
                raise Violation(f"{version} was told after {self._version}")
            self._version = version


def _seq(version: str) -> int:
    return int(version.partition("-")[0])


class GamingHastily(Gaming):
    """The same, where two moves can be made in one turn."""

    bindings: ClassVar = _with("matches", HastyMatch)


class GamingEagerly(Gaming):
    """The same, where an answer promises too much."""

    bindings: ClassVar = _with("matches", EagerMatch)


class GamingAgainstHastyClocks(Gaming):
    """The same, where a flag falls too early."""

    bindings: ClassVar = _with("matches", HastyClock)


class GamingAgainstForgetfulClocks(Gaming):
    """The same, where no flag falls."""

    bindings: ClassVar = _with("matches", ForgetfulClock)


class GamingInSilence(Gaming):
    """The same, where nobody hears anything."""

    bindings: ClassVar = _with("matches", SilentMatch)


SCENARIOS: Final[tuple[Any, ...]] = (Gaming, Botting)
BROKEN: Final[tuple[Any, ...]] = (
    GamingHastily,
    GamingEagerly,
    GamingAgainstHastyClocks,
    GamingAgainstForgetfulClocks,
    GamingInSilence,
)
