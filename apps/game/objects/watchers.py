"""Who has a match open: sockets of both players and of others, each shown what they may see."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

from apps.game.domain.match import Events, Match, Seated
from apps.game.domain.timeouts import CLAIM_SECONDS, GONE_SECONDS
from apps.game.domain.view import Presence
from apps.game.store import match as store
from apps.game.store import now
from runtime import DurableObjectState, WebSocket, WebSocketRequestResponsePair

ALARM: Final = "watchers"
COUNT_SECONDS: Final = 1.0  # in which any number of people may come and go, and are counted once
AUDIENCES: Final = (0, 1, None)
FORMATS: Final = ("html", "json")

Render = Callable[[int | None, str], str]
"""Makes what an audience is sent: for a seat, or None for those who watch, in a format."""


class Watchers:
    """The sockets of a match, by who may see what, and which of its players is there.

    A socket's audience is its tag, given when it is accepted and never changed. So what goes to a
    tag is made once, however many have it, and can't reach anybody else.
    """

    def __init__(self, ctx: DurableObjectState) -> None:
        self._ctx = ctx
        ctx.set_web_socket_auto_response(WebSocketRequestResponsePair("ping", "pong"))

    def accept(self, ws: WebSocket, seat: int | None, person: str, format: str) -> None:
        """Let somebody in."""
        self._ctx.accept_web_socket(ws, tags=[_tag(seat, format)])
        ws.serialize_attachment({"seat": seat, "person": person or secrets.token_hex(8)})

    def show(self, render: Render) -> None:
        """Send everybody what they may see, rendered once for each audience that there is."""
        for seat in AUDIENCES:
            for format in FORMATS:
                tag = _tag(seat, format)
                if self._ctx.get_web_sockets(tag):
                    self._ctx.broadcast(render(seat, format), tag=tag)

    def presence(self) -> Presence:
        """Return who is there."""
        people = {self._of(ws)["person"] for ws in self._sockets(None)}
        return Presence(store.gone_since(self._ctx.storage.sql), len(people))

    async def came(self, seat: int | None) -> None:
        """Note that somebody is there; the others see it soon."""
        if seat is not None:
            store.note_presence(self._ctx.storage.sql, seat, None)
        await self._soon()

    async def expect(self, match: Match[Any, Any], events: Events) -> None:
        """Note who has sat down, where there are no days for a move: they are to come, and gone as
        long as they haven't."""
        seated = [event for event in events if isinstance(event, Seated)]
        if not seated or match.control.days is not None:
            return
        for event in seated:
            if not event.player.is_bot and not self._sockets(event.seat):
                store.note_expected(self._ctx.storage.sql, event.seat, event.at)
        await self.wind()

    async def looked(self, seat: int | None) -> None:
        """Note that somebody has asked for the match, which is all that they can do without a
        window before they move."""
        if seat is not None and store.is_expected(self._ctx.storage.sql, seat):
            store.note_expected(self._ctx.storage.sql, seat, self._now())
            await self.wind()

    async def heard_of(self, seat: int | None, match: Match[Any, Any]) -> None:
        """Note that somebody has done something, so that if they have no window, they aren't gone
        for longer than since now; and not at all, if they play without ever having had one."""
        sql = self._ctx.storage.sql
        if seat is None or store.gone_since(sql)[seat] is None:
            return
        if not store.is_expected(sql, seat):
            store.note_presence(sql, seat, self._now())
        elif match.has_moved(seat):
            store.expect_no_longer(sql, seat)
        else:
            store.note_expected(sql, seat, self._now())
        await self.wind()

    async def left(self, ws: WebSocket) -> None:
        """Note that a socket is closed; if it was a player's last, they are gone."""
        seat = self._of(ws)["seat"]
        if seat is None:
            await self._soon()
        elif not any(other is not ws for other in self._sockets(seat)):
            store.note_presence(self._ctx.storage.sql, seat, self._now())
            await self.wind()

    async def notice_lost(self) -> None:
        """Note which players' sockets are gone though nobody has heard them close: the process
        that had them is gone."""
        sql = self._ctx.storage.sql
        lost = [seat for seat in store.seats_here(sql) if not self._sockets(seat)]
        for seat in lost:
            store.note_presence(sql, seat, self._now())
        if lost:
            await self.wind()

    async def wind(self) -> None:
        """Set the alarm for when somebody's absence next means something."""
        moment = self._now()
        absences = [gone for gone in store.gone_since(self._ctx.storage.sql) if gone is not None]
        steps = [gone + step for gone in absences for step in (GONE_SECONDS, CLAIM_SECONDS)]
        if later := [step for step in steps if step > moment]:
            await self._ring_by(min(later))

    async def _soon(self) -> None:
        await self._ring_by(self._now() + COUNT_SECONDS)

    async def _ring_by(self, moment: float) -> None:
        due = await self._ctx.storage.get_alarm(name=ALARM)
        if due is None or due > moment:
            await self._ctx.storage.set_alarm(moment, name=ALARM)

    def _sockets(self, seat: int | None) -> list[WebSocket]:
        found = [ws for format in FORMATS for ws in self._ctx.get_web_sockets(_tag(seat, format))]
        return [ws for ws in found if ws.ready_state == "open"]

    def _of(self, ws: WebSocket) -> dict[str, Any]:
        attachment: dict[str, Any] = ws.deserialize_attachment()
        return attachment

    def _now(self) -> float:
        return now(self._ctx.storage.sql)


def _tag(seat: int | None, format: str) -> str:
    return f"{'watching' if seat is None else seat} {format}"
