"""What can be seen of an object from outside, without waking it."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.resident import Resident


@dataclass(frozen=True, slots=True)
class Glimpse:
    """An object as it is at this moment."""

    is_awake: bool
    """Whether it is in memory."""
    sockets: int
    """How many WebSockets it has; they stay while it sleeps."""
    commits: int
    """How often it has written since it woke."""
    waiting: int
    """How many events wait for their turn: at its input gate, or for its next life."""
    held_back: int
    """How many messages and answers its output gate holds back, until its writes are on disk."""


ASLEEP = Glimpse(is_awake=False, sockets=0, commits=0, waiting=0, held_back=0)


def glimpse_of(resident: Resident | None) -> Glimpse:
    """Return how an object is; None is one of which the process holds nothing."""
    if resident is None:
        return ASLEEP
    life, sockets, waiting = resident.life, len(resident.sockets), len(resident.waiting)
    if life is None:
        return Glimpse(False, sockets, 0, waiting, 0)
    queued = waiting + life.input.queued
    return Glimpse(True, sockets, life.disk.commits.count, queued, life.output.held_back)
