"""What the chat doesn't do, in words for whoever asked."""

from __future__ import annotations


class ChatRefusal(ValueError):
    """Something that the chat doesn't do. Nothing was written."""


class Unacceptable(ChatRefusal):
    """What was given can't be what it is meant to be."""


class NotAllowed(ChatRefusal):
    """Somebody may not do that here."""


class NotThere(ChatRefusal):
    """What it is about isn't there, or isn't there for whoever asks."""


class Outdated(ChatRefusal):
    """It was meant for something that has changed meanwhile."""


class TooSoon(ChatRefusal):
    """It may be done, but not yet.

    Attributes:
        wait: After how many seconds.
    """

    def __init__(self, sentence: str, wait: float) -> None:
        super().__init__(sentence)
        self.wait = wait
