"""``python -m tutorials``: serve what you are writing, check it, or begin from a step."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import uvicorn

from runtime.reloading import Reloader
from runtime.uvicorn_ws import HttpProtocol, Server, WebSocketProtocol
from tutorials.steps import Step, Tutorial, tutorials

HERE: Final = Path("try")
NOT_COPIED: Final = shutil.ignore_patterns("README.md", "__pycache__")


def main() -> int:
    """Do what the command line says, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tutorials", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve the folder try/, as it changes")
    serve.add_argument("--port", type=int, default=8000)
    serve.set_defaults(run=lambda arguments: _serve(arguments.port))
    test = commands.add_parser("test", help="run the tests in try/")
    test.set_defaults(run=lambda _: _test())
    for name, run, help in (
        ("check", _check, "check that try/ does what it should after a step, or an exercise"),
        ("begin", _begin, "make try/ what it is after a step"),
    ):
        command = commands.add_parser(name, help=help)
        command.add_argument("tutorial", help="its number")
        command.add_argument("step", help="its number; of an exercise, x and its number")
        command.set_defaults(run=run)
    arguments = parser.parse_args()
    try:
        return int(arguments.run(arguments))
    except (LookupError, OSError) as refusal:
        print(refusal.args[0] if isinstance(refusal, LookupError) else refusal, file=sys.stderr)
        return 1


def _serve(port: int) -> int:
    if not (HERE / "app.py").is_file():
        raise LookupError(f"there is no {HERE}/app.py yet: write it first")
    listener = _listen(port)
    sys.path.insert(0, str(HERE.absolute()))
    os.environ.setdefault("RUNTIME_DATA", str(HERE / "data"))
    os.environ.setdefault("RUNTIME_DEBUG", "true")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("runtime").setLevel(logging.INFO)  # it says when it has reloaded
    config = uvicorn.Config(
        Reloader("app:create_app", folders=[HERE]),
        ws=WebSocketProtocol,
        http=HttpProtocol,
        log_level="warning",
        access_log=False,
    )
    print("Serving try/ at http://{}:{}  (ctrl-C to stop)".format(*listener.getsockname()))
    sys.stdout.flush()
    try:
        Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        return 0
    return 0


def _listen(port: int) -> socket.socket:
    if not 0 <= port <= 65_535:
        raise LookupError(f"{port} is no port: they go from 0 to 65535")
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as refusal:
        if refusal.errno != errno.EADDRINUSE:
            raise
        raise LookupError(
            f"port {port} is in use, by `make run` perhaps: stop that, or choose another port "
            "(make try PORT=…)"
        ) from None


def _test() -> int:
    if not HERE.is_dir():
        raise LookupError(f"there is no {HERE}/ yet: begin with the tutorial's first step")
    return _pytest(str(HERE))


def _pytest(*arguments: str) -> int:
    command = ["pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "-c", "pyproject.toml"]
    return subprocess.run([sys.executable, "-m", *command, *arguments], check=False).returncode


def _check(arguments: argparse.Namespace) -> int:
    tutorial = _tutorial(arguments.tutorial)
    check = check_of(tutorial, arguments.step)
    if not HERE.is_dir():
        raise LookupError(f"there is no {HERE}/ yet: begin with the tutorial's first step")
    if not check.is_file():
        raise LookupError(_nothing_to_check(tutorial, arguments.step))
    with tempfile.TemporaryDirectory() as folder:  # beside the code, so that it imports that
        shutil.copytree(HERE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("data"))
        shutil.copy(check, Path(folder) / "check_it.py")
        return _pytest(str(Path(folder) / "check_it.py"))


def _nothing_to_check(tutorial: Tutorial, what: str) -> str:
    checked = [
        str(step.number)
        for step in tutorial.steps
        if check_of(tutorial, str(step.number)).is_file()
    ]
    if what in {str(step.number) for step in tutorial.steps}:
        said = f"step {what} of tutorial {tutorial.number} has nothing to check"
    else:
        said = f"tutorial {tutorial.number} has no step or exercise {what!r}"
    return f"{said}; what can be checked: {', '.join(checked)}, and exercises (S=x1)"


def check_of(tutorial: Tutorial, what: str) -> Path:
    """Return the file that checks a step, or an exercise."""
    if what.startswith("x"):
        return tutorial.folder / "exercises" / what[1:] / "check.py"
    return tutorial.folder / "checks" / f"step_{what}.py"


def _begin(arguments: argparse.Namespace) -> int:
    if HERE.exists():
        raise LookupError(f"{HERE}/ is there already; keep it by another name first: mv try try-1")
    step = _step(_tutorial(arguments.tutorial), arguments.step)
    shutil.copytree(step.folder, HERE, ignore=NOT_COPIED)
    print(f"{HERE}/ is as after step {step.number}. Serve it: make try")
    return 0


def _tutorial(number: str) -> Tutorial:
    for tutorial in tutorials():
        if str(tutorial.number) == number.lstrip("0"):
            return tutorial
    if not number:
        raise LookupError("which tutorial, and which step? For example T=1 S=3")
    raise LookupError(f"there is no tutorial {number!r}, only 1 to {len(tutorials())}")


def _step(tutorial: Tutorial, number: str) -> Step:
    for step in tutorial.steps:
        if str(step.number) == number:
            return step
    raise LookupError(f"tutorial {tutorial.number} has no step {number!r}")


if __name__ == "__main__":
    sys.exit(main())
