"""The part of the command line that is about projects: `new`, `add`, `update`."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime import pieces, scaffold, updating
from runtime.errors import ProjectRefused
from runtime.starters import KINDS, Wish


def add_commands(commands: Any) -> None:
    """Add them to a parser's commands; each has `run`, and `failure` for when it is refused."""
    new = commands.add_parser(
        "new",
        help="make a project",
        description="Make a project that is whole: code, tests, and what it takes to run it.",
        epilog="What isn't given is asked, if there is a terminal. Nothing is written over.",
    )
    new.add_argument("folder", metavar="PATH", type=Path, help="what it is to be; not there yet")
    new.add_argument("--from", dest="kind", metavar="KIND", help=", ".join(KINDS))
    new.add_argument("--name", help="of the project and its package [that of the folder]")
    new.add_argument("--domain", help="where it will be reached [example.org]")
    new.add_argument("--yes", action="store_true", help="ask nothing")
    new.add_argument("--dry-run", action="store_true", help="write nothing, say what would be")
    new.set_defaults(run=_new, failure="No project was made")

    add = commands.add_parser(
        "add",
        help="add an object of a kind, with its test, to the project here",
        description="Add an object of a kind, with its test, to the project in this folder.",
    )
    add.add_argument("kind", metavar="KIND", help=", ".join(pieces.PIECES))
    add.add_argument("name", metavar="CLASS", nargs="?", help="of the object, such as Shelf")
    add.set_defaults(run=_add, failure="Nothing was added")

    update = commands.add_parser(
        "update",
        help="show what this runtime would change in a project, and take it over",
        description="Show, as a diff, what this runtime would change in a project.",
        epilog="Run it in a clone that has the newer runtime. `git apply` takes the diff, too.",
    )
    update.add_argument("folder", metavar="PATH", type=Path, help="the project")
    update.add_argument("--yes", action="store_true", help="take it over")
    update.set_defaults(run=_update, failure="Nothing was updated")


def _new(arguments: argparse.Namespace) -> int:
    folder = arguments.folder
    is_asking = sys.stdin.isatty() and not arguments.yes
    called = re.sub(r"\W+", "_", folder.absolute().name.lower()).lstrip("_0123456789") or "project"

    def wanted(
        given: str | None, question: str, otherwise: str, check: Callable[[str], object]
    ) -> str:
        if given is None and is_asking:
            given = input(f"{question} [{otherwise}] ").strip()
        check(given or otherwise)  # before the next question
        return given or otherwise

    if folder.exists():  # said before anything is asked
        raise ProjectRefused(f"{folder} exists already; nothing is written over")
    wish = Wish(
        kind=wanted(
            arguments.kind,
            f"What to begin from: {', '.join(KINDS)}?",
            KINDS[0],
            scaffold.check_kind,
        ),
        name=wanted(arguments.name, "What is it called?", called, scaffold.check_name),
        domain=wanted(
            arguments.domain, "Where will it be reached?", "example.org", scaffold.check_domain
        ),
    )
    if arguments.dry_run:
        files = scaffold.plan(folder, wish)
        own = [path for path in files if not path.startswith("runtime/")]
        print(f"{folder} would get these, and {len(files) - len(own)} files in runtime/:")
        print("\n".join(f"  {path}" for path in own))
        return 0
    files = scaffold.make(folder, wish)
    print(
        f"{folder} is there: {len(files)} files, all of them yours. Next:\n"
        f"  cd {shlex.quote(str(folder))}\n"
        "  make test     # sets everything up, and checks it\n"
        "  make run      # serves it on http://127.0.0.1:8000\n"
        "Its README.md tells what is where."
    )
    return 0


def _add(arguments: argparse.Namespace) -> int:
    added = pieces.add(Path(), arguments.kind, arguments.name)
    written = " and ".join(str(file) for file in added.files)
    print(
        f"Wrote {written}. To reach it, {added.wiring} needs an import, and among the bindings:\n"
    )
    print(f"    {added.imported}\n")
    print("\n".join(f"    {line}," for line in added.bindings))
    print(f"\nTry it: make test ARGS={added.files[1]}\nMore about it: {added.more} in Dormouse")
    return 0


def _update(arguments: argparse.Namespace) -> int:
    update = updating.compare(arguments.folder)
    if not update.changed:
        print(f"{arguments.folder} has this runtime already.")
        return 0
    if not arguments.yes:
        sys.stdout.writelines(update.diff())
        print(
            f"{len(update.changed)} files would change; --yes takes them over."
            + (f" Changed in the project, too: {', '.join(update.own)}." if update.own else ""),
            file=sys.stderr,
        )
        return 0
    updating.apply(update)
    print(
        f"{len(update.changed)} files of {arguments.folder}/runtime are new. Next, there: "
        "make test. If the runtime's requirements have changed, CHANGELOG.md says so."
    )
    return 0
