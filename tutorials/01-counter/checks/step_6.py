"""Whether it is awake can be asked, and asking doesn't wake it."""

from pathlib import Path

import pytest
from app import create_app
from litestar.testing import AsyncTestClient


async def test_its_state_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DATA", str(tmp_path / "data"))
    async with AsyncTestClient(create_app()) as client:
        assert (await client.get("/cats/awake")).text == "asleep"
        await client.post("/cats/add")

        assert "idle" in (await client.get("/cats/awake")).text
