"""What tests are written with. The names are here; what they mean is told where they are made."""

from runtime import checkers
from runtime.faults import POINTS, Point
from runtime.loopback import ClientSocket, HandshakeRefused, SocketClosed
from runtime.operations import Operation, Violation
from runtime.runtime import key_of
from runtime.scenario import Client, Scenario
from runtime.simulation import Report, SimulationFailed, simulate
from runtime.worlds import TestRuntime

__all__ = [
    "POINTS",
    "Client",
    "ClientSocket",
    "HandshakeRefused",
    "Operation",
    "Point",
    "Report",
    "Scenario",
    "SimulationFailed",
    "SocketClosed",
    "TestRuntime",
    "Violation",
    "checkers",
    "key_of",
    "simulate",
]
