"""Tasks that are used again: nobody can tell, and all that could is checked here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any

import pytest

from runtime import DurableObject, Request, Response, WebSocket
from runtime.testing import TestRuntime
from tests.conftest import StartRuntime

kept: ContextVar[str] = ContextVar("kept", default="")


class Listener(DurableObject[Any]):
    """Does with a message what the test says, where it keeps its results as well."""

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        await self.env.does(self, str(message))
        ws.send("done")


@pytest.fixture
async def rt(start_awake_runtime: StartRuntime) -> TestRuntime[Any]:
    """Two listeners can be reached in it."""
    rt: TestRuntime[Any] = await start_awake_runtime(listeners=Listener)
    return rt


async def tell(rt: TestRuntime[Any], name: str, *messages: str) -> None:
    """Send messages to a listener, one after another, and return once they are handled."""
    ws = await rt.connect(rt.env.listeners.get_by_name(name), "/")
    for message in messages:
        await ws.send(message)
        assert await ws.receive() == "done"


def doing(rt: TestRuntime[Any], act: Callable[[Listener, str], None]) -> None:
    """Have listeners do something without waiting."""

    async def does(listener: Listener, message: str) -> None:
        act(listener, message)

    rt.env.does = does


async def test_a_handlers_task_is_that_of_the_next_one(rt: TestRuntime[Any]) -> None:
    seen: set[int] = set()
    doing(rt, lambda *_: seen.add(id(asyncio.current_task())))

    await tell(rt, "a", "1", "2")
    await tell(rt, "b", "3")

    assert len(seen) == 1  # or the tests below say nothing


async def test_a_task_that_somebody_keeps_is_done_and_stays_it(rt: TestRuntime[Any]) -> None:
    tasks: list[Any] = []
    doing(rt, lambda *_: tasks.append(asyncio.current_task()))

    await tell(rt, "a", "1", "2")

    assert len(set(tasks)) == 2
    assert [(task.done(), task.result()) for task in tasks] == [(True, None)] * 2


async def test_a_task_that_waits_a_turn_is_done_afterwards(rt: TestRuntime[Any]) -> None:
    tasks: list[Any] = []

    async def does(listener: Listener, message: str) -> None:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)

    rt.env.does = does

    await tell(rt, "a", "1")

    async with asyncio.timeout(10):
        await tasks[0]


async def test_a_callback_of_a_task_is_called_once(rt: TestRuntime[Any]) -> None:
    calls: list[str] = []

    def act(_: Listener, message: str) -> None:
        task: Any = asyncio.current_task()
        task.add_done_callback(lambda _: calls.append(message), context=Context())

    doing(rt, act)

    await tell(rt, "a", "1", "2", "3")

    assert calls == ["1", "2", "3"]


async def test_a_handler_that_cancels_itself_leaves_nothing_to_the_next(
    rt: TestRuntime[Any],
) -> None:
    seen: list[int] = []

    def act(_: Listener, message: str) -> None:
        task: Any = asyncio.current_task()
        seen.append(task.cancelling())
        task.cancel()

    doing(rt, act)

    await tell(rt, "a", "1", "2")

    assert seen == [0, 0]


async def test_what_a_handler_sets_in_its_context_ends_with_it(rt: TestRuntime[Any]) -> None:
    seen: list[str] = []

    def act(_: Listener, message: str) -> None:
        seen.append(kept.get())
        kept.set(message)

    doing(rt, act)

    await tell(rt, "a", "1", "2", "3")

    assert seen == ["", "", ""]


async def test_what_a_handler_leaves_behind_stays_with_its_object(rt: TestRuntime[Any]) -> None:
    wrote: list[str] = []

    async def write(listener: Listener) -> None:
        await listener.ctx.storage.put("by", listener.ctx.id.name)  # only its own tasks may
        wrote.append(str(listener.ctx.id.name))

    def act(listener: Listener, message: str) -> None:
        if message == "later":
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: loop.call_soon(lambda: asyncio.ensure_future(write(listener))))

    doing(rt, act)

    await tell(rt, "a", "later")
    await tell(rt, "b", "now")
    await rt.settle()

    assert wrote == ["a"]


async def test_what_a_handler_starts_belongs_to_its_own_object(rt: TestRuntime[Any]) -> None:
    wrote: list[str] = []

    async def write(listener: Listener, message: str) -> None:
        await listener.ctx.storage.put("said", message)
        wrote.append(message)

    async def does(listener: Listener, message: str) -> None:
        if message == "start":
            listener.started = asyncio.create_task(write(listener, message))  # type: ignore[attr-defined]

    rt.env.does = does

    await tell(rt, "a", "nothing")
    await rt.evict_durable_object(rt.env.listeners.get_by_name("a"))
    await tell(rt, "b", "start")
    await rt.settle()

    assert wrote == ["start"]


async def test_a_handler_that_fails_is_logged_and_the_next_one_works(
    rt: TestRuntime[Any], caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def act(_: Listener, message: str) -> None:
        if message == "fail":
            raise ValueError("as the test wants it")
        done.append(message)

    doing(rt, act)
    ws = await rt.connect(rt.env.listeners.get_by_name("a"), "/")

    for message in ("1", "fail", "2"):
        await ws.send(message)
    assert [await ws.receive(), await ws.receive()] == ["done", "done"]

    assert done == ["1", "2"]
    assert "web_socket_message" in caplog.text


async def test_a_handler_waits_at_its_own_objects_gate(rt: TestRuntime[Any]) -> None:
    order: list[str] = []

    async def does(listener: Listener, message: str) -> None:
        order.append(f"{message} begins")
        if message == "long":
            await listener.ctx.block_concurrency_while(lambda: asyncio.sleep(1))
            order.append("long ends")

    rt.env.does = does
    ws = await rt.connect(rt.env.listeners.get_by_name("b"), "/")
    await ws.send("long")

    await tell(rt, "a", "other")
    await ws.send("next")
    await rt.clock.advance(2)

    assert [await ws.receive(), await ws.receive()] == ["done", "done"]
    assert order == ["long begins", "other begins", "long ends", "next begins"]
