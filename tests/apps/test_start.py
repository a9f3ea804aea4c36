"""What keeps the site from starting, and how it says so."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


async def start(
    folder: Path, variables: dict[str, str], code: Path = ROOT
) -> tuple[int | None, str, str]:
    """Run `python -m apps` in a folder, and return its status and what it said at its end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "apps", "--port", "0"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(code), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            out, problems = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(), problems.decode()


WHERE = "[tool.runtime] in pyproject.toml"


@pytest.mark.parametrize(
    ("pyproject", "variables", "why"),
    [
        (
            "",
            {"RUNTIME_HISTORY_DAYS": "-1"},
            f"the setting history_days (RUNTIME_HISTORY_DAYS, or {WHERE}) is -1: it should be "
            "greater than or equal to 0\n",
        ),
        (
            "",
            {"RUNTIME_DATA": ""},
            f"the setting data (RUNTIME_DATA, or {WHERE}) is empty: it should name a folder\n",
        ),
        ("[tool.runtime]\nhistry_days = 3\n", {}, f"there is no setting histry_days ({WHERE}), "),
        ("[tool.runtime", {}, "pyproject.toml can't be read: Expected ']' "),
    ],
)
async def test_a_wrong_setting_is_named_in_a_sentence(
    tmp_path: Path, pyproject: str, variables: dict[str, str], why: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(pyproject)

    status, said, problems = await start(tmp_path, variables)

    assert (status, said) == (1, "")
    assert problems.startswith(f"Dormouse can't start: {why}")
    assert problems.count("\n") == 1
    assert os.listdir(tmp_path) == ["pyproject.toml"]


async def test_a_clone_without_the_browsers_scripts_says_how_to_get_them(tmp_path: Path) -> None:
    for name in ("apps", "templates"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "static", tmp_path / "static", ignore=shutil.ignore_patterns("vendor"))
    for name in ("runtime", "tutorials"):
        (tmp_path / name).symlink_to(ROOT / name)

    answer = await start(tmp_path, {}, code=tmp_path)

    missing = "static/vendor/htmx.min.js is missing: run `make assets`"
    assert answer == (1, "", f"Dormouse can't start: {missing}\n")
    assert not (tmp_path / "data").exists()
