"""Fixtures for the modules that work on one object's database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.sql import Database
from tests.runtime.databases import Ledger


@pytest.fixture
def commits() -> Ledger:
    return Ledger()


@pytest.fixture
def database(folder: Path, commits: Ledger) -> Iterator[Database]:
    """Not open yet."""
    database = Database(folder / "object.sqlite", commits)
    yield database
    database.close(checkpoint=False)
