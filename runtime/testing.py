"""What tests are written with. The names are here; what they mean is told where they are made."""

from runtime.faults import POINTS, Point
from runtime.loopback import ClientSocket, HandshakeRefused, SocketClosed
from runtime.runtime import key_of
from runtime.worlds import TestRuntime

__all__ = [
    "POINTS",
    "ClientSocket",
    "HandshakeRefused",
    "Point",
    "SocketClosed",
    "TestRuntime",
    "key_of",
]
