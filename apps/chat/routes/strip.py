"""What goes on behind a room, in development: awake or asleep, and things to do to it.

Messages are said and shown exactly once through all of it: that is what one is to see.
"""

from contextlib import suppress
from enum import StrEnum
from typing import Any

from litestar import get, post
from litestar.response import Redirect, Template

from apps.chat import domain, views
from apps.chat.domain import Happening, NotThere, Unacceptable
from apps.chat.objects import ChatRoom
from apps.chat.routes.edge import (
    Address,
    Asker,
    TheRoom,
    TheRuntime,
)
from apps.edge import Form, NamedRequest, is_htmx
from apps.identity import needs_guest
from runtime import Runtime, errors


class Prank(StrEnum):
    """What may be done to a room."""

    EVICT = "evict"
    """Take it out of memory, as happens by itself after a while."""
    DROP = "drop"
    """Close one's own windows, as a bad network does."""
    RESTART = "restart"
    """Lose its memory and all sockets, as in a crash."""


@get("/chat/{room:str}/strip", guards=[needs_guest], include_in_schema=False)
async def show_strip(the_room: TheRoom, address: Address, the_runtime: TheRuntime) -> Template:
    """Show what goes on. The room isn't asked, which would wake it; so anybody may look."""
    return _strip(the_runtime, the_room, address)


@post("/chat/{room:str}/strip", guards=[needs_guest], include_in_schema=False, status_code=200)
async def play_prank(
    request: NamedRequest,
    the_room: TheRoom,
    address: Address,
    asker: Asker,
    data: Form,
    the_runtime: TheRuntime,
) -> Template | Redirect:
    """Do something to the room; its creator can."""
    _check_development(the_runtime)
    match data.get("do"):
        case Prank.EVICT:
            domain.check_may_moderate((await the_room.scene(asker)).me)
            the_runtime.evict(the_room)
        case Prank.DROP:
            await the_room.drop_windows(asker)
        case Prank.RESTART:
            with suppress(errors.ObjectReset):  # as was asked for
                await the_room.restart(asker)
        case _:
            raise Unacceptable("there is no such thing to do to a room")
    if not is_htmx(request):
        return Redirect(f"/chat/{address}", status_code=303)
    return _strip(the_runtime, the_room, address)


def _strip(runtime: Runtime[Any], room: ChatRoom, address: str) -> Template:
    _check_development(runtime)
    now = runtime.glimpse(room)
    happening = Happening(
        now.is_awake,
        tuple(runtime.why_awake(room)),
        now.sockets,
        now.commits,
        now.waiting,
        now.held_back,
    )
    return Template("chat/_strip.html", context=views.strip(address, happening))


def _check_development(runtime: Runtime[Any]) -> None:
    if not runtime.config.debug:
        raise NotThere("this is for development")
