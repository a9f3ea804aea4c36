"""``make try``, in a process that can be killed: a fork of one that has imported all beforehand."""

from __future__ import annotations

import asyncio
import os
import sys
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from tutorials.__main__ import main

_FORKS: Final = get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, "tests.tutorials.imports"])


class Fork:
    """A server that is starting or running.

    Args:
        folder: Where its ``try/`` is.
        port: 0 for any that is free.
        environment: Its variables; those of whoever forked first would be inherited.
    """

    def __init__(self, folder: Path, port: str, environment: dict[str, str]) -> None:
        self._said, theirs = _FORKS.Pipe(duplex=False)
        self._process = _FORKS.Process(target=_serve, args=(folder, port, environment, theirs))
        self._process.start()
        theirs.close()

    async def says(self) -> str:
        """Return the first line that it prints, once it does."""
        return await asyncio.to_thread(self._first_line)

    def _first_line(self) -> str:
        with open(self._said.fileno(), closefd=False) as said:
            return said.readline()

    async def stop(self) -> None:
        """Have it end, if it hasn't."""
        self._process.terminate()
        await self.ends()

    async def ends(self) -> None:
        """Return once it has ended."""
        await asyncio.to_thread(self._process.join)
        self._said.close()


def _serve(folder: Path, port: str, environment: dict[str, str], said: Connection) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["tutorials", "serve", "--port", port]
    sys.stdout = open(said.fileno(), "w", closefd=False)  # noqa: SIM115  # as long as it lives
    sys.exit(main())
