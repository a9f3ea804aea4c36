"""What a match doesn't do, and why not."""

from __future__ import annotations

from typing import Any, Literal

Rule = Literal[
    "not-open",
    "seat-taken",
    "wrong-key",
    "already-seated",
    "not-a-player",
    "not-begun",
    "match-over",
    "not-over",
    "time-is-up",
    "wrong-ply",
    "not-your-turn",
    "illegal-move",
    "offer-pending",
    "offer-declined",
    "no-such-offer",
    "nothing-to-take-back",
    "already-moved",
    "cannot-unsee",
    "not-timed",
    "not-gone",
    "already-rematched",
    "too-many-open",
    "too-quick",
]


class Refused(Exception):
    """A rule forbids it, in words for whoever tried; nothing has changed.

    Attributes:
        rule: The rule, in one word for programs.
        view: The match as they see it, where they see one.
    """

    def __init__(self, rule: Rule, words: str) -> None:
        super().__init__(words)
        self.rule = rule
        self.view: Any = None
