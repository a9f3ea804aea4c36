"""The smallest thing that can go wrong: one value that several clients read and write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from runtime import DurableObject, DurableObjectState
from runtime.checkers import Operation, linearizable_register
from runtime.scenario import Client, Scenario


class Register(DurableObject[Any]):
    """Holds a value."""

    async def read(self) -> int | None:
        value: int | None = await self.ctx.storage.get("value")
        return value

    async def write(self, value: int) -> None:
        await self.ctx.storage.put("value", value)

    async def exchange(self, expected: int | None, new: int) -> bool:
        """Write `new` if it holds what is expected, and return whether it did."""
        if await self.read() != expected:
            return False
        await self.write(new)
        return True

    async def clear(self) -> None:
        """Forget the value, so that there is nothing stored."""
        await self.ctx.storage.delete_all()


class ForgetfulRegister(Register):
    """Keeps its value in memory, and stores it when there is time: after an await."""

    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        self._value = ctx.storage.kv.get("value")

    async def read(self) -> int | None:
        value: int | None = self._value
        return value

    async def write(self, value: int) -> None:
        self._value = value
        self.ctx.wait_until(self._store(value))

    async def _store(self, value: int) -> None:
        await asyncio.sleep(0.05)
        await self.ctx.storage.put("value", value)


class HastyRegister(Register):
    """Lets others in between looking and writing."""

    async def exchange(self, expected: int | None, new: int) -> bool:
        if await self.read() != expected:
            return False
        await asyncio.sleep(0.005)
        await self.write(new)
        return True


class HalfClearedRegister(Register):
    """Doesn't wait until what it forgets is forgotten."""

    async def clear(self) -> None:
        await self.ctx.storage.delete("value", allow_unconfirmed=True)


class Registering(Scenario):
    """Three clients read, write, exchange, and clear."""

    bindings: ClassVar = {"registers": Register}
    steps = 6

    async def step(self, client: Client) -> None:
        register = client.env.registers.get_by_name("a")
        value = client.random.randrange(1000)
        match client.random.randrange(4):
            case 0:
                await client.call("read", None, register.read)
            case 1:
                await client.call("write", value, lambda: register.write(value))
            case 2:
                await client.call("write", None, register.clear)
            case _:
                seen = (await client.call("read", None, register.read)).result
                expected = seen if isinstance(seen, int) else None
                await client.call(
                    "exchange", (expected, value), lambda: register.exchange(expected, value)
                )

    async def check(self, client: Client, history: Sequence[Operation]) -> None:
        await client.call("read", None, client.env.registers.get_by_name("a").read)
        linearizable_register(history)


class RegisteringForgetfully(Registering):
    """The same, where what was written may be lost."""

    bindings: ClassVar = {"registers": ForgetfulRegister}


class RegisteringHastily(Registering):
    """The same, where an exchange isn't one."""

    bindings: ClassVar = {"registers": HastyRegister}


class RegisteringInVain(Registering):
    """The same, where what was cleared may come back."""

    bindings: ClassVar = {"registers": HalfClearedRegister}


SCENARIOS: Final[tuple[Any, ...]] = (Registering,)
BROKEN: Final[tuple[Any, ...]] = (
    RegisteringForgetfully,
    RegisteringHastily,
    RegisteringInVain,
)
