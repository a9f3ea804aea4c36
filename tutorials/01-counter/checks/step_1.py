"""Pressing the button changes the number on the page."""

from pathlib import Path

import pytest
from app import create_app
from litestar.testing import AsyncTestClient


async def test_the_page_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DATA", str(tmp_path / "data"))
    async with AsyncTestClient(create_app()) as client:
        await client.post("/add", follow_redirects=True)
        page = await client.post("/add", follow_redirects=True)

    assert ">2<" in page.text
