"""What the pages beside the READMEs name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / name
    for name in (
        "AGENTS.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "runtime/CLOUDFLARE.md",
        "runtime/OPERATION.md",
        "tutorials/README.md",
    )
]
OF_A_NEW_PROJECT = "deploy/"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_to_exists(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    paths = re.findall(r"`((?:[\w.]+/)+[\w.]*)`", text)
    roots = (ROOT, ROOT / "runtime", ROOT / "tests" / "runtime", page.parent)

    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [
        path
        for path in paths
        if not path.startswith(OF_A_NEW_PROJECT)
        and not any((root / path).exists() or (root / f"{path}.py").exists() for root in roots)
    ]

    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_that_a_page_names_are_targets(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))

    named = re.findall(r"`make ([\w-]+)|^make ([\w-]+)", page.read_text(), re.MULTILINE)

    assert {one or other for one, other in named} <= targets
