"""What goes on behind a room, in development: awake or asleep, and things to do to it.

Messages are said and shown exactly once through all of it: that is what one is to see.
"""

from contextlib import suppress
from enum import StrEnum

from litestar import get, post
from litestar.response import Redirect, Template

from apps.chat import domain, views
from apps.chat.domain import Happening, NotThere, Unacceptable
from apps.chat.routes.edge import TheVisit, Visit
from apps.edge import Form, NamedRequest, is_htmx
from apps.identity import needs_guest
from runtime import errors


class Prank(StrEnum):
    """What may be done to a room."""

    EVICT = "evict"
    """Take it out of memory, as happens by itself after a while."""
    DROP = "drop"
    """Close one's own windows, as a bad network does."""
    RESTART = "restart"
    """Lose its memory and all sockets, as in a crash."""


@get("/chat/{room:str}/strip", guards=[needs_guest], include_in_schema=False)
async def show_strip(request: NamedRequest, visit: TheVisit) -> Template:
    """Show what goes on, to the room's creator."""
    _check_development(visit)
    known: set[tuple[str, str]] = request.app.state.setdefault("creators", set())
    if (visit.address, visit.asker.id) not in known:  # to ask the room each time keeps it awake
        domain.check_may_moderate((await visit.room.scene(visit.asker)).me)
        known.add((visit.address, visit.asker.id))
    return _strip(visit)


@post("/chat/{room:str}/strip", guards=[needs_guest], include_in_schema=False, status_code=200)
async def play_prank(request: NamedRequest, visit: TheVisit, data: Form) -> Template | Redirect:
    """Do something to the room; its creator can."""
    _check_development(visit)
    match data.get("do"):
        case Prank.EVICT:
            domain.check_may_moderate((await visit.room.scene(visit.asker)).me)
            visit.runtime.evict(visit.room)
        case Prank.DROP:
            await visit.room.drop_windows(visit.asker)
        case Prank.RESTART:
            with suppress(errors.ObjectReset):  # as was asked for
                await visit.room.restart(visit.asker)
        case _:
            raise Unacceptable("there is no such thing to do to a room")
    if not is_htmx(request):
        return Redirect(f"/chat/{visit.address}", status_code=303)
    return _strip(visit)


def _strip(visit: Visit) -> Template:
    now = visit.runtime.glimpse(visit.room)
    happening = Happening(
        now.is_awake,
        tuple(visit.runtime.why_awake(visit.room)),
        now.sockets,
        now.commits,
        now.waiting,
        now.held_back,
    )
    return Template("chat/_strip.html", context=views.strip(visit.address, happening))


def _check_development(visit: Visit) -> None:
    if not visit.runtime.config.debug:
        raise NotThere("this is for development")
