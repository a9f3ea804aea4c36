"""What an object needs from the process it lives in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runtime.clock import Clock
from runtime.guard import Guard
from runtime.histories import Histories
from runtime.journal import Journal
from runtime.persistence import Alarms
from runtime.reuse import Handlers
from runtime.syncer import Syncer

if TYPE_CHECKING:
    from runtime.activation import Activation


class Node(Protocol):
    """The process, as its objects see it."""

    clock: Clock
    syncer: Syncer
    journal: Journal
    histories: Histories
    handlers: Handlers
    debug: bool
    vfs: str | None
    """What its databases are opened through; None for SQLite's own."""
    statement_seconds: float
    """How long an SQL statement of an object's code may run."""
    is_draining: bool
    """Whether the process stops."""
    is_stepping: bool
    """Whether a step of any object is running: no other may begin inside it."""
    steps: int
    """How many steps have been taken."""

    def alarms_set(self, activation: Activation, alarms: Alarms) -> None:
        """The object has set or unset alarms. It may not be durable yet, so there may be fewer."""

    def stored(self, activation: Activation, alarms: Alarms) -> None:
        """The object has storage, durably, and these alarms."""

    def settled(self, activation: Activation, *, before: int) -> None:
        """The object's database holds all that it wrote to segments of the journal `before`."""

    def guard_of(self, activation: Activation) -> Guard | None:
        """Return who watches the object for mistakes of its author; nobody does in production."""

    def woke(self, activation: Activation) -> None:
        """The object is in memory, until it is found to have been idle."""

    def broke(self, activation: Activation, *, is_told: bool) -> None:
        """The object is lost. The next event needs another activation.

        Args:
            is_told: Whether the node knows its alarms, and that it has storage.
        """
