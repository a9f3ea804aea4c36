"""Section F of the conformance list: ids, namespaces and stubs."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any, Final

import pytest

from runtime import DurableObject, DurableObjectNamespace, ObjectId
from runtime.testing import TestRuntime
from tests.conftest import StartRuntime

LEFT_OUT: Final[dict[str, str]] = {
    "F12": "ephemeral namespaces, whose objects have no storage, aren't part of api.md",
}


class Env:
    """What the objects of these tests can reach."""

    def __init__(self, **bindings: DurableObjectNamespace[Any]) -> None:
        self.counters: DurableObjectNamespace[Counter] = bindings["counters"]
        self.others: DurableObjectNamespace[Other] = bindings["others"]
        self.tallies: DurableObjectNamespace[Counter] = bindings["tallies"]


class Counter(DurableObject[Env]):
    """Counts in memory and on disk, each from nothing."""

    def __init__(self, ctx: Any, env: Env) -> None:
        super().__init__(ctx, env)
        self.count = 0

    async def in_memory(self) -> int:
        self.count += 1
        return self.count - 1

    async def on_disk(self) -> int:
        count: int = await self.ctx.storage.get("count", 0)
        await self.ctx.storage.put("count", count + 1)
        return count

    async def own_name(self) -> str | None:
        return self.ctx.id.name

    async def own_id(self) -> ObjectId:
        return self.ctx.id


class Other(DurableObject[Env]):
    """Reaches a counter by an id that it was given."""

    async def count_on_disk(self, id: ObjectId) -> int:
        return await self.env.counters.get(id).on_disk()


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Env]:
    """A runtime with counters, which are reached by two bindings, and with others."""
    started: TestRuntime[Env] = await start_runtime(
        Env, counters=Counter, others=Other, tallies=Counter
    )
    return started


async def test_f02_what_is_no_id_of_the_class_is_refused(runtime: TestRuntime[Env]) -> None:
    counters, others = runtime.env.counters, runtime.env.others
    id = counters.id_from_name("a")

    for text in (str(id)[:63], f"{id}0", f"{str(id)[:63]}g"):
        with pytest.raises(TypeError, match=r"^Invalid Durable Object ID: must be 64 hex digits$"):
            counters.id_from_string(text)
    with pytest.raises(TypeError, match=r"^Durable Object ID is not valid for this namespace\.$"):
        others.id_from_string(str(id))
    with pytest.raises(TypeError, match=r"^Durable Object ID is not valid for this namespace\.$"):
        others.get(id)
    assert id.equals(counters.id_from_string(str(id)))
    assert not id.equals(counters.id_from_name("b"))


async def test_f03_ids_know_the_name_they_were_made_from(runtime: TestRuntime[Env]) -> None:
    counters = runtime.env.counters
    foo = counters.id_from_name("foo")
    parsed = counters.id_from_string(str(foo))

    assert foo.name == "foo"
    assert str(parsed) == str(foo)
    assert parsed.name is None
    assert not counters.new_unique_id().equals(counters.new_unique_id())


async def test_f04_a_stub_has_an_id_and_a_name_of_its_own(runtime: TestRuntime[Env]) -> None:
    counters = runtime.env.counters
    by_id: Any = counters.get(counters.id_from_name("a"))
    by_name: Any = counters.get_by_name("a")

    assert {key for key in vars(by_id) if not key.startswith("_")} == {"id", "name"}
    assert (by_id.id, by_id.name) == (by_name.id, by_name.name) == (by_id.id, "a")
    by_id.colour = "green"
    assert by_id.colour == "green"


@pytest.mark.xfail(
    strict=True, raises=TypeError, reason="api.md: there are no location hints; a node is one place"
)
async def test_f04_a_location_hint_makes_no_other_stub(runtime: TestRuntime[Env]) -> None:
    counters: Any = runtime.env.counters
    id = counters.id_from_name("a")

    assert counters.get(id, location_hint="weur").id == counters.get(id).id


async def test_f06_an_object_knows_its_name_if_that_is_short_enough(
    runtime: TestRuntime[Env],
) -> None:
    counters: Any = runtime.env.counters

    assert await counters.get(counters.new_unique_id()).own_name() is None
    assert await counters.get_by_name("a" * 1024).own_name() == "a" * 1024
    assert await counters.get_by_name("a" * 1025).own_name() is None


async def test_f07_counters_are_independent_and_those_on_disk_go_on_after_a_restart(
    tmp_path: Path,
) -> None:
    async with TestRuntime(
        bindings={"counters": Counter, "others": Other, "tallies": Counter}, env=Env, data=tmp_path
    ) as runtime:
        counters: Any = runtime.env.counters
        foo, bar = counters.get_by_name("foo"), counters.get_by_name("bar")
        assert [await foo.on_disk() for _ in range(4)] == [0, 1, 2, 3]
        assert [await bar.on_disk() for _ in range(3)] == [0, 1, 2]
        assert [await foo.in_memory(), await foo.in_memory(), await bar.in_memory()] == [0, 1, 0]

        await runtime.restart()

        assert [await foo.on_disk(), await foo.on_disk(), await bar.on_disk()] == [4, 5, 3]
        assert await foo.in_memory() == 0
    files = {path.name for path in tmp_path.glob("objects/*/*")}
    assert {f"{foo.id}.sqlite", f"{bar.id}.sqlite"} <= files
    assert not [name for name in files if name.endswith(("-wal", "-shm"))]
    with sqlite3.connect(tmp_path / "catalog.sqlite") as catalog:
        assert catalog.execute("PRAGMA quick_check").fetchone() == ("ok",)
    catalog.close()


async def test_f08_first_requests_that_come_at_once_reach_one_instance(
    start_awake_runtime: StartRuntime,
) -> None:
    runtime = await start_awake_runtime(Env, counters=Counter, others=Other, tallies=Counter)
    id = runtime.env.counters.id_from_name("a")

    counts = await asyncio.gather(*(runtime.env.counters.get(id).in_memory() for _ in range(3)))

    assert list(counts) == [0, 1, 2]


async def test_f10_an_id_is_good_in_other_objects_and_other_bindings(
    runtime: TestRuntime[Env],
) -> None:
    counter: Any = runtime.env.counters.get_by_name("a")
    tally: Any = runtime.env.tallies.get_by_name("a")
    other: Any = runtime.env.others.get_by_name("a")

    assert await counter.on_disk() == 0
    assert await other.count_on_disk(await counter.own_id()) == 1
    assert tally.id == counter.id
    assert await tally.on_disk() == 2
    assert await counter.on_disk() == 3


async def test_f11_ids_of_objects_with_storage_are_listed_those_of_former_runs_too(
    runtime: TestRuntime[Env],
) -> None:
    counters: Any = runtime.env.counters
    assert await runtime.list_durable_object_ids(counters) == []
    first = counters.get(counters.new_unique_id())
    await first.on_disk()

    await runtime.restart()
    second = counters.get_by_name("second")
    await second.on_disk()
    counters.get_by_name("never reached")

    assert set(await runtime.list_durable_object_ids(counters)) == {first.id, second.id}
    assert await runtime.list_durable_object_ids(runtime.env.others) == []
