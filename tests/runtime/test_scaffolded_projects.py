"""New projects are green at once: with everything that can be added, and with each app.

That they serve, and what their pages show, is in `tests/browser/test_scaffolds.py`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import pieces, scaffold
from runtime.pieces import PIECES
from runtime.starters import HOMES, Wish

IS_THOROUGH = "SCAFFOLDS" in os.environ  # `make scaffolds`: their types, and all tests of the apps
PYTEST = ("pytest", "-q", "-p", "no:cacheprovider")
# To find and import all plugins takes longer than most tests, and these are the two in use.
PLUGINS = ("--disable-plugin-autoload", "-p", "pytest_asyncio.plugin", "-p", "pytest_timeout")

SAMPLE = '''"""The first test of each file. All of them have run in the clone."""


def pytest_collection_modifyitems(items):
    items[:] = {item.path: item for item in reversed(items)}.values()
'''


def check(project: Path, *command: str) -> str:
    """Run a Python command in a project, which has to succeed."""
    environment = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
    environment["PYTHONPATH"] = str(project.parent)  # where `SAMPLE` is
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def missing_modules(project: Path) -> set[str]:
    """Return the modules that a project's own files import, and that aren't in it."""
    named = {
        name
        for part in ("apps", "tests")
        for file in (project / part).rglob("*.py")
        for name in re.findall(r"^from ((?:apps|tests)\.[\w.]+) import", file.read_text(), re.M)
    }
    places = {name: project / name.replace(".", "/") for name in named}
    return {
        name
        for name, place in places.items()
        if not (place.is_dir() or place.with_suffix(".py").is_file())
    }


def test_a_counter_with_every_piece_is_green_at_once(tmp_path: Path) -> None:
    project = tmp_path / "tally"
    scaffold.make(project, Wish("counter", "tally"))
    for kind in PIECES:
        pieces.add(project, kind)

    check(project, "ruff", "check", "--no-cache")
    check(project, "ruff", "format", "--check", "--no-cache")
    if IS_THOROUGH:
        check(project, "mypy", "--cache-dir", str(tmp_path))
    assert " passed" in check(project, *PYTEST, *([] if IS_THOROUGH else PLUGINS))


@pytest.mark.parametrize("kind", HOMES)
def test_an_app_is_green_in_a_project_of_its_own(kind: str, tmp_path: Path) -> None:
    project = tmp_path / "mine"
    scaffold.make(project, Wish(kind, "mine"))
    for piece in PIECES:
        pieces.add(project, piece)

    assert missing_modules(project) == set()
    check(project, "ruff", "check", "--no-cache")
    check(project, "ruff", "format", "--check", "--no-cache")
    if IS_THOROUGH:
        check(project, "mypy", "--cache-dir", str(tmp_path))
        check(project, *PYTEST)
        return
    (tmp_path / "sample.py").write_text(SAMPLE)
    files = list((project / "tests").rglob("test_*.py"))
    printed = check(project, *PYTEST, *PLUGINS, "-p", "sample")
    assert f"{len(files)} passed" in printed
