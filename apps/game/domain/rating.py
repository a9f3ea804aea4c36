"""How strong somebody is: Glicko (Glickman, "The Glicko system", 1995), each match a period."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_Q: Final = math.log(10) / 400
LEAST_DEVIATION: Final = 45.0  # so that somebody's strength may still change
MOST_DEVIATION: Final = 350.0


@dataclass(frozen=True, slots=True)
class Rating:
    """A strength, and how sure that is: with 95 % it is within two deviations."""

    value: float = 1500.0
    deviation: float = MOST_DEVIATION

    @property
    def is_provisional(self) -> bool:
        """Whether it says little yet."""
        return self.deviation > 110

    def __str__(self) -> str:
        return f"{self.value:.0f}{'?' if self.is_provisional else ''}"

    def after(self, opponent: Rating, score: float) -> Rating:
        """Return the rating after a match.

        Args:
            opponent: As it was when the match began.
            score: 1 for a win, 0.5 for a draw, 0 for a loss.
        """
        g = 1 / math.sqrt(1 + 3 * (_Q * opponent.deviation / math.pi) ** 2)
        expected = 1 / (1 + 10 ** (-g * (self.value - opponent.value) / 400))
        certainty = (_Q * g) ** 2 * expected * (1 - expected) + 1 / self.deviation**2
        value = self.value + _Q / certainty * g * (score - expected)
        deviation = math.sqrt(1 / certainty)
        return Rating(value, min(MOST_DEVIATION, max(LEAST_DEVIATION, deviation)))
