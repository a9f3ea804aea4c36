"""Who is here: people, however many windows each of them has open.

The truth is the sockets that are open, with who they belong to in their attachments, which
outlive the object. What has to be written down is who has just left: for some seconds, as a key
with a deadline. So nobody is missing while their page is loaded again, and whatever happens to
the node, nobody stays for longer than that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runtime import AlarmInvocation, DurableObjectState, WebSocket


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody who is here."""

    id: str
    about: Any
    """As `Presence.join` was told last, of the sockets that are open."""
    is_away: bool
    """Whether all of their sockets are away."""


class Presence:
    """Who the sockets of an object belong to.

    A socket that has gone counts for a while as what it was, here or away: a page that is loaded
    again closes its socket just as one that is closed. Each method says whether the others see
    something else than before; tell them then.

    Invariants:
        - Somebody with an open socket is here. Somebody without one is for `grace_seconds` more.
        - Nothing is written but who has just left, and that is deleted when it is over.

    Args:
        ctx: The object's. Its class needs a method `alarm`, which calls `alarm` here.
        grace_seconds: How long somebody may be gone before it is seen.
        name: Of the alarm, and of what is kept: an entry of each attachment, which must be a
            dict if there is more in it, and keys that begin with it and a colon.
    """

    def __init__(
        self, ctx: DurableObjectState, *, grace_seconds: float = 5.0, name: str = "presence"
    ) -> None:
        self._ctx = ctx
        self._grace_seconds = grace_seconds
        self._name = name

    def people(self) -> list[Present]:
        """Return who is here, each once, in no particular order."""
        tabs: dict[str, list[Present]] = {}
        for ws in self._ctx.get_web_sockets():
            if (tab := self._tab(ws)) is not None:
                tabs.setdefault(tab.id, []).append(tab)
        for gone, until in self._gone():
            if until > self._now():
                tabs.setdefault(gone.id, []).append(gone)
        return [somebody for each in tabs.values() if (somebody := _seen(each)) is not None]

    def join(self, ws: WebSocket, id: str, about: Any = None, *, is_away: bool = False) -> bool:
        """Count a socket as one of somebody's.

        Args:
            ws: Accepted already, with `id` among its tags.
            about: What else to know of them, their name for instance: any value that fits into
                an attachment.
            is_away: Whether nobody looks at it yet.

        Raises:
            ValueError: If the socket doesn't have the tag. Nothing has changed.
        """
        if id not in self._ctx.get_tags(ws):
            raise ValueError(f"a socket of {id!r} must be accepted with that as a tag")
        before = self._find(id)
        self._attach(ws, Present(id, about, is_away))
        return self._find(id) != before

    def set_away(self, ws: WebSocket, is_away: bool) -> bool:
        """Note whether anybody looks at the page of this socket."""
        tab = self._tab(ws)
        if tab is None:
            return False
        before = self._find(tab.id)
        self._attach(ws, Present(tab.id, tab.about, is_away))
        return self._find(tab.id) != before

    async def leave(self, ws: WebSocket) -> bool:
        """Count a socket no longer, because it is closed. A second time does nothing."""
        tab = self._tab(ws)
        if tab is None:
            return False
        before = self._find(tab.id)
        self._attach(ws, None)
        if before is not None and before != _seen(self._tabs(tab.id)):
            await self._remember(before)
        return self._find(tab.id) != before

    async def alarm(self, invocation: AlarmInvocation) -> bool:
        """Let go of those whose time is over. An alarm of another name does nothing here."""
        if invocation.name != self._name:
            return False
        now = max(self._now(), invocation.scheduled_time)
        has_changed = False
        later = []
        for gone, until in self._gone():
            if until > now:
                later.append(until)
                continue
            self._ctx.storage.kv.delete(self._key(gone.id))
            tabs = self._tabs(gone.id)
            has_changed = has_changed or _seen(tabs) != _seen([*tabs, gone])
        if later:
            await self._ctx.storage.set_alarm(min(later), name=self._name)
        return has_changed

    def _find(self, id: str) -> Present | None:
        sightings = self._tabs(id)
        if (left := self._ctx.storage.kv.get(self._key(id))) is not None:
            gone, until = left
            sightings += [Present(**gone)] if until > self._now() else []
        return _seen(sightings)

    def _tabs(self, id: str) -> list[Present]:
        newest_first = reversed(self._ctx.get_web_sockets(id))
        return [tab for ws in newest_first if (tab := self._tab(ws)) is not None and tab.id == id]

    def _tab(self, ws: WebSocket) -> Present | None:
        entry = (ws.deserialize_attachment() or {}).get(self._name)
        return None if entry is None else Present(**entry)

    def _attach(self, ws: WebSocket, tab: Present | None) -> None:
        entry = None if tab is None else _plain(tab)
        ws.serialize_attachment({**(ws.deserialize_attachment() or {}), self._name: entry})

    async def _remember(self, gone: Present) -> None:
        until = self._now() + self._grace_seconds
        self._ctx.storage.kv.put(self._key(gone.id), (_plain(gone), until))
        due = await self._ctx.storage.get_alarm(name=self._name)
        if due is None or due > until:
            await self._ctx.storage.set_alarm(until, name=self._name)

    def _gone(self) -> Iterator[tuple[Present, float]]:
        for _, (gone, until) in self._ctx.storage.kv.list(prefix=self._key("")):
            yield Present(**gone), until

    def _key(self, id: str) -> str:
        return f"{self._name}:{id}"

    def _now(self) -> float:
        now: float = self._ctx.storage.sql.exec("SELECT unixepoch('subsec') AS now").one()["now"]
        return now


def _plain(somebody: Present) -> dict[str, Any]:
    return {"id": somebody.id, "about": somebody.about, "is_away": somebody.is_away}


def _seen(sightings: list[Present]) -> Present | None:
    """Return somebody as their windows together show them, the newest first."""
    if not sightings:
        return None
    newest = sightings[0]
    return Present(newest.id, newest.about, all(each.is_away for each in sightings))
