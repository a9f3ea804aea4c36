"""What the API answers to anything that its description allows, and to much that it doesn't.

Schemathesis makes requests of the description that all apps have together; no answer may be a
failure of the server's, or one that the description doesn't know. ``FUZZ=500`` makes so many
requests to each operation.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
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

from apps.site import create_app
from runtime import RuntimeConfig
from tests.servers import serving

EXAMPLES = int(os.environ.get("FUZZ", "4"))
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
EVENT = {"slug": "gala", "title": "Gala", "rows": 3, "seats_per_row": 5, "price": 500}


class Prober:
    """Sends requests that nobody has thought of, on a thread: schemathesis waits for each."""

    def __init__(self, address: str, token: str, known: dict[str, str]) -> None:
        self._headers = {"authorization": f"Bearer {token}"}
        self._schema = schemathesis.openapi.from_url(f"http://{address}/schema/openapi.json")
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


def probe(address: str, token: str, known: dict[str, str]) -> tuple[Prober, list[str]]:
    """Probe all operations of a server."""
    prober = Prober(address, token, known)
    return prober, prober.probe_all()


async def a_world(address: str) -> tuple[str, dict[str, str]]:
    """Return a token, and path parameters that lead to what is there."""
    async with httpx.AsyncClient(base_url=f"http://{address}/api") as client:
        token = (await client.post("/identity", json={"name": "Ada"})).json()["token"]
        client.headers["authorization"] = f"Bearer {token}"
        await client.post("/booking/events", json=EVENT)
        holds = [
            (await client.post("/booking/events/gala/holds", json={"best": 1})).json()["hold_id"]
            for _ in range(2)
        ]
        await client.post(f"/booking/holds/{holds[0]}/confirm")
    return token, {"event": "gala", "hold": holds[1], "order": holds[0], "room": "tea"}


async def test_no_request_gets_an_answer_that_isnt_described(tmp_path: Path) -> None:
    async with serving(create_app(RuntimeConfig(data=tmp_path))) as address:
        token, known = await a_world(address)
        prober, operations = await asyncio.to_thread(probe, address, token, known)

    assert not prober.failures, "\n\n".join(prober.failures)

    apps = {operation.split("/")[2] for operation in operations if "/api/" in operation}
    assert apps >= {"booking", "chat", "identity"}
