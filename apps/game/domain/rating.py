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

    def after(self, *games: tuple[Rating, float]) -> Rating:
        """Return the rating after some games.

        Args:
            games: The opponent of each, as they were before, and the score: 1 for a win, 0.5 for
                a draw, 0 for a loss.
        """
        gain, information = 0.0, 1 / self.deviation**2
        for opponent, score in games:
            g = 1 / math.sqrt(1 + 3 * (_Q * opponent.deviation / math.pi) ** 2)
            expected = 1 / (1 + 10 ** (-g * (self.value - opponent.value) / 400))
            gain += g * (score - expected)
            information += (_Q * g) ** 2 * expected * (1 - expected)
        deviation = min(MOST_DEVIATION, max(LEAST_DEVIATION, 1 / math.sqrt(information)))
        return Rating(self.value + _Q / information * gain, deviation)
