"""Section K of the conformance list: what layers above the original add, as far as we have it."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

import pytest

from runtime import DurableObject, DurableObjectState, Request, Response, errors
from runtime.testing import TestRuntime
from tests.conftest import StartRuntime

LEFT_OUT: Final[dict[str, str]] = {
    "K04": "calls aren't repeated by the runtime: an error says whether they may be, see K13",
    "K06": "there is no state that is sent to clients by itself: api.md has storage and sockets",
    "K08": "CORS is the web side's, which has it: litestar.config.cors",
    "K09": "objects have no props in api.md: forward() passes headers that clients can't set",
    "K10": "a name belongs to the id that was made from it, and can't be given later: see F06",
}


class Party(DurableObject[Any]):
    """Prepares itself before anybody is let in."""

    started: ClassVar[list[str | None]]
    should_fail: ClassVar[bool]
    ready: ClassVar[asyncio.Event]

    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        self.name = ctx.id.name
        ctx.block_concurrency_while(self._start)

    async def _start(self) -> None:
        Party.started.append(self.name)
        await Party.ready.wait()
        if Party.should_fail:
            raise LookupError("not today")

    async def fetch(self, request: Request) -> Response:
        if request.web_socket is not None:
            self.ctx.accept_web_socket(request.web_socket)
            request.web_socket.send(str(len(Party.started)))
            return Response.switching_protocols()
        return Response(200, text=str(len(Party.started)))

    async def call_everybody(self, text: str) -> int:
        return self.ctx.broadcast(text)


@pytest.fixture(autouse=True)
def fresh_party() -> None:
    """Put back what the tests' class shares among its objects."""
    Party.started = []
    Party.should_fail = False
    Party.ready = asyncio.Event()


async def test_k01_an_object_is_prepared_once_for_all_who_come_at_the_same_time(
    start_awake_runtime: StartRuntime,
) -> None:
    runtime: TestRuntime[Any] = await start_awake_runtime(parties=Party)
    party = runtime.env.parties.get_by_name("tonight")
    sockets = [asyncio.ensure_future(runtime.connect(party)) for _ in range(2)]
    request = party.fetch(Request("http://party/"))
    await runtime.settle()

    Party.ready.set()

    assert (await request).text() == "1"
    assert [await (await socket).receive() for socket in sockets] == ["1", "1"]
    assert Party.started == ["tonight"]


async def test_k02_an_object_that_couldnt_be_prepared_is_tried_again(
    start_runtime: StartRuntime,
) -> None:
    runtime = await start_runtime(parties=Party)
    party = runtime.env.parties.get_by_name("tonight")
    Party.ready.set()
    Party.should_fail = True
    with pytest.raises(LookupError, match="not today"):
        await party.fetch(Request("http://party/"))

    Party.should_fail = False

    assert (await party.fetch(Request("http://party/"))).text() == "2"


async def test_k05_a_broadcast_reaches_the_objects_own_sockets_only(
    start_runtime: StartRuntime,
) -> None:
    Party.ready.set()
    runtime = await start_runtime(parties=Party)
    here, there = (runtime.env.parties.get_by_name(name) for name in ("here", "there"))
    ours, theirs = await runtime.connect(here), await runtime.connect(there)
    ours.received.clear()
    theirs.received.clear()

    assert await here.call_everybody("hello") == 1

    assert (list(ours.received), list(theirs.received)) == (["hello"], [])


def version_of(*steps: Any) -> type:
    """Return a class whose schema has come so far."""

    class Archive(DurableObject[object]):
        migrations = steps

        async def titles(self) -> list[str]:
            return [row["title"] for row in self.ctx.storage.sql.exec("SELECT title FROM books")]

        async def tables(self) -> list[str]:
            rows = self.ctx.storage.sql.exec(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' "
                "ESCAPE '\\' ORDER BY name"
            )
            return [row["name"] for row in rows]

        async def keep(self) -> None:
            await self.ctx.storage.put("kept", True)

    return Archive


FIRST: Final = "CREATE TABLE books (title TEXT); INSERT INTO books VALUES ('Emma')"
SECOND: Final = "CREATE TABLE readers (name TEXT)"


async def test_k12_an_empty_object_is_migrated_through_all_steps_once(
    start_runtime: StartRuntime,
) -> None:
    runtime = await start_runtime(archives=version_of(FIRST, SECOND))
    archive = runtime.env.archives.get_by_name("a")
    await archive.keep()

    await runtime.restart()

    assert await archive.titles() == ["Emma"]
    assert await archive.tables() == ["books", "readers"]


async def test_k12_an_object_takes_the_steps_that_it_has_missed(
    start_runtime: StartRuntime,
) -> None:
    runtime = await start_runtime(archives=version_of(FIRST))
    archive = runtime.env.archives.get_by_name("a")
    await archive.keep()

    runtime.adopt(
        TestRuntime(bindings={"archives": version_of(FIRST, SECOND)}, data=runtime.config.data)
    )

    assert await archive.titles() == ["Emma"]
    assert await archive.tables() == ["books", "readers"]


async def test_k12_a_step_that_fails_leaves_the_version_as_it_was(
    start_runtime: StartRuntime,
) -> None:
    wrong = "CREATE TABLE readers (name TEXT); INSERT INTO nowhere VALUES (1)"
    runtime = await start_runtime(archives=version_of(FIRST))
    archive = runtime.env.archives.get_by_name("a")
    await archive.keep()
    data = runtime.config.data
    runtime.adopt(TestRuntime(bindings={"archives": version_of(FIRST, wrong)}, data=data))
    with pytest.raises(errors.StorageError, match="migration 2 failed: no such table: nowhere"):
        await archive.titles()

    runtime.adopt(TestRuntime(bindings={"archives": version_of(FIRST, SECOND)}, data=data))

    assert await archive.titles() == ["Emma"]
    assert await archive.tables() == ["books", "readers"]


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
