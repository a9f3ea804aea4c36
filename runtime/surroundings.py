"""What an object's storage is surrounded by: the object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from runtime.clock import Clock

T = TypeVar("T")


class Surroundings(Protocol):
    """What an object's storage needs from the object around it."""

    def check(self) -> None:
        """Raise unless the object's own code is running, and the object is whole."""

    @property
    def clock(self) -> Clock:
        """What alarms are set by."""

    def has_alarm_handler(self) -> bool:
        """Whether alarms may be set."""

    def exclusively(self, work: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        """Run `work` as a critical section whose failure is the caller's to handle."""

    def emptied(self) -> None:
        """The database has just become empty: no alarms, no schema."""

    def durable(self) -> Awaitable[None]:
        """Commit, and return once everything written so far is durable."""
