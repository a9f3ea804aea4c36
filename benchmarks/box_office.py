"""Booking alone, served as `apps` is, to be measured: ``python -m benchmarks.box_office``."""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn

from apps.booking.app import create_app
from benchmarks.processes import raise_file_limit
from runtime import RuntimeConfig
from runtime.uvicorn_ws import HttpProtocol, Server, WebSocketProtocol

if __name__ == "__main__":
    raise_file_limit()
    config = uvicorn.Config(
        create_app(RuntimeConfig(data=Path(sys.argv[2]), idle_seconds=3600)),
        port=int(sys.argv[1]),
        ws=WebSocketProtocol,
        http=HttpProtocol,
        log_level="error",
        access_log=False,
        server_header=False,
    )
    Server(config).run()
