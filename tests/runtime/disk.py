"""A disk whose syncs wait until a test lets them go on."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runtime.prompt import PromptSyncer
from runtime.syncer import Syncer

PATIENCE = 20.0  # seconds, after which a test that forgot to let go fails instead of hanging


async def turns(number: int = 50) -> None:
    """Let the loop turn: long enough for whatever doesn't wait for the disk."""
    for _ in range(number):
        await asyncio.sleep(0)


class StuckDisk:
    """While it is stuck, nothing becomes durable."""

    def __init__(self) -> None:
        self._free = threading.Event()
        self._free.set()

    @contextmanager
    def stuck(self) -> Iterator[None]:
        """Hold back every sync that begins inside the block."""
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    def wait(self) -> None:
        assert self._free.wait(PATIENCE), "the test never let the disk go on"


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> StuckDisk:
    """The real disk, made to wait at will: on its threads, as the loop is to go on."""
    monkeypatch.setattr(PromptSyncer, "run", Syncer.run)
    disk = StuckDisk()
    for name in ("fsync", "fdatasync"):
        sync = getattr(os, name)

        def wait_and_sync(descriptor: int, sync: object = sync) -> None:
            disk.wait()
            sync(descriptor)  # type: ignore[operator]

        monkeypatch.setattr(os, name, wait_and_sync)
    return disk
