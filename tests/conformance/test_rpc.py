"""Section G of the conformance list: calls, what crosses with them, and for how long."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Final
from uuid import UUID

import pytest

from runtime import (
    DurableObject,
    DurableObjectNamespace,
    DurableObjectState,
    Request,
    Response,
    RpcTarget,
    Runtime,
    RuntimeConfig,
    errors,
)
from runtime.testing import TestRuntime, key_of
from runtime.wire import MAX_BYTES
from tests.conftest import StartRuntime

_NO_PIPELINING: Final = (
    "no pipelining: a reply is awaited before its parts are used, which costs one process nothing"
)
_NO_PROPERTIES: Final = "api.md: property reads over a stub are not supported"

LEFT_OUT: Final[dict[str, str]] = {
    "G09": _NO_PIPELINING,
    "G18": "no paths: neither pipelining nor properties, so none can be too deep",
    "G23": "Python has no transparent proxies; what can be called is read off the class",
}

SIZE: Final = (
    r"^Serialized RPC arguments or return values are limited to 32MiB, but the size of this value "
    r"was: \d+ bytes\.$"
)
GONE: Final = r"^The execution context which hosts this callback is no longer running\.$"


class Counter(RpcTarget):
    """Counts, and is told when it is disposed of."""

    def __init__(self, start: int = 0) -> None:
        self.count = start
        self.disposals = 0

    async def increment(self, by: int = 1) -> int:
        self.count += by
        return self.count

    def dispose(self) -> None:
        self.disposals += 1


class Examiner(RpcTarget):
    """Keeps an argument of the call that has returned it, and another handle of the same."""

    def __init__(self, counter: Any) -> None:
        self._original = counter
        self._dup = counter.dup()

    async def increment_original(self, by: int) -> int:
        result: int = await self._original.increment(by)
        return result

    async def increment_dup(self, by: int) -> int:
        result: int = await self._dup.increment(by)
        return result

    def dispose(self) -> None:
        self._dup.dispose()


class Refusal(Exception):
    """An error that is private to the object."""


@dataclass
class Box:
    """A plain value with another in it."""

    content: Any


class Bare:
    """A class that isn't declared as a durable object."""

    async def fetch(self, request: Request) -> Response:
        return Response(200, text="from Bare")


class Env:
    """What the objects of these tests can reach."""

    def __init__(self, **bindings: DurableObjectNamespace[Any]) -> None:
        self.services: DurableObjectNamespace[Service] = bindings["services"]


class Service(DurableObject[Env]):
    """Has a method for each case."""

    released: ClassVar[asyncio.Event]
    shared: ClassVar[Any]

    _leaked: Any = None

    def __init__(self, ctx: DurableObjectState, env: Env) -> None:
        super().__init__(ctx, env)
        self.instance_method = lambda: "nope"

    @property
    def non_function_property(self) -> dict[str, int]:
        return {"foo": 123}

    async def fetch(self, request: Request) -> Response:
        await self.note("fetch")
        return Response(200, text=request.url)

    async def add(self, amount: int) -> int:
        total: int = await self.ctx.storage.get("total", 0) + amount
        await self.ctx.storage.put("total", total)
        return total

    async def get(self, number: int) -> int:
        return number + 1

    async def put(self, one: int, other: int) -> int:
        return one + other

    async def delete(self, number: int) -> int:
        return number - 1

    async def call_back(self, function: Callable[[int], Any], number: int) -> int:
        result: int = await function(number)
        return result

    async def get_function(self) -> Callable[[int, int], int]:
        return lambda one, other: one ^ other

    async def make_counter(self, start: int) -> Counter:
        return Counter(start)

    async def increment_counter(self, counter: Counter, by: int) -> int:
        return await counter.increment(by)

    async def get_an_object(self, number: int) -> dict[str, Any]:
        return {"foo": 123 + number, "counter": Counter(number)}

    async def keep_and_return(self, counter: Any) -> dict[str, Any]:
        count = await counter.increment(5)
        return {"count": count, "counter": counter, "examiner": Examiner(counter)}

    async def leak(self, counter: Any) -> None:
        counter.dup()

    async def keep(self, counter: Any) -> None:
        self._leaked = counter.dup()

    async def note(self, what: str, *_: Any) -> None:
        notes = await self.ctx.storage.get("notes", [])
        await self.ctx.storage.put("notes", [*notes, what])

    async def notes(self) -> Any:
        return await self.ctx.storage.get("notes", [])

    async def get_non_rpc_class(self) -> Any:
        return {"obj": Refusal()}

    async def fail(self, kind: str) -> None:
        error: Exception = {"builtin": ValueError("METHOD THREW"), "own": Refusal("no")}[kind]
        error.abc = 123  # type: ignore[attr-defined]
        raise error

    async def fail_outside(self, function: Callable[[], Any]) -> dict[str, Any]:
        try:
            await function()
        except LookupError as error:
            return {"says": error.args[0], "of": vars(error)["durable_object_id"]}
        return {}

    async def round_trip(self, value: Any) -> Any:
        return value

    async def as_long_as(self, length: int) -> bytes:
        return bytes(length)

    async def hang_for_ever(self) -> None:
        await asyncio.Event().wait()

    async def abort(self, reason: str) -> None:
        self.ctx.abort(reason)

    async def abort_while_others_wait(self, reason: str) -> None:
        async def section() -> None:
            await self.released.wait()
            self.ctx.abort(reason)

        await self.ctx.block_concurrency_while(section)

    async def share(self) -> None:
        Service.shared = await self.env.services.get_by_name("other").make_counter(12)

    async def use_shared(self) -> int:
        result: int = await Service.shared.increment(1)
        return result

    async def return_shared(self) -> Any:
        return Service.shared


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Env]:
    """A runtime with services."""
    Service.released = asyncio.Event()
    started: TestRuntime[Env] = await start_runtime(Env, services=Service)
    return started


@pytest.fixture
def service(runtime: TestRuntime[Env]) -> Any:
    """One of them."""
    return runtime.env.services.get_by_name("a")


@pytest.fixture
async def awake_runtime(start_awake_runtime: StartRuntime) -> TestRuntime[Env]:
    """A runtime with services that stay in memory, as do the targets that they give away."""
    Service.released = asyncio.Event()
    started: TestRuntime[Env] = await start_awake_runtime(Env, services=Service)
    return started


@pytest.fixture
def awake_service(awake_runtime: TestRuntime[Env]) -> Any:
    """One of those."""
    return awake_runtime.env.services.get_by_name("a")


# Delivery.


async def test_g01_calls_one_after_another_see_what_those_before_have_done(service: Any) -> None:
    assert [await service.add(amount) for amount in (5, 2, 8)] == [5, 7, 15]


async def test_g06_calls_of_a_target_that_are_made_at_once_run_in_their_order(
    awake_service: Any,
) -> None:
    counter = await awake_service.make_counter(17)
    one_by_one = [await counter.increment(2), await counter.increment(-10)]

    at_once = await asyncio.gather(*(counter.increment(by) for by in (6, 4, 3)))

    assert [*one_by_one, *at_once] == [19, 9, 15, 19, 22]


async def test_g07_calls_arrive_in_their_order_whatever_they_bring(awake_service: Any) -> None:
    """References here, where the original has streams and signals too."""
    counter = await awake_service.make_counter(0)

    await asyncio.gather(
        awake_service.note("1"),
        awake_service.note("2", Counter()),
        awake_service.note("3", {"deep": [lambda: None]}),
        awake_service.fetch("http://service/", body="x" * 100_000),
        awake_service.note("5", counter),
        awake_service.note("6", b"x" * 1_000_000),
    )

    assert await awake_service.notes() == ["1", "2", "3", "fetch", "5", "6"]


# What can be called.


@pytest.mark.xfail(
    strict=True,
    raises=TypeError,
    reason="runtime/object.py: what is no DurableObject is refused when it is bound, not called",
)
async def test_g02_a_class_without_the_base_class_has_fetch_and_no_methods(folder: Path) -> None:
    bindings = {"bares": Bare}
    async with Runtime(
        RuntimeConfig(data=folder), bindings=bindings, env=SimpleNamespace
    ) as runtime:
        bare = runtime.env.bares.get_by_name("a")

        assert (await bare.fetch("http://bare/")).text() == "from Bare"


def test_g02_a_class_without_the_base_class_is_told_so(folder: Path) -> None:
    with pytest.raises(TypeError, match=r"Bare'> can't be bound: it isn't a subclass of Durable"):
        Runtime(RuntimeConfig(data=folder), bindings={"bares": Bare}, env=SimpleNamespace)


@pytest.mark.parametrize(
    "name",
    ["instance_method", "to_string", "has_own_property", "env", "ctx", "migrations", "_leaked"],
)
async def test_g03_what_isnt_a_method_of_the_class_cant_be_called(service: Any, name: str) -> None:
    with pytest.raises(
        TypeError, match=rf'^The RPC receiver does not implement the method "{name}"\.$'
    ):
        await getattr(service, name)()


@pytest.mark.parametrize(
    "name",
    ["alarm", "web_socket_message", "web_socket_close", "web_socket_error", "connect", "dup"],
)
async def test_g03_reserved_names_cant_be_called(service: Any, name: str) -> None:
    with pytest.raises(
        TypeError, match=rf"^'{name}' is a reserved method and cannot be called over RPC\.$"
    ):
        await getattr(service, name)()


async def test_g03_get_put_and_delete_are_names_like_any(service: Any) -> None:
    assert [await service.get(12), await service.put(5, 7), await service.delete(3)] == [13, 12, 2]


@pytest.mark.xfail(strict=True, raises=TypeError, reason=_NO_PROPERTIES)
async def test_g03_a_property_can_be_read(service: Any) -> None:
    assert await service.non_function_property == {"foo": 123}


@pytest.mark.xfail(strict=True, raises=AssertionError, reason=_NO_PROPERTIES)
async def test_g03_a_property_that_is_called_is_told_to_be_no_function(service: Any) -> None:
    with pytest.raises(TypeError) as refusal:
        await service.non_function_property()

    assert str(refusal.value) == '"non_function_property" is not a function.'


# By reference.


async def test_g05_a_function_that_is_an_argument_can_be_called(service: Any) -> None:
    assert await service.call_back(lambda number: number * 2, 21) == 42


async def test_g05_a_function_that_is_a_result_can_be_called(awake_service: Any) -> None:
    function = await awake_service.get_function()

    assert await function(3, 6) == 5


@pytest.mark.xfail(strict=True, raises=AttributeError, reason=_NO_PROPERTIES)
async def test_g05_a_functions_own_properties_can_be_read(awake_service: Any) -> None:
    function = await awake_service.get_function()

    assert await function.some_property == 123


@pytest.mark.xfail(strict=True, raises=TypeError, reason=_NO_PIPELINING)
async def test_g05_a_result_can_be_called_before_it_is_there(awake_service: Any) -> None:
    assert await awake_service.get_function()(3, 6) == 5


@pytest.mark.xfail(strict=True, raises=AttributeError, reason=_NO_PIPELINING)
async def test_g10_a_part_of_a_result_can_be_asked_for_before_it_is_there(
    awake_service: Any,
) -> None:
    assert await awake_service.get_an_object(5).foo == 128


async def test_g10_the_parts_of_a_result_are_there_with_it(awake_service: Any) -> None:
    result = await awake_service.get_an_object(5)

    assert (result["foo"], await result["counter"].increment(7)) == (128, 12)


async def test_g11_a_result_that_was_disposed_of_cant_be_used(awake_service: Any) -> None:
    counter = await awake_service.make_counter(12)
    assert await counter.increment(3) == 15

    counter.dispose()

    with pytest.raises(errors.HandleEnded, match=r"was used after being disposed\.$"):
        await counter.increment(2)


@pytest.mark.xfail(
    strict=True,
    raises=AttributeError,
    reason="a result is a plain value: what crosses by reference in it is disposed of one by one",
)
async def test_g11_a_result_disposes_of_all_that_is_in_it(awake_service: Any) -> None:
    result = await awake_service.get_an_object(5)

    result.dispose()

    with pytest.raises(errors.HandleEnded):
        await result["counter"].increment(2)


async def test_g11_a_target_that_was_an_argument_is_disposed_of_after_the_call(
    awake_runtime: TestRuntime[Env], awake_service: Any
) -> None:
    counter = Counter(3)

    assert await awake_service.increment_counter(counter, 5) == 8
    await awake_runtime.settle()

    assert counter.disposals == 1


async def test_g11_a_handle_that_is_an_argument_can_be_used_afterwards_by_who_has_sent_it(
    awake_service: Any,
) -> None:
    counter = await awake_service.make_counter(4)

    assert await awake_service.increment_counter(counter, 5) == 9
    assert await counter.increment(7) == 16


async def test_g11_what_is_dupd_or_returned_outlives_the_call_and_the_target_ends_once(
    awake_runtime: TestRuntime[Env], awake_service: Any
) -> None:
    counter = Counter(3)
    result = await awake_service.keep_and_return(counter)
    examiner, returned = result["examiner"], result["counter"]

    assert result["count"] == 8
    with pytest.raises(errors.HandleEnded, match=r"keep a dup\(\) of it\.$"):
        await examiner.increment_original(1)
    assert await examiner.increment_dup(7) == 15
    assert await returned.increment(4) == 19
    await awake_runtime.settle()
    assert counter.disposals == 0

    examiner.dispose()
    returned.dispose()
    await awake_runtime.settle()

    for call in (returned.increment(2), examiner.increment_dup(7)):
        with pytest.raises(errors.HandleEnded, match=r"was used after being disposed\.$"):
            await call
    assert counter.disposals == 1


async def test_g11_what_a_callee_keeps_ends_when_it_is_aborted(
    awake_runtime: TestRuntime[Env], awake_service: Any
) -> None:
    counter = Counter(3)
    await awake_service.keep(counter)
    await awake_runtime.settle()
    before = counter.disposals

    with pytest.raises(errors.ObjectReset, match=r"^foo bar abort reason$"):
        await awake_service.abort("foo bar abort reason")
    await awake_runtime.settle()

    assert (before, counter.disposals) == (0, 1)


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="runtime/references.py: a handle that nothing refers to any more has ended",
)
async def test_g11_what_a_callee_forgets_lasts_as_long_as_the_callee(
    awake_runtime: TestRuntime[Env], awake_service: Any
) -> None:
    counter = Counter(3)

    await awake_service.leak(counter)
    gc.collect()
    await awake_runtime.settle()

    assert counter.disposals == 0


async def test_g13_a_result_without_references_lets_its_object_leave_memory(
    awake_runtime: TestRuntime[Env], awake_service: Any
) -> None:
    result = await awake_service.round_trip({"foo": 123})

    await awake_runtime.clock.advance(10)

    assert result == {"foo": 123}
    assert awake_runtime.host.life_of(key_of(awake_service)) is None


async def test_g13_a_result_that_is_held_keeps_its_object_in_memory(
    awake_runtime: TestRuntime[Env], awake_service: Any
) -> None:
    counter = await awake_service.make_counter(1)

    await awake_runtime.clock.advance(60)

    assert await counter.increment() == 2


async def test_g21_a_handle_cant_be_used_by_another_object_than_its_receiver(
    awake_runtime: TestRuntime[Env], awake_service: Any
) -> None:
    await awake_service.share()
    stranger: Any = awake_runtime.env.services.get_by_name("b")

    for call in (stranger.use_shared(), stranger.return_shared()):
        with pytest.raises(errors.OutsideObject, match="can only be used by the code of the obj"):
            await call

    assert await awake_service.use_shared() == 13


# Values.


@pytest.mark.parametrize("value", [Refusal(), object(), Refusal])
async def test_g14_what_is_neither_plain_nor_a_target_cant_be_sent(
    service: Any, value: object
) -> None:
    with pytest.raises(TypeError, match=r"^Service\.round_trip\(\) argument 'value' can't be sent"):
        await service.round_trip({"obj": value})


async def test_g14_what_is_neither_plain_nor_a_target_cant_be_returned(service: Any) -> None:
    with pytest.raises(
        TypeError,
        match=r"^the result of Service\.get_non_rpc_class\(\) can't be sent to another object: an "
        r"instance of .*Refusal is no plain value$",
    ):
        await service.get_non_rpc_class()


@pytest.mark.parametrize(
    "value",
    [
        {"text": "a", 1: [None, True, 1.5], (2, 3): {"deep": b"bytes"}},
        {1, 2},
        10**40,
        datetime(2030, 1, 2, tzinfo=UTC),
        Decimal("0.10"),
        UUID(int=7),
        Box([Box("inner")]),
    ],
    ids=["map", "set", "big", "date", "decimal", "uuid", "dataclass"],
)
async def test_g17_values_come_back_as_they_were(service: Any, value: Any) -> None:
    result = await service.round_trip(value)

    assert result == value
    assert type(result) is type(value)


async def test_g17_requests_and_responses_come_back_as_they_were(service: Any) -> None:
    response = await service.round_trip(Response(201, body=b"x", headers={"Set-Cookie": "a=1"}))
    request = await service.round_trip(Request("http://any/path", method="POST", body="x"))

    assert (response.status, response.body, response.headers) == (201, b"x", {"set-cookie": "a=1"})
    assert (request.url, request.method, request.text()) == ("http://any/path", "POST", "x")


@pytest.mark.parametrize("value", [Request("http://any/"), Response()])
async def test_g17_requests_and_responses_share_nothing_with_their_copies(
    service: Any, value: Any
) -> None:
    twin = await service.round_trip(value)

    twin.headers["x-changed"] = "yes"

    assert "x-changed" not in value.headers


@pytest.mark.parametrize(
    "value", ["x" * (MAX_BYTES + 1), b"x" * (MAX_BYTES + 1), ["x" * MAX_BYTES, "y"]]
)
async def test_g22_an_argument_of_more_than_32_mib_is_refused(service: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=SIZE):
        await service.round_trip(value)


async def test_g22_a_result_of_more_than_32_mib_is_refused(service: Any) -> None:
    assert len(await service.as_long_as(MAX_BYTES)) == MAX_BYTES
    with pytest.raises(ValueError, match=SIZE):
        await service.as_long_as(MAX_BYTES + 1)


# Errors.


async def test_g15_an_error_arrives_with_its_type_message_and_properties(service: Any) -> None:
    with pytest.raises(ValueError, match=r"^METHOD THREW$") as failure:
        await service.fail("builtin")

    properties = vars(failure.value)
    assert (properties["abc"], properties["remote"]) == (123, True)
    assert properties["durable_object_id"] == str(service.id)
    assert [properties[flag] for flag in ("retryable", "overloaded", "durable_object_reset")] == [
        False
    ] * 3


async def test_g15_an_error_of_a_class_of_ones_own_arrives_as_one_of_the_runtimes(
    service: Any,
) -> None:
    with pytest.raises(errors.RemoteError, match=r"^Refusal: no$") as failure:
        await service.fail("own")

    assert (failure.value.type_name, failure.value.message) == ("Refusal", "no")
    assert (failure.value.remote, failure.value.durable_object_id) == (True, str(service.id))


@pytest.mark.xfail(
    strict=True,
    raises=KeyError,
    reason="api.md, Errors: what is neither builtin nor registered arrives by name and message",
)
async def test_g15_an_error_of_a_class_of_ones_own_keeps_its_properties(service: Any) -> None:
    with pytest.raises(errors.RemoteError) as failure:
        await service.fail("own")

    assert vars(failure.value)["abc"] == 123


async def test_g15_an_error_of_code_outside_of_all_objects_is_of_no_object(service: Any) -> None:
    def fail() -> None:
        raise LookupError("outside")

    assert await service.fail_outside(fail) == {"says": "outside", "of": None}


async def test_g15_the_stack_is_the_callers_and_the_callees_is_its_cause(service: Any) -> None:
    """The original doesn't transfer the callee's. Here it comes along, in development."""
    with pytest.raises(ValueError, match="METHOD THREW") as failure:
        await service.fail("builtin")

    assert [entry.name for entry in failure.traceback][:1] == [
        "test_g15_the_stack_is_the_callers_and_the_callees_is_its_cause"
    ]
    assert "in fail\n" in str(failure.value.__cause__)


# Aborting.


async def test_g19_abort_rejects_what_hangs_what_aborts_and_what_is_queued(
    awake_runtime: TestRuntime[Env], awake_service: Any
) -> None:
    hanging = awake_service.hang_for_ever()
    await awake_runtime.settle()
    aborting = awake_service.abort_while_others_wait("test aborted by abort()")
    queued = awake_service.get(1)
    await awake_runtime.settle()

    Service.released.set()
    results = await asyncio.gather(hanging, aborting, queued, return_exceptions=True)

    for result in results:
        assert isinstance(result, errors.ObjectReset)
        assert str(result) == "test aborted by abort()"
        assert result.durable_object_reset


async def test_g19_what_an_aborted_object_has_given_away_leads_nowhere(
    awake_service: Any,
) -> None:
    counter, function = await awake_service.make_counter(1), await awake_service.get_function()

    with pytest.raises(errors.ObjectReset, match="over"):
        await awake_service.abort("over")

    for call in (counter.increment(), function(1, 2)):
        with pytest.raises(errors.ObjectReset, match=GONE):
            await call


@pytest.mark.xfail(
    strict=True,
    raises=pytest.fail.Exception,
    reason="api.md, difference 4: a stub names an object, and its next call reaches the next life",
)
async def test_g19_a_stub_stays_broken_after_abort(awake_service: Any) -> None:
    with pytest.raises(errors.ObjectReset, match="over"):
        await awake_service.abort("over")

    with pytest.raises(errors.ObjectReset, match="over"):
        await awake_service.get(1)
