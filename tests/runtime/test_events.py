"""Calls, requests and alarms, as events of an object."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, ClassVar

import pytest

from runtime import AlarmInvocation, DurableObject, Request, Response, errors
from runtime.alarms import MAX_RETRIES
from runtime.testing import TestRuntime, key_of
from tests.conftest import StartRuntime


class Clock(DurableObject[object]):
    """Rings, and does as the test wishes when it does."""

    rung: ClassVar[list[tuple[float, int, str | None]]]
    failures: ClassVar[int]
    plan: ClassVar[str]

    async def set(self, seconds: float, name: str | None = None) -> None:
        await self.ctx.storage.set_alarm(timedelta(seconds=seconds), name=name)

    async def set_at(self, when: float | datetime) -> float | None:
        await self.ctx.storage.set_alarm(when)
        return await self.ctx.storage.get_alarm()

    async def get(self, name: str | None = None) -> float | None:
        return await self.ctx.storage.get_alarm(name=name)

    async def all(self) -> dict[str | None, float]:
        return await self.ctx.storage.list_alarms()

    async def unset(self) -> None:
        await self.ctx.storage.delete_alarm()

    async def roll_back(self) -> None:
        async def closure(txn: Any) -> None:
            await txn.set_alarm(timedelta(seconds=1))
            raise LookupError

        with pytest.raises(LookupError):
            await self.ctx.storage.transaction(closure)

    async def alarm(self, invocation: AlarmInvocation) -> None:
        Clock.rung.append((invocation.scheduled_time, invocation.retry_count, invocation.name))
        assert invocation.is_retry == (invocation.retry_count > 0)
        assert await self.ctx.storage.get_alarm(name=invocation.name) is None
        match Clock.plan:
            case "set anew":
                Clock.plan = ""
                await self.set(10)
            case "set anew and fail":
                Clock.plan = ""
                await self.set(100)
                raise ValueError("after setting it anew")
            case "delete all":
                Clock.plan = ""
                await self.ctx.storage.delete_all()
            case "delete all and fail":
                Clock.plan = ""
                await self.ctx.storage.delete_all()
                raise ValueError("after deleting everything")
            case "delete all and set anew":
                Clock.plan = ""
                await self.ctx.storage.delete_all()
                await self.set(10)
            case "unset":
                await self.unset()
            case "set and unset":
                await self.set(10)
                await self.unset()
            case "abort":
                Clock.plan = ""
                self.ctx.abort("in the middle of it")
            case "be cancelled":
                Clock.plan = ""
                raise asyncio.CancelledError
            case "never end":
                Clock.plan = ""
                await asyncio.Event().wait()
        if Clock.failures:
            Clock.failures -= 1
            raise ValueError("not this time")


@pytest.fixture(autouse=True)
def fresh_clock() -> None:
    """Put back what the tests' class shares among its objects."""
    Clock.rung = []
    Clock.failures = 0
    Clock.plan = ""


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with clocks."""
    started: TestRuntime[Any] = await start_runtime(clocks=Clock)
    return started


@pytest.fixture
def clock(runtime: TestRuntime[Any]) -> Any:
    """One of them."""
    return runtime.env.clocks.get_by_name("a")


async def test_an_alarm_rings_once_at_its_time(runtime: TestRuntime[Any], clock: Any) -> None:
    due = runtime.clock.time() + 5
    await clock.set(5)

    before = await clock.get()
    await runtime.clock.advance(4.9)
    early = list(Clock.rung)
    await runtime.clock.advance(60)

    assert before == due
    assert early == []
    assert Clock.rung == [(due, 0, None)]
    assert await clock.get() is None


async def test_a_second_alarm_replaces_the_first(runtime: TestRuntime[Any], clock: Any) -> None:
    due = runtime.clock.time() + 3
    await clock.set(5)

    await clock.set(3)
    await runtime.clock.advance(60)

    assert Clock.rung == [(due, 0, None)]


async def test_an_alarm_that_is_set_again_and_again_leaves_nothing_behind(
    start_runtime: StartRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.clock.TIDY_FROM", 8)
    runtime = await start_runtime(clocks=Clock)

    for seconds in range(64):
        await runtime.env.clocks.get_by_name("a").set(1000 + seconds)

    assert len(runtime.clock.due) <= 16


async def test_named_alarms_ring_each_by_itself(runtime: TestRuntime[Any], clock: Any) -> None:
    start = runtime.clock.time()
    await clock.set(3, "b")
    await clock.set(1, "a")
    await clock.set(2)

    pending = await clock.all()
    await runtime.clock.advance(60)

    assert pending == {None: start + 2, "a": start + 1, "b": start + 3}
    assert Clock.rung == [(start + 1, 0, "a"), (start + 2, 0, None), (start + 3, 0, "b")]


async def test_an_unset_alarm_doesnt_ring(runtime: TestRuntime[Any], clock: Any) -> None:
    await clock.set(5)
    await clock.unset()

    await runtime.clock.advance(60)

    assert Clock.rung == []


async def test_an_alarm_set_in_a_transaction_that_fails_isnt_set(
    runtime: TestRuntime[Any], clock: Any
) -> None:
    await clock.roll_back()

    await runtime.clock.advance(60)

    assert Clock.rung == []


async def test_a_time_that_is_past_counts_as_now(runtime: TestRuntime[Any], clock: Any) -> None:
    now = runtime.clock.time()

    shown = await clock.set_at(now - 1000)
    await runtime.settle()

    assert shown == now
    assert Clock.rung == [(now, 0, None)]


async def test_a_time_may_be_an_aware_datetime(runtime: TestRuntime[Any], clock: Any) -> None:
    when = datetime.fromtimestamp(runtime.clock.time() + 3600, UTC)

    assert await clock.set_at(when) == when.timestamp()


@pytest.mark.parametrize("when", [datetime(2030, 1, 1), 0.0, -5.0])
async def test_a_time_that_is_none_is_refused(clock: Any, when: Any) -> None:
    with pytest.raises(TypeError):
        await clock.set_at(when)


async def test_a_class_without_a_handler_cant_set_alarms(start_runtime: StartRuntime) -> None:
    class Deaf(DurableObject[object]):
        async def set(self) -> None:
            await self.ctx.storage.set_alarm(timedelta(seconds=1))

    runtime = await start_runtime(deaf=Deaf)

    with pytest.raises(TypeError, match=r"must have an alarm\(\) handler"):
        await runtime.env.deaf.get_by_name("a").set()


async def test_a_failing_alarm_is_tried_seven_times_at_growing_intervals(
    runtime: TestRuntime[Any], clock: Any
) -> None:
    Clock.failures = 100
    start = runtime.clock.time()
    times: list[float] = []
    await clock.set(1)

    for _ in range(200):
        seen = len(Clock.rung)
        await runtime.clock.advance(1)
        times += [runtime.clock.time() - start] * (len(Clock.rung) - seen)

    assert [retries for _, retries, _ in Clock.rung] == list(range(MAX_RETRIES + 1))
    assert {scheduled for scheduled, _, _ in Clock.rung} == {start + 1}
    waits = [later - earlier for earlier, later in pairwise(times)]
    pairs = zip([2.0, 4.0, 8.0, 16.0, 32.0, 64.0], waits, strict=True)
    assert all(least - 1 <= wait <= least * 1.25 + 1 for least, wait in pairs)
    assert await clock.get() is None


async def test_a_failing_alarm_goes_on_being_tried_after_a_restart(
    runtime: TestRuntime[Any], clock: Any
) -> None:
    Clock.failures = 2
    await clock.set(1)
    await runtime.clock.advance(1)

    await runtime.restart()
    await runtime.crash()
    await runtime.clock.advance(60)

    assert [retries for _, retries, _ in Clock.rung] == [0, 1, 2]


async def test_an_alarm_that_waits_for_its_next_try_shows_and_can_be_unset(
    runtime: TestRuntime[Any], clock: Any
) -> None:
    Clock.failures = 1
    due = runtime.clock.time() + 1
    await clock.set(1)
    await runtime.clock.advance(1)

    shown = await clock.get()
    await clock.unset()
    await runtime.clock.advance(60)

    assert shown == due
    assert len(Clock.rung) == 1


@pytest.mark.parametrize(("plan", "rung"), [("set anew", 2), ("unset", 1), ("set and unset", 1)])
async def test_a_handler_may_set_and_unset_its_own_alarm(
    runtime: TestRuntime[Any], clock: Any, plan: str, rung: int
) -> None:
    Clock.plan = plan
    await clock.set(1)

    await runtime.clock.advance(60)

    assert len(Clock.rung) == rung


async def test_an_alarm_set_anew_takes_the_place_of_the_retry(
    runtime: TestRuntime[Any], clock: Any
) -> None:
    Clock.plan = "set anew and fail"
    start = runtime.clock.time()
    await clock.set(1)

    await runtime.clock.advance(300)

    assert Clock.rung == [(start + 1, 0, None), (start + 101, 0, None)]


@pytest.mark.parametrize("plan", ["abort", "be cancelled"])
async def test_an_alarm_whose_handler_is_cut_short_is_tried_again(
    runtime: TestRuntime[Any], clock: Any, plan: str
) -> None:
    Clock.plan = plan
    await clock.set(1)

    await runtime.clock.advance(60)

    assert len(Clock.rung) == 2
    assert await clock.get() is None


async def test_an_alarm_that_never_ends_is_cut_off_after_15_minutes_and_tried_again(
    runtime: TestRuntime[Any], clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    Clock.plan = "never end"
    await clock.set(0)

    await runtime.clock.advance(timedelta(minutes=15) - timedelta(seconds=1))
    early = len(Clock.rung)
    await runtime.clock.advance(60)

    assert early == 1
    assert [retries for _, retries, _ in Clock.rung] == [0, 1]
    assert await clock.get() is None
    assert "Alarm exceeded its allowed execution time" in caplog.text


async def test_an_alarm_that_a_crash_has_cut_short_rings_again(
    runtime: TestRuntime[Any], clock: Any
) -> None:
    await clock.set(1)
    runtime.clock.advance(1)

    await runtime.crash()
    await runtime.clock.advance(60)

    assert len(Clock.rung) in (1, 2), "at least once"
    assert await clock.get() is None


async def test_an_alarm_that_the_nodes_queue_rings_too_early_rings_at_its_time(
    runtime: TestRuntime[Any], clock: Any
) -> None:
    """As after somebody has set the machine's clock back."""
    due = runtime.clock.time() + 100
    await clock.set(100)
    life = runtime.host.life_of(key_of(clock))
    assert life is not None
    runtime.host.alarms_set(life, {None: due - 50})

    await runtime.clock.advance(60)
    early = list(Clock.rung)
    await runtime.clock.advance(60)

    assert early == []
    assert Clock.rung == [(due, 0, None)]


async def test_an_alarm_is_deleted_with_everything_else_by_its_handler(
    runtime: TestRuntime[Any], clock: Any
) -> None:
    for Clock.plan, rung in [("delete all", 1), ("delete all and fail", 2)]:
        await clock.set(1)

        await runtime.clock.advance(300)

        assert (len(Clock.rung), await clock.all()) == (rung, {})


async def test_an_alarm_that_is_set_after_everything_was_deleted_rings(
    runtime: TestRuntime[Any], clock: Any
) -> None:
    Clock.plan = "delete all and set anew"
    start = runtime.clock.time()
    await clock.set(1)

    await runtime.clock.advance(300)

    assert [scheduled - start for scheduled, _, _ in Clock.rung] == [1, 11]


async def test_tests_can_run_an_alarm_before_its_time(
    runtime: TestRuntime[Any], clock: Any
) -> None:
    await clock.set(1000)

    ran = [await runtime.run_durable_object_alarm(clock) for _ in range(2)]

    assert ran == [True, False]
    assert len(Clock.rung) == 1


async def test_an_alarm_of_a_class_that_has_lost_its_handler_is_dropped_with_a_warning(
    runtime: TestRuntime[Any],
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await clock.set(100)
    await runtime.restart()
    monkeypatch.delattr(Clock, "alarm")

    with caplog.at_level(logging.WARNING, logger="runtime"):
        await runtime.clock.advance(100)

    assert "without a handler" in caplog.text
    assert await clock.get() is None


class Web(DurableObject[object]):
    """Answers requests."""

    async def fetch(self, request: Request) -> Response:
        match request.path:
            case "/echo":
                said = {"method": request.method, "query": request.query, "body": request.text()}
                return Response(201, json=said, headers={"X-Seen": request.headers["x-trace"]})
            case "/101":
                return Response.switching_protocols()
        return "nothing"  # type: ignore[return-value]


async def test_a_request_is_answered_by_the_object(start_runtime: StartRuntime) -> None:
    runtime = await start_runtime(webs=Web)
    web = runtime.env.webs.get_by_name("a")

    response = await web.fetch(
        "http://any/echo?a=1&a=2", method="post", headers={"X-Trace": "7"}, body="hello"
    )

    assert response.status == 201
    assert response.json() == {"method": "POST", "query": {"a": "2"}, "body": "hello"}
    assert response.headers["x-seen"] == "7"


@pytest.mark.parametrize(
    ("url", "error"),
    [("http://any/", "must return a Response"), ("http://any/101", "has accepted no WebSocket")],
)
async def test_an_answer_that_is_none_is_an_error(
    start_runtime: StartRuntime, url: str, error: str
) -> None:
    runtime = await start_runtime(webs=Web)

    with pytest.raises(TypeError, match=error):
        await runtime.env.webs.get_by_name("a").fetch(url)


async def test_a_class_without_fetch_says_so(start_runtime: StartRuntime) -> None:
    runtime = await start_runtime(clocks=Clock)

    with pytest.raises(TypeError, match=r"does not export a fetch\(\) function"):
        await runtime.env.clocks.get_by_name("a").fetch("http://any/")


async def test_a_relative_url_is_refused(start_runtime: StartRuntime) -> None:
    runtime = await start_runtime(webs=Web)

    with pytest.raises(TypeError, match="Invalid URL: /echo"):
        await runtime.env.webs.get_by_name("a").fetch("/echo")


@errors.register
class OutOfStock(Exception):
    """A refusal that callers are to see as itself."""

    def __init__(self, item: str, *, left: int) -> None:
        super().__init__(item)
        self.left = left


class Shop(DurableObject[object]):
    """Raises what it is asked to."""

    async def sell(self, kind: str) -> None:
        error: Exception = {
            "builtin": ValueError("no"),
            "registered": OutOfStock("tea", left=3),
            "private": type("Secret", (Exception,), {})("inner workings"),
        }[kind]
        error.extra = 123  # type: ignore[attr-defined]
        raise error

    async def wrong_result(self) -> int:
        return "three"  # type: ignore[return-value]


@pytest.fixture
async def shop(start_runtime: StartRuntime) -> Any:
    """A shop."""
    runtime = await start_runtime(shops=Shop)
    return runtime.env.shops.get_by_name("a")


@pytest.mark.parametrize(("kind", "type_"), [("builtin", ValueError), ("registered", OutOfStock)])
async def test_an_error_that_may_cross_reaches_the_caller_as_itself(
    shop: Any, kind: str, type_: type[Exception]
) -> None:
    with pytest.raises(type_) as failure:
        await shop.sell(kind)

    assert type(failure.value) is type_
    assert vars(failure.value)["extra"] == 123
    assert vars(failure.value)["remote"] is True
    assert vars(failure.value)["durable_object_id"] == str(shop.id)
    assert "in sell" in str(failure.value.__cause__)
    assert getattr(failure.value, "left", 3) == 3


async def test_an_error_that_may_not_cross_arrives_by_name(shop: Any) -> None:
    with pytest.raises(errors.RemoteError) as failure:
        await shop.sell("private")

    assert failure.value.type_name == "Secret"
    assert failure.value.remote
    assert failure.value.durable_object_id == str(shop.id)


async def test_a_result_that_isnt_what_was_declared_is_an_error(shop: Any) -> None:
    with pytest.raises(TypeError, match=r"the result of Shop.wrong_result\(\)"):
        await shop.wrong_result()
