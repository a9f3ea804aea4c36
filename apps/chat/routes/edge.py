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

Asker = NamedDependency[Person]
"""Who asks."""
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


class Visit:
    """Somebody at the door of the room that a path names, and all that a handler needs for them.

    One dependency and not five: Litestar resolves several in tasks of their own, which took a
    tenth of what a message costs.
    """

    def __init__(self, request: Request[Any, Any, Any], address: str) -> None:
        self.address = address
        """How the room is called in addresses, in its one spelling."""
        self.runtime: Runtime[Any] = DurableObjectsPlugin.of(request.app).runtime
        self.room = stub_of(self.runtime.env.rooms, address)
        self._request = request

    @property
    def asker(self) -> Person:
        """Who asks. Raises `NotAuthorizedException` if that is nobody."""
        return person_of(self._request)

    async def spend(self, what: str) -> None:
        """Count something that they do: one of `domain.LIMITS`.

        Raises:
            TooSoon: If they have done too much of it.
        """
        await spend(self.runtime.env.limits, f"person:{self.asker.id}", what)


TheVisit = NamedDependency[SkipValidation[Visit]]


async def provide_visit(request: Request[Any, Any, Any], room: FromPath[str]) -> Visit:
    """Dependency: who asks for which room."""
    return Visit(request, domain.room_address(room))


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
        return model.model_validate_strings(form)
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
