"""The handlers of the tutorials: texts, and a bench with the objects of each step."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, Final

from litestar import get, post, websocket
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.exceptions import NotAuthorizedException, NotFoundException
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect, Template

from apps.edge import Form, GuestRequest, GuestSocket, NamedRequest, is_htmx, too_quick, turn_away
from apps.identity import Guest, needs_guest, who
from apps.learn import texts
from apps.learn.bench import NAMES, Kind, Look, all_kinds, asleep, call, crash, heard_by
from apps.learn.goals import GOALS
from apps.learn.objects import Learner
from runtime import DurableObjectNamespace, Glimpse, Runtime, errors
from runtime.litestar import DurableObjectsPlugin, forward
from tutorials.steps import Step, Tutorial, tutorials

KINDS: Final = all_kinds()
TUTORIALS: Final = {tutorial.number: tutorial for tutorial in tutorials()}
MAX_FRAME_BYTES: Final = 256
SHOWN: Final = 12  # lines of what has happened

Learners = NamedDependency[DurableObjectNamespace[Learner]]
Name = Annotated[str, QueryParameter(max_length=12)]


@get("/learn", include_in_schema=False)
async def index(request: GuestRequest, learners: Learners) -> Template:
    """Show all tutorials, and how far somebody has come."""
    done = await learners.get_by_name(request.user.id).done() if request.user else set()
    return Template("learn/index.html", context={"tutorials": TUTORIALS.values(), "done": done})


@get("/learn/{number:int}", include_in_schema=False)
async def show_tutorial(number: FromPath[int], request: GuestRequest) -> Template:
    """Show what a tutorial is about."""
    tutorial = _tutorial(number)
    text = texts.page(tutorial.text, number)
    return Template("learn/tutorial.html", context={"tutorial": tutorial, "text": text})


@get("/learn/{number:int}/{step_number:int}", include_in_schema=False)
async def show_step(
    number: FromPath[int],
    step_number: FromPath[int],
    request: GuestRequest,
    learners: Learners,
    at: Name = "",
) -> Template:
    """Show a step's text beside its objects. Of each class it is the one called `at`, if any."""
    tutorial, step = _step(number, step_number)
    kinds = KINDS[number, step_number]
    context = {
        "tutorial": tutorial,
        "step": step,
        "text": texts.page(step.text, number),
        "has_objects": bool(kinds),
        "learner": request.user,
    }
    if request.user is None:  # whose objects would these be?
        return Template("learn/step.html", context=context)
    lines = await learners.get_by_name(request.user.id).lines(_key(number, step_number))
    benches = []
    for kind in kinds:
        names = NAMES[kind.binding]
        name = at if at in names else names[0]
        glimpse = _runtime(request).glimpse(_stub(request, kind, request.user, name))
        benches.append(_state(kind, name, glimpse, None, number, step_number) | {"names": names})
    context |= {"benches": benches, "can_evict": _runtime(request).config.debug}
    return Template("learn/step.html", context=context | _progress(number, step_number, lines))


@post(
    "/learn/{number:int}/{step_number:int}/{binding:str}",
    guards=[needs_guest],
    include_in_schema=False,
)
async def act(
    number: FromPath[int],
    step_number: FromPath[int],
    binding: FromPath[str],
    request: NamedRequest,
    data: Form,
    learners: Learners,
) -> Template | Redirect:
    """Call a method of an object, or have it leave memory, in peace or not."""
    kind = _kind(number, step_number, binding)
    name = data.get("name", "")
    stub = _stub(request, kind, request.user, name)
    if wait := await learners.get_by_name(request.user.id).take_turn():
        raise too_quick(wait)
    runtime = _runtime(request)
    look: Look | None = None
    try:
        match data.get("do"):
            case "evict":
                is_gone = _evicted(runtime, stub)
                line = asleep(name, runtime.glimpse(stub)) if is_gone else f"{name} stays"
            case "crash" | "doom" as how:
                line = await crash(stub, kind, name, rings=how == "doom")
            case _:
                line = await call(stub, kind, name, data) + heard_by(runtime.glimpse(stub))
                with suppress(errors.ObjectReset):  # somebody has it crash meanwhile
                    look = await stub.bench_look()
    except LookupError as refusal:
        raise NotFoundException(str(refusal)) from refusal
    lines = await _note(learners, request.user, number, step_number, line)
    if not is_htmx(request):
        return Redirect(f"/learn/{number}/{step_number}?at={name}", status_code=303)
    context = _state(kind, name, runtime.glimpse(stub), look, number, step_number)
    return Template("learn/_answer.html", context=context | _progress(number, step_number, lines))


@get(
    "/learn/{number:int}/{step_number:int}/{binding:str}",
    guards=[needs_guest],
    include_in_schema=False,
)
async def watch(
    number: FromPath[int],
    step_number: FromPath[int],
    binding: FromPath[str],
    name: Name,
    request: NamedRequest,
    learners: Learners,
    was: Annotated[str, QueryParameter(max_length=10)] = "",
) -> Template:
    """Show how an object is, without waking it; and note that it has fallen asleep."""
    kind = _kind(number, step_number, binding)
    stub = _stub(request, kind, request.user, name)
    glimpse = _runtime(request).glimpse(stub)
    if was == "awake" and not glimpse.is_awake:
        line = asleep(name, glimpse)
        lines = await _note(learners, request.user, number, step_number, line)
    else:
        lines = await learners.get_by_name(request.user.id).lines(_key(number, step_number))
    context = _state(kind, name, glimpse, None, number, step_number)
    return Template("learn/_answer.html", context=context | _progress(number, step_number, lines))


@websocket("/learn/{number:int}/{step_number:int}/{binding:str}/{name:str}")
async def open_window(
    socket: GuestSocket,
    number: FromPath[int],
    step_number: FromPath[int],
    binding: FromPath[str],
    name: FromPath[str],
    learners: Learners,
) -> None:
    """Hand a window's socket to an object."""
    try:
        guest = who(socket)
        stub = _stub(socket, _kind(number, step_number, binding), guest, name)
    except (NotAuthorizedException, NotFoundException) as refusal:
        await turn_away(socket, refusal)
        return
    await _note(learners, guest, number, step_number, f"a window on {name} was opened")
    await forward(socket, to=stub, headers={"x-who": guest.name}, max_message_bytes=MAX_FRAME_BYTES)


async def _note(
    learners: DurableObjectNamespace[Learner],
    guest: Guest,
    number: int,
    step_number: int,
    line: str,
) -> list[str]:
    learner, key = learners.get_by_name(guest.id), _key(number, step_number)
    lines = await learner.note(key, line)
    goal = GOALS.get((number, step_number))
    if goal is not None and goal.is_met(lines):
        await learner.finish(key)
    return lines


def _progress(number: int, step_number: int, lines: list[str]) -> dict[str, Any]:
    goal = GOALS.get((number, step_number))
    return {
        "lines": lines[-SHOWN:],
        "goal": goal,
        "is_met": goal is not None and goal.is_met(lines),
    }


def _state(
    kind: Kind, name: str, glimpse: Glimpse, look: Look | None, number: int, step_number: int
) -> dict[str, Any]:
    here = f"/learn/{number}/{step_number}/{kind.binding}"
    return {"kind": kind, "name": name, "glimpse": glimpse, "look": look, "here": here}


def _evicted(runtime: Runtime[Any], stub: Any) -> bool:
    return runtime.config.debug and runtime.evict(stub)


def _runtime(connection: ASGIConnection[Any, Any, Any, Any]) -> Runtime[Any]:
    return DurableObjectsPlugin.of(connection.app).runtime


def _stub(
    connection: ASGIConnection[Any, Any, Any, Any], kind: Kind, guest: Guest, name: str
) -> Any:
    if name not in NAMES[kind.binding]:
        raise NotFoundException("there is no such object here")
    return _runtime(connection).namespaces[kind.bound].get_by_name(f"{guest.id}.{name}")


def _key(number: int, step_number: int) -> str:
    return f"{number}.{step_number}"


def _tutorial(number: int) -> Tutorial:
    if number not in TUTORIALS:
        raise NotFoundException("there is no such tutorial")
    return TUTORIALS[number]


def _step(number: int, step_number: int) -> tuple[Tutorial, Step]:
    tutorial = _tutorial(number)
    if not 1 <= step_number <= len(tutorial.steps):
        raise NotFoundException("there is no such step")
    return tutorial, tutorial.steps[step_number - 1]


def _kind(number: int, step_number: int, binding: str) -> Kind:
    for kind in KINDS.get((number, step_number), []):
        if kind.binding == binding:
            return kind
    raise NotFoundException("there is no such object here")
