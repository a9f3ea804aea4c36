"""The tests that a text has its reader run print what it quotes, and its checks check something."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import httpx
import pytest

from tests.tutorials.printed import check_printed
from tutorials.__main__ import check_of, main
from tutorials.steps import Step, Tutorial, tutorials

ROOT = Path(__file__).parents[2]
STEPS = [step for tutorial in tutorials() for step in tutorial.steps]
EXERCISES = [
    pytest.param(tutorial, each, id=f"{tutorial.folder.name}/x{each.name}")
    for tutorial in tutorials()
    for each in tutorial.exercises
]
TEST = "make try-test"
PLUGINS = [import_module(name) for name in ("pytest_asyncio.plugin", "pytest_timeout")]

pytest_plugins = ["pytester"]  # pytest in pytest

# A pytest in pytest forgets what it was the first to import.
import_module("tests.tutorials.imports")


def name(step: Step) -> str:
    """Return what a step is called in a report."""
    return f"{step.folder.parent.name}/{step.folder.name}"


def run(pytester: pytest.Pytester, *files: str) -> tuple[int, str]:
    """Run pytest as ``make try-test`` does, in this process; return its status and its output."""
    options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", "-c", str(ROOT / "pyproject.toml")]
    # Or it begins at the root of all folders, and looks at that of each test before this one.
    confined = [f"--{option}={pytester.path}" for option in ("rootdir", "confcutdir")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # of a dozen, two are needed
        result = pytester.runpytest_inprocess(*options, *confined, *files, plugins=PLUGINS)
    return int(result.ret), "\n".join(result.outlines)


def lay_out(pytester: pytest.Pytester, *folders: Path) -> None:
    """Make ``try`` of some folders, the later ones over the earlier."""
    for folder in folders:
        ignored = shutil.ignore_patterns("README.md", "__pycache__")
        shutil.copytree(folder, pytester.path / "try", dirs_exist_ok=True, ignore=ignored)


@pytest.mark.parametrize("step", [s for s in STEPS if "test_app.py" in s.files], ids=name)
def test_a_steps_tests_print_what_its_text_quotes(step: Step, pytester: pytest.Pytester) -> None:
    (quoted,) = (command.output for command in step.commands if command.line == TEST)
    lay_out(pytester, step.folder)

    _, printed = run(pytester, "try")

    check_printed(quoted, printed)


def test_what_a_text_has_typed_is_what_is_run_here() -> None:
    makefile = (ROOT / "Makefile").read_text()

    assert "\ntry-test: .venv/.dev" in makefile
    assert "\t@$(PY) -m tutorials test\n" in makefile
    assert "\t@exec $(PY) -m tutorials serve --port '$(PORT)'\n" in makefile


def test_the_command_serves_what_is_in_try(tmp_path: Path) -> None:
    shutil.copytree(STEPS[0].folder, tmp_path / "try")
    with subprocess.Popen(
        [sys.executable, "-m", "tutorials", "serve", "--port", "0"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            address = re.findall(r"http://\S+", process.stdout.readline())[0]
            assert httpx.get(address, verify=False).is_success
        finally:
            process.terminate()
    assert process.returncode == -signal.SIGTERM


def test_what_stands_in_the_way_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["tutorials", "test"])
    assert main() == 1
    assert "there is no try/ yet" in capsys.readouterr().err

    (tmp_path / "try").mkdir()
    (tmp_path / "try" / "app.py").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        monkeypatch.setattr("sys.argv", ["tutorials", "serve", "--port", port])
        assert main() == 1
    assert f"port {port} is in use" in capsys.readouterr().err
    for arguments, sentence in (
        (["serve", "--port", "99999"], "99999 is no port: they go from 0 to 65535"),
        (["check", "1", "2"], "step 2 of tutorial 1 has nothing to check; what can be checked: "),
        (["check", "1", "70"], "tutorial 1 has no step or exercise '70'; what can be checked: "),
        (["check", "", ""], "which tutorial, and which step? For example T=1 S=3"),
        (["check", "7", "1"], "there is no tutorial '7', only 1 to 5"),
    ):
        monkeypatch.setattr("sys.argv", ["tutorials", *arguments])
        assert main() == 1
        assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("tutorial", tutorials(), ids=lambda each: each.folder.name)
def test_each_step_passes_its_check_and_the_one_before_doesnt(
    tutorial: Tutorial, pytester: pytest.Pytester
) -> None:
    checks = set((tutorial.folder / "checks").glob("*.py"))
    assert checks
    for before, step in zip([None, *tutorial.steps], tutorial.steps, strict=False):
        check = check_of(tutorial, str(step.number))
        if check not in checks:
            continue
        checks.remove(check)
        assert _checks(pytester, check, [step.folder])
        if before is not None:
            assert not _checks(pytester, check, [before.folder])
    assert not checks, "these are of no step"


@pytest.mark.parametrize(("tutorial", "exercise"), EXERCISES)
def test_an_exercise_can_be_solved_and_isnt_yet(
    tutorial: Tutorial, exercise: Path, pytester: pytest.Pytester
) -> None:
    last = tutorial.steps[-1].folder
    check = check_of(tutorial, f"x{exercise.name}")

    assert not _checks(pytester, check, [last])
    assert _checks(pytester, check, [last, exercise / "solution"])


def _checks(pytester: pytest.Pytester, check: Path, folders: Sequence[Path]) -> bool:
    shutil.rmtree(pytester.path / "try", ignore_errors=True)
    lay_out(pytester, *folders)
    shutil.copy(check, pytester.path / "try" / "check_it.py")
    status, printed = run(pytester, "try/check_it.py")
    assert status in (0, 1) or "ImportError while importing" in printed, printed
    return status == 0
