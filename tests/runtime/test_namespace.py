"""Names, ids and stubs, and what may be called on them."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from runtime import DurableObject, DurableObjectNamespace, ObjectId, Stub, rpc_private
from runtime.namespace import Code
from runtime.testing import TestRuntime
from tests.conftest import StartRuntime


class Env:
    """What the objects of these tests can reach."""

    def __init__(self, **bindings: DurableObjectNamespace[Any]) -> None:
        self.ledgers: DurableObjectNamespace[Ledger] = bindings["ledgers"]


class Base(DurableObject[Env]):
    """Gives a method to its subclass."""

    async def inherited(self) -> str:
        return "inherited"


class Ledger(Base):
    """Keeps a total."""

    def __init__(self, ctx: Any, env: Env) -> None:
        super().__init__(ctx, env)
        self.field = "not a method"

    async def add(self, amount: int, *, twice: bool = False) -> int:
        total: int = await self.ctx.storage.get("total", 0) + amount * (2 if twice else 1)
        await self.ctx.storage.put("total", total)
        return total

    def plain(self, text: str) -> str:
        return text.upper()

    async def call_back(self, other: str, rounds: int) -> list[str | None]:
        """Call each other to and fro: A calls B, which calls A, …"""
        if rounds == 0:
            return [self.ctx.id.name]
        mine = self.ctx.id.name or ""
        deeper = await self.env.ledgers.get_by_name(other).call_back(mine, rounds - 1)
        return [self.ctx.id.name, *deeper]

    async def call_without_waiting(self, other: str) -> list[bool | int]:
        """Call, and see whether it has happened before this step is over."""
        ledger = self.env.ledgers.get_by_name(other)
        calls = [ledger.add(1), ledger.add(1)]
        at_once = [call.done() for call in calls]  # type: ignore[attr-defined]
        return [*at_once, *await asyncio.gather(*calls)]

    async def relay(self, target: Stub, amount: int) -> int:
        result: int = await target.add(amount)
        return result

    async def own_id(self) -> ObjectId:
        return self.ctx.id

    async def alarm(self, _: Any) -> None: ...

    async def _private(self) -> None: ...

    @rpc_private
    async def hidden(self) -> None: ...


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Env]:
    """A runtime with ledgers."""
    started: TestRuntime[Env] = await start_runtime(Env, ledgers=Ledger)
    return started


@pytest.fixture
def ledgers(runtime: TestRuntime[Env]) -> DurableObjectNamespace[Ledger]:
    """Their namespace."""
    return runtime.env.ledgers


async def test_calls_of_one_stub_arrive_in_their_order(
    ledgers: DurableObjectNamespace[Ledger],
) -> None:
    ledger = ledgers.get_by_name("a")

    totals = await asyncio.gather(*(ledger.add(amount) for amount in (5, 2, 8)))

    assert totals == [5, 7, 15]


async def test_a_call_is_under_way_before_it_is_awaited(
    runtime: TestRuntime[Env], ledgers: DurableObjectNamespace[Ledger]
) -> None:
    ledgers.get_by_name("a").add(1)  # type: ignore[unused-coroutine]
    await runtime.settle()

    assert await ledgers.get_by_name("a").add(0) == 1


async def test_a_reply_can_be_used_wherever_a_coroutine_can(
    ledgers: DurableObjectNamespace[Ledger],
) -> None:
    ledger = ledgers.get_by_name("a")

    async with asyncio.TaskGroup() as group:
        first = group.create_task(ledger.add(1))
        second = group.create_task(ledger.add(1))
    waited = await asyncio.wait_for(ledger.add(1), 60)

    assert [first.result(), second.result(), waited] == [1, 2, 3]


async def test_keywords_defaults_inheritance_and_plain_methods_work(
    ledgers: DurableObjectNamespace[Ledger],
) -> None:
    ledger: Any = ledgers.get_by_name("a")

    results = [await ledger.add(1, twice=True), await ledger.inherited(), await ledger.plain("x")]

    assert results == [2, "inherited", "X"]


@pytest.mark.parametrize("method", ["field", "ctx", "env", "_private", "hidden", "nothing", "put"])
async def test_what_is_no_method_cant_be_called(
    ledgers: DurableObjectNamespace[Ledger], method: str
) -> None:
    with pytest.raises(TypeError, match=f'does not implement the method "{method}"'):
        await getattr(ledgers.get_by_name("a"), method)()


async def test_a_stub_has_no_properties(ledgers: DurableObjectNamespace[Ledger]) -> None:
    with pytest.raises(TypeError, match=r"call a method, title\(\) for instance"):
        await ledgers.get_by_name("a").title  # type: ignore[attr-defined]


def test_a_stub_shows_the_methods_of_its_class(ledgers: DurableObjectNamespace[Ledger]) -> None:
    stub = ledgers.get_by_name("a")

    assert {"add", "plain", "inherited"} <= set(dir(stub))
    assert inspect.signature(stub.relay) == inspect.signature(Ledger("", "").relay)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["alarm", "web_socket_message"])
async def test_handlers_cant_be_called(
    ledgers: DurableObjectNamespace[Ledger], method: str
) -> None:
    with pytest.raises(TypeError, match=f"'{method}' is a reserved method"):
        await getattr(ledgers.get_by_name("a"), method)()


@pytest.mark.parametrize(
    ("args", "kwargs", "error"),
    [
        (("5",), {}, r"Ledger.add\(\) argument 'amount': input should be a valid integer"),
        ((), {}, "missing a required argument: 'amount'"),
        ((1, 2), {}, "too many positional arguments"),
        ((1,), {"thrice": True}, "unexpected keyword argument 'thrice'"),
        ((object(),), {}, "argument 'amount' can't be sent to another object"),
    ],
)
async def test_wrong_arguments_are_refused_and_nothing_is_called(
    ledgers: DurableObjectNamespace[Ledger], args: Any, kwargs: Any, error: str
) -> None:
    ledger = ledgers.get_by_name("a")

    with pytest.raises(TypeError, match=error):
        await ledger.add(*args, **kwargs)

    assert await ledger.add(0) == 0


async def test_a_name_a_stub_keeps_for_itself_is_refused_at_the_start(
    start_awake_runtime: StartRuntime,
) -> None:
    class Person(DurableObject[object]):
        async def name(self) -> str:
            return "ada"

    with pytest.raises(TypeError, match="a stub has a 'name' of its own"):
        await start_awake_runtime(people=Person)


async def test_objects_that_call_each_other_dont_wait_for_each_other(
    ledgers: DurableObjectNamespace[Ledger],
) -> None:
    chain = await ledgers.get_by_name("a").call_back("b", 30)

    assert chain == ["a", "b"] * 15 + ["a"]


@pytest.mark.parametrize("other", ["a", "b"])
async def test_no_objects_code_runs_inside_a_step_of_anothers(
    ledgers: DurableObjectNamespace[Ledger], other: str
) -> None:
    assert await ledgers.get_by_name("a").call_without_waiting(other) == [False, False, 1, 2]


async def test_an_object_may_call_itself(ledgers: DurableObjectNamespace[Ledger]) -> None:
    assert await ledgers.get_by_name("a").call_back("a", 3) == ["a"] * 4


async def test_a_stub_can_be_sent_to_another_object(
    ledgers: DurableObjectNamespace[Ledger],
) -> None:
    target: Any = ledgers.get_by_name("target")

    assert await ledgers.get_by_name("a").relay(target, 7) == 7
    assert await target.add(0) == 7


async def test_an_id_can_be_sent_back(ledgers: DurableObjectNamespace[Ledger]) -> None:
    ledger = ledgers.get_by_name("a")

    assert await ledger.own_id() == ledgers.id_from_name("a")


async def test_names_and_ids_lead_to_the_same_object(
    ledgers: DurableObjectNamespace[Ledger],
) -> None:
    by_name: Any = ledgers.get_by_name("a")
    parsed = ledgers.id_from_string(str(by_name.id))

    await by_name.add(3)

    assert parsed == by_name.id == ledgers.id_from_name("a")
    assert (by_name.name, parsed.name) == ("a", None)
    assert await ledgers.get(parsed).add(0) == 3


async def test_unique_ids_are_objects_of_their_own(
    ledgers: DurableObjectNamespace[Ledger],
) -> None:
    first, second = ledgers.new_unique_id(), ledgers.new_unique_id()

    await ledgers.get(first).add(1)

    assert first != second
    assert first.name is None
    assert await ledgers.get(second).add(0) == 0


async def test_ids_of_another_class_are_refused(start_awake_runtime: StartRuntime) -> None:
    class Other(DurableObject[object]):
        pass

    runtime = await start_awake_runtime(ledgers=Base, others=Other)
    foreign = runtime.env.others.id_from_name("a")

    with pytest.raises(TypeError, match="not valid for this namespace"):
        runtime.env.ledgers.get(foreign)
    with pytest.raises(TypeError, match="not valid for this namespace"):
        runtime.env.ledgers.id_from_string(str(foreign))


@pytest.mark.parametrize(
    ("method", "value", "error"),
    [
        ("get", "a" * 64, "expected an ObjectId"),
        ("get_by_name", 5, "an object's name is text"),
        ("id_from_string", 5, "spelt in 64 hex digits"),
        ("id_from_string", "xyz", "must be 64 hex digits"),
    ],
)
async def test_what_is_no_name_or_id_is_refused(
    ledgers: DurableObjectNamespace[Ledger], method: str, value: Any, error: str
) -> None:
    with pytest.raises(TypeError, match=error):
        getattr(ledgers, method)(value)


async def test_a_jurisdiction_has_objects_of_its_own_in_a_folder_of_its_own(
    runtime: TestRuntime[Env], ledgers: DurableObjectNamespace[Ledger]
) -> None:
    european = ledgers.jurisdiction("eu")
    await european.get_by_name("a").add(5)
    id = european.id_from_name("a")

    assert await ledgers.get_by_name("a").add(0) == 0
    assert await ledgers.get(ledgers.id_from_string(str(id))).add(0) == 5
    assert (runtime.config.data / "objects" / "Ledger@eu" / f"{id}.sqlite").exists()
    assert ledgers.jurisdiction(None) is ledgers
    assert ledgers.new_unique_id(jurisdiction="eu").jurisdiction == "eu"
    with pytest.raises(ValueError, match="unknown jurisdiction 'mars'"):
        ledgers.jurisdiction("mars")


async def test_ids_are_listed_in_order_by_page_and_prefix_without_waking_anybody(
    runtime: TestRuntime[Env], ledgers: DurableObjectNamespace[Ledger]
) -> None:
    names = [f"tea-{number}" for number in range(5)] + ["coffee", "100%"]
    for name in names:
        await ledgers.get_by_name(name).add(1)
    await runtime.restart()

    everything = [id async for id in ledgers.list()]
    page = [id async for id in ledgers.list(after=everything[1], limit=2)]
    tea = {id.name async for id in ledgers.list(prefix="tea-")}
    odd = [id.name async for id in ledgers.list(prefix="100%")]

    assert {id.name for id in everything} == set(names)
    assert everything == sorted(everything)
    assert page == everything[2:4]
    assert tea == set(names[:5])
    assert odd == ["100%"]
    assert runtime.host.resident_count == 0


async def test_another_version_of_the_class_is_bound_in_all_jurisdictions(
    runtime: TestRuntime[Env], ledgers: DurableObjectNamespace[Any]
) -> None:
    async def count(self: Any) -> int:
        return 7

    newer = type("Ledger", (Ledger,), {"count": count, "plain": None})
    european = ledgers.jurisdiction("eu")
    stubs = [ledgers.get_by_name("a"), european.get_by_name("a")]

    ledgers.rebind(Code(newer))

    assert (ledgers.cls, european.cls) == (newer, newer)
    for stub in stubs:
        with pytest.raises(TypeError, match='does not implement the method "plain"'):
            await stub.plain("text")
    assert runtime.host.resident_count == 0  # nobody was woken for that
    for stub in (*stubs, european.get_by_name("b"), ledgers.jurisdiction("eu").get_by_name("c")):
        assert await stub.count() == 7
        assert repr(stub).startswith("<stub of Ledger ")


async def test_a_class_of_another_name_is_no_other_version(
    ledgers: DurableObjectNamespace[Ledger],
) -> None:
    with pytest.raises(TypeError, match=r"^Book is no other version of Ledger$"):
        ledgers.rebind(Code(type("Book", (Ledger,), {})))

    assert ledgers.cls is Ledger
    assert await ledgers.get_by_name("a").add(1) == 1
