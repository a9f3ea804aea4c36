"""Fixtures for the chat's objects."""

from __future__ import annotations

from typing import Any

import pytest

from apps.chat.objects import ChatRoom
from runtime.testing import TestRuntime
from tests.apps.chat.windows import BINDINGS
from tests.conftest import StartRuntime


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with rooms."""
    started: TestRuntime[Any] = await start_runtime(**BINDINGS)
    return started


@pytest.fixture
def room(runtime: TestRuntime[Any]) -> ChatRoom:
    """One of them."""
    tea: ChatRoom = runtime.env.rooms.get_by_name("tea")
    return tea
