"""runtime/REFERENCE.md, made of the code: names, settings, errors, close codes and limits.

``python -m tests.docs`` writes it; a test compares.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any, Final, Literal, get_args, get_origin

import runtime
from runtime import RuntimeConfig, errors

ROOT: Final = Path(__file__).parents[2]
RUNTIME: Final = ROOT / "runtime"
FILE: Final = RUNTIME / "REFERENCE.md"

HEAD: Final = """\
# Reference

Made of the code by `make reference`: change a docstring, not this page. What an application imports
is here; everything else may change. How it works is told in [README.md](README.md), what to copy in
[patterns](patterns/README.md), and what is called otherwise in the original in
[CLOUDFLARE.md](CLOUDFLARE.md).
"""
MODULES: Final = ("runtime.litestar", "runtime.testing", "runtime.checkers")
PATTERNS: Final = sorted({file.stem for file in RUNTIME.glob("patterns/*.py")} - {"__init__"})
NOT_FOR_APPS: Final = ("DurableObjectNamespace.code", "DurableObjectNamespace.rebind")
_LIMIT: Final = re.compile(r"(MAX|MOST)_|_(SECONDS|BYTES|MOST|LIMIT|ATTEMPTS)$|BUFFERED")


def text() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *_names(), *_settings(), *_errors(), *_close_codes(), *_limits()])


def _names() -> Iterator[str]:
    yield "## `runtime`\n"
    for name in sorted(runtime.__all__):
        yield from _thing(name, getattr(runtime, name))
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        yield f"## `{module_name}`\n"
        yield f"{_first(module)}\n"
        names = getattr(module, "__all__", None) or _own(module)
        for name in sorted(names, key=str.lower):
            yield from _thing(name, getattr(module, name))
    for pattern in PATTERNS:
        module = importlib.import_module(f"runtime.patterns.{pattern}")
        yield f"## `runtime.patterns.{pattern}`\n"
        yield f"{_first(module)}\n"
        for name in _own(module):
            yield from _thing(name, getattr(module, name))


def _own(module: Any) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def _thing(name: str, thing: Any) -> Iterator[str]:
    if inspect.ismodule(thing):
        yield f"### `{name}`\n\n{_first(thing)}\n"
        return
    if get_origin(thing) is Literal:
        yield f"### `{name}`\n\nOne of {', '.join(map(repr, get_args(thing)))}.\n"
        return
    if not inspect.isclass(thing) and not callable(thing):
        yield f"### `{name}`\n\nOne of {thing!r}.\n" if isinstance(thing, tuple) else ""
        return
    yield f"### `{name}{_signature(thing)}`\n"
    yield f"{_doc(thing)}\n"
    if not inspect.isclass(thing) or issubclass(thing, Exception):
        return
    for method, value in sorted(vars(thing).items()):
        if method.startswith("_") or f"{name}.{method}" in NOT_FOR_APPS:
            continue
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if isinstance(function, property) and function.fget.__doc__:
            yield f"- **`{name}.{method}`** {_short(function.fget)}"
        elif inspect.isfunction(function):
            awaited = "await " if inspect.iscoroutinefunction(function) else ""
            yield f"- **`{awaited}{name}.{method}{_signature(function)}`** {_short(function)}"
    yield ""


def _signature(thing: Any) -> str:
    if inspect.isclass(thing) and (
        issubclass(thing, Exception) or thing.__init__ is object.__init__
    ):
        return ""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    kept = [
        parameter.replace(annotation=parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    if inspect.isclass(thing) and issubclass(thing, RuntimeConfig):
        return "(**settings)"
    plain = signature.replace(parameters=kept, return_annotation=signature.empty)
    return re.sub(r"<(?:class|function) '?([\w.]+)'?[^>]*>", r"\1", str(plain))


def _doc(thing: Any) -> str:
    return _plain(inspect.getdoc(thing) or "")


def _short(thing: Any) -> str:
    paragraph = (inspect.getdoc(thing) or "").partition("\n\n")[0]
    return _plain(" ".join(paragraph.split()))


def _first(module: Any) -> str:
    return _plain(" ".join((module.__doc__ or "").partition("\n\n")[0].split()))


def _plain(doc: str) -> str:
    """Return a docstring as Markdown: its sections as paragraphs, literals in single backquotes."""
    doc = re.sub(r"^::\n\n((?:    .*\n|\n)+)", _example, doc + "\n", flags=re.MULTILINE)
    doc = re.sub(
        r"^(Args|Returns|Raises|Attributes|Invariants|Yields):\n", r"\n*\1*\n\n", doc, flags=re.M
    )
    doc = re.sub(r"^    (\w[\w, *]*): ", r"- `\1`: ", doc, flags=re.MULTILINE)
    return doc.replace("``", "`").strip()


def _example(match: re.Match[str]) -> str:
    return f"```text\n{dedent(match[1]).strip()}\n```\n\n"


def _settings() -> Iterator[str]:
    tree = ast.parse((RUNTIME / "config.py").read_text())
    (cls,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "RuntimeConfig")
    told = {}
    for field, said in zip(cls.body, cls.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(said, ast.Expr):
            told[ast.unparse(field.target)] = " ".join(ast.literal_eval(said.value).split())
    yield "## Settings\n"
    yield "Arguments of `RuntimeConfig` go before `RUNTIME_*` variables, these before the table"
    yield "`[tool.runtime]` of pyproject.toml.\n"
    yield "| setting | variable | unless set | what |"
    yield "| --- | --- | --- | --- |"
    for name, setting in RuntimeConfig.model_fields.items():
        shown = "none" if setting.default == () else str(setting.default)
        yield f"| `{name}` | `RUNTIME_{name.upper()}` | {shown} | {told[name]} |"
    yield ""


def _errors() -> Iterator[str]:
    yield "## Errors\n"
    yield "| error | what | may be tried again |"
    yield "| --- | --- | --- |"
    for name, error in vars(errors).items():
        if not (inspect.isclass(error) and issubclass(error, errors.DurableObjectError)):
            continue
        again = "yes, later" if error.overloaded else "yes" if error.retryable else "no"
        again = "where the disk is the reason" if error is errors.SqlError else again
        again = "ask first" if error.durable_object_reset else again
        yield f"| `{name}` | {_short(error)} | {again} |"
    yield ""


def _close_codes() -> Iterator[str]:
    yield "## Close codes\n"
    yield "What the runtime closes WebSockets with, or tells an object that they were closed with."
    yield "An object may use 1000 to 4999 of its own, but the ones that the protocol reserves.\n"
    yield "| code | name | where |"
    yield "| --- | --- | --- |"
    found = [
        (value, name, said, file)
        for file, name, value, said in _constants()
        if isinstance(value, int) and 1000 <= value <= 1015 and _is_code(file, name)
    ]
    for value, name, said, file in sorted(found):
        yield f"| {value} | {name.lstrip('_')} | `{file}`{': ' + said if said else ''} |"
    yield ""


def _is_code(file: str, name: str) -> bool:
    return file in ("connection", "edge", "frames", "portable", "sockets") and "BYTES" not in name


def _limits() -> Iterator[str]:
    yield "## Limits\n"
    yield "Constants of the code. What may be set is above, under Settings.\n"
    yield "| limit | value | of what |"
    yield "| --- | --- | --- |"
    for file, name, value, said in _constants():
        if _LIMIT.search(name) and not name.startswith("_") and isinstance(value, int | float):
            yield f"| `{file}.{name}` | {value:,} | {said} |"
    yield ""


def _constants() -> Iterator[tuple[str, str, Any, str]]:
    """Yield each constant of the runtime: its file, its name, its value, and its comment."""
    for file in sorted([*RUNTIME.glob("*.py"), *RUNTIME.glob("patterns/*.py")]):
        source = file.read_text()
        lines = source.splitlines()
        for node in ast.parse(source).body:
            if not (isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "Final"):
                continue
            assert node.value is not None
            try:
                value = eval(compile(ast.Expression(node.value), "", "eval"), {}, {})
            except (NameError, TypeError, AttributeError):
                continue
            _, _, said = lines[node.end_lineno - 1].partition("# ")  # type: ignore[operator]
            yield file.stem, ast.unparse(node.target), value, re.sub(r"noqa\S*.*", "", said).strip()
