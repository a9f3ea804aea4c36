"""What the runtime notes about an object in the object's own database."""

from __future__ import annotations

import pytest

from runtime.errors import StorageError
from runtime.metadata import Metadata
from runtime.sql import Database
from runtime.tables import is_empty
from tests.runtime.databases import Ledger

ID = "aa" * 32
SEATS = "CREATE TABLE seats (number INTEGER PRIMARY KEY)"


@pytest.mark.parametrize("name", ["gala é😀", "", None])
def test_a_name_that_was_kept_is_recalled_by_the_next_life(
    database: Database, name: str | None
) -> None:
    metadata = Metadata(database)
    assert metadata.recall(ID) is None
    assert not metadata.is_kept

    metadata.keep(ID, name)
    database.commit()
    assert metadata.is_kept
    database.close(checkpoint=True)

    again = Metadata(database)
    assert again.recall(ID) == name
    assert again.is_kept


def test_the_database_of_another_object_is_refused(database: Database) -> None:
    Metadata(database).keep(ID, "gala")
    database.commit()

    with pytest.raises(StorageError, match=f"is the database of another object, {ID}"):
        Metadata(database).recall("bb" * 32)


def test_notes_are_kept_with_whatever_else_is_written(database: Database, commits: Ledger) -> None:
    database.write(SEATS)
    Metadata(database).keep(ID, "gala")

    database.rollback()

    assert Metadata(database).recall(ID) is None
    assert commits.heard == ["begun", "undone"]


def test_notes_alone_are_no_content(database: Database) -> None:
    Metadata(database).keep(ID, "gala")
    database.commit()

    assert is_empty(database)


def test_a_restoration_is_planned_for_the_next_life_or_cancelled(database: Database) -> None:
    metadata = Metadata(database)
    metadata.plan_restoration(123)
    metadata.recall(ID)
    assert metadata.restore_to == 123

    metadata.cancel_restoration()

    assert metadata.restore_to is None
    metadata.recall(ID)
    assert metadata.restore_to is None
