"""What the game's objects can reach: each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from apps.game.objects.bot import Bot
    from apps.game.objects.lobby import Lobby
    from apps.game.objects.match import Match
    from apps.game.objects.player import Player
    from apps.game.objects.pulse import Pulse
    from runtime import DurableObjectNamespace

LOBBY = "main"  # there is one


class Env(Protocol):
    """The bindings of this app, among those of all."""

    matches: DurableObjectNamespace[Match]
    lobby: DurableObjectNamespace[Lobby]
    players: DurableObjectNamespace[Player]
    bots: DurableObjectNamespace[Bot]
    pulses: DurableObjectNamespace[Pulse]
