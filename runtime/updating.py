"""``python -m runtime update``: a project takes over a newer runtime, seeing what changes."""

from __future__ import annotations

import difflib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import ProjectRefused
from runtime.scaffold import write_new
from runtime.starters import NOTE, RUNTIME, digests, runtime_files, written


@dataclass(frozen=True, slots=True)
class Update:
    """What a project's runtime would become."""

    project: Path
    old: dict[str, bytes]
    new: dict[str, bytes]
    own: tuple[str, ...]
    """Files that were changed in the project, and would be lost."""

    @property
    def changed(self) -> list[str]:
        """The paths of all files that aren't the same."""
        return sorted(
            path for path in self.old | self.new if self.old.get(path) != self.new.get(path)
        )

    def diff(self) -> Iterator[str]:
        """Yield the lines of a unified diff, as `git apply` takes it."""
        for path in self.changed:
            old, new = (_lines(files.get(path, b"")) for files in (self.old, self.new))
            before = f"a/{path}" if path in self.old else "/dev/null"
            after = f"b/{path}" if path in self.new else "/dev/null"
            yield from difflib.unified_diff(old, new, before, after)


def read_note(project: Path) -> dict[str, Any]:
    """Return what a project says of itself.

    Raises:
        ProjectRefused: If that is no project made by `new`.
    """
    try:
        content = json.loads((project / NOTE).read_text())
        said = {key: str(content[key]) for key in ("made_from", "name", "package")}
        return {**said, "runtime": dict(content["runtime"])}
    except FileNotFoundError as error:
        raise ProjectRefused(
            f"{project.resolve()} is no project made by `python -m runtime new`: it has no {NOTE}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProjectRefused(f"{project / NOTE} can't be read: {error}") from error


def compare(project: Path) -> Update:
    """Return what this runtime, taken over, would change in a project.

    Raises:
        ProjectRefused: If that is no project, or the one that this runtime is in.
    """
    made = read_note(project)["runtime"]
    if (project / "runtime").resolve() == RUNTIME.resolve():
        raise ProjectRefused("this is the project's own runtime: run `update` in a newer clone")
    old = runtime_files(project)
    own = [path for path, digest in digests(old).items() if made.get(path) != digest]
    own += [path for path in made if path not in old]
    return Update(project, old, runtime_files(), tuple(sorted(own)))


def apply(update: Update) -> None:
    """Replace the project's runtime.

    Raises:
        ProjectRefused: If files would be lost that were changed there, or the disk refuses.
    """
    if update.own:
        raise ProjectRefused(
            f"{', '.join(update.own[:3])}{' and others' if len(update.own) > 3 else ''} "
            "was changed in this project: move the change out of runtime/, or put it back after "
            f"`git checkout {update.own[0]}`"
        )
    folder = update.project / "runtime"
    draft, before = (folder.with_name(f".runtime.{os.getpid()}.{end}") for end in ("new", "old"))
    content = json.loads((update.project / NOTE).read_text())
    content["runtime"] = digests(update.new)
    try:
        for path, file in update.new.items():
            write_new(draft / path.removeprefix("runtime/"), file)
        folder.rename(before)
        draft.rename(folder)
        (update.project / NOTE).write_bytes(written(content))
    except OSError as failure:
        raise ProjectRefused(f"{folder} can't be replaced: {failure.strerror}") from failure
    finally:
        if before.exists() and not folder.exists():
            before.rename(folder)
        for left in (draft, before):
            shutil.rmtree(left, ignore_errors=True)


def _lines(content: bytes) -> list[str]:
    return content.decode(errors="replace").splitlines(keepends=True)
