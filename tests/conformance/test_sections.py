"""Every behaviour of the list has its test, and the table of them is up to date."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.conformance.sections import (
    README,
    ROOT,
    SECTIONS,
    behaviours,
    files_of,
    ids_of,
    readme,
)

REFERENCE = ROOT.parent / "shared" / "reference"  # beside a working copy, not in a clone


def lines_of(name: str) -> str:
    """Return a page of the reference, if it is there."""
    page: Path = REFERENCE / name
    if not page.exists():
        pytest.skip("the reference isn't beside this clone")
    return page.read_text()


def test_each_behaviour_belongs_to_one_section() -> None:
    counts = Counter(id for section in SECTIONS for id in ids_of(section))

    assert [id for id, count in counts.items() if count > 1] == []


def test_each_behaviour_has_a_test_or_a_reason_for_having_none() -> None:
    assert set(behaviours()) == {id for section in SECTIONS for id in ids_of(section)}
    assert [
        id for id, found in behaviours().items() if found.is_left_out == bool(found.tests)
    ] == []


def test_the_files_that_are_named_exist() -> None:
    files = {file for section in SECTIONS for file in files_of(section)}

    assert [file for file in sorted(files) if not (ROOT / "tests" / file).exists()] == []


def test_no_behaviour_of_the_list_is_forgotten() -> None:
    listed = set(re.findall(r"^- \*\*([A-K]\d\d)", lines_of("conformance.md"), re.MULTILINE))

    assert listed == {id for section in SECTIONS for id in ids_of(section)}


def test_no_section_of_the_reference_is_forgotten() -> None:
    headings = re.findall(
        r"^##(?:#)? (\d+(?:\.\d+)?)\.? ", lines_of("durable-objects.md"), re.MULTILINE
    )
    named = {section.split()[0] for section in SECTIONS}
    covered = named | {number.partition(".")[0] for number in named}

    assert [number for number in headings if number not in covered] == []


def test_the_table_is_up_to_date() -> None:
    assert README.read_text() == readme(), "renew it with `python -m tests.conformance`"
