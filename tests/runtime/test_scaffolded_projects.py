"""New projects are green at once, and serve: with everything that can be added, and each app."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from runtime import pieces, scaffold
from runtime.pieces import PIECES
from runtime.starters import HOMES, Wish

ROOT = Path(__file__).parents[2]
APPS = [kind for kind in HOMES if (ROOT / "apps" / kind / "app.py").is_file()]
IS_THOROUGH = "SCAFFOLDS" in os.environ  # `make scaffolds`: their types, and all tests of the apps


def check(project: Path, *command: str) -> str:
    """Run a Python command in a project, which has to succeed."""
    environment = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
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


@contextmanager
def served(project: Path, package: str) -> Iterator[str]:
    """Serve a project, and give its address."""
    command = [sys.executable, "-m", package, "--port", "0"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield re.findall(r"http://\S+", process.stdout.readline())[0]
        finally:
            process.terminate()
            process.wait()


def test_a_counter_with_every_piece_is_green_at_once_and_serves(tmp_path: Path) -> None:
    project = tmp_path / "tally"
    scaffold.make(project, Wish("counter", "tally"))
    for kind in PIECES:
        pieces.add(project, kind)

    check(project, "ruff", "check", "--no-cache")
    check(project, "ruff", "format", "--check", "--no-cache")
    if IS_THOROUGH:
        check(project, "mypy", "--cache-dir", str(tmp_path))
    assert " passed" in check(project, "pytest", "-q", "-p", "no:cacheprovider")
    with served(project, "tally") as url:
        httpx.post(f"{url}/visitors/add")
        page = httpx.get(url, follow_redirects=True)
    assert ">1</p>" in page.text


@pytest.mark.parametrize("kind", APPS)
def test_an_app_is_green_in_a_project_of_its_own_and_serves(kind: str, tmp_path: Path) -> None:
    project = tmp_path / "mine"
    scaffold.make(project, Wish(kind, "mine"))

    assert missing_modules(project) == set()
    if IS_THOROUGH:
        check(project, "ruff", "check", "--no-cache")
        check(project, "mypy", "--cache-dir", str(tmp_path))
        check(project, "pytest", "-q", "-p", "no:cacheprovider")
    with served(project, "apps") as url:
        page = httpx.get(url, follow_redirects=True)
    assert page.status_code == 200
    assert page.url.path.startswith(HOMES[kind])
