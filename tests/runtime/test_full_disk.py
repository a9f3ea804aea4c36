"""A disk that is really full: a small one, mounted for a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOUNT = 'mount -t tmpfs -o size=26m tmpfs "$1" && shift && exec "$@"'
SECONDS = 110


def with_small_disk(folder: Path, *command: str) -> list[str]:
    """Return a command that runs another with a disk of 26 MiB on a folder, which goes with it."""
    alone = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]
    return [*alone, "sh", "-c", MOUNT, "sh", str(folder), *command]


@pytest.mark.timeout(SECONDS + 10)
def test_a_full_disk_costs_nothing_that_was_acknowledged_and_ends_by_itself(
    tmp_path: Path,
) -> None:
    trial = subprocess.run(with_small_disk(tmp_path, "true"), capture_output=True, text=True)
    if trial.returncode:
        pytest.skip(f"no disk can be mounted here: {trial.stderr.strip()}")

    program = [sys.executable, "-m", "tests.runtime.full_disk", str(tmp_path)]
    result = subprocess.run(
        with_small_disk(tmp_path, *program),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "kept" in result.stdout
