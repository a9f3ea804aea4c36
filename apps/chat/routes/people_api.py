"""The same for programs: people, and what a room's creator may do."""

from litestar import delete, get, post, put
from litestar.params import FromPath, JSONBody

from apps.chat.domain import AuditRow, NotAllowed, Standing
from apps.chat.events import Mute, RoomOpened, SlowDown
from apps.chat.routes.api import API, ROOM
from apps.chat.routes.commands import opened_direct
from apps.chat.routes.edge import TheVisit

SOMEBODY = f"{ROOM}/people/{{id:str}}"


@get(f"{ROOM}/people", **API)
async def list_people(visit: TheVisit) -> list[Standing]:
    """List whom the room knows: who is there, who was, who may not do what."""
    return list((await visit.room.about(visit.asker)).standings)


@post(f"{SOMEBODY}/direct", **API)
async def open_direct_room(visit: TheVisit, id: FromPath[str]) -> RoomOpened:
    """Open the room of you and somebody whom you have met in this one. Nobody else can enter."""
    return RoomOpened(room=await opened_direct(visit, id))


@put(f"{SOMEBODY}/mute", status_code=204, **API)
async def mute_person(visit: TheVisit, id: FromPath[str], data: JSONBody[Mute]) -> None:
    """Have somebody not speak for so many minutes; 0 ends it."""
    await visit.spend("change")
    await visit.room.mute(visit.asker, id, data.minutes)


@post(f"{SOMEBODY}/kick", status_code=204, **API)
async def kick_person(visit: TheVisit, id: FromPath[str]) -> None:
    """Close somebody's sockets with 4403. They may come back."""
    await visit.spend("change")
    await visit.room.kick(visit.asker, id)


@put(f"{SOMEBODY}/ban", status_code=204, **API)
async def ban_person(visit: TheVisit, id: FromPath[str]) -> None:
    """Close somebody's sockets with 4403, and don't let them in any more."""
    await visit.spend("change")
    await visit.room.ban(visit.asker, id, is_on=True)


@delete(f"{SOMEBODY}/ban", **API)
async def unban_person(visit: TheVisit, id: FromPath[str]) -> None:
    """Let somebody in again."""
    await visit.spend("change")
    await visit.room.ban(visit.asker, id, is_on=False)


@put(f"{ROOM}/slow", status_code=204, **API)
async def set_slow_mode(visit: TheVisit, data: JSONBody[SlowDown]) -> None:
    """Have everybody but you wait so many seconds between two messages; 0 ends it."""
    await visit.spend("change")
    await visit.room.slow_down(visit.asker, data.seconds)


@get(f"{ROOM}/audit", **API)
async def read_audit(visit: TheVisit) -> list[AuditRow]:
    """List what you have done as the room's creator, newest first."""
    about = await visit.room.about(visit.asker)
    if not about.scene.me.is_creator:
        raise NotAllowed("only the room's creator can see that")
    return list(about.audit)
