"""Letters that are written with what they tell of, and delivered: all of them, in order, once."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from runtime import AlarmInvocation, DurableObject, DurableObjectState
from runtime.patterns.letterbox import Letterbox
from runtime.patterns.outbox import Letter, Outbox
from runtime.testing import POINTS, Point, TestRuntime
from tests.conftest import StartRuntime


class Sender(DurableObject[Any]):
    """Notes something, and tells others of it."""

    migrations = ("CREATE TABLE notes (text TEXT)", Outbox.schema())

    is_down: ClassVar[bool]

    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        self._outbox = Outbox(ctx, self._deliver, attempts=3)

    async def note(self, to: str, text: str, *, fails: bool = False) -> None:
        self.ctx.storage.sql.exec("INSERT INTO notes VALUES (?)", text)
        await self._outbox.send(to, {"text": text})
        if fails:
            self.ctx.abort("on second thoughts")

    async def send_nonsense(self) -> None:
        self.ctx.storage.sql.exec("INSERT INTO notes VALUES ('beside it')")
        await self._outbox.send("a", object())

    async def notes(self) -> list[str]:
        return [row["text"] for row in self.ctx.storage.sql.exec("SELECT text FROM notes")]

    async def waiting(self) -> int:
        return self._outbox.waiting()

    async def dead(self) -> list[tuple[str, str, int, str | None]]:
        return [(each.id, each.to, each.attempts, each.failure) for each in self._outbox.dead()]

    async def revive(self, id: str) -> bool:
        return await self._outbox.revive(id)

    async def alarm(self, invocation: AlarmInvocation) -> None:
        await self._outbox.alarm(invocation)

    async def _deliver(self, letter: Letter) -> None:
        if Sender.is_down:
            raise ConnectionError("nobody is there")
        await self.env.receivers.get_by_name(letter.to).hear(letter.id, letter.body["text"])


class Receiver(DurableObject[Any]):
    """Notes what it is told."""

    migrations = (Letterbox.schema(), "CREATE TABLE heard (text TEXT)")

    refuses: ClassVar[set[str]]
    calls: ClassVar[list[str]]

    async def hear(self, id: str, text: str) -> None:
        Receiver.calls.append(text)
        if text in Receiver.refuses:
            raise ValueError("I won't hear of it")
        if Letterbox(self.ctx, remembered=3).take(id):
            self.ctx.storage.sql.exec("INSERT INTO heard VALUES (?)", text)

    async def heard(self) -> list[str]:
        return [row["text"] for row in self.ctx.storage.sql.exec("SELECT text FROM heard")]


@pytest.fixture(autouse=True)
def everybody_is_well() -> None:
    """Put back what the tests let go wrong."""
    Sender.is_down = False
    Receiver.refuses, Receiver.calls = set(), []


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with senders and receivers."""
    started: TestRuntime[Any] = await start_runtime(senders=Sender, receivers=Receiver)
    return started


@pytest.fixture
def sender(runtime: TestRuntime[Any]) -> Any:
    """Somebody with something to tell."""
    return runtime.env.senders.get_by_name("ada")


async def heard(runtime: TestRuntime[Any], name: str) -> list[str]:
    """Return what a receiver has noted."""
    texts: list[str] = await runtime.env.receivers.get_by_name(name).heard()
    return texts


async def test_letters_are_delivered_in_order(runtime: TestRuntime[Any], sender: Any) -> None:
    await asyncio.gather(*(sender.note("bob", str(number)) for number in range(30)))
    await sender.note("eve", "hello")

    await runtime.clock.advance(0)

    assert await heard(runtime, "bob") == [str(number) for number in range(30)]
    assert await heard(runtime, "eve") == ["hello"]
    assert await sender.waiting() == 0


async def test_whoever_writes_doesnt_wait_for_whoever_is_told(
    runtime: TestRuntime[Any], sender: Any
) -> None:
    Sender.is_down = True

    await sender.note("bob", "now")

    assert await sender.notes() == ["now"]
    assert await sender.waiting() == 1


async def test_a_letter_is_kept_exactly_if_what_is_beside_it_is(
    runtime: TestRuntime[Any], sender: Any
) -> None:
    with pytest.raises(Exception, match="on second thoughts"):
        await sender.note("bob", "never", fails=True)
    await runtime.clock.advance(60)

    assert await sender.notes() == []
    assert await heard(runtime, "bob") == []


async def test_what_json_cant_say_is_no_letter(runtime: TestRuntime[Any], sender: Any) -> None:
    with pytest.raises(TypeError, match="JSON"):
        await sender.send_nonsense()

    assert await sender.waiting() == 0


async def test_a_letter_is_tried_again_later_and_later(
    runtime: TestRuntime[Any], sender: Any
) -> None:
    Sender.is_down = True
    await sender.note("bob", "hello")
    await runtime.clock.advance(0)

    await runtime.clock.advance(0.9)
    Sender.is_down = False
    assert await heard(runtime, "bob") == []

    await runtime.clock.advance(0.2)
    assert await heard(runtime, "bob") == ["hello"]


async def test_one_who_refuses_holds_up_their_own_letters_only(
    runtime: TestRuntime[Any], sender: Any
) -> None:
    Receiver.refuses = {"first"}
    for to, text in (("bob", "first"), ("bob", "second"), ("eve", "hello")):
        await sender.note(to, text)
    await runtime.clock.advance(0)

    assert await heard(runtime, "eve") == ["hello"]
    assert await heard(runtime, "bob") == []

    await runtime.clock.advance(60)
    assert await heard(runtime, "bob") == ["second"]
    assert Receiver.calls.count("first") == 3


async def test_a_letter_that_was_given_up_is_kept_and_can_be_revived(
    runtime: TestRuntime[Any], sender: Any
) -> None:
    Receiver.refuses = {"hello"}
    await sender.note("bob", "hello")
    await runtime.clock.advance(60)
    [(id, to, attempts, failure)] = await sender.dead()
    assert (to, attempts, failure) == ("bob", 3, "ValueError: I won't hear of it")
    assert await sender.waiting() == 0

    Receiver.refuses = set()
    assert await sender.revive(id)
    assert not await sender.revive("another")
    await runtime.clock.advance(0)

    assert await heard(runtime, "bob") == ["hello"]
    assert await sender.dead() == []


@pytest.mark.parametrize("point", POINTS[:3])
async def test_a_letter_comes_once_whenever_the_process_dies(
    runtime: TestRuntime[Any], sender: Any, point: Point
) -> None:
    Sender.is_down = True
    await sender.note("bob", "hello")
    await runtime.clock.advance(0)
    Sender.is_down = False
    crash = runtime.crash_at(point)
    await runtime.clock.advance(60)

    assert crash.done()
    assert await heard(runtime, "bob") == ["hello"]
    assert await sender.waiting() == 0


async def test_a_letterbox_knows_the_newest_letters(
    runtime: TestRuntime[Any],
) -> None:
    bob = runtime.env.receivers.get_by_name("bob")
    for id in ("1", "2", "2", "3", "4", "2", "1"):
        await bob.hear(id, id)

    assert await bob.heard() == ["1", "2", "3", "4", "1"]


@pytest.mark.parametrize("pattern", [Outbox, Letterbox])
def test_a_table_has_an_identifier_for_its_name(pattern: Any) -> None:
    with pytest.raises(ValueError, match="identifier"):
        pattern.schema("x; DROP TABLE notes")
