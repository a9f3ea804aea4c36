"""What can be seen of an object from outside."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from runtime import DurableObject, Glimpse, Request, Response, Runtime, RuntimeConfig
from runtime.testing import TestRuntime
from tests.conftest import StartRuntime
from tests.runtime.disk import StuckDisk, disk, turns

__all__ = ["disk"]  # a fixture

ASLEEP = Glimpse(is_awake=False, sockets=0, commits=0, waiting=0, held_back=0)


class Shop(DurableObject[Any]):
    """Counts what is sold, and shuts now and then."""

    opens: ClassVar[asyncio.Event]

    async def fetch(self, request: Request) -> Response:
        assert request.web_socket is not None
        self.ctx.accept_web_socket(request.web_socket)
        return Response.switching_protocols()

    async def sell(self) -> int:
        count = int(self.ctx.storage.kv.get("sold") or 0) + 1
        self.ctx.storage.kv.put("sold", count)
        return count

    async def shut(self) -> None:
        await self.ctx.block_concurrency_while(Shop.opens.wait)


async def test_an_object_asleep_is_seen_without_being_woken(
    start_awake_runtime: StartRuntime,
) -> None:
    rt: TestRuntime[Any] = await start_awake_runtime(shops=Shop)
    shop = rt.env.shops.get_by_name("a")

    assert rt.glimpse(shop) == ASLEEP
    assert rt.glimpse(shop) == ASLEEP


async def test_sockets_and_commits_are_counted(start_awake_runtime: StartRuntime) -> None:
    rt: TestRuntime[Any] = await start_awake_runtime(shops=Shop)
    shop = rt.env.shops.get_by_name("a")
    await rt.connect(shop, "/")
    await shop.sell()
    await shop.sell()

    glimpse = rt.glimpse(shop)

    assert (glimpse.is_awake, glimpse.sockets) == (True, 1)
    assert glimpse.commits >= 2


async def test_what_waits_at_its_gate_is_counted(start_awake_runtime: StartRuntime) -> None:
    rt: TestRuntime[Any] = await start_awake_runtime(shops=Shop)
    shop = rt.env.shops.get_by_name("a")
    Shop.opens = asyncio.Event()
    shutting = asyncio.ensure_future(shop.shut())
    selling = [asyncio.ensure_future(shop.sell()) for _ in range(3)]
    await rt.settle()

    waiting = rt.glimpse(shop).waiting
    Shop.opens.set()
    await asyncio.gather(shutting, *selling)

    assert (waiting, rt.glimpse(shop).waiting) == (3, 0)


async def test_what_waits_for_the_disk_is_counted(tmp_path: Path, disk: StuckDisk) -> None:
    config = RuntimeConfig(data=tmp_path)
    async with Runtime(config, bindings={"shops": Shop}, env=SimpleNamespace) as runtime:
        shop = runtime.env.shops.get_by_name("a")
        await shop.sell()
        with disk.stuck():
            selling = asyncio.ensure_future(shop.sell())
            await turns()
            held = runtime.glimpse(shop).held_back
        await selling

        assert (held, runtime.glimpse(shop).held_back) == (1, 0)


async def test_an_eviction_leaves_the_sockets(start_awake_runtime: StartRuntime) -> None:
    rt: TestRuntime[Any] = await start_awake_runtime(shops=Shop)
    shop = rt.env.shops.get_by_name("a")
    await rt.connect(shop, "/")
    await shop.sell()
    await rt.settle()

    assert rt.evict(shop)
    assert not rt.evict(shop)  # it has gone

    glimpse = rt.glimpse(shop)
    assert (glimpse.is_awake, glimpse.sockets) == (False, 1)
    assert await shop.sell() == 2


async def test_an_object_that_is_busy_isnt_evicted(start_awake_runtime: StartRuntime) -> None:
    rt: TestRuntime[Any] = await start_awake_runtime(shops=Shop)
    shop = rt.env.shops.get_by_name("a")
    Shop.opens = asyncio.Event()
    shutting = asyncio.ensure_future(shop.shut())
    await rt.settle()

    assert not rt.evict(shop)

    Shop.opens.set()
    await shutting


async def test_only_development_evicts(tmp_path: Path) -> None:
    async with Runtime(RuntimeConfig(data=tmp_path), bindings={"shops": Shop}) as runtime:
        with pytest.raises(RuntimeError, match="needs `debug`"):
            runtime.evict(runtime.env.shops.get_by_name("a"))


async def test_only_stubs_are_looked_at(start_awake_runtime: StartRuntime) -> None:
    rt: TestRuntime[Any] = await start_awake_runtime(shops=Shop)

    with pytest.raises(TypeError, match="expected a stub"):
        rt.glimpse("a")
