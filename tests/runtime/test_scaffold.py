"""``python -m runtime new``, ``add`` and ``update``, as far as no project has to run for it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import runtime
from runtime import pieces, scaffold, updating
from runtime.errors import ProjectRefused
from runtime.pieces import PIECES
from runtime.starters import HOMES, NOTE, RUNTIME, Wish, note, runtime_files

ROOT = Path(runtime.__file__).parents[1]
WISH = Wish("counter", "tally")


def command(
    *arguments: str, cwd: Path, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m runtime`` of the clone in a folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | ({"PATH": path} if path else {})
    return subprocess.run(
        [sys.executable, "-m", "runtime", *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a counter."""
    scaffold.make(tmp_path / "tally", WISH)
    return tmp_path / "tally"


def test_a_project_has_the_runtime_unchanged_and_nothing_left_to_fill_in(project: Path) -> None:
    theirs = {file.relative_to(RUNTIME) for file in RUNTIME.rglob("*") if file.is_file()}
    ours = {
        file.relative_to(project / "runtime")
        for file in (project / "runtime").rglob("*")
        if file.is_file()
    }
    own = [
        file
        for file in project.rglob("*")
        if file.is_file() and not {".git", "runtime"} & set(file.relative_to(project).parts)
    ]

    assert ours == {file for file in theirs if "__pycache__" not in file.parts}
    assert all((project / "runtime" / f).read_bytes() == (RUNTIME / f).read_bytes() for f in ours)
    assert [file for file in own if b"@@" in file.read_bytes() and file.name != NOTE] == []


def test_a_project_needs_what_the_clone_needs(project: Path) -> None:
    theirs, ours = (
        tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        for folder in (ROOT, project)
    )

    assert ours["dependencies"] == theirs["dependencies"]
    assert ours["optional-dependencies"] == theirs["optional-dependencies"]
    assert (project / "requirements.lock").read_bytes() == (ROOT / "requirements.lock").read_bytes()


def test_each_project_has_a_secret_of_its_own_that_git_doesnt_see(
    project: Path, tmp_path: Path
) -> None:
    scaffold.make(tmp_path / "other", Wish("counter", "other"))
    secrets = [(folder / ".env").read_text() for folder in (project, tmp_path / "other")]
    known = subprocess.check_output(["git", "ls-files"], cwd=project, text=True).splitlines()

    assert secrets[0] != secrets[1]
    assert stat.S_IMODE((project / ".env").stat().st_mode) == 0o600
    assert ".env.example" in known
    assert ".env" not in known


def test_its_scripts_can_be_run(project: Path) -> None:
    for script in (".ci/python", "deploy/backup.sh"):
        assert os.access(project / script, os.X_OK)
        subprocess.run(["sh", "-n", script], cwd=project, check=True)
    assert subprocess.run(["make", "help"], cwd=project, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (Wish("counter", "two words"), "can't name a package"),
        (Wish("counter", "class"), "can't name a package"),
        (Wish("counter", "Tally"), "can't name a package"),
        (Wish("counter", "json"), "a package 'json' already"),
        (Wish("counter", "litestar"), "a package 'litestar' already"),
        (Wish("counter", "runtime"), "a package 'runtime' already"),
        (Wish("blog", "tally"), "no 'blog' to begin from, only counter, chat, game, booking"),
        (Wish("counter", "tally", "no domain"), "is no domain"),
    ],
)
def test_what_cant_be_made_is_a_sentence_and_leaves_nothing(
    wish: Wish, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ProjectRefused, match=sentence):
        scaffold.make(tmp_path / "tally", wish)

    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "tally").mkdir()

    told = command("new", "tally", "--yes", cwd=tmp_path)

    assert told.returncode == 1
    assert told.stderr == ("No project was made: tally exists already; nothing is written over\n")
    assert list((tmp_path / "tally").iterdir()) == []


def test_without_git_nothing_is_made(tmp_path: Path) -> None:
    told = command("new", "tally", "--yes", cwd=tmp_path, path=str(tmp_path))

    assert told.stderr == "No project was made: git isn't there: install it, and try again\n"
    assert list(tmp_path.iterdir()) == []


def test_a_git_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").write_text("#!/bin/sh\necho 'fatal: no' >&2\nexit 128\n")
    (tmp_path / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    with pytest.raises(ProjectRefused, match="git refuses: fatal: no"):
        scaffold.make(tmp_path / "tally", WISH)

    assert [file.name for file in tmp_path.iterdir()] == ["bin"]


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        (
            "sys.version_info = (3, 10, 14)",
            "Dormouse needs Python 3.11 or newer, and this is Python 3.10\n",
        ),
        (
            "sys.path = [path for path in sys.path if 'site-packages' not in path]",
            "this Python lacks Dormouse's packages: use .venv/bin/python, which `make run` makes\n",
        ),
    ],
    ids=["old", "bare"],
)
def test_a_python_that_wont_do_gets_a_sentence(before: str, sentence: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", f"import sys; {before}; import runtime"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (told.stderr, told.returncode) == (sentence, 1)


def test_a_dry_run_lists_and_writes_nothing(tmp_path: Path) -> None:
    told = command("new", "tally", "--dry-run", cwd=tmp_path)

    assert "tally/objects.py" in told.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", PIECES)
def test_a_piece_is_code_a_test_and_where_to_read_more(kind: str, project: Path) -> None:
    added = pieces.add(project, kind, "PaperShelf")

    assert [file.relative_to(project).as_posix() for file in added.files] == [
        "tally/paper_shelf.py",
        "tests/test_paper_shelf.py",
    ]
    assert not any("@@" in file.read_text() for file in added.files)
    assert added.bindings[0] == '"paper_shelves": PaperShelf'
    assert "bindings=" in added.wiring.read_text()
    for place in added.more.split(", "):
        assert (ROOT / place).exists(), place


@pytest.mark.parametrize("kind", HOMES)
def test_in_an_app_the_bindings_are_the_apps(kind: str, tmp_path: Path) -> None:
    scaffold.make(tmp_path / "mine", Wish(kind, "mine"))

    assert "bindings=" in pieces.add(tmp_path / "mine", "object").wiring.read_text()


@pytest.mark.parametrize(
    ("name", "many"),
    [
        ("Lobby", "lobbies"),
        ("Day", "days"),
        ("Shelf", "shelves"),
        ("Wolf", "wolves"),
        ("Box", "boxes"),
        ("News", "news"),
    ],
)
def test_a_binding_is_named_by_many(name: str, many: str, project: Path) -> None:
    assert pieces.add(project, "presence", name).bindings[0] == f'"{many}": {name}'


@pytest.mark.parametrize(
    ("kind", "name", "sentence"),
    [
        ("cow", None, "no 'cow' to add, only object, alarm"),
        ("object", "no-class", "can't name a class"),
        ("object", "None", "can't name a class"),
        ("object", "Pass", "pass.py, which Python can't import"),
        ("object", "Objects", "objects.py exists already"),
        ("object", "Any", "a name that its code or its test has for something else: .* Shelf"),
        ("object", "Runtime", "for something else"),
        ("object", "TestShelf", "for something else"),
        ("object", "Tests", "for something else"),
        ("feed", "Feed", "for something else: choose another, such as Board"),
        ("outbox", "Letter", "for something else"),
        ("idempotency", "Idempotency", "for something else"),
    ],
)
def test_what_cant_be_added_is_a_sentence(
    kind: str, name: str | None, sentence: str, project: Path
) -> None:
    before = sorted(project.rglob("*"))

    with pytest.raises(ProjectRefused, match=sentence):
        pieces.add(project, kind, name)

    assert sorted(project.rglob("*")) == before


def test_what_is_added_by_half_is_taken_back(project: Path) -> None:
    shutil.rmtree(project / "tests")
    (project / "tests").touch()
    before = sorted(project.rglob("*"))

    with pytest.raises(ProjectRefused, match="can't be written"):
        pieces.add(project, "object")

    assert sorted(project.rglob("*")) == before


def test_elsewhere_nothing_is_added(tmp_path: Path) -> None:
    with pytest.raises(ProjectRefused, match="no project made by"):
        pieces.add(tmp_path, "object")


def test_an_update_shows_what_would_change_and_does_it_when_told(project: Path) -> None:
    _age(project)

    shown = command("update", str(project), cwd=project.parent)
    assert "-# as it was last year\n" in shown.stdout
    assert "+++ /dev/null\n" in shown.stdout
    assert (project / "runtime" / "gone.py").exists()

    done = command("update", str(project), "--yes", cwd=project.parent)
    assert "2 files of" in done.stdout
    assert not updating.compare(project).changed
    assert not (project / "runtime" / "gone.py").exists()
    assert "already" in command("update", str(project), cwd=project.parent).stdout


def test_the_shown_diff_is_one_that_git_takes(project: Path) -> None:
    _age(project)
    diff = command("update", str(project), cwd=project.parent).stdout

    subprocess.run(["git", "apply", "-"], input=diff, text=True, cwd=project, check=True)

    assert not updating.compare(project).changed


def test_an_update_doesnt_lose_what_was_changed_in_the_project(project: Path) -> None:
    (project / "runtime" / "tags.py").write_text("# mine\n")

    with pytest.raises(ProjectRefused, match=r"runtime/tags\.py was changed in this project"):
        updating.apply(updating.compare(project))

    assert (project / "runtime" / "tags.py").read_text() == "# mine\n"
    assert {file.name for file in project.iterdir() if file.name.startswith(".runtime")} == set()


def _age(project: Path) -> None:
    """Make a project's runtime an older one: it has a file more, and a line less."""
    (project / "runtime" / "gone.py").write_text("# as it was last year\n")
    tags = project / "runtime" / "tags.py"
    tags.write_text(tags.read_text().replace("once", "twice"))
    (project / NOTE).write_bytes(note(WISH, runtime_files(project)))
