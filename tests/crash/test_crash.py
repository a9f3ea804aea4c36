"""``kill -9`` at any moment: nothing that was said is lost, and nothing that is lost was said.

`make soak` does the same for as long as one likes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.crash.sabotage import LIES

# Debugging makes asyncio so slow that hardly anything is under way when the process is killed.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONASYNCIODEBUG"}
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
PATIENCE_SECONDS = 280


def chain(folder: Path, seed: int, lives: int, *more: str) -> subprocess.Popen[str]:
    """Start a chain of lives, each of which ends by a kill."""
    command = [sys.executable, "-W", "error", "-m", "tests.crash.chain", str(folder)]
    command += ["--seed", str(seed), "--lives", str(lives), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True)


def said(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Return what a chain has to say, once it has ended."""
    try:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.timeout(300)  # half a minute, where nothing else runs
def test_nobody_heard_of_anything_that_two_hundred_kills_have_undone(tmp_path: Path) -> None:
    """Two chains side by side: on the disk, and in memory, where a sync takes no time."""
    with TemporaryDirectory(prefix="dormouse-", dir=MEMORY) as memory:
        chains = [chain(tmp_path, 1, 90), chain(Path(memory), 2, 110)]
        reports = [said(process) for process in chains]

    for report, process in zip(reports, chains, strict=True):
        assert process.returncode == 0, report[-1:]
    lives = [life for report in reports for life in report]
    ends = Counter(life["end"] for life in lives)
    assert ends.total() - ends["in peace"] == 200
    assert min(ends["at work"], ends["while starting"], ends["while stopping"]) > 10, ends
    assert sum(life["shown"] for life in lives) > 5000


@pytest.mark.parametrize("lie", LIES)
def test_a_runtime_that_lies_is_found_out(tmp_path: Path, lie: str) -> None:
    """Without this the test above would prove nothing."""
    process = chain(tmp_path, 2, 12 if lie != "forget_alarms" else 5, "--lie", lie)
    *_, last = said(process)

    assert process.returncode == 1
    assert "lie" in last, "it went on till the end"
