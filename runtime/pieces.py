"""``python -m runtime add``: an object of a kind, with its test, in a project."""

from __future__ import annotations

import ast
import keyword
import re
from pathlib import Path
from typing import Final, NamedTuple

from runtime.errors import ProjectRefused
from runtime.scaffold import write_new
from runtime.starters import HOMES, TEMPLATES, filled
from runtime.updating import read_note

_CLASS: Final = re.compile(r"[A-Z][A-Za-z0-9]{0,29}")


class Piece(NamedTuple):
    """What one of `PIECES` needs, and where there is more to read."""

    called: str
    """Its class, unless it is given another name."""
    imported: tuple[str, ...]
    """What its test needs of its module, beside the class; ``{}`` is that."""
    more: str
    """Where it is explained."""


PIECES: Final = {
    "object": Piece("Shelf", (), "tutorials/01-counter"),
    "alarm": Piece("Reminder", (), "tutorials/03-match"),
    "presence": Piece("Lobby", (), "tutorials/02-chat, runtime/patterns/README.md"),
    "feed": Piece("Board", (), "tutorials/02-chat, runtime/patterns/README.md"),
    "outbox": Piece("Shop", ("{}Ledger",), "tutorials/04-selling, runtime/patterns/README.md"),
    "rate-limit": Piece("Guestbook", (), "runtime/patterns/README.md"),
    "idempotency": Piece("Till", (), "tutorials/04-selling, runtime/patterns/README.md"),
}


class Added(NamedTuple):
    """What was written, and what there is to do next."""

    files: tuple[Path, ...]
    wiring: Path
    """Where the application's bindings are."""
    bindings: tuple[str, ...]
    """Lines for them."""
    imported: str
    """The import that they need."""
    more: str


def add(project: Path, kind: str, name: str | None = None) -> Added:
    """Write an object's code and its test into a project.

    Raises:
        ProjectRefused: If there is no such kind, the name is no class's, a file of that name is
            there, or the folder is no project. Nothing was written.
    """
    if kind not in PIECES:
        raise ProjectRefused(f"there is no {kind!r} to add, only {', '.join(PIECES)}")
    piece = PIECES[kind]
    cls = name or piece.called
    if not _CLASS.fullmatch(cls) or keyword.iskeyword(cls):
        raise ProjectRefused(
            f"{cls!r} can't name a class: use 1 to 30 letters and digits, a capital first, such "
            f"as {piece.called}"
        )
    note = read_note(project)
    package, origin = note["package"], note["made_from"]
    thing = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls).lower()
    if keyword.iskeyword(thing):
        raise ProjectRefused(f"{cls!r} would be in {thing}.py, which Python can't import")
    module = f"{package}.{thing}"
    imported = [cls, *(each.format(cls) for each in piece.imported)]
    words = {"Class": cls, "thing": thing, "things": _several(thing), "package": package}
    _must_be_free(kind, cls, thing)
    template = (TEMPLATES / "pieces" / f"{kind}_test.py.tmpl").read_text()
    words["test_head"] = filled(_head(template, module, imported), words)
    code, test = project / package / f"{thing}.py", project / "tests" / f"test_{thing}.py"
    for file in (code, test):
        if file.exists():
            raise ProjectRefused(f"{file} exists already; nothing is written over")
    source = (TEMPLATES / "pieces" / f"{kind}.py.tmpl").read_text()
    written = []
    try:
        for path, content in ((code, filled(source, words)), (test, filled(template, words))):
            write_new(path, content.encode())
            written.append(path)
    except OSError as failure:
        for path in written:
            path.unlink()
        raise ProjectRefused(
            f"{failure.filename} can't be written: {failure.strerror}"
        ) from failure
    bindings = [f'"{words["things"]}": {cls}']
    bindings += [f'"{thing}_ledgers": {cls}Ledger'] if kind == "outbox" else []
    line = f"from {module} import {', '.join(sorted(imported))}"
    wiring = project / package / (origin if origin in HOMES else "") / "app.py"
    return Added((code, test), wiring, tuple(bindings), line, piece.more)


def _must_be_free(kind: str, cls: str, thing: str) -> None:
    """Refuse a name that the code or its test has for something else, or pytest for tests."""
    sources = [
        (TEMPLATES / "pieces" / f"{kind}{end}").read_text() for end in (".py.tmpl", "_test.py.tmpl")
    ]
    imported = ["@@Class@@", *(each.format("@@Class@@") for each in PIECES[kind].imported)]
    words = {"Class": "Zq", "thing": "zq", "things": "zqs", "package": "zq"}
    words["test_head"] = filled(_head(sources[1], "zq.zq", imported), words)
    taken = {name for source in sources for name in _names(ast.parse(filled(source, words)))}
    is_a_tests = cls.startswith("Test") or re.fullmatch("tests?|conftest|test_.*", thing)
    if is_a_tests or not taken.isdisjoint({cls, f"{cls}Ledger", thing}):
        raise ProjectRefused(
            f"{cls!r} is a name that its code or its test has for something else: choose "
            f"another, such as {PIECES[kind].called}"
        )


def _names(tree: ast.Module) -> set[str]:
    definitions = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    names = {each.name for each in tree.body if isinstance(each, definitions)}
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.alias(asname=str(name)):
                names.add(name)
            case ast.alias(name=name):
                names.add(name.partition(".")[0])
    return names


def _head(template: str, module: str, imported: list[str]) -> str:
    """Return how a test's file begins: what it imports, and its world."""
    names = [n for n in ("ClientSocket", "HandshakeRefused", "TestRuntime") if n in template]
    has_world = "runtime: TestRuntime" in template
    lines = ['"""Tests of @@Class@@."""', "", "from __future__ import annotations", ""]
    if has_world:
        lines += ["from collections.abc import AsyncIterator", "from typing import Any", ""]
        lines += ["import pytest", ""]
    lines += [f"from {module} import {', '.join(sorted(imported))}"]
    if "KeyReused" in template:
        lines += ["from runtime.patterns.idempotency import KeyReused"]
    lines += [f"from runtime.testing import {', '.join(names)}", ""]
    if has_world:
        lines += [
            "",
            '@pytest.fixture(params=[False, True], ids=["awake", "evicted"])',
            "async def runtime(request: pytest.FixtureRequest) -> AsyncIterator[TestRuntime[Any]]:",
            '    """A world of its own. Every test runs twice, once with evictions."""',
            '    bindings = {"@@things@@": @@Class@@}',
            "    async with TestRuntime(bindings=bindings, evicting=request.param) as rt:",
            "        yield rt",
            "",
        ]
    return "\n".join(lines)


def _several(thing: str) -> str:
    if thing.endswith("news"):
        return thing
    stem = re.sub("(?<=[^aeiou])y$", "ie", re.sub("(?<=[el])f$", "ve", thing))
    return stem + ("es" if re.search("(s|x|z|ch|sh)$", stem) else "s")
