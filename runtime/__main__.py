"""``python -m runtime``: what is done to a data folder from outside, and to projects."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from runtime.backup import Report, backup, restore
from runtime.config import configured
from runtime.errors import DurableObjectError
from runtime.projects import add_commands

Work = Callable[[Path, Path, Callable[[str, int, int], object]], Report]

NICENESS: Final = 10  # the node goes first where both want a core

log = logging.getLogger("runtime")


def main() -> int:
    """Do what the command line says, and return the exit status."""
    arguments = _parser().parse_args()
    log.disabled = True  # it would speak of a copy that nobody knows, and all of it is reported
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or half a backup would stay
    try:
        return int(arguments.run(arguments))
    except BrokenPipeError:  # nobody reads on; what was done is done
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (DurableObjectError, OSError) as error:
        print(f"{arguments.failure}: {error}", file=sys.stderr)
    except (KeyboardInterrupt, EOFError):
        print(f"{arguments.failure}: it was interrupted", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runtime", description="Look after a data folder, or make a project."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add(
        commands,
        "backup",
        "copy the data folder, while a node works in it or not",
        "what the copy is to be; absent or empty",
        "The exit status is 1 if no backup was made, or if one was and something in it is damaged.",
        run=_backup,
        failure="No backup was made",
    )
    _add(
        commands,
        "restore",
        "make a data folder of a backup",
        "the backup",
        "The exit status is 1 if nothing was restored.",
        run=_restore,
        failure="Nothing was restored",
    )
    add_commands(commands)
    return parser


def _add(commands: Any, name: str, help: str, folder: str, status: str, **defaults: object) -> None:
    command = commands.add_parser(
        name, help=help, description=f"{help.capitalize()}.", epilog=status
    )
    command.add_argument("folder", metavar="DIR", type=_folder, help=folder)
    command.add_argument("--data", metavar="DIR", type=_folder, help="data folder [as configured]")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(**defaults)


def _data(arguments: argparse.Namespace) -> Path:
    return arguments.data or configured().data


def _backup(arguments: argparse.Namespace) -> int:
    data = _data(arguments)
    os.nice(NICENESS)
    report = _with_progress(backup, data, arguments.folder, is_quiet=arguments.json)
    python, folder = sys.orig_argv[0], str(report.folder)
    command = [python, "-m", "runtime", "restore", folder, "--data", "FOLDER"]
    advice = f"To go back to it, where FOLDER doesn't exist yet:\n{shlex.join(command)}"
    if report.damaged:
        advice = (
            "This copy can't be restored as it is; for what is sound in it, copy the folder by "
            "hand."
        )
    _tell(report, f"Saved {_amount(report)}.\n{advice}", is_json=arguments.json)
    if report.damaged:
        print(
            f"Warning: damaged, missing, or another object's: {', '.join(report.damaged)}; and so "
            f"it must be in {data}: keep the backups you have.",
            file=sys.stderr,
        )
    return 1 if report.damaged else 0


def _restore(arguments: argparse.Namespace) -> int:
    report = _with_progress(restore, arguments.folder, _data(arguments), is_quiet=arguments.json)
    _tell(
        report,
        f"Restored {_amount(report)}. Start with it:\n"
        f"make run DATA={shlex.quote(str(report.folder))}",
        is_json=arguments.json,
    )
    return 0


def _with_progress(work: Work, source: Path, target: Path, *, is_quiet: bool) -> Report:
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        Amount(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=is_quiet or not console.is_terminal,
    ) as bars:
        bar = bars.add_task("starting", total=None)

        def progress(what: str, done: int, total: int) -> None:
            bars.tasks[0].total = total or None  # `update` takes no None, which makes it pulse
            bars.update(bar, description=what, completed=done)

        return work(source, target, progress)


class Amount(MofNCompleteColumn):
    """How much is done, of how much; nothing while nobody knows."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)


def _tell(report: Report, sentence: str, *, is_json: bool) -> None:
    print(json.dumps({**report._asdict(), "folder": str(report.folder)}) if is_json else sentence)


def _amount(report: Report) -> str:
    plural = "" if report.objects == 1 else "s"
    return (
        f"{report.objects:,} object{plural} ({decimal(report.bytes)}) to {report.folder} in "
        f"{report.seconds:.1f} s"
    )


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the folder has no name")
    return Path(text)


if __name__ == "__main__":
    sys.exit(main())
