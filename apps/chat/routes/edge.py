"""What all handlers of the chat need: who asks, for which room, and how a refusal is told."""

from math import ceil
from typing import Annotated, Any, TypeVar

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath, PathParameter, QueryParameter, SkipValidation
from litestar.response import Response, Template
from pydantic import BaseModel, ValidationError

from apps.chat import domain
from apps.chat.domain import (
    ChatRefusal,
    NotAllowed,
    NotThere,
    Outdated,
    Person,
    RoomKind,
    TooSoon,
    Unacceptable,
)
from apps.chat.objects import ChatRoom, RateLimiter, RoomDirectory, UserInbox
from apps.edge import is_htmx, sentence_of
from apps.identity import who
from runtime import DurableObjectNamespace, Runtime
from runtime.litestar import DurableObjectsPlugin

# Whoever names a parameter by a binding gets its namespace, from the plugin.
Rooms = NamedDependency[DurableObjectNamespace[ChatRoom]]
Directory = NamedDependency[DurableObjectNamespace[RoomDirectory]]
Inboxes = NamedDependency[DurableObjectNamespace[UserInbox]]
Limits = NamedDependency[DurableObjectNamespace[RateLimiter]]

Address = NamedDependency[str]
"""How a room is called in addresses, in its one spelling."""
TheRoom = NamedDependency[SkipValidation[ChatRoom]]
"""A stub of the room that a path names."""
Asker = NamedDependency[Person]
"""Who asks."""
TheRuntime = NamedDependency[Runtime[Any]]
Seq = Annotated[int, PathParameter(ge=0, le=10**15)]
Number = Annotated[int | None, QueryParameter(ge=0, le=10**15)]

STATUS = {
    Unacceptable: 422,
    NotAllowed: 403,
    NotThere: 404,
    Outdated: 409,
    TooSoon: 429,
}

M = TypeVar("M", bound=BaseModel)


async def provide_address(room: FromPath[str]) -> str:
    """Dependency: the one spelling of the room that a path names."""
    return domain.room_address(room)


async def provide_the_room(address: Address, rooms: Rooms) -> ChatRoom:
    """Dependency: the room that a path names."""
    return stub_of(rooms, address)


async def provide_runtime(request: Request[Any, Any, Any]) -> Runtime[Any]:
    """Dependency: what all objects run in."""
    return DurableObjectsPlugin.of(request.app).runtime


async def provide_asker(request: Request[Any, Any, Any]) -> Person:
    """Dependency: who asks."""
    return person_of(request)


def person_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Person:
    """Return who asks, or raise `NotAuthorizedException`."""
    guest = who(connection)
    return Person(guest.id, guest.name)


def stub_of(rooms: DurableObjectNamespace[ChatRoom], address: str) -> ChatRoom:
    """Return the room that is called so in addresses.

    Raises:
        NotThere: If it is called as private rooms are, but none ever was.
    """
    if domain.room_kind(address) is not RoomKind.PRIVATE:
        return rooms.get_by_name(address)
    try:
        return rooms.get(rooms.id_from_string(address))
    except TypeError as error:
        raise NotThere("there is no such room") from error


async def spend(limits: DurableObjectNamespace[RateLimiter], whose: str, what: str) -> None:
    """Count something that somebody does.

    Args:
        whose: ``person:…`` or ``address:…``.
        what: One of `domain.LIMITS`.

    Raises:
        TooSoon: If they have done too much of it.
    """
    if wait := await limits.get_by_name(whose).take(what):
        raise TooSoon(f"that was too quick; try again in {ceil(wait)} s", wait)


def read_form(model: type[M], form: dict[str, str]) -> M:
    """Return what a form says.

    Raises:
        Unacceptable: If something in it isn't acceptable.
    """
    try:
        return model.model_validate(form)
    except ValidationError as error:
        raise Unacceptable(sentence_of(error)) from error


def status_of(refusal: ChatRefusal) -> int:
    """Return the HTTP status that says the same."""
    return next(status for kind, status in STATUS.items() if isinstance(refusal, kind))


def headers_of(refusal: ChatRefusal) -> dict[str, str]:
    """Return the headers that say more of a refusal."""
    return {"Retry-After": str(ceil(refusal.wait))} if isinstance(refusal, TooSoon) else {}


def answer_refusal(request: Request[Any, Any, Any], refusal: ChatRefusal) -> Response[Any]:
    """Tell whoever asked why not: a fragment, a page or a problem, with its status."""
    status, headers = status_of(refusal), headers_of(refusal)
    if is_htmx(request):
        context = {"notice": str(refusal)}
        return Template("chat/_notice.html", context=context, status_code=status, headers=headers)
    error = HTTPException(status_code=status, detail=str(refusal), headers=headers)
    answer: Response[Any] = request.app.exception_handlers[HTTPException](request, error)
    return answer
