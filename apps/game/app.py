"""The game, wired together."""

from __future__ import annotations

from litestar import Litestar, Router
from litestar.di import Provide

from apps.game import routes
from apps.game.objects.bot import Bot
from apps.game.objects.lobby import Lobby
from apps.game.objects.match import Match
from apps.game.objects.player import Player
from apps.game.objects.pulse import Pulse
from apps.game.routes import problems
from apps.web import App, create_site
from runtime import RuntimeConfig

APP = App(
    bindings={"matches": Match, "lobby": Lobby, "players": Player, "bots": Bot, "pulses": Pulse},
    handlers=[
        Router(
            "/",
            route_handlers=[
                routes.home,
                routes.show_open,
                routes.open_from_page,
                routes.show_match,
                routes.join_from_page,
                routes.move_from_page,
                routes.propose_from_page,
                routes.match_socket,
                routes.open_match,
                routes.list_open,
                routes.join,
                routes.move,
                routes.propose,
                routes.look,
                routes.read_log,
            ],
            exception_handlers=problems.EXCEPTION_HANDLERS,
        )
    ],
    dependencies={"match_id": Provide(routes.provide_match_id)},
)


def create_app(config: RuntimeConfig | None = None) -> Litestar:
    """Return the game as an application of its own."""
    return create_site(config or RuntimeConfig(), APP)
