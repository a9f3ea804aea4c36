"""The servers that are measured, each in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import resource
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import psutil

PATIENCE_SECONDS = 20  # until a server answers
CORES = sorted(os.sched_getaffinity(0))  # before this process has given any away


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs."""

    port: int
    pid: int

    def memory(self) -> int:
        """Return how many bytes of memory it takes: its proportional set size."""
        return int(psutil.Process(self.pid).memory_full_info().pss)

    def cpu_seconds(self) -> float:
        """Return how long it has kept a core busy, all its threads together."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    async def get(self, path: str) -> str:
        """Ask for something, on a connection of its own, and return the answer's body."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
        assert head.startswith(b"HTTP/1.1 200"), head.decode()
        return body.decode()


class Effort:
    """How busy this process is, which makes the load: not so much that the load limits us."""

    def __init__(self) -> None:
        self.most = 0.0
        """The largest share of one core in any of the measurements."""
        self._began = self._cpu = 0.0

    def begin(self) -> None:
        """Begin to measure."""
        self._began, self._cpu = perf_counter(), process_time()

    def end(self) -> float:
        """Return how many seconds it was since the beginning."""
        elapsed = perf_counter() - self._began
        self.most = max(self.most, (process_time() - self._cpu) / elapsed)
        return elapsed


@contextlib.asynccontextmanager
async def serving(
    module: str, *options: str, data: str | os.PathLike[str] | None = None
) -> AsyncIterator[Server]:
    """Run a server: ``python -m MODULE PORT DATA OPTIONS``.

    Args:
        data: The folder it gets, which stays; by default one that is deleted in the end.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    with contextlib.ExitStack() as stack:
        folder = data or stack.enter_context(tempfile.TemporaryDirectory())
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, str(port), str(Path(folder)), *options)
        )
        try:
            keep_apart(process.pid)
            await _reachable(port, process)
            yield Server(port, process.pid)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            os.sched_setaffinity(0, CORES)


def keep_apart(server: int) -> None:
    """Give the server one core, and us the others, where there is more than one."""
    if len(CORES) > 1:
        os.sched_setaffinity(server, CORES[:1])
        os.sched_setaffinity(0, CORES[1:])


def raise_file_limit(needed: int = 0) -> None:
    """Take as many open files as there may be: each socket is one, on both sides.

    Raises:
        SystemExit: If that is less than `needed`.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # then it stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= now < needed:  # unlimited is less than 0
        raise SystemExit(f"this takes {needed:,} open files, and the system allows {now:,}")


def give_back() -> None:
    """Collect garbage, and give memory back that the allocator keeps for later.

    How much of that there is depends on what there was to do, not on what is there now.
    """
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # it isn't glibc's
        ctypes.CDLL(None).malloc_trim(0)


async def _reachable(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                assert process.returncode is None, "the server didn't start"
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
