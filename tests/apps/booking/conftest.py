"""An event to sell, in a world of its own."""

from __future__ import annotations

from typing import Any

import pytest

from apps.booking.app import APP
from apps.booking.domain.hold import Reference
from apps.booking.domain.house import House, Person, Tier
from apps.booking.domain.sale import Sale
from apps.booking.objects.event import Event
from runtime.testing import TestRuntime
from tests.conftest import StartRuntime

ADA, BOB, EVE = Person("a", "Ada"), Person("b", "Bob"), Person("e", "Eve")
OWNER = Person("o", "Olga")
DAY = 24 * 3600.0


def house(**facts: Any) -> House:
    """Return an event with three rows of five seats, for 5.00 each, in 30 days."""
    tiers = (Tier("Standard", 0, 2, 500),)
    return House("gala", "Gala", 3, 5, OWNER, starts_at=0.0, tiers=tiers, **facts)


def ref(sale: Sale) -> Reference:
    """Return what a hold is known by."""
    return Reference.read(sale.id)


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with all of booking's objects."""
    started: TestRuntime[Any] = await start_runtime(**APP.bindings)
    return started


@pytest.fixture
async def event(runtime: TestRuntime[Any]) -> Event:
    """The gala."""
    gala: Event = runtime.env.events.get_by_name("gala")
    await gala.open(house())
    return gala
