"""Functions and RpcTargets, which cross by reference, and how long they may be used."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from runtime import (
    DurableObject,
    DurableObjectNamespace,
    RpcTarget,
    Runtime,
    Storage,
    errors,
)
from runtime.testing import TestRuntime
from tests.conftest import StartRuntime
from tests.runtime.disk import StuckDisk, disk, turns

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["disk"]

pytestmark = pytest.mark.usefixtures("debug_mode")

DISPOSED = r"^The reference to \w+ was used after being disposed\.$"
RETURNED = r"^The reference to \w+ was used after the call .* had been answered: keep a dup\(\)"


class Counter(RpcTarget):
    """Counts, at its owner's, and knows how often it was disposed of."""

    def __init__(self, start: int = 0) -> None:
        self.value = start
        self.disposals = 0

    async def increment(self, by: int = 1) -> int:
        self.value += by
        return self.value

    async def increment_when(self, ready: Callable[[], Awaitable[None]]) -> int:
        await ready()
        return await self.increment()

    async def itself(self) -> object:
        return object()

    async def declared_otherwise(self) -> str:
        return 1  # type: ignore[return-value]  # that is the point

    async def _reset(self) -> None:
        self.value = 0

    def dispose(self) -> None:
        self.disposals += 1


class Noted(RpcTarget):
    """Notes its end in its object's storage, unless that fails."""

    ended: ClassVar[bool]

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def touch(self) -> None: ...

    async def dispose(self) -> None:
        Noted.ended = True
        if await self._storage.get("is to fail"):
            raise LookupError("no end")
        await self._storage.put("ends", await self._storage.get("ends", 0) + 1)


class Env:
    """What the objects of these tests can reach."""

    def __init__(self, **bindings: DurableObjectNamespace[Any]) -> None:
        self.peers: DurableObjectNamespace[Peer] = bindings["peers"]


class Peer(DurableObject[Env]):
    """Gives and takes references."""

    ready: ClassVar[asyncio.Event]
    shown: ClassVar[Any]

    _kept: Any = None

    async def apply(self, function: Callable[..., Any], value: Any) -> Any:
        return await function(value)

    async def make_counter(self, start: int) -> Counter:
        return Counter(start)

    async def total_of(self, counter: Counter, times: int) -> list[int]:
        return list(await asyncio.gather(*(counter.increment() for _ in range(times))))

    async def ask_other(self) -> int:
        async def answer(value: int) -> int:
            await self.ctx.storage.put("asked with", value)
            return value * 2

        result: int = await self.env.peers.get_by_name("other").apply(answer, 21)
        return result

    async def lend(self, what: str) -> Any:
        lent = {"function": lambda _: object(), "method": Counter(0)}[what]
        return await self.env.peers.get_by_name("other").use(lent)

    async def use(self, lent: Any) -> Any:
        return await (lent(1) if callable(lent) else lent.itself())

    async def ask_other_in_a_section(self) -> int:
        return await self.ctx.block_concurrency_while(self.ask_other)

    # Keeping what was given.

    async def keep(self, lent: Any) -> None:
        self._kept = lent

    async def keep_both(self, lent: Any, more: list[Any]) -> None:
        self._kept, Peer.shown = lent, more[0]

    async def keep_dup(self, lent: Any) -> None:
        self._kept = lent.dup()

    async def keep_passed_on(self, lent: Any) -> None:
        await self.env.peers.get_by_name("other").keep_dup(lent)

    async def keep_from_other(self, waiting: bool = False) -> None:
        Peer.shown = self.env.peers.get_by_name("other").make_noted(waiting)
        self._kept = await Peer.shown

    async def keep_from_itself(self) -> None:
        self._kept = await self.env.peers.get(self.ctx.id).make_noted()

    async def give_back(self, lent: Any) -> Any:
        return [lent, await lent.increment()]

    async def use_kept(self) -> Any:
        return await self._kept.increment()

    async def dispose_kept(self) -> None:
        self._kept.dispose()

    async def write_and_dispose_kept(self) -> None:
        self.ctx.storage.kv.put("written", 1)
        self._kept.dispose()

    async def write_and_use_kept(self) -> Any:
        self.ctx.storage.kv.put("written", 1)
        return await self._kept.increment()

    async def show(self, lent: Any) -> None:
        Peer.shown = lent
        await Peer.ready.wait()

    async def show_result(self, function: Callable[[], Any]) -> None:
        Peer.shown = await function()

    async def lend_show(self) -> Any:
        return self.show

    async def use_shown(self) -> Any:
        return await Peer.shown.increment()

    async def wait_and_use(self, lent: Any) -> Any:
        await Peer.ready.wait()
        return await lent.increment()

    async def dispose_under_way(self, lent: Any) -> int:
        with lent as counter:
            call = counter.increment_when(Peer.ready.wait)
        result: int = await call
        return result

    # Owning what is given away.

    async def make_noted(self, waiting: bool = False) -> Noted:
        if waiting:
            await Peer.ready.wait()
        return Noted(self.ctx.storage)

    async def noted(self, key: str) -> Any:
        return await self.ctx.storage.get(key)

    async def lend_length(self) -> Any:
        return lambda text: len(text)

    async def fail_at_the_end(self) -> None:
        await self.ctx.storage.put("is to fail", True)

    async def shut_once(self) -> None:
        """Hold everything back until it is ready, which it isn't any more then."""

        async def section() -> None:
            await Peer.ready.wait()
            Peer.ready.clear()

        await self.ctx.block_concurrency_while(section)

    async def shut(self) -> int:
        """Hold everything back until it is ready, and then ask the other, which calls back."""

        async def section() -> int:
            await Peer.ready.wait()
            return await self.ask_other()

        return await self.ctx.block_concurrency_while(section)


@pytest.fixture
async def runtime(start_awake_runtime: StartRuntime) -> TestRuntime[Env]:
    """A runtime with peers."""
    Peer.ready, Peer.shown, Noted.ended = asyncio.Event(), None, False
    started: TestRuntime[Env] = await start_awake_runtime(Env, peers=Peer)
    return started


@pytest.fixture
def peer(runtime: TestRuntime[Env]) -> Any:
    """One of them."""
    return runtime.env.peers.get_by_name("a")


@pytest.fixture
def other(runtime: TestRuntime[Env]) -> Any:
    """The one that a peer asks and gives to."""
    return runtime.env.peers.get_by_name("other")


# Calling.


async def test_a_function_from_outside_is_called_outside(peer: Any) -> None:
    seen: list[list[int]] = []

    async def take(value: list[int]) -> int:
        seen.append(value)
        return len(value)

    assert await peer.apply(take, [1, 2]) == 2
    assert await peer.apply(lambda value: value + 1, 1) == 2
    assert seen == [[1, 2]]


async def test_a_function_of_an_object_runs_in_that_object(peer: Any) -> None:
    assert await peer.ask_other() == 42
    assert await peer.noted("asked with") == 21


async def test_a_callback_passed_from_a_section_runs_inside_it(peer: Any) -> None:
    assert await peer.ask_other_in_a_section() == 42


async def test_a_target_keeps_its_state_where_it_is(peer: Any) -> None:
    counter = await peer.make_counter(10)

    results = await asyncio.gather(counter.increment(5), counter.increment(4), counter.increment())

    assert list(results) == [15, 19, 20]


async def test_a_target_can_be_lent_to_another_object(peer: Any) -> None:
    mine = Counter(0)

    assert await peer.total_of(mine, 3) == [1, 2, 3]
    assert mine.value == 3


async def test_a_function_from_outside_may_return_functions_and_targets(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    """They are those of no object then, whoever has called."""
    mine = Counter(5)

    double = await peer.apply(lambda _: lambda number: number * 2, None)
    counter = await peer.apply(lambda _: mine, None)
    await runtime.evict_durable_object(peer)

    assert await double(21) == 42
    assert await counter.increment() == 6
    assert mine.value == 6


async def test_a_handle_says_what_it_stands_for(peer: Any) -> None:
    counter = await peer.make_counter(0)

    assert repr(counter) == "<reference to Counter>"


@dataclass
class Tally(RpcTarget):
    """A target that is a dataclass as well."""

    value: int

    async def add(self, by: int) -> int:
        self.value += by
        return self.value


class Clerk(DurableObject[object]):
    """Asks for such targets by name."""

    async def add(self, tally: Tally, more: list[Tally]) -> list[int]:
        return [await each.add(1) for each in (tally, *more)]


async def test_a_target_crosses_by_reference_even_if_it_is_a_dataclass(
    start_awake_runtime: StartRuntime,
) -> None:
    clerks = (await start_awake_runtime(clerks=Clerk)).env.clerks
    mine, more = Tally(1), Tally(5)

    assert await clerks.get_by_name("a").add(mine, [more]) == [2, 6]
    assert (mine.value, more.value) == (2, 6)


# What can be called, and with what.


@pytest.mark.parametrize("method", ["_reset", "value", "nothing", "fetch", "id"])
async def test_only_a_targets_public_methods_can_be_called(peer: Any, method: str) -> None:
    counter = await peer.make_counter(10)

    with pytest.raises(TypeError, match=f'does not implement the method "{method}"'):
        await getattr(counter, method)()


async def test_a_targets_properties_cant_be_read(peer: Any) -> None:
    counter = await peer.make_counter(10)

    with pytest.raises(TypeError, match=r"has no properties: call a method, value\(\) for"):
        await counter.value


class Person(RpcTarget):
    """Has methods with names that mean something on a stub or on an object."""

    async def name(self) -> str:
        return "ada"

    async def env(self) -> str:
        return "home"

    async def fetch(self) -> str:
        return "stick"


async def test_a_targets_methods_may_have_the_names_that_stubs_and_objects_keep(
    peer: Any,
) -> None:
    person = await peer.apply(lambda _: Person(), None)

    assert [await person.name(), await person.env(), await person.fetch()] == [
        "ada",
        "home",
        "stick",
    ]


async def test_arguments_of_a_target_are_checked(peer: Any) -> None:
    counter = await peer.make_counter(10)

    with pytest.raises(TypeError, match=r"Counter.increment\(\) argument 'by'"):
        await counter.increment("1")


async def test_results_of_a_target_are_checked(peer: Any) -> None:
    counter = await peer.make_counter(10)

    with pytest.raises(TypeError, match=r"^the result of Counter.declared_otherwise\(\): "):
        await counter.declared_otherwise()


async def test_wrong_arguments_fail_the_answer_and_not_the_call(peer: Any) -> None:
    counter = await peer.make_counter(10)
    function = await peer.apply(lambda _: lambda number: number, None)

    answers = [counter.increment("1"), counter.increment(1, 2), function(object())]
    results = await asyncio.gather(*answers, return_exceptions=True)

    assert [type(result) for result in results] == [TypeError] * 3
    assert await counter.increment() == 11


class Vague(RpcTarget):
    """Has an annotation that leads nowhere at run time."""

    async def pay(self, amount: Fraction) -> None: ...


async def test_a_target_that_cant_be_read_is_refused_when_it_is_sent(peer: Any) -> None:
    with pytest.raises(TypeError, match=r"^Vague.pay\(\): an annotation can't be resolved"):
        await peer.keep(Vague())


@dataclass
class Half:
    """A value that isn't whole."""

    missing: int = field(init=False)


async def test_a_result_that_cant_be_sent_is_an_error_for_whoever_called(peer: Any) -> None:
    calls = [
        peer.use(lambda _: object()),
        peer.use(Counter(0)),
        peer.lend("function"),
        peer.lend("method"),
        (await peer.make_counter(0)).itself(),
    ]

    results = await asyncio.gather(*calls, return_exceptions=True)
    with pytest.raises(AttributeError):  # it fails while it is copied
        await peer.use(lambda _: Half())

    assert [type(result) for result in results] == [TypeError] * 5
    names = ["<lambda>", "Counter.itself", "<lambda>", "Counter.itself", "Counter.itself"]
    for result, name in zip(results, names, strict=True):
        assert str(result).startswith(f"the result of {name}() can't be sent")
    assert await peer.apply(lambda value: value, 1) == 1


# Errors.


class Private(Exception):
    """An error that nobody else knows."""


@errors.register
class Empty(Exception):
    """An error that is false, as one with a length may be."""

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (LookupError("no"), LookupError),
        (Private("no"), errors.RemoteError),
        (Empty(), Empty),
    ],
)
async def test_an_error_of_a_function_from_outside_reaches_whoever_called_it_as_a_copy(
    runtime: TestRuntime[Env], peer: Any, raised: BaseException, kind: type[Exception]
) -> None:
    def fail(_: object) -> None:
        raise raised

    async def catch(instance: Peer, _: object) -> Any:
        try:
            await instance._kept(1)
        except Exception as error:
            return error

    await peer.keep_dup(fail)
    caught = await runtime.run_in_durable_object(peer, catch)

    assert type(caught) is kind
    assert caught is not raised
    assert vars(caught)["remote"] is True
    assert vars(caught)["durable_object_id"] is None, "it is no object's error"
    assert "in fail" in str(caught.__cause__)


async def test_a_function_that_is_cancelled_fails_its_call(peer: Any) -> None:
    def cancel(_: object) -> None:
        raise asyncio.CancelledError

    with pytest.raises(errors.RemoteError, match="CancelledError"):
        await peer.apply(cancel, 1)


async def test_an_error_that_is_false_is_an_error_all_the_same(peer: Any) -> None:
    def fail(_: object) -> None:
        raise Empty

    with pytest.raises(Empty):
        await peer.apply(fail, 1)


# How long an argument may be used.


async def test_an_argument_ends_when_its_call_is_answered(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    mine = Counter()

    await peer.keep(mine)

    with pytest.raises(errors.HandleEnded, match=RETURNED) as refusal:
        await peer.use_kept()
    await runtime.settle()
    assert (refusal.value.retryable, refusal.value.remote) == (False, True)
    assert (mine.value, mine.disposals) == (0, 1)


async def test_each_argument_ends_when_its_call_is_answered(peer: Any) -> None:
    await peer.keep_both(Counter(), [Counter()])

    for call in (peer.use_kept(), peer.use_shown()):
        with pytest.raises(errors.HandleEnded, match=RETURNED):
            await call


async def test_a_dup_outlives_the_call(runtime: TestRuntime[Env], peer: Any) -> None:
    mine = Counter()

    await peer.keep_dup(mine)
    await runtime.settle()

    assert [await peer.use_kept(), await peer.use_kept()] == [1, 2]
    assert mine.disposals == 0


async def test_an_argument_that_is_returned_is_its_receivers(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    mine = Counter()

    returned, count = await peer.give_back(mine)
    await runtime.settle()

    assert (count, await returned.increment(), mine.disposals) == (1, 2, 0)
    returned.dispose()
    await runtime.settle()
    assert mine.disposals == 1


async def test_what_is_passed_on_lives_as_long_as_its_last_receiver_keeps_it(
    runtime: TestRuntime[Env], peer: Any, other: Any
) -> None:
    mine = Counter()

    await peer.keep_passed_on(mine)
    await runtime.settle()

    assert (await other.use_kept(), mine.disposals) == (1, 0)
    await other.dispose_kept()
    await runtime.settle()
    assert mine.disposals == 1


async def test_an_argument_lives_on_if_the_caller_doesnt_wait_for_the_answer(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    mine = Counter()
    call = peer.wait_and_use(mine)
    await runtime.settle()

    call.cancel()
    await runtime.settle()
    before = mine.disposals
    Peer.ready.set()
    await runtime.settle()

    assert (before, mine.value, mine.disposals) == (0, 1, 1)


@pytest.mark.parametrize("ending", ["refused", "reset", "unfit"])
async def test_the_arguments_of_a_call_that_fails_end_with_it(
    runtime: TestRuntime[Env], peer: Any, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Counter()
    await peer.noted("awake")
    match ending:
        case "refused":
            monkeypatch.setattr("runtime.events.MAX_TASKS", 0)
            call = peer.keep(mine)
        case "reset":
            call = peer.wait_and_use(mine)
            await runtime.settle()
            await runtime.abort_durable_object(peer)
        case _:
            call = peer.apply(mine, object())

    with pytest.raises((errors.Overloaded, errors.ObjectReset, TypeError)):
        await call
    await runtime.settle()

    assert mine.disposals == 1


class Waiter(DurableObject[object]):
    """Uses what it gets, unless something else goes on."""

    opened: ClassVar[asyncio.Event]

    async def ponder(self) -> None:
        await asyncio.Event().wait()

    async def shut(self) -> None:
        self.ctx.block_concurrency_while(self.opened.wait)

    async def use(self, counter: Counter) -> int:
        return await counter.increment()


async def test_an_argument_of_a_call_that_begins_in_the_next_life_can_be_used_there() -> None:
    Waiter.opened = asyncio.Event()
    async with TestRuntime(bindings={"waiters": Waiter}, drain_seconds=1) as runtime:
        waiter: Any = runtime.env.waiters.get_by_name("a")
        busy = asyncio.ensure_future(waiter.ponder())
        await waiter.shut()
        mine = Counter()
        call = waiter.use(mine)
        newer = type("Waiter", (Waiter,), {})

        runtime.adopt(Runtime(runtime.config, bindings={"waiters": newer}, env=SimpleNamespace))
        await runtime.clock.advance(1)
        Waiter.opened.set()

        assert await call == 1
        await runtime.settle()
        assert mine.disposals == 1
        with pytest.raises(errors.ObjectReset):
            await busy


# How long a result may be used.


async def test_a_result_ends_when_it_is_disposed_of(runtime: TestRuntime[Env], peer: Any) -> None:
    counter = await peer.make_counter(10)
    another = counter.dup()

    counter.dispose()
    counter.dispose()

    attempts = [counter.increment(), peer.keep(counter)]
    for refusal in await asyncio.gather(*attempts, return_exceptions=True):
        with pytest.raises(errors.HandleEnded, match=DISPOSED):
            raise refusal
    with pytest.raises(errors.HandleEnded, match=DISPOSED):
        counter.dup()
    assert await another.increment() == 11


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_result_ends_with_its_block(peer: Any, is_async: bool) -> None:
    if is_async:
        async with await peer.make_counter(0) as counter:
            assert await counter.increment() == 1
    else:
        with await peer.make_counter(0) as counter:
            assert await counter.increment() == 1

    with pytest.raises(errors.HandleEnded, match=DISPOSED):
        await counter.increment()


async def test_a_result_ends_when_nothing_refers_to_it_any_more(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    counter = await peer.make_noted()
    await runtime.settle()
    before = await peer.noted("ends")

    del counter
    gc.collect()
    await runtime.settle()

    assert (before, await peer.noted("ends")) == (None, 1)


async def test_a_method_that_is_kept_keeps_its_target(runtime: TestRuntime[Env], peer: Any) -> None:
    touch = (await peer.make_noted()).touch
    gc.collect()
    await runtime.settle()

    await touch()

    assert await peer.noted("ends") is None


@pytest.mark.parametrize("end", ["evict_durable_object", "abort_durable_object"])
async def test_what_an_object_holds_ends_with_its_memory(
    runtime: TestRuntime[Env], peer: Any, other: Any, end: str
) -> None:
    await peer.keep_from_other()
    kept = await runtime.run_in_durable_object(peer, lambda instance, _: instance._kept)

    await getattr(runtime, end)(peer)
    await runtime.settle()

    assert await other.noted("ends") == 1
    with pytest.raises(errors.HandleEnded, match="the object that held it had left memory"):
        await kept.touch()


async def test_a_result_that_comes_too_late_for_its_caller_ends(
    runtime: TestRuntime[Env], peer: Any, other: Any
) -> None:
    asking = peer.keep_from_other(waiting=True)
    await runtime.settle()

    await runtime.abort_durable_object(peer)
    Peer.ready.set()
    await runtime.settle()

    assert await other.noted("ends") == 1
    with pytest.raises(errors.ObjectReset):
        await asking


async def test_an_object_stays_in_memory_while_somebody_holds_a_reference_of_its(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    counter = await peer.make_counter(10)
    more = [counter.dup(), await peer.make_counter(0)]

    await runtime.clock.advance(60)

    held = "somebody holds {} to functions or targets of its"
    assert runtime.why_awake(peer) == [held.format("3 references")]
    for handle in more:
        handle.dispose()
    await runtime.settle()
    assert runtime.why_awake(peer) == [held.format("a reference")]
    assert await counter.increment() == 11
    counter.dispose()
    await runtime.clock.advance(20)
    assert runtime.why_awake(peer) == []


async def test_a_reference_to_what_is_its_own_keeps_no_object_in_memory(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    await peer.keep_from_itself()

    await runtime.clock.advance(11)

    assert runtime.why_awake(peer) == []


async def test_a_reference_dies_with_the_memory_it_points_into(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    counter = await peer.make_counter(10)

    await runtime.evict_durable_object(peer)

    with pytest.raises(errors.ObjectReset, match="no longer running"):
        await counter.increment()


# The end of a target.


async def test_a_targets_end_is_code_of_its_object_and_comes_once(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    first = await peer.make_noted()
    second, third = first.dup(), first.dup()

    for handle in (first, second):
        handle.dispose()
    await runtime.settle()
    before = await peer.noted("ends")
    third.dispose()
    await runtime.settle()

    assert (before, await peer.noted("ends")) == (None, 1)


async def test_a_target_that_was_lent_twice_ends_once(
    runtime: TestRuntime[Env], peer: Any, other: Any
) -> None:
    mine = Counter()

    await asyncio.gather(peer.keep_dup(mine), other.keep_dup(mine), peer.total_of(mine, 1))
    await peer.dispose_kept()
    await runtime.settle()
    before = mine.disposals
    await other.dispose_kept()
    await runtime.settle()

    assert (before, mine.disposals) == (0, 1)


async def test_a_target_that_is_sent_anew_ends_anew(runtime: TestRuntime[Env], peer: Any) -> None:
    mine = Counter()

    for _ in range(2):
        await peer.total_of(mine, 1)
        await runtime.settle()

    assert mine.disposals == 2


async def test_a_target_that_is_sent_again_at_once_doesnt_end(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    mine = Counter()

    await peer.total_of(mine, 1)  # its hook is about to run
    call = peer.keep_dup(mine)
    await call
    await runtime.settle()

    assert mine.disposals == 0


async def test_a_target_doesnt_end_during_a_call(runtime: TestRuntime[Env], peer: Any) -> None:
    mine = Counter()
    call = peer.dispose_under_way(mine)
    await runtime.settle()
    before = (mine.value, mine.disposals)

    Peer.ready.set()

    assert await call == 1
    await runtime.settle()
    assert (before, mine.disposals) == ((0, 0), 1)


async def test_a_call_that_was_made_before_the_end_arrives(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    counter = await peer.make_counter(0)

    with counter:
        call = counter.increment()

    assert await call == 1


async def test_a_target_ends_once_even_if_that_is_due_twice(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    mine = Counter()
    handle = await peer.apply(lambda _: mine, None)
    await runtime.settle()

    handle.dispose()
    refused = peer.apply(mine, object())
    await runtime.settle()

    assert mine.disposals == 1
    with pytest.raises(TypeError):
        await refused


@pytest.mark.parametrize("end", ["evict_durable_object", "abort_durable_object"])
async def test_a_target_whose_memory_is_gone_has_no_end(
    runtime: TestRuntime[Env], peer: Any, end: str
) -> None:
    noted = await peer.make_noted()
    await getattr(runtime, end)(peer)

    noted.dispose()
    await runtime.settle()

    assert not Noted.ended


async def test_whoever_waits_for_a_target_hears_of_the_end_of_its_memory(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    counter = await peer.make_counter(0)
    waiting = counter.increment_when(Peer.ready.wait)
    await runtime.settle()

    await runtime.abort_durable_object(peer)

    with pytest.raises(errors.ObjectReset, match="abort_durable_object"):
        await waiting
    Peer.ready.set()


async def test_a_target_that_fails_at_its_end_is_told_to_the_log(
    runtime: TestRuntime[Env], peer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await peer.fail_at_the_end()

    (await peer.make_noted()).dispose()
    await runtime.settle()

    assert [
        record.getMessage() for record in caplog.records if record.levelno == logging.ERROR
    ] == [f"Noted.dispose() of Peer {peer.id} failed"]
    assert await peer.noted("is to fail")


async def test_what_an_object_disposes_of_ends_when_its_writes_are_durable(
    runtime: TestRuntime[Env], peer: Any, disk: StuckDisk
) -> None:
    """Or somebody might see from the end of a target what is lost afterwards (I3)."""
    mine = Counter()
    await peer.keep_dup(mine)
    await runtime.settle()

    with disk.stuck():
        call = peer.write_and_dispose_kept()
        await turns()
        before = mine.disposals
    await call
    await runtime.settle()

    assert (before, mine.disposals) == (0, 1)


async def test_what_an_object_calls_is_called_when_its_writes_are_durable(
    runtime: TestRuntime[Env], peer: Any, disk: StuckDisk
) -> None:
    mine = Counter()
    await peer.keep_dup(mine)
    await runtime.settle()

    with disk.stuck():
        call = peer.write_and_use_kept()
        await turns()
        before = mine.value

    assert (before, await call) == (0, 1)


async def test_what_was_disposed_of_ends_even_if_the_write_before_it_is_lost(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    mine = Counter()
    await peer.keep_dup(mine)
    await runtime.settle()

    runtime.disk.fail()
    with pytest.raises(errors.ObjectReset):
        await peer.write_and_dispose_kept()
    runtime.disk.mend()
    await runtime.settle()

    assert mine.disposals == 1


# Whose a handle is.


async def test_a_handle_is_of_no_use_to_whoever_hasnt_received_it(
    runtime: TestRuntime[Env], peer: Any, other: Any
) -> None:
    await peer.keep_dup(Counter())
    kept = await runtime.run_in_durable_object(peer, lambda instance, _: instance._kept)

    def take(instance: Peer, _: object) -> Any:
        return instance.use(kept)

    with pytest.raises(errors.OutsideObject, match="reference to Counter can only be used by"):
        await kept.increment()
    with pytest.raises(errors.OutsideObject, match="reference to Counter can only be used by"):
        await runtime.run_in_durable_object(other, take)
    with pytest.raises(errors.OutsideObject, match="reference to Counter can only be used by"):
        kept.dup()
    with pytest.raises(errors.OutsideObject, match="reference to Counter can only be used by"):
        await other.keep(kept)
    assert await peer.use_kept() == 1


@pytest.mark.parametrize("is_callback", [False, True])
async def test_an_argument_is_of_no_use_to_anybody_but_its_receiver(
    runtime: TestRuntime[Env], peer: Any, other: Any, is_callback: bool
) -> None:
    show = await peer.lend_show() if is_callback else peer.show
    showing = show(Counter())
    await runtime.settle()

    with pytest.raises(errors.OutsideObject, match="reference to Counter can only be used by"):
        await other.use_shown()

    assert await peer.use_shown() == 1
    Peer.ready.set()
    await showing


async def test_what_a_function_returns_is_of_no_use_to_anybody_but_its_caller(
    peer: Any, other: Any
) -> None:
    await peer.show_result(lambda: Counter())

    with pytest.raises(errors.OutsideObject, match="reference to Counter can only be used by"):
        await other.use_shown()

    assert await peer.use_shown() == 1


async def test_a_handle_cant_be_copied_by_the_way(peer: Any) -> None:
    counter = await peer.make_counter(0)

    with pytest.raises(TypeError, match=r"^<reference to Counter> can't be copied; dup\(\) makes"):
        copy.deepcopy([counter])

    assert await counter.increment() == 1


# What is too much for an object is too much for its callbacks.


async def test_too_many_calls_are_refused(
    runtime: TestRuntime[Env], peer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = await peer.make_counter(0)
    monkeypatch.setattr("runtime.events.MAX_TASKS", 1)
    under_way = peer.wait_and_use(Counter())
    await runtime.settle()

    with pytest.raises(errors.Overloaded, match="Too many requests queued"):
        await counter.increment()
    Peer.ready.set()
    await under_way

    assert await counter.increment() == 1


async def test_too_much_data_is_refused(
    runtime: TestRuntime[Env], peer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = await peer.lend_length()
    shut = peer.shut()
    await runtime.settle()
    monkeypatch.setattr("runtime.inbox.MAX_WAITING_BYTES", 1000)
    waits = function("x" * 600)

    with pytest.raises(errors.Overloaded, match="Too much data queued"):
        await function("y" * 600)
    Peer.ready.set()

    assert (await shut, await waits) == (42, 600)


async def test_a_call_that_waits_for_too_long_is_refused_and_never_runs(
    runtime: TestRuntime[Env], peer: Any
) -> None:
    counter = await peer.make_counter(0)
    shut = [peer.shut_once() for _ in range(3)]
    await runtime.settle()
    waits = counter.increment()

    for _ in range(3):
        await runtime.clock.advance(20.1)
        Peer.ready.set()
        await runtime.settle()

    with pytest.raises(errors.Overloaded, match="Requests queued for too long"):
        await waits
    await asyncio.gather(*shut)
    assert await counter.increment() == 1


async def test_what_a_section_waits_for_is_let_in_however_much_waits_for_its_end(
    runtime: TestRuntime[Env], peer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut = peer.shut()
    await runtime.settle()
    waiting = [peer.noted("anything") for _ in range(3)]
    monkeypatch.setattr("runtime.events.MAX_TASKS", 3)

    Peer.ready.set()

    assert await shut == 42
    await asyncio.gather(*waiting)
