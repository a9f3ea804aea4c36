"""Programs that can be killed, each a fork of a process that has imported all beforehand.

To import what serves a page takes longer than most that is then done with it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

_FORKS: Final = get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, "apps.__main__", "tests.tutorials.imports"])


class Fork:
    """A program that is starting or running.

    Args:
        program: What it does; returns its exit status.
        arguments: What it finds behind its name.
        folder: Where it runs.
        environment: Its variables; those of whoever forked first would be inherited.
        log: Where its stderr goes, if not to that of the tests.
    """

    def __init__(
        self,
        program: Callable[[], int],
        arguments: list[str],
        *,
        folder: Path,
        environment: dict[str, str],
        log: Path | None = None,
    ) -> None:
        self._said, theirs = _FORKS.Pipe(duplex=False)
        self._process = _FORKS.Process(
            target=_run, args=(program, arguments, folder, environment, log, theirs)
        )
        self._process.start()
        theirs.close()

    async def says(self) -> str:
        """Return the first line that it prints, once it does."""
        return await asyncio.to_thread(self._first_line)

    def _first_line(self) -> str:
        with open(self._said.fileno(), closefd=False) as said:
            return said.readline()

    async def stop(self) -> None:
        """End it with SIGTERM, if it hasn't ended, and return once it has."""
        self._process.terminate()
        await self.ends()

    async def ends(self) -> None:
        """Return once it has ended."""
        await asyncio.to_thread(self._process.join)
        self._said.close()

    def kill(self) -> None:
        """End it with SIGKILL, if it hasn't ended."""
        self._process.kill()
        self._process.join()
        self._said.close()


def _run(
    program: Callable[[], int],
    arguments: list[str],
    folder: Path,
    environment: dict[str, str],
    log: Path | None,
    said: Connection,
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [program.__module__, *arguments]
    sys.stdout = open(said.fileno(), "w", closefd=False)  # noqa: SIM115  # as long as it lives
    if log is not None:
        with log.open("a") as errors:
            os.dup2(errors.fileno(), 2)
    sys.exit(program())
