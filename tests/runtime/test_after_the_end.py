"""What an object that has broken still tries to do, and what others try with what is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from runtime import DurableObject, Request, Response, WebSocket, errors
from runtime.testing import SocketClosed, TestRuntime
from tests.conftest import StartRuntime


class Ledger(DurableObject[object]):
    """Is told what has been done, by others."""

    async def note(self, what: str) -> None:
        await self.ctx.storage.put(what, True)

    async def noted(self) -> list[str]:
        return list(await self.ctx.storage.list())

    async def send(self, ws: WebSocket) -> None:
        ws.send("past the gate")


class Account(DurableObject[Any]):
    """Tells the ledger what it does, whatever becomes of it, and speaks to whoever listens."""

    speaks: str | None = None

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        if Account.speaks is None:
            return
        self.ctx.broadcast("from the constructor")
        if Account.speaks == "and fails":
            raise ValueError(Account.speaks)
        self.ctx.block_concurrency_while(self._begin)

    async def _begin(self) -> None:
        self.ctx.broadcast("from its section")
        await self.env.ledger.get_by_name("l").note("began")
        if Account.speaks == "and fails later":
            raise ValueError(Account.speaks)

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols(protocol="chat.v2")

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        ws.send(f"{message!r} by {ws.protocol}")

    async def pay(self) -> None:
        ledger = self.env.ledger.get_by_name("l")
        await self.ctx.storage.put("paid", True)
        try:
            await asyncio.sleep(10)
        finally:
            ledger.note("paid")
            asyncio.create_task(self._go_on())  # noqa: RUF006  # it isn't to run

    async def _go_on(self) -> None:
        await self.env.ledger.get_by_name("l").note("went on")

    async def lend_socket(self) -> None:
        await self.ctx.storage.put("written", True)
        await self.env.ledger.get_by_name("l").send(self.ctx.get_web_sockets()[0])


@pytest.fixture
async def runtime(start_awake_runtime: StartRuntime, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A runtime with an account and its ledger."""
    monkeypatch.setattr(Account, "speaks", None)
    return await start_awake_runtime(accounts=Account, ledger=Ledger)


@pytest.fixture
def account(runtime: TestRuntime[Any]) -> Any:
    """The account."""
    return runtime.env.accounts.get_by_name("a")


@pytest.fixture
def ledger(runtime: TestRuntime[Any]) -> Any:
    """The ledger."""
    return runtime.env.ledger.get_by_name("l")


@pytest.mark.parametrize("end", ["crash", "abort", "refuse"])
async def test_a_call_from_a_finally_block_of_what_was_undone_never_leaves(
    runtime: TestRuntime[Any],
    account: Any,
    ledger: Any,
    end: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if end == "refuse":
        await ledger.note("before")
        runtime.disk.fail()
    paying = account.pay()
    await runtime.settle()
    if end == "crash":
        await runtime.crash()
    elif end == "abort":
        await runtime.abort_durable_object(account)
    with pytest.raises(errors.ObjectReset):
        await paying
    runtime.disk.mend()
    await runtime.clock.advance(60)

    assert await ledger.noted() == (["before"] if end == "refuse" else [])
    assert "failed while it was dropped" not in caplog.text


async def test_a_socket_is_used_by_nobody_but_its_object(
    runtime: TestRuntime[Any], account: Any
) -> None:
    client = await runtime.connect(account)
    sockets: list[WebSocket] = []

    with pytest.raises(TypeError, match="WebSocket"):
        await account.lend_socket()
    await runtime.run_in_durable_object(
        account, lambda _, ctx: sockets.extend(ctx.get_web_sockets())
    )
    uses: tuple[Callable[[WebSocket], None], ...] = (
        lambda ws: ws.send("out"),
        lambda ws: ws.close(),
        lambda ws: ws.serialize_attachment(1),
    )
    for _ in "while it is awake", "while it sleeps":
        for use in uses:
            with pytest.raises(errors.OutsideObject):
                use(sockets[0])
        await runtime.clock.advance(60)

    assert list(client.received) == []
    assert client.closed is None


async def test_a_socket_knows_its_protocol(runtime: TestRuntime[Any], account: Any) -> None:
    client = await runtime.connect(account)

    await client.send("hello")

    assert await client.receive() == "'hello' by chat.v2"


@pytest.mark.parametrize("speaks", ["and fails", "and fails later"])
async def test_nothing_that_a_failing_constructor_sends_goes_out(
    runtime: TestRuntime[Any], account: Any, speaks: str
) -> None:
    client = await runtime.connect(account)
    await runtime.evict_durable_object(account)
    Account.speaks = speaks

    await client.send("wake up")

    with pytest.raises(SocketClosed):
        await client.receive()
    assert client.closed is not None
    assert client.closed[0] == 1012


async def test_what_a_constructor_sends_goes_out_before_all_else(
    runtime: TestRuntime[Any], account: Any, ledger: Any
) -> None:
    client = await runtime.connect(account)
    await runtime.evict_durable_object(account)
    Account.speaks = "well"

    await client.send("wake up")

    assert [await client.receive() for _ in range(3)] == [
        "from the constructor",
        "from its section",
        "'wake up' by chat.v2",
    ]
    assert await ledger.noted() == ["began"]
