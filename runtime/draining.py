"""Stopping a node: time for what is under way, the last words, and everything closed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

from runtime.catalog import Key
from runtime.connection import SERVICE_RESTART, Connection, Traffic
from runtime.errors import ObjectReset
from runtime.evictions import STOPPING, Evictions
from runtime.resident import Resident

# A dozen things may have to end; to look for that is simpler than as many signals.
SHORTEST_POLL_SECONDS: Final = 0.0002
LONGEST_POLL_SECONDS: Final = 0.005
CLOSE_SECONDS: Final = 30.0  # that the disk has for closing each object
FAREWELL_SECONDS: Final = 5.0  # for what was sent to leave for clients that are slow to take it

log = logging.getLogger("runtime")


class Stopping(Protocol):
    """The host, which lets nothing new begin any more."""

    traffic: Traffic

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is under way: no handler either."""

    def forget_if_idle(self, resident: Resident) -> None:
        """Let go of an object that is asleep and has no socket."""


async def drain(
    host: Stopping, residents: Mapping[Key, Resident], evictions: Evictions, seconds: float
) -> None:
    """Close everything. Sockets close with 1012, which makes clients come back.

    Args:
        residents: What is in memory; those that are closed leave it.
        seconds: How long handlers that are under way may go on. Then they are broken off.
    """
    await _until(lambda: host.is_quiet, seconds)
    connections: list[Connection] = []
    for resident in list(residents.values()):
        connections += resident.sockets.disconnect(SERVICE_RESTART, STOPPING)
        if resident.life is None:
            host.forget_if_idle(resident)
        elif resident.life.is_quiet and resident.life.failure is None:
            evictions.evict(resident)
        else:  # one that is broken already waits for what it has lost to be undone
            resident.life.break_off(ObjectReset(STOPPING))  # it may have acted
    while residents and await _until(partial(_are_fewer, residents, len(residents)), CLOSE_SECONDS):
        pass  # one after another, each has its time
    for resident in residents.values():
        log.error("the disk doesn't let %s be closed; the next start mends it", resident.key.hex)
        if resident.life is not None:
            resident.life.abandon()
    pump = host.traffic.pump
    await _until(
        lambda: pump.is_idle and all(there.is_flushed for there in connections), FAREWELL_SECONDS
    )


def _are_fewer(residents: Mapping[Key, Resident], before: int) -> bool:
    return len(residents) < before


async def _until(is_so: Callable[[], bool], seconds: float) -> bool:
    """Return as soon as something is so, or after some time; and whether it is."""
    pause = SHORTEST_POLL_SECONDS
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not is_so():
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_POLL_SECONDS)
    return is_so()
