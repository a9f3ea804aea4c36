"""A match: load, decide, store, show. One object a match, so no move is made twice."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final

from apps.game import views
from apps.game.domain import commands, timeouts
from apps.game.domain import view as domain
from apps.game.domain.clock import RETURN_SECONDS
from apps.game.domain.commands import Action, Answer, Command
from apps.game.domain.lobby import Admission, Challenge, Wish, id_after, seat_in
from apps.game.domain.match import (
    Events,
    Offer,
    OfferKind,
    Opened,
    Paused,
    Phase,
    Player,
    Seated,
    begin,
)
from apps.game.domain.match import Match as State
from apps.game.domain.pace import Pace
from apps.game.domain.refusals import Refused
from apps.game.domain.sight import Sight, sight
from apps.game.domain.view import LogEntry, Still, View
from apps.game.objects.bot import bot_of
from apps.game.objects.course import Course
from apps.game.objects.env import LOBBY, Env
from apps.game.objects.pauses import Pauses
from apps.game.objects.watchers import ALARM, Watchers
from apps.game.store import match as store
from apps.game.store import now
from runtime import (
    AlarmInvocation,
    DurableObject,
    DurableObjectState,
    Request,
    Response,
    WebSocket,
    errors,
)

CLOCK: Final = "clock"  # the alarm for what happens if nobody does anything

errors.register(Refused)


class Match(DurableObject[Env]):
    """One match: its log, its clocks, and the sockets of those who play and watch."""

    migrations = store.MIGRATIONS

    def __init__(self, ctx: DurableObjectState, env: Env) -> None:
        super().__init__(ctx, env)
        self._course = Course(ctx, env)
        self._watchers = Watchers(ctx)
        self._pauses = Pauses(ctx, env)
        self._pace = Pace()
        if self._course.state is not None and self._match().phase is not Phase.FINISHED:
            ctx.block_concurrency_while(self._resume)

    # Called by routes and bots, through a stub. `who` is an id that is known to be the caller's.

    async def open(self, who: str, name: str, wish: Wish) -> Admission:
        """Open a match, and sit down. Asked again, it answers the same.

        Raises:
            Refused: If it is somebody else's, or they wait in too many others.
        """
        player = await self._rated(Player(who, name), wish.game)
        if self._course.state is None and wish.opponent == "anyone":
            challenge = Challenge(self._id, wish.game, wish.control, player, wish.seat)
            found = await self.env.lobby.get_by_name(LOBBY).post(challenge)
            if found is not None:
                return Admission(found, None)
        if self._course.state is None:
            await self._begin(wish, player)
        match = self._match()
        seat = match.seat_of(who)
        if seat is None:
            raise Refused("seat-taken", "this match is somebody else's")
        return Admission(self._id, seat)

    async def join(self, who: str, name: str, key: str = "") -> Admission:
        """Take the free seat. Whoever sits here already keeps theirs.

        Args:
            key: From the link, where only those may come who were sent it.

        Raises:
            Refused: If they can't.
        """
        player = await self._rated(Player(who, name), self._match().opened.game)

        def sit(match: State[Any, Any], moment: float) -> Events:
            if not self._may_sit_down(who, key):
                raise Refused("wrong-key", "only who was sent the link can sit down here")
            return commands.seat_player(match, player, moment)

        return Admission(self._id, (await self._change(who, sit)).seat)

    async def move(self, who: str, ply: int, move: str, took: float | None = None) -> View:
        """Move. The same move again, and one that was made meanwhile, change nothing.

        Args:
            ply: What the match stood at when the move was thought of.
            took: Seconds that it took by the player's own clock.

        Raises:
            Refused: If a rule forbids it.
        """
        return await self._do(who, commands.Play(ply, move, took))

    async def offer(self, who: str, what: OfferKind, answer: Answer | None = None) -> View:
        """Offer something, or answer what is offered.

        Raises:
            Refused: If there is no such offer, or it can't be made now.
        """
        view = await self._do(who, commands.answer_for(what, answer))
        is_agreed = view.seat is not None and view.offer == Offer("rematch", 1 - view.seat)
        if is_agreed and what == "rematch" and answer != "decline":
            return await self._play_again(who)
        return view

    async def act(self, who: str, action: Action) -> View:
        """Do something else than moving.

        Raises:
            Refused: If a rule forbids it.
        """

        def decide(match: State[Any, Any], moment: float) -> Events:
            seat = match.seat_of(who)
            gone = self._watchers.presence().gone_since  # as it is now: they may just have come
            command = commands.command_for(action, None if seat is None else gone[1 - seat])
            return commands.decide(match, seat, command, moment)

        return await self._change(who, decide)

    async def look(self, who: str) -> View:
        """Return the match as somebody sees it."""
        seat = self._match().seat_of(who)
        await self._watchers.looked(seat)
        return self._view(seat)

    async def look_back(self, who: str, ply: int) -> Still:
        """Return the match as it stood after so many of its game's events."""
        match = self._match()
        return domain.still(match, match.seat_of(who), ply, self._id)

    async def log(self, who: str) -> list[LogEntry]:
        """Return what has happened, as far as somebody may know it."""
        match = self._match()
        return domain.log(match, store.log(self.ctx.storage.sql), match.seat_of(who))

    async def sight(self, who: str) -> Sight:
        """Return what a bot needs to know."""
        match = self._match()
        seat = match.seat_of(who)
        if seat is None:
            raise Refused("not-a-player", "no such bot plays here")
        return sight(match, seat)

    async def begin_again(self, previous: str, wish: Wish, players: tuple[Player, Player]) -> None:
        """Be the rematch of another match. Asked again, it does nothing."""
        if self._course.state is None:
            rated = [await self._rated(player, wish.game) for player in players]
            await self._start(wish, list(enumerate(rated)), previous)

    # Called by the runtime.

    async def fetch(self, request: Request) -> Response:
        """Let somebody in, and show them the match if they haven't seen its newest state."""
        ws = request.web_socket
        if ws is None:
            return Response(426, text="expected a WebSocket")
        person = request.headers["x-person-id"]
        try:
            seat = self._match().seat_of(person)
        except Refused as refusal:
            return Response(404, text=str(refusal))
        format = "json" if request.query.get("as") == "json" else "html"
        self._watchers.accept(ws, seat, person, format)
        await self._watchers.came(seat)
        view = self._view(seat)
        has_seen_it = request.query.get("since") == view.version
        ws.send(views.render("presence" if has_seen_it else "news", view, format))
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        """Refuse to listen. Commands come by HTTP, which has answers; a ping is answered anyway."""
        ws.close(1008, "moves are sent by POST")

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        """Note that a window is gone."""
        await self._watchers.left(ws)

    async def alarm(self, invocation: AlarmInvocation) -> None:
        """End what is over by time, or show who is there, or deliver letters."""
        if await self._course.deliver(invocation) or self._course.state is None:
            return
        moment = max(self._now(), invocation.scheduled_time)
        if invocation.name == CLOCK:
            await self._happen(timeouts.pass_time(self._match(), moment))
            await self._wind()
        elif invocation.name == ALARM:
            gone_since = self._watchers.presence().gone_since
            await self._happen(timeouts.give_up_waiting(self._match(), gone_since, moment))
            self._show("presence")
            await self._watchers.wind()

    # Load, decide, store, show.

    async def _do(self, who: str, command: Command) -> View:
        def decide(match: State[Any, Any], moment: float) -> Events:
            return commands.decide(match, match.seat_of(who), command, moment)

        return await self._change(who, decide)

    async def _change(self, who: str, decide: Callable[[State[Any, Any], float], Events]) -> View:
        """Let happen what `decide` says, after what has happened by itself meanwhile."""
        await self._pauses.watch(self._match(), self._now())
        moment = self._now()
        await self._happen(timeouts.pass_time(self._match(), moment))
        try:
            self._pace.step(self._match().seat_of(who), moment)
            events = decide(self._match(), moment)
        except Refused as refusal:
            refusal.view = self._view(self._match().seat_of(who))
            raise
        await self._happen(events)
        seat = self._match().seat_of(who)
        await self._watchers.heard_of(seat, self._match())
        return self._view(seat)

    async def _happen(self, events: Events) -> None:
        """Keep what has happened, in one commit with all that follows from it, and show it."""
        if not events:
            return
        await self._course.add(events)
        await self._watchers.expect(self._match(), events)
        await self._wind()
        self._show("news")

    async def _wind(self) -> None:
        """Set the alarm for what happens next if nobody does anything."""
        deadline = self._match().deadline
        if deadline is None:
            await self.ctx.storage.delete_alarm(name=CLOCK)
        else:
            await self.ctx.storage.set_alarm(deadline, name=CLOCK)

    def _show(self, what: views.What) -> None:
        around, match = cache(self._around), self._match()  # once, and only if somebody is there
        self._watchers.show(
            lambda seat, format: views.render(what, domain.view(match, seat, around()), format)
        )

    async def _resume(self) -> None:
        """Give back the time in which the server was away, before anything is judged by it."""
        await self._watchers.notice_lost()
        match = self._match()
        if match.phase is not Phase.PLAYING:
            return
        if seconds := await self._pauses.since_last_event(match):
            store.all_gone_at(self.ctx.storage.sql, self._now())
            await self._watchers.wind()
            await self._pauses.watch(match, self._now())  # for longer than was thought before
            await self._happen((Paused(self._now(), seconds + RETURN_SECONDS),))

    # Beginning.

    async def _begin(self, wish: Wish, player: Player) -> None:
        seat = seat_in(self._id, wish.seat)
        players = [(seat, player)]
        if wish.opponent == "bot":
            players.append((1 - seat, bot_of(self._id)))
        await self._start(wish, players)

    async def _start(
        self, wish: Wish, players: Sequence[tuple[int, Player]], previous: str | None = None
    ) -> None:
        opened = Opened(self._now(), wish.game, wish.control, wish.opponent, previous)
        if len(players) > 1:  # the clocks begin to run with this
            await self._pauses.watch(begin(opened), opened.at)
        if self._course.state is not None:
            return  # asked for twice at once
        moment = self._now()
        seated = [Seated(moment, seat, player) for seat, player in players]
        await self._happen((replace(opened, at=moment), *seated))

    async def _play_again(self, who: str) -> View:
        match = self._match()
        following = id_after(self._id)
        opened = match.opened
        first, second = (
            bot_of(following) if player.is_bot else player for player in match.players if player
        )
        wish = Wish(opened.game, opened.control, opened.opponent)
        again = self.env.matches.get_by_name(following)
        await again.begin_again(self._id, wish, (second, first))
        return await self._change(
            who, lambda match, moment: commands.agree_rematch(match, following, moment)
        )

    async def _rated(self, player: Player, game: str) -> Player:
        if player.is_bot:
            return player
        return replace(player, rating=await self.env.players.get_by_name(player.id).rating(game))

    def _may_sit_down(self, who: str, key: str) -> bool:
        match = self._match()
        is_open = match.opened.opponent != "link" or match.phase is not Phase.WAITING
        return (
            is_open
            or match.seat_of(who) is not None
            or hmac.compare_digest(key.encode(), self._course.key.encode())
        )

    # What it looks like.

    def _view(self, seat: int | None) -> View:
        return domain.view(self._match(), seat, self._around())

    def _around(self) -> domain.Around:
        course, presence = self._course, self._watchers.presence()
        return domain.Around(course.id, course.version, course.key, presence, self._now())

    def _match(self) -> State[Any, Any]:
        if self._course.state is None:
            raise Refused("not-open", "there is no such match")
        return self._course.state

    @property
    def _id(self) -> str:
        return self._course.id

    def _now(self) -> float:
        return now(self.ctx.storage.sql)
