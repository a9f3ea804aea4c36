"""Waiting until nothing more happens by itself. For tests.

It looks turn by turn: any loop will do, and none of them says when it would wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from runtime.activation import Activation
from runtime.awake import causes
from runtime.clock import ManualClock, monotonic
from runtime.host import Host
from runtime.tasks import current

ROUNDS: Final = 10  # of the loop in which nothing happens, until everything counts as settled
RESTLESS_SECONDS: Final = 10.0  # of the machine's: what takes longer turns in circles
RESTLESS_TURNS: Final = 5_000  # of the loop, at least: a slow machine isn't taken for that
THREAD_SECONDS: Final = 5.0  # of the machine's, that threads of object code are waited for

log = logging.getLogger("runtime")


class Restless(RuntimeError):
    """Something never comes to rest."""


async def rest(
    host_now: Callable[[], Host], clock: ManualClock, idle_seconds: float, rounds: int = ROUNDS
) -> None:
    """Return once nothing has happened for some turns of the loop.

    Args:
        host_now: Returns the host, which is another one after a crash.
        clock: Its clock, which knows what threads do.
        idle_seconds: After how many an idle object leaves memory.
        rounds: How many turns.

    Raises:
        Restless: If that never is so.
        RuntimeError: If object code asks for it.
    """
    if current.get() is not None:
        raise RuntimeError("object code can't wait until nothing happens: it happens itself")
    calm, steps, turns, since = 0, -1, 0, monotonic()
    while calm < rounds:
        turns += 1
        if turns > RESTLESS_TURNS and monotonic() - since > RESTLESS_SECONDS:
            who = await _who_is_restless(host_now(), idle_seconds)
            raise Restless(f"something never comes to rest: {who}")
        await asyncio.sleep(0)
        host = host_now()
        is_calm = host.is_at_rest and host.steps == steps
        calm = calm + 1 if is_calm else 0
        steps = host.steps
        if calm == rounds and clock.threads:
            await _wait_for_threads(clock)
            calm = 0


async def _wait_for_threads(clock: ManualClock) -> None:
    """Wait until one of them is done. Those that take too long aren't waited for again."""
    done, slow = await asyncio.wait(
        clock.threads, timeout=THREAD_SECONDS, return_when=asyncio.FIRST_COMPLETED
    )
    if not done:
        log.warning(
            "object code has had a thread at work for %.0f s: it isn't waited for any more",
            THREAD_SECONDS,
        )
        clock.threads -= slow


async def _who_is_restless(host: Host, idle_seconds: float) -> str:
    """Say who it is, by what happens in a few more turns."""
    before = {life: life.disk.commit_count for life in host.lives()}
    for _ in range(10 * ROUNDS):
        await asyncio.sleep(0)
    lives = host.lives()
    at_work = [
        f"{_name(life)}, {'; '.join(causes(life, idle_seconds))}" for life in lives if life.tasks
    ]
    writing = [
        f"{_name(life)}, which writes again and again: does its alarm set itself for now?"
        for life in lives
        if life.disk.commit_count != before.get(life)
    ]
    return "\n".join(at_work or writing) or "a test, or a timer that sets itself for now"


def _name(life: Activation) -> str:
    return f"{life.code.cls.__name__} {life.id.name or life.id}"
