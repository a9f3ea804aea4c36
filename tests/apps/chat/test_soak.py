"""Exactly once, and everybody sees the same, through evictions, crashes and lost connections.

``CROWDS=500 python -m pytest tests/apps/chat/test_soak.py`` takes longer and finds more.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar, Final

import pytest

from apps.chat import store, views
from apps.chat.domain import Message
from apps.chat.objects import ChatRoom
from runtime.testing import SimulationFailed, simulate
from tests.apps.chat.crowd import Crowding
from tests.apps.chat.windows import BINDINGS

CROWDS: Final = int(os.environ.get("CROWDS", "1"))
ENOUGH: Final = 10


class ForgetfulRoom(ChatRoom):
    """Tells of a change those who are there, and not those who come back."""

    async def _change(self, before: Message, after: Message) -> Message:
        if after != before:
            store.save(self._sql, after)
            self.ctx.broadcast(views.changed_message(after, self._feed.cursor))
        return after


class CrowdingForgetfully(Crowding):
    """The same in a room that is wrong."""

    bindings: ClassVar[Any] = {**BINDINGS, "rooms": ForgetfulRoom}


@pytest.fixture(autouse=True)
def archiving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have most of what is said archived, while everything goes wrong."""
    monkeypatch.setattr(store.archive, "HOT", 10)
    monkeypatch.setattr(store.archive, "CHUNK", 5)


@pytest.mark.parametrize("seed", range(1, CROWDS + 1))
def test_fifty_people_say_everything_once_and_see_the_same(seed: int) -> None:
    simulate(Crowding, seed)


def test_a_room_that_forgets_changes_is_found_out() -> None:
    for seed in range(ENOUGH):
        try:
            simulate(CrowdingForgetfully, seed, tries=0)
        except SimulationFailed:
            return
    pytest.fail("it isn't found out")
