"""What a new project is made of: a counter, or an app of the clone, and all that stands around it.

The files of the counter, and of what every project has, are in `project`: as they will be, but
for words between ``@@``. The apps are copied as they are; they are in a clone, beside the runtime.
"""

from __future__ import annotations

import json
import re
import secrets
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from runtime.errors import ProjectRefused

RUNTIME: Final = Path(__file__).parent
CLONE: Final = RUNTIME.parent
TEMPLATES: Final = RUNTIME / "project"
NOTE: Final = ".dormouse.json"
"""What a project was made from, and its runtime's files as they were then."""

HOMES: Final = {"chat": "/chat", "game": "/game", "booking": "/booking"}
KINDS: Final = ("counter", *HOMES)
_KEPT: Final = (".ci/python", "requirements.lock", "requirements-dev.lock")
_OF_ALL_APPS: Final = ("templates/front.html",)  # there is nothing to choose from in a project
_CALLED_FOR: Final = re.compile(r"^from tests\.(\w+) import", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants a project to be."""

    kind: str
    """One of `KINDS`."""
    name: str
    """Of the project; of its package too, where the code isn't copied from an app."""
    domain: str = "example.org"
    """Where it will be reached, for the reverse proxy's configuration."""

    @property
    def package(self) -> str:
        """The package that its code is in. What is copied from the apps keeps its imports."""
        return "apps" if self.kind in HOMES else self.name


def files_of(wish: Wish) -> dict[str, bytes]:
    """Return all files of a new project, by their paths in it.

    Raises:
        ProjectRefused: If the runtime isn't in a clone, or the clone lacks what is wanted.
    """
    missing = [path for path in (*_KEPT, "pyproject.toml") if not (CLONE / path).is_file()]
    if missing:
        raise ProjectRefused(
            f"projects are made from a clone of Dormouse, and {CLONE} has no {missing[0]}"
        )
    files = {path: (CLONE / path).read_bytes() for path in _KEPT}
    files |= runtime_files()
    words = _words(wish)
    part = "app" if wish.kind in HOMES else wish.kind
    for folder in (TEMPLATES / "base", TEMPLATES / part):
        files |= {path: text.encode() for path, text in _filled(folder, words)}
    if wish.kind in HOMES:
        files |= _copied(wish.kind, taken=files.keys())
    files[NOTE] = note(wish, files)
    return dict(sorted(files.items()))


def runtime_files(project: Path = CLONE) -> dict[str, bytes]:
    """Return the files of a project's runtime, by their paths in it; by default of this one."""
    return {
        file.relative_to(project).as_posix(): file.read_bytes()
        for file in sorted((project / "runtime").rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }


def note(wish: Wish, files: dict[str, bytes]) -> bytes:
    """Return what a project says of itself."""
    content = {
        "made_from": wish.kind,
        "name": wish.name,
        "package": wish.package,
        "runtime": digests(
            {path: file for path, file in files.items() if path.startswith("runtime/")}
        ),
    }
    return written(content)


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return what a note says of files."""
    return {path: sha256(content).hexdigest() for path, content in files.items()}


def written(content: dict[str, Any]) -> bytes:
    """Return a note as it is in its file."""
    return (json.dumps(content, indent=1) + "\n").encode()


def filled(template: str, words: dict[str, str]) -> str:
    """Return a template with its words put in, and the imports that one of them is in sorted."""
    text = re.sub(r"@@(\w+)@@", lambda match: words[match[1]], template)
    own = rf"(?:^from (?:{re.escape(words['package'])}|runtime)\b[.\w]* import [^(\n]+\n)+"
    return re.sub(own, lambda match: _in_order(match[0]), text, flags=re.MULTILINE)


def _in_order(imports: str) -> str:
    return "".join(sorted(imports.splitlines(keepends=True), key=lambda line: line.split()[1]))


def _words(wish: Wish) -> dict[str, str]:
    project = tomllib.loads((CLONE / "pyproject.toml").read_text())["project"]
    is_copied = wish.kind in HOMES
    about = "" if is_copied else "# Who has it may set counters back to 0.\nADMIN_TOKEN="
    return {
        "kind": wish.kind,
        "name": wish.name,
        "package": wish.package,
        "domain": wish.domain,
        "app": "apps.site" if is_copied else f"{wish.name}.app",
        "home": HOMES.get(wish.kind, "/"),
        "dependencies": _lines(project["dependencies"]),
        "dev_dependencies": _lines(project["optional-dependencies"]["dev"]),
        "secrets_example": about or "# The key that signs people's names is in the data folder.",
        "secrets": about and f"ADMIN_TOKEN={secrets.token_urlsafe(24)}",
    }


def _lines(requirements: list[str]) -> str:
    return "\n".join(f"    {json.dumps(requirement)}," for requirement in requirements)


def _filled(folder: Path, words: dict[str, str]) -> Iterator[tuple[str, str]]:
    for file in folder.rglob("*.tmpl"):
        path = file.relative_to(folder).as_posix().removesuffix(".tmpl")
        path = re.sub(r"^package/", f"{words['package']}/", path)
        yield filled(path, words), filled(file.read_text(), words)


def _copied(kind: str, taken: Iterable[str]) -> dict[str, bytes]:
    """Return an app with its pages and tests, and what it shares with the others."""
    if not (CLONE / "apps" / kind / "app.py").is_file():
        raise ProjectRefused(f"there is no apps/{kind} beside this runtime: use a whole clone")
    if not (CLONE / "static" / "vendor").is_dir():
        raise ProjectRefused("static/vendor isn't there yet: run `make assets` first")
    found = [
        *(CLONE / "apps").glob("*.py"),
        *(CLONE / "templates").glob("*.html"),
        *(CLONE / "static").glob("*.*"),
        *(CLONE / "static" / "vendor").glob("*"),
        *(CLONE / "tests" / "apps").glob("__init__.py"),
        CLONE / "tests" / "conftest.py",
    ]
    for part in ("apps", "templates", "static", "tests/apps"):
        found += (CLONE / part / kind).rglob("*")
    for test in (CLONE / "tests" / "apps" / kind).rglob("*.py"):
        found += [CLONE / "tests" / f"{name}.py" for name in _CALLED_FOR.findall(test.read_text())]
    return {
        path: file.read_bytes()
        for file in found
        if file.is_file() and "__pycache__" not in file.parts
        if (path := file.relative_to(CLONE).as_posix()) not in (*taken, *_OF_ALL_APPS)
    }
