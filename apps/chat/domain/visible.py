"""What of a text can be seen."""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]"
    r"|[\U000e0100-\U000e01ef]"
)
# Marks inside a word that change how its letters are joined: Persian names need them, and emoji.
_JOINERS = "\u200c\u200d"
# Control characters, what only says how others are shown, and blanks.
_NEVER_SEEN = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")


def shows_nothing(character: str) -> bool:
    """Whether it is one of the letters and marks that show as nothing."""
    return _INVISIBLE.match(character) is not None


def is_readable(character: str) -> bool:
    """Whether it is no control character, no mark that turns text around, no half of a letter."""
    return character in _JOINERS or unicodedata.category(character) not in ("Cc", "Cf", "Cs")


def is_visible(text: str) -> bool:
    """Whether anything of a text can be seen."""
    return any(
        unicodedata.category(character) not in _NEVER_SEEN and not shows_nothing(character)
        for character in text
    )
