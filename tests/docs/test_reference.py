"""The reference is of this code, and complete; the page for newcomers names only what there is."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import runtime
from runtime import RuntimeConfig, SqlStorage, Storage, errors, testing
from tests.docs.reference import FILE, text

ROOT = Path(__file__).parents[2]
CLOUDFLARE = (ROOT / "runtime" / "CLOUDFLARE.md").read_text()
PAGE = FILE.read_text()
RESERVED = {1004, 1015}  # by the protocol: nobody can close with them


def test_the_reference_is_of_this_code() -> None:
    assert text() == PAGE, "run `make reference`"


def test_every_public_name_is_in_it() -> None:
    for name in (*runtime.__all__, *testing.__all__):
        assert f"### `{name}" in PAGE, name


def test_every_setting_is_in_it_with_what_it_does() -> None:
    for name in RuntimeConfig.model_fields:
        row = re.search(rf"^\| `{name}` \| `RUNTIME_{name.upper()}` \| .+ \| (.+) \|$", PAGE, re.M)
        assert row, name
        assert len(row[1]) > 20, name


def test_every_error_is_in_it() -> None:
    for name, error in vars(errors).items():
        if inspect.isclass(error) and issubclass(error, errors.DurableObjectError):
            assert f"| `{name}` |" in PAGE, name


def test_every_close_code_that_the_code_uses_is_in_it() -> None:
    numbers = {
        node.value
        for file in (ROOT / "runtime").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and type(node.value) is int
    }
    codes = {int(code) for code in re.findall(r"^\| (1\d{3}) \|", PAGE, re.MULTILINE)}

    assert codes == {1000} | (numbers & set(range(1001, 1016)) - RESERVED)
    assert {1000, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013} <= codes


@pytest.mark.parametrize(
    ("limit", "value"),
    [("wire.MAX_BYTES", "33,554,432"), ("tags.MAX_TAGS", "10"), ("inbox.MAX_TASKS", "4,096")],
)
def test_limits_are_in_it_with_their_values(limit: str, value: str) -> None:
    assert f"| `{limit}` | {value} |" in PAGE


def test_the_page_for_newcomers_names_only_what_there_is() -> None:
    places = {**{name: getattr(runtime, name) for name in runtime.__all__}, **vars(testing)}
    named = 0
    for row in re.findall(r"^\| .+ \| (.+) \|$", CLOUDFLARE, re.MULTILINE):
        place: object = None
        for name, method in re.findall(r"`(\w*)\.(\w+)`", row):
            if name:  # `.method` is of the class that was named last
                place = places.get(name)
            if inspect.isclass(place):
                assert method in dir(place) or method in inspect.getsource(place), method
                named += 1

    assert named > 40


@pytest.mark.parametrize("cls", [Storage, SqlStorage, runtime.DurableObjectState], ids=str)
def test_the_page_for_newcomers_has_every_method(cls: type) -> None:
    ours = {"broadcast", "list_alarms"}  # beyond the original
    for name, method in vars(cls).items():
        if inspect.isfunction(method) and not name.startswith("_") and name not in ours:
            assert name in CLOUDFLARE or "hibernatable" in name or "auto_response" in name, name
