"""Durable objects for Python: one named, single-threaded object with a memory of its own.

What an application imports is here, in `runtime.litestar` and in `runtime.testing`. Everything
else is private to the runtime. README.md in this folder tells how it works.
"""

import sys
from importlib.util import find_spec

# Before anything is imported that isn't there: who runs it from a clone hasn't asked pip.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(f"Dormouse needs Python 3.11 or newer, and this is Python 3.{sys.version_info[1]}")
if find_spec("apsw") is None:
    sys.exit("this Python lacks Dormouse's packages: use .venv/bin/python, which `make run` makes")

from runtime import errors
from runtime.alarms import AlarmInvocation
from runtime.config import Migration, RuntimeConfig
from runtime.connection import WebSocketRequestResponsePair
from runtime.fetch import Request, Response
from runtime.glimpse import Glimpse
from runtime.health import Health
from runtime.ids import ObjectId
from runtime.methods import rpc_private
from runtime.namespace import DurableObjectNamespace, Stub
from runtime.object import DurableObject, DurableObjectState, RpcTarget
from runtime.runtime import Runtime
from runtime.sockets import WebSocket
from runtime.statements import SqlCursor, SqlStorage
from runtime.storage import Storage

__all__ = [
    "AlarmInvocation",
    "DurableObject",
    "DurableObjectNamespace",
    "DurableObjectState",
    "Glimpse",
    "Health",
    "Migration",
    "ObjectId",
    "Request",
    "Response",
    "RpcTarget",
    "Runtime",
    "RuntimeConfig",
    "SqlCursor",
    "SqlStorage",
    "Storage",
    "Stub",
    "WebSocket",
    "WebSocketRequestResponsePair",
    "errors",
    "rpc_private",
]
