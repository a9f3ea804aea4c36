"""A runtime that goes on with other versions of its classes, without closing a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from runtime import (
    AlarmInvocation,
    DurableObject,
    DurableObjectState,
    Request,
    Response,
    Runtime,
    WebSocket,
    errors,
)
from runtime.evictions import LEAVE_SECONDS
from runtime.testing import TestRuntime, key_of

MISSING = r'^The RPC receiver does not implement the method "say"\.$'
UPDATED = "^Durable Object reset because its code was updated.$"
DRAIN_SECONDS = 5.0


class Room(DurableObject[Any]):
    """Answers with its version, at once or when it is released."""

    version: ClassVar[str] = "old"
    released: ClassVar[asyncio.Event]
    opened: ClassVar[asyncio.Event]

    async def fetch(self, request: Request) -> Response:
        ws = request.web_socket
        assert ws is not None
        self.ctx.accept_web_socket(ws, tags=["guest"])
        ws.serialize_attachment({"accepted by": self.version})
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str) -> None:
        if message == "note":
            await self.ctx.storage.put("note", self.version)
            ws.send("noted")
        if message in ("ponder", "note"):
            await self.released.wait()
        ws.send(f"{self.version}: {message}")

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        is_here = ws in self.ctx.get_web_sockets()
        self.ctx.broadcast(f"{self.version}: {code}, {'still' if is_here else 'no longer'} here")

    async def alarm(self, invocation: AlarmInvocation) -> None:
        await self.ctx.storage.put("alarm", f"{self.version} began")
        if self.version == "old":
            await self.released.wait()
        await self.ctx.storage.put("alarm", f"{self.version} ended")

    async def wake_in(self, seconds: float) -> None:
        await self.ctx.storage.set_alarm(timedelta(seconds=seconds))

    async def ponder(self) -> str:
        await self.released.wait()
        return self.version

    async def shut(self) -> None:
        """Hold everything back until the room is opened, and don't wait for that."""
        self.ctx.block_concurrency_while(self.opened.wait)

    async def say(self) -> str:
        return self.version

    async def read(self, key: str) -> Any:
        return await self.ctx.storage.get(key)

    async def world(self) -> str:
        return str(self.env.name)


def version(name: str, **parts: Any) -> type[Any]:
    """Another version of the room."""
    return type("Room", (Room,), {"version": name, **parts})


def adopt(runtime: TestRuntime[Any], room: type, env: Any = SimpleNamespace) -> None:
    """Go on with another version of the room."""
    runtime.adopt(Runtime(runtime.config, bindings={"rooms": room}, env=env))


@pytest.fixture
async def runtime() -> AsyncIterator[TestRuntime[Any]]:
    Room.released, Room.opened = asyncio.Event(), asyncio.Event()
    async with TestRuntime(bindings={"rooms": Room}, drain_seconds=DRAIN_SECONDS) as runtime:
        yield runtime
        Room.released.set()


@pytest.fixture
def room(runtime: TestRuntime[Any]) -> Any:
    return runtime.env.rooms.get_by_name("a")


async def test_a_quiet_object_wakes_in_the_new_code_with_its_sockets(
    runtime: TestRuntime[Any], room: Any
) -> None:
    client = await runtime.connect(room)
    await client.send("hello")

    adopt(runtime, version("new"))
    await runtime.settle()
    life = runtime.host.life_of(key_of(room))
    await client.send("hello")

    def look(_: Any, ctx: DurableObjectState) -> Any:
        (ws,) = ctx.get_web_sockets("guest")
        return ctx.get_tags(ws), ws.deserialize_attachment()

    assert life is None
    assert list(client.received) == ["old: hello", "new: hello"]
    assert await runtime.run_in_durable_object(room, look) == (["guest"], {"accepted by": "old"})


async def test_an_event_in_the_turn_of_the_change_finds_the_new_code(
    runtime: TestRuntime[Any], room: Any
) -> None:
    client = await runtime.connect(room)

    adopt(runtime, version("new"))
    client.wire.bring("hello")
    answer = await room.say()

    assert answer == "new"
    assert await client.receive() == "new: hello"


async def test_a_handler_that_is_running_ends_in_the_code_it_began_in(
    runtime: TestRuntime[Any], room: Any
) -> None:
    """And is held to what its method was declared to return then."""

    async def number(self: Any) -> int:
        return 42

    call = asyncio.ensure_future(room.ponder())
    await runtime.settle()

    adopt(runtime, version("new", ponder=number, say=number, added=number))
    meanwhile = await room.say()
    with pytest.raises(TypeError, match='does not implement the method "added"'):
        await room.added()  # it is in the old code
    Room.released.set()
    answer = await call

    assert (meanwhile, answer) == ("old", "old")
    assert [await room.ponder(), await room.say(), await room.added()] == [42, 42, 42]


async def test_an_object_leaves_its_old_code_once_it_is_quiet_without_another_event(
    runtime: TestRuntime[Any], room: Any
) -> None:
    call = asyncio.ensure_future(room.ponder())
    await runtime.settle()
    adopt(runtime, version("new"))

    Room.released.set()
    await call
    was_awake = runtime.host.life_of(key_of(room)) is not None
    await runtime.clock.advance(LEAVE_SECONDS)

    assert was_awake
    assert runtime.host.life_of(key_of(room)) is None


async def test_a_stub_that_somebody_has_loses_and_gains_methods(
    runtime: TestRuntime[Any], room: Any
) -> None:
    async def sing(self: Any, song: str) -> str:
        return f"{song}!"

    european = runtime.env.rooms.jurisdiction("eu").get_by_name("a")

    adopt(runtime, version("new", sing=sing, say=None))

    for stub in (room, european):
        assert await stub.sing("la") == "la!"
        with pytest.raises(TypeError, match=r"Room.sing\(\) argument 'song': .* not 1"):
            await stub.sing(1)
        with pytest.raises(TypeError, match=MISSING):
            await stub.say()


async def test_a_call_that_was_on_its_way_fails_if_its_method_is_gone(
    runtime: TestRuntime[Any], room: Any
) -> None:
    await room.say()
    await runtime.evict_durable_object(room)
    life = asyncio.ensure_future(room.ponder())
    await runtime.settle()
    adopt(runtime, version("new"))
    Room.released.set()
    await life
    call = room.say()  # finds the object quiet, and waits for its next life

    adopt(runtime, version("newer", say=None))

    with pytest.raises(TypeError, match=MISSING):
        await call


async def test_new_migrations_run_when_an_object_wakes(
    runtime: TestRuntime[Any], room: Any
) -> None:
    async def count(self: Any) -> int:
        rows: int = self.ctx.storage.sql.exec("SELECT count(*) FROM songs").one()["count(*)"]
        return rows

    await room.read("nothing")

    songs = ["CREATE TABLE songs (title TEXT)", "INSERT INTO songs VALUES ('la')"]
    adopt(runtime, version("new", migrations=songs, count=count))

    assert await room.count() == 1


async def test_objects_get_what_the_new_env_makes(runtime: TestRuntime[Any], room: Any) -> None:
    def env(rooms: Any) -> SimpleNamespace:
        return SimpleNamespace(rooms=rooms, name="new world")

    adopt(runtime, version("new"), env=env)

    assert await room.world() == runtime.env.name == "new world"
    assert await runtime.env.rooms.get_by_name("a").say() == "new"


async def test_an_object_that_stays_busy_is_reset_and_keeps_its_sockets(
    runtime: TestRuntime[Any], room: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = await runtime.connect(room)
    call = asyncio.ensure_future(room.ponder())
    await client.send("ponder")
    adopt(runtime, version("new"))

    await runtime.clock.advance(DRAIN_SECONDS - 0.1)
    was_done = call.done()
    await runtime.clock.advance(0.1)

    with pytest.raises(errors.ObjectReset, match=UPDATED) as reset:
        await call
    assert not was_done
    assert reset.value.retryable
    assert "was reset, because its code was replaced: ponder() has been running" in caplog.text
    await client.send("hello")
    assert list(client.received) == ["new: hello"]


async def test_a_second_change_gives_a_busy_object_no_more_time(
    runtime: TestRuntime[Any], room: Any
) -> None:
    call = asyncio.ensure_future(room.ponder())
    await runtime.settle()
    adopt(runtime, version("new"))
    await runtime.clock.advance(DRAIN_SECONDS - 1)

    adopt(runtime, version("newer"))
    await runtime.clock.advance(1)

    with pytest.raises(errors.ObjectReset, match=UPDATED):
        await call
    assert await room.say() == "newer"


async def test_what_a_busy_object_has_sent_leaves_before_it_is_reset() -> None:
    """It stands behind a write that the disk doesn't have yet."""
    Room.released = asyncio.Event()
    async with TestRuntime(bindings={"rooms": Room}, drain_seconds=0) as runtime:
        room = runtime.env.rooms.get_by_name("a")
        client = await runtime.connect(room)
        client.wire.bring("note")
        assert not client.received

        adopt(runtime, version("new"))
        await runtime.settle()

        assert list(client.received) == ["noted"]
        assert client.closed is None
        assert await room.read("note") == "old"
        assert await room.say() == "new"


async def test_events_that_havent_begun_at_the_reset_are_for_the_next_life(
    runtime: TestRuntime[Any], room: Any
) -> None:
    client, leaver = await runtime.connect(room), await runtime.connect(room)
    busy = asyncio.ensure_future(room.ponder())
    await client.send("ponder")
    await room.shut()
    await leaver.send("before I leave")
    await client.send("one")
    answer = asyncio.ensure_future(room.say())
    await leaver.leave()
    await client.send("two")
    adopt(runtime, version("new"))

    await runtime.clock.advance(DRAIN_SECONDS)
    assert not busy.done()  # the critical section goes before
    Room.opened.set()
    await runtime.settle()

    with pytest.raises(errors.ObjectReset, match=UPDATED):
        await busy
    assert await answer == "new"
    assert list(client.received) == ["new: one", "new: 1000, still here", "new: two"]
    assert await runtime.run_in_durable_object(room, _count_sockets) == 1


async def test_an_alarm_that_is_cut_off_rings_again_in_the_new_code(
    runtime: TestRuntime[Any], room: Any
) -> None:
    await room.wake_in(1)
    await runtime.clock.advance(1)
    assert await room.read("alarm") == "old began"

    adopt(runtime, version("new"))
    await runtime.clock.advance(DRAIN_SECONDS + 10)

    assert await room.read("alarm") == "new ended"


async def test_a_runtime_that_stops_doesnt_wait_for_the_time_of_a_busy_object() -> None:
    Room.released = asyncio.Event()
    async with TestRuntime(bindings={"rooms": Room}, drain_seconds=0) as runtime:
        call = asyncio.ensure_future(runtime.env.rooms.get_by_name("a").ponder())
        await runtime.settle()
        runtime.host.is_draining = True

        adopt(runtime, version("new"))
        await runtime.settle()

        assert not call.done()
    with pytest.raises(errors.ObjectReset):
        await call


@pytest.mark.parametrize(
    ("bindings", "why"),
    [
        ({"rooms": Room, "halls": Room}, "^the binding 'halls' is new, which takes a restart$"),
        ({}, "^the binding 'rooms' is gone, which takes a restart$"),
        (
            {"rooms": type("Hall", (Room,), {})},
            "^'rooms' was Room and is Hall now, which takes a restart$",
        ),
    ],
    ids=["new", "gone", "renamed"],
)
async def test_other_bindings_are_refused(
    runtime: TestRuntime[Any], room: Any, bindings: dict[str, type], why: str
) -> None:
    successor = Runtime(runtime.config, bindings=bindings)

    with pytest.raises(errors.CodeRefused, match=why):
        runtime.adopt(successor)

    assert await room.say() == "old"


async def test_other_settings_are_refused(runtime: TestRuntime[Any]) -> None:
    config = runtime.config.model_copy(update={"idle_seconds": 1})

    with pytest.raises(
        errors.CodeRefused, match="the settings have changed, which takes a restart"
    ):
        runtime.adopt(Runtime(config, bindings={"rooms": Room}))


async def test_all_classes_are_adopted_or_none() -> None:
    def broken(self: Any, friend: Any) -> None: ...

    broken.__annotations__["friend"] = "Friend"
    both = {"rooms": version("old"), "halls": type("Hall", (Room,), {})}
    async with TestRuntime(bindings=both) as runtime:
        hall = type("Hall", (Room,), {"broken": broken})

        with pytest.raises(TypeError, match=r"Hall.broken\(\): an annotation can't be resolved"):
            runtime.adopt(
                Runtime(runtime.config, bindings={"rooms": version("new"), "halls": hall})
            )

        assert await runtime.env.rooms.get_by_name("a").say() == "old"
        assert runtime.bindings == both


async def test_a_runtime_that_hasnt_been_started_adopts_nothing(
    runtime: TestRuntime[Any],
) -> None:
    with pytest.raises(RuntimeError, match="hasn't been started"):
        Runtime(runtime.config, bindings={"rooms": Room}).adopt(runtime)


def _count_sockets(_: Any, ctx: DurableObjectState) -> int:
    return len(ctx.get_web_sockets())
