"""All apps as one site."""

from __future__ import annotations

from typing import Final

from litestar import Litestar, get
from litestar.response import Template

from apps.booking.app import APP as BOOKING
from apps.chat.app import APP as CHAT
from apps.edge import GuestRequest
from apps.game.app import APP as GAME
from apps.learn.app import APP as LEARN
from apps.web import App, create_site
from runtime import RuntimeConfig

DOORS: Final = (
    ("/chat", "Chat", "A room to talk in: nothing said is lost, nothing comes twice."),
    ("/game", "Games", "Boards for two, live or over days: the clocks are never wrong."),
    ("/booking", "Booking", "Seats for a crowd: none is ever sold twice."),
    ("/learn", "Learn", "Five tutorials, beside the living objects that they are about."),
)
"""What the front page leads to: paths, names, and a sentence each."""


@get("/", include_in_schema=False)
async def front(request: GuestRequest) -> Template:
    """Show what there is."""
    return Template("front.html", context={"guest": request.user, "doors": DOORS})


FRONT = App(bindings={}, handlers=[front])


def create_app(config: RuntimeConfig | None = None) -> Litestar:
    """Return the site that ``python -m apps`` serves."""
    return create_site(config or RuntimeConfig(), FRONT, CHAT, GAME, BOOKING, LEARN)
