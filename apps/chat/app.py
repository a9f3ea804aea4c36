"""The chat, wired together."""

from __future__ import annotations

from litestar import Litestar

from apps.chat import routes
from apps.chat.objects import ChatRoom, RateLimiter, RoomDirectory, UserInbox
from apps.web import App, create_site
from runtime import RuntimeConfig

APP = App(
    bindings={
        "rooms": ChatRoom,
        "directory": RoomDirectory,
        "inboxes": UserInbox,
        "limits": RateLimiter,
    },
    handlers=[routes.router],
)


def create_app(config: RuntimeConfig | None = None) -> Litestar:
    """Return the chat as an application of its own."""
    return create_site(config or RuntimeConfig(), APP)
