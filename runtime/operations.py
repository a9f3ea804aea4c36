"""What clients have asked for and seen, and how it is said that this can't be. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["ok", "refused", "unknown"]
"""What a client knows: it was done, it wasn't, or neither."""


class Violation(AssertionError):
    """What must hold doesn't."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What one client has asked for, and what came of it."""

    client: str
    action: str
    """What kind of thing: ``post``, for instance."""
    value: Any
    """With what."""
    called_at: float
    """In seconds since the simulation began."""
    returned_at: float = math.inf
    """Infinite as long as the client hasn't heard, or has heard only that it can't know."""
    outcome: Outcome = "unknown"
    result: Any = None
    """What was returned, or the error."""

    def __str__(self) -> str:
        asked = f"{self.client}: {self.action} {self.value!r}"
        if self.outcome == "unknown":
            return f"{asked} -> nobody knows ({self.result!r})"
        return f"{asked} -> {'' if self.outcome == 'ok' else 'refused, '}{self.result!r}"


History = Sequence[Operation]


def told(what: str, operations: Iterable[Operation]) -> str:
    """Return a sentence, and the operations that it speaks of, each on a line."""
    return "\n".join([f"{what}:", *(f"    {operation}" for operation in operations)])
