"""The objects of each step, made fit to stand beside its text: one set for each learner.

A step's classes are bound under names of their own, so that those of other steps don't meet them.
What such an object reaches by ``self.env`` is of the same step and of the same learner.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from runtime import (
    AlarmInvocation,
    DurableObject,
    DurableObjectNamespace,
    DurableObjectState,
    Glimpse,
    errors,
)
from tutorials.steps import Step, Tutorial, tutorials

BINDINGS: Final = {
    1: {"counters": "Counter"},
    2: {"rooms": "Room"},
    3: {"matches": "Match"},
    4: {"sales": "Sale", "banks": "Bank"},
    5: {"pans": "Pan", "books": "Book"},
}
"""What each tutorial's classes are bound to, in its own code; not every step has all of them."""
NAMES: Final = {
    "counters": ("cats", "dogs"),
    "rooms": ("hall", "attic"),
    "matches": ("final", "rematch"),
    "sales": ("friday", "monday"),
    "banks": ("bank",),
    "pans": ("blue", "red"),
    "books": ("kitchen",),
}
"""The objects that a learner has of each; no more, so that nobody fills the disk."""
MOST_ROWS: Final = 20  # of a table that are shown
MOST_SHOWN: Final = 200  # characters of a value
MAX_TYPED: Final = 100  # characters of one argument
CALL_SECONDS: Final = 5.0  # that a page waits for an answer
MOST_SECONDS: Final = 60.0  # of what takes time: an object is awake as long as it waits
_DOOM: Final = "bench.crashes_as_it_rings"
_HANDLERS: Final = ("fetch", "alarm", "web_socket_message", "web_socket_close", "web_socket_error")


@dataclass(frozen=True, slots=True)
class Method:
    """What may be called."""

    name: str
    parameters: tuple[tuple[str, Callable[[str], Any]], ...]
    """Their names, and what makes a value of what was typed."""


@dataclass(frozen=True, slots=True)
class Look:
    """What an object has stored, as far as it is shown."""

    tables: dict[str, list[dict[str, str]]]
    alarms: list[str]
    """Their names, and in how many seconds they ring."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of a step."""

    binding: str
    """As the step's own code calls it."""
    bound: str
    """As the site does."""
    cls: type[DurableObject[Any]]
    methods: tuple[Method, ...]
    has_windows: bool
    """Whether it takes WebSockets."""
    has_alarms: bool


def kinds_of(step: Step, tutorial: Tutorial) -> list[Kind]:
    """Return the classes of a step, as they are bound here; none if it has no objects."""
    if not (step.folder / "app.py").is_file():
        return []
    place = f"learn_{tutorial.number}_{step.number}"
    with _beside(step.folder, place) as load:
        module = load("app")
    bindings = {
        binding: getattr(module, name)
        for binding, name in BINDINGS[tutorial.number].items()
        if hasattr(module, name)
    }
    return [
        Kind(
            binding,
            f"{place}_{binding}",
            _benched(cls, place, tuple(bindings)),
            tuple(_methods(cls)),
            "fetch" in vars(cls),
            "alarm" in vars(cls),
        )
        for binding, cls in bindings.items()
    ]


def all_kinds() -> dict[tuple[int, int], list[Kind]]:
    """Return the classes of all steps, by tutorial and step."""
    return {
        (tutorial.number, step.number): kinds_of(step, tutorial)
        for tutorial in tutorials()
        for step in tutorial.steps
    }


async def call(stub: Any, kind: Kind, name: str, typed: Mapping[str, str]) -> str:
    """Call the method that ``typed["do"]`` names, and return a line that tells what came of it.

    Raises:
        LookupError: If the step's class has no such method.
    """
    method = next((each for each in kind.methods if each.name == typed.get("do")), None)
    if method is None:
        raise LookupError("there is no such method")
    texts = [typed.get(parameter, "")[:MAX_TYPED] for parameter, _ in method.parameters]
    line = f"{name}.{method.name}({', '.join(texts)})"
    try:
        values = [make(text) for text, (_, make) in zip(texts, method.parameters, strict=True)]
    except ValueError:
        return f"{line} ⇥ that is no number"
    if any(isinstance(value, float) and not abs(value) <= MOST_SECONDS for value in values):
        return f"{line} ⇥ at most {MOST_SECONDS:.0f} here"  # nor is what is no number at all
    # As a result, because whatever the step's code raises is to be shown.
    calling = asyncio.gather(getattr(stub, method.name)(*values), return_exceptions=True)
    try:
        async with asyncio.timeout(CALL_SECONDS):
            (result,) = await calling
    except TimeoutError:
        return f"{line} ⇥ still going on"
    if isinstance(result, BaseException):
        return f"{line} ⇥ {type(result).__name__}: {result}"
    return f"{line} → {str(result)[:MOST_SHOWN]}"


async def crash(stub: Any, kind: Kind, name: str, *, rings: bool) -> str:
    """Take an object's memory as a process takes it that dies: now, or as soon as it has rung.

    Then its handler has run, and the note that it has isn't written.

    Raises:
        LookupError: If the step's class has no alarms.
    """
    if rings and not kind.has_alarms:
        raise LookupError("it never rings")
    with suppress(errors.ObjectReset):  # somebody else may have it crash meanwhile
        await (stub.bench_doom() if rings else stub.bench_crash())
    return f"{name} will crash as it rings" if rings else f"{name} crashed"


def heard_by(glimpse: Glimpse) -> str:
    """Return the end of a call's line: how many windows heard of it."""
    return f", heard by {_windows(glimpse)}" if glimpse.sockets else ""


def asleep(name: str, glimpse: Glimpse) -> str:
    """Return the line that tells of an object which has left memory."""
    return f"{name} fell asleep" + (f", with {_windows(glimpse)} open" if glimpse.sockets else "")


def _windows(glimpse: Glimpse) -> str:
    return f"{glimpse.sockets} window{'s' if glimpse.sockets > 1 else ''}"


def _benched(cls: type[Any], place: str, bindings: tuple[str, ...]) -> type[Any]:
    def begin(self: Any, ctx: DurableObjectState, env: Any) -> None:
        owner, _, _ = (ctx.id.name or "").partition(".")
        own = {binding: _Own(getattr(env, f"{place}_{binding}"), owner) for binding in bindings}
        cls.__init__(self, ctx, SimpleNamespace(**own))

    async def look(self: Any) -> Look:
        sql = self.ctx.storage.sql
        names = sql.exec("SELECT name FROM sqlite_master WHERE type = 'table'").to_array()
        tables = {
            name: [
                {column: str(value)[:MOST_SHOWN] for column, value in row.items()}
                for row in sql.exec(f'SELECT * FROM "{name}" LIMIT {MOST_ROWS}')
            ]
            for name in (row["name"] for row in names)
            if not name.startswith(("_cf", "sqlite_"))
        }
        now = sql.exec("SELECT unixepoch('subsec') AS now").one()["now"]
        alarms = await self.ctx.storage.list_alarms()
        return Look(
            tables, [f"{name or 'alarm'} in {at - now:.0f} s" for name, at in alarms.items()]
        )

    async def crash(self: Any) -> None:
        self.ctx.abort("crashed on the bench")

    async def doom(self: Any) -> None:
        self.ctx.storage.kv.put(_DOOM, True)

    async def alarm(self: Any, invocation: AlarmInvocation) -> None:
        is_doomed = self.ctx.storage.kv.delete(_DOOM)
        await self.ctx.storage.sync()  # or it would be doomed again
        await cls.alarm(self, invocation)
        if is_doomed:
            self.ctx.abort("crashed as it rang")

    name = f"{place}_{cls.__name__}".title().replace("_", "")
    parts: dict[str, Any] = {"bench_look": look, "bench_crash": crash, "bench_doom": doom}
    if "alarm" in vars(cls):
        parts["alarm"] = alarm
    return type(name, (cls,), {"__init__": begin, "__module__": cls.__module__, **parts})


class _Own:
    """A namespace, as far as it is one learner's."""

    def __init__(self, namespace: DurableObjectNamespace[Any], owner: str) -> None:
        self._namespace = namespace
        self._owner = owner

    def get_by_name(self, name: str) -> Any:
        return self._namespace.get_by_name(f"{self._owner}.{name}")


def _methods(cls: type[Any]) -> Iterator[Method]:
    for name, function in vars(cls).items():
        if name.startswith("_") or name in _HANDLERS or not inspect.iscoroutinefunction(function):
            continue
        parameters = list(inspect.signature(function).parameters.values())[1:]
        yield Method(name, tuple((each.name, each.annotation) for each in parameters))


@contextmanager
def _beside(folder: Path, place: str) -> Iterator[Callable[[str], Any]]:
    """Give what imports a module of a folder, under another name than the next folder's."""
    known: dict[str, Any] = {}

    def load(name: str) -> Any:
        spec = spec_from_file_location(f"{place}_{name}", folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[spec.name] = known[name] = sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    before = {name: sys.modules.get(name) for name in ("app", "rules")}
    try:
        if (folder / "rules.py").is_file():
            load("rules")  # which `app` imports by that name
        yield load
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
