"""The chat, wired together."""

from __future__ import annotations

from litestar import Litestar
from litestar.di import Provide

from apps.chat import routes
from apps.chat.objects import ChatRoom
from apps.web import App, create_site
from runtime import RuntimeConfig

APP = App(
    bindings={"rooms": ChatRoom},
    handlers=[
        routes.home,
        routes.enter,
        routes.show_room,
        routes.say,
        routes.room_socket,
        routes.post_message,
        routes.list_messages,
    ],
    dependencies={"room_name": Provide(routes.provide_room_name)},
)


def create_app(config: RuntimeConfig | None = None) -> Litestar:
    """Return the chat as an application of its own."""
    return create_site(config or RuntimeConfig(), APP)
