"""People in rooms, and what their windows show, for tests of the chat's objects."""

from __future__ import annotations

from typing import Any, Final

from apps.chat.app import APP
from apps.chat.domain import Person
from apps.chat.objects import ChatRoom
from runtime.testing import ClientSocket, TestRuntime

BINDINGS: Final = APP.bindings
ADA: Final = Person("1", "Ada")
BOB: Final = Person("2", "Bob")
CLEO: Final = Person("3", "Cleo")


async def enter(
    runtime: TestRuntime[Any], room: ChatRoom, person: Person, query: str = ""
) -> ClientSocket:
    """Open somebody's window on the room."""
    headers = {"x-person-id": person.id, "x-person-name": person.name}
    return await runtime.connect(room, f"/chat/tea/ws{query}", headers=headers)


def pushes(ws: ClientSocket, what: str) -> list[str]:
    """Return, and take, what a window was pushed that contains `what`."""
    found = [str(push) for push in ws.received if what in str(push)]
    ws.received.clear()
    return found
