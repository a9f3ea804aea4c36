"""Requests that are carried out once, however often they are sent."""

from __future__ import annotations

from typing import Any

import pytest

from runtime import DurableObject, DurableObjectState, errors
from runtime.patterns.idempotency import MAX_KEY, Idempotency, KeyReused
from runtime.testing import Point, TestRuntime
from tests.conftest import StartRuntime

DAY_SECONDS = 24 * 3600


class Clerk(DurableObject[Any]):
    """Counts what it carries out."""

    migrations = ("CREATE TABLE done (what TEXT)", Idempotency.schema())

    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        self._idempotency = Idempotency(ctx)

    async def do(self, key: str, what: Any, of: str = "") -> tuple[Any, bool]:
        """Do something, once; return how much was done then, and whether that was before."""
        if saved := self._idempotency.find(key, what, of=of):
            return saved.answer, True
        if what == "nonsense":
            raise LookupError("nobody can do that")
        self._idempotency.begin(key, what, of=of)
        self.ctx.storage.sql.exec("INSERT INTO done VALUES (?)", str(what))
        answer = await self.done()
        self._idempotency.finish(key, answer, of=of)
        return answer, False

    async def start(self, key: str, what: Any) -> None:
        """Begin something that comes to no end."""
        self._idempotency.begin(key, what)

    async def look(self, key: str, what: Any) -> tuple[Any, bool] | None:
        """Return the answer, and whether there is one."""
        saved = self._idempotency.find(key, what)
        return None if saved is None else (saved.answer, saved.is_finished)

    async def done(self) -> int:
        """Return how much was done."""
        return int(self.ctx.storage.sql.exec("SELECT count(*) AS n FROM done").one()["n"])

    async def keys(self) -> int:
        """Return how many keys are remembered."""
        return int(self.ctx.storage.sql.exec("SELECT count(*) AS n FROM idempotency").one()["n"])


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with a clerk."""
    started: TestRuntime[Any] = await start_runtime(clerks=Clerk)
    return started


@pytest.fixture
def clerk(runtime: TestRuntime[Any]) -> Clerk:
    """The clerk."""
    found: Clerk = runtime.env.clerks.get_by_name("a")
    return found


async def test_the_same_key_again_gets_the_same_answer(clerk: Clerk) -> None:
    assert await clerk.do("k", {"cents": 5}) == (1, False)
    assert await clerk.do("other", {"cents": 5}) == (2, False)

    assert await clerk.do("k", {"cents": 5}) == (1, True)
    assert await clerk.done() == 2


async def test_parameters_are_the_same_in_any_order(clerk: Clerk) -> None:
    await clerk.do("k", {"cents": 5, "to": ["a", "b"]})

    assert await clerk.do("k", {"to": ["a", "b"], "cents": 5}) == (1, True)


@pytest.mark.parametrize("other", [{"cents": 6}, {"cents": "5"}, {}, None, [5]])
async def test_the_same_key_for_something_else_is_refused(clerk: Clerk, other: Any) -> None:
    await clerk.do("k", {"cents": 5})

    with pytest.raises(KeyReused, match="something else"):
        await clerk.do("k", other)
    assert await clerk.done() == 1


async def test_what_was_refused_isnt_kept(clerk: Clerk) -> None:
    with pytest.raises(LookupError):
        await clerk.do("k", "nonsense")

    assert await clerk.do("k", "sense") == (1, False)


async def test_keys_of_different_people_are_different(clerk: Clerk) -> None:
    assert await clerk.do("1k", "this", of="") == (1, False)
    assert await clerk.do("k", "that", of="1") == (2, False)
    assert await clerk.do("1k", "this", of="") == (1, True)


async def test_what_has_begun_and_not_ended_is_known(clerk: Clerk) -> None:
    assert await clerk.look("k", 1) is None

    await clerk.start("k", 1)

    assert await clerk.look("k", 1) == (None, False)


@pytest.mark.parametrize("key", ["", "x" * (MAX_KEY + 1)])
async def test_a_key_has_its_limits(clerk: Clerk, key: str) -> None:
    with pytest.raises(KeyReused, match="1 to 255 characters"):
        await clerk.do(key, 1)
    assert await clerk.do("x" * MAX_KEY, 1) == (1, False)


async def test_a_key_is_kept_for_a_day_and_not_much_longer(
    runtime: TestRuntime[Any], clerk: Clerk
) -> None:
    for number in range(25):
        await clerk.do(f"k{number}", number)
    await runtime.clock.advance(DAY_SECONDS - 60)
    assert await clerk.do("k0", 0) == (1, True)

    await runtime.clock.advance(120)
    for number in range(3):
        await clerk.do(f"new {number}", number)

    assert await clerk.keys() == 3
    assert await clerk.do("k0", 0) == (29, False)


@pytest.mark.parametrize("point", ["before_commit", "after_commit", "after_sync"])
async def test_after_a_crash_the_key_is_known_if_the_work_is(
    runtime: TestRuntime[Any], clerk: Clerk, point: Point
) -> None:
    await clerk.done()
    crash = runtime.crash_at(point)
    with pytest.raises(errors.DurableObjectError):
        await clerk.do("k", 1)
    await crash

    was_done = bool(await clerk.done())
    assert await clerk.do("k", 1) == (1, was_done)
    assert await clerk.done() == 1


async def test_a_table_has_a_name() -> None:
    with pytest.raises(ValueError, match="identifier"):
        Idempotency.schema("no name")
