"""``python -m runtime``: what is done to a data folder from outside."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from runtime.backup import Report, backup, restore
from runtime.config import RuntimeConfig
from runtime.errors import DurableObjectError

Work = Callable[[Path, Path, Callable[[str, int, int], object]], Report]

NICENESS: Final = 10  # the node goes first where both want a core


def main() -> int:
    """Do what the command line says, and return the exit status."""
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or half a backup would stay
    try:
        data = arguments.data or RuntimeConfig().data
        return int(arguments.run(arguments, data))
    except (DurableObjectError, OSError) as error:
        print(f"{arguments.failure}: {error}", file=sys.stderr)
    except ValidationError as error:
        print(f"{arguments.failure}: the settings are wrong: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"{arguments.failure}: it was interrupted", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runtime", description="Look after a data folder."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add(
        commands,
        "backup",
        "copy the data folder, while a node works in it or not",
        "what the copy is to be; absent or empty",
        run=_backup,
        failure="No backup was made",
    )
    _add(
        commands,
        "restore",
        "make a data folder of a backup",
        "the backup",
        run=_restore,
        failure="Nothing was restored",
    )
    return parser


def _add(commands: Any, name: str, help: str, folder: str, **defaults: object) -> None:
    command = commands.add_parser(name, help=help, description=f"{help.capitalize()}.")
    command.add_argument("folder", metavar="DIR", type=_folder, help=folder)
    command.add_argument("--data", metavar="DIR", type=_folder, help="data folder [as configured]")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(**defaults)


def _backup(arguments: argparse.Namespace, data: Path) -> int:
    os.nice(NICENESS)
    report = _with_progress(backup, data, arguments.folder, is_quiet=arguments.json)
    _tell(
        report,
        f"Saved {_amount(report)}. To go back to it: python -m runtime restore {report.folder} "
        "--data FOLDER, where FOLDER doesn't exist yet.",
        is_json=arguments.json,
    )
    if report.damaged:
        print(
            f"Warning: SQLite finds damage in {', '.join(report.damaged)}, and so it must in "
            f"{data}: keep the backups you have.",
            file=sys.stderr,
        )
    return 1 if report.damaged else 0


def _restore(arguments: argparse.Namespace, data: Path) -> int:
    report = _with_progress(restore, arguments.folder, data, is_quiet=arguments.json)
    _tell(
        report,
        f"Restored {_amount(report)}. Start the node with this data folder.",
        is_json=arguments.json,
    )
    return 0


def _with_progress(work: Work, source: Path, target: Path, *, is_quiet: bool) -> Report:
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=is_quiet or not console.is_terminal,
    ) as bars:
        bar = bars.add_task("starting", total=None)

        def progress(what: str, done: int, total: int) -> None:
            bars.update(bar, description=what, completed=done, total=total)

        return work(source, target, progress)


def _tell(report: Report, sentence: str, *, is_json: bool) -> None:
    print(json.dumps({**report._asdict(), "folder": str(report.folder)}) if is_json else sentence)


def _amount(report: Report) -> str:
    plural = "" if report.objects == 1 else "s"
    return (
        f"{report.objects:,} object{plural}, {decimal(report.bytes)}, in {report.folder}, in "
        f"{report.seconds:.1f} s"
    )


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the folder has no name")
    return Path(text)


if __name__ == "__main__":
    sys.exit(main())
