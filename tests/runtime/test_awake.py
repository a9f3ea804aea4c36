"""What keeps an object in memory, as people are told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from runtime import (
    AlarmInvocation,
    DurableObject,
    Request,
    Response,
    Runtime,
    RuntimeConfig,
    WebSocket,
)
from runtime.testing import TestRuntime, key_of
from tests.conftest import StartRuntime
from tests.runtime.disk import StuckDisk, disk, turns

__all__ = ["disk"]  # a fixture

FILE = "tests/runtime/test_awake.py"


class Cook(DurableObject[Any]):
    """Has something on the stove."""

    warm: ClassVar[asyncio.Event]
    done: ClassVar[asyncio.Event]
    tasks: ClassVar[list[asyncio.Future[Any]]]

    async def greet(self) -> str:
        return "hello"

    async def stir(self) -> None:
        await asyncio.shield(Cook.done.wait())

    async def simmer(self) -> None:
        await asyncio.sleep(86400)

    async def cook(self) -> None:
        await Cook.warm.wait()
        await self.simmer()

    async def ask(self, name: str) -> None:
        await self.env.cooks.get_by_name(name).stir()

    async def ask_for_help(self, help: Callable[[], Awaitable[None]]) -> None:
        await help()

    async def lend_a_hand(self, name: str) -> None:
        async def taste() -> None:
            await Cook.done.wait()

        await self.env.cooks.get_by_name(name).ask_for_help(taste)

    async def wait(self) -> None:
        await Cook.done.wait()

    async def keep_turning(self) -> None:
        while not Cook.done.is_set():
            await asyncio.sleep(0)

    async def leave_to_simmer(self, name: str | None = None) -> None:
        Cook.tasks.append(asyncio.create_task(self.simmer(), name=name))

    async def leave_to_others(self) -> None:
        async def leave() -> None:
            await self.leave_to_simmer()

        await asyncio.create_task(leave())

    async def clean_up_later(self) -> None:
        self.ctx.wait_until(Cook.done.wait())

    async def delegate(self) -> None:
        await asyncio.create_task(self.stir())

    async def taste(self) -> None:
        await self.ctx.block_concurrency_while(Cook.done.wait)

    async def write(self) -> None:
        await self.ctx.storage.put("soup", "onion")

    async def write_unconfirmed(self) -> None:
        await self.ctx.storage.put("soup", "onion", allow_unconfirmed=True)

    async def write_and_wait(self) -> None:
        await self.write_unconfirmed()
        await self.ctx.storage.sync()

    async def write_in_a_transaction(self) -> None:
        async def closure(txn: Any) -> None:
            await txn.put("soup", "leek")
            await Cook.done.wait()

        await self.ctx.storage.transaction(closure)

    async def forget_the_soup(self) -> None:
        bookmark = await self.ctx.storage.get_current_bookmark()
        await self.write()
        await self.ctx.storage.on_next_session_restore_bookmark(bookmark)
        self.ctx.abort("burnt")

    async def be_called_in(self, seconds: float) -> None:
        await self.ctx.storage.set_alarm(timedelta(seconds=seconds))

    async def alarm(self, _: AlarmInvocation) -> None:
        await Cook.done.wait()

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        await Cook.done.wait()


@pytest.fixture
async def runtime(start_awake_runtime: StartRuntime) -> AsyncIterator[TestRuntime[Any]]:
    """A runtime with cooks, whose work ends when the test does."""
    Cook.warm, Cook.done, Cook.tasks = asyncio.Event(), asyncio.Event(), []
    started: TestRuntime[Any] = await start_awake_runtime(cooks=Cook)
    yield started
    Cook.done.set()
    for name in "ab":
        await started.abort_durable_object(started.env.cooks.get_by_name(name))
    await asyncio.gather(*Cook.tasks, return_exceptions=True)


@pytest.fixture
def cook(runtime: TestRuntime[Any]) -> Any:
    """One of them."""
    return runtime.env.cooks.get_by_name("a")


def begin(call: Awaitable[Any]) -> None:
    """Let a call go on until the test is over."""
    Cook.tasks.append(asyncio.ensure_future(call))


def line(function: Callable[..., Any], number: int) -> str:
    """Return where a function's line is, as people are told; its ``def`` has number 0."""
    return f"{FILE}:{function.__code__.co_firstlineno + number}"


async def test_an_object_that_isnt_in_memory_has_no_cause(
    runtime: TestRuntime[Any], cook: Any
) -> None:
    never = runtime.why_awake(cook)
    await cook.greet()
    await runtime.clock.advance(11)

    assert (never, runtime.why_awake(cook)) == ([], [])


async def test_an_object_that_nothing_keeps_tells_when_it_leaves(
    runtime: TestRuntime[Any], cook: Any
) -> None:
    await cook.greet()
    await runtime.clock.advance(3)

    assert runtime.why_awake(cook) == ["idle for 3 s; it leaves memory in 7 s"]


@pytest.mark.parametrize(
    ("seconds", "span"), [(0, "0 s"), (119, "119 s"), (150, "2 min"), (7200, "2 h")]
)
async def test_a_timer_is_told_with_where_it_is_and_for_how_long(
    runtime: TestRuntime[Any], cook: Any, seconds: int, span: str
) -> None:
    begin(cook.simmer())
    await runtime.clock.advance(seconds)

    assert runtime.why_awake(cook) == [
        f"simmer() has been running for {span}: it waits for a timer, asyncio.sleep(86400), "
        f"at {line(Cook.simmer, 1)}"
    ]


async def test_work_that_waits_again_is_told_with_how_long_it_takes_in_all(
    runtime: TestRuntime[Any], cook: Any
) -> None:
    begin(cook.cook())
    await runtime.clock.advance(5)
    Cook.warm.set()
    await runtime.clock.advance(5)

    (told,) = runtime.why_awake(cook)

    assert told.startswith("cook() has been running for 10 s: it waits for a timer")


async def test_a_call_to_another_object_is_told_with_its_method(
    runtime: TestRuntime[Any], cook: Any
) -> None:
    begin(cook.ask("b"))
    await runtime.settle()

    assert runtime.why_awake(cook) == [
        "ask() has been running for 0 s: it waits for an answer to stir() from <stub of Cook b>, "
        f"at {line(Cook.ask, 1)}"
    ]


async def test_a_call_back_is_told_with_its_name(runtime: TestRuntime[Any], cook: Any) -> None:
    begin(cook.lend_a_hand("b"))
    await runtime.settle()
    other = runtime.env.cooks.get_by_name("b")

    assert runtime.why_awake(other) == [
        "ask_for_help() has been running for 0 s: it waits for taste(), which it was given, "
        f"at {line(Cook.ask_for_help, 1)}"
    ]


async def test_what_a_library_does_is_told_with_where_it_was_called(
    runtime: TestRuntime[Any], cook: Any
) -> None:
    begin(cook.wait())
    await runtime.settle()

    assert runtime.why_awake(cook) == [
        f"wait() has been running for 0 s: it waits in Event.wait(), at {line(Cook.wait, 1)}"
    ]


async def test_what_says_nothing_of_itself_is_told_with_its_place(
    runtime: TestRuntime[Any], cook: Any
) -> None:
    begin(cook.stir())
    await runtime.settle()

    told = runtime.why_awake(cook)

    assert f"stir() has been running for 0 s: it waits for something, at {line(Cook.stir, 1)}" in (
        told
    )


async def test_a_task_that_an_event_has_left_behind_is_told_with_the_event(
    runtime: TestRuntime[Any], cook: Any
) -> None:
    await cook.leave_to_simmer()
    await cook.leave_to_simmer("pot")
    await cook.leave_to_others()
    await runtime.clock.advance(5)

    reason = f"it waits for a timer, asyncio.sleep(86400), at {line(Cook.simmer, 1)}"
    assert sorted(runtime.why_awake(cook)) == [
        f"a task started by leave_to_others() has been running for 5 s: {reason}",
        f"a task started by leave_to_simmer() has been running for 5 s: {reason}",
        f"the task 'pot' started by leave_to_simmer() has been running for 5 s: {reason}",
    ]


async def test_work_that_is_waited_for_after_the_answer_is_told(
    runtime: TestRuntime[Any], cook: Any
) -> None:
    await cook.clean_up_later()
    await runtime.settle()

    (told,) = runtime.why_awake(cook)

    assert told.startswith("the task 'wait_until' started by clean_up_later() has been running")


async def test_a_task_that_waits_for_another_is_told_so(
    runtime: TestRuntime[Any], cook: Any
) -> None:
    begin(cook.delegate())
    await runtime.settle()

    told = runtime.why_awake(cook)

    assert (
        "delegate() has been running for 0 s: it waits for a task started by delegate(), "
        f"at {line(Cook.delegate, 1)}"
    ) in told


async def test_what_waits_for_the_same_is_told_once(runtime: TestRuntime[Any], cook: Any) -> None:
    for _ in range(3):
        begin(cook.wait())
        await runtime.clock.advance(2)

    assert runtime.why_awake(cook) == [
        "wait() has been running 3 times, for up to 6 s: it waits in Event.wait(), "
        f"at {line(Cook.wait, 1)}"
    ]


async def test_a_critical_section_is_told_and_what_it_holds_back(
    runtime: TestRuntime[Any], cook: Any
) -> None:
    begin(cook.taste())
    begin(cook.greet())
    await runtime.clock.advance(4)

    told = runtime.why_awake(cook)

    assert "greet() has been waiting to begin for 4 s: a critical section holds it back" in told
    assert "a critical section has been running for 4 s: it waits in Event.wait()" in told
    place = line(Cook.taste, 1)
    assert f"taste() has been running for 4 s: it waits for a critical section, at {place}" in told


async def test_an_events_own_name_is_told(runtime: TestRuntime[Any], cook: Any) -> None:
    ws = await runtime.connect(cook)
    await cook.be_called_in(2)
    await ws.send("hello")
    await runtime.clock.advance(5)

    places = line(Cook.web_socket_message, 1), line(Cook.alarm, 1)
    assert runtime.why_awake(cook) == [
        f"web_socket_message has been running for 5 s: it waits in Event.wait(), at {places[0]}",
        f"alarm has been running for 3 s: it waits in Event.wait(), at {places[1]}",
    ]


async def test_a_task_that_only_needs_its_turn_is_told_so(
    runtime: TestRuntime[Any], cook: Any
) -> None:
    await cook.greet()
    begin(cook.keep_turning())

    told = runtime.why_awake(cook)

    assert told == [
        "keep_turning() has been running for 0 s: it goes on at once, "
        f"at {line(Cook.keep_turning, 2)}"
    ]


async def test_a_transaction_that_is_open_is_told(runtime: TestRuntime[Any], cook: Any) -> None:
    begin(cook.write_in_a_transaction())
    await runtime.settle()

    assert "a transaction is open" in runtime.why_awake(cook)


@pytest.mark.parametrize("method", ["write", "write_unconfirmed"])
async def test_writes_that_arent_durable_yet_are_told(
    runtime: TestRuntime[Any], cook: Any, disk: StuckDisk, method: str
) -> None:
    await cook.greet()

    with disk.stuck():
        begin(getattr(cook, method)())
        await turns()
        told = runtime.why_awake(cook)

    assert told == ["what it has written waits for the disk"]


async def test_an_object_that_waits_for_its_writes_is_told_so(
    runtime: TestRuntime[Any], cook: Any, disk: StuckDisk
) -> None:
    await cook.greet()

    with disk.stuck():
        begin(cook.write_and_wait())
        await turns()
        told = runtime.why_awake(cook)

    assert told == [
        "write_and_wait() has been running for 0 s: it waits for the disk, in sync(), "
        f"at {line(Cook.write_and_wait, 2)}",
        "what it has written waits for the disk",
    ]


async def test_a_checkpoint_is_told_and_what_it_holds_back(
    runtime: TestRuntime[Any], cook: Any, disk: StuckDisk
) -> None:
    await cook.write()
    life = runtime.host.life_of(key_of(cook))
    assert life is not None

    with disk.stuck():
        life.checkpoint()
        begin(cook.greet())
        await turns()
        told = runtime.why_awake(cook)

    assert told == [
        "greet() has been waiting to begin for 0 s: a checkpoint holds it back",
        "a checkpoint is under way, or waits for its turn",
    ]


async def test_an_object_that_was_reset_is_told_what_it_waits_for(
    runtime: TestRuntime[Any], cook: Any, disk: StuckDisk
) -> None:
    await cook.greet()
    life = runtime.host.life_of(key_of(cook))
    assert life is not None

    with disk.stuck():
        begin(cook.write())
        await turns()
        life.break_off(ValueError("burnt"))
        told = runtime.why_awake(cook)

    (sentence,) = told
    assert "it was reset, and waits for the disk to let go of its database: " in sentence
    assert "burnt" in sentence


async def test_an_object_that_is_brought_back_is_told_so(
    runtime: TestRuntime[Any], cook: Any, disk: StuckDisk
) -> None:
    await cook.write()
    await asyncio.gather(cook.forget_the_soup(), return_exceptions=True)
    await runtime.settle()

    with disk.stuck():
        begin(cook.greet())
        await turns()
        told = runtime.why_awake(cook)

    assert told == [
        "greet() has been waiting to begin for 0 s: the way back to an earlier moment "
        "holds it back",
        "it is being brought back to an earlier moment",
    ]


async def test_the_log_tells_at_debug_level_why_an_object_stays(
    runtime: TestRuntime[Any], cook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    begin(cook.simmer())
    with caplog.at_level(logging.INFO, logger="runtime"):
        await runtime.clock.advance(15)
    quiet = list(caplog.messages)

    with caplog.at_level(logging.DEBUG, logger="runtime"):
        await runtime.clock.advance(10)

    assert quiet == []
    (said,) = caplog.messages
    assert said.startswith(f"Cook {cook.id} stays in memory: simmer() has been running for 20 s: ")


async def test_an_object_leaves_ten_seconds_after_what_kept_it_has_ended(
    runtime: TestRuntime[Any], cook: Any
) -> None:
    begin(cook.stir())
    await runtime.clock.advance(25)
    Cook.done.set()
    await runtime.settle()

    await runtime.clock.advance(9.9)
    before = runtime.why_awake(cook)
    await runtime.clock.advance(0.1)

    assert before == ["idle for 10 s; it leaves memory in 0 s"]
    assert runtime.why_awake(cook) == []


async def test_what_is_no_stub_has_no_cause(runtime: TestRuntime[Any]) -> None:
    with pytest.raises(TypeError, match="expected a stub of a durable object, not 'a'"):
        runtime.why_awake("a")


def test_a_runtime_that_hasnt_started_says_so(folder: Path) -> None:
    runtime = Runtime(RuntimeConfig(data=folder), bindings={"cooks": Cook})

    with pytest.raises(RuntimeError, match="hasn't been started"):
        runtime.why_awake(None)
