"""The chat's handlers: parse, call the room once, render one template."""

from typing import Annotated, Any
from uuid import NAMESPACE_OID, uuid4, uuid5

from litestar import Request, WebSocket, get, post, websocket
from litestar.di import NamedDependency
from litestar.exceptions import ClientException, NotAuthorizedException
from litestar.params import FromPath, JSONBody, QueryParameter, URLEncodedBody
from litestar.response import Redirect, Response, Template
from pydantic import ValidationError

from apps.chat import domain, views
from apps.chat.domain import BadRoomName, Person
from apps.chat.events import MessagePosted, PostMessage
from apps.chat.objects import ChatRoom
from apps.identity import Guest, NewGuest, Tokens, needs_guest, new_guest, who
from apps.problems import PROBLEMS
from apps.welcome import GuestRequest
from runtime import DurableObjectNamespace
from runtime.litestar import forward

# Whoever names a parameter `rooms` gets the namespace bound by that name, from the plugin.
Rooms = NamedDependency[DurableObjectNamespace[ChatRoom]]
Form = URLEncodedBody[dict[str, str]]
RoomName = NamedDependency[str]
Seq = Annotated[int | None, QueryParameter(ge=0, le=10**15)]
Limit = Annotated[int, QueryParameter(ge=1, le=2 * domain.PAGE)]

MAX_FRAME_BYTES = 1024  # clients have next to nothing to say on a room's socket
ROOMS_SHOWN = 500  # on the home page


async def provide_room_name(room: FromPath[str]) -> str:
    """Dependency: the one spelling of the room that a path names."""
    try:
        return domain.room_name(room)
    except BadRoomName as refusal:
        raise ClientException(str(refusal), status_code=422) from refusal


# Pages.


@get("/chat", include_in_schema=False)
async def home(request: GuestRequest, rooms: Rooms) -> Template:
    """Ask who somebody is, and where to."""
    return Template("chat/home.html", context=await _home(request, rooms))


@post("/chat", status_code=303, include_in_schema=False)
async def enter(
    request: GuestRequest, data: Form, rooms: Rooms, tokens: NamedDependency[Tokens]
) -> Response[Any]:
    """Take a name, if there is none yet, and go to the room."""
    form = {"name": data.get("name", ""), "room": data.get("room", "")}
    try:
        guest = request.user
        if form["name"] or guest is None:
            guest = new_guest(NewGuest(name=form["name"]), known=guest)
        to = Redirect(f"/chat/{domain.room_name(form['room'])}", status_code=303)
    except (ValidationError, BadRoomName) as refusal:
        context = await _home(request, rooms) | form | {"error": _sentence(refusal)}
        return Template("chat/home.html", context=context, status_code=422)
    to.cookies.append(tokens.cookie(guest, secure=request.url.scheme == "https"))
    return to


@get("/chat/{room:str}", include_in_schema=False)
async def show_room(request: GuestRequest, room_name: RoomName, rooms: Rooms) -> Template:
    """Show a room, or ask who is there first."""
    if request.user is None:
        return Template("chat/home.html", context=await _home(request, rooms) | {"room": room_name})
    scene = await rooms.get_by_name(room_name).scene()
    context = views.room(room_name, scene, request.user, client_id=str(uuid4()))
    return Template("chat/room.html", context=context)


@post("/chat/{room:str}/messages", guards=[needs_guest], include_in_schema=False)
async def say(
    request: Request[Guest, Any, Any], room_name: RoomName, data: Form, rooms: Rooms
) -> Template | Redirect:
    """Say something from the page. Without htmx the form works too, by redirect."""
    is_htmx = request.headers.get("hx-request") == "true"
    try:
        wanted = PostMessage.model_validate(data)
    except ValidationError as refusal:
        if not is_htmx:
            raise ClientException(_sentence(refusal), status_code=422) from refusal
        return Template(
            "chat/_notice.html", context={"notice": _sentence(refusal)}, status_code=422
        )
    author = Person(request.user.id, request.user.name)
    stub = rooms.get_by_name(room_name)
    message = await stub.post(author, wanted.client_id, wanted.text)
    if message.text != wanted.text:  # an old page, shown again: its id has been used
        again = uuid5(NAMESPACE_OID, f"{wanted.client_id} {wanted.text}")
        message = await stub.post(author, str(again), wanted.text)
    if not is_htmx:
        return Redirect(f"/chat/{room_name}#message-{message.seq}", status_code=303)
    return Template("chat/_new_message.html", context={"message": message})


@websocket("/chat/{room:str}/ws")
async def room_socket(
    socket: WebSocket[Guest | None, Any, Any], room: FromPath[str], rooms: Rooms
) -> None:
    """Hand somebody's socket to the room, with who they are in words it can trust."""
    try:
        stub = rooms.get_by_name(domain.room_name(room))
        guest = who(socket)
    except (BadRoomName, NotAuthorizedException) as refusal:  # no room is woken for nobody
        await socket.accept()
        await socket.close(1008, getattr(refusal, "detail", str(refusal)))
        return
    headers = {"x-person-id": guest.id, "x-person-name": guest.name}
    await forward(socket, to=stub, headers=headers, max_message_bytes=MAX_FRAME_BYTES)


# The same for programs.


@post(
    "/api/chat/rooms/{room:str}/messages",
    guards=[needs_guest],
    tags=["chat"],
    security=[{"guest": []}],
    responses=PROBLEMS,
)
async def post_message(
    request: Request[Guest, Any, Any],
    room_name: RoomName,
    data: JSONBody[PostMessage],
    rooms: Rooms,
) -> MessagePosted:
    """Say something. The same `client_id` and text again return the message that is there."""
    author = Person(request.user.id, request.user.name)
    message = await rooms.get_by_name(room_name).post(author, data.client_id, data.text)
    if message.text != data.text:
        raise ClientException(
            f"you have used this client_id for message {message.seq}, which has another text",
            status_code=409,
        )
    return MessagePosted.of(message)


@get(
    "/api/chat/rooms/{room:str}/messages",
    guards=[needs_guest],
    tags=["chat"],
    security=[{"guest": []}],
    responses=PROBLEMS,
)
async def list_messages(
    room_name: RoomName,
    rooms: Rooms,
    after: Seq = None,
    before: Seq = None,
    limit: Limit = domain.PAGE,
) -> list[MessagePosted]:
    """Read messages, oldest first: those after a number, or the last ones (before a number)."""
    if after is not None and before is not None:
        raise ClientException("give either after or before, not both", status_code=422)
    messages = await rooms.get_by_name(room_name).history(before=before, after=after, limit=limit)
    return [MessagePosted.of(message) for message in messages]


async def _home(request: GuestRequest, rooms: DurableObjectNamespace[ChatRoom]) -> dict[str, Any]:
    names = [id.name async for id in rooms.list(limit=ROOMS_SHOWN)]
    return {
        "guest": request.user,
        "rooms": sorted(name for name in names if name),
        "name": request.user.name if request.user else "",
        "room": "",
        "error": None,
    }


def _sentence(refusal: ValidationError | BadRoomName) -> str:
    if isinstance(refusal, BadRoomName):
        return str(refusal)
    return refusal.errors()[0]["msg"].removeprefix("Value error, ")
