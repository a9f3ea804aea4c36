"""The games that can be played. Another one is a file beside these, and its name here."""

from __future__ import annotations

from typing import Any

from apps.game.domain.battleship import Battleship
from apps.game.domain.connect_four import ConnectFour
from apps.game.domain.reversi import Reversi
from apps.game.domain.rules import Rules

_ALL: tuple[Rules[Any, Any], ...] = (ConnectFour(), Reversi(), Battleship())

GAMES: dict[str, Rules[Any, Any]] = {rules.name: rules for rules in _ALL}
"""Each game's rules by the name that addresses and logs call it."""
