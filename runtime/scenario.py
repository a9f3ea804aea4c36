"""What a simulated run is made of: what clients do, over a network that loses things.

How it is run is told in `simulation`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any, ClassVar, Final, Literal, Protocol, get_args

from runtime.clock import Clock
from runtime.errors import DurableObjectError, ObjectReset, Overloaded, ShuttingDown
from runtime.loopback import ClientSocket, connect
from runtime.operations import Operation

Kind = Literal[
    "evict", "reset", "crash", "crash at", "power cut", "slow disk", "broken disk", "drop"
]
"""What can go wrong: `chaos` says what each means."""
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

NETWORK_SECONDS: Final = 0.005  # each way, on average
LOSS: Final = 0.03  # the share of calls that don't arrive, and of answers
PATIENCE_SECONDS: Final = 0.02  # of a client that doesn't wait for an answer, on average
LOSS_SECONDS: Final = 0.1  # until a client gives up waiting for one


class World(Protocol):
    """What a run is, to its clients."""

    history: list[Operation]

    @property
    def clock(self) -> Clock:
        """What time goes by."""

    @property
    def env(self) -> Any:
        """The namespaces."""

    @property
    def now(self) -> float:
        """Seconds since it began."""


class Scenario(ABC):
    """What clients do to objects, and what must hold in the end. To be derived from.

    Each run makes one of its own, so it may keep in ``self`` what clients remember.

    Attributes:
        bindings: As for `Runtime`.
        env: As for `Runtime`.
        clients: How many there are, at most 26.
        steps: How many each of them takes.
        faults: How many things go wrong, on average.
        kinds: Which; all by default. With some of them left out, more may be expected: sockets
            that stay open, for instance.
        refusals: The errors by which objects say no. Nothing was done then.
    """

    bindings: ClassVar[Mapping[str, type]]
    env: ClassVar[Callable[..., Any]] = SimpleNamespace
    clients: ClassVar[int] = 3
    steps: ClassVar[int] = 8
    faults: ClassVar[int] = 3
    kinds: ClassVar[Sequence[Kind]] = KINDS
    refusals: ClassVar[tuple[type[Exception], ...]] = ()

    async def begin(self, client: Client) -> None:  # noqa: B027  # most have no need of it
        """Prepare what the clients need, before anything goes wrong."""

    @abstractmethod
    async def step(self, client: Client) -> None:
        """Let a client do one thing. What it does must come from `client.random` alone."""

    @abstractmethod
    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        """Look at what is there in the end, when all goes well again, and at what was seen.

        Raises:
            Violation: If something is wrong; `checkers` do.
        """


class Client:
    """Somebody who calls objects over a network that loses things.

    Attributes:
        name: A letter.
        env: The namespaces.
        random: Its own numbers in this step, whatever the others do.
        sockets: The open ones, oldest first. What has arrived is in ``received`` of each.
    """

    def __init__(
        self, name: str, scenario: Scenario, world: World, *, is_spared: bool = False
    ) -> None:
        """Args:
        name: What it is called.
        scenario: What it acts in.
        world: Where.
        is_spared: Whether its network loses nothing.
        """
        self.name = name
        self.env = world.env
        self.random = Random(name)
        self.sockets: list[ClientSocket] = []
        self._refusals: tuple[type[Exception], ...] = (*scenario.refusals, Overloaded)
        self._world = world
        self._is_spared = is_spared

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._world.clock.call_later(seconds, partial(_end, over))
        await over

    async def call(
        self, action: str, value: Any, function: Callable[[], Awaitable[Any]]
    ) -> Operation:
        """Call an object, and put that into the history.

        Args:
            action: What kind of thing it is, for checkers.
            value: With what; something that can be hashed.
            function: Makes the call: ``lambda: room.post(person, id, text)``.

        Returns:
            What has come of it. Its `outcome` is ``"ok"``, and its ``result`` what was returned;
            or ``"refused"``, with the error, and nothing was done; or ``"unknown"``: the call or
            its answer was lost, or the object was reset meanwhile. Then a client may try again,
            as it would in life.
        """
        world = self._world
        history = world.history
        number = len(history)
        history.append(Operation(self.name, action, value, world.now))
        try:
            await self._travel()
            result = await self._patiently(function)
            await self._travel()
        except self._refusals as error:
            done: dict[str, Any] = {"outcome": "refused", "result": error, "returned_at": world.now}
        except (ConnectionError, ObjectReset, ShuttingDown) as error:
            done = {"result": error}
        except DurableObjectError as error:
            if not error.retryable:
                raise
            done = {"result": error}
        else:
            done = {"outcome": "ok", "result": result, "returned_at": world.now}
        operation = history[number] = replace(history[number], **done)
        return operation

    async def connect(
        self, stub: Any, url: str = "/", *, headers: Mapping[str, str] | None = None
    ) -> ClientSocket | None:
        """Open a WebSocket to an object; None if that doesn't succeed.

        Raises:
            HandshakeRefused: If the object answers anything but 101.
        """
        try:
            await self._travel()
            socket = await connect(stub, url, headers, _do_nothing)
        except (ConnectionError, DurableObjectError):
            return None
        self.sockets.append(socket)
        return socket

    async def _patiently(self, function: Callable[[], Awaitable[Any]]) -> Any:
        """Await an answer; now and then not for long. What was asked for goes on then."""
        if self._is_spared or self.random.random() >= LOSS:
            return await function()
        answer = asyncio.ensure_future(function())
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda _: _end(over))
        answer.add_done_callback(_let_go)
        seconds = self.random.expovariate(1 / PATIENCE_SECONDS)
        self._world.clock.call_later(seconds, partial(_end, over))
        await over
        if not answer.done():
            raise ConnectionError("gave up waiting")
        return answer.result()

    async def _travel(self) -> None:
        if self._is_spared:
            return
        await self.sleep(self.random.expovariate(1 / NETWORK_SECONDS))
        if self.random.random() < LOSS:
            await self.sleep(LOSS_SECONDS)
            raise ConnectionError("lost on the way")


def _end(pause: asyncio.Future[None]) -> None:
    if not pause.done():
        pause.set_result(None)


def _let_go(answer: asyncio.Future[Any]) -> None:
    """Hear of what nobody waits for."""
    if not answer.cancelled():
        answer.exception()


async def _do_nothing() -> None:
    """What a client does sets nothing going but what the driver waits for."""
