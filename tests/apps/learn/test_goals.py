"""Whoever does what a step asks for has it ticked off, and not before."""

from __future__ import annotations

import asyncio

import pytest

from apps.learn.bench import NAMES, Kind, all_kinds, asleep, call, crash, heard_by
from apps.learn.goals import GOALS
from runtime.testing import ClientSocket, TestRuntime

KINDS = all_kinds()
DEEDS = {
    (1, 1): "add / add / add / value",
    (1, 2): "add / evict / value",
    (1, 3): "add / evict / value",
    (1, 4): "add / @dogs add",
    (1, 5): "window / window / add",
    (1, 6): "window / window / evict / add",
    (2, 1): "window / say Ada hello",
    (2, 2): "say Ada hello / evict / all",
    (2, 3): "window / close / say Ada hello / window",
    (2, 4): "say Ada hello / window",
    (2, 5): "window / evict",
    (2, 6): "say Ada hello 1 / say Ada hello 1 / all",
    (3, 2): "play x 4 / play x 5",
    (3, 3): "play x 4 / evict / wait 6 / game",
    (3, 4): "play x 4 / wait 5 / game",
    (3, 5): "play x 4 0 / play x 8 0",
    (4, 1): "buy Ada / tickets",
    (4, 2): "buy A / buy B / buy C / tickets",
    (4, 3): "buy A / buy B / buy C / buy D",
    (4, 4): "buy Ada / banks charges",
    (4, 5): "buy Mallory / wait 2 / html",
    (4, 6): "buy k Ada / buy k Ada / wait 2 / banks charges",
    (5, 1): "boil Ada 2 / wait 2 / state",
    (5, 2): "boil Ada 5 / crash / wait 6 / state",
    (5, 3): "boil Ada 5 / crash / wait 5 / state",
    (5, 4): "boil Ada 5 / doom / wait 10 / books eggs",
    (5, 5): "boil Ada 5 / doom / wait 10 / books eggs",
    (5, 6): "boil Ada 20 / boil Bob 2",
    (5, 7): "boil Ada 20 / boil Bob 2",
}
"""What somebody does in each step: calls of its first class, or of the one that is named."""


class Bench:
    """A step's objects, and the lines that tell what happened to them."""

    def __init__(self, rt: TestRuntime, kinds: list[Kind]) -> None:
        self._rt = rt
        self._kinds = {kind.binding: kind for kind in kinds}
        self._windows: list[ClientSocket] = []
        self.lines: list[str] = []

    async def do(self, deed: str) -> None:
        """Do one thing, as the page's buttons would."""
        binding, first = next(iter(self._kinds)), deed.split()[0]
        name = NAMES[binding][0]
        if first in self._kinds:
            binding, name, deed = first, NAMES[first][0], deed.partition(" ")[2]
        elif first.startswith("@"):
            name, deed = first[1:], deed.partition(" ")[2]
        kind = self._kinds[binding]
        stub = self._rt.namespaces[kind.bound].get_by_name(f"ada.{name}")
        match deed.split():
            case ["wait", seconds]:
                await self._rt.clock.advance(float(seconds))
            case ["evict"]:
                await self._rt.evict_durable_object(stub)
                self.lines.append(asleep(name, self._rt.glimpse(stub)))
            case ["crash" | "doom" as how]:
                self.lines.append(await crash(stub, kind, name, rings=how == "doom"))
            case ["window"]:
                self._windows.append(await self._rt.connect(stub, headers={"x-who": "Ada"}))
                self.lines.append(f"a window on {name} was opened")
            case ["close"]:
                await self._windows.pop().leave()
            case [method, *arguments]:
                typed = {
                    "do": method,
                    **dict(zip(_parameters(kind, method), arguments, strict=True)),
                }
                calling = asyncio.create_task(call(stub, kind, name, typed))
                await self._rt.settle()
                if not calling.done():
                    await self._rt.clock.advance(1)  # the bank takes its time
                self.lines.append(await calling + heard_by(self._rt.glimpse(stub)))


@pytest.mark.parametrize("place", GOALS, ids=lambda place: f"{place[0]}.{place[1]}")
async def test_a_goal_is_met_by_what_its_step_asks_for(place: tuple[int, int]) -> None:
    kinds, goal = KINDS[place], GOALS[place]
    *before, last = DEEDS[place].split(" / ")
    async with TestRuntime(bindings={kind.bound: kind.cls for kind in kinds}) as rt:
        bench = Bench(rt, kinds)
        for deed in before:
            await bench.do(deed)
        assert not goal.is_met(bench.lines), "not before"

        await bench.do(last)

        assert goal.is_met(bench.lines), bench.lines
        await rt.clock.advance(60)


def _parameters(kind: Kind, method: str) -> list[str]:
    (found,) = (each for each in kind.methods if each.name == method)
    return [name for name, _ in found.parameters]
