"""The course of a match: its log, and what that comes to."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any, Final

from apps.game.domain.match import Events, Match
from apps.game.objects.env import Env
from apps.game.objects.letters import deliver, letters
from apps.game.store import match as store
from runtime import AlarmInvocation, DurableObjectState
from runtime.patterns.outbox import Outbox

_KEY: Final = "key"  # what lets somebody sit down who was sent the link


class Course:
    """A match as it is kept, with those who are to hear of it.

    What the log comes to stays in memory, so that not every move has to fold it. It changes with
    the log and never else, so the object may be evicted between any two events.
    """

    def __init__(self, ctx: DurableObjectState, env: Env) -> None:
        self._ctx = ctx
        self._outbox = Outbox(ctx, partial(deliver, env))
        self._seq = 0
        self._key: str | None = None
        self.state: Match[Any, Any] | None = None
        """What the log comes to; None as long as the match isn't opened."""
        if (found := store.load(ctx.storage.sql)) is not None:
            self._seq, self.state = found

    @property
    def match(self) -> Match[Any, Any]:
        """What the log comes to."""
        assert self.state is not None, "it was opened"
        return self.state

    @property
    def id(self) -> str:
        """What the match is called, in addresses too."""
        return str(self._ctx.id.name)

    @property
    def version(self) -> str:
        """What tells this state of the match from all others."""
        return f"{self._seq}-{int(self.match.changed_at * 1000):x}"

    @property
    def key(self) -> str:
        """What lets somebody sit down who was sent the link."""
        if self._key is None:
            self._key = str(self._ctx.storage.kv.get(_KEY, ""))
        return self._key

    async def add(self, events: Events) -> None:
        """Keep what has happened, and write to whom it concerns, in one commit."""
        sql = self._ctx.storage.sql
        if self.state is None:
            self._key = secrets.token_urlsafe(12)
            self._ctx.storage.kv.put(_KEY, self._key)
        self._seq, self.state = store.append(sql, self._seq, self.state, events)
        for to, body in letters(self.id, self.state, events):
            await self._outbox.send(to, body)

    async def deliver(self, invocation: AlarmInvocation) -> bool:
        """Deliver letters. Returns whether that is what the alarm was for."""
        return await self._outbox.alarm(invocation)
