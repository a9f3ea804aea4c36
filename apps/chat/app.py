"""The chat, wired together."""

from __future__ import annotations

from dataclasses import dataclass

from litestar import Litestar
from litestar.di import Provide

from apps.chat import routes
from apps.chat.objects import ChatRoom
from apps.web import create_site
from runtime import DurableObjectNamespace, RuntimeConfig


@dataclass(frozen=True, slots=True)
class Env:
    """What the chat's handlers and objects can reach."""

    rooms: DurableObjectNamespace[ChatRoom]


def create_app(config: RuntimeConfig | None = None) -> Litestar:
    """Return the chat as an application of its own."""
    return create_site(
        config or RuntimeConfig(),
        bindings={"rooms": ChatRoom},
        env=Env,
        handlers=[
            routes.home,
            routes.go_home,
            routes.enter,
            routes.show_room,
            routes.say,
            routes.room_socket,
            routes.identify,
            routes.post_message,
            routes.list_messages,
        ],
        dependencies={"room_name": Provide(routes.provide_room_name)},
    )
