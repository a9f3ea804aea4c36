"""Section K of the conformance list: what the layers on top of the original bring, where we do."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

import pytest

from runtime import (
    DurableObject,
    DurableObjectState,
    Request,
    Response,
    SqlStorage,
    WebSocket,
    errors,
)
from runtime.testing import HandshakeRefused, TestRuntime
from tests.conftest import StartRuntime

LEFT_OUT: Final[dict[str, str]] = {
    "K04": (
        "one process routes nothing, so nobody repeats a call: what may be tried again is "
        "answered with 503 and Retry-After, or 1013 on a socket, and the client comes back"
    ),
    "K06": "state and setState are partyserver's; ours are attachments (H17) and ctx.storage",
    "K08": "CORS is the web framework's: Litestar's CORSConfig",
    "K09": "no props: what an object is to trust comes in the headers of forward()",
}


class Room(DurableObject[object]):
    """Starts by a method of its own, as servers of the convenience layers do."""

    starts: ClassVar[int]
    failures: ClassVar[int]
    started: ClassVar[asyncio.Event]

    def __init__(self, ctx: DurableObjectState, env: object) -> None:
        super().__init__(ctx, env)
        self.name_in_constructor = ctx.id.name
        ctx.block_concurrency_while(self.on_start)

    async def on_start(self) -> None:
        Room.starts += 1
        await Room.started.wait()
        if Room.starts <= Room.failures:
            raise LookupError("not yet")
        self.name_in_start = self.ctx.id.name

    async def fetch(self, request: Request) -> Response:
        ws = request.web_socket
        if ws is None:
            return Response(text=str(Room.starts))
        if request.path == "/stranger":
            return Response(403)
        self.ctx.accept_web_socket(ws)
        ws.send(str(Room.starts))
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        self.ctx.broadcast(message)

    async def names(self) -> list[str | None]:
        return [self.name_in_constructor, self.name_in_start, self.ctx.id.name]

    async def write(self) -> None:
        await self.ctx.storage.put("written", True)


@pytest.fixture(autouse=True)
async def fresh_classes() -> None:
    """Put back what the objects of a class share."""
    Room.starts, Room.failures = 0, 0
    Room.started = asyncio.Event()
    Room.started.set()
    Library.migrations = (
        "CREATE TABLE books (title TEXT); CREATE INDEX titles ON books (title)",
        add_authors,
    )


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with rooms."""
    started: TestRuntime[Any] = await start_runtime(rooms=Room)
    return started


@pytest.fixture
async def awake_runtime(start_awake_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with rooms that stay in memory for their ten seconds."""
    started: TestRuntime[Any] = await start_awake_runtime(rooms=Room)
    return started


# Starting.


async def test_k01_all_who_come_at_once_find_the_object_started_once(
    awake_runtime: TestRuntime[Any],
) -> None:
    Room.started.clear()
    room = awake_runtime.env.rooms.get_by_name("a")
    coming = asyncio.gather(
        awake_runtime.connect(room), awake_runtime.connect(room), room.fetch("http://room/")
    )
    await awake_runtime.settle()
    assert not coming.done()

    Room.started.set()
    first, second, response = await coming

    assert [list(first.received), list(second.received), response.text()] == [["1"], ["1"], "1"]


async def test_k01_the_name_is_known_in_the_constructor_and_at_the_start(
    runtime: TestRuntime[Any],
) -> None:
    assert await runtime.env.rooms.get_by_name("a").names() == ["a"] * 3


async def test_k02_a_start_that_fails_is_tried_again_by_the_next_request(
    awake_runtime: TestRuntime[Any],
) -> None:
    Room.failures = 1
    room = awake_runtime.env.rooms.get_by_name("a")

    with pytest.raises(LookupError, match="not yet"):
        await room.fetch("http://room/")

    assert (await room.fetch("http://room/")).text() == "2"
    assert (await room.fetch("http://room/")).text() == "2"


# Sockets.


async def test_k05_a_broadcast_reaches_nobody_that_the_object_hasnt_accepted(
    runtime: TestRuntime[Any],
) -> None:
    room, elsewhere = (runtime.env.rooms.get_by_name(name) for name in "ab")
    guests = [await runtime.connect(room), await runtime.connect(room)]
    foreign = await runtime.connect(elsewhere)
    with pytest.raises(HandshakeRefused):
        await runtime.connect(room, "/stranger")

    await guests[0].send("hello")

    assert [list(guest.received)[1:] for guest in guests] == [["hello"]] * 2
    assert list(foreign.received)[1:] == []


# Names.


async def test_k10_an_objects_name_stays_with_it_however_it_is_reached(
    runtime: TestRuntime[Any],
) -> None:
    rooms = runtime.env.rooms
    room = rooms.get_by_name("a")
    await room.write()
    await runtime.restart()

    by_id = rooms.get(rooms.id_from_string(str(room.id)))

    assert by_id.name is None
    assert await by_id.names() == ["a"] * 3


@pytest.mark.xfail(
    strict=True,
    raises=TypeError,
    reason="a name is what an id was made from: nothing sets it, and unique ids have none",
)
async def test_k10_an_object_with_a_unique_id_can_be_given_a_name(
    runtime: TestRuntime[Any],
) -> None:
    rooms = runtime.env.rooms
    room = rooms.get(rooms.new_unique_id())

    await room.set_name("a")

    assert await room.names() == ["a"] * 3


# The schema. Its steps have no ids that could be wrong: their place is their number.


def add_authors(sql: SqlStorage) -> None:
    sql.exec("CREATE TABLE authors (name TEXT)")
    sql.exec("INSERT INTO authors VALUES ('ada'), ('grace')")


def fail(sql: SqlStorage) -> None:
    sql.exec("INSERT INTO authors VALUES ('nobody')")
    raise LookupError("not yet")


class Library(DurableObject[object]):
    """Has a schema with a history."""

    migrations: ClassVar[Any]

    async def schema(self) -> list[str]:
        query = "SELECT name FROM sqlite_schema WHERE name NOT LIKE '\\_cf%' ESCAPE '\\' ORDER BY 1"
        return [row["name"] for row in self.ctx.storage.sql.exec(query)]

    async def authors(self) -> list[str]:
        return [row["name"] for row in self.ctx.storage.sql.exec("SELECT name FROM authors")]


async def test_k12_an_empty_object_gets_every_migration_with_its_tables_and_rows(
    start_runtime: StartRuntime,
) -> None:
    library = (await start_runtime(libraries=Library)).env.libraries.get_by_name("a")

    assert await library.schema() == ["authors", "books", "titles"]
    assert await library.authors() == ["ada", "grace"]


async def test_k12_what_was_applied_isnt_applied_again(
    start_awake_runtime: StartRuntime,
) -> None:
    runtime = await start_awake_runtime(libraries=Library)
    library = runtime.env.libraries.get_by_name("a")

    for _ in range(3):
        assert await library.authors() == ["ada", "grace"]
        await runtime.evict_durable_object(library)


async def test_k12_a_migration_that_fails_leaves_the_version_where_it_was(
    start_awake_runtime: StartRuntime,
) -> None:
    runtime = await start_awake_runtime(libraries=Library)
    library = runtime.env.libraries.get_by_name("a")
    await library.authors()
    await runtime.evict_durable_object(library)
    done = Library.migrations

    Library.migrations = (*done, fail)
    with pytest.raises(errors.StorageError, match="Library: migration 3 failed: not yet"):
        await library.authors()
    Library.migrations = (*done, "INSERT INTO authors VALUES ('edsger')")

    assert await library.authors() == ["ada", "grace", "edsger"]


# Trying again. There are no helpers for that: the errors say what they would ask.


@pytest.mark.parametrize(
    ("error", "may_be_repeated"),
    [
        (errors.RoutingError("lost"), True),
        (errors.ShuttingDown("stopping"), True),
        (errors.Overloaded("busy"), False),
        (errors.ObjectReset("reset"), False),
        (errors.RemoteError("KeyError", "'x'"), False),
    ],
)
def test_k13_an_error_says_whether_the_call_may_be_repeated_at_once(
    error: errors.DurableObjectError, may_be_repeated: bool
) -> None:
    assert (error.retryable and not error.overloaded) is may_be_repeated
