"""Each address has a number of its own."""

from pathlib import Path

import pytest
from app import create_app
from litestar.testing import AsyncTestClient


async def test_each_address_counts_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DATA", str(tmp_path / "data"))
    async with AsyncTestClient(create_app()) as client:
        await client.post("/cats/add")

        assert ">1<" in (await client.get("/cats")).text
        assert ">0<" in (await client.get("/dogs")).text
