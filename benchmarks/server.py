"""The server that is measured: ``python -m benchmarks.server PORT DATA``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import uvicorn
from litestar import Litestar, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from runtime import DurableObject, DurableObjectNamespace, Runtime, RuntimeConfig
from runtime.litestar import DurableObjectsPlugin


class Counter(DurableObject):
    """Keeps a number in memory, as a cache of the one on disk."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.value: int = ctx.storage.kv.get("value", 0)

    async def read(self) -> int:
        return self.value


Counters = NamedDependency[DurableObjectNamespace[Counter]]


@get("/hello")
async def hello() -> str:
    """What the server can do without an object."""
    return "hello"


@get("/counters/{name:str}")
async def read(name: FromPath[str], counters: Counters) -> str:
    """W1: one call to one object, which writes nothing."""
    return str(await counters.get_by_name(name).read())


def create_app(data: Path) -> Litestar:
    """Return the application that is measured."""
    runtime = Runtime(RuntimeConfig(data=data, idle_seconds=3600), bindings={"counters": Counter})
    return Litestar(
        [hello, read],
        plugins=[DurableObjectsPlugin(runtime)],
        openapi_config=None,
        logging_config=None,
    )


if __name__ == "__main__":
    uvicorn.run(
        create_app(Path(sys.argv[2])), port=int(sys.argv[1]), log_level="error", access_log=False
    )
