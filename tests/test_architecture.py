"""What holds for the code as a whole, read off the code itself."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import runtime

ROOT = Path(__file__).parent.parent
RUNTIME = ROOT / "runtime"
PATTERNS = sorted(set(RUNTIME.glob("patterns/*.py")) - {RUNTIME / "patterns" / "__init__.py"})
APPS = sorted({path.parent for path in ROOT.glob("apps/*/domain*") if path.stem == "domain"})

ORDER = re.findall(r"^\| `(\w+)` \|", (RUNTIME / "README.md").read_text(), re.MULTILINE)
APP_ORDER = {
    "domain": set[str](),
    "events": {"domain"},
    "store": {"domain", "events"},
    "views": {"domain", "events"},
    "objects": {"domain", "events", "store", "views"},
    "routes": {"domain", "events", "objects", "views"},
    "app": {"objects", "routes"},
}
MOST_LINES = 350
MOST_LINES_OF_A_PATTERN = 170
DOORS = {
    "apsw": {"sql"},
    "aiosqlite": {"catalog"},
    "litestar": {"litestar"},
    "pytest": {"fixtures"},
    "uvicorn": {"uvicorn_ws"},
    "watchfiles": {"reloading"},
    "websockets": {"frames"},
}
READS_THE_TIME = re.compile(
    r"\btime\.(time|monotonic|perf_counter)\w*\(|\b(datetime|date)\.(now|utcnow|today)\("
)
BROAD = {"runtime/events.py", "runtime/litestar.py", "runtime/tasks.py"}


@cache  # they are asked for again and again, and stay as they are
def imports(file: Path, *, at_run_time: bool = True) -> tuple[str, ...]:
    """Return the modules that a file imports, with their packages."""
    return tuple(_imports(ast.parse(file.read_text()), at_run_time))


def _imports(tree: ast.Module, at_run_time: bool) -> Iterator[str]:
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if at_run_time and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped.update(ast.walk(node))
        if node in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def files_of(app: Path, module: str) -> list[Path]:
    """Return the file of an app's module, or its files where it has several nouns."""
    file = app / f"{module}.py"
    return [file] if file.exists() else sorted((app / module).glob("*.py"))


def names_of(file: Path) -> set[str]:
    """Return a module of the runtime and its public names, with their packages."""
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    body = ast.parse(file.read_text()).body
    names = {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    return {module} | {f"{module}.{name}" for name in names if not name.startswith("_")}


def python_files(*folders: str) -> list[Path]:
    """Return the Python files of some folders."""
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def test_every_module_of_the_runtime_is_in_its_readme() -> None:
    modules = {file.stem for file in RUNTIME.glob("*.py")} - {"__init__"}

    assert set(ORDER) == modules


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_what_stands_above_it(module: str) -> None:
    above = set(ORDER[: ORDER.index(module)])

    imported = {
        name.split(".")[1]
        for name in imports(RUNTIME / f"{module}.py")
        if name.startswith("runtime.")
    }

    assert imported & set(ORDER) <= above


@pytest.mark.parametrize("library", DOORS)
def test_i11_a_library_has_one_door(library: str) -> None:
    users = {
        file.stem
        for file in RUNTIME.rglob("*.py")
        for name in imports(file)
        if name.split(".")[0] == library
    }

    assert users == DOORS[library]


def test_i12_only_the_clock_reads_the_time() -> None:
    readers = {
        file.relative_to(ROOT).as_posix()
        for file in python_files("runtime", "apps")
        if READS_THE_TIME.search(file.read_text())
    }

    assert readers == {"runtime/clock.py"}


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_an_apps_files_import_only_what_stands_below_them(app: Path) -> None:
    prefix = f"apps.{app.name}."
    for module, allowed in APP_ORDER.items():
        files = files_of(app, module)
        assert files, module
        names = [name for file in files for name in imports(file)]
        siblings = {
            name.removeprefix(prefix).split(".")[0] for name in names if name.startswith(prefix)
        }
        assert siblings & set(APP_ORDER) <= allowed | {module}, module
        assert "litestar" not in {name.split(".")[0] for name in names} or module in (
            "routes",
            "app",
        )
        others = {other.name for other in APPS} - {app.name}
        assert not any(name.startswith(f"apps.{other}.") for name in names for other in others)


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_an_apps_rules_import_nothing_but_the_standard_library(app: Path) -> None:
    own = f"apps.{app.name}.domain"
    names = {name for file in files_of(app, "domain") for name in imports(file)}
    packages = {name.split(".")[0] for name in names if not f"{name}.".startswith(f"{own}.")}

    assert packages <= sys.stdlib_module_names - {"asyncio", "random", "time"}


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_apps_use_only_the_public_names_of_the_runtime(app: Path) -> None:
    public = {f"runtime.{name}" for name in runtime.__all__}
    public |= {"runtime", "runtime.litestar", "runtime.litestar.forward"}
    public |= {"runtime.litestar.DurableObjectsPlugin"}
    public |= {name for file in PATTERNS for name in names_of(file)}

    used = {
        name
        for file in app.rglob("*.py")
        # What proves something on a page, in a process of its own, is a test.
        if file.parent.name != "proof"
        for name in imports(file)
        if name.startswith("runtime")
    }

    assert used <= public


@pytest.mark.parametrize("file", PATTERNS, ids=lambda file: file.stem)
def test_a_pattern_can_be_copied_as_it_is(file: Path) -> None:
    public = {"runtime"} | {f"runtime.{name}" for name in runtime.__all__}

    foreign = {
        name
        for name in imports(file)
        if name not in public and name.split(".")[0] not in sys.stdlib_module_names
    }

    assert foreign == set()
    assert len(file.read_text().splitlines()) <= MOST_LINES_OF_A_PATTERN
    assert f"\n## `{file.stem}`" in (file.parent / "README.md").read_text()


@pytest.mark.parametrize(
    "file", python_files("runtime", "apps"), ids=lambda file: file.relative_to(ROOT).as_posix()
)
def test_a_file_fits_in_a_readers_head(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= MOST_LINES


def test_broad_excepts_stand_only_at_the_boundaries() -> None:
    found = {
        file.relative_to(ROOT).as_posix()
        for file in python_files("runtime", "apps")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and node.type is not None
        and ast.unparse(node.type) in ("Exception", "BaseException")
        and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
    }

    # A thread's end is a boundary as well; and an error that is copied runs code of its own.
    # So does the copying of a callback's result.
    assert found <= BROAD | {"runtime/syncer.py", "runtime/wire.py", "runtime/references.py"}


@pytest.mark.parametrize("file", [RUNTIME / "__init__.py"], ids=["runtime"])
def test_public_names_say_what_they_are(file: Path) -> None:
    undocumented = [
        name for name in runtime.__all__ if not (getattr(runtime, name).__doc__ or "").strip()
    ]

    assert undocumented == []
