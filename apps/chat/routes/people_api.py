"""The same for programs: people, and what a room's creator may do."""

from litestar import delete, get, post, put
from litestar.params import FromPath, JSONBody

from apps.chat.domain import AuditRow, NotAllowed, Standing
from apps.chat.events import Mute, RoomOpened, SlowDown
from apps.chat.routes.api import API, ROOM
from apps.chat.routes.commands import opened_direct
from apps.chat.routes.edge import Asker, Limits, Rooms, TheRoom, spend

SOMEBODY = f"{ROOM}/people/{{id:str}}"


@get(f"{ROOM}/people", **API)
async def list_people(the_room: TheRoom, asker: Asker) -> list[Standing]:
    """List whom the room knows: who is there, who was, who may not do what."""
    return list((await the_room.about(asker)).standings)


@post(f"{SOMEBODY}/direct", **API)
async def open_direct_room(
    the_room: TheRoom, asker: Asker, id: FromPath[str], rooms: Rooms, limits: Limits
) -> RoomOpened:
    """Open the room of you and somebody whom you have met in this one. Nobody else can enter."""
    return RoomOpened(room=await opened_direct(the_room, asker, id, rooms, limits))


@put(f"{SOMEBODY}/mute", status_code=204, **API)
async def mute_person(
    the_room: TheRoom, asker: Asker, id: FromPath[str], data: JSONBody[Mute], limits: Limits
) -> None:
    """Have somebody not speak for so many minutes; 0 ends it."""
    await spend(limits, f"person:{asker.id}", "change")
    await the_room.mute(asker, id, data.minutes)


@post(f"{SOMEBODY}/kick", status_code=204, **API)
async def kick_person(the_room: TheRoom, asker: Asker, id: FromPath[str], limits: Limits) -> None:
    """Close somebody's sockets with 4403. They may come back."""
    await spend(limits, f"person:{asker.id}", "change")
    await the_room.kick(asker, id)


@put(f"{SOMEBODY}/ban", status_code=204, **API)
async def ban_person(the_room: TheRoom, asker: Asker, id: FromPath[str], limits: Limits) -> None:
    """Close somebody's sockets with 4403, and don't let them in any more."""
    await spend(limits, f"person:{asker.id}", "change")
    await the_room.ban(asker, id, is_on=True)


@delete(f"{SOMEBODY}/ban", **API)
async def unban_person(the_room: TheRoom, asker: Asker, id: FromPath[str], limits: Limits) -> None:
    """Let somebody in again."""
    await spend(limits, f"person:{asker.id}", "change")
    await the_room.ban(asker, id, is_on=False)


@put(f"{ROOM}/slow", status_code=204, **API)
async def set_slow_mode(
    the_room: TheRoom, asker: Asker, data: JSONBody[SlowDown], limits: Limits
) -> None:
    """Have everybody but you wait so many seconds between two messages; 0 ends it."""
    await spend(limits, f"person:{asker.id}", "change")
    await the_room.slow_down(asker, data.seconds)


@get(f"{ROOM}/audit", **API)
async def read_audit(the_room: TheRoom, asker: Asker) -> list[AuditRow]:
    """List what you have done as the room's creator, newest first."""
    about = await the_room.about(asker)
    if not about.scene.me.is_creator:
        raise NotAllowed("only the room's creator can see that")
    return list(about.audit)
