"""``python -m runtime new``: a folder that is a whole project, or isn't there."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from runtime.errors import ProjectRefused
from runtime.starters import KINDS, Wish, files_of

_TAKEN: Final = ("apps", "deploy", "runtime", "static", "templates", "tests")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,29}")
_DOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9-]*\.)*[a-z0-9-]+", re.IGNORECASE)
_SECRET: Final = ".env"
_COMMANDS: Final = (".ci/python", "deploy/backup.sh")


def plan(folder: Path, wish: Wish) -> dict[str, bytes]:
    """Return what would be written, once nothing stands against it.

    Raises:
        ProjectRefused: If the folder exists, a name can't be used, or something is missing.
    """
    if folder.exists() or folder.is_symlink():
        raise ProjectRefused(f"{folder} exists already; nothing is written over")
    if not folder.absolute().parent.is_dir():
        raise ProjectRefused(f"there is no folder {folder.absolute().parent} to make it in")
    check_kind(wish.kind)
    check_name(wish.name)
    check_domain(wish.domain)
    if shutil.which("git") is None:
        raise ProjectRefused("git isn't there: install it, and try again")
    return files_of(wish)


def check_kind(kind: str) -> None:
    """Raise `ProjectRefused` if there is no such kind."""
    if kind not in KINDS:
        raise ProjectRefused(f"there is no {kind!r} to begin from, only {', '.join(KINDS)}")


def check_domain(domain: str) -> None:
    """Raise `ProjectRefused` if no site can be reached there."""
    if not _DOMAIN.fullmatch(domain):
        raise ProjectRefused(f"{domain!r} is no domain, such as example.org")


def check_name(name: str) -> None:
    """Raise `ProjectRefused` if a project, and its package, can't be called that."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ProjectRefused(
            f"{name!r} can't name a package: use 1 to 30 lower-case letters, digits and "
            "underscores, a letter first, and no word of Python's own (--name)"
        )
    if name in _TAKEN or name in sys.stdlib_module_names or importlib.util.find_spec(name):
        raise ProjectRefused(f"there is a package {name!r} already: choose another name (--name)")


def make(folder: Path, wish: Wish) -> dict[str, bytes]:
    """Make a project, under another name until it is whole, and return its files.

    Raises:
        ProjectRefused: As `plan`, or because the disk or git refuses. Nothing is left behind.
    """
    files = plan(folder, wish)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        for path, content in files.items():
            write_new(draft / path, content)
        (draft / _SECRET).chmod(0o600)
        for path in _COMMANDS:
            (draft / path).chmod(0o755)
        _git(draft, "init", "--quiet")
        _git(draft, "symbolic-ref", "HEAD", "refs/heads/main")
        _git(draft, "add", "--all")
        draft.rename(folder)
    except OSError as failure:
        raise ProjectRefused(f"{folder} can't be made: {failure.strerror}") from failure
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return files


def write_new(file: Path, content: bytes) -> None:
    """Write a file that isn't there yet, and the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("xb") as new:
        new.write(content)


def _git(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ProjectRefused(f"git refuses: {done.stderr.strip().splitlines()[-1]}")
