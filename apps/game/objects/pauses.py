"""How a match learns for how long the server wasn't there."""

from __future__ import annotations

from typing import Any, Final

from apps.game.domain.clock import Control, paused_for
from apps.game.domain.commands import MORE_TIME_SECONDS
from apps.game.domain.match import FIRST_MOVE_SECONDS, Match, Phase
from apps.game.objects.env import Env
from apps.game.objects.pulse import COARSE, FINE, Pulse
from runtime import DurableObjectState

AHEAD_SECONDS: Final = 300.0  # so that a match doesn't ask for beats with every move
_WATCHED: Final = "watched until"


class Pauses:
    """Has the pulse beat while a match's clocks run, and asks it what it has noticed.

    A match can't tell by itself. It may have been asleep since the last move, in a process that
    is well; and one that was killed leaves behind exactly what one leaves that only sleeps.
    """

    def __init__(self, ctx: DurableObjectState, env: Env) -> None:
        self._ctx = ctx
        self._env = env
        self._watched: float = ctx.storage.kv.get(_WATCHED, 0.0)

    async def watch(self, match: Match[Any, Any], moment: float) -> None:
        """See to it that there is a pulse until the next deadline, whatever is done until then.

        To be awaited before a clock begins to run: a death after that is noticed.
        """
        if match.phase is Phase.FINISHED:
            return
        needed = moment + max(*match.clocks.left, match.control.allotted)
        needed += match.control.increment + MORE_TIME_SECONDS + FIRST_MOVE_SECONDS
        if self._watched < needed:
            until = needed + AHEAD_SECONDS
            await self._pulse(match.control).watch(until)
            self._watched = max(until, self._watched)  # others may have asked meanwhile
            self._ctx.storage.kv.put(_WATCHED, self._watched)

    async def since_last_event(self, match: Match[Any, Any]) -> float:
        """Return for how many seconds the server wasn't there since something last happened."""
        outages = await self._pulse(match.control).outages(match.changed_at)
        return paused_for(outages, match.changed_at)

    def _pulse(self, control: Control) -> Pulse:
        return self._env.pulses.get_by_name(str(FINE if control.days is None else COARSE))
