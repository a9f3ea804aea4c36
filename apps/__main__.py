"""``python -m apps``: serve the apps."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import resource
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

from apps import pages
from apps.site import create_app
from runtime import Runtime, RuntimeConfig, errors, uvicorn_ws
from runtime.config import configured
from runtime.reloading import Reloader
from runtime.uvicorn_ws import HttpProtocol, WebSocketProtocol

# Of a WebSocket message on a socket that no object has accepted yet.
MAX_MESSAGE_BYTES = 64 * 1024
GRACE_SECONDS = 30  # for requests that are under way when the server is told to stop


def main() -> int:
    """Serve until a signal ends it, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m apps", description="Serve the Dormouse apps.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on [%(default)s]")
    parser.add_argument("--port", default=8000, type=_port, help="port, 0 for any [%(default)s]")
    parser.add_argument("--data", type=_folder, help="folder that everything is kept in [data]")
    parser.add_argument(
        "--reload",
        action="store_true",
        help="development: take over changed source files without closing a socket",
    )
    arguments = parser.parse_args()
    if script := pages.missing_script():
        print(f"Dormouse can't start: {script} is missing: run `make assets`", file=sys.stderr)
        return 1
    try:
        settings: dict[str, Any] = {"data": arguments.data} if arguments.data else {}
        config = configured(**settings | ({"debug": True} if arguments.reload else {}))
        Runtime.check_folder(config)
        listener = _listen(arguments.host, arguments.port)
    except (errors.DurableObjectError, OSError) as refusal:
        print(f"Dormouse can't start: {_sentence(refusal, arguments)}", file=sys.stderr)
        return 1
    _raise_file_limit()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    server = Server(
        uvicorn.Config(
            _reloading(config) if arguments.reload else create_app(config),
            ws=WebSocketProtocol,
            http=HttpProtocol,
            ws_max_size=MAX_MESSAGE_BYTES,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again once it has stopped
        server.run(sockets=[listener])
    return 0 if server.started else 1


class Server(uvicorn_ws.Server):
    """A server that says where it can be found, once it can."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            host, port = (sockets or [])[0].getsockname()[:2]
            address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            styled = f"\033[1;36m{address}\033[0m" if sys.stdout.isatty() else address
            print(f"Dormouse is awake at {styled}  (ctrl-C to stop)", flush=True)


def _reloading(config: RuntimeConfig) -> Reloader:
    logging.getLogger("runtime").setLevel(logging.INFO)  # it says when it has reloaded
    return Reloader(
        f"{create_app.__module__}:{create_app.__name__}",
        folders=[Path(__file__).parent],
        arguments={"config": config},
    )


def _raise_file_limit() -> None:
    """Take as many open files as there may be: each socket is one, an object awake has three."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # then it stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535")
    return int(text)


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the folder has no name")
    return Path(text)


def _sentence(refusal: Exception, arguments: Any) -> str:
    if not isinstance(refusal, OSError):
        return str(refusal)
    where = f"{arguments.host}:{arguments.port}"
    if refusal.errno == errno.EADDRINUSE:
        return f"{where} is in use; stop what runs there, or choose another port (make run PORT=…)"
    return f"it can't listen on {where}: {refusal.strerror}"


if __name__ == "__main__":
    sys.exit(main())
