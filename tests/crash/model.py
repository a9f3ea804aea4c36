"""What an object may hold after a crash, by what was heard of it before.

An object's life is a list of steps, each of which has effects that happen together. Which of them
are durable nobody knows, but some must be: whatever was answered, read, or told to others. So
after a crash an object holds the effects of its first so many steps, and no fewer than that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Effect = Sequence[Any]
"""``("row", token, size)``, ``("key", key, token or None)``, ``("alarm", name, when or None)``,
or ``("clear",)``."""


class Lie(Exception):
    """An object doesn't hold what it has said, or holds what it never said."""


@dataclass(frozen=True, slots=True)
class State:
    """What an object holds."""

    rows: tuple[tuple[str, int], ...] = ()
    """A token, and the size of what was written beside it."""
    keys: Mapping[str, str] = field(default_factory=dict)
    alarms: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, rows: Sequence[Sequence[Any]], keys: Any, alarms: Any) -> State:
        """Return what an object has said of itself."""
        return cls(tuple((token, size) for token, size in rows), keys, alarms)

    def after(self, effects: Sequence[Effect]) -> State:
        """Return what an object holds after a step."""
        state = self
        for kind, *details in effects:
            match kind, details:
                case "row", [token, size]:
                    state = replace(state, rows=(*state.rows, (token, size)))
                case "key", [key, value]:
                    state = replace(state, keys=_with(state.keys, key, value))
                case "alarm", [name, when]:
                    state = replace(state, alarms=_with(state.alarms, name, when))
                case "clear", []:
                    state = State()
                case _:
                    raise ValueError(f"no effect: {kind} {details}")
        return state


def _with(mapping: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    changed = {**mapping, key: value}
    if value is None:
        del changed[key]
    return changed


class History:
    """One object through many crashes.

    Attributes:
        steps: What it has done in this life, in order.
    """

    def __init__(self) -> None:
        self.steps: list[Sequence[Effect]] = []
        self._at_start = [State()]  # any of them
        self._shown = 0

    @property
    def is_known(self) -> bool:
        """Whether there is just one state that it can be in."""
        return len(self._at_start) == 1 and not self.steps

    def ran(self, effects: Sequence[Effect]) -> None:
        """It takes a step."""
        self.steps.append(effects)

    def shown(self, position: int) -> None:
        """Somebody has heard of its first so many steps: these are durable."""
        self._shown = max(self._shown, position)

    def found(self, position: int, state: State) -> None:
        """Somebody has read what it holds after so many steps.

        Raises:
            Lie: If that can't be.
        """
        self.shown(position)
        possible = [start for start in self._at_start if self._state(start, position) == state]
        if not possible:
            started = [self._state(start, position) for start in self._at_start]
            raise Lie(
                f"after {position} steps of this life: {self.steps[:position]}\n"
                f"   found: {state}\npossible: " + "\n       or: ".join(map(str, started))
            )
        self._at_start = possible

    def crashed(self) -> None:
        """Its process was killed. What was shown must be there, the steps behind it may be."""
        ends = []
        for state in self._at_start:
            for number, effects in enumerate([(), *self.steps]):
                state = state.after(effects)
                if number >= self._shown and state not in ends:
                    ends.append(state)
        self._at_start, self.steps, self._shown = ends, [], 0

    def stopped(self) -> None:
        """Its process has ended properly: everything is there."""
        self.shown(len(self.steps))
        self.crashed()

    def _state(self, start: State, position: int) -> State:
        for effects in self.steps[:position]:
            start = start.after(effects)
        return start
