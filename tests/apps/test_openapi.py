"""What the API answers to anything that its description allows, and to much that it doesn't.

Schemathesis makes requests of the description that all apps have together; no answer may be a
failure of the server's, or one that the description doesn't know. ``FUZZ=500`` makes so many
requests to each operation.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

EXAMPLES = int(os.environ.get("FUZZ", "4"))
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
EVENT = {"slug": "gala", "title": "Gala", "rows": 3, "seats_per_row": 5, "price": 500}


class Prober:
    """Sends requests that nobody has thought of."""

    def __init__(self, address: str, token: str, known: dict[str, str]) -> None:
        self._headers = {"authorization": f"Bearer {token}"}
        self._schema = schemathesis.openapi.from_url(f"{address}/schema/openapi.json")
        self._known = known
        self.failures: list[str] = []

    def probe_all(self) -> list[str]:
        """Send requests to every operation, also with path parameters that lead somewhere.

        Returns:
            The operations, each with its method.
        """
        labels = []
        for operation in self._operations():
            labels.append(operation.label)
            for known in ({}, self._known):
                try:
                    self._probe(operation, known)
                except FailureGroup as failures:
                    self.failures += [f"{operation.label}: {each}" for each in failures.exceptions]
        return labels

    def _operations(self) -> Iterator[Any]:
        found: Any
        for found in self._schema.get_all_operations():
            yield found.ok()

    def _probe(self, operation: Any, known: dict[str, str]) -> None:
        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def send(case: Any) -> None:
            for name in case.path_parameters or ():
                if name in known:
                    case.path_parameters[name] = known[name]
            case.call_and_validate(headers=self._headers, checks=CHECKS)

        send()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the site in a process of its own: hypothesis has its hands in this one's `random`."""
    command = [sys.executable, "-m", "apps", "--port", "0", "--data", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            (address,) = re.findall(r"http://[\d.:]+", process.stdout.readline())
            yield address
        finally:
            process.kill()


def a_world(address: str) -> tuple[str, dict[str, str]]:
    """Return a token, and path parameters that lead to what is there."""
    with httpx.Client(base_url=f"{address}/api", timeout=30) as client:
        token = client.post("/identity", json={"name": "Ada"}).json()["token"]
        client.headers["authorization"] = f"Bearer {token}"
        client.post("/booking/events", json=EVENT)
        holds = [
            client.post("/booking/events/gala/holds", json={"best": 1}).json()["hold_id"]
            for _ in range(2)
        ]
        client.post(f"/booking/holds/{holds[0]}/confirm")
    return token, {"event": "gala", "hold": holds[1], "order": holds[0], "room": "tea"}


def test_no_request_gets_an_answer_that_isnt_described(tmp_path: Path) -> None:
    with served(tmp_path) as address:
        prober = Prober(address, *a_world(address))
        operations = prober.probe_all()

    assert not prober.failures, "\n\n".join(prober.failures)
    apps = {operation.split("/")[2] for operation in operations if "/api/" in operation}
    assert apps >= {"booking", "chat", "game", "identity"}
