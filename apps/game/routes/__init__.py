"""The game's handlers: parse, call an object, render one template."""

import asyncio
import re
import secrets
from typing import Annotated, Any, Final

from litestar import get, post, websocket
from litestar.di import NamedDependency
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Redirect, Response, Template
from pydantic import ValidationError

from apps.edge import (
    Form,
    GuestRequest,
    GuestSocket,
    NamedRequest,
    is_htmx,
    sentence_of,
    too_quick,
    turn_away,
)
from apps.game import views
from apps.game.domain.commands import Action
from apps.game.domain.lobby import Admission, Profile, Wish
from apps.game.domain.refusals import Refused
from apps.game.domain.view import LogEntry, View
from apps.game.events import Joined, JoinMatch, Listed, MakeMove, NewMatch, Propose
from apps.game.objects.env import LOBBY
from apps.game.objects.lobby import Lobby
from apps.game.objects.match import Match
from apps.game.objects.player import Player
from apps.game.routes.problems import REFUSALS, TOO_QUICK
from apps.identity import Guest, needs_guest
from apps.problems import PROBLEMS
from apps.welcome import ask_name
from runtime import DurableObjectNamespace
from runtime.litestar import forward

Matches = NamedDependency[DurableObjectNamespace[Match]]
Lobbies = NamedDependency[DurableObjectNamespace[Lobby]]
Players = NamedDependency[DurableObjectNamespace[Player]]
MatchId = NamedDependency[str]
Ply = Annotated[int | None, QueryParameter(ge=0, le=10_000)]
Key = Annotated[str, QueryParameter(max_length=64)]

MAX_FRAME_BYTES: Final = 256  # clients have nothing to say on a match's socket but "ping"
MOST_RUNNING: Final = 8  # matches that the game's home shows the boards of
TRIES: Final = 3  # to find a seat that is still free
GONE: Final = frozenset({"not-open", "match-over", "seat-taken"})  # nobody waits there any more
_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,32}")


async def provide_match_id(match: FromPath[str]) -> str:
    """Dependency: the id of a match that may exist."""
    if not _ID.fullmatch(match):
        raise NotFoundException("there is no such match")
    return match


# Pages.


@get("/game", include_in_schema=False)
async def home(
    request: GuestRequest, lobby: Lobbies, players: Players, matches: Matches
) -> Template:
    """Show what can be played, who waits for somebody, and one's own matches."""
    return await _home(request.user, lobby, players, matches)


@get("/game/open", include_in_schema=False)
async def show_open(request: GuestRequest, lobby: Lobbies) -> Template:
    """Show who waits for somebody: the part of the page that asks for it again and again."""
    challenges = await lobby.get_by_name(LOBBY).challenges()
    return Template("game/_challenges.html", context=views.lobby(request.user, challenges))


@post("/game", status_code=303, guards=[needs_guest], include_in_schema=False)
async def open_from_page(
    request: NamedRequest, data: Form, matches: Matches, lobby: Lobbies, players: Players
) -> Response[Any]:
    """Open a match, and go there."""
    try:
        wanted = NewMatch.model_validate(views.parse_new_match(data))
    except ValidationError as refusal:
        error = _first(refusal)
        return await _home(request.user, lobby, players, matches, form=data, error=error)
    admission = await _open(request.user, wanted.wish(), matches, lobby, players)
    return Redirect(f"/game/{admission.match}", status_code=303)


@get("/game/{match:str}", include_in_schema=False)
async def show_match(
    request: GuestRequest, match_id: MatchId, matches: Matches, ply: Ply = None, key: Key = ""
) -> Template:
    """Show a match: live, or as it stood after some ply. Anybody may watch."""
    if key and request.user is None:
        return ask_name(request)
    stub, who = matches.get_by_name(match_id), _id_of(request)
    if ply is not None:
        still = await stub.look_back(who, ply)
        return Template("game/replay.html", context=views.replay(still, request.user))
    view = await stub.look(who)
    return Template("game/match.html", context=views.match(view, request.user, key=key))


@post("/game/{match:str}/join", status_code=303, guards=[needs_guest], include_in_schema=False)
async def join_from_page(
    request: NamedRequest, match_id: MatchId, data: Form, matches: Matches
) -> Redirect:
    """Take the free seat."""
    guest, key = request.user, data.get("key", "")[:64]
    await matches.get_by_name(match_id).join(guest.id, guest.name, key)
    return Redirect(f"/game/{match_id}", status_code=303)


@post("/game/{match:str}/moves", guards=[needs_guest], include_in_schema=False)
async def move_from_page(
    request: NamedRequest, match_id: MatchId, data: Form, matches: Matches
) -> Template | Redirect:
    """Move from the page. Without htmx the form works too, by redirect."""
    wanted = _parsed(MakeMove, data)
    stub = matches.get_by_name(match_id)
    view = await stub.move(request.user.id, wanted.ply, wanted.move, wanted.took)
    return _shown(request, view)


@post("/game/{match:str}/offers", guards=[needs_guest], include_in_schema=False)
async def propose_from_page(
    request: NamedRequest, match_id: MatchId, data: Form, matches: Matches
) -> Template | Redirect:
    """Do anything else from the page."""
    wanted = _parsed(Propose, {name: text for name, text in data.items() if text})
    view = await _propose(matches.get_by_name(match_id), request.user.id, wanted)
    return _shown(request, view)


@websocket("/game/{match:str}/ws")
async def match_socket(socket: GuestSocket, match: FromPath[str], matches: Matches) -> None:
    """Hand a socket to the match, with who it is in words it can trust. Anybody may watch."""
    try:
        stub = matches.get_by_name(await provide_match_id(match))
    except NotFoundException as refusal:  # no match is woken for that
        await turn_away(socket, refusal)
        return
    headers = {"x-person-id": socket.user.id if socket.user else ""}
    await forward(socket, to=stub, headers=headers, max_message_bytes=MAX_FRAME_BYTES)


# The same for programs.

_API: Final[dict[str, Any]] = {
    "tags": ["game"],
    "responses": REFUSALS,
    "security": [{"guest": []}],
}


@post("/api/game/matches", guards=[needs_guest], **_API | {"responses": REFUSALS | TOO_QUICK})
async def open_match(
    request: NamedRequest,
    data: JSONBody[NewMatch],
    matches: Matches,
    lobby: Lobbies,
    players: Players,
) -> Joined:
    """Open a match, or take the seat opposite somebody who waits for just that."""
    admission = await _open(request.user, data.wish(), matches, lobby, players)
    return await _joined(request.user, admission, matches)


@get("/api/game/matches", tags=["game"], responses=PROBLEMS)
async def list_open(lobby: Lobbies) -> list[Listed]:
    """See who waits for anyone."""
    return [Listed.of(challenge) for challenge in await lobby.get_by_name(LOBBY).challenges()]


@post("/api/game/matches/{match:str}/join", guards=[needs_guest], **_API)
async def join(
    request: NamedRequest,
    match_id: MatchId,
    matches: Matches,
    data: JSONBody[JoinMatch | None] = None,
    key: Key = "",
) -> Joined:
    """Take the free seat. Whoever sits there already keeps theirs."""
    guest = request.user
    key = data.key if data and data.key else key
    admission = await matches.get_by_name(match_id).join(guest.id, guest.name, key)
    return await _joined(guest, admission, matches)


@post("/api/game/matches/{match:str}/moves", status_code=200, guards=[needs_guest], **_API)
async def move(
    request: NamedRequest, match_id: MatchId, data: JSONBody[MakeMove], matches: Matches
) -> View:
    """Move. The same again changes nothing, and is answered with the match as it stands."""
    stub = matches.get_by_name(match_id)
    return await stub.move(request.user.id, data.ply, data.move, data.took)


@post("/api/game/matches/{match:str}/offers", status_code=200, guards=[needs_guest], **_API)
async def propose(
    request: NamedRequest, match_id: MatchId, data: JSONBody[Propose], matches: Matches
) -> View:
    """Offer a draw, a takeback or a rematch, answer an offer, or end the match."""
    return await _propose(matches.get_by_name(match_id), request.user.id, data)


@get("/api/game/matches/{match:str}", **_API)
async def look(request: GuestRequest, match_id: MatchId, matches: Matches) -> View:
    """See a match as you may see it: from your seat, or as whoever watches."""
    return await matches.get_by_name(match_id).look(_id_of(request))


@get("/api/game/matches/{match:str}/log", **_API)
async def read_log(request: GuestRequest, match_id: MatchId, matches: Matches) -> list[LogEntry]:
    """Read all that has happened, as far as you may know it."""
    return await matches.get_by_name(match_id).log(_id_of(request))


# What both do.


async def _open(
    guest: Guest,
    wish: Wish,
    matches: DurableObjectNamespace[Match],
    lobby: DurableObjectNamespace[Lobby],
    players: DurableObjectNamespace[Player],
) -> Admission:
    if wait := await players.get_by_name(guest.id).may_open():
        raise too_quick(wait)
    for _ in range(TRIES):
        stub = matches.get_by_name(secrets.token_urlsafe(9))
        admission = await stub.open(guest.id, guest.name, wish)
        if admission.seat is not None:
            return admission
        try:
            return await matches.get_by_name(admission.match).join(guest.id, guest.name)
        except Refused as refusal:
            if refusal.rule not in GONE:
                raise
            # The lobby would have been told later.
            await lobby.get_by_name(LOBBY).close(admission.match)
    raise ClientException("somebody was quicker each time; try again", status_code=409)


async def _home(
    guest: Guest | None,
    lobby: DurableObjectNamespace[Lobby],
    players: DurableObjectNamespace[Player],
    matches: DurableObjectNamespace[Match],
    *,
    form: dict[str, str] | None = None,
    error: str = "",
) -> Template:
    challenges = await lobby.get_by_name(LOBBY).challenges()
    profile, running = Profile({}, ()), list[View]()
    if guest is not None:
        profile = await players.get_by_name(guest.id).profile()
        running = await _running(guest, profile, matches)
    context = views.home(guest, challenges, profile, running, form=form, error=error)
    return Template("game/home.html", context=context, status_code=422 if error else 200)


async def _running(
    guest: Guest, profile: Profile, matches: DurableObjectNamespace[Match]
) -> list[View]:
    """Return the first of somebody's matches that aren't over, as they see them."""
    ids = [record.match for record in profile.history if record.score is None][:MOST_RUNNING]
    looks = (matches.get_by_name(id).look(guest.id) for id in ids)
    return [view for view in await asyncio.gather(*looks) if view.result is None]


async def _joined(
    guest: Guest, admission: Admission, matches: DurableObjectNamespace[Match]
) -> Joined:
    view = await matches.get_by_name(admission.match).look(guest.id)
    assert view.seat is not None, "they have just sat down"
    return Joined.of(view.id, view.seat, view.key)


async def _propose(stub: Match, who: str, wanted: Propose) -> View:
    kind = wanted.kind
    if kind == "draw" or kind == "takeback" or kind == "rematch":
        return await stub.offer(who, kind, wanted.answer)
    if wanted.answer is not None:
        raise ClientException(f"answer: {kind} isn't offered, it is done", status_code=422)
    action: Action = kind
    return await stub.act(who, action)


def _shown(request: NamedRequest, view: View) -> Template | Redirect:
    if not is_htmx(request):
        return Redirect(f"/game/{view.id}", status_code=303)
    return Template("game/_new_news.html", context=views.news(view), status_code=200)


def _id_of(request: GuestRequest) -> str:
    return request.user.id if request.user else ""


def _parsed(body: type[Any], form: dict[str, str]) -> Any:
    try:
        return body.model_validate_strings(form)
    except ValidationError as refusal:
        raise ClientException(_first(refusal), status_code=422) from refusal


def _first(refusal: ValidationError) -> str:
    where = ".".join(str(part) for part in refusal.errors()[0]["loc"])
    return f"{where}: {sentence_of(refusal)}"
