"""The READMEs' code runs, and what they name exists."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
READMES = sorted(
    file
    for folder in (".", "runtime", "apps", "tests", "benchmarks")
    for file in (ROOT / folder).glob("README.md" if folder == "." else "**/README.md")
)
TARGET = re.compile(r"^([\w-]+):.*## ", re.MULTILINE)


def blocks(readme: Path) -> list[str]:
    """Return the Python that a README shows."""
    return re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)


@pytest.mark.parametrize("readme", READMES, ids=lambda file: file.relative_to(ROOT).as_posix())
async def test_the_python_in_a_readme_runs(readme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", module)  # where libraries look up what it names
    names: dict[str, Any] = vars(module)

    for block in blocks(readme):
        exec(compile(block, str(readme), "exec", dont_inherit=True), names)

    tests = [names[name] for name in names if name.startswith("test_")]
    for test in tests:
        await test()
    assert asyncio.get_running_loop().get_task_factory() is None


def test_the_main_readmes_python_has_the_right_types(tmp_path: Path) -> None:
    code = tmp_path / "readme.py"
    # Litestar's classes are generic in three ways that a first example needn't speak of. That is
    # said here, not to mypy: with options of its own it would read all anew, and `make types` too.
    unspoken = "# mypy: allow-any-generics"
    code.write_text("\n".join([unspoken, *blocks(ROOT / "README.md")]))

    # In a process of its own, for in this one it would change how deep calls and how rare
    # collections of garbage may be, for all tests after it.
    command = [sys.executable, "-m", "mypy", "--strict", str(code)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_main_readme_has_a_test_in_it() -> None:
    assert "async def test_" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("readme", READMES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_what_a_readme_points_to_exists(readme: Path) -> None:
    text = readme.read_text()
    links = {link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link}
    paths = {path for path in re.findall(r"`((?:[\w.]+/)+[\w.]*)`", text)}

    missing = [link for link in links if not (readme.parent / link).exists()]
    missing += [
        path for path in paths if not any((root / path).exists() for root in (ROOT, ROOT / "tests"))
    ]

    assert missing == []


def test_the_commands_of_the_readme_are_targets_of_the_makefile() -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text()))

    named = set(re.findall(r"\bmake ([\w-]+)", (ROOT / "README.md").read_text()))

    assert named <= targets
