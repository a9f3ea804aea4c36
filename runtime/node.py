"""What an object needs from the process it lives in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runtime.clock import Clock
from runtime.syncer import Syncer

if TYPE_CHECKING:
    from runtime.activation import Activation


class Node(Protocol):
    """The process, as its objects see it."""

    clock: Clock
    syncer: Syncer
    debug: bool
    vfs: str | None
    """What its databases are opened through; None for SQLite's own."""
    is_stepping: bool
    """Whether a step of any object is running: no other may begin inside it."""
    steps: int
    """How many steps have been taken."""

    def stored(self, activation: Activation) -> None:
        """The object has storage, and its alarms may differ from what the node knows."""

    def became_quiet(self, activation: Activation) -> None:
        """The object has nothing to do at the moment."""

    def broke(self, activation: Activation) -> None:
        """The object is lost. The next event needs another activation."""
