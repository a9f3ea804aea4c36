"""Section C of the conformance list: keys and values.

Most of it holds for all three ways to them: ``storage``, ``storage.kv``, and a transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pytest

from runtime import AlarmInvocation, DurableObject, DurableObjectState, errors
from runtime.testing import TestRuntime
from tests.conftest import StartRuntime

LEFT_OUT: Final[dict[str, str]] = {
    "C16": "limits of the original's old KV backend, which durable-objects.md leaves out; that of "
    "128 pairs, which api.md keeps, is a test of its own below",
}

MEBIBYTE: Final = 1024 * 1024
TOO_BIG: Final = "string or blob too big: SQLITE_TOOBIG"


class Shelf(DurableObject[Any]):
    """Keeps things under keys."""

    async def use(self, way: str, operation: str, *args: Any, **options: Any) -> Any:
        """Call a method of the storage, on one of the three ways."""
        storage = self.ctx.storage
        if way == "kv":
            result = getattr(storage.kv, operation)(*args, **options)
            return dict(result) if operation == "list" else result
        if way == "transaction":
            return await storage.transaction(lambda txn: getattr(txn, operation)(*args, **options))
        return await getattr(storage, operation)(*args, **options)

    async def alarm(self, invocation: AlarmInvocation) -> None:
        """Make it possible to set one."""


class Way:
    """One way to the keys of a shelf: what is called here is called there, in a call of its own."""

    def __init__(self, shelf: Any, name: str) -> None:
        self._shelf = shelf
        self._name = name

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return partial(self._shelf.use, self._name, operation)

    async def fill(self, *keys: str) -> None:
        for key in keys:
            await self.put(key, key.upper())

    async def keys(self, **options: Any) -> list[str]:
        return list(await self.list(**options))


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with shelves."""
    started: TestRuntime[Any] = await start_runtime(shelves=Shelf)
    return started


@pytest.fixture
def shelf(runtime: TestRuntime[Any]) -> Any:
    """One of them."""
    return runtime.env.shelves.get_by_name("a")


@pytest.fixture
def storage(shelf: Any) -> Way:
    """Its keys by way of `storage`."""
    return Way(shelf, "storage")


@pytest.fixture(params=["storage", "kv", "transaction"])
def way(shelf: Any, request: pytest.FixtureRequest) -> Way:
    """Its keys, on each of the ways."""
    return Way(shelf, request.param)


@pytest.fixture(params=["storage", "transaction"])
def way_for_many(shelf: Any, request: pytest.FixtureRequest) -> Way:
    """Its keys, on each of the ways that lead to many of them at once."""
    return Way(shelf, request.param)


async def inside(
    runtime: TestRuntime[Any], shelf: Any, work: Callable[[DurableObjectState], Any]
) -> Any:
    """Run `work` as code of the object."""
    return await runtime.run_in_durable_object(shelf, lambda _, ctx: work(ctx))


# All of it once.


async def test_c01_everything_that_a_storage_can_do_works_in_turn(
    runtime: TestRuntime[Any], shelf: Any, storage: Way
) -> None:
    async def increment(ctx: DurableObjectState) -> Any:
        async def closure(txn: Any) -> Any:
            await txn.put("a", await txn.get("a") + 1)
            return await txn.get("a")

        return await ctx.storage.transaction(closure)

    await storage.put("b", {"n": [2]})
    await storage.put_many({"d": 4, "a": 1, "c": 3})
    assert await storage.get("b") == {"n": [2]}
    assert await storage.get("nothing") is None
    assert list((await storage.get_many(["d", "nothing", "a", "d"])).items()) == [
        ("a", 1),
        ("d", 4),
    ]
    assert await storage.delete("b")
    assert await storage.delete_many(["c", "nothing"]) == 1
    assert await storage.list() == {"a": 1, "d": 4}
    assert await inside(runtime, shelf, increment) == 2

    when = runtime.clock.time() + 3600
    await storage.set_alarm(when)
    assert await storage.get_alarm() == when
    await storage.delete_alarm()
    assert await storage.get_alarm() is None

    await storage.sync()
    assert await storage.list() == {"a": 2, "d": 4}
    await storage.delete_all()
    assert await storage.list() == {}


# Listing.


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, "bar baz foo qux"),
        ({"start": "cat"}, "foo qux"),
        ({"start": "foo"}, "foo qux"),
        ({"start": "fop"}, "qux"),
        ({"start": "foo "}, "qux"),
        ({"end": "foo"}, "bar baz"),
        ({"end": "fop"}, "bar baz foo"),
    ],
    ids=str,
)
async def test_c02_a_list_starts_at_a_key_and_ends_before_one(
    way: Way, options: dict[str, Any], found: str
) -> None:
    await way.fill("qux", "foo", "baz", "bar")

    listed = await way.list(**options)

    assert list(listed.items()) == [(key, key.upper()) for key in found.split()]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, "qux foo baz bar"),
        ({"start": "foo"}, "qux foo"),
        ({"end": "foo"}, "baz bar"),
        ({"limit": 2}, "qux foo"),
        ({"end": "foo", "limit": 1}, "baz"),
    ],
    ids=str,
)
async def test_c04_a_list_in_reverse_begins_at_its_upper_bound(
    way: Way, options: dict[str, Any], found: str
) -> None:
    await way.fill("bar", "baz", "foo", "qux")

    assert await way.keys(reverse=True, **options) == found.split()


@pytest.mark.parametrize(("start", "start_after"), [("a", "b"), ("", "")])
async def test_c10_a_list_has_one_lower_bound(way: Way, start: str, start_after: str) -> None:
    with pytest.raises(
        TypeError, match=r"^list\(\) cannot be called with both start and start_after values\.$"
    ):
        await way.list(start=start, start_after=start_after)


@pytest.mark.parametrize("limit", [0, -1])
async def test_c10_a_lists_limit_is_positive(way: Way, limit: int) -> None:
    with pytest.raises(TypeError, match=r"^List limit must be positive\.$"):
        await way.list(limit=limit)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"prefix": "b"}, "b ba bb bc"),
        ({"prefix": "b", "start": "bb"}, "bb bc"),
        ({"prefix": "b", "start": "a"}, "b ba bb bc"),
        ({"prefix": "b", "end": "bb"}, "b ba"),
        ({"prefix": "b", "end": "d"}, "b ba bb bc"),
        ({"prefix": "b", "start": "c"}, ""),
        ({"prefix": "b", "end": "a"}, ""),
        ({"start_after": "bb"}, "bc c"),
        ({"start_after": "b", "prefix": "b"}, "ba bb bc"),
        ({"prefix": "b", "reverse": True, "limit": 2}, "bc bb"),
        ({"prefix": "b", "reverse": True, "limit": 2, "end": "bc"}, "bb ba"),
    ],
    ids=str,
)
async def test_c10_a_prefix_narrows_the_bounds(
    way: Way, options: dict[str, Any], found: str
) -> None:
    await way.fill("a", "b", "ba", "bb", "bc", "c")

    assert await way.keys(**options) == found.split()


async def test_c12_keys_are_ordered_by_their_bytes_in_utf8(way: Way) -> None:
    """UTF-16, in which JavaScript compares, has the last two the other way round."""
    ordered = ["a", "aa", "z", "é", "\uffee", "😀"]
    assert sorted(ordered, key=lambda key: key.encode("utf-16-be")) != ordered
    for key in reversed(ordered):
        await way.put(key, 1)

    assert await way.keys() == ordered
    assert await way.keys(start="é", end="😀") == ["é", "\uffee"]


# Single keys, and many.


async def test_c05_a_key_is_overwritten_deleted_and_gone(way: Way, storage: Way) -> None:
    await way.put("foo", 1)
    await way.put("foo", 2)
    await way.fill("bar", "baz")
    deleted = [await way.delete("bar"), await way.delete("bar"), await way.delete("nothing")]
    await way.put("bar", 3)

    assert deleted == [True, False, False]
    assert await way.list() == {"bar": 3, "baz": "BAZ", "foo": 2}
    await storage.delete_all()
    assert await way.list() == {}
    await way.put("foo", 4)
    assert await way.get("foo") == 4


async def test_c06_a_key_has_no_more_than_4_mebibytes(way: Way) -> None:
    largest = "k" * 4_000_000
    await way.put(largest, 1)

    for operation, *value in (("put", 2), ("get",), ("delete",)):
        with pytest.raises(errors.SqlError, match=f"^{TOO_BIG}$") as refusal:
            await getattr(way, str(operation))("k" * (4 * MEBIBYTE + 1), *value)
        assert not refusal.value.durable_object_reset

    assert await way.list() == {largest: 1}


async def test_c08_of_many_keys_all_are_put_or_none(way_for_many: Way) -> None:
    with pytest.raises(errors.SqlError, match=f"^{TOO_BIG}$"):
        await way_for_many.put_many({"a": 1, "b": bytes(4 * MEBIBYTE), "c": 3})

    assert await way_for_many.list() == {}
    await way_for_many.put_many({"a": 1, "b": 2, "c": 3})
    assert await way_for_many.list() == {"a": 1, "b": 2, "c": 3}


async def test_c09_nothing_cant_be_put(way_for_many: Way) -> None:
    with pytest.raises(TypeError, match=r"^put\(\) called with None"):
        await way_for_many.put("a", None)

    await way_for_many.put_many({"a": None, "b": 1})

    assert await way_for_many.list() == {"b": 1}


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("put", ({"a": 1}, 5)),
        ("put", ({"a": 1}, {"allow_unconfirmed": True})),
        ("put_many", ({"a": 1}, 5)),
        ("put_many", (["a", 1],)),
        ("put_many", ("a", 1)),
    ],
)
async def test_c09_put_takes_a_key_and_a_value_or_a_mapping(
    way_for_many: Way, operation: str, args: tuple[Any, ...]
) -> None:
    with pytest.raises(TypeError):
        await getattr(way_for_many, operation)(*args)

    assert await way_for_many.list() == {}


async def test_c13_a_stored_value_is_a_copy(
    runtime: TestRuntime[Any], shelf: Any, storage: Way
) -> None:
    async def use(ctx: DurableObjectState) -> None:
        value = {"seats": ["A1"]}
        await ctx.storage.put("async", value)
        ctx.storage.kv.put("sync", value)
        value["seats"].append("changed")
        for found in (
            await ctx.storage.get("async"),
            (await ctx.storage.get_many(["async"]))["async"],
            (await ctx.storage.list())["async"],
            ctx.storage.kv.get("sync"),
            dict(ctx.storage.kv.list())["sync"],
        ):
            assert found == {"seats": ["A1"]}
            found["seats"].append("changed")

    await inside(runtime, shelf, use)

    assert await storage.list() == {"async": {"seats": ["A1"]}, "sync": {"seats": ["A1"]}}


# The synchronous side.


async def test_c14_both_sides_have_the_same_data(
    runtime: TestRuntime[Any], shelf: Any, storage: Way
) -> None:
    def use(ctx: DurableObjectState) -> None:
        kv = ctx.storage.kv
        assert kv.get("a") == 1
        assert kv.delete("b")
        kv.put("c", 3)

        def closure() -> None:
            kv.put("d", 4)
            raise LookupError

        with pytest.raises(LookupError):
            ctx.storage.transaction_sync(closure)

    await storage.put_many({"a": 1, "b": 2})
    await inside(runtime, shelf, use)

    assert await storage.list() == {"a": 1, "c": 3}


async def test_c14_a_newer_list_ends_the_older_one(
    runtime: TestRuntime[Any], shelf: Any, storage: Way
) -> None:
    def use(ctx: DurableObjectState) -> list[str]:
        older = ctx.storage.kv.list()
        assert next(older) == ("a", 1)
        newer = ctx.storage.kv.list(start="b")
        with pytest.raises(
            errors.StorageError,
            match=r"^kv\.list\(\) iterator was invalidated because a new call to kv\.list\(\) was "
            r"started\. Only one kv\.list\(\) iterator can exist at a time\.$",
        ):
            next(older)
        return [key for key, _ in newer]

    await storage.put_many({"a": 1, "b": 2, "c": 3})

    assert await inside(runtime, shelf, use) == ["b", "c"]


@pytest.mark.parametrize("options", [{"start": "x", "end": "b"}, {"prefix": "a", "start": "b"}])
async def test_c14_a_list_of_an_empty_range_is_empty(
    runtime: TestRuntime[Any], shelf: Any, storage: Way, options: dict[str, Any]
) -> None:
    await storage.put_many({"a": 1, "b": 2, "x": 3})

    assert await inside(runtime, shelf, lambda ctx: list(ctx.storage.kv.list(**options))) == []


# Limits and errors that the list doesn't name.


@pytest.mark.parametrize("operation", ["get_many", "put_many", "delete_many"])
async def test_limit_of_keys_at_once_is_128(way_for_many: Way, operation: str) -> None:
    entries = {f"k{number}": number for number in range(129)}
    some = dict(list(entries.items())[:128])
    is_write = operation == "put_many"
    if not is_write:
        await way_for_many.put_many(some)

    with pytest.raises(
        ValueError, match=r"^Maximum number of key value pairs is 128\. 129 pairs were provided\.$"
    ):
        await getattr(way_for_many, operation)(entries if is_write else list(entries))
    assert len(await way_for_many.list()) == (0 if is_write else 128)

    await getattr(way_for_many, operation)(some if is_write else list(some))
    assert len(await way_for_many.list()) == (0 if operation == "delete_many" else 128)
