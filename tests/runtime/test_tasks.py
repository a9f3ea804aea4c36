"""Object code under asyncio: what ``asyncio.Task`` promises, and the gate besides."""

from __future__ import annotations

import asyncio
import gc
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

from runtime import DurableObject, Runtime, RuntimeConfig
from runtime.tasks import ObjectTask
from runtime.testing import TestRuntime
from tests.conftest import StartRuntime
from tests.runtime.disk import turns

TIMEOUTS = ["time_out", "wait_for", "time_out_in_anyio", "spin_in_anyio"]

request_id: ContextVar[str] = ContextVar("request_id", default="none")


class Worker(DurableObject[object]):
    """Uses what asyncio offers."""

    held: ClassVar[asyncio.Future[str]]
    log: ClassVar[list[str]]

    async def ready(self) -> str:
        return "ready"

    async def hold(self) -> str:
        return await asyncio.shield(Worker.held)

    async def time_out(self, seconds: float) -> str:
        try:
            async with asyncio.timeout(seconds):
                return await self.hold()
        except TimeoutError:
            return "timed out"

    async def wait_for(self, seconds: float) -> str:
        try:
            return await asyncio.wait_for(self.hold(), seconds)
        except TimeoutError:
            return "timed out"

    async def time_out_in_anyio(self, seconds: float) -> str:
        with anyio.move_on_after(seconds):
            return await self.hold()
        return "timed out"

    async def spin_in_anyio(self, seconds: float) -> str:
        with anyio.move_on_after(seconds):
            while not Worker.held.done():
                await asyncio.sleep(0)
            return Worker.held.result()
        return "timed out"

    async def group(self) -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.ready()), group.create_task(self.hold())]
        return [task.result() for task in tasks]

    async def failing_group(self) -> str:
        async def fail() -> None:
            raise KeyError("x")

        failed = 0
        try:
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(self.hold())
                group.create_task(fail())
        except* KeyError as errors:
            failed = len(errors.exceptions)
        return f"{failed} failed, waiting cancelled: {waiting.cancelled()}"

    async def cancel_a_child(self) -> bool:
        task = asyncio.create_task(self.hold(), name="child")
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    async def say_why(self, child_does: str) -> list[Any]:
        said: list[Any] = []

        async def child() -> None:
            try:
                if child_does == "cancel itself":
                    asyncio.current_task().cancel("why")  # type: ignore[union-attr]
                while True:
                    await (asyncio.sleep(0) if child_does == "spin" else self.hold())
            except asyncio.CancelledError as cancelled:
                said.extend(cancelled.args)

        task = asyncio.create_task(child())
        await asyncio.sleep(0)
        task.cancel("why")
        await task
        return said

    async def who_am_i(self) -> bool:
        before = asyncio.current_task()
        await asyncio.sleep(0)
        return before is asyncio.current_task() is not None

    async def see_context(self) -> str:
        return request_id.get()

    async def set_context(self) -> None:
        request_id.set("the object's")

    async def write_in_a_child(self) -> None:
        async def child() -> None:
            await asyncio.sleep(0)
            await self.ctx.storage.put("child", 1)

        await asyncio.create_task(child())

    async def start_and_forget(self) -> None:
        async def child() -> None:
            await self.ctx.storage.put("background", await self.hold())

        self.task = asyncio.create_task(child())

    async def hold_and_write(self) -> None:
        await self.ctx.storage.put("background", await self.hold())

    async def get(self, key: str) -> Any:
        return await self.ctx.storage.get(key)

    async def clean_up_when_dropped(self) -> None:
        try:
            await self.hold()
        finally:
            Worker.log.append("cleaned up")

    async def reset(self) -> None:
        self.ctx.abort("reset")

    async def await_something_foreign(self) -> None:
        class Foreign:
            def __await__(self) -> Any:
                yield "not a future"

        await Foreign()


@pytest.fixture(autouse=True)
async def fresh_worker() -> None:
    """Put back what the tests' class shares among its objects."""
    Worker.held = asyncio.get_running_loop().create_future()
    Worker.log = []


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with workers."""
    started: TestRuntime[Any] = await start_runtime(workers=Worker)
    return started


@pytest.fixture
async def worker(runtime: TestRuntime[Any]) -> Any:
    """One of them."""
    return runtime.env.workers.get_by_name("a")


@pytest.mark.parametrize("method", TIMEOUTS)
async def test_object_code_can_time_out(tmp_path: Path, method: str) -> None:
    config = RuntimeConfig(data=tmp_path)
    async with Runtime(config, bindings={"workers": Worker}) as runtime:
        worker = runtime.env.workers.get_by_name("a")

        assert await getattr(worker, method)(0.001) == "timed out"


@pytest.mark.parametrize("method", ["time_out", "wait_for", "time_out_in_anyio"])
async def test_object_code_times_out_by_the_clock_of_a_test(
    runtime: TestRuntime[Any], worker: Any, method: str
) -> None:
    answer = getattr(worker, method)(60)

    await runtime.clock.advance(59.9)
    assert not answer.done()

    await runtime.clock.advance(0.1)
    assert await answer == "timed out"


@pytest.mark.parametrize("method", TIMEOUTS)
async def test_object_code_isnt_timed_out_when_it_is_quick(worker: Any, method: str) -> None:
    answer = getattr(worker, method)(60)
    await turns()
    Worker.held.set_result("in time")

    assert await answer == "in time"


async def test_task_groups_work_in_object_code(worker: Any) -> None:
    answer = worker.group()
    await turns()
    Worker.held.set_result("held")

    assert await answer == ["ready", "held"]


async def test_a_task_group_cancels_its_other_tasks_when_one_fails(worker: Any) -> None:
    assert await worker.failing_group() == "1 failed, waiting cancelled: True"


async def test_a_child_task_can_be_cancelled(worker: Any) -> None:
    assert await worker.cancel_a_child()


@pytest.mark.parametrize("child_does", ["wait", "spin", "cancel itself"])
async def test_a_task_that_is_cancelled_is_told_why(worker: Any, child_does: str) -> None:
    assert await worker.say_why(child_does) == ["why"]


async def test_the_current_task_stays_the_same(worker: Any) -> None:
    assert await worker.who_am_i()


async def test_the_callers_task_is_the_current_one_again_after_a_call(worker: Any) -> None:
    mine = asyncio.current_task()

    await worker.ready()

    assert asyncio.current_task() is mine


async def test_a_caller_that_gives_up_doesnt_cancel_the_objects_work(
    runtime: TestRuntime[Any], worker: Any
) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(worker.hold_and_write(), 0.001)
    Worker.held.set_result("done all the same")
    await runtime.settle()

    assert await worker.get("background") == "done all the same"


async def test_context_variables_dont_cross_into_an_object_or_out_of_it(worker: Any) -> None:
    request_id.set("the caller's")

    inside = await worker.see_context()
    await worker.set_context()

    assert inside == "none"
    assert request_id.get() == "the caller's"


async def test_what_a_child_task_writes_is_committed(
    runtime: TestRuntime[Any], worker: Any
) -> None:
    await worker.write_in_a_child()

    await runtime.crash()

    assert await worker.get("child") == 1


async def test_a_task_that_goes_on_after_its_event_keeps_the_object_awake(
    runtime: TestRuntime[Any], worker: Any
) -> None:
    await worker.start_and_forget()

    await runtime.clock.advance(60)
    Worker.held.set_result("still here")
    await runtime.settle()

    assert await worker.get("background") == "still here"


async def test_a_dropped_task_runs_its_finally_blocks_and_nothing_else(
    worker: Any,
) -> None:
    waiting = worker.clean_up_when_dropped()
    await turns()

    results = await asyncio.gather(waiting, worker.reset(), return_exceptions=True)
    Worker.held.set_result("too late")
    await turns()

    assert [str(result) for result in results] == ["reset", "reset"]
    assert Worker.log == ["cleaned up"]


async def test_awaiting_what_is_no_future_is_an_error(worker: Any) -> None:
    with pytest.raises(RuntimeError, match="not of its event loop"):
        await worker.await_something_foreign()


async def test_finished_tasks_are_not_kept(worker: Any) -> None:
    def kept() -> int:
        gc.collect()
        return sum(isinstance(thing, ObjectTask) for thing in gc.get_objects())

    before = kept()  # by other tests
    for _ in range(20):
        await worker.write_in_a_child()

    assert kept() - before < 5
