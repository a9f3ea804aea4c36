"""The doors that a test has into objects, and the sockets that it opens to them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime import AlarmInvocation, DurableObject, Request, Response, WebSocket, errors
from runtime.testing import SocketClosed, TestRuntime
from tests.conftest import StartRuntime

MOST_BYTES = 32 * 1024 * 1024


class Desk(DurableObject[Any]):
    """Keeps notes, and what it has heard of its sockets in memory."""

    can_be_made = True
    should_fail = False
    sets_anew = False

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        assert Desk.can_be_made
        self.heard: list[Any] = []

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        self.heard.append(message)

    async def web_socket_error(self, ws: WebSocket, error: Exception) -> None:
        self.heard.append(str(error))

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        self.heard.append((code, was_clean))

    async def hear(self) -> list[Any]:
        return self.heard

    async def note(self, text: str) -> None:
        await self.ctx.storage.put_many({text: True})

    async def notes(self) -> list[str]:
        return [str(key) for key in await self.ctx.storage.list()]

    async def ring_in(self, seconds: float) -> None:
        await self.ctx.storage.set_alarm(timedelta(seconds=seconds))

    async def rings_at(self) -> float | None:
        return await self.ctx.storage.get_alarm()

    async def alarm(self, invocation: AlarmInvocation) -> None:
        await self.note(f"rang {len(await self.notes())}, try {invocation.retry_count}")
        if Desk.should_fail:
            raise LookupError("no bell")
        if Desk.sets_anew:
            await self.ring_in(10)


class Other(DurableObject[Any]):
    """Another class."""


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what a test changes about the class changed back."""
    for name in ("can_be_made", "should_fail", "sets_anew"):
        monkeypatch.setattr(Desk, name, getattr(Desk, name))


# Alarms that come twice.


async def test_an_alarm_whose_first_run_fails_is_tried_again_as_any(
    start_runtime: StartRuntime,
) -> None:
    rt = await start_runtime(desks=Desk)
    desk = rt.env.desks.get_by_name("a")
    await desk.ring_in(3600)
    Desk.should_fail = True

    with pytest.raises(LookupError, match="no bell"):
        await rt.duplicate_alarm(desk)
    Desk.should_fail = False

    assert await desk.rings_at() == rt.clock.time() + 3600
    await rt.clock.advance(3)
    assert await desk.notes() == ["rang 0, try 0", "rang 1, try 1"]
    assert await desk.rings_at() is None


async def test_an_alarm_that_its_first_run_has_set_anew_isnt_the_duplicate(
    start_runtime: StartRuntime,
) -> None:
    rt = await start_runtime(desks=Desk)
    desk = rt.env.desks.get_by_name("a")
    await desk.ring_in(3600)
    Desk.sets_anew = True

    assert await rt.duplicate_alarm(desk)
    Desk.sets_anew = False

    assert await desk.notes() == ["rang 0, try 0"]
    assert await desk.rings_at() == rt.clock.time() + 10
    await rt.clock.advance(10)
    assert await desk.notes() == ["rang 0, try 0", "rang 1, try 0"]


async def test_an_alarm_comes_twice_while_a_test_handles_an_error(
    start_awake_runtime: StartRuntime,
) -> None:
    rt = await start_awake_runtime(desks=Desk)
    desk = rt.env.desks.get_by_name("a")
    await desk.ring_in(3600)

    try:
        int("no number")
    except ValueError:
        assert await rt.duplicate_alarm(desk)

    assert await desk.notes() == ["rang 0, try 0", "rang 1, try 0"]


# Taking everything.


async def test_a_reset_takes_objects_that_cant_be_made_any_more(
    start_runtime: StartRuntime,
) -> None:
    rt = await start_runtime(desks=Desk)
    desk, other = rt.env.desks.get_by_name("a"), rt.env.desks.get_by_name("b")
    await desk.note("x")
    await other.note("y")
    await rt.evict_all_durable_objects()
    Desk.can_be_made = False

    await rt.reset()
    Desk.can_be_made = True

    assert await rt.list_durable_object_ids(rt.env.desks) == []
    assert await desk.notes() == []


async def test_a_reset_takes_everything_though_the_disk_is_full(
    start_runtime: StartRuntime,
) -> None:
    rt = await start_runtime(desks=Desk)
    desk = rt.env.desks.get_by_name("a")
    await desk.note("x")
    rt.disk.fill()

    await rt.reset()

    assert await rt.list_durable_object_ids(rt.env.desks) == []
    with pytest.raises(errors.ObjectReset):  # it is full as before
        await desk.note("y")


async def test_a_reset_takes_the_sockets_of_objects_that_are_asleep(
    start_awake_runtime: StartRuntime,
) -> None:
    rt = await start_awake_runtime(desks=Desk)
    socket = await rt.connect(rt.env.desks.get_by_name("a"))
    await rt.clock.advance(60)

    await rt.reset()

    assert socket.closed is not None
    assert socket.closed[0] == 1012


async def test_a_reset_leaves_what_else_is_in_a_folder(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    async with TestRuntime(bindings={"desks": Desk}, data=folder) as rt:
        await rt.env.desks.get_by_name("a").note("x")
        await rt.reset()

        assert (folder / "notes.txt").read_text() == "mine"
        assert await rt.list_durable_object_ids(rt.env.desks) == []


@pytest.mark.parametrize("how", ["crash", "restart", "reset"])
async def test_a_stub_of_a_jurisdiction_stays_good(start_runtime: StartRuntime, how: str) -> None:
    rt = await start_runtime(desks=Desk)
    desk = rt.env.desks.jurisdiction("eu").get_by_name("a")
    await desk.note("x")

    await getattr(rt, how)()

    assert await desk.notes() == ([] if how == "reset" else ["x"])


# Evictions.


async def test_an_eviction_can_close_the_sockets(start_awake_runtime: StartRuntime) -> None:
    rt = await start_awake_runtime(desks=Desk)
    desk = rt.env.desks.get_by_name("a")
    socket = await rt.connect(desk)

    await rt.evict_durable_object(desk)
    assert socket.closed is None
    assert await desk.hear() == []
    await rt.evict_durable_object(desk, web_sockets="close")

    assert socket.closed is not None
    assert socket.closed[0] == 1012
    assert await desk.hear() == []


async def test_an_eviction_of_all_can_close_their_sockets(
    start_awake_runtime: StartRuntime,
) -> None:
    rt = await start_awake_runtime(desks=Desk)
    sockets = [await rt.connect(rt.env.desks.get_by_name(name)) for name in "ab"]

    await rt.evict_all_durable_objects(web_sockets="close")

    assert all(socket.closed for socket in sockets)


async def test_sockets_are_closed_or_not(start_awake_runtime: StartRuntime) -> None:
    rt = await start_awake_runtime(desks=Desk)

    with pytest.raises(ValueError, match='"hibernate" or "close", not \'shut\''):
        await rt.evict_durable_object(
            rt.env.desks.get_by_name("a"),
            web_sockets="shut",  # type: ignore[arg-type,unused-ignore]
        )


# Whose objects.


async def test_a_stub_of_another_world_is_refused(start_awake_runtime: StartRuntime) -> None:
    one, two = await start_awake_runtime(desks=Desk), await start_awake_runtime(desks=Desk)
    desk = two.env.desks.get_by_name("a")

    for look in (
        one.run_in_durable_object(desk, lambda obj, ctx: None),
        one.run_durable_object_alarm(desk),
        one.duplicate_alarm(desk),
        one.evict_durable_object(desk),
        one.abort_durable_object(desk),
        one.commit_count(desk),
        one.connect(desk),
        one.list_durable_object_ids(two.env.desks),
    ):
        with pytest.raises(ValueError, match="is of another runtime"):
            await look
    assert await one.list_durable_object_ids(one.env.desks.jurisdiction("eu")) == []


# Class migrations.

PYPROJECT = """
[[tool.runtime.migrations]]
tag = "v1"
new_sqlite_classes = ["Desk"]
"""


async def test_a_world_of_its_own_goes_by_no_migrations_of_the_project(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "pyproject.toml").write_text(PYPROJECT)
    monkeypatch.chdir(folder)

    configs: list[dict[str, Any]] = [{}, {"idle_seconds": 5}]
    for config in configs:
        async with TestRuntime(bindings={"others": Other}, **config) as rt:
            assert rt.config.migrations == ()
    with pytest.raises(errors.MigrationRefused):
        async with TestRuntime(bindings={"others": Other}, data=folder / "data"):
            pass


# What clients send.


@pytest.mark.parametrize("message", [5, None, {"a": 1}])
async def test_what_is_neither_text_nor_bytes_isnt_sent(
    start_awake_runtime: StartRuntime, message: Any
) -> None:
    rt = await start_awake_runtime(desks=Desk)
    desk = rt.env.desks.get_by_name("a")
    socket = await rt.connect(desk)

    with pytest.raises(TypeError, match="a message is text or bytes, not "):
        await socket.send(message)
    with pytest.raises(UnicodeEncodeError):
        await socket.send("\ud800")
    assert await desk.hear() == []


async def test_bytes_that_could_change_are_copied(start_awake_runtime: StartRuntime) -> None:
    rt = await start_awake_runtime(desks=Desk)
    desk, message = rt.env.desks.get_by_name("a"), bytearray(b"x")
    socket = await rt.connect(desk)

    await socket.send(message)  # type: ignore[arg-type,unused-ignore]
    message[0] = 0

    assert await desk.hear() == [b"x"]


async def test_a_message_that_is_too_big_closes_its_socket(
    start_awake_runtime: StartRuntime,
) -> None:
    rt = await start_awake_runtime(desks=Desk)
    desk = rt.env.desks.get_by_name("a")
    socket = await rt.connect(desk)

    await socket.send(b"x" * (MOST_BYTES + 1))

    why = f"a message may have {MOST_BYTES} bytes"
    assert await desk.hear() == [why, (1009, False)]
    assert socket.closed == (1009, why)
    with pytest.raises(SocketClosed):
        await socket.send("x")


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1014, 3000, 4999])
async def test_a_client_leaves_by_a_code(start_awake_runtime: StartRuntime, code: int) -> None:
    rt = await start_awake_runtime(desks=Desk)
    desk = rt.env.desks.get_by_name("a")
    socket = await rt.connect(desk)

    await socket.leave(code)

    assert await desk.hear() == [(code, True)]


@pytest.mark.parametrize(
    ("code", "reason", "why"),
    [
        (99_999, "", "no close frame has the code 99999"),
        (999, "", "no close frame has the code 999"),
        (1006, "", r"no close frame has the code 1006; vanish\(\) ends without one"),
        (2000, "", "no close frame has the code 2000"),
        (1005, "why", "no close frame has a reason without a code"),
        (1000, "x" * 124, "a close frame's reason has 123 bytes at most"),
    ],
)
async def test_what_no_close_frame_can_have_is_refused(
    start_awake_runtime: StartRuntime, code: int, reason: str, why: str
) -> None:
    rt = await start_awake_runtime(desks=Desk)
    socket = await rt.connect(rt.env.desks.get_by_name("a"))

    with pytest.raises(ValueError, match=why):
        await socket.leave(code, reason)
    assert socket.closed is None
